//! Reading JSON as Go's jsonpb does, which istiod reads every object with.
//!
//! | input | meaning |
//! |---|---|
//! | a field by its JSON name or its message name | the same; if both stand there, the JSON name counts |
//! | `null` | absent; in a list or a map, the zero value |
//! | a number in quotes | the number |
//! | an integral float (`8080.0`, `1e3`) where an integer is due | the integer, as the way through YAML and the API server makes it |
//! | an enum's name or number | the value |
//! | a duration | Go's form: `1m`, `8ms`, `1h30m`, `1.5s`, `-1s` |
//! | a number where text is due, text where a truth value is due, a single value where a list is due | an error |
//! | an unknown field | ignored, and visible to `serde_ignored` |
//!
//! One thing is stricter: a number that names no value of an enum is an error here, because no
//! reader could do anything with it.
//!
//! Errors begin with the path of the field that they are about.

mod duration;
mod message;
mod scalar;

pub use duration::{Duration, DurationError};
pub use message::{Lenient, Message, overlay};
pub use scalar::{Blob, Enumeration, MapKey};

pub(crate) use message::{enumerations, messages, next_into, proto_name, read_message, read_whole};
pub(crate) use scalar::read_enumeration;

#[cfg(test)]
mod tests;
