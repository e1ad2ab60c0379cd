//! Both webhooks as an API server meets them: over TLS, with what the cluster's ConfigMap says now.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::api::Api;
use crate::identity::{Root, plugged_in};
use crate::{PATIENCE, Running, get};

const MAP: &str = "istio-sidecar-injector-r1";
const VALUES: &str = r#"{"global": {"hub": "hub", "tag": "1"}}"#;
/// The name by which the API server calls a revision's Service.
const HOST: &str = "istiod-r1.mesh.svc";

fn config(image: &str) -> String {
    format!(
        "policy: enabled\ntemplates:\n  sidecar: |\n    spec:\n      containers:\n      - name: istio-proxy\n        \
         image: {image}\n        args: [{{{{ .MeshConfig.TrustDomain }}}}]\n"
    )
}

/// A port, and who calls it.
struct Webhooks {
    address: String,
    client: TlsConnector,
}

impl Webhooks {
    fn new(address: String, root: &Root) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let client = builder.with_root_certificates(roots).with_no_client_auth();
        Self { address, client: Arc::new(client).into() }
    }

    /// Status and body of the answer.
    async fn call(&self, method: &str, path: &str, kind: &str, body: &str) -> (u16, String) {
        let socket = TcpStream::connect(&self.address).await.unwrap();
        let mut stream = self.client.connect(HOST.try_into().unwrap(), socket).await.unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: \
             {length}\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        // A server that closes without a last word is none of this test's business.
        let _ = stream.read_to_string(&mut answer).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn review(&self, path: &str, object: Value) -> Value {
        let (status, answer) = self.call("POST", path, "application/json", &question(&object)).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<Value>(&answer).unwrap()["response"].clone()
    }

    /// What an injected pod is, as the patch says it.
    async fn injected(&self) -> String {
        let answer = self.review("/inject/cluster/c1", pod()).await;
        let patch = answer["patch"].as_str().unwrap_or_else(|| panic!("{answer}"));
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(patch).unwrap()).unwrap()
    }

    async fn until_injected_with(&self, part: &str) {
        let waiting = async {
            while !self.injected().await.contains(part) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("never injected with {part}"));
    }
}

/// An AdmissionReview that asks for an object.
fn question(object: &Value) -> String {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u", "operation": "CREATE", "namespace": "shop", "object": object}})
    .to_string()
}

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "a", "image": "i"}]}})
}

/// A control plane of the cluster that has said this, where it serves webhooks and where its pages.
fn start(folder: &Path, kubeconfig: &Path, said: &str) -> (Running, String, String) {
    let running = of_cluster(folder, kubeconfig, "127.0.0.1:0");
    // Whichever comes first.
    let [pages, webhooks, _] =
        running.says_all(["serving readiness", "webhooks will be served over TLS", said]);
    let address = |line: &str| line.rsplit_once("address=").unwrap().1.to_owned();
    (running, address(&webhooks), address(&pages))
}

