//! The HTTP ports: readiness, version, metrics and debug pages.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use admin::{Access, Build, Part, State, Templates};
use axum::Router;
use pilothouse::settings::Process;
use push::Handle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::version::VERSION;

/// What the pages show of this process and its parts; questions over xDS are answered from it too.
pub(crate) fn state(
    engine: &Handle,
    hooks: &push::Discovery,
    server: &xds::Discovery<push::Discovery>,
    (process, parts, templates): (&Process, Vec<Part>, Option<Arc<Templates>>),
) -> State {
    let state = State {
        engine: engine.clone(),
        connections: server.connections(),
        stats: server.stats(),
        build: Build {
            version: VERSION.to_owned(),
            revision: "unknown".to_owned(),
            status: "Clean".to_owned(),
            instance: process.name.to_string(),
        },
        started: Instant::now(),
        parts,
        access: Access {
            over_http: process.debug_over_http,
            by_namespace: process.debug_by_namespace,
            namespaces: process.debug_namespaces.iter().cloned().collect(),
        },
        templates,
    };
    let shown = state.clone();
    hooks.inspect_by(move |question| admin::answer(&shown, question));
    state
}

/// Serves the pages until `shutdown`; then requests that are being answered get `grace`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    grace: Duration,
    shutdown: CancellationToken,
) {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let ended = shutdown.clone();
    let server = axum::serve(listener, service).with_graceful_shutdown(ended.cancelled_owned());
    let cut_off = async {
        shutdown.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        served = server => {
            if let Err(error) = served {
                tracing::error!(%error, "pages are not served any more");
            }
        }
        () = cut_off => {}
    }
}
