//! The measure of fidelity: our resources against the answers recorded from istiod (corpus `xds-golden`).

pub mod case;
pub mod compare;
pub mod group;
pub mod judge;
pub mod path;
pub mod report;

pub use case::{Filter, Set};
pub use compare::{Difference, Kind};
pub use judge::{FileVerdict, Finding, Scoreboard, judge};
