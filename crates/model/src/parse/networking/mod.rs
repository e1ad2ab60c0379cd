//! Istio's networking and authentication kinds.
//!
//! Each file has one `parse_<kind>(meta, spec, context, problems) -> Option<Value>`; `spec` is the API
//! type as decoded.

use serde_json::Value as Json;

use super::{Context, decode};
use crate::key::Meta;
use crate::{Kind, Problem, Value};

/// The value of an Istio object; `None` if it is of another kind or of no use.
pub(crate) fn parse(
    meta: &Meta,
    object: &Json,
    context: &Context,
    problems: &mut Vec<Problem>,
) -> Option<Value> {
    let _ = (context, decode::<Json>(object, "", &meta.key, problems));
    match meta.key.kind {
        Kind::VirtualService => None,
        _ => None,
    }
}
