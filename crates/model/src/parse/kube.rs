//! Kubernetes' own kinds: Namespace, Node, Service, EndpointSlice, Pod.

use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value as Json;

use super::decode;
use crate::key::Meta;
use crate::kube::{
    EndpointSlice, Namespace, Node, Pod, Port, Service, ServiceType, SliceEndpoint, is_mesh_folder,
};
use crate::service::TargetPort;
use crate::{Host, Kind, Labels, Problem, Text, Value};

/// The value of a Kubernetes object; `None` if it is of another kind or of no use.
pub(crate) fn parse(meta: &Meta, object: &Json, problems: &mut Vec<Problem>) -> Option<Value> {
    let meta = meta.clone();
    let key = meta.key.clone();
    Some(match key.kind {
        Kind::Namespace => {
            decode::<core::Namespace>(object, "", &key, problems)?;
            Value::Namespace(Namespace { meta }.into())
        }
        Kind::Node => {
            let node = decode::<core::Node>(object, "", &key, problems)?;
            let kubelet = node.status.and_then(|status| status.node_info).map(|info| info.kubelet_version);
            Value::Node(Node { meta, kubelet: kubelet.unwrap_or_default().into() }.into())
        }
        Kind::Service => Value::Service(service(meta, decode(object, "", &key, problems)?, problems).into()),
        Kind::EndpointSlice => {
            Value::EndpointSlice(slice(meta, decode(object, "", &key, problems)?, problems).into())
        }
        Kind::Pod => Value::Pod(pod(meta, decode(object, "", &key, problems)?).into()),
        _ => return None,
    })
}

fn service(meta: Meta, object: core::Service, problems: &mut Vec<Problem>) -> Service {
    let spec = object.spec.unwrap_or_default();
    let cluster_ips = cluster_ips(spec.cluster_ip, spec.cluster_ips, &meta, problems);
    let ports = spec.ports.unwrap_or_default();
    Service {
        kind: match spec.type_.as_deref() {
            Some("NodePort") => ServiceType::NodePort,
            Some("LoadBalancer") => ServiceType::LoadBalancer,
            Some("ExternalName") => ServiceType::ExternalName,
            _ => ServiceType::ClusterIp,
        },
        cluster_ips,
        ports: ports.into_iter().enumerate().filter_map(|(at, one)| port(&meta, at, one, problems)).collect(),
        selector: spec.selector.map(Labels::from_iter).filter(|labels| !labels.is_empty()),
        external_name: spec.external_name.filter(|name| !name.is_empty()).map(|name| Host::new(&name)),
        internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
        traffic_distribution: spec.traffic_distribution.map(Text::from),
        publish_not_ready: spec.publish_not_ready_addresses.unwrap_or_default(),
        external_addresses: external_addresses(spec.external_ips, object.status),
        meta,
    }
}

/// `clusterIPs`, else `clusterIP`: addresses, or `None` as a word; an empty one is none yet. A listener at anything else would be turned down.
fn cluster_ips(
    one: Option<String>,
    list: Option<Vec<String>>,
    meta: &Meta,
    problems: &mut Vec<Problem>,
) -> Vec<Text> {
    let (field, written) = match list.filter(|list| !list.is_empty()) {
        Some(list) => ("spec.clusterIPs", list),
        None => ("spec.clusterIP", one.into_iter().filter(|ip| !ip.is_empty()).collect()),
    };
    let mut ips = Vec::with_capacity(written.len());
    for ip in written {
        if ip.is_empty() || ip == "None" || is_address(&ip) {
            ips.push(Text::from(ip));
        } else {
            let detail = format!("{ip:?} is no IP address");
            let problem = Problem::error(&meta.key, "address-invalid", field, detail);
            problems.push(problem.with_outcome("the service has no address by it"));
        }
    }
    ips
}

fn is_address(written: &str) -> bool {
    written.parse::<IpAddr>().is_ok()
}

fn external_addresses(ips: Option<Vec<String>>, status: Option<core::ServiceStatus>) -> Vec<Text> {
    let balancer = status.and_then(|status| status.load_balancer).and_then(|status| status.ingress);
    let ingress = balancer.into_iter().flatten().filter_map(|one| one.ip.or(one.hostname));
    ips.into_iter().flatten().chain(ingress).map(Text::from).collect()
}

fn port(meta: &Meta, at: usize, port: core::ServicePort, problems: &mut Vec<Problem>) -> Option<Port> {
    let Some(own) = number(port.port) else {
        let field = format!("spec.ports[{at}].port");
        problems.push(Problem::error(&meta.key, "port-out-of-range", field, "a port is between 1 and 65535"));
        return None;
    };
    let target = match port.target_port {
        Some(IntOrString::Int(target)) => number_or(target, own),
        Some(IntOrString::String(name)) => match name.parse::<u16>() {
            Ok(target) => TargetPort::Number(target),
            Err(_) => TargetPort::Name(name.into()),
        },
        None => TargetPort::Number(own),
    };
    Some(Port {
        name: port.name.unwrap_or_default().into(),
        number: own,
        transport: port.protocol.unwrap_or_else(|| "TCP".into()).into(),
        app_protocol: port.app_protocol.map(Text::from),
        target,
        node_port: port.node_port.and_then(number).unwrap_or_default(),
    })
}

