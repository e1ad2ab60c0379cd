//! A resource: a name, a version, bytes, and the names that must be known before it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use smallvec::SmallVec;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The name of a resource, shared between the sets, streams and answers that mention it.
pub type Name = Arc<str>;

/// The content hash of a resource; at most 11 characters as text, since a reconnecting client
/// names the versions of everything it holds in one request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.to_be_bytes()))
    }
}

impl FromStr for Version {
    type Err = NoVersion;

    /// The version that is written this way; another server's versions are an error.
    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoVersion)?;
        Ok(Self(u64::from_be_bytes(bytes.try_into().map_err(|_| NoVersion)?)))
    }
}

/// A text that is not a version of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoVersion;

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A shared piece of a resource's encoding with the hash of its bytes.
///
/// A piece that repeats inside a larger message keeps the framing it has there, so that thousands of them
/// are put together without a copy.
#[derive(Clone, Debug)]
pub struct Part {
    framed: Bytes,
    frame_len: usize,
    hash: u64,
}

impl Part {
    /// A part of these bytes.
    pub fn new(bytes: Bytes) -> Self {
        let hash = xxh3_64(&bytes);
        Self { framed: bytes, frame_len: 0, hash }
    }

    /// A message, encoded.
    pub fn of(message: &impl Message) -> Self {
        Self::new(message.encode_to_vec().into())
    }

    /// A message, encoded as one value of the parent's repeated field of this number.
    pub fn field(number: u32, message: &impl Message) -> Self {
        let len = message.encoded_len();
        let mut framed = BytesMut::with_capacity(prefix_len(number, len) + len);
        put_prefix(number, len, &mut framed);
        let frame_len = framed.len();
        // Cannot fail: `BytesMut` grows.
        let _ = message.encode(&mut framed);
        let hash = xxh3_64(framed.get(frame_len..).unwrap_or_default());
        Self { framed: framed.freeze(), frame_len, hash }
    }

    /// As [`Part::field`], for a message without its repeated field `inner`, and the values of that field
    /// as parts made for it.
    pub fn field_with<'a>(
        number: u32,
        head: &impl Message,
        inner: u32,
        parts: impl Iterator<Item = &'a Self> + Clone,
    ) -> Self {
        let inner_len = |part: &Self| prefix_len(inner, part.len()) + part.len();
        let len = head.encoded_len() + parts.clone().map(inner_len).sum::<usize>();
        let mut framed = BytesMut::with_capacity(prefix_len(number, len) + len);
        put_prefix(number, len, &mut framed);
        let frame_len = framed.len();
        // Cannot fail: `BytesMut` grows.
        let _ = head.encode(&mut framed);
        for part in parts {
            put_prefix(inner, part.len(), &mut framed);
            framed.extend_from_slice(part.framed.get(part.frame_len..).unwrap_or_default());
        }
        let hash = xxh3_64(framed.get(frame_len..).unwrap_or_default());
        Self { framed: framed.freeze(), frame_len, hash }
    }

    /// The encoded message.
    pub fn bytes(&self) -> Bytes {
        self.framed.slice(self.frame_len..)
    }

    /// The hash of the encoded message.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The length of the encoded message.
    fn len(&self) -> usize {
        self.framed.len() - self.frame_len
    }

    /// The chunk that puts this part into its parent's field, framed anew only if it was not made for that field.
    fn as_field(&self, number: u32) -> Bytes {
        let len = self.len();
        let mut room = [0; LONGEST_PREFIX];
        let mut left = &mut room[..];
        put_prefix(number, len, &mut left);
        let written = LONGEST_PREFIX - left.len();
        let prefix = room.get(..written).unwrap_or_default();
        if self.framed.get(..self.frame_len) == Some(prefix) {
            return self.framed.clone();
        }
        [prefix, self.framed.get(self.frame_len..).unwrap_or_default()].concat().into()
    }
}

impl PartialEq for Part {
    /// The same message, however it is framed.
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.bytes() == other.bytes()
    }
}

impl Eq for Part {}

/// Two varints, the first of a field's number and the second of a length.
const LONGEST_PREFIX: usize = 5 + 10;

/// Writes what stands before a value of `len` bytes in a length-delimited field.
fn put_prefix(number: u32, len: usize, out: &mut impl BufMut) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(len as u64, out);
}

fn prefix_len(number: u32, len: usize) -> usize {
    key_len(number) + encoded_len_varint(len as u64)
}

