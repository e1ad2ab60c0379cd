//! `registryz`, `endpointShardz`: services and their endpoints, in the shape of istiod's own types.

use model::networking::ExportTo;
use model::{Endpoint, Health, Labels, Registry, Resolution, Service, TlsMode};
use serde_json::{Map, Value, json};

use crate::State;
use crate::debug::{Query, Refusal};

/// All services, oldest first.
pub(super) fn services(state: &State, _: &Query) -> Result<Value, Refusal> {
    Ok(state.snapshot().services.all().map(|service| one(service)).collect())
}

/// Host → namespace → where the endpoints are from → endpoints.
pub(super) fn endpoints(state: &State, _: &Query) -> Result<Value, Refusal> {
    let snapshot = state.snapshot();
    let mut hosts = Map::new();
    for service in snapshot.services.all() {
        let found = snapshot.endpoints.of(&service.host, &service.namespace);
        let mut shards = Map::new();
        for endpoint in found.iter().flat_map(|found| &found.endpoints) {
            let shard = format!("{}/{}", registry(service.registry), endpoint.workload.cluster);
            let list = shards.entry(shard).or_insert_with(|| json!([]));
            list.as_array_mut().into_iter().for_each(|list| list.push(endpoint_of(endpoint)));
        }
        let accounts = snapshot.endpoints.facts.accounts(&service.host, &service.namespace);
        let accounts = accounts.iter().flat_map(|accounts| accounts.iter());
        let accounts: Map<_, _> = accounts.map(|account| (account.to_string(), json!({}))).collect();
        let namespaces = hosts.entry(service.host.to_string()).or_insert_with(|| json!({}));
        let shown = json!({"Shards": shards, "ServiceAccounts": accounts});
        namespaces
            .as_object_mut()
            .into_iter()
            .for_each(|all| drop(all.insert(service.namespace.to_string(), shown.clone())));
    }
    Ok(Value::Object(hosts))
}

pub(super) fn one(service: &Service) -> Value {
    let ports = service
        .ports
        .iter()
        .map(|port| json!({"name": &*port.name, "port": port.number, "protocol": port.protocol.name()}));
    let vips = service
        .cluster_vips
        .iter()
        .map(|(cluster, vips)| (cluster.to_string(), vips.iter().map(|vip| Value::from(&**vip)).collect()));
    json!({
        "Attributes": {
            "ServiceRegistry": registry(service.registry),
            "Name": &*service.name,
            "Namespace": &*service.namespace,
            "Labels": labels(&service.labels),
            "LabelSelectors": service.selector.as_ref().map(labels),
            "ExportTo": export_to(&service.export_to),
        },
        "ports": ports.collect::<Value>(),
        "serviceAccounts": service.accounts.iter().map(|account| Value::from(&**account)).collect::<Value>(),
        "hostname": service.host.as_str(),
        "clusterVIPs": {"Addresses": vips.collect::<Map<String, Value>>()},
        "defaultAddress": &*service.address,
        "Resolution": resolution(service.resolution),
        "MeshExternal": service.external,
    })
}

fn endpoint_of(endpoint: &Endpoint) -> Value {
    let workload = &endpoint.workload;
    let tls = match &workload.tls_mode {
        TlsMode::Disabled => "disabled",
        TlsMode::Istio => "istio",
        TlsMode::Other(word) => word,
    };
    json!({
        "Labels": labels(&workload.labels),
        "Addresses": endpoint.addresses.iter().map(|address| Value::from(&**address)).collect::<Value>(),
        "ServicePortName": &*endpoint.port_name,
        "ServiceAccount": &*workload.identity,
        "Network": &*workload.network,
        "Locality": {"Label": &*workload.locality, "ClusterID": &*workload.cluster},
        "EndpointPort": endpoint.port,
        "LbWeight": endpoint.weight,
        "TLSMode": tls,
        "Namespace": &*workload.namespace,
        "WorkloadName": &*workload.workload,
        "HostName": &*workload.hostname,
        "SubDomain": &*workload.subdomain,
        "HealthStatus": health(endpoint.health),
        "NodeName": &*workload.node,
    })
}

fn labels(labels: &Labels) -> Value {
    let pairs = labels.iter().map(|(key, value)| (key.to_string(), Value::from(&**value)));
    Value::Object(pairs.collect())
}

fn export_to(export_to: &ExportTo) -> Value {
    match export_to {
        ExportTo::Unset => json!({}),
        ExportTo::Public => json!({"*": {}}),
        ExportTo::Namespaces(list) if list.is_empty() => json!({"~": {}}),
        ExportTo::Namespaces(list) => {
            Value::Object(list.iter().map(|namespace| (namespace.to_string(), json!({}))).collect())
        }
    }
}

fn registry(registry: Registry) -> &'static str {
    match registry {
        Registry::Kubernetes => "Kubernetes",
        Registry::External => "External",
    }
}

/// The numbers are those of istiod's type.
fn resolution(resolution: Resolution) -> u8 {
    match resolution {
        Resolution::Static => 0,
        Resolution::Dns => 1,
        Resolution::DnsRoundRobin => 2,
        Resolution::Passthrough => 3,
        Resolution::DynamicDns => 4,
        Resolution::Alias => 5,
    }
}

/// The numbers are those of istiod's type.
fn health(health: Health) -> u8 {
    match health {
        Health::Unknown => 0,
        Health::Healthy => 1,
        Health::Unhealthy => 2,
        Health::Draining => 3,
        Health::Terminating => 4,
    }
}
