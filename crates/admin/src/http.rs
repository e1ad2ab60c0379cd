//! The pages over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, RawQuery, State as Shown};
use axum::http::{Extensions, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};

use crate::State;
use crate::debug::{self, Query, Refusal};
use crate::metrics::{self, Remembered};

/// The pages of both HTTP ports: `/ready`, `/version`, `/metrics`, `/debug` and what is below it.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: debug pages are for loopback peers, a peer
/// that is not known is none, and for those of whom a layer in front has put a [`model::Caller`] into the request.
pub fn router(state: State) -> Router {
    let pages = Router::new()
        .route("/debug", any(index))
        .route("/debug/", any(index))
        .route("/debug/{*page}", any(page));
    let pages = if state.access.over_http { pages } else { Router::new() };
    let remembered = Arc::<Remembered>::default();
    let router = Router::new()
        .route("/ready", any(ready))
        .route("/version", any(version))
        .route("/metrics", get(move |state| show_metrics(state, Arc::clone(&remembered))));
    router.merge(pages).with_state(state)
}

/// 200 once proxies are served and every part is ready, else 503 (istiod-surface 1.7); here with what there is to
/// know about it, a line each.
async fn ready(Shown(state): Shown<State>) -> (StatusCode, String) {
    let (is_ready, details) = state.readiness();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, details.into_iter().map(|line| line + "\n").collect())
}

/// `version-revision-status`, without a line's end (istiod-surface 9.6).
async fn version(Shown(state): Shown<State>) -> String {
    let build = &state.build;
    format!("{}-{}-{}", build.version, build.revision, build.status)
}

async fn show_metrics(Shown(state): Shown<State>, remembered: Arc<Remembered>) -> Response {
    match tokio::task::spawn_blocking(move || metrics::text(&state, &remembered)).await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

async fn index() -> Html<String> {
    Html(debug::index())
}

async fn page(
    Shown(state): Shown<State>,
    Path(page): Path<String>,
    RawQuery(query): RawQuery,
    extensions: Extensions,
) -> Response {
    let peer = extensions.get().map(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| *peer);
    let Some(sight) = state.access.over_http(&state.root_namespace(), peer, extensions.get()) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let query = Query::parse(query.as_deref().unwrap_or_default(), sight);
    match tokio::task::spawn_blocking(move || debug::body(&state, &page, &query)).await {
        Ok(Ok(json)) => ([(header::CONTENT_TYPE, "application/json")], Bytes::from(json)).into_response(),
        Ok(Err(refusal)) => refused(refusal),
        Err(error) => failed(&error),
    }
}

fn refused(refusal: Refusal) -> Response {
    let status = match refusal {
        Refusal::Incomplete(_) => StatusCode::BAD_REQUEST,
        Refusal::NotFound(_) => StatusCode::NOT_FOUND,
        Refusal::Forbidden => StatusCode::FORBIDDEN,
    };
    (status, refusal.to_string()).into_response()
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "could not render a page");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
