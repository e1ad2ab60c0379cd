//! The configuration of a mesh, which istiod reads from a file or a ConfigMap.

mod extension_provider;
mod mesh_config;
mod networks;
mod overlay;
mod proxy_config;
mod proxy_headers;
mod tracing;

pub use extension_provider::*;
pub use mesh_config::*;
pub use networks::*;
pub use proxy_config::*;
pub use proxy_headers::*;
pub use tracing::*;
