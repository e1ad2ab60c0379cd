//! ControlZ: log levels and what the process is like, for who can reach its port (istiod-surface 10.5).

mod process;
mod scopes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{Path, State as Shown};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::Build;

pub use scopes::{LEVELS, Scope, Scopes};

/// What ControlZ shows and changes; a clone is a handle.
#[derive(Clone)]
pub struct Control {
    /// Which program this is.
    pub build: Build,
    /// The scopes of log lines.
    pub scopes: Arc<dyn Scopes>,
    /// The words that the process was started with.
    pub arguments: Vec<String>,
    /// Its environment, ordered by name.
    pub environment: Vec<(String, String)>,
    /// Ends the process.
    pub end: Arc<dyn Fn() + Send + Sync>,
}

/// The word in the path, the title, what is shown.
type Topic = (&'static str, &'static str, fn(&Control) -> Value);

const TOPICS: [Topic; 7] = [
    ("scope", "Logging Scopes", scopes::all),
    ("mem", "Memory Usage", |_| process::memory()),
    ("env", "Environment Variables", environment),
    ("proc", "Process Info", |_| process::process()),
    ("arg", "Command-Line Arguments", |control| json!(control.arguments)),
    ("version", "Version Info", |control| version(&control.build)),
    ("home", "Home", |control| process::home(&control.arguments)),
];

/// The pages: `/<topic>j/` is JSON, `/<topic>z/` the same for people. Serve it on loopback: there are no questions asked.
pub fn control_router(control: Control) -> Router {
    Router::new()
        .route("/", get(|| async { page("ControlZ", "") }))
        .route("/scopej/{name}", get(scopes::one).put(scopes::change))
        .route("/memj/forcecollection", put(|| async { StatusCode::ACCEPTED }))
        .route("/homej/exit", put(end))
        .route("/{topic}", get(topic))
        .route("/{topic}/", get(topic))
        .with_state(control)
}

async fn topic(Shown(control): Shown<Control>, Path(word): Path<String>) -> Response {
    let find =
        |end: char| word.strip_suffix(end).and_then(|name| TOPICS.iter().find(|(one, ..)| *one == name));
    if let Some((_, _, show)) = find('j') {
        return Json(show(&control)).into_response();
    }
    match find('z') {
        Some((_, title, show)) => page(title, &format!("{:#}", show(&control))).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Answers first and ends a moment later, as istiod does.
async fn end(Shown(control): Shown<Control>) -> StatusCode {
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        tracing::info!("ending, as ControlZ was asked to");
        (control.end)();
    });
    StatusCode::ACCEPTED
}

fn page(title: &str, text: &str) -> Html<String> {
    let links = TOPICS.iter().map(|(word, title, _)| format!("<a href=\"/{word}z/\">{title}</a> "));
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    Html(format!(
        "<!doctype html>\n<html><head><title>{title}</title></head><body>\n<p>{}</p>\n<h1>{title}</h1>\n\
         <pre>{text}</pre>\n</body></html>\n",
        links.collect::<String>()
    ))
}

fn version(build: &Build) -> Value {
    json!({
        "version": build.version,
        "revision": build.revision,
        "golang_version": "",
        "status": build.status,
        "tag": build.version,
    })
}

/// Words in the names of variables whose values are nobody's business.
const SECRET: [&str; 4] = ["TOKEN", "SECRET", "PASSWORD", "KEY"];

fn environment(control: &Control) -> Value {
    let one = |(name, value): &(String, String)| {
        let is_secret = SECRET.iter().any(|word| name.to_ascii_uppercase().contains(word));
        json!({"name": name, "value": if is_secret { "[redacted]" } else { value }})
    };
    control.environment.iter().map(one).collect()
}
