//! Messages by descriptor: every type of Envoy's API and of our own protos, also those without a Rust type.

mod encode;

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, MessageDescriptor};

pub use encode::encode;

/// The stripped descriptor set, written by the build script.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Built on first use: it takes tens of milliseconds and some 20 MiB, and plain serving needs none of it.
static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap_or_default());

/// The encoded descriptor set, for services that tell their clients what they speak.
pub fn descriptors() -> &'static [u8] {
    DESCRIPTORS
}

/// All known message types.
pub fn pool() -> &'static DescriptorPool {
    &POOL
}

/// The type that a type URL, or a full name, stands for.
pub fn descriptor(type_url: &str) -> Option<MessageDescriptor> {
    let name = type_url.rsplit('/').next().unwrap_or(type_url);
    POOL.get_message_by_name(name)
}
