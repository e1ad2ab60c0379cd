//! `discovery`: flags, wiring, ports, shutdown.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use model::Change;
use model::parse::Context;
use model::settings::Settings;
use pilothouse::settings;
use push::{Command, Engine, Handle, Limits};
use sources::kube::{Cluster, Status};
use sources::{MeshFile, MeshText};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use xds::{Health, Keep, Plain};

use crate::controllers::Controllers;
use crate::identity::{House, Identity};
use crate::logs::Levels;
use crate::parts::Parts;
use crate::ports::{PortArguments, Ports};
use crate::telling::{self, Reports, Start};
use crate::tolerant::Unknown;
use crate::usage::Usage;
use crate::webhooks::{Place, Webhooks};
use crate::{cluster, control, flags, logs, pages};

/// How the control plane runs; flags have istiod's names.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The folder of YAML and JSON files to serve instead of a cluster, read recursively and watched.
    #[arg(long = "configDir")]
    config_dir: Option<PathBuf>,
    /// MeshConfig in YAML, over the built-in defaults; watched [default: ./etc/istio/config/mesh]
    #[arg(long = "meshConfig")]
    mesh_config: Option<PathBuf>,
    #[command(flatten)]
    cluster: cluster::ClusterArguments,
    #[command(flatten)]
    ports: PortArguments,
    /// The DNS suffix of Kubernetes services.
    #[arg(long, default_value = "cluster.local")]
    domain: String,
    /// The id of the local cluster.
    #[arg(long = "clusterID", env = "CLUSTER_ID", default_value = "Kubernetes")]
    cluster_id: String,
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
    log_levels: Levels,
    /// Log lines as JSON.
    #[arg(long = "log_as_json")]
    log_as_json: bool,
    #[command(flatten)]
    control: control::ControlArguments,
    #[command(flatten)]
    unused: flags::Unused,
}

/// Where MeshConfig is mounted.
const MESH_CONFIG: &str = "./etc/istio/config/mesh";

fn go_duration(text: &str) -> Result<Duration, String> {
    model::parse::proxy::duration(text).ok_or_else(|| "a duration is written like 30s or 1m30s".to_owned())
}

