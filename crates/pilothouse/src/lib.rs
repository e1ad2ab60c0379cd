//! Pilothouse: flags, wiring, ports and shutdown; everything that decides anything is in the crates below.

pub mod offline;
pub mod settings;
