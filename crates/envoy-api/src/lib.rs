//! Envoy's API for the rest of Pilothouse: what a resource is, its bytes, its version, its type URL.
//!
//! Generated Envoy types are made at build time and are plain data; nothing here decides what a proxy gets.
//! Three repeated fields are bytes in the generated types, see [`mod@field`]: their messages are encoded on their
//! own and shared.

mod any;
pub mod field;
mod generated;
pub mod json;
pub mod reflect;
mod resource;
pub mod type_url;

pub use any::Any;
pub use generated::*;
pub use resource::{Body, Name, Needs, NoVersion, Part, Resource, Version};
