//! ServiceEntry and WorkloadEntry.

use std::collections::BTreeSet;

use istio_api::networking as api;

use super::Outcome;
use super::addresses::{Range, is_direct, range};
use super::reader::{Reader, labels, text, texts};
use crate::key::Meta;
use crate::networking::{EntryPort, ServiceEntry, WorkloadEntry, WorkloadSpec};
use crate::{Host, Labels, Protocol, Resolution, Text};

/// A ServiceEntry with the addresses of its status.
///
/// An address that is neither an IP nor a range of IPs is left out, as istiod does; `/32` and `/128`
/// become plain IPs. Ports of one name or number are refused, since nothing could tell them apart.
pub(super) fn parse_service_entry(
    meta: Meta,
    spec: &api::ServiceEntry,
    status: Option<&api::ServiceEntryStatus>,
) -> Outcome<ServiceEntry> {
    let mut reader = Reader::new(&meta, "");
    if spec.hosts.is_empty() {
        reader.refuse("hosts", "hosts-missing", "a ServiceEntry needs at least one host");
    }
    if spec.workload_selector.is_some() && !spec.endpoints.is_empty() {
        reader.refuse(
            "endpoints",
            "endpoints-and-selector",
            "endpoints and workloadSelector exclude each other",
        );
    }
    let ports = reader.each("ports", &spec.ports, entry_port);
    unique_ports(&mut reader, &ports);
    let addresses = reader.each("addresses", &spec.addresses, |reader, written| address(reader, written));
    let resolution = resolution(spec.resolution);
    let endpoints =
        reader.each("endpoints", &spec.endpoints, |reader, spec| endpoint(reader, spec, resolution));
    let status_addresses = status.map(|status| status.addresses.as_slice()).unwrap_or_default();
    let value = ServiceEntry {
        hosts: spec.hosts.iter().map(|host| Host::new(host)).collect(),
        addresses: addresses.into_iter().flatten().collect(),
        ports,
        external: spec.location == api::Location::MeshExternal,
        resolution,
        endpoints: endpoints.into_iter().flatten().collect(),
        selector: spec.workload_selector.as_ref().map(|selector| labels(&selector.labels)),
        export_to: reader.export_to(&spec.export_to),
        subject_alt_names: texts(&spec.subject_alt_names),
        status_addresses: status_addresses.iter().map(|one| (text(&one.host), text(&one.value))).collect(),
        meta,
    };
    reader.finish(value)
}

/// A WorkloadEntry; `healthy` is the condition of that name in its status, if there is one.
///
/// It takes no traffic while its annotation `proxy.istio.io/health-checks-enabled` is `true` and the
/// condition is not.
pub(super) fn parse_workload_entry(
    meta: Meta,
    spec: &api::WorkloadEntry,
    healthy: Option<bool>,
) -> Outcome<WorkloadEntry> {
    let mut reader = Reader::new(&meta, "");
    let mut spec = workload_spec(&mut reader, spec);
    spec.labels = meta.labels.overlaid(&spec.labels);
    let checked = meta.annotations.get("proxy.istio.io/health-checks-enabled") == Some("true");
    let unhealthy = checked && healthy != Some(true);
    reader.finish(WorkloadEntry { meta, spec, unhealthy })
}

fn entry_port(reader: &mut Reader<'_>, spec: &api::ServicePort) -> EntryPort {
    let number = reader.required_port("number", spec.number);
    EntryPort {
        name: text(&spec.name),
        number,
        protocol: Protocol::of_istio_port(&spec.protocol, number),
        target_port: reader.port("targetPort", spec.target_port),
    }
}

fn unique_ports(reader: &mut Reader<'_>, ports: &[EntryPort]) {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (at, port) in ports.iter().enumerate() {
        let field = format!("ports[{at}]");
        if port.name.is_empty() {
            reader.refuse(&field, "port-name-missing", "the port has no name");
        } else if !names.insert(&port.name) {
            reader.refuse(&field, "port-name-twice", format!("another port is called {:?}", port.name));
        }
        if !numbers.insert(port.number) {
            reader.refuse(
                &field,
                "port-number-twice",
                format!("another port has the number {}", port.number),
            );
        }
    }
}

