//! Where configuration comes from: files into [`model::Change`]s.
//!
//! ```text
//!   folder ──notify──> Watch ──> Folder::reread(paths) ──> Vec<Change> ──channel──> push
//!                                  │ documents → parse_object → winners by key
//! ```
//!
//! A second source, Kubernetes watches, will stand beside the folder with the same output.

mod documents;
mod folder;
mod pod_slices;
mod spans;
mod watch;

pub use documents::{Document, yaml};
pub use folder::{File, Folder};
pub use watch::{WatchError, read_folder, watch, watch_file};
