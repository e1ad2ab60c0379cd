//! A little application of four services that call each other, to be put behind proxies.
//!
//! ```text
//!   productpage --+--> details
//!                 +--> reviews v1 (no stars)
//!                      reviews v2 (black stars), v3 (red stars) --> ratings
//! ```
//!
//! Every call between services goes to the caller's own proxy, with the name of the service as `Host`, and
//! carries on the headers that tell who asks and which request it belongs to. The shape and the paths are those
//! of Istio's sample of the same name, so that its configuration applies; the program is our own.

pub mod edits;
mod page;
pub mod pods;
mod reviews;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::calls::Client;

/// One service, as one workload runs it.
#[derive(Debug, Clone)]
pub struct App {
    /// Which of the four.
    pub service: Service,
    /// `v1`, `v2` …; only reviews differ by it.
    pub version: String,
    /// The outbound listener of its proxy.
    pub outbound: SocketAddr,
}

/// The four services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The page that people see.
    Productpage,
    /// Facts about the book.
    Details,
    /// What readers say, with stars or without.
    Reviews,
    /// The stars.
    Ratings,
}

impl std::str::FromStr for Service {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "productpage" => Ok(Self::Productpage),
            "details" => Ok(Self::Details),
            "reviews" => Ok(Self::Reviews),
            "ratings" => Ok(Self::Ratings),
            other => Err(format!("no such service: {other}")),
        }
    }
}

/// The port by which services are called, at the proxy.
const SERVICE_PORT: u16 = 9080;

/// How long a service waits for another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Headers that a service hands on with the calls it makes for a request.
const HANDED_ON: &[&str] = &[
    "x-request-id",
    "end-user",
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
];

/// What a handler knows of the workload that it runs in.
struct Workload {
    app: App,
    client: Client,
}

impl App {
    /// Serves on a listener until the task is dropped.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let router = self.router();
        let listener = listener.tap_io(|connection| {
            // Only a slower answer is lost if the kernel refuses.
            let _ = connection.set_nodelay(true);
        });
        axum::serve(listener, router).await
    }

    fn router(self) -> Router {
        let service = self.service;
        let workload = Arc::new(Workload { app: self, client: Client::new(PATIENCE) });
        let router = Router::new().route("/health", get(async || "healthy\n"));
        match service {
            Service::Productpage => page::add(router),
            Service::Details => router.route("/details/{id}", get(details)),
            Service::Reviews => reviews::add(router),
            Service::Ratings => router.route("/ratings/{id}", get(ratings)),
        }
        .with_state(workload)
    }
}

impl Workload {
    /// Calls a service through the proxy, for somebody's request.
    async fn call(&self, service: &str, path: &str, asked: &HeaderMap) -> Result<Value, String> {
        let mut headers = crate::calls::headers(&format!("{service}:{SERVICE_PORT}"), None);
        for name in HANDED_ON {
            if let Some(value) = asked.get(*name) {
                headers.insert(*name, value.clone());
            }
        }
        let answer = self.client.get(self.app.outbound, path, &headers).await.map_err(|e| e.to_string())?;
        if !answer.status.is_success() {
            return Err(format!("{service} answered {}", answer.status.as_u16()));
        }
        serde_json::from_slice(&answer.body).map_err(|error| format!("{service} spoke no JSON: {error}"))
    }
}

async fn details(Path(id): Path<u32>) -> Json<Value> {
    Json(json!({
        "id": id, "author": "William Shakespeare", "year": 1595, "type": "paperback",
        "pages": 200, "publisher": "The First Folio", "language": "English",
    }))
}

async fn ratings(Path(id): Path<u32>) -> Json<Value> {
    Json(json!({ "id": id, "ratings": { "Antipholus": 5, "Dromio": 4 } }))
}
