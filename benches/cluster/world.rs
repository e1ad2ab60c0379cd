//! What the cluster holds: ten namespaces, a hundred services in each, five pods behind every one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use testkit::cluster::api::Api;
use testkit::cluster::plane::Plane;
use testkit::cluster::run;
use tokio::process::Command;

use super::Means;
use super::plane::Kind;

/// The namespace of control planes.
pub(super) const SYSTEM: &str = "istio-system";

const NAMESPACES: usize = 10;
const SERVICES: usize = 100;
const PODS: usize = 5;
/// Writes under way at once.
const AT_ONCE: usize = 32;

/// Fills the cluster; the time that this took.
pub(super) async fn fill(means: &Means, plane: &Plane) -> Result<Duration> {
    let begin = Instant::now();
    let definitions = means.reference.join("charts/base/files/crd-all.gen.yaml");
    let mut kubectl = Command::new(&means.kubectl);
    kubectl.env("KUBECONFIG", plane.kubeconfig()).args(["apply", "--server-side", "-f"]).arg(definitions);
    run(&mut kubectl).await?;
    namespace(&plane.api, SYSTEM).await?;
    // Certificates are left out: a bare Envoy has nobody to ask for them.
    for kind in [Kind::Istiod, Kind::Pilothouse, Kind::Next] {
        let name = format!("istio-{}", kind.revision());
        let map = json!({"metadata": {"name": name}, "data": {"mesh": "enableAutoMtls: false"}});
        plane.api.create(&format!("/api/v1/namespaces/{SYSTEM}/configmaps"), &map).await?;
    }
    let plain = json!({
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"name": "default"}, "spec": {"mtls": {"mode": "DISABLE"}},
    });
    let path = format!("/apis/security.istio.io/v1/namespaces/{SYSTEM}/peerauthentications");
    until_known(&plane.api, &path, &plain).await?;
    for number in 0..NAMESPACES {
        namespace(&plane.api, &name(number)).await?;
    }
    let all = (0..NAMESPACES).flat_map(|of| (0..SERVICES).map(move |at| (of, at)));
    let writes = stream::iter(all).map(|(of, at)| service(&plane.api, of, at));
    writes.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    Ok(begin.elapsed())
}

/// A namespace's name.
pub(super) fn name(number: usize) -> String {
    format!("team-{number}")
}

/// A namespace, with its first account.
async fn namespace(api: &Api, name: &str) -> Result<()> {
    api.create("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await?;
    let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
    until(async || Ok(api.find(&account).await?.is_some())).await.context("a namespace's account")
}

/// Creates an object as soon as its definition is served.
async fn until_known(api: &Api, path: &str, object: &Value) -> Result<()> {
    until(async || Ok(api.create(path, object).await.is_ok())).await.with_context(|| path.to_owned())
}

/// Waits until something is so.
pub(super) async fn until(mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    while !is_so().await? {
        anyhow::ensure!(begin.elapsed() < Duration::from_secs(30), "it took too long");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn service(api: &Api, of: usize, at: usize) -> Result<()> {
    let (namespace, service) = (name(of), format!("s-{at}"));
    let path = |kind: &str| format!("/api/v1/namespaces/{namespace}/{kind}");
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
    let object = json!({"metadata": {"name": service}, "spec": {"ports": ports}});
    api.create(&path("services"), &object).await?;
    for pod in 0..PODS {
        let name = format!("{service}-{pod}");
        let labels = json!({"app": service, "version": "v1"});
        let spec =
            json!({"containers": [{"name": "app", "image": "example.test/echo:1"}], "nodeName": "node"});
        api.create(&path("pods"), &json!({"metadata": {"name": name, "labels": labels}, "spec": spec}))
            .await?;
        let address = address(of, at, pod);
        let status = json!({"status": {
            "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }});
        api.merge(&path(&format!("pods/{name}/status")), &status).await?;
    }
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    api.create(&slices, &slice(of, at, PODS)).await?;
    Ok(())
}

/// The slice of a service with so many of its pods.
pub(super) fn slice(of: usize, at: usize, pods: usize) -> Value {
    let (namespace, service) = (name(of), format!("s-{at}"));
    let endpoints: Vec<Value> = (0..pods)
        .map(|pod| {
            let target = json!({"kind": "Pod", "namespace": namespace, "name": format!("{service}-{pod}")});
            let conditions = json!({"ready": true, "serving": true, "terminating": false});
            json!({"addresses": [address(of, at, pod)], "conditions": conditions, "targetRef": target})
        })
        .collect();
    let labels = json!({"kubernetes.io/service-name": service});
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": service, "labels": labels}, "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    })
}

/// A pod's address.
pub(super) fn address(of: usize, at: usize, pod: usize) -> String {
    format!("10.{}.{at}.{}", 10 + of, 1 + pod)
}
