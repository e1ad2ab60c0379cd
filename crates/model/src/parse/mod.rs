//! API objects into the model: `parse_*` functions, one file per kind.
//!
//! Pure code does not fail: an object gives a value, or none, and problems. A bad part is left out (or
//! stays as something that fails visibly) with a problem that names its field; only an object of which
//! nothing can be used gives no value.

mod decode;
mod kube;
mod mesh_config;
mod networking;
mod object;
mod providers;
pub mod proxy;
mod proxy_config;
mod substitution;

pub use decode::decode;
pub use mesh_config::{mesh_as_json, parse_mesh_config, parse_mesh_layers};
pub use object::{Parsed, is_read_annotation, parse_object, unread};

use crate::Text;

/// What parsing needs to know beside the object.
#[derive(Clone, Debug)]
pub struct Context {
    /// The cluster that the object is of.
    pub cluster: Text,
    /// The DNS suffix of Kubernetes services.
    pub domain: Text,
}