/// Runs until it is told to end.
pub(crate) fn run(arguments: &Arguments, unknown: &[Unknown]) -> Result<()> {
    logs::start(&arguments.log_levels, arguments.log_as_json);
    for flag in unknown {
        flag.tell();
    }
    for flag in arguments.unused.set() {
        tracing::info!(%flag, "this flag changes nothing here");
    }
    for flag in arguments.config_dir.iter().flat_map(|_| arguments.cluster.set()) {
        tracing::warn!(%flag, "this flag has no effect beside --configDir");
    }
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let result = runtime.block_on(serve(arguments));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(arguments: &Arguments) -> Result<()> {
    if arguments.ports.are_empty() {
        bail!(Usage("--grpcAddr, --httpAddr and --monitoringAddr are all empty: nothing would be served"));
    }
    let signals = Signals::new()?;
    let source = Source::of(arguments).await?;
    let cluster = source.cluster();
    let all = All::read(arguments);
    let ports = arguments.ports.listen(cluster.is_some()).await?;
    let (mut working, handle, status) = work(arguments, source, all.mesh.clone(), &all.process)?;
    let shutdown = CancellationToken::new();
    let hooks = push::Discovery::new(handle.clone()).checking_identity(all.identity.checks_identity);
    let (server, health) = discovery_server(&hooks, &all.process).await?;
    let mut told: Vec<admin::Part> = status.clone().map(cluster::part).into_iter().collect();
    let has_identity = ports.have_tls() || all.identity.authenticates_plaintext;
    let identity = has_identity.then(|| {
        let house = all.house(arguments, cluster.as_ref());
        Identity::start(&all.identity, house, handle.snapshots.clone(), &mut working)
    });
    told.extend(identity.as_ref().map(Identity::part));
    let controllers = Controllers::of(identity.as_ref(), &all.process, &handle.snapshots);
    told.extend(controllers.as_ref().map(Controllers::part));
    let webhooks = ports.have_webhooks().then(|| {
        let place = all.place(arguments, cluster, handle.clone());
        Webhooks::start(&all.injection, place, &mut working)
    });
    let webhooks = webhooks.transpose()?;
    let shown = ports.https.as_ref().and(identity.clone());
    told.extend(webhooks.as_ref().map(|webhooks| webhooks.part(shown, status)));
    let templates = webhooks.as_ref().map(Webhooks::templates);
    let state = pages::state(&handle, &hooks, &server, (&all.process, told, templates));
    let asked = CancellationToken::new();
    let mut serving = JoinSet::new();
    serving.spawn(report_health(health.clone(), handle.snapshots.clone(), shutdown.clone()));
    let control = (arguments.control.clone(), state.build.clone());
    serving.spawn(control::serve(control, asked.clone(), shutdown.clone()));
    if let Some(controllers) = controllers {
        serving.spawn(controllers.serve(shutdown.clone()));
    }
    let parts = Served { state, server, identity, webhooks };
    parts.serve(ports, (arguments, &all), &mut serving, &shutdown)?;
    let ended = until_the_end(signals, &mut working, &mut serving, &asked).await;
    tracing::info!("ending: streams are closed, connections get {:?}", arguments.shutdown);
    health.report(false).await;
    shutdown.cancel();
    while let Some(part) = serving.join_next().await {
        if let Err(error) = part {
            tracing::error!(%error, "a port was not closed in order");
        }
    }
    ended
}

/// What ports lead to.
struct Served {
    state: admin::State,
    server: xds::Discovery<push::Discovery>,
    identity: Option<Identity>,
    webhooks: Option<Webhooks>,
}

impl Served {
    /// Serves every port on which somebody listens.
    fn serve(
        self,
        ports: Ports,
        (arguments, all): (&Arguments, &All),
        serving: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) -> Result<()> {
        let keep = keep(arguments, &all.process);
        let plain = self.webhooks.as_ref().filter(|_| ports.plain_webhooks).map(Webhooks::router);
        for (listener, more) in [(ports.http, plain), (ports.monitoring, None)] {
            let Some(listener) = listener else { continue };
            tracing::info!(address = %listener.local_addr()?, "serving readiness, metrics and debug pages");
            let router = admin::router(self.state.clone()).merge(more.unwrap_or_default());
            serving.spawn(pages::serve(listener, router, arguments.shutdown, shutdown.clone()));
        }
        if let (Some(listener), Some(identity)) = (ports.secure_grpc, &self.identity) {
            tracing::info!(address = %listener.local_addr()?, "xDS over TLS will be served");
            let server = self.server.clone();
            serving.spawn(identity.clone().serve_grpc(listener, server, keep, shutdown.clone()));
        }
        if let (Some(listener), Some(identity), Some(webhooks)) =
            (ports.https, &self.identity, &self.webhooks)
        {
            tracing::info!(address = %listener.local_addr()?, "webhooks will be served over TLS");
            let keep = Keep { http1: true, max_age: None, ..keep };
            let router = webhooks.router_of_port();
            serving.spawn(identity.clone().serve_https(listener, router, keep, shutdown.clone()));
        }
        if let Some(listener) = ports.grpc {
            tracing::info!(address = %listener.local_addr()?, "serving xDS in plaintext");
            match self.identity.filter(|_| all.identity.authenticates_plaintext) {
                Some(identity) => {
                    serving.spawn(identity.serve_plain(listener, self.server, keep, shutdown.clone()));
                }
                None => {
                    serving.spawn(xds::serve(listener, Plain, self.server, keep, shutdown.clone()));
                }
            }
        }
        Ok(())
    }
}

/// Where configuration comes from.
enum Source {
    Folder(PathBuf),
    Cluster(Cluster),
}

impl Source {
    /// The cluster, if that is what is served.
    fn cluster(&self) -> Option<Cluster> {
        match self {
            Self::Folder(_) => None,
            Self::Cluster(cluster) => Some(cluster.clone()),
        }
    }

    async fn of(arguments: &Arguments) -> Result<Self> {
        if let Some(folder) = &arguments.config_dir {
            return Ok(Self::Folder(folder.clone()));
        }
        match arguments.cluster.connect().await? {
            Some(cluster) => Ok(Self::Cluster(cluster)),
            None => bail!(
                "there is nothing to serve: --configDir DIR names a folder of files, --kubeconfig FILE a cluster"
            ),
        }
    }
}

/// Starts what makes views of what the source says; and how the watches of a cluster are.
fn work(
    arguments: &Arguments,
    source: Source,
    settings: Settings,
    process: &settings::Process,
) -> Result<(Parts, Handle, Option<Status>)> {
    let context = Context { cluster: settings.cluster.clone(), domain: settings.domain.clone() };
    let (engine, handle, inbox) = Engine::new(settings);
    let mut working = Parts::default();
    let mut watched = None;
    let mesh = arguments.mesh_config.as_deref();
    match source {
        Source::Folder(folder) => read(folder, mesh, context, (&mut working, &handle))?,
        Source::Cluster(cluster) => {
            let mesh = mesh.unwrap_or(Path::new(MESH_CONFIG));
            let (changes, status) = cluster.watch(&arguments.cluster.options(mesh, context, process));
            watched = Some(status);
            working.start("the feed of the cluster", cluster::feed(changes, handle.clone()));
        }
    }
    let limits = Limits { after: process.debounce_after, max: process.debounce_max };
    let engine = engine.start(inbox, limits).context("starting the engine")?;
    working.start("the engine", async move {
        let ended = engine.await;
        ended.map_or_else(Into::into, |()| anyhow!("nobody is left to send it anything"))
    });
    working.start("the teller of problems", telling::between(handle.snapshots.clone()));
    Ok((working, handle, watched))
}

/// Starts to read a folder and the file with MeshConfig.
fn read(
    folder: PathBuf,
    mesh: Option<&Path>,
    context: Context,
    (working, handle): (&mut Parts, &Handle),
) -> Result<()> {
    let begun = Instant::now();
    let path = mesh.unwrap_or(Path::new(MESH_CONFIG));
    let file = MeshFile::new(path, context.clone());
    let file = if mesh.is_some() { file.expected() } else { file };
    let mesh = sources::watch_file(path).context("watching the mesh's configuration")?;
    let changes = sources::watch(&folder, context)?;
    let start = Start { folder, mesh: path.to_owned(), begun };
    working.start("the feed of configuration", feed(changes, (mesh, file), handle.clone(), start));
    Ok(())
}

/// All settings, each for the part that uses it.
struct All {
    mesh: Settings,
    process: settings::Process,
    identity: settings::Identity,
    injection: settings::Injection,
}

impl All {
    /// From flags and variables; what cannot be read is told.
    fn read(arguments: &Arguments) -> Self {
        let environment = settings::environment();
        let (mut mesh, mut problems) = settings::parse(settings::MESH, &environment);
        let (process, of_process) = settings::parse(settings::PROCESS, &environment);
        let (identity, of_identity) = settings::parse(settings::IDENTITY, &environment);
        let (injection, of_injection) = settings::parse(settings::INJECTION, &environment);
        problems.extend([of_process, of_identity, of_injection].into_iter().flatten());
        for problem in problems {
            tracing::warn!("{problem}");
        }
        mesh.domain = arguments.domain.as_str().into();
        mesh.cluster = arguments.cluster_id.as_str().into();
        Self { mesh, process, identity, injection }
    }

    /// Where identity is at home.
    fn house(&self, arguments: &Arguments, cluster: Option<&Cluster>) -> House {
        House {
            cluster: (self.mesh.cluster.clone(), cluster.map(Cluster::client)),
            namespace: arguments.cluster.namespace.as_str().into(),
            revision: self.process.revision.clone(),
            kept: cluster.and_then(|_| arguments.cluster.state()),
        }
    }

    /// Where the webhooks are.
    fn place(&self, arguments: &Arguments, cluster: Option<Cluster>, engine: Handle) -> Place {
        Place {
            cluster,
            namespace: arguments.cluster.namespace.clone(),
            revision: self.process.revision.to_string(),
            context: Context { cluster: self.mesh.cluster.clone(), domain: self.mesh.domain.clone() },
            engine,
        }
    }
}

/// Waits until the process is told to end, or something ends that is to run as long as it does: an error.
async fn until_the_end(
    mut signals: Signals,
    working: &mut Parts,
    serving: &mut JoinSet<()>,
    asked: &CancellationToken,
) -> Result<()> {
    let error = tokio::select! {
        () = signals.told_to_end() => return Ok(()),
        () = asked.cancelled() => return Ok(()),
        error = working.ended() => error,
        Some(part) = serving.join_next() => {
            let error = part.err().map_or_else(|| anyhow!("it has ended"), Into::into);
            error.context("a port is not served any more")
        }
    };
    tracing::error!("{error:#}");
    Err(error)
}

async fn discovery_server(
    hooks: &push::Discovery,
    process: &settings::Process,
) -> Result<(xds::Discovery<push::Discovery>, Health)> {
    let (others, health) = xds::side_services(envoy_api::reflect::descriptors(), &[xds::SERVICE])
        .await
        .context("health and reflection")?;
    let config = xds::Config {
        max_request_bytes: process.max_request_bytes as usize,
        streams_per_second: process.streams_per_second.get(),
        pushes_at_once: process.pushes_at_once as usize,
        ..xds::Config::default()
    };
    Ok((xds::Discovery::new(hooks.clone(), config, others), health))
}

/// Health is what readiness is: serving from the first state on, until the process is told to end.
async fn report_health(health: Health, mut snapshots: Snapshots, shutdown: CancellationToken) {
    let is_ready = async { snapshots.wait_for(|state| state.generation > 0).await.is_ok() };
    tokio::select! {
        is_ready = is_ready => health.report(is_ready).await,
        () = shutdown.cancelled() => {}
    }
    shutdown.cancelled().await;
    health.report(false).await;
}

type Snapshots = watch::Receiver<Arc<mesh::Snapshot>>;

fn keep(arguments: &Arguments, process: &settings::Process) -> Keep {
    Keep {
        ping_interval: arguments.keepalive_interval,
        ping_timeout: arguments.keepalive_timeout,
        max_streams: if process.max_streams == 0 { u32::MAX } else { process.max_streams },
        max_age: arguments.max_connection_age,
        grace: arguments.shutdown,
        http1: false,
    }
}

/// Hands what the sources say to the engine: the mesh's configuration first, so that nothing is planned
/// without it. Answers why it ends.
async fn feed(
    mut changes: mpsc::Receiver<Vec<Change>>,
    (mut mesh, mut file): (mpsc::Receiver<MeshText>, MeshFile),
    engine: Handle,
    start: Start,
) -> anyhow::Error {
    let mut reports = Reports::default();
    let (Some(text), Some(mut batch)) = (mesh.recv().await, changes.recv().await) else {
        return anyhow!("the folder could not be read");
    };
    batch.insert(0, file.see(&text));
    start.tell(&batch);
    loop {
        batch.iter().for_each(|change| reports.note(change));
        if engine.commands.send(Command::Changes(batch)).await.is_err() {
            return anyhow!("the engine has ended");
        }
        batch = tokio::select! {
            more = changes.recv() => match more {
                Some(more) => more,
                None => return anyhow!("the folder is not watched any more"),
            },
            text = mesh.recv() => match text {
                Some(text) => vec![file.see(&text)],
                None => return anyhow!("the mesh's configuration is not watched any more"),
            },
        };
    }
}

/// The signals that end a process in order. They are waited for from its start on: before that they kill it.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("waiting for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("waiting for SIGINT")?,
        })
    }

    async fn told_to_end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
