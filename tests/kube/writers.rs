//! What is kept right in the cluster under the rights of our manifests, with nothing but the API: root certificates, webhooks, the mesh's configuration beside
//! gateways, and who does it where there are two.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testkit::cluster::api::Api;
use testkit::cluster::plane::{Place, Plane};
use testkit::processes::Processes;
use tokio::process::Command;

use crate::house::{step, text, until};
use crate::means::Means;

const SYSTEM: &str = "istio-system";
const ROOTS: &str = "istio-ca-root-cert";
const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
/// How many namespaces come at once.
const MANY: usize = 100;
/// How long it is looked whether anything is written while nothing happens.
const QUIET: Duration = Duration::from_secs(10);

pub(crate) async fn run(means: &Means, is_kept: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    testkit::cluster::run(Command::new("ip").args(["link", "set", "lo", "up"])).await?;
    let plane = Plane::start(folder.path(), &means.kubetest, Place::loopback()?).await?;
    let mut processes = Processes::new(&folder.path().join("pilothouse"))?;
    let result = kept(means, &plane, &mut processes).await;
    if is_kept {
        println!("    KUBECONFIG={}", plane.kubeconfig().display());
        std::future::pending::<()>().await;
    }
    if result.is_err() {
        for name in ["1-9-1", "1-9-2"] {
            let log = std::fs::read_to_string(processes.log(name)).unwrap_or_default();
            println!("--- {name}\n{log}");
        }
    }
    processes.end().await;
    plane.end().await;
    result
}

async fn kept(means: &Means, plane: &Plane, processes: &mut Processes) -> Result<()> {
    let api = &plane.api;
    step("a revision is installed", install(means, plane, processes, "1-9-1")).await?;
    step("root certificates are in every namespace", until_rooted(api, &["default", "kube-system", SYSTEM]))
        .await?;
    ensure!(api.find(&roots("kube-public")).await?.is_none(), "kube-public has one too");
    step("the webhooks trust us, and validation is mandatory", until_trusted(api, "1-9-1")).await?;
    step("a hundred namespaces have them", many(api)).await?;
    step("what is deleted or edited is put back", repaired(api)).await?;
    step("the mesh's configuration is beside a gateway, as long as there is one", gateway(api)).await?;
    step("the next one is installed", install(means, plane, processes, "1-9-2")).await?;
    step("the next revision's webhooks too", until_trusted(api, "1-9-2")).await?;
    ensure!(leader(api).await? == "1-9-1", "{} leads", leader(api).await?);
    step("nothing is written while nothing happens", quiet(api)).await?;
    step("the default revision takes over", takes_over(api)).await?;
    processes.kill("1-9-2").await?;
    step("another one follows who was killed", until_leads(api, "1-9-1")).await?;
    step("nothing was asked for that the manifests do not grant", async { refused(plane) }).await
}

/// Installs a revision as our manifests have it, and starts it here as its service account, with no right beyond those.
async fn install(means: &Means, plane: &Plane, processes: &mut Processes, revision: &str) -> Result<()> {
    let manifests =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests").join(format!("revision-{revision}"));
    let kubectl = || {
        let mut kubectl = Command::new(&means.kubectl);
        kubectl.env("KUBECONFIG", plane.kubeconfig());
        kubectl
    };
    let namespaces = "/api/v1/namespaces";
    if plane.api.find(&format!("{namespaces}/{SYSTEM}")).await?.is_none() {
        plane.api.create(namespaces, &json!({"metadata": {"name": SYSTEM}})).await?;
    }
    testkit::cluster::run(kubectl().args(["apply", "--server-side", "-k"]).arg(manifests)).await?;
    start(processes, &account(plane, revision).await?, revision)
}

/// A kubeconfig of the revision's service account.
async fn account(plane: &Plane, revision: &str) -> Result<PathBuf> {
    let path = format!("/api/v1/namespaces/{SYSTEM}/serviceaccounts/istiod-{revision}/token");
    let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600}});
    let answer = plane.api.create(&path, &asked).await?;
    let token = text(&answer, "/status/token").context("a token")?;
    let admin = std::fs::read_to_string(plane.kubeconfig())?;
    let mut config: Value = serde_saphyr::from_str(&admin)?;
    *config.pointer_mut("/users/0/user").context("a user")? = json!({"token": token});
    let file = plane.kubeconfig().with_file_name(format!("{revision}.json"));
    std::fs::write(&file, config.to_string())?;
    Ok(file)
}

