//! Pilothouse where Istio's charts put istiod: what they hand to it, and what they let it do.

#[path = "../manifests/rights.rs"]
mod rights;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use model::parse::{Context, parse_mesh_config};
use model::{Key, Kind};
use pilothouse::settings::{CONTROLLERS, IDENTITY, INJECTION, MESH, PROCESS};
use serde_json::Value;
use testkit::family::install::Install;
use tokio::sync::watch;
use tower::ServiceExt as _;
use webhook::{Configuration, State, Stats, Values};

/// How long a program may be silent before it is ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// Variables beside the tables of settings, which are read with the flags or for the cluster.
const BESIDE: [&str; 3] = ["CLUSTER_ID", "KUBECONFIG", "POD_NAMESPACE"];

/// Variables that the charts set and nobody reads here: the values for which that is right (none: all), and why.
const UNREAD: [(&str, &[&str], &str); 7] = [
    ("PILOT_CERT_PROVIDER", &["istiod"], "its own certificate is always of the mesh's authority"),
    ("SERVICE_ACCOUNT", &[], "its own account matters to external authorities only"),
    ("CA_TRUSTED_NODE_ACCOUNTS", &[], "ztunnel's, which asks for certificates of others: ambient mode"),
    ("PILOT_ENABLE_ANALYSIS", &["false"], "nothing is analysed into statuses"),
    ("GOMEMLIMIT", &[], "of Go's runtime"),
    ("GOMAXPROCS", &[], "of Go's runtime"),
    ("FAKE_ENV_NAME", &[], "a variable that the case's user made up"),
];

/// Folders that the charts mount, and why nothing need be read there; the others are read.
const MOUNTED: [(&str, &str); 6] = [
    ("/var/run/secrets/istio-dns", "what is kept for a start without the API server"),
    ("/etc/cacerts", "a plugged-in authority"),
    ("/var/run/secrets/remote", "KUBECONFIG, for a control plane outside of its cluster"),
    ("/var/run/secrets/tokens", "a token for an external authority, which is not asked here"),
    ("/var/run/secrets/istiod/tls", "a serving certificate of istio-csr; here it is of the own authority"),
    ("/var/run/secrets/istiod/ca", "the root of istio-csr; here it is the own authority's"),
];

/// The built program and its library.
pub(crate) struct Program;

impl Install for Program {
    fn start(&self, arguments: &[String], variables: &BTreeMap<String, String>, ready: &str) -> Vec<String> {
        match started(arguments, variables, ready) {
            Ok(complaints) => complaints,
            Err(error) => vec![format!("it does not start: {error}")],
        }
    }

    fn variable(&self, name: &str, value: &str) -> Result<(), String> {
        let tables = [names(MESH), names(PROCESS), names(IDENTITY), names(INJECTION), names(CONTROLLERS)];
        if BESIDE.contains(&name) || tables.iter().any(|table| table.contains(name)) {
            return Ok(());
        }
        match UNREAD.iter().find(|(unread, ..)| *unread == name) {
            Some((_, values, _)) if values.is_empty() || values.contains(&value) => Ok(()),
            _ => Err(format!("{name}={value} is read by nobody")),
        }
    }

    fn ports(&self) -> BTreeSet<u64> {
        let help = Command::new(PROGRAM).args(["discovery", "--help"]).output();
        let help = help.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let help = help.unwrap_or_default();
        let words = help.split(|character: char| !(character == ':' || character.is_ascii_digit()));
        words.filter_map(|word| word.strip_prefix(':')?.parse().ok()).collect()
    }

    fn folder(&self, path: &str) -> Result<(), String> {
        let is_known = MOUNTED.iter().any(|(folder, _)| *folder == path);
        is_known.then_some(()).ok_or_else(|| format!("nobody knows what is mounted at {path}"))
    }

    fn mesh(&self, text: &str) -> Result<(), String> {
        let written: Value = serde_saphyr::from_str(text).map_err(|error| format!("mesh: {error}"))?;
        let (cluster, namespace, name) = ("Kubernetes".into(), "istio-system".into(), "istio".into());
        let key = Key { cluster, kind: Kind::MeshConfig, namespace, name };
        let mut problems = Vec::new();
        let mesh = parse_mesh_config(&written, &key, &mut problems);
        let problems: Vec<String> = problems.iter().map(|problem| problem.located("mesh", 0)).collect();
        (mesh.is_some() && problems.is_empty()).then_some(()).ok_or_else(|| format!("mesh: {problems:?}"))
    }

