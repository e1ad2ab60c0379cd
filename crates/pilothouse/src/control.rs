//! ControlZ: the port on which log levels are changed while the process runs.

use std::sync::Arc;

use admin::{Build, Control};
use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::logs;

/// Where ControlZ is served.
#[derive(Args, Clone)]
pub(crate) struct ControlArguments {
    /// The port on which log levels can be changed while it runs (ControlZ); 0 for any.
    #[arg(long = "ctrlz_port", default_value_t = 9876)]
    port: u16,
    /// The address of that port; `*` for every address of the machine.
    #[arg(long = "ctrlz_address", default_value = "localhost")]
    address: String,
}

/// Serves ControlZ until `shutdown`; `end` is cancelled when somebody asks there that the process ends.
///
/// A port that is taken keeps nothing else from working; it is told.
pub(crate) async fn serve(
    (arguments, build): (ControlArguments, Build),
    end: CancellationToken,
    shutdown: CancellationToken,
) {
    // `localhost` may be either family, and whoever forwards a port tries this one first.
    let host = match &*arguments.address {
        "localhost" => "127.0.0.1",
        "*" | "" => "0.0.0.0",
        other => other,
    };
    match TcpListener::bind((host, arguments.port)).await {
        Ok(listener) => {
            let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
            tracing::info!(%address, "serving ControlZ");
            let service = admin::control_router(control(build, end));
            let server =
                axum::serve(listener, service).with_graceful_shutdown(shutdown.clone().cancelled_owned());
            if let Err(error) = server.await {
                tracing::warn!(%error, "ControlZ is not served any more");
            }
        }
        Err(error) => tracing::warn!(%error, port = arguments.port, "ControlZ is not served"),
    }
    shutdown.cancelled().await;
}

fn control(build: Build, end: CancellationToken) -> Control {
    Control {
        build,
        scopes: Arc::new(logs::Scopes),
        arguments: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
        environment: pilothouse::settings::environment().into_iter().collect(),
        end: Arc::new(move || end.cancel()),
    }
}