fn address(reader: &mut Reader<'_>, written: &str) -> Option<Text> {
    let (Some(Range::One(address)) | Some(Range::Prefix(address))) = range(written) else {
        let detail = format!("{written:?} is neither an IP address nor a range of them");
        reader.leave_out("", "address-invalid", detail);
        return None;
    };
    Some(text(address))
}

/// An endpoint; one that has a name where none is resolved is left out, since proxies turn down all endpoints
/// beside it. Without an address it stands for the gateway of its network.
fn endpoint(
    reader: &mut Reader<'_>,
    spec: &api::WorkloadEntry,
    resolution: Resolution,
) -> Option<WorkloadSpec> {
    let resolved = !matches!(resolution, Resolution::Static | Resolution::Passthrough);
    if !resolved && !spec.address.is_empty() && !is_direct(&spec.address) {
        let detail =
            format!("{:?} is neither an IP address nor unix://path, and resolution is not DNS", spec.address);
        reader.fail(
            "address",
            "address-invalid",
            (&detail, "the endpoint is left out, the others are served"),
        );
        return None;
    }
    Some(workload_spec(reader, spec))
}

/// A workload that is no pod; its locality may stand in the label `istio-locality`, with dots.
pub(super) fn workload_spec(reader: &mut Reader<'_>, spec: &api::WorkloadEntry) -> WorkloadSpec {
    let labels = labels(&spec.labels);
    let ports = spec.ports.iter();
    let ports = ports
        .map(|(name, number)| (text(name), reader.required_port(&format!("ports[{name}]"), *number)))
        .collect();
    WorkloadSpec {
        address: text(&spec.address),
        ports,
        network: text(&spec.network),
        locality: locality(&spec.locality, &labels),
        weight: spec.weight,
        service_account: text(&spec.service_account),
        labels,
    }
}

fn locality(written: &str, labels: &Labels) -> Text {
    match labels.get("istio-locality") {
        Some(label) if written.is_empty() => label.replace('.', "/").into(),
        _ => text(written),
    }
}

