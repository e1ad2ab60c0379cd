//! The families of the corpora that are judged here, one module each.

pub mod consumers;
pub mod inject;
pub mod install;
pub mod nodes;
pub mod scope;
pub mod simulation;
pub mod tables;