fn number(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port > 0)
}

fn number_or(target: i32, otherwise: u16) -> TargetPort {
    TargetPort::Number(number(target).unwrap_or(otherwise))
}

fn slice(meta: Meta, object: discovery::EndpointSlice, problems: &mut Vec<Problem>) -> EndpointSlice {
    let ports = object.ports.unwrap_or_default().into_iter();
    let fqdn = object.address_type == "FQDN";
    let written = object.endpoints.into_iter().enumerate();
    let endpoints = written.map(|(at, one)| endpoint(&meta, (at, one), fqdn, problems)).collect();
    EndpointSlice {
        service: meta.labels.text("kubernetes.io/service-name").cloned().unwrap_or_default(),
        fqdn,
        ports: ports
            .filter_map(|port| Some((port.name.unwrap_or_default().into(), number(port.port?)?)))
            .collect(),
        endpoints,
        meta,
    }
}

/// An endpoint without what is no address, for which proxies would turn down all endpoints of its service. Slices
/// of names (`fqdn`) are left out later, whole.
fn endpoint(
    meta: &Meta,
    (at, endpoint): (usize, discovery::Endpoint),
    fqdn: bool,
    problems: &mut Vec<Problem>,
) -> SliceEndpoint {
    let mut addresses = Vec::with_capacity(endpoint.addresses.len());
    for (place, address) in endpoint.addresses.into_iter().enumerate() {
        if fqdn || is_address(&address) {
            addresses.push(Text::from(address));
        } else {
            let field = format!("endpoints[{at}].addresses[{place}]");
            let problem =
                Problem::error(&meta.key, "address-invalid", field, format!("{address:?} is no IP address"));
            problems.push(problem.with_outcome("the address is left out, the others are served"));
        }
    }
    let namespace = &meta.key.namespace;
    let conditions = endpoint.conditions.unwrap_or_default();
    let pod = endpoint.target_ref.filter(|target| target.kind.as_deref() == Some("Pod"));
    SliceEndpoint {
        addresses,
        ready: conditions.ready,
        serving: conditions.serving,
        terminating: conditions.terminating,
        pod: pod.and_then(|target| {
            let namespace = target.namespace.map_or_else(|| namespace.clone(), Text::from);
            Some((namespace, target.name?.into()))
        }),
        node: endpoint.node_name.unwrap_or_default().into(),
    }
}

