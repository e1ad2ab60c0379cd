//! Kinds of the group `security.istio.io`.

mod peer_authentication;

pub use peer_authentication::*;
