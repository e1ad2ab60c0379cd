//! Scopes of log lines, shown and changed as `istioctl admin log` does it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Shown};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Control;

/// The levels by istiod's names, the most talkative first.
pub const LEVELS: [&str; 6] = ["debug", "info", "warn", "error", "fatal", "none"];

/// A scope of log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// istiod's name.
    pub name: &'static str,
    /// What its lines are about.
    pub description: &'static str,
    /// From which level on they are written: one of [`LEVELS`].
    pub level: &'static str,
}

/// Whoever writes the log lines.
pub trait Scopes: Send + Sync {
    /// All scopes, ordered by name.
    fn all(&self) -> Vec<Scope>;

    /// Has the lines of a scope written from this level on; it may be called by any of its names. Whether there
    /// is such a scope.
    fn set(&self, name: &str, level: &'static str) -> bool;
}

pub(super) fn all(control: &Control) -> Value {
    control.scopes.all().iter().map(shown).collect()
}

/// Stack traces and callers are not written here; the fields are there for who reads them.
fn shown(scope: &Scope) -> Value {
    json!({
        "name": scope.name,
        "description": scope.description,
        "output_level": scope.level,
        "stack_trace_level": "none",
        "log_callers": false,
    })
}

pub(super) async fn one(Shown(control): Shown<Control>, Path(name): Path<String>) -> Response {
    match find(&control, &name) {
        Some(scope) => Json(shown(&scope)).into_response(),
        None => unknown(&name),
    }
}

/// Takes `output_level`, if it is a level; the rest of what istioctl sends has no effect here.
pub(super) async fn change(
    Shown(control): Shown<Control>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let wanted: Value = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => return refused(format!("unable to decode request: {error}")),
    };
    let level = wanted["output_level"].as_str();
    let is_known = match level.and_then(|level| LEVELS.into_iter().find(|known| *known == level)) {
        Some(level) => control.scopes.set(&name, level),
        None => find(&control, &name).is_some(),
    };
    if is_known { StatusCode::ACCEPTED.into_response() } else { unknown(&name) }
}

fn find(control: &Control, name: &str) -> Option<Scope> {
    control.scopes.all().into_iter().find(|scope| scope.name == name)
}

fn unknown(name: &str) -> Response {
    refused(format!("unknown scope name: {name}"))
}

fn refused(error: String) -> Response {
    (StatusCode::BAD_REQUEST, error).into_response()
}