fn resolution(written: api::Resolution) -> Resolution {
    match written {
        api::Resolution::None => Resolution::Passthrough,
        api::Resolution::Static => Resolution::Static,
        api::Resolution::Dns => Resolution::Dns,
        api::Resolution::DnsRoundRobin => Resolution::DnsRoundRobin,
        api::Resolution::DynamicDns => Resolution::DynamicDns,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{clean, meta, problems, spec};
    use super::*;
    use crate::Kind;
    use crate::networking::ExportTo;

    fn parse(json: Value) -> Outcome<ServiceEntry> {
        parse_service_entry(meta(Kind::ServiceEntry), &spec(json), None)
    }

    #[test]
    fn an_entry_is_external_and_passed_through_unless_it_says_otherwise() {
        let entry = clean(parse(json!({"hosts": ["A.com"]})));
        assert_eq!(entry.hosts, [Host::new("a.com")]);
        assert_eq!((entry.external, entry.resolution), (true, Resolution::Passthrough));
        assert_eq!((entry.selector, entry.export_to), (None, ExportTo::Unset));
    }

    #[test]
    fn all_fields() {
        let status = spec(json!({"addresses": [{"host": "a.com", "value": "240.240.0.1"}]}));
        let entry = clean(parse_service_entry(
            meta(Kind::ServiceEntry),
            &spec(json!({
                "hosts": ["a.com"], "location": "MESH_INTERNAL", "resolution": "STATIC", "exportTo": [".", "b"],
                "addresses": ["1.2.3.4", "1.2.3.4/32", "10.0.0.0/8", "2001:db8::1/128", "2001:db8::/32"],
                "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080},
                          {"number": 3306, "name": "db", "protocol": "what"}],
                "endpoints": [{"address": "1.1.1.1", "ports": {"http": 81}, "weight": 2, "serviceAccount": "sa",
                               "labels": {"istio-locality": "r.z"}, "network": "n"}],
                "subjectAltNames": ["spiffe://x"],
            })),
            Some(&status),
        ));
        assert_eq!(entry.addresses.join(" "), "1.2.3.4 1.2.3.4 10.0.0.0/8 2001:db8::1 2001:db8::/32");
        let ports: Vec<_> = entry.ports.iter().map(|port| (port.protocol, port.target_port)).collect();
        assert_eq!(ports, [(Protocol::Http, 8080), (Protocol::Tcp, 0)]);
        assert_eq!((&*entry.endpoints[0].locality, entry.endpoints[0].weight), ("r/z", 2));
        assert_eq!(entry.endpoints[0].ports, [("http".into(), 81)]);
        assert_eq!(entry.export_to, ExportTo::Namespaces(vec!["b".into(), "default".into()]));
        assert_eq!(entry.status_addresses, [("a.com".into(), "240.240.0.1".into())]);
    }

    #[test]
    fn mistakes() {
        let parsed = parse(json!({"hosts": ["a"], "addresses": ["example.com", "1.2.3.4/33"]}));
        assert_eq!(
            problems(&parsed),
            [
                "spec.addresses[0]: \"example.com\" is neither an IP address nor a range of them [address-invalid]",
                "spec.addresses[1]: \"1.2.3.4/33\" is neither an IP address nor a range of them [address-invalid]",
            ]
        );
        assert_eq!(parsed.0.unwrap().addresses.len(), 0);
        let parsed = parse(json!({
            "workloadSelector": {"labels": {"a": "b"}}, "endpoints": [{"ports": {"http": 65536}}],
            "ports": [{"number": 80, "name": "a"}, {"number": 80, "name": "a"}, {"number": 81}],
        }));
        assert_eq!(
            problems(&parsed),
            [
                "spec.hosts: a ServiceEntry needs at least one host [hosts-missing]",
                "spec.endpoints: endpoints and workloadSelector exclude each other [endpoints-and-selector]",
                "spec.ports[1]: another port is called \"a\" [port-name-twice]",
                "spec.ports[1]: another port has the number 80 [port-number-twice]",
                "spec.ports[2]: the port has no name [port-name-missing]",
                "spec.endpoints[0].ports[http]: port 65536 is not in the range 1 to 65535 [port-out-of-range]",
            ]
        );
        assert_eq!(parsed.0, None);
    }

    #[test]
    fn an_endpoint_with_a_name_is_left_out_where_none_is_resolved() {
        for (resolution, kept) in [
            ("STATIC", "1.1.1.1 ::1 unix:///x "),
            ("NONE", "1.1.1.1 ::1 unix:///x "),
            ("DNS", "1.1.1.1 a.com ::1 unix:///x "),
        ] {
            let addresses = ["1.1.1.1", "a.com", "::1", "unix:///x", ""];
            let endpoints: Vec<_> = addresses.iter().map(|address| json!({"address": address})).collect();
            let (entry, told) =
                parse(json!({"hosts": ["a.com"], "resolution": resolution, "endpoints": endpoints}));
            let entry = entry.unwrap();
            let left: Vec<_> = entry.endpoints.iter().map(|endpoint| &*endpoint.address).collect();
            assert_eq!(left.join(" "), kept, "{resolution}");
            let told: Vec<_> = told.iter().map(|one| (one.code, &*one.field)).collect();
            let expected: &[_] = &[("address-invalid", "spec.endpoints[1].address")];
            assert_eq!(told, if resolution == "DNS" { &[] } else { expected }, "{resolution}");
        }
    }

    #[test]
    fn a_workload_has_the_labels_of_object_and_spec_and_waits_for_its_health() {
        let mut meta = meta(Kind::WorkloadEntry);
        meta.labels = [("app", "object"), ("zone", "a")].into_iter().collect();
        let spec = spec(json!({"address": "1.1.1.1", "labels": {"app": "spec"}}));
        let entry = clean(parse_workload_entry(meta.clone(), &spec, None));
        assert_eq!((entry.spec.labels.get("app"), entry.spec.labels.get("zone")), (Some("spec"), Some("a")));
        assert!(!entry.unhealthy);
        meta.annotations = [("proxy.istio.io/health-checks-enabled", "true")].into_iter().collect();
        for (healthy, unhealthy) in [(None, true), (Some(false), true), (Some(true), false)] {
            assert_eq!(clean(parse_workload_entry(meta.clone(), &spec, healthy)).unhealthy, unhealthy);
        }
    }
}