/// Whether the API server has refused anything to a service account of ours.
fn refused(plane: &Plane) -> Result<()> {
    let log = std::fs::read_to_string(plane.audit_log())?;
    let lines = log.lines().filter(|line| line.contains("system:serviceaccount:istio-system:istiod-"));
    let refused: Vec<&str> = lines.clone().filter(|line| line.contains(r#""code":403"#)).take(3).collect();
    ensure!(lines.count() > 0, "nothing was asked for");
    ensure!(refused.is_empty(), "refused: {refused:#?}");
    Ok(())
}

fn start(processes: &mut Processes, kubeconfig: &Path, revision: &str) -> Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
    command.args(["discovery", "--namespace", SYSTEM, "--kubeconfig"]).arg(kubeconfig);
    for port in ["grpcAddr", "secureGRPCAddr", "httpAddr", "httpsAddr", "monitoringAddr"] {
        command.arg(format!("--{port}=127.0.0.1:0"));
    }
    command.arg("--ctrlz_port=0").env("REVISION", revision).env("POD_NAME", format!("istiod-{revision}"));
    Ok(processes.start(revision, &mut command)?)
}

fn roots(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/{ROOTS}")
}

async fn until_rooted(api: &Api, namespaces: &[&str]) -> Result<()> {
    for namespace in namespaces {
        until(&format!("{namespace} has root certificates"), async || is_rooted(api, namespace).await)
            .await?;
    }
    Ok(())
}

async fn is_rooted(api: &Api, namespace: &str) -> Result<bool> {
    let map = api.find(&roots(namespace)).await?;
    let certificates = map.and_then(|map| text(&map, "/data/root-cert.pem"));
    Ok(certificates.is_some_and(|text| text.starts_with("-----BEGIN CERTIFICATE-----")))
}

async fn until_trusted(api: &Api, revision: &str) -> Result<()> {
    for path in [
        format!("{MUTATING}/istio-sidecar-injector-{revision}"),
        format!("{VALIDATING}/istio-validator-{revision}"),
    ] {
        until(&format!("{path} trusts us"), async || {
            let hook = api.get(&path).await?;
            let bundle = text(&hook, "/webhooks/0/clientConfig/caBundle").unwrap_or_default();
            let policy = text(&hook, "/webhooks/0/failurePolicy");
            let is_mandatory = policy.as_deref() == Some("Fail") || path.starts_with(MUTATING);
            Ok(!bundle.is_empty() && is_mandatory)
        })
        .await?;
    }
    Ok(())
}

async fn many(api: &Api) -> Result<()> {
    let names: Vec<String> = (0..MANY).map(|number| format!("many-{number}")).collect();
    for name in &names {
        api.create("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await?;
    }
    let begin = std::time::Instant::now();
    until_rooted(api, &names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    ensure!(begin.elapsed() < Duration::from_secs(5), "it took {:?}", begin.elapsed());
    Ok(())
}

async fn repaired(api: &Api) -> Result<()> {
    api.delete(&roots("default")).await?;
    let waited = until("it is back", async || is_rooted(api, "default").await).await?;
    ensure!(waited < Duration::from_secs(1), "it took {waited:?}");
    api.merge(&roots("default"), &json!({"data": {"root-cert.pem": "mine", "other": "mine"}})).await?;
    let waited = until("it is right again", async || is_rooted(api, "default").await).await?;
    ensure!(waited < Duration::from_secs(1), "it took {waited:?}");
    let map = api.get(&roots("default")).await?;
    ensure!(text(&map, "/data/other").as_deref() == Some("mine"), "what was beside it is gone");
    let hook = format!("{MUTATING}/istio-sidecar-injector-1-9-1");
    let mut object = api.get(&hook).await?;
    if let Some(client) = object.pointer_mut("/webhooks/0/clientConfig").and_then(Value::as_object_mut) {
        client.remove("caBundle");
    }
    api.replace(&hook, &object).await?;
    until_trusted(api, "1-9-1").await
}

async fn gateway(api: &Api) -> Result<()> {
    api.create("/api/v1/namespaces", &json!({"metadata": {"name": "team"}})).await?;
    let map = json!({"name": "config-volume", "configMap": {"name": "istio-1-9-1", "optional": true}});
    let container = json!({"name": "istio-proxy", "image": "none", "volumeMounts":
        [{"name": "config-volume", "mountPath": "/etc/istio/config"}]});
    let labels = json!({"app": "gateway"});
    let deployment = json!({"metadata": {"name": "gateway"}, "spec": {"selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": [map]}}}});
    let deployments = "/apis/apps/v1/namespaces/team/deployments";
    let uid = text(&api.create(deployments, &deployment).await?, "/metadata/uid").context("its uid")?;
    let copy = "/api/v1/namespaces/team/configmaps/istio-1-9-1";
    until("the mesh's configuration is there", async || Ok(api.find(copy).await?.is_some())).await?;
    let made = api.get(copy).await?;
    ensure!(text(&made, "/metadata/ownerReferences/0/uid") == Some(uid), "{made}");
    let source = format!("/api/v1/namespaces/{SYSTEM}/configmaps/istio-1-9-1");
    api.merge(&source, &json!({"data": {"mesh": "accessLogFile: /dev/stdout"}})).await?;
    until("it follows", async || {
        Ok(text(&api.get(copy).await?, "/data/mesh").as_deref() == Some("accessLogFile: /dev/stdout"))
    })
    .await?;
    api.delete(&format!("{deployments}/gateway")).await?;
    until("it goes with the gateway", async || Ok(api.find(copy).await?.is_none())).await?;
    Ok(())
}

/// The revision that puts root certificates into namespaces.
async fn leader(api: &Api) -> Result<String> {
    let lock = format!("/api/v1/namespaces/{SYSTEM}/configmaps/istio-namespace-controller-election");
    let record =
        text(&api.get(&lock).await?, "/metadata/annotations/control-plane.alpha.kubernetes.io~1leader");
    let record: Value = serde_json::from_str(&record.context("a record")?)?;
    text(&record, "/holderKey").context("a holder's key")
}

async fn until_leads(api: &Api, revision: &str) -> Result<()> {
    until(&format!("{revision} leads"), async || Ok(leader(api).await? == revision)).await.map(drop)
}

async fn quiet(api: &Api) -> Result<()> {
    let before = versions(api).await?;
    tokio::time::sleep(QUIET).await;
    let after = versions(api).await?;
    ensure!(before == after, "something was written: {before:?} {after:?}");
    Ok(())
}

/// All that may be written, by name and version, but for the lock.
async fn versions(api: &Api) -> Result<Vec<String>> {
    let mut versions = Vec::new();
    for path in ["/api/v1/configmaps", MUTATING, VALIDATING] {
        let list = api.get(path).await?;
        let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        let ours = items
            .iter()
            .filter(|item| !text(item, "/metadata/name").unwrap_or_default().ends_with("-election"));
        versions.extend(ours.map(|item| format!("{:?}", item.pointer("/metadata/resourceVersion"))));
    }
    Ok(versions)
}

/// The tag `default` makes its revision the one that leads.
async fn takes_over(api: &Api) -> Result<()> {
    let labels = json!({"istio.io/rev": "1-9-2", "istio.io/tag": "default"});
    api.create(MUTATING, &json!({"metadata": {"name": "istio-revision-tag-default", "labels": labels}}))
        .await?;
    let begin = std::time::Instant::now();
    until_leads(api, "1-9-2").await?;
    ensure!(begin.elapsed() < Duration::from_secs(3), "it took {:?}", begin.elapsed());
    api.delete(&format!("{MUTATING}/istio-revision-tag-default")).await?;
    api.delete(&roots("default")).await?;
    until("it is put back by the new leader", async || is_rooted(api, "default").await).await.map(drop)
}
