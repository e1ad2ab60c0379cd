//! The story that users tell: a revision installed, namespaces that opt in, a team's gateway, the next revision
//! beside it, a move there and back under traffic, and everything taken away again.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::calls::{Client, headers};

use crate::house::{House, step, text, until};
use crate::means::Means;
use crate::mesh::{self, Peer, SYSTEM};

/// The revision of today, and the next one.
const REVISIONS: [&str; 2] = ["1-9-1", "1-9-2"];
/// Moves between revisions.
const DEMO: &str = "demo";
/// Stays with the first revision and calls all the time.
const CALM: &str = "calm";
/// Has the label that a named revision does not look at.
const OTHER: &str = "other";
/// A team's namespace for its gateway.
const GATEWAY: &str = "istio-gateway-sample";
/// Calls a second while everything moves.
const RATE: u32 = 40;

pub(crate) async fn run(means: &Means, peers: [Peer; 2], is_kept: bool) -> Result<()> {
    let house = step("the cluster is up", House::start(means, "v1.35.4")).await?;
    let result = story(&house, peers).await;
    house.end(result, is_kept).await
}

async fn story(house: &House, [first, next]: [Peer; 2]) -> Result<()> {
    step("Istio's definitions are installed", mesh::prepare(house)).await?;
    let mut installed = vec![step("1-9-1 is installed", mesh::install(house, first, REVISIONS[0])).await?];
    step("1-9-1 is ready", house.until_ready(SYSTEM, &label(0))).await?;
    let caller = step("namespaces opt in, applications come up", applications(house)).await?;
    installed.push(
        step("a team installs its gateway", mesh::gateway_of_team(house, GATEWAY, DEMO, REVISIONS[0]))
            .await?,
    );
    step("the gateway serves", until_gateway_serves(house)).await?;
    step("istioctl sees every proxy in step", until_all_synced(house)).await?;

    let traffic = house.traffic((CALM, &caller), "b.demo", RATE).await?;
    installed.push(step("1-9-2 is installed beside it", mesh::install(house, next, REVISIONS[1])).await?);
    step("1-9-2 is ready", house.until_ready(SYSTEM, &label(1))).await?;
    step("the namespace moves to 1-9-2", roll(house, 1)).await?;
    step("and back to 1-9-1", roll(house, 0)).await?;
    step("no call failed", traffic.end()).await?;

    step("all of it is taken away", uninstall(house, &installed)).await?;
    step("nothing is left", until_nothing_is_left(house)).await
}

fn label(revision: usize) -> String {
    format!("app=istiod,istio.io/rev={}", REVISIONS[revision])
}

/// Namespaces with and without the label that counts; the pod that will call.
async fn applications(house: &House) -> Result<String> {
    let labels = format!("{{istio.io/rev: {}}}", REVISIONS[0]);
    let mut objects = vec![
        mesh::namespace(DEMO, &labels),
        mesh::namespace(CALM, &labels),
        mesh::namespace(OTHER, "{istio-injection: enabled}"),
    ];
    let all = [(DEMO, "a"), (DEMO, "b"), (CALM, "caller"), (OTHER, "x")];
    objects.extend(all.iter().map(|(namespace, name)| mesh::application(namespace, name)));
    house.apply(&objects.join("---\n")).await?;
    let mut first = Vec::new();
    for (namespace, name) in all {
        let pods = house.until_ready(namespace, &format!("app={name}")).await?;
        let pod = pods.first().cloned().context("a pod")?;
        let is_injected = house.containers(namespace, &pod).await?.iter().any(|one| one == "istio-proxy");
        ensure!(is_injected == (namespace != OTHER), "{namespace}/{pod}: injected: {is_injected}");
        first.push(pod);
    }
    mesh::until_mutual(house, (DEMO, &first[0]), (DEMO, "b")).await?;
    mesh::until_mutual(house, (CALM, &first[2]), (DEMO, "b")).await?;
    Ok(first.swap_remove(2))
}

