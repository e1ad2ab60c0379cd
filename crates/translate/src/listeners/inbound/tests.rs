//! Tests of inbound listeners.
