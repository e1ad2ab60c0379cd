//! What Pilothouse talks about, parsed and checked: after parsing there is nothing left to check.
//!
//! API objects end here ([`parse`]); no other crate above sees them. Everything is plain data with
//! value equality, so that an edit which changes nothing is seen as no change.

pub mod change;
pub mod endpoint;
pub mod host;
pub mod key;
pub mod kube;
pub mod labels;
pub mod mesh_config;
pub mod networking;
pub mod number;
pub mod parse;
pub mod problem;
pub mod protocol;
pub mod proxy;
pub mod proxy_config;
pub mod revision;
pub mod service;
pub mod settings;
pub mod spelling;

use std::sync::Arc;

/// A piece of shared, immutable text: names, namespaces, addresses.
pub type Text = Arc<str>;

pub use change::{Caller, Change, Origin, Value};
pub use endpoint::{Endpoint, Health, TlsMode};
pub use host::Host;
pub use key::{Created, Key, Kind};
pub use labels::Labels;
pub use number::{Decimal, Millionths};
pub use problem::{Problem, Severity};
pub use protocol::Protocol;
pub use proxy::{Proxy, ProxyKind};
pub use revision::Revision;
pub use service::{Registry, Resolution, Service, ServicePort};
