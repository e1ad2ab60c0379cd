//! One service of the demo's application as a process of its own.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use clap::Args;
use testkit::bookinfo::{App, Service};
use tokio::net::TcpListener;

/// Which service, and where.
#[derive(Args)]
pub(crate) struct AppArguments {
    /// productpage, details, reviews or ratings.
    #[arg(long)]
    service: Service,
    /// The version, which decides the stars of reviews.
    #[arg(long, default_value = "v1")]
    version: String,
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
    /// Its own Envoy's listener for the calls that it makes.
    #[arg(long)]
    outbound: SocketAddr,
}

/// Serves until the process is ended.
pub(crate) fn run(arguments: &AppArguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("starting the runtime")?.block_on(async {
        let listen = arguments.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
        let app = App {
            service: arguments.service,
            version: arguments.version.clone(),
            outbound: arguments.outbound,
        };
        app.serve(listener).await.context("serving")
    })
}
