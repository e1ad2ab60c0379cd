//! A pod, injected by a template of a few lines, as the webhook injects it.

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::family::inject::{apply, question};
use webhook::{Configuration, Injected, Injector, Mesh, NativeSidecars, Settings, Surroundings, Values};

/// The proxy's container.
pub(super) const PROXY: &str = "istio-proxy";

/// A template that adds the proxy where Istio's own does.
const SIDECAR: &str = r#"
spec:
  {{ if ne (index .ObjectMeta.Annotations `sidecar.istio.io/nativeSidecar` | default (printf "%t" .NativeSidecars)) "false" }}initContainers{{ else }}containers{{ end }}:
  - name: istio-proxy
    image: auto
"#;

/// What is injected, and how; metrics are left as they are unless the mesh says otherwise.
pub(super) struct Setup {
    /// The `config` key, without its templates.
    pub(super) config: Value,
    pub(super) template: String,
    pub(super) values: Value,
    pub(super) mesh: Value,
    pub(super) native: NativeSidecars,
    /// Versions of kubelets.
    pub(super) nodes: Vec<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: json!({"policy": "enabled"}),
            template: SIDECAR.to_owned(),
            values: json!({}),
            mesh: json!({"enablePrometheusMerge": false}),
            native: NativeSidecars::Off,
            nodes: Vec::new(),
        }
    }
}

impl Setup {
    /// The pod as it comes out; `None` if it is left as it is.
    pub(super) fn inject(&self, pod: Value) -> Result<Option<Value>, String> {
        let injected = self.injector()?.inject(pod, "default", [].into());
        match injected.map_err(|error| error.to_string())? {
            Injected::Skipped => Ok(None),
            Injected::Pod { after, .. } => Ok(Some(after)),
        }
    }

    /// The pod as it comes out when an API server asks at this path.
    pub(super) fn review(&self, path: &str, mut pod: Value) -> Result<Value, String> {
        let (answer, _) = self.injector()?.review(path, question(&pod, "default").to_string().as_bytes());
        let answer = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        apply(&answer, &mut pod)?;
        Ok(pod)
    }

    fn injector(&self) -> Result<Injector, String> {
        let wrong = |error: webhook::Error| error.to_string();
        let mut config = self.config.clone();
        config["templates"] = json!({"sidecar": self.template});
        let nodes = self.nodes.iter().enumerate();
        let nodes = nodes.map(|(at, version)| (format!("node-{at}"), version.clone())).collect();
        Ok(Injector {
            configuration: Arc::new(Configuration::parse(&config.to_string()).map_err(wrong)?),
            values: Arc::new(Values::parse(&self.values.to_string()).map_err(wrong)?),
            mesh: Arc::new(Mesh::parse([self.mesh.to_string().as_str()]).map_err(wrong)?),
            around: Arc::new(Surroundings { nodes, ..Surroundings::default() }),
            settings: Arc::new(Settings { native_sidecars: self.native, ..Settings::default() }),
            environment: Arc::default(),
        })
    }

    /// What an expression of a template gives for a pod.
    pub(super) fn evaluate(self, expression: &str, pod: Value) -> Result<Value, String> {
        let template =
            format!("metadata:\n  annotations:\n    out: {{{{ {expression} | toJson | toJson }}}}\n");
        let pod = Self { template, ..self }.inject(pod)?.ok_or("it is left as it is")?;
        let out = pod.pointer("/metadata/annotations/out").and_then(Value::as_str).unwrap_or("null");
        serde_json::from_str(out).map_err(|error| format!("{out}: {error}"))
    }
}

/// A pod of one container, with these annotations.
pub(super) fn pod(annotations: &Value) -> Value {
    json!({"metadata": {"name": "p", "annotations": annotations}, "spec": {"containers": [{"name": "app"}]}})
}

/// The list in which the proxy stands, and the proxy.
pub(super) fn proxy(pod: &Value) -> Option<(&'static str, &Value)> {
    ["containers", "initContainers"].into_iter().find_map(|field| {
        let containers = pod.pointer(&format!("/spec/{field}"))?.as_array()?;
        Some((field, containers.iter().find(|one| one["name"] == PROXY)?))
    })
}

/// A variable of the proxy.
pub(super) fn variable<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    let variables = proxy(pod)?.1["env"].as_array()?;
    variables.iter().find(|one| one["name"] == name)?["value"].as_str()
}