    fn injection(&self, config: &str, values: &str) -> Result<(), String> {
        Configuration::parse(config).map_err(|error| error.to_string())?;
        Values::parse(values).map(drop).map_err(|error| error.to_string())
    }

    fn webhook(&self, path: &str) -> Result<(), String> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
        let (_, injector) = watch::channel(None);
        let stats = Stats::new().map_err(|error| error.to_string())?;
        let context = Arc::new(Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() });
        let router = webhook::router(State { injector, context, stats: Arc::new(stats) });
        let request = Request::post(path).body(Body::empty()).map_err(|error| error.to_string())?;
        let status = runtime.block_on(router.oneshot(request)).map(|answer| answer.status());
        match status {
            Ok(StatusCode::NOT_FOUND) => Err(format!("no webhook is served at {path}")),
            _ => Ok(()),
        }
    }

    /// What the code needs is granted, and what our own manifests take for the chart's grant is so.
    fn rights(&self, everywhere: &[&Value], home: &[&Value]) -> Vec<String> {
        let of = |roles: &[&Value]| roles.iter().copied().flat_map(rights::of_role).collect::<BTreeSet<_>>();
        let everywhere = &of(everywhere);
        let home = everywhere.union(&of(home)).cloned().collect();
        let tables = [
            (rights::CLUSTER, everywhere),
            (rights::CHART, everywhere),
            (rights::HOME, &home),
            (rights::CHART_HOME, &home),
        ];
        let lacking = tables.iter().flat_map(|(table, granted)| {
            table.iter().flat_map(move |need| {
                let missing = rights::of_table(std::slice::from_ref(need)).into_iter();
                let missing = missing.filter(move |right| !rights::grants(granted, right));
                missing.map(|(group, resource, verb)| {
                    format!("{} needs {verb} of {resource} in '{group}', which is not granted", need.code)
                })
            })
        });
        lacking.collect()
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_pilothouse");

fn names<S>(table: &[pilothouse::settings::Setting<S>]) -> BTreeSet<&'static str> {
    table.iter().map(|setting| setting.name).collect()
}

/// Starts it without a cluster and on other ports, waits until it is ready and ends it.
fn started(
    arguments: &[String],
    variables: &BTreeMap<String, String>,
    ready: &str,
) -> std::io::Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .arg("--configDir")
        .arg(folder.path())
        .args(["--grpcAddr=127.0.0.1:0", "--httpAddr=127.0.0.1:0", "--monitoringAddr=127.0.0.1:0"])
        .args(["--ctrlz_port=0"])
        .current_dir(folder.path())
        .env_clear()
        .envs(variables)
        .stderr(Stdio::piped())
        .spawn()?;
    let said = child.stderr.take().map(testkit::processes::lines);
    let complaints = said.map(|said| complaints(&said, ready)).unwrap_or_default();
    child.kill()?;
    child.wait()?;
    Ok(complaints)
}

/// What it says of flags and variables, and whether it is ready in the end.
fn complaints(said: &Receiver<String>, ready: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let (mut address, mut serves) = (None, false);
    while let Ok(line) = said.recv_timeout(PATIENCE) {
        if line.contains("no such flag") || line.contains("cannot be read") {
            complaints.push(line.clone());
        }
        if line.contains("serving readiness") {
            address = address.or_else(|| line.rsplit("address=").next()?.trim().parse().ok());
        }
        serves |= line.contains("serving xDS");
        if let Some(address) = address.filter(|_| serves) {
            let is = is_ready(address, ready);
            complaints.extend((!is).then(|| format!("it is not ready at {ready}")));
            return complaints;
        }
        complaints.extend(line.contains("rror:").then(|| line.clone()));
    }
    complaints.push("it says nothing of serving".to_owned());
    complaints
}

#[allow(clippy::disallowed_methods, reason = "no runtime is here that could be blocked")]
fn is_ready(address: SocketAddr, path: &str) -> bool {
    let asked = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if asked().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
