//! The object types of Istio's API, as serde structs, and its wire messages.
//!
//! A type here mirrors one published message: its fields have the published names, and hold what
//! the object says, no more. Nothing is checked but the shape: whether a port is in range, a host
//! is a host or two fields exclude each other is for the reader (`model`) to decide. Members of a
//! `oneof` are therefore plain optional fields.
//!
//! Reading is as lenient as Go's jsonpb, which istiod uses; see [`leniency`]. Unknown fields are
//! ignored and can be found with `serde_ignored`. Wrong types are errors that begin with the path of
//! the field (`http[0].retries.perTryTimeout: …`). Output is proto3 JSON: camelCase, and what is
//! unset or zero is left out.
//!
//! All versions of a kind (`v1`, `v1beta1`, `v1alpha3`) share one struct, as they have one schema.
//! Istio's custom resource definitions declare no structural defaults, so an object from an API
//! server and the same object from a file read alike; defaults are the reader's.

mod field;
pub mod leniency;
pub mod mesh;
pub mod networking;
pub mod security;
pub mod selector;
pub mod wire;
