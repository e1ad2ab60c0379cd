//! What the control plane may do in a cluster, and which code needs it: the table that the manifests are held against.

use std::collections::BTreeSet;

use serde_json::Value;

/// One right: an API group, a resource of it, a verb.
pub(crate) type Right = (String, String, String);

/// Rights with the code that needs them.
pub(crate) struct Need {
    pub(crate) group: &'static str,
    pub(crate) resources: &'static [&'static str],
    pub(crate) verbs: &'static [&'static str],
    /// The folder of the code, from the repository's root.
    pub(crate) code: &'static str,
}

const fn need(
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    code: &'static str,
) -> Need {
    Need { group, resources, verbs, code }
}

/// What a watcher does.
const WATCH: &[&str] = &["list", "watch"];
/// What a watcher of Go's does.
const READ: &[&str] = &["get", "list", "watch"];

/// In every namespace.
pub(crate) const CLUSTER: &[Need] = &[
    need("", &["services", "pods", "nodes", "namespaces"], WATCH, "crates/sources/src"),
    need("discovery.k8s.io", &["endpointslices"], WATCH, "crates/sources/src"),
    need(
        "networking.istio.io",
        &[
            "destinationrules",
            "gateways",
            "proxyconfigs",
            "serviceentries",
            "sidecars",
            "virtualservices",
            "workloadentries",
        ],
        WATCH,
        "crates/sources/src",
    ),
    need("security.istio.io", &["peerauthentications"], WATCH, "crates/sources/src"),
    need("apiextensions.k8s.io", &["customresourcedefinitions"], WATCH, "crates/sources/src"),
    need("", &["configmaps"], READ, "crates/sources/src"),
    need("", &["configmaps"], &["create", "update"], "crates/controllers/src"),
    need(
        "admissionregistration.k8s.io",
        &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        &["get", "list", "watch", "update"],
        "crates/controllers/src",
    ),
    need("apps", &["deployments"], &["get"], "crates/controllers/src"),
    need("authentication.k8s.io", &["tokenreviews"], &["create"], "crates/identity/src"),
];

/// In the control plane's own namespace.
pub(crate) const HOME: &[Need] = &[
    need("", &["secrets"], &["create", "get", "update"], "crates/identity/src"),
    need("networking.istio.io", &["gateways"], &["create"], "crates/controllers/src"),
];

/// What istiod's chart grants in every namespace, as far as it matters here (istiod-surface 2.10): no manifest of ours may
/// ask for more, so that Pilothouse runs under the chart's rights.
pub(crate) const CHART: &[Need] = &[
    need("", &["services", "pods", "nodes", "namespaces", "endpoints", "secrets"], READ, CHARTS),
    need("", &["configmaps"], &["create", "get", "list", "watch", "update"], CHARTS),
    need("", &["services", "serviceaccounts"], ALL, CHARTS),
    need("discovery.k8s.io", &["endpointslices"], READ, CHARTS),
    need("networking.istio.io", &["*"], READ, CHARTS),
    need("networking.istio.io", &["workloadentries", "workloadentries/status"], ALL, CHARTS),
    need("security.istio.io", &["*"], READ, CHARTS),
    need("telemetry.istio.io", &["*"], READ, CHARTS),
    need("extensions.istio.io", &["*"], READ, CHARTS),
    need("networking.k8s.io", &["ingresses", "ingressclasses"], READ, CHARTS),
    need("gateway.networking.k8s.io", &["*"], READ, CHARTS),
    need("apiextensions.k8s.io", &["customresourcedefinitions"], READ, CHARTS),
    need(
        "admissionregistration.k8s.io",
        &["mutatingwebhookconfigurations"],
        &["get", "list", "watch", "update", "patch"],
        CHARTS,
    ),
    need(
        "admissionregistration.k8s.io",
        &["validatingwebhookconfigurations"],
        &["get", "list", "watch", "update"],
        CHARTS,
    ),
    need("authentication.k8s.io", &["tokenreviews"], &["create"], CHARTS),
    need("authorization.k8s.io", &["subjectaccessreviews"], &["create"], CHARTS),
    need("apps", &["deployments"], ALL, CHARTS),
    need("autoscaling", &["horizontalpodautoscalers"], ALL, CHARTS),
    need("policy", &["poddisruptionbudgets"], ALL, CHARTS),
];

/// What istiod's chart grants in its own namespace.
pub(crate) const CHART_HOME: &[Need] = &[
    need("networking.istio.io", &["gateways"], &["create"], CHARTS),
    need("", &["secrets"], &["create", "get", "watch", "list", "update", "delete"], CHARTS),
    need("", &["configmaps"], &["delete"], CHARTS),
    need("coordination.k8s.io", &["leases"], &["get", "update", "patch", "create"], CHARTS),
];

const CHARTS: &str = "istiod's chart";
const ALL: &[&str] = &["get", "watch", "list", "update", "patch", "create", "delete"];

/// The single rights of a table.
pub(crate) fn of_table(needs: &[Need]) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for need in needs {
        for resource in need.resources {
            let right = |verb: &&str| (need.group.to_owned(), (*resource).to_owned(), (*verb).to_owned());
            rights.extend(need.verbs.iter().map(right));
        }
    }
    rights
}

/// The single rights of a Role or ClusterRole.
pub(crate) fn of_role(role: &Value) -> BTreeSet<Right> {
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        let values = rule[field].as_array().into_iter().flatten();
        values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                let right = |verb| (group.clone(), resource.clone(), verb);
                rights.extend(texts(rule, "verbs").into_iter().map(right));
            }
        }
    }
    rights
}

/// Whether a set of rights has this one, by name or by `*`.
pub(crate) fn grants(granted: &BTreeSet<Right>, (group, resource, verb): &Right) -> bool {
    let has = |resource: &str| granted.contains(&(group.clone(), resource.to_owned(), verb.clone()));
    has(resource) || has("*")
}
