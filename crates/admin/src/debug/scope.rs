//! `sidecarz`, `instancesz`: what a connected proxy sees, and which services lead to it.

use mesh::{Member, Scope, ScopedService, ServiceTarget, Snapshot};
use model::networking::OutboundMode;
use serde_json::{Map, Value, json};
use xds::ConnectionStatus;

use crate::State;
use crate::debug::{Query, Refusal, proxy, registry};

/// The scope of the proxy in `proxyID`, under the names of istiod's.
pub(super) fn sidecar(state: &State, query: &Query) -> Result<Value, Refusal> {
    let connection = proxy::asked(state, query)?;
    let snapshot = state.snapshot();
    match member(&snapshot, &connection) {
        Some(member) => Ok(shown(&snapshot, &member)),
        None => Err(Refusal::NotFound("This proxy has no scope.\n".into())),
    }
}

/// By proxy, the ports of services that lead to it.
pub(super) fn instances(state: &State, query: &Query) -> Result<Value, Refusal> {
    let snapshot = state.snapshot();
    let of = |connection: ConnectionStatus| {
        let targets = member(&snapshot, &connection).map(|member| member.targets).unwrap_or_default();
        let name = proxy::name(&connection.who.node).to_owned();
        (name, targets.iter().map(target).collect::<Value>())
    };
    Ok(Value::Object(proxy::seen(state, query).map(of).collect()))
}

fn member(snapshot: &Snapshot, connection: &ConnectionStatus) -> Option<Member> {
    push::member(snapshot, &connection.who.announced).ok()
}

fn shown(snapshot: &Snapshot, member: &Member) -> Value {
    let scope = &*member.scope;
    let list = |services: &[ScopedService]| -> Value {
        services.iter().map(|scoped| registry::one(&scoped.service)).collect()
    };
    let by_host = |scoped: &ScopedService| (scoped.service.host.to_string(), registry::one(&scoped.service));
    let sidecar = scope.sidecar.as_ref();
    let written = sidecar.and_then(|sidecar| snapshot.config.origins.get(&sidecar.meta.key));
    let written = written.and_then(|record| record.origin.written()).map(|mut object| object["spec"].take());
    json!({
        "version": &*snapshot.label,
        "name": sidecar.map_or("default-sidecar", |sidecar| &sidecar.meta.key.name),
        "namespace": &*member.proxy.namespace,
        "outboundTrafficPolicy": {"mode": mode(scope.outbound.mode)},
        "services": list(&scope.services),
        "egressListenerServices": scope.egress.iter().map(|egress| list(&egress.services)).collect::<Value>(),
        "servicesByHostname": Value::Object(scope.services.iter().map(by_host).collect()),
        "sidecar": written,
        "destinationRules": rules(scope),
    })
}

/// By host, the objects that its rule was merged from.
fn rules(scope: &Scope) -> Value {
    let of = |rule: &mesh::MergedRule| -> Value {
        rule.from
            .iter()
            .map(|meta| Value::from(format!("{}/{}", meta.key.namespace, meta.key.name)))
            .collect()
    };
    Value::Object(scope.rules.iter().map(|(host, rule)| (host.to_string(), of(rule))).collect::<Map<_, _>>())
}

fn target(target: &ServiceTarget) -> Value {
    json!({"Service": registry::one(&target.service), "Port": {
        "name": &*target.port.name,
        "port": target.port.number,
        "protocol": target.port.protocol.name(),
        "TargetPort": target.target_port,
    }})
}

fn mode(mode: OutboundMode) -> &'static str {
    match mode {
        OutboundMode::RegistryOnly => "REGISTRY_ONLY",
        OutboundMode::AllowAny => "ALLOW_ANY",
        OutboundMode::AllowAnyDynamicDns => "ALLOW_ANY_DYNAMIC_DNS",
    }
}
