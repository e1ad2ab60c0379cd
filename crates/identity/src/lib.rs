//! Who is calling, and certificates for those who may have them.
//!
//! ```text
//!   ./etc/cacerts ─┐                                ┌─> Serving: TLS of our own ports, clients' certificates verified
//!   istio-ca-secret├─ Keeper ──> Authority (newest) ┼─> Issuer ──> Certificates (gRPC)
//!   new root ──────┘                                └─> roots() ──> istio-ca-root-cert, caBundle
//!
//!   certificate or token ──> Authenticator ──> Caller ──> Guard: discovery streams
//! ```
//!
//! Private keys do not leave this crate; our own copies of them are cleared after use, and neither they nor tokens
//! print. What a caller may have beyond a certificate in their own name, others decide.

mod authenticate;
mod authority;
mod certificate;
mod der;
mod error;
mod folder;
mod issue;
mod key;
mod peer;
mod pem;
mod request;
mod root;
mod secret;
mod service;
mod serving;
mod shown;
mod signatures;
mod signer;
pub mod spiffe;
mod stats;
mod template;
mod token;

pub use authenticate::{Authenticator, Guard};
pub use authority::{Authority, Keeper, Places, RootRules};
pub use error::{Broken, Error};
pub use issue::{Issuer, Lifetimes};
pub use kube::Client;
pub use peer::known;
pub use service::Certificates;
pub use serving::{Mesh, Renewal, Serving, Showing, Stand};
pub use stats::{Refused, Stats};
pub use token::{Account, Ask, Doubt, Reviews, Token, ask_cluster};
