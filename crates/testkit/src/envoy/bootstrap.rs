//! One static bootstrap out of everything that one proxy was served.

use serde_json::{Value, json};

use crate::offline::Answer;

/// Clusters that a proxy has from its own bootstrap, so that resources may name them.
const OWN_CLUSTERS: [&str; 4] = ["prometheus_stats", "agent", "sds-grpc", "xds-grpc"];

/// A bootstrap in which Envoy reads every resource of an answer, none of it left out or changed:
///
/// * clusters and listeners stand as static resources; EDS clusters keep their reference to ADS;
/// * a connection manager that refers to served routes gets them inline, for Envoy fetches nothing when it
///   validates; routes that no listener names get a listener of their own;
/// * each endpoint assignment gets a cluster of its own, of static type, or DNS if an endpoint has a host name.
pub fn bootstrap(answer: &Answer) -> Value {
    let mut clusters: Vec<Value> = resources(answer, "cds").cloned().collect();
    let served = |name: &str| answer.of("cds").iter().any(|(served, _)| served == name);
    clusters.extend(OWN_CLUSTERS.iter().filter(|name| !served(name)).map(|name| own_cluster(name)));
    clusters.extend(resources(answer, "eds").enumerate().map(|(index, one)| endpoint_probe(index, one)));
    let mut listeners: Vec<Value> = resources(answer, "lds").cloned().collect();
    let mut used = Vec::new();
    for listener in &mut listeners {
        inline_routes(listener, answer, &mut used);
    }
    let unused = answer.of("rds").iter().filter(|(name, _)| !used.contains(name));
    listeners.extend(unused.enumerate().map(|(index, (_, routes))| route_probe(index, routes)));
    json!({
        "node": {"id": "validate", "cluster": "validate"},
        "bootstrapExtensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typedConfig": {
                "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
            },
        }],
        "dynamicResources": {"adsConfig": {
            "apiType": "DELTA_GRPC",
            "transportApiVersion": "V3",
            "grpcServices": [{"envoyGrpc": {"clusterName": "xds-grpc"}}],
        }},
        "staticResources": {"clusters": clusters, "listeners": listeners},
    })
}

fn resources<'a>(answer: &'a Answer, kind: &str) -> impl Iterator<Item = &'a Value> {
    answer.of(kind).iter().map(|(_, resource)| resource)
}

fn own_cluster(name: &str) -> Value {
    let http2 = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicitHttpConfig": {"http2ProtocolOptions": {}},
    });
    json!({
        "name": name,
        "type": "STATIC",
        "connectTimeout": "1s",
        "typedExtensionProtocolOptions": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
        "loadAssignment": {"clusterName": name},
    })
}

fn endpoint_probe(index: usize, assignment: &Value) -> Value {
    let is_name =
        |address: &Value| address.as_str().is_some_and(|text| text.parse::<std::net::IpAddr>().is_err());
    let dns = find(assignment, "socketAddress").iter().any(|socket| is_name(&socket["address"]));
    json!({
        "name": format!("probe-endpoints-{index}"),
        "type": if dns { "STRICT_DNS" } else { "STATIC" },
        "connectTimeout": "1s",
        "loadAssignment": assignment,
    })
}

fn route_probe(index: usize, routes: &Value) -> Value {
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "statPrefix": "probe",
        "routeConfig": as_served(routes),
        "httpFilters": [{"name": "envoy.filters.http.router", "typedConfig": {"@type": router}}],
    });
    let filter = json!({"name": "envoy.filters.network.http_connection_manager", "typedConfig": manager});
    json!({
        "name": format!("probe-routes-{index}"),
        "internalListener": {},
        "filterChains": [{"filters": [filter]}],
    })
}