fn pod(meta: Meta, object: core::Pod) -> Pod {
    let workload = workload_name(&meta, &object);
    let spec = object.spec.unwrap_or_default();
    let status = object.status.unwrap_or_default();
    let first = status.pod_ip.into_iter();
    let more = status.pod_ips.into_iter().flatten().map(|one| one.ip);
    let mut ips: Vec<IpAddr> = Vec::new();
    for ip in first.chain(more).filter_map(|ip| ip.parse().ok()) {
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    let mesh_map = mesh_map(&spec);
    let sidecars = spec.init_containers.unwrap_or_default().into_iter();
    let sidecars = sidecars.filter(|one| one.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.into_iter().chain(sidecars);
    let ready = status.conditions.unwrap_or_default();
    Pod {
        ips,
        service_account: spec.service_account_name.unwrap_or_default().into(),
        node: spec.node_name.unwrap_or_default().into(),
        workload,
        ports: containers.flat_map(|one| one.ports.unwrap_or_default()).filter_map(container_port).collect(),
        hostname: spec.hostname.unwrap_or_default().into(),
        subdomain: spec.subdomain.unwrap_or_default().into(),
        mesh_map,
        ready: ready.iter().any(|one| one.type_ == "Ready" && one.status == "True"),
        ended: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        terminating: object.metadata.deletion_timestamp.is_some(),
        host_network: spec.host_network.unwrap_or_default(),
        meta,
    }
}

/// The ConfigMap behind the folder in which a proxy looks for its mesh's configuration.
fn mesh_map(spec: &core::PodSpec) -> Text {
    let mounts = spec.containers.iter().flat_map(|one| one.volume_mounts.iter().flatten());
    let mount = mounts.into_iter().find(|mount| is_mesh_folder(&mount.mount_path));
    let volumes = spec.volumes.iter().flatten();
    let volume = mount.and_then(|mount| volumes.into_iter().find(|volume| volume.name == mount.name));
    volume.and_then(|volume| Some(volume.config_map.as_ref()?.name.as_str().into())).unwrap_or_default()
}

fn container_port(port: core::ContainerPort) -> Option<(Text, u16, Text)> {
    let transport = port.protocol.unwrap_or_else(|| "TCP".into());
    Some((port.name.unwrap_or_default().into(), number(port.container_port)?, transport.into()))
}

/// The workload that a pod is of, by its controller: a Deployment's, a Rollout's or a CronJob's name is
/// what is left when the generated end is cut off. A pod whose name was not generated is its own workload.
fn workload_name(meta: &Meta, pod: &core::Pod) -> Text {
    let own = meta.key.name.clone();
    if pod.metadata.generate_name.as_deref().unwrap_or_default().is_empty() {
        return own;
    }
    let owners = pod.metadata.owner_references.iter().flatten();
    let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) else { return own };
    let cut = |hash: Option<&str>| {
        let hash = hash.filter(|hash| !hash.is_empty())?;
        owner.name.strip_suffix(hash)?.strip_suffix('-')
    };
    let name = match owner.kind.as_str() {
        "ReplicaSet" => cut(meta.labels.get("rollouts-pod-template-hash"))
            .or_else(|| cut(meta.labels.get("pod-template-hash"))),
        "ReplicationController" => meta.labels.get("deploymentconfig"),
        "Job" => cron_job(&owner.name),
        _ => None,
    };
    name.unwrap_or(&owner.name).into()
}

/// The CronJob's name, if the Job's name ends in `-` and eight to ten digits.
fn cron_job(job: &str) -> Option<&str> {
    let (name, stamp) = job.rsplit_once('-')?;
    let digits = stamp.bytes().all(|byte| byte.is_ascii_digit()) && (8..=10).contains(&stamp.len());
    digits.then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Context, parse_object};
    use super::*;

    fn parsed(object: Json) -> (Value, Vec<String>) {
        let context = Context { cluster: "c".into(), domain: "cluster.local".into() };
        let parsed = parse_object(&object, &context).unwrap();
        let told = parsed.problems.iter().map(|one| format!("{} {}", one.field, one.code)).collect();
        (parsed.value.unwrap(), told)
    }

    #[test]
    fn what_is_no_address_is_left_out_of_a_slice() {
        let slice = |kind: &str| {
            let object = json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "a"},
                "addressType": kind, "endpoints": [{"addresses": ["1.1.1.1"]}, {"addresses": ["a.com", "::1"]}],
            });
            let (Value::EndpointSlice(slice), told) = parsed(object) else { panic!("no slice") };
            (slice.endpoints.iter().map(|one| one.addresses.join(" ")).collect::<Vec<_>>(), told)
        };
        let told = vec!["endpoints[1].addresses[0] address-invalid".to_owned()];
        assert_eq!(slice("IPv4"), (vec!["1.1.1.1".into(), "::1".into()], told));
        assert_eq!(slice("FQDN"), (vec!["1.1.1.1".into(), "a.com ::1".into()], vec![]));
    }

    #[test]
    fn a_service_has_addresses_only() {
        let service = |spec: Json| {
            let object =
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": spec});
            let (Value::Service(service), told) = parsed(object) else { panic!("no Service") };
            (service.cluster_ips.join(" "), told.join(" "))
        };
        let fine = |ips: &str| (ips.to_owned(), String::new());
        assert_eq!(service(json!({"clusterIP": "None"})), fine("None"));
        assert_eq!(service(json!({"clusterIP": ""})), fine(""));
        assert_eq!(service(json!({"clusterIPs": [""]})), fine(""));
        assert_eq!(
            service(json!({"clusterIP": "1.1.1.1", "clusterIPs": ["1.1.1.1", "::1"]})),
            fine("1.1.1.1 ::1")
        );
        let told = (String::new(), "spec.clusterIP address-invalid".to_owned());
        assert_eq!(service(json!({"clusterIP": "10.0.0"})), told);
        let told = ("1.1.1.1".to_owned(), "spec.clusterIPs address-invalid".to_owned());
        assert_eq!(service(json!({"clusterIPs": ["1.1.1.1", "x"]})), told);
    }

    #[test]
    fn a_pod_says_where_its_proxy_finds_the_meshs_configuration() {
        let spec = |path: &str, volume: &str| {
            let volumes = json!([
                {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}},
                {"name": volume, "configMap": {"name": "istio-1-9-1", "optional": true}},
            ]);
            let mounts = json!([
                {"name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio"},
                {"name": "config-volume", "mountPath": path},
            ]);
            let spec =
                json!({"containers": [{"name": "istio-proxy", "volumeMounts": mounts}], "volumes": volumes});
            serde_json::from_value(spec).unwrap()
        };
        assert_eq!(&*mesh_map(&spec("/etc/istio/config", "config-volume")), "istio-1-9-1");
        assert_eq!(&*mesh_map(&spec("/etc/istio/config/", "config-volume")), "istio-1-9-1");
        assert_eq!(&*mesh_map(&spec("/etc/other", "config-volume")), "");
        assert_eq!(&*mesh_map(&spec("/etc/istio/config", "other")), "");
        assert_eq!(&*mesh_map(&core::PodSpec::default()), "");
    }
}
