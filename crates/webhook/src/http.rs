//! The two webhooks over HTTP. Whoever serves this cares for TLS.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::validation::{self, Context};
use crate::{Injector, Stats};

/// What one request may hold, in bytes; no object of the API is that large.
const BODY_BYTES: usize = 10 << 20;
const JSON: &str = "application/json";

/// What the webhooks answer from; a clone is handles.
#[derive(Clone)]
pub struct State {
    /// What injects now; `None` until the configuration was read once, and for good where there is none.
    pub injector: watch::Receiver<Option<Injector>>,
    /// What objects are decoded with.
    pub context: Arc<Context>,
    /// Counters.
    pub stats: Arc<Stats>,
}

/// `/inject` and `/validate`, each with anything below it.
pub fn router(state: State) -> Router {
    injection(state.clone()).merge(admission(state))
}

/// `/inject` alone.
pub fn injection(state: State) -> Router {
    Router::new()
        .route("/inject", any(inject))
        .route("/inject/", any(inject))
        .route("/inject/{*rest}", any(inject))
        .with_state(state)
}

/// `/validate` alone.
pub fn admission(state: State) -> Router {
    Router::new()
        .route("/validate", any(validate))
        .route("/validate/", any(validate))
        .route("/validate/{*rest}", any(validate))
        // The path of Istio before 1.4, which 1.9 still answers.
        .route("/admitpilot", any(validate))
        .with_state(state)
}

async fn inject(Shared(state): Shared<State>, request: Request) -> Response {
    state.stats.asked();
    let begin = Instant::now();
    let path = request.uri().path().to_owned();
    let body = match body(request).await {
        Ok(body) => body,
        Err(refusal) => {
            state.stats.refused();
            return refusal;
        }
    };
    let injector = state.injector.borrow().clone();
    let Some(injector) = injector else {
        state.stats.refused();
        let reason = "there is no injection configuration: the injector's ConfigMap was not read";
        return refusal(StatusCode::SERVICE_UNAVAILABLE, reason);
    };
    // Injection computes for a millisecond, and a bad template for seconds: not beside streams.
    match spawn_blocking(move || injector.review(&path, &body)).await {
        Ok((answer, outcome)) => {
            state.stats.answered(outcome, begin.elapsed());
            answered(answer)
        }
        Err(error) => {
            state.stats.refused();
            tracing::error!(%error, "an injection ended by itself");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the injection ended by itself; see the log")
        }
    }
}

async fn validate(Shared(state): Shared<State>, request: Request) -> Response {
    let body = match body(request).await {
        Ok(body) => body,
        Err(refusal) => {
            state.stats.not_understood(refusal.status().as_u16());
            return refusal;
        }
    };
    let stats = Arc::clone(&state.stats);
    match spawn_blocking(move || validation::review(&state.context, &body, &stats)).await {
        Ok(answer) => answered(answer),
        Err(error) => {
            tracing::error!(%error, "a validation ended by itself");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "the validation ended by itself; see the log")
        }
    }
}

/// The body of a question, or why it is none: first whether there is one, then what it says it is, as istiod.
async fn body(request: Request) -> Result<Bytes, Response> {
    let (head, body) = request.into_parts();
    let body = read(body).await?;
    if body.is_empty() {
        return Err(refusal(StatusCode::BAD_REQUEST, "no body found"));
    }
    if head.headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != JSON) {
        let reason = "invalid Content-Type, want `application/json`";
        return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
    }
    Ok(body)
}

async fn read(body: Body) -> Result<Bytes, Response> {
    to_bytes(body, BODY_BYTES).await.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            if error.is::<http_body_util::LengthLimitError>() {
                let reason = format!("the request is too large: {BODY_BYTES} bytes are allowed");
                return refusal(StatusCode::PAYLOAD_TOO_LARGE, &reason);
            }
            cause = error.source();
        }
        refusal(StatusCode::BAD_REQUEST, &format!("the body cannot be read: {error}"))
    })
}

fn answered(answer: String) -> Response {
    ([(header::CONTENT_TYPE, JSON)], answer).into_response()
}

fn refusal(status: StatusCode, reason: &str) -> Response {
    tracing::warn!(status = status.as_u16(), reason, "a webhook's request was refused");
    (status, format!("{reason}\n")).into_response()
}
