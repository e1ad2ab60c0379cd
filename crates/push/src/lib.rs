//! Joins snapshots to streams: changes in, views out.
//!
//! ```text
//!   changes ──> Engine (a thread): Config ──> Snapshot ──> Planner: member ──> sets ──> View
//!                 coalesces storms                          │ one entry per scope and profile
//!   streams <── newest view only ───────────────────────────┘
//! ```
//!
//! [`Planner`] is plain data and no task: the same view that a stream is served can be had offline.

mod engine;
mod family;
mod hooks;
mod node;
mod pace;
mod planner;
mod route_sets;
mod stats;
mod touched;
mod wishes;

pub use engine::{Command, Engine, Handle, Inbox};
pub use hooks::{Discovery, Inspect};
pub use node::{announced, member, proxy};
pub use pace::{Limits, Pace};
pub use planner::{Counts, Planner, Seat, Wanted};
pub use stats::{Event, Stats};
