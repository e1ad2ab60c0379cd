//! TLS contexts and where their secrets come from; used by clusters and by listeners.