/// Puts served routes in the place of every reference to them below a listener, and notes their names.
fn inline_routes(value: &mut Value, answer: &Answer, used: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|element| inline_routes(element, answer, used)),
        Value::Object(fields) => {
            let name = fields.get("rds").and_then(|rds| rds["routeConfigName"].as_str()).map(str::to_owned);
            let routes =
                name.as_ref().and_then(|name| answer.of("rds").iter().find(|(served, _)| served == name));
            if let Some((name, routes)) = routes {
                fields.remove("rds");
                fields.insert("routeConfig".to_owned(), as_served(routes));
                used.push(name.clone());
            }
            fields.values_mut().for_each(|field| inline_routes(field, answer, used));
        }
        _ => {}
    }
}

/// Routes that are served name clusters freely unless they say otherwise; static ones do not.
fn as_served(routes: &Value) -> Value {
    let mut routes = routes.clone();
    if let Some(fields) = routes.as_object_mut() {
        fields.entry("validateClusters").or_insert(Value::Bool(false));
    }
    routes
}

/// All values of a field, wherever it occurs.
fn find<'a>(value: &'a Value, field: &str) -> Vec<&'a Value> {
    match value {
        Value::Array(list) => list.iter().flat_map(|element| find(element, field)).collect(),
        Value::Object(fields) => {
            let below = fields.values().flat_map(|inner| find(inner, field));
            fields.get(field).into_iter().chain(below).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(resources: &[(&str, &str, Value)]) -> Answer {
        let mut answer = Answer::default();
        for (kind, name, resource) in resources {
            answer
                .resources
                .entry((*kind).to_owned())
                .or_default()
                .push(((*name).to_owned(), resource.clone()));
        }
        answer
    }

    #[test]
    fn served_routes_stand_inline_and_others_get_a_listener() {
        let listener =
            json!({"filterChains": [{"filters": [{"typedConfig": {"rds": {"routeConfigName": "80"}}}]}]});
        let answer = answer(&[
            ("lds", "l", listener),
            ("rds", "80", json!({"name": "80"})),
            ("rds", "81", json!({"name": "81", "validateClusters": true})),
        ]);
        let made = bootstrap(&answer);
        let listeners = &made["staticResources"]["listeners"];
        let config = &listeners[0]["filterChains"][0]["filters"][0]["typedConfig"];
        assert_eq!(config, &json!({"routeConfig": {"name": "80", "validateClusters": false}}));
        let probe = &listeners[1]["filterChains"][0]["filters"][0]["typedConfig"]["routeConfig"];
        assert_eq!(probe, &json!({"name": "81", "validateClusters": true}));
        assert_eq!(listeners.as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn a_reference_to_routes_that_were_not_served_stays() {
        let listener = json!({"filterChains": [{"rds": {"routeConfigName": "80"}}]});
        let made = bootstrap(&answer(&[("lds", "l", listener.clone())]));
        assert_eq!(made["staticResources"]["listeners"], json!([listener]));
    }

    #[test]
    fn endpoints_get_a_cluster_of_their_own() {
        let at = |address: &str| json!({"endpoints": [{"socketAddress": {"address": address}}]});
        let made = bootstrap(&answer(&[("eds", "a", at("10.0.0.1")), ("eds", "b", at("a.example"))]));
        let clusters = made["staticResources"]["clusters"].as_array().expect("clusters").clone();
        let probes: Vec<&Value> = clusters.iter().filter(|one| find(one, "endpoints").len() == 1).collect();
        assert_eq!(probes[0]["type"], "STATIC");
        assert_eq!(probes[0]["loadAssignment"], at("10.0.0.1"));
        assert_eq!(probes[1]["type"], "STRICT_DNS");
    }

    #[test]
    fn a_proxys_own_clusters_are_added_unless_served() {
        let made = bootstrap(&answer(&[("cds", "agent", json!({"name": "agent"}))]));
        let clusters = made["staticResources"]["clusters"].as_array().expect("clusters").clone();
        assert_eq!(clusters.iter().filter(|one| one["name"] == "agent").count(), 1);
        assert_eq!(clusters.len(), 4);
    }
}
