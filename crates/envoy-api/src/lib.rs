//! Envoy's API for the rest of Pilothouse: what a resource is, its bytes, its version, its type URL.
//!
//! Generated Envoy types are made at build time and are plain data; nothing here decides what a proxy gets.

mod resource;
pub mod type_url;

pub use resource::{Body, Name, Needs, Part, Resource, Version};
