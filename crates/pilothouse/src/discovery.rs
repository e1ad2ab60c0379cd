//! `discovery`: flags, wiring, ports, shutdown.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use model::parse::Context;
use model::{Change, Problem, Severity};
use pilothouse::{offline, settings};
use push::{Command, Engine, Handle, Limits};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use xds::{Keep, Plain};

use crate::address::ListenAddress;
use crate::{logs, pages};

/// How the control plane runs; flags have istiod's names.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The folder of YAML and JSON files to serve, read recursively and watched.
    #[arg(long = "configDir")]
    config_dir: Option<PathBuf>,
    /// MeshConfig in YAML, over the built-in defaults; watched.
    #[arg(long = "meshConfig", default_value = "./etc/istio/config/mesh")]
    mesh_config: PathBuf,
    /// Plaintext gRPC; empty for none.
    #[arg(long = "grpcAddr", default_value = ":15010")]
    grpc: ListenAddress,
    /// Readiness and debug pages; empty for none.
    #[arg(long = "httpAddr", default_value = ":8080")]
    http: ListenAddress,
    /// Metrics, version and debug pages; empty for none.
    #[arg(long = "monitoringAddr", default_value = ":15014")]
    monitoring: ListenAddress,
    /// Webhooks over TLS; taken, but nothing is served there without a cluster.
    #[arg(long = "httpsAddr", default_value = ":15017")]
    https: ListenAddress,
    /// gRPC over TLS; taken, but nothing is served there without certificates.
    #[arg(long = "secureGRPCAddr", default_value = ":15012")]
    secure_grpc: ListenAddress,
    /// The DNS suffix of Kubernetes services.
    #[arg(long, default_value = "cluster.local")]
    domain: String,
    /// The id of the local cluster.
    #[arg(long = "clusterID", env = "CLUSTER_ID", default_value = "Kubernetes")]
    cluster: String,
    /// How long streams may take to end at shutdown.
    #[arg(long = "shutdownDuration", default_value = "10s", value_parser = go_duration)]
    shutdown: Duration,
    /// Time after which a silent connection is asked whether it is alive.
    #[arg(long = "keepaliveInterval", env = "GRPC_KEEPALIVE_INTERVAL", default_value = "30s", value_parser = go_duration)]
    keepalive_interval: Duration,
    /// Time to answer that question.
    #[arg(long = "keepaliveTimeout", env = "GRPC_KEEPALIVE_TIMEOUT", default_value = "10s", value_parser = go_duration)]
    keepalive_timeout: Duration,
    /// Age at which a connection is closed, give or take a tenth; none by default.
    #[arg(long = "keepaliveMaxServerConnectionAge", value_parser = go_duration)]
    max_connection_age: Option<Duration>,
    /// Which log lines: scope:level, with commas between.
    #[arg(long = "log_output_level", default_value = "default:info")]
    log_levels: String,
    /// Log lines as JSON.
    #[arg(long = "log_as_json")]
    log_as_json: bool,
}

fn go_duration(text: &str) -> Result<Duration, String> {
    model::parse::proxy::duration(text).ok_or_else(|| "a duration is written like 30s or 1m30s".to_owned())
}

