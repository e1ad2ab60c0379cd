//! From nothing to mutual TLS between two injected pods, installed and looked at as operators do it.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::house::{House, step, text, until};
use crate::means::Means;
use crate::mesh::{self, Peer, SYSTEM};

const REVISION: &str = "1-9-1";
const DEMO: &str = "demo";
/// How long Pilothouse may take to put roots right.
const REPAIR: Duration = Duration::from_secs(1);

pub(crate) async fn run(means: &Means, peer: Peer, is_kept: bool) -> Result<()> {
    let house = step("the cluster is up", House::start(means, "v1.35.4")).await?;
    let result = story(&house, peer).await;
    house.end(result, is_kept).await
}

async fn story(house: &House, peer: Peer) -> Result<()> {
    // Given a control plane of a revision, and a namespace that has opted in.
    step("Istio's definitions are installed", mesh::prepare(house)).await?;
    step("the chart is installed", mesh::install(house, peer, REVISION)).await?;
    step("the control plane is ready", house.until_ready(SYSTEM, "app=istiod")).await?;
    step("a namespace opts in", house.apply(&mesh::namespace(DEMO, "{istio.io/rev: 1-9-1}"))).await?;
    // When two applications are deployed there,
    for name in ["a", "b"] {
        step(&format!("{name} is deployed"), house.apply(&mesh::application(DEMO, name))).await?;
    }
    let callers = step("a is ready", house.until_ready(DEMO, "app=a")).await?;
    let called = step("b is ready", house.until_ready(DEMO, "app=b")).await?;
    let [a, b] = [callers, called].map(|names| names.first().cloned().unwrap_or_default());
    // then both have a proxy,
    for pod in [&a, &b] {
        let containers = house.containers(DEMO, pod).await?;
        ensure!(
            containers.iter().any(|name| name == "istio-proxy"),
            "{pod} was not injected: {containers:?}"
        );
    }
    // their certificates tell each other who they are,
    let mutual = mesh::until_mutual(house, (DEMO, &a), (DEMO, "b"));
    step("a calls b with mutual TLS", mutual).await?;
    // and the operator sees both in step.
    step("istioctl sees both", mesh::until_synced(house, REVISION, &[&a, &b])).await?;
    // What somebody takes away or spoils is put right again,
    step("a root that is deleted is back", until_roots_are_right(house, peer, true)).await?;
    step("a root that is spoilt is mended", until_roots_are_right(house, peer, false)).await?;
    // and nothing that was said gives away a secret.
    house.ensure_no_secret_was_told()
}

/// Deletes or spoils the roots of a namespace; they are waited for.
async fn until_roots_are_right(house: &House, peer: Peer, is_deleted: bool) -> Result<()> {
    let path = format!("/api/v1/namespaces/{DEMO}/configmaps/istio-ca-root-cert");
    let roots = async || -> Result<Option<String>> {
        Ok(house.api.find(&path).await?.and_then(|map| text(&map, "/data/root-cert.pem")))
    };
    let before = roots().await?;
    if is_deleted {
        house.api.delete(&path).await?;
    } else {
        house.api.merge(&path, &json!({"data": {"root-cert.pem": "spoilt"}})).await?;
    }
    let took = until("the roots are what they were", async || Ok(roots().await? == before)).await?;
    ensure!(peer == Peer::Istiod || took < REPAIR, "it took {took:?}");
    Ok(())
}
