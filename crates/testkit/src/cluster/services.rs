//! What kube-proxy and a cluster's DNS do for Services: their addresses lead to endpoints, their names to addresses.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::table::{Objects, follow};
use super::{Error, Result, io};

/// Changes that come together are written together.
const QUIET: Duration = Duration::from_millis(20);

/// Addresses of Services, as the API server gives them out.
const RANGE: &str = "10.96.0.0/12";

/// Keeps the node's rules and the file of names as the API server's objects want them, until it is dropped.
pub struct Services {
    _tasks: JoinSet<()>,
}

impl Services {
    /// Starts in the node's namespace; the file is bound into pods as `/etc/hosts`.
    pub fn start(client: &kube::Client, hosts: PathBuf) -> Result<Self> {
        io("writing the names of services", fs::write(&hosts, "127.0.0.1 localhost\n"))?;
        let mut tasks = JoinSet::new();
        let services = follow(&mut tasks, Api::<Service>::all(client.clone()));
        let slices = follow(&mut tasks, Api::<EndpointSlice>::all(client.clone()));
        tasks.spawn(keep(services, slices, hosts));
        Ok(Self { _tasks: tasks })
    }
}

async fn keep(
    mut services: watch::Receiver<Objects<Service>>,
    mut slices: watch::Receiver<Objects<EndpointSlice>>,
    hosts: PathBuf,
) {
    let mut last = (String::new(), String::new());
    loop {
        tokio::time::sleep(QUIET).await;
        let now = {
            let services = services.borrow_and_update();
            let slices = slices.borrow_and_update();
            (rules(&services, &slices), names(&services))
        };
        if now != last {
            if let Err(error) = write(&now.0, &now.1, &hosts).await {
                // Whoever calls a service now gets no answer, and finds the reason beside the names.
                let _ = fs::write(hosts.with_extension("error"), error.to_string());
            }
            last = now;
        }
        tokio::select! {
            changed = services.changed() => if changed.is_err() { return },
            changed = slices.changed() => if changed.is_err() { return },
        }
    }
}

async fn write(rules: &str, names: &str, hosts: &Path) -> Result<()> {
    io("writing the names of services", fs::write(hosts, names))?;
    let mut restore = Command::new("iptables-restore");
    let child = restore.stdin(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn();
    let mut child = io("starting iptables-restore", child)?;
    if let Some(mut input) = child.stdin.take() {
        io("handing over rules", input.write_all(rules.as_bytes()).await)?;
    }
    let output = io("waiting for iptables-restore", child.wait_with_output().await)?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::refused("iptables-restore", String::from_utf8_lossy(&output.stderr)))
}

/// The address of a service, if it has one of its own.
fn address(service: &Service) -> Option<&str> {
    let address = service.spec.as_ref()?.cluster_ip.as_deref()?;
    (!address.is_empty() && address != "None").then_some(address)
}

fn names(services: &Objects<Service>) -> String {
    let mut text = "127.0.0.1 localhost\n".to_owned();
    for (key, service) in services {
        let (Some(address), Some((namespace, name))) = (address(service), key.split_once('/')) else {
            continue;
        };
        let name = format!("{name}.{namespace}");
        let _ = writeln!(text, "{address} {name}.svc {name} {name}.svc.cluster.local");
    }
    text
}

/// All rules of the node: whoever calls a service reaches one of its endpoints, or is refused at once.
fn rules(services: &Objects<Service>, slices: &Objects<EndpointSlice>) -> String {
    let mut text = "*nat\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\n:SERVICES -\n\
                    -A PREROUTING -j SERVICES\n-A OUTPUT -j SERVICES\n"
        .to_owned();
    for (key, service) in services {
        let Some(address) = address(service) else { continue };
        let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
        for port in ports.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP") {
            let endpoints = endpoints(key, port, slices);
            for (place, endpoint) in endpoints.iter().enumerate() {
                let left = endpoints.len() - place;
                let share = if left == 1 {
                    String::new()
                } else {
                    let share = 1.0 / left as f64;
                    format!(" -m statistic --mode random --probability {share:.6}")
                };
                let _ = writeln!(
                    text,
                    "-A SERVICES -d {address}/32 -p tcp --dport {}{share} -j DNAT --to-destination {endpoint}",
                    port.port
                );
            }
        }
    }
    let _ = write!(
        text,
        "COMMIT\n*filter\n-A FORWARD -d {RANGE} -p tcp -j REJECT --reject-with tcp-reset\n\
         -A OUTPUT -d {RANGE} -p tcp -j REJECT --reject-with tcp-reset\nCOMMIT\n"
    );
    text
}

/// Addresses and ports behind a service's port, those that are ready.
fn endpoints(key: &str, port: &ServicePort, slices: &Objects<EndpointSlice>) -> Vec<String> {
    let Some((namespace, name)) = key.split_once('/') else { return Vec::new() };
    let is_ours = |slice: &&EndpointSlice| {
        let labels = slice.metadata.labels.as_ref();
        slice.metadata.namespace.as_deref() == Some(namespace)
            && labels
                .and_then(|labels| labels.get("kubernetes.io/service-name"))
                .is_some_and(|one| one == name)
    };
    let mut found = Vec::new();
    for slice in slices.values().map(AsRef::as_ref).filter(is_ours) {
        let named = slice
            .ports
            .iter()
            .flatten()
            .find(|one| one.name.as_deref().unwrap_or("") == port.name.as_deref().unwrap_or(""));
        let Some(target) = named.and_then(|one| one.port) else { continue };
        let ready = slice.endpoints.iter().filter(|endpoint| {
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
        });
        found.extend(
            ready.flat_map(|endpoint| &endpoint.addresses).map(|address| format!("{address}:{target}")),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, from_value, json};

    use super::*;

    fn tables(ready: &Value) -> (Objects<Service>, Objects<EndpointSlice>) {
        let service = from_value(json!({
            "metadata": {"name": "b", "namespace": "demo"},
            "spec": {"clusterIP": "10.96.0.50", "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }));
        let slice = from_value(json!({
            "metadata": {"name": "b-1", "namespace": "demo", "labels": {"kubernetes.io/service-name": "b"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": ready,
        }));
        let services = [("demo/b".to_owned(), Arc::new(service.unwrap()))];
        let slices = [("demo/b-1".to_owned(), Arc::new(slice.unwrap()))];
        (services.into(), slices.into())
    }

    #[test]
    fn service_leads_to_what_is_ready() {
        let (services, slices) = tables(&json!([
            {"addresses": ["198.18.0.1"], "conditions": {"ready": true}},
            {"addresses": ["198.18.0.2"], "conditions": {"ready": false}},
            {"addresses": ["198.18.0.3"]},
        ]));
        let rules = rules(&services, &slices);
        let rules: Vec<&str> = rules.lines().filter(|line| line.contains("DNAT")).collect();
        assert_eq!(
            rules,
            [
                "-A SERVICES -d 10.96.0.50/32 -p tcp --dport 80 -m statistic --mode random \
                 --probability 0.500000 -j DNAT --to-destination 198.18.0.1:8080",
                "-A SERVICES -d 10.96.0.50/32 -p tcp --dport 80 -j DNAT --to-destination 198.18.0.3:8080",
            ]
        );
        assert!(names(&services).contains("10.96.0.50 b.demo.svc b.demo b.demo.svc.cluster.local\n"));
    }

    #[test]
    fn service_without_endpoints_refuses() {
        let (services, slices) = tables(&json!([]));
        let rules = rules(&services, &slices);
        assert!(!rules.contains("DNAT") && rules.contains("REJECT"));
    }
}
