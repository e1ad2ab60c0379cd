//! Where configuration comes from: files, or a cluster's API server, into [`model::Change`]s.
//!
//! ```text
//!   folder ──notify──> watch ──walk, texts──> Folder::update ──> Vec<Change> ──channel──> push
//!                                               │ documents → parse_object → winners by key
//!   API server ──list, watch──> kube ──objects → parse_object──> Vec<Change> ──channel──> push
//! ```
//!
//! Nothing here knows what the objects mean.

mod compare;
mod documents;
mod file_problem;
mod folder;
pub mod kube;
mod links;
mod mesh_file;
mod notices;
mod pod_slices;
mod reading;
mod spans;
mod stamps;
mod walk;
mod watch;
mod watch_file;
mod yaml;

pub use file_problem::{FileProblem, Seen};
pub use folder::{File, Folder};
pub use mesh_file::MeshFile;
pub use watch::{Files, WatchError, read_folder, watch};
pub use watch_file::{MeshText, watch_file};
pub use yaml::yaml;
