//! A response as bytes: a small part of its own, and the resources' bytes shared with everybody else.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use envoy_api::Resource;
use envoy_api::envoy::config::core::v3::ControlPlane;
use envoy_api::envoy::service::discovery::v3::{
    self as discovery, DeltaDiscoveryResponse, DiscoveryResponse,
};

use crate::hooks::Answer;
use crate::session::Response;

/// Field numbers of `google.protobuf.Any` and of the messages of `envoy.service.discovery.v3`.
mod field {
    pub(super) const ANY_TYPE_URL: u32 = 1;
    pub(super) const ANY_VALUE: u32 = 2;
    pub(super) const RESOURCE_VERSION: u32 = 1;
    pub(super) const RESOURCE_ANY: u32 = 2;
    pub(super) const RESOURCE_NAME: u32 = 3;
    pub(super) const VERSION: u32 = 1;
    pub(super) const RESOURCES: u32 = 2;
    pub(super) const TYPE_URL: u32 = 4;
    pub(super) const NONCE: u32 = 5;
    pub(super) const REMOVED: u32 = 6;
}

/// Length of what gRPC puts before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// About what an entry needs beside its name and its type URL: version, nonce, lengths.
const ENTRY: usize = 40;

/// Bytes in pieces, read one after the other. No piece is copied.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Segments {
    /// How many bytes the message has, without gRPC's prefix.
    pub fn message_len(&self) -> usize {
        self.len.saturating_sub(PREFIX)
    }

    fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }
}

impl From<Bytes> for Segments {
    fn from(bytes: Bytes) -> Self {
        let mut segments = Self::default();
        segments.push(bytes);
        segments
    }
}

impl Buf for Segments {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.pieces);
        filled.map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        debug_assert!(count <= self.len, "more is read than there is");
        self.len = self.len.saturating_sub(count);
        while let Some(piece) = self.pieces.front_mut() {
            if piece.len() > count {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }
}

/// The response as a `DeltaDiscoveryResponse`, with gRPC's prefix.
pub fn encode_delta(response: &Response) -> Segments {
    let mut writer = Writer::start(response, |resource| Entry::delta(resource, &response.type_url));
    for name in &response.removed {
        writer.text(field::REMOVED, name);
    }
    writer.finish()
}

/// The response as a `DiscoveryResponse`, with gRPC's prefix. What is removed cannot be told.
pub fn encode_list(response: &Response) -> Segments {
    Writer::start(response, |resource| Entry::list(resource, &response.type_url)).finish()
}

/// The answer to a question of a debug type, with gRPC's prefix.
pub(crate) fn encode_answer(answer: Answer, type_url: &str, nonce: String, list: bool) -> Segments {
    let control_plane = answer.control_plane.map(|identifier| ControlPlane { identifier });
    let type_url = type_url.to_owned();
    let message = if list {
        let resources = answer.resources.into_iter().map(|(_, any)| any).collect();
        DiscoveryResponse { resources, type_url, nonce, control_plane, ..Default::default() }.encode_to_vec()
    } else {
        let wrap = |(name, any)| discovery::Resource { name, resource: Some(any), ..Default::default() };
        let resources = answer.resources.into_iter().map(wrap).collect();
        DeltaDiscoveryResponse { resources, type_url, nonce, control_plane, ..Default::default() }
            .encode_to_vec()
    };
    let mut writer = Writer { own: BytesMut::new(), segments: Segments::default() };
    writer.share(message.into());
    writer.finish()
}

/// Lengths of one resource's entry in a response.
struct Entry {
    /// Length of the `Any`.
    any: usize,
    /// Length of the whole entry; in state of the world it is the `Any`.
    all: usize,
    version: Option<String>,
}

impl Entry {
    fn list(resource: &Resource, type_url: &str) -> Self {
        let any = text_len(type_url) + field_len(resource.body.len());
        Self { any, all: any, version: None }
    }

    fn delta(resource: &Resource, type_url: &str) -> Self {
        let any = Self::list(resource, type_url).any;
        let version = resource.version.to_string();
        let all = field_len(any) + text_len(&version) + text_len(&resource.name);
        Self { any, all, version: Some(version) }
    }
}

/// Length of a field with a number below 16 and a value of `len` bytes.
fn field_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

/// Length of a text field; an empty text is not written.
fn text_len(text: &str) -> usize {
    if text.is_empty() { 0 } else { field_len(text.len()) }
}

/// Writes the response's own bytes into one buffer and notes where the shared ones go in between.
struct Writer {
    own: BytesMut,
    segments: Segments,
}

impl Writer {
    fn start(response: &Response, entry: impl Fn(&Resource) -> Entry) -> Self {
        let names = response.resources.iter().map(|resource| resource.name.len());
        let own = names.map(|name| name + response.type_url.len() + ENTRY).sum::<usize>();
        let own = BytesMut::with_capacity(own + response.type_url.len() + ENTRY);
        let mut writer = Self { own, segments: Segments::default() };
        writer.text(field::VERSION, &response.version.to_string());
        writer.text(field::TYPE_URL, &response.type_url);
        writer.text(field::NONCE, &response.nonce);
        for resource in &response.resources {
            writer.resource(resource, &entry(resource), &response.type_url);
        }
        writer
    }

    /// The message with its length before it.
    fn finish(mut self) -> Segments {
        self.segments.push(self.own.freeze());
        let mut prefix = BytesMut::with_capacity(PREFIX);
        prefix.put_u8(0);
        prefix.put_u32(u32::try_from(self.segments.len).unwrap_or(u32::MAX));
        self.segments.len += PREFIX;
        self.segments.pieces.push_front(prefix.freeze());
        self.segments
    }

    fn resource(&mut self, resource: &Resource, entry: &Entry, type_url: &str) {
        self.header(field::RESOURCES, entry.all);
        if let Some(version) = &entry.version {
            self.text(field::RESOURCE_VERSION, version);
            self.text(field::RESOURCE_NAME, &resource.name);
            self.header(field::RESOURCE_ANY, entry.any);
        }
        self.text(field::ANY_TYPE_URL, type_url);
        self.header(field::ANY_VALUE, resource.body.len());
        for chunk in resource.body.chunks() {
            self.share(chunk.clone());
        }
    }

    fn header(&mut self, field: u32, len: usize) {
        encode_key(field, WireType::LengthDelimited, &mut self.own);
        encode_varint(len as u64, &mut self.own);
    }

    fn text(&mut self, field: u32, text: &str) {
        if text.is_empty() {
            return;
        }
        self.header(field, text.len());
        self.own.put_slice(text.as_bytes());
    }

    fn share(&mut self, chunk: Bytes) {
        let own = self.own.split().freeze();
        self.segments.push(own);
        self.segments.push(chunk);
    }
}