/// The encoded message as a list of shared chunks; written one after the other they are the message.
#[derive(Clone, Debug, Default)]
pub struct Body {
    chunks: SmallVec<[Bytes; 1]>,
    len: usize,
}

impl Body {
    fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.len += chunk.len();
            self.chunks.push(chunk);
        }
    }

    /// The chunks in order.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// The length of the message in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the message has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The message in one piece; copies if there is more than one chunk.
    pub fn to_bytes(&self) -> Bytes {
        match self.chunks.as_slice() {
            [one] => one.clone(),
            many => many.concat().into(),
        }
    }
}

/// What a client must know before it is given a resource, or before it can use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Clusters that a route or listener sends traffic to.
    pub clusters: Arc<[Name]>,
    /// Route configurations that a listener asks for.
    pub routes: Arc<[Name]>,
    /// Whether a cluster asks for its endpoints; others find them by themselves.
    pub endpoints: bool,
}

/// One resource as every proxy that shares it receives it.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name, unique within its type.
    pub name: Name,
    /// The hash of its content.
    pub version: Version,
    /// The encoded message, without the `Any` around it.
    pub body: Body,
    /// What must be known first.
    pub needs: Needs,
}

impl Resource {
    /// A resource that is one message.
    pub fn of(name: Name, message: &impl Message, needs: Needs) -> Self {
        Self::from_parts(name, [Part::of(message)], needs)
    }

    /// A resource of a message without its repeated field `number`, and the values of that field in order.
    ///
    /// Parts made by [`Part::field`] for this number are shared as they are. The field follows the rest of the
    /// message, which is no matter to a decoder and always the same here.
    pub fn with_parts(name: Name, head: &impl Message, number: u32, parts: &[Part], needs: Needs) -> Self {
        let head = Part::of(head);
        let mut hasher = Xxh3::new();
        hasher.update(&head.hash.to_le_bytes());
        let mut body = Body::default();
        body.push(head.framed);
        for part in parts {
            hasher.update(&part.hash.to_le_bytes());
            body.push(part.as_field(number));
        }
        Self { name, version: Version(hasher.digest()), body, needs }
    }

    /// A resource made of shared parts, in order; the version is a hash over the parts' hashes.
    pub fn from_parts(name: Name, parts: impl IntoIterator<Item = Part>, needs: Needs) -> Self {
        let mut hasher = Xxh3::new();
        let mut body = Body::default();
        for part in parts {
            hasher.update(&part.hash.to_le_bytes());
            body.push(part.bytes());
        }
        Self { name, version: Version(hasher.digest()), body, needs }
    }
}

impl PartialEq for Resource {
    /// Equal name and content; what it needs follows from the content.
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version && self.name == other.name
    }
}

impl Eq for Resource {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envoy::config::route::v3::{RouteConfiguration, VirtualHost};
    use crate::field::VIRTUAL_HOSTS;

    #[test]
    fn a_version_is_eleven_characters_and_follows_the_content() {
        let one = Resource::from_parts("a".into(), [Part::new(Bytes::from_static(b"x"))], Needs::default());
        let two = Resource::from_parts("a".into(), [Part::new(Bytes::from_static(b"y"))], Needs::default());
        assert_eq!(one.version.to_string().len(), 11);
        assert_ne!(one, two);
        assert_eq!(one.version.to_string().parse(), Ok(one.version));
        assert_eq!("2026-11-24T08:00:00Z/1".parse::<Version>(), Err(NoVersion));
        assert_eq!(one.body.to_bytes().as_ref(), b"x");
    }

    #[test]
    fn parts_follow_the_head_framed_for_their_field() {
        let host = VirtualHost { name: "h".into(), domains: vec!["*".into()], ..Default::default() };
        let head = RouteConfiguration { name: "80".into(), ..Default::default() };
        let whole = RouteConfiguration { virtual_hosts: vec![Part::of(&host).bytes(); 2], ..head.clone() };
        let framed = Part::field(VIRTUAL_HOSTS, &host);
        let parts = [framed.clone(), Part::of(&host)];
        let resource = Resource::with_parts("80".into(), &head, VIRTUAL_HOSTS, &parts, Needs::default());
        assert_eq!(resource.body.to_bytes(), whole.encode_to_vec());
        assert_eq!(resource.body.chunks()[1].as_ptr(), framed.framed.as_ptr(), "shared, not copied");
        assert_eq!(parts[0], parts[1]);
    }
}
