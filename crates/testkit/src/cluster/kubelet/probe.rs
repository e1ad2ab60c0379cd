//! Probes by HTTP and TCP against a pod's address.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;

use crate::calls::{Client, headers};

/// How long a probe waits.
pub(super) const LIMIT: Duration = Duration::from_secs(1);

/// Whether a container is ready: by its readiness probe, or by its startup probe if it has no other; by neither, it is.
pub(super) async fn is_ready(calls: &Client, address: Ipv4Addr, container: &Container) -> bool {
    let Some(probe) = container.readiness_probe.as_ref().or(container.startup_probe.as_ref()) else {
        return true;
    };
    passes(calls, address, container, probe).await
}

/// Whether a container has started, which only a startup probe can doubt.
pub(super) async fn has_started(calls: &Client, address: Ipv4Addr, container: &Container) -> bool {
    match &container.startup_probe {
        Some(probe) => passes(calls, address, container, probe).await,
        None => true,
    }
}

async fn passes(calls: &Client, address: Ipv4Addr, container: &Container, probe: &Probe) -> bool {
    if let Some(get) = &probe.http_get {
        return get_passes(calls, address, container, get).await;
    }
    if let Some(socket) = &probe.tcp_socket {
        let Some(port) = port(container, &socket.port) else { return false };
        let connect = TcpStream::connect(SocketAddr::from((address, port)));
        return tokio::time::timeout(LIMIT, connect).await.is_ok_and(|done| done.is_ok());
    }
    // Commands and gRPC are not played.
    true
}

async fn get_passes(calls: &Client, address: Ipv4Addr, container: &Container, get: &HTTPGetAction) -> bool {
    let Some(port) = port(container, &get.port) else { return false };
    let at = SocketAddr::from((address, port));
    let path = get.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let answer = calls.get(at, path, &headers(&at.to_string(), None)).await;
    answer.is_ok_and(|answer| answer.status.is_success())
}

fn port(container: &Container, port: &IntOrString) -> Option<u16> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|one| one.name.as_ref() == Some(name));
            named.map(|one| one.container_port).or_else(|| name.parse().ok())?
        }
    };
    u16::try_from(number).ok()
}
