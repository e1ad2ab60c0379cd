//! From nothing to mutual TLS between two injected pods, installed and looked at as operators do it.

use anyhow::{Result, ensure};

use crate::house::{House, step};
use crate::means::Means;
use crate::mesh::{self, Peer, SYSTEM};

const REVISION: &str = "1-9-1";
const DEMO: &str = "demo";

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
    step("istioctl sees both", mesh::until_synced(house, REVISION, &[&a, &b])).await
}
