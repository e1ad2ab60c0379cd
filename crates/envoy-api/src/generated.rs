//! Envoy's messages as Rust types, written by the build script.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    rustdoc::all,
    reason = "generated code has the API's own names and shapes"
)]

include!(concat!(env!("OUT_DIR"), "/types.rs"));