fn of_cluster(folder: &Path, kubeconfig: &Path, https: &str) -> Running {
    let flags = ["--kubeconfig", kubeconfig.to_str().unwrap(), "-n", "mesh", "--secureGRPCAddr", ""];
    let environment = [("REVISION", "r1"), ("ROOT_CA_DIR", folder.to_str().unwrap())];
    Running::of_cluster(&[&flags[..], &["--httpsAddr", https]].concat(), &environment)
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_injected_with_what_the_config_map_says_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = plugged_in(folder.path());
    let (api, kubeconfig) = Api::start(folder.path(), MAP).await;
    api.put(&[("config", &config("one")), ("values", VALUES)]);
    let said = "pods are injected as ConfigMap mesh/istio-sidecar-injector-r1 says";
    let (running, address, pages) = start(folder.path(), &kubeconfig, said);
    let webhooks = Webhooks::new(address, &root);

    let injected = webhooks.injected().await;
    for part in [r#""image":"one""#, r#""args":["here"]"#, r#""value":"c1""#, r#"\"revision\":\"r1\""#] {
        assert!(injected.contains(part), "{part}: {injected}");
    }
    assert_eq!(webhooks.call("POST", "/inject", "application/json", "").await.0, 400);
    assert_eq!(webhooks.call("POST", "/inject", "text/plain", "{}").await.0, 415);
    assert_eq!(webhooks.call("GET", "/nonsense", "", "").await.0, 404);
    assert_eq!(webhooks.call("GET", "/ready", "", "").await.0, 200);
    let rule = json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": "a"}, "spec": {"host": ""}});
    let answer = webhooks.review("/validate", rule).await;
    assert_eq!(answer["allowed"], false, "{answer}");

    api.put(&[("config", &config("two")), ("values", VALUES)]);
    webhooks.until_injected_with(r#""image":"two""#).await;
    api.put(&[("config", &config("{{ nonsense }}")), ("values", VALUES)]);
    let told = running.says("what it said before holds");
    assert!(told.contains("template \"sidecar\" cannot be parsed"), "{told}");
    assert!(webhooks.injected().await.contains(r#""image":"two""#));

    let metrics = get(&pages, "/metrics");
    let counted =
        ["sidecar_injection_requests_total ", "galley_validation_failed{", "citadel_server_csr_count 0"];
    for line in counted.into_iter().chain(["pilothouse_injection_config_refused 1"]) {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(get(&pages, "/ready").contains("injection: ConfigMap mesh/istio-sidecar-injector-r1: template"));
    assert!(get(&pages, "/debug/problems").contains("injection-unusable"));
    assert!(get(&pages, "/debug/inject").contains("image: two"));
    assert!(get(&pages, "/debug/mesh").contains(r#""trustDomain":"here""#));
    api.put(&[("config", &config("three")), ("values", VALUES)]);
    running.says("this is not wrong any more");
    webhooks.until_injected_with(r#""image":"three""#).await;
    assert!(running.end());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_config_map_nothing_is_injected_and_the_rest_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let root = plugged_in(folder.path());
    let (api, kubeconfig) = Api::start(folder.path(), MAP).await;
    let said = "there is none; no pod can be injected";
    let (running, address, pages) = start(folder.path(), &kubeconfig, said);
    let webhooks = Webhooks::new(address, &root);
    assert_eq!(webhooks.call("POST", "/inject", "application/json", "{}").await.0, 503);
    let ready = get(&pages, "/ready");
    assert!(ready.starts_with("HTTP/1.1 200 ") && ready.contains("no pod can be injected"), "{ready}");
    api.put(&[("config", &config("one")), ("values", VALUES)]);
    running.says("pods are injected as");
    webhooks.until_injected_with(r#""image":"one""#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_port_of_their_own_webhooks_are_served_beside_the_pages() {
    let folder = tempfile::tempdir().unwrap();
    let (api, kubeconfig) = Api::start(folder.path(), MAP).await;
    api.put(&[("config", &config("one")), ("values", VALUES)]);
    let running = of_cluster(folder.path(), &kubeconfig, "");
    let [pages, _] = running.says_all(["serving readiness", "pods are injected as"]);
    let mut stream = TcpStream::connect(pages.rsplit_once("address=").unwrap().1).await.unwrap();
    let body = question(&pod());
    let head = "POST /inject HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(r#""patchType":"JSONPatch""#), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cluster_the_files_are_read_that_a_chart_mounts() {
    let folder = tempfile::tempdir().unwrap();
    let root = plugged_in(folder.path());
    let home = tempfile::tempdir().unwrap();
    let files = home.path().join("var/lib/istio/inject");
    fs::create_dir_all(&files).unwrap();
    fs::write(files.join("config"), config("one")).unwrap();
    fs::write(files.join("values"), VALUES).unwrap();
    let flags = ["--httpsAddr", "127.0.0.1:0", "-n", "mesh"];
    let environment = [("REVISION", "r1"), ("ROOT_CA_DIR", folder.path().to_str().unwrap())];
    let running = Running::start_in(home, &flags, &environment);
    let [line, _] = running.says_all(["webhooks will be served over TLS", "pods are injected as"]);
    let webhooks = Webhooks::new(line.rsplit_once("address=").unwrap().1.to_owned(), &root);
    assert!(webhooks.injected().await.contains(r#""image":"one""#));
    fs::write(files.join("config"), config("two")).unwrap();
    webhooks.until_injected_with(r#""image":"two""#).await;
}
