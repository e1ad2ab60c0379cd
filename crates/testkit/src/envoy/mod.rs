//! A real Envoy as judge: everything that we make is put to `envoy --mode validate`.

mod bootstrap;
mod run;
pub mod stock;

pub use bootstrap::bootstrap;
pub use run::{Envoy, judge};
