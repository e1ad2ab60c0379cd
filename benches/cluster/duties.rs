//! What a control plane owes a cluster beside its answers: pods injected, roots in every namespace, and no write
//! that nobody needs.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use testkit::cluster::api::Api;
use testkit::cluster::plane::Plane;
use testkit::cluster::run;
use tokio::process::Command;

use super::plane::{Kind, Process};
use super::{Means, world};
use crate::table::{Line, Times, Unit, number};

const PODS: usize = 1_000;
const NAMESPACES: usize = 100;
/// Namespaces a second, and how many of them.
const STEADY: (u32, usize) = (10, 50);
const ROOTS: &str = "istio-ca-root-cert";
const IDLE: Duration = Duration::from_secs(60);
/// Writes of these are how two revisions agree on who does what.
const LOCKS: [&str; 2] = ["configmaps", "leases"];

/// All lines of this part, with two revisions of Pilothouse running.
pub(super) async fn measure(
    means: &Means,
    plane: &Plane,
    (process, folder): (&Process, &Path),
    lines: &mut Vec<Line>,
) -> Result<()> {
    register(means, plane, process, folder).await?;
    lines.push(pods(&plane.api).await?);
    lines.push(namespaces(&plane.api).await?);
    lines.push(idle(plane).await?);
    Ok(())
}

/// What a chart installs for the revision: the templates, and the webhook, which is dialled here by its address.
async fn register(means: &Means, plane: &Plane, process: &Process, folder: &Path) -> Result<()> {
    let mut helm = Command::new(means.reference.join("helm"));
    helm.args(["template", "istiod"]).arg(means.reference.join("charts/istio-control/istio-discovery"));
    helm.args(["--namespace", world::SYSTEM, "--set"])
        .arg(format!("revision={}", Kind::Pilothouse.revision()));
    helm.args(["--show-only", "templates/istiod-injector-configmap.yaml"]);
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        helm.env(name, folder);
    }
    let templates = folder.join("templates.yaml");
    std::fs::write(&templates, run(&mut helm).await?)?;
    let mut kubectl = Command::new(&means.kubectl);
    kubectl.env("KUBECONFIG", plane.kubeconfig()).args(["apply", "--server-side", "-f"]).arg(templates);
    run(&mut kubectl).await?;
    let revision = Kind::Pilothouse.revision();
    let webhook = json!({
        "name": "rev.namespace.sidecar-injector.istio.io", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
        "clientConfig": {"url": format!("https://localhost:{}/inject", process.https.port())},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"istio.io/rev": revision}},
    });
    let configuration = json!({
        "metadata": {"name": format!("istio-sidecar-injector-{revision}"), "labels": {"istio.io/rev": revision}},
        "webhooks": [webhook],
    });
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    plane.api.create(path, &configuration).await?;
    Ok(())
}

/// A thousand pods at once.
async fn pods(api: &Api) -> Result<Line> {
    let label = json!({"istio.io/rev": Kind::Pilothouse.revision()});
    api.create("/api/v1/namespaces", &json!({"metadata": {"name": "crowd", "labels": label}})).await?;
    let path = "/api/v1/namespaces/crowd/pods";
    let pod = |name: String| {
        let spec = json!({"containers": [{"name": "app", "image": "example.test/echo:1"}]});
        json!({"metadata": {"name": name}, "spec": spec})
    };
    // The account, the webhook's `caBundle` and the templates come by themselves.
    let mut last = String::new();
    let waited = world::until(async || {
        let made = api.create(path, &pod("first".to_owned())).await;
        last = made.as_ref().map_or_else(ToString::to_string, |_| "it is there".to_owned());
        Ok(made.is_ok())
    });
    waited.await.with_context(|| format!("a first pod: {last}"))?;
    let begin = Instant::now();
    let create = |at: usize| async move {
        let made = api.create(path, &pod(format!("p-{at}"))).await;
        made.is_ok_and(|pod| is_injected(&pod))
    };
    let made: Vec<bool> = stream::iter(0..PODS).map(create).buffer_unordered(PODS).collect().await;
    println!("  {PODS} pods at once: {:.1} s", begin.elapsed().as_secs_f64());
    let bad = made.iter().filter(|is_good| !**is_good).count();
    Ok(Line::new("1,000 pods created at once through the API server: failed or uninjected")
        .exactly(number(bad as u64), 0.0))
}

fn is_injected(pod: &Value) -> bool {
    let lists =
        ["/spec/containers", "/spec/initContainers"].map(|list| pod.pointer(list).and_then(Value::as_array));
    lists
        .into_iter()
        .flatten()
        .flatten()
        .any(|container| container.get("name") == Some(&json!("istio-proxy")))
}

/// Namespaces at once, then steadily: until each has the roots.
async fn namespaces(api: &Api) -> Result<Line> {
    let begin = Instant::now();
    let all = (0..NAMESPACES).map(|at| rooted(api, format!("burst-{at}")));
    stream::iter(all).buffer_unordered(NAMESPACES).try_collect::<Vec<_>>().await?;
    let burst = begin.elapsed();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / STEADY.0);
    let mut running = Vec::new();
    for at in 0..STEADY.1 {
        ticks.tick().await;
        let api = api.clone();
        running.push(tokio::spawn(async move { rooted(&api, format!("steady-{at}")).await }));
    }
    let mut times = Times::default();
    for one in running {
        times.0.push(one.await??);
    }
    println!("  roots in namespaces that come one by one: {} ms", times.raw());
    Ok(Line::new("100 namespaces at once → root certificate in all; 10 a second, p99")
        .most(burst.as_secs_f64(), 5.0, Unit::Seconds)
        .most(times.percentile(99).as_secs_f64(), 1.0, Unit::Seconds))
}

/// Makes a namespace; how long it takes from there until it has the roots.
async fn rooted(api: &Api, name: String) -> Result<Duration> {
    api.create("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await?;
    let begin = Instant::now();
    let path = format!("/api/v1/namespaces/{name}/configmaps/{ROOTS}");
    while api.find(&path).await?.is_none() {
        ensure!(begin.elapsed() < Duration::from_secs(30), "{name} gets no root certificate");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(begin.elapsed())
}

/// What the two write while nothing happens, by the API server's own account.
async fn idle(plane: &Plane) -> Result<Line> {
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = std::fs::metadata(plane.audit_log())?.len();
    tokio::time::sleep(IDLE).await;
    let log = std::fs::read(plane.audit_log())?;
    let log = log.get(usize::try_from(before)?..).unwrap_or_default();
    let written: Vec<String> = String::from_utf8_lossy(log).lines().filter_map(needless).collect();
    written.iter().for_each(|write| println!("  written: {write}"));
    Ok(Line::new("API writes in an idle minute, two revisions (but Leases and lock ConfigMaps)")
        .exactly(number(written.len() as u64), 0.0))
}

/// A write of ours in the audit log that is not of a lock.
fn needless(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    let of = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let is_write = matches!(of("/verb"), "create" | "update" | "patch" | "delete");
    let is_ours = of("/userAgent").starts_with("pilothouse");
    let is_lock = LOCKS.contains(&of("/objectRef/resource")) && of("/objectRef/name") != ROOTS;
    // A review of a token or of a right is a question.
    let is_question = of("/objectRef/resource").ends_with("reviews");
    (is_write && is_ours && !is_lock && !is_question)
        .then(|| format!("{} {} {}", of("/verb"), of("/objectRef/resource"), of("/objectRef/name")))
}
