//! Whatever writes to the cluster, except the certificate authority's own secret.
//!
//! Nothing here decides what proxies are sent; nothing here keeps a state that a restart would miss.

pub mod tags;
