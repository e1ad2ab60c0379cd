//! A mesh's installation: Istio's own charts, with istiod or with Pilothouse behind the image's name.

use anyhow::{Context as _, Result};
use testkit::echo::Echo;

use crate::house::{HUB, House, until};

/// Which control plane is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Istiod,
    Pilothouse,
}

impl Peer {
    /// The image that the chart is given: all that is changed in it for Pilothouse.
    fn image(self) -> &'static str {
        match self {
            Self::Istiod => "pilot",
            Self::Pilothouse => "pilothouse",
        }
    }

    /// What istiod must leave out for a stock Envoy to accept all of it; Pilothouse sees for itself what a proxy has.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Istiod => &[
                "env.PILOT_ENABLE_METADATA_EXCHANGE=false",
                "env.PILOT_ENABLE_ALPN_FILTER=false",
                "telemetry.enabled=false",
            ],
            Self::Pilothouse => &[],
        }
    }
}

/// The namespace of control planes.
pub(crate) const SYSTEM: &str = "istio-system";

/// Installs Istio's custom resource definitions and the namespace of control planes.
pub(crate) async fn prepare(house: &House) -> Result<()> {
    let file = house.reference("charts/base/files/crd-all.gen.yaml");
    let definitions = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    house.apply(&definitions).await?;
    house.apply(&namespace(SYSTEM, "{}")).await
}

/// Installs a control plane by its chart; it is not waited for. What was applied comes back.
pub(crate) async fn install(house: &House, peer: Peer, revision: &str) -> Result<String> {
    let mut values = vec![
        format!("revision={revision}"),
        format!("global.hub={HUB}"),
        "global.tag=1".to_owned(),
        format!("image={}", peer.image()),
        // Saves the agents' looking for the metadata server of a cloud.
        "meshConfig.defaultConfig.proxyMetadata.CLOUD_PLATFORM=none".to_owned(),
    ];
    values.extend(peer.settings().iter().map(|value| (*value).to_owned()));
    chart(house, "istio-control/istio-discovery", (SYSTEM, "istiod"), &values).await
}

/// The host that a team's gateway serves.
pub(crate) const HOST: &str = "b.example.test";

/// Installs a gateway of a team in its own namespace, of a revision, which leads to `b` of another namespace.
pub(crate) async fn gateway_of_team(
    house: &House,
    namespace: &str,
    of: &str,
    revision: &str,
) -> Result<String> {
    house.apply(&self::namespace(namespace, "{}")).await?;
    let values = [format!("revision={revision}"), "autoscaling.enabled=false".to_owned()];
    let manifest = chart(house, "gateway", (namespace, "gateway"), &values).await?;
    house.apply(&route(namespace, of)).await?;
    Ok(manifest)
}

fn route(namespace: &str, of: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: team, namespace: {namespace}}}
spec:
  selector: {{app: gateway}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['{HOST}']}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: b, namespace: {of}}}
spec:
  hosts: ['{HOST}']
  gateways: [{namespace}/team]
  http: [{{route: [{{destination: {{host: b.{of}.svc.cluster.local}}}}]}}]
"
    )
}

/// Renders a chart by Helm and applies what it gives.
async fn chart(
    house: &House,
    chart: &str,
    (namespace, release): (&str, &str),
    values: &[String],
) -> Result<String> {
    let chart = house.reference("charts").join(chart).display().to_string();
    let mut words = vec!["template", release, &chart, "--namespace", namespace];
    for value in values {
        words.extend(["--set", value]);
    }
    let manifest = house.ask("helm", &words).await?;
    house.apply(&manifest).await?;
    Ok(manifest)
}

/// A namespace with labels, in YAML's short form.
pub(crate) fn namespace(name: &str, labels: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {labels}}}\n")
}

/// An application with a service and an account of its name.
pub(crate) fn application(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: {namespace}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}, version: v1}}}}
    spec:
      serviceAccountName: {name}
      terminationGracePeriodSeconds: 5
      containers:
      - name: app
        lifecycle: {{preStop: {{sleep: {{seconds: 2}}}}}}
        image: example.test/echo:1
        ports: [{{containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /ready, port: 8080}}}}
"
    )
}

/// Waits until a pod calls a service of its account's name, and each is known to the other by certificate.
pub(crate) async fn until_mutual(
    house: &House,
    (namespace, pod): (&str, &str),
    (of, service): (&str, &str),
) -> Result<()> {
    let account = pod.split('-').next().unwrap_or(pod);
    let mut last = "none".to_owned();
    let what = format!("{service} is called by {pod}, both known by certificate");
    let waited = until(&what, async || {
        let answer = house.call(namespace, pod, &format!("{service}.{of}")).await;
        let is_it = answer.as_ref().is_ok_and(|echo| is_mutual(echo, (namespace, account), (of, service)));
        last = answer.map_or_else(|error| format!("{error:#}"), |echo| format!("{echo:?}"));
        Ok(is_it)
    });
    waited.await.with_context(|| format!("the last answer: {last}")).map(drop)
}

fn is_mutual(echo: &Echo, from: (&str, &str), to: (&str, &str)) -> bool {
    let spiffe =
        |(namespace, account): (&str, &str)| format!("spiffe://cluster.local/ns/{namespace}/sa/{account}");
    let caller = echo.caller.as_deref().unwrap_or_default();
    caller.contains(&format!("By={}", spiffe(to))) && caller.contains(&format!("URI={}", spiffe(from)))
}

/// Waits until `istioctl proxy-status` has a line for each pod, and none says that something is stale.
pub(crate) async fn until_synced(house: &House, revision: &str, pods: &[&str]) -> Result<()> {
    let mut last = String::new();
    let waited = until("every proxy is in step", async || {
        last = match house.ask("istioctl", &["proxy-status", "--revision", revision]).await {
            Ok(table) => table,
            Err(error) => format!("{error:#}"),
        };
        let line = |pod: &&str| last.lines().find(|line| line.starts_with(*pod));
        let is_synced = |line: &str| !line.contains("STALE") && !line.to_lowercase().contains("error");
        Ok(pods.iter().all(|pod| line(pod).is_some_and(is_synced)))
    });
    waited.await.with_context(|| last).map(drop)
}
