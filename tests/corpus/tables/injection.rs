//! Injection: whether, where and with what, each asked of the webhook with a small template.

use serde_json::{Map, Value, json};
use webhook::{NativeSidecars, is_system_namespace};

use super::pods::{Setup, pod, proxy, variable};
use super::{flag, list, text};

/// The checks of injection.
pub(super) fn compute(check: &str, inputs: &Value) -> Option<Result<Value, String>> {
    Some(match check {
        "inject-required" => required(inputs),
        "inject-system-namespaces" => Ok(json!({"expected": is_system_namespace(text(inputs, "ns"))})),
        "inject-url-env" => environment(text(inputs, "in")),
        "inject-native-sidecar-detect" => detected(inputs),
        "inject-native-sidecar-annotation" => place(inputs),
        "inject-prometheus-merge" => merges(inputs),
        "inject-scrape-targets" => scrapes(inputs)?,
        "inject-rewrite-probes" => rewrites(inputs),
        "inject-grpc-probers" => told(inputs),
        "inject-probers" => merged(inputs),
        "inject-annotations-valid" => Ok(refused(&inputs["annotations"])),
        "inject-resource-quantity" => Ok(refused(&json!({"sidecar.istio.io/proxyCPU": inputs["value"]}))),
        "inject-multus" => networks(inputs),
        "inject-container-ports" => ports(inputs),
        "inject-otel-attributes" => attributes(inputs),
        "inject-omit-nil" => Setup { values: json!({"in": inputs["in"]}), ..Setup::default() }
            .evaluate("omitNil .Values.in", pod(&json!({})))
            .map(|out| json!({"want": out})),
        _ => return None,
    })
}

fn injected(setup: &Setup, pod: Value) -> Result<Value, String> {
    setup.inject(pod)?.ok_or_else(|| "it is left as it is".to_owned())
}

fn required(inputs: &Value) -> Result<Value, String> {
    let setup = Setup { config: inputs["config"].clone(), ..Setup::default() };
    let after = setup.inject(json!({"metadata": inputs["meta"], "spec": inputs["podSpec"]}))?;
    Ok(json!({"want": after.is_some()}))
}

fn environment(path: &str) -> Result<Value, String> {
    let after = Setup::default().review(path, pod(&json!({})))?;
    let (_, proxy) = proxy(&after).ok_or("there is no proxy")?;
    let variables = list(proxy, "env").map(|one| (text(one, "name").to_owned(), one["value"].clone()));
    Ok(json!({"want": variables.collect::<Map<_, _>>()}))
}

fn detected(inputs: &Value) -> Result<Value, String> {
    let mode = match text(inputs, "mode") {
        "enabled" => "true",
        "disabled" => "false",
        other => other,
    };
    let version = |node: &Value| text(&node["status"]["nodeInfo"], "kubeletVersion").to_owned();
    let nodes = list(inputs, "nodes").map(version).collect();
    let setup = Setup { native: NativeSidecars::parse(mode), nodes, ..Setup::default() };
    let out = setup.evaluate(".NativeSidecars", pod(&json!({})))?;
    Ok(json!({"want": out}))
}

fn place(inputs: &Value) -> Result<Value, String> {
    let native = if flag(inputs, "nativeSidecar") { NativeSidecars::On } else { NativeSidecars::Off };
    let after = injected(&Setup { native, ..Setup::default() }, pod(&inputs["annotations"]))?;
    Ok(json!({"expectContainer": proxy(&after).map(|(place, _)| place)}))
}

fn merges(inputs: &Value) -> Result<Value, String> {
    let mesh = if inputs["mesh"].is_null() { json!({}) } else { inputs["mesh"].clone() };
    let after = injected(&Setup { mesh, ..Setup::default() }, pod(&inputs["anno"]))?;
    let is = after.pointer("/metadata/annotations/prometheus.io~1port").is_some_and(|port| port == "15020");
    Ok(json!({"want": is}))
}

