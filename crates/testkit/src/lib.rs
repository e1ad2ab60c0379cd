//! Test support: what judges Pilothouse, and nothing of Pilothouse itself.
//!
//! The product is handed in as a closure from [`offline::Request`] to [`offline::Answer`]; everything here
//! reads a corpus case, asks that closure, and says whether the answer is right:
//!
//! ```text
//!   corpus case --> Request --> product --> Answer --+--> golden    equal to the recorded answer?
//!                                                    +--> simulate  does a call arrive where it should?
//!                                                    +--> envoy     does a real Envoy accept it?
//! ```
//!
//! Verdicts meet the lists of expected failures in [`verdict`]. Nothing here prints or reads the environment:
//! the caller passes settings in and writes the text that comes back.
//!
//! For a living mesh there are an application to put behind proxies ([`bookinfo`]), traffic that is measured
//! ([`load`]), the processes around them ([`processes`], [`proxy`]), and their certificates ([`secrets`]); for a
//! mesh in Kubernetes, a cluster with a kubelet of its own (`cluster`, a feature), and what agents ask for over TLS (`agent`, of the same).

#[cfg(feature = "cluster")]
pub mod agent;
pub mod bookinfo;
pub mod calls;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod corpus;
pub mod echo;
pub mod envoy;
pub mod family;
pub mod golden;
pub mod load;
pub mod offline;
pub mod processes;
pub mod proxy;
pub mod random;
pub mod secrets;
pub mod simulate;
pub mod suite;
pub mod verdict;