/// Runs until it is told to end.
pub(crate) fn run(arguments: &Arguments, unknown: &[String]) -> Result<()> {
    logs::start(&arguments.log_levels, arguments.log_as_json);
    for flag in unknown {
        tracing::warn!(%flag, "no such flag here; it is left out");
    }
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let result = runtime.block_on(serve(arguments));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(arguments: &Arguments) -> Result<()> {
    let Some(folder) = &arguments.config_dir else {
        bail!("--configDir DIR is needed: this version serves a folder of files, not yet a cluster");
    };
    let (mut settings, problems) = settings::parse(&std::env::vars().collect());
    for problem in problems {
        tracing::warn!("{problem}");
    }
    settings.domain = arguments.domain.as_str().into();
    settings.cluster = arguments.cluster.as_str().into();
    let context = Context { cluster: settings.cluster.clone(), domain: settings.domain.clone() };
    let grpc = arguments.grpc.listen().await?;
    let http = [arguments.http.listen().await?, arguments.monitoring.listen().await?];
    let (engine, handle, commands) = Engine::new(settings);
    tokio::spawn(engine.run(commands, debounce()));
    let mesh = sources::watch_file(&arguments.mesh_config).context("watching the mesh's configuration")?;
    let changes = sources::watch(folder, context.clone())?;
    tokio::spawn(feed(changes, mesh, context, handle.clone()));
    let shutdown = CancellationToken::new();
    let hooks = push::Discovery::new(handle.clone());
    let server = discovery_server(&hooks)?;
    let state = pages::state(&handle, &hooks, &server);
    let mut tasks = tokio::task::JoinSet::new();
    for listener in http.into_iter().flatten() {
        tracing::info!(address = %listener.local_addr()?, "serving readiness, metrics and debug pages");
        tasks.spawn(pages::serve(listener, state.clone(), arguments.shutdown, shutdown.clone()));
    }
    if let Some(listener) = grpc {
        tracing::info!(address = %listener.local_addr()?, "serving xDS in plaintext");
        tasks.spawn(xds::serve(listener, Plain, server, keep(arguments), shutdown.clone()));
    }
    ended().await?;
    tracing::info!("ending: streams are closed, connections get {:?}", arguments.shutdown);
    shutdown.cancel();
    while tasks.join_next().await.is_some() {}
    Ok(())
}

fn discovery_server(hooks: &push::Discovery) -> Result<xds::Discovery<push::Discovery>> {
    let (others, _health) = xds::side_services(envoy_api::reflect::descriptors(), &[xds::SERVICE])
        .context("health and reflection")?;
    Ok(xds::Discovery::new(hooks.clone(), xds::Config::default(), others))
}

fn keep(arguments: &Arguments) -> Keep {
    Keep {
        ping_interval: arguments.keepalive_interval,
        ping_timeout: arguments.keepalive_timeout,
        max_age: arguments.max_connection_age,
        grace: arguments.shutdown,
        ..Keep::default()
    }
}

/// Bounds of coalescing, from istiod's variables where they are set.
fn debounce() -> Limits {
    let of = |name: &str| std::env::var(name).ok().and_then(|text| model::parse::proxy::duration(&text));
    let built_in = Limits::default();
    Limits {
        after: of("PILOT_DEBOUNCE_AFTER").unwrap_or(built_in.after),
        max: of("PILOT_DEBOUNCE_MAX").unwrap_or(built_in.max),
    }
}

/// Hands what the sources say to the engine: the mesh's configuration first, so that nothing is planned
/// without it.
async fn feed(
    mut changes: mpsc::Receiver<Vec<Change>>,
    mut mesh: mpsc::Receiver<Option<String>>,
    context: Context,
    engine: Handle,
) {
    let mut first = mesh.recv().await.flatten().map(|text| offline::mesh_config(&text, &context));
    loop {
        let mut batch: Vec<Change> = first.take().into_iter().collect();
        tokio::select! {
            more = changes.recv() => match more {
                Some(more) => batch.extend(more),
                None => return,
            },
            text = mesh.recv() => match text {
                Some(text) => batch.push(offline::mesh_config(&text.unwrap_or_default(), &context)),
                None => return,
            },
        }
        batch.iter().for_each(report);
        if engine.commands.send(Command::Changes(batch)).is_err() {
            return;
        }
    }
}

/// One line for each thing that is wrong with an object.
fn report(change: &Change) {
    for (problem, line) in change.problems.iter().zip(offline::lines(change)) {
        let Problem { severity, .. } = problem;
        match severity {
            Severity::Error => tracing::error!("{line}"),
            Severity::Warning => tracing::warn!("{line}"),
        }
    }
}

async fn ended() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("waiting for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