/// What the agent is told. Where no port is said it is told the first target's, as by istiod in a later step.
fn scrapes(inputs: &Value) -> Option<Result<Value, String>> {
    let annotations = &inputs["annotations"];
    annotations.get("prometheus.io/port")?;
    let setup = Setup { mesh: json!({"enablePrometheusMerge": true}), ..Setup::default() };
    let scrape = |after: Value| {
        let told = variable(&after, "ISTIO_PROMETHEUS_ANNOTATIONS").unwrap_or("{}");
        let told: Value = serde_json::from_str(told).map_err(|error| error.to_string())?;
        Ok(json!({"wantPort": told["port"], "wantPath": told["path"], "wantTargets": told["targets"]}))
    };
    Some(injected(&setup, pod(annotations)).and_then(scrape))
}

fn rewriting(is: bool) -> Setup {
    Setup { values: json!({"sidecarInjectorWebhook": {"rewriteAppHTTPProbe": is}}), ..Setup::default() }
}

fn rewrites(inputs: &Value) -> Result<Value, String> {
    let mut pod = pod(&inputs["annotations"]);
    pod["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"path": "/live", "port": 80}});
    let after = injected(&rewriting(flag(inputs, "specSetting")), pod)?;
    let path = after.pointer("/spec/containers/0/livenessProbe/httpGet/path");
    Ok(json!({"expected": path.is_some_and(|path| path == "/app-health/app/livez")}))
}

fn told(inputs: &Value) -> Result<Value, String> {
    let after = injected(&rewriting(true), inputs["pod"].clone())?;
    Ok(json!({"expected": variable(&after, "ISTIO_KUBE_APP_PROBERS")}))
}

/// A pod whose liveness probes are those that are told, with variables of the proxy from before.
fn merged(inputs: &Value) -> Result<Value, String> {
    let probers: Value = serde_json::from_str(text(inputs, "probers")).map_err(|error| error.to_string())?;
    let container = |(path, prober): (&String, &Value)| {
        let name = path.strip_prefix("/app-health/")?.strip_suffix("/livez")?;
        Some(json!({"name": name, "livenessProbe": prober}))
    };
    let mut containers: Vec<Value> =
        probers.as_object().into_iter().flatten().filter_map(container).collect();
    containers.push(json!({"name": "istio-proxy", "env": inputs["in"]}));
    let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": containers}});
    if flag(inputs, "perviouslyInjected") {
        pod["metadata"]["annotations"] = json!({"sidecar.istio.io/status": "{}"});
    }
    let after = injected(&rewriting(true), pod)?;
    Ok(json!({"want": proxy(&after).map(|(_, proxy)| proxy["env"].clone())}))
}

fn refused(annotations: &Value) -> Value {
    json!({"wantErr": Setup::default().inject(pod(annotations)).is_err()})
}

/// Asked of its own answer, the function changes nothing.
fn networks(inputs: &Value) -> Result<Value, String> {
    let once = "appendMultusNetwork (index .ObjectMeta.Annotations `in`) `istio-cni`";
    let twice = format!("appendMultusNetwork ({once}) `istio-cni`");
    let annotated = || pod(&json!({"in": inputs["in"]}));
    let (one, two) =
        (Setup::default().evaluate(once, annotated())?, Setup::default().evaluate(&twice, annotated())?);
    if one != two {
        return Err(format!("twice gives {two}"));
    }
    Ok(json!({"want": one}))
}

fn ports(inputs: &Value) -> Result<Value, String> {
    let mut pod = pod(&json!({}));
    pod["spec"]["containers"][0]["ports"] = inputs["c"]["ports"].clone();
    let ports = Setup::default().evaluate("includeInboundPorts .Spec.Containers", pod)?;
    let ports = ports.as_str().unwrap_or_default().split(',').filter(|port| !port.is_empty());
    Ok(json!({"ports": ports.collect::<Vec<_>>()}))
}

fn attributes(inputs: &Value) -> Result<Value, String> {
    let mut mesh = inputs["mc"].clone();
    mesh["enablePrometheusMerge"] = false.into();
    let pod = json!({
        "metadata": {
            "name": "p",
            "namespace": inputs["namespace"],
            "annotations": inputs["annotations"],
            "labels": inputs["labels"],
        },
        "spec": {"containers": inputs["containers"]},
    });
    let expression = "otelResourceAttributes .MeshConfig .ObjectMeta.Annotations .ObjectMeta.Labels \
                      .ObjectMeta.Namespace .Spec.Containers";
    let out = Setup { mesh, ..Setup::default() }.evaluate(expression, pod)?;
    Ok(json!({"want": out}))
}
