//! The discovery protocol (xDS) over gRPC, delta and state of the world from one implementation.
//!
//! A proxy is served a [`View`]: by type URL, sets of resources that it shares with other proxies. This crate
//! knows a resource as name, version, bytes and the names that it needs first; it neither makes resources nor
//! reads them, and it never looks at a credential.

mod body;
mod connections;
mod farewell;
mod held;
mod hooks;
mod inbound;
mod interest;
mod names;
mod order;
mod rate;
mod request;
mod segments;
mod server;
mod service;
mod session;
mod set;
mod side;
mod stats;
mod stream;
mod subscription;
mod throttle;
mod view;
mod warming;

pub use body::Body;
pub use connections::{ConnectionStatus, Connections, Mark, TypeStatus, Who};
pub use hooks::{Answer, Connection, Hello, Hooks, Link, Planned, Question};
pub use interest::{Interest, WILDCARD, Wish};
pub use names::Names;
pub use order::{LABELS, label_of};
pub use request::{Asks, Request, decode_delta, decode_list};
pub use segments::{Segments, encode_delta, encode_list};
pub use server::{Handshake, Keep, Look, Plain, Tls, serve};
pub use service::{Closing, Config, Discovery, Peer, SERVICE};
pub use session::{Excess, Limits, Response, Session};
pub use set::{Change, Changes, Set};
pub use side::{Health, side_services};
pub use stats::{Histogram, PUSH_SECONDS, SECONDS, SEND_SECONDS, SIZES, Stats, TypeStats};
pub use subscription::{Decision, Difference, Subscription, Waits};
pub use view::{Kind, Missing, TypeView, View};
