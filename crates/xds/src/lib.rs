//! The discovery protocol (xDS) over gRPC, delta and state of the world from one implementation.
//!
//! A proxy is served a [`View`]: by type URL, sets of resources that it shares with other proxies. This crate
//! knows a resource as name, version, bytes and the names that it needs first; it neither makes resources nor
//! reads them, and it never looks at a credential.

mod set;
mod view;

pub use set::{Change, Changes, Set};
pub use view::{Kind, Missing, TypeView, View};
