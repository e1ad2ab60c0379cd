//! Whatever writes to the cluster, except the certificate authority's own secret.
//!
//! ```text
//!   watches of objects ─┐
//!   snapshots, roots  ──┼─News──> Controller ──Write { key, edit }──> Store: read, edit, write; again after a conflict
//!   Lock: who leads  ───┘        state ─> decision                      │
//!                                   ^────────── as it is now ───────────┘
//! ```
//!
//! Nothing here decides what proxies are sent; nothing here keeps a state that a restart would miss. Nothing is written by the
//! clock but who leads: where all is as it should be, nothing happens.

mod error;
mod gateways;
mod leader;
mod pace;
mod roots;
mod start;
mod stats;
mod store;
pub mod tags;
mod trouble;
mod watching;
mod webhooks;
mod work;

#[cfg(test)]
mod testing;

pub use error::Error;
pub use start::{Inputs, Options, serve};
pub use stats::{Counted, Labels, Stats};