/// Somebody outside calls the gateway by the host that the team serves.
async fn until_gateway_serves(house: &House) -> Result<()> {
    let pods = house.until_ready(GATEWAY, "app=gateway").await?;
    let pod = pods.first().context("a gateway's pod")?;
    let pod = house.api.get(&format!("/api/v1/namespaces/{GATEWAY}/pods/{pod}")).await?;
    let address = text(&pod, "/status/podIP").context("its address")?;
    let client = Client::new(std::time::Duration::from_secs(2));
    let at = format!("{address}:80").parse()?;
    let mut last = String::new();
    let waited = until("the gateway leads to b", async || {
        let answer = client.get(at, "/", &headers(mesh::HOST, None)).await;
        last = answer.as_ref().map_or_else(ToString::to_string, |answer| format!("{answer:?}"));
        Ok(answer.is_ok_and(|answer| answer.status.is_success()))
    });
    waited.await.with_context(|| format!("the last answer: {last}")).map(drop)
}

async fn until_all_synced(house: &House) -> Result<()> {
    let mut pods = Vec::new();
    for (namespace, name) in [(DEMO, "a"), (DEMO, "b"), (CALM, "caller"), (GATEWAY, "gateway")] {
        pods.extend(house.until_ready(namespace, &format!("app={name}")).await?);
    }
    let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
    mesh::until_synced(house, REVISIONS[0], &pods).await
}

/// Moves the namespace's label, starts its pods anew, and waits until the revision has them.
async fn roll(house: &House, revision: usize) -> Result<()> {
    let label = format!("istio.io/rev={}", REVISIONS[revision]);
    house.ask("kubectl", &["label", "namespace", DEMO, &label, "--overwrite"]).await?;
    house.ask("kubectl", &["rollout", "restart", "deployment", "--namespace", DEMO]).await?;
    house.ask("kubectl", &["rollout", "status", "deployment", "--namespace", DEMO, "--timeout=60s"]).await?;
    let mut pods = Vec::new();
    for name in ["a", "b"] {
        pods.extend(house.until_ready(DEMO, &format!("app={name}")).await?);
    }
    for pod in &pods {
        let pod = house.api.get(&format!("/api/v1/namespaces/{DEMO}/pods/{pod}")).await?;
        let of = text(&pod, "/metadata/annotations/istio.io~1rev");
        ensure!(of.as_deref() == Some(REVISIONS[revision]), "injected by {of:?}: {pod}");
    }
    let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
    until_old_ones_are_gone(house).await?;
    mesh::until_synced(house, REVISIONS[revision], &pods).await?;
    let a = pods.first().context("a pod of a")?;
    mesh::until_mutual(house, (DEMO, a), (DEMO, "b")).await
}

/// Calls must not fail when the pods of before end either.
async fn until_old_ones_are_gone(house: &House) -> Result<()> {
    let path = format!("/api/v1/namespaces/{DEMO}/pods");
    let gone = until("the pods of before are gone", async || {
        let list = house.api.get(&path).await?;
        let mut pods = list.get("items").and_then(Value::as_array).into_iter().flatten();
        Ok(pods.all(|pod| pod.pointer("/metadata/deletionTimestamp").is_none()))
    });
    gone.await.map(drop)
}

async fn uninstall(house: &House, installed: &[String]) -> Result<()> {
    let namespaces = [DEMO, CALM, OTHER, GATEWAY];
    let mut words = vec!["delete", "namespace", "--wait=false"];
    words.extend(namespaces);
    house.ask("kubectl", &words).await?;
    for manifest in installed.iter().rev() {
        house.delete(manifest).await?;
    }
    for namespace in namespaces {
        let path = format!("/api/v1/namespaces/{namespace}");
        until(&format!("{namespace} is gone"), async || Ok(house.api.find(&path).await?.is_none())).await?;
    }
    Ok(())
}

/// Webhooks, roles and pods: what would go on acting is gone.
async fn until_nothing_is_left(house: &House) -> Result<()> {
    let kinds = [
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        "/api/v1/pods",
        "/apis/apps/v1/deployments",
    ];
    let mut left = Vec::new();
    let waited = until("nothing is left", async || {
        left.clear();
        for kind in kinds {
            let list = house.api.get(kind).await?;
            let items = list.get("items").and_then(Value::as_array).into_iter().flatten();
            let names = items.filter_map(|item| text(item, "/metadata/name"));
            left.extend(names.filter(|name| name.contains("istio")));
        }
        Ok(left.is_empty())
    });
    waited.await.with_context(|| format!("left: {left:?}")).map(drop)
}
