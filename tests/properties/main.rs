//! What holds for every mesh and every way to it, over the whole way from files to what proxies are sent.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do"
)]

mod clients;
mod facts;
mod house;
mod networking;
mod objects;
mod pace;
mod sequences;
mod stream;
