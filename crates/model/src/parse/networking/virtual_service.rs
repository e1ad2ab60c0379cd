//! VirtualService: hosts, gateways, and the routes of connections; HTTP rules are in `http_route`.

use std::sync::Arc;

use istio_api::networking as api;

use super::Outcome;
use super::addresses::{check_server_name, check_subnets};
use super::http_route::http_route;
use super::reader::{Reader, labels, text, texts};
use crate::key::Meta;
use crate::networking::{
    Destination, L4Match, RouteDestination, TcpRoute, TlsMatch, TlsRoute, VirtualService,
};
use crate::{Host, Text};

/// The name that stands for all proxies of the mesh among the gateways of a VirtualService.
const MESH: &str = "mesh";

/// A VirtualService.
///
/// Short names of hosts and gateways are completed from the object's namespace (xds-semantics, host
/// matching and short names); without gateways it is for the mesh.
pub(super) fn parse_virtual_service(
    meta: Meta,
    spec: &api::VirtualService,
    domain: &str,
) -> Outcome<VirtualService> {
    let mut reader = Reader::new(&meta, domain);
    if spec.http.is_empty() && spec.tls.is_empty() && spec.tcp.is_empty() {
        reader.refuse("", "routes-missing", "a VirtualService needs http, tls or tcp routes");
    }
    let mut gateways = gateways(&reader, &spec.gateways);
    if gateways.is_empty() {
        gateways.push(text(MESH));
    }
    let value = VirtualService {
        hosts: hosts(&mut reader, &spec.hosts),
        gateways,
        http: reader.each("http", &spec.http, |reader, rule| Arc::new(http_route(reader, rule))),
        tls: reader.each("tls", &spec.tls, tls_route),
        tcp: reader.each("tcp", &spec.tcp, tcp_route),
        export_to: reader.export_to(&spec.export_to),
        meta,
    };
    reader.finish(value)
}

fn hosts(reader: &mut Reader<'_>, written: &[String]) -> Vec<Host> {
    reader.each("hosts", written, |reader, host| {
        if host.is_empty() {
            reader.refuse("", "host-missing", "a host is empty");
        }
        if host.get(1..).is_some_and(|rest| rest.contains('*')) {
            let detail = format!("{host:?}: a wildcard stands at the beginning only");
            reader.refuse("", "wildcard-invalid", detail);
        }
        reader.host(host)
    })
}

/// Names of gateways as `namespace/name`, or `mesh`.
///
/// `name` and `./name` are of the object's namespace; `name.namespace…`, the oldest form, says its own.
pub(super) fn gateways(reader: &Reader<'_>, written: &[String]) -> Vec<Text> {
    let own = reader.namespace();
    let resolve = |name: &String| -> Text {
        if name == MESH {
            return text(name);
        }
        let (namespace, short) = match (name.split_once('/'), name.split_once('.')) {
            (Some((".", short)), _) => (&**own, short),
            (Some(both), _) => both,
            (None, Some((short, rest))) => (rest.split('.').next().unwrap_or(rest), short),
            (None, None) => (&**own, name.as_str()),
        };
        format!("{namespace}/{short}").into()
    };
    written.iter().map(resolve).collect()
}

/// Where traffic goes; a host that leads nowhere, or an empty one, stays and answers as nothing.
pub(super) fn destination(reader: &mut Reader<'_>, spec: &api::Destination) -> Destination {
    let port = spec.port.as_ref().map(|port| reader.required_port("port.number", port.number));
    if spec.host.is_empty() {
        let told = ("a destination needs a host", "its requests are answered with an error");
        reader.fail("host", "host-missing", told);
    }
    Destination { host: reader.host(&spec.host), subset: text(&spec.subset), port }
}

fn tls_route(reader: &mut Reader<'_>, spec: &api::TlsRoute) -> TlsRoute {
    if spec.r#match.is_empty() {
        reader.refuse("match", "match-missing", "a TLS route needs a match on sniHosts");
    }
    let matches = reader.each("match", &spec.r#match, |reader, spec| {
        if spec.sni_hosts.is_empty() {
            reader.refuse("sniHosts", "sni-hosts-missing", "a TLS match needs at least one server name");
        }
        for (at, host) in spec.sni_hosts.iter().enumerate() {
            check_server_name(reader, &format!("sniHosts[{at}]"), host);
        }
        check_subnets(reader, "destinationSubnets", &spec.destination_subnets);
        TlsMatch {
            sni_hosts: server_names(&spec.sni_hosts),
            destination_subnets: texts(&spec.destination_subnets),
            port: reader.port("port", spec.port),
            source_labels: labels(&spec.source_labels),
            gateways: gateways(reader, &spec.gateways),
            source_namespace: text(&spec.source_namespace),
        }
    });
    TlsRoute { matches, routes: route_destinations(reader, &spec.route) }
}

/// Server names in lower case, as proxies compare them: one that is there twice would be turned down with its listener.
fn server_names(written: &[String]) -> Vec<Text> {
    let mut names: Vec<Text> = Vec::with_capacity(written.len());
    for name in written.iter().map(|name| text(&name.to_ascii_lowercase())) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn tcp_route(reader: &mut Reader<'_>, spec: &api::TcpRoute) -> TcpRoute {
    let matches = reader.each("match", &spec.r#match, |reader, spec| {
        check_subnets(reader, "destinationSubnets", &spec.destination_subnets);
        L4Match {
            destination_subnets: texts(&spec.destination_subnets),
            port: reader.port("port", spec.port),
            source_labels: labels(&spec.source_labels),
            gateways: gateways(reader, &spec.gateways),
            source_namespace: text(&spec.source_namespace),
        }
    });
    TcpRoute { matches, routes: route_destinations(reader, &spec.route) }
}

fn route_destinations(reader: &mut Reader<'_>, spec: &[api::RouteDestination]) -> Vec<RouteDestination> {
    if spec.is_empty() {
        reader.refuse("route", "destinations-missing", "a route needs at least one destination");
    }
    let routes = reader.each("route", spec, |reader, one| RouteDestination {
        destination: required_destination(reader, one.destination.as_ref()),
        weight: reader.weight(one.weight),
    });
    reader.weights("route", routes.iter().map(|one| one.weight));
    routes
}

/// The destination of a route, which must be there.
pub(super) fn required_destination(reader: &mut Reader<'_>, spec: Option<&api::Destination>) -> Destination {
    let absent = api::Destination::default();
    reader.inside("destination", |reader| destination(reader, spec.unwrap_or(&absent)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{DOMAIN, clean, meta, problems, spec};
    use super::*;
    use crate::Kind;
    use crate::networking::ExportTo;

    fn parse(json: Value) -> Outcome<VirtualService> {
        parse_virtual_service(meta(Kind::VirtualService), &spec(json), DOMAIN)
    }

    #[test]
    fn names_are_completed() {
        let service = clean(parse(json!({
            "hosts": ["reviews", "A.com", "*", "1.2.3.4", "::1"],
            "gateways": ["mesh", "gw", "./gw", "ns/gw", "gw.ns", "gw.ns.svc.cluster.local"],
            "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1", "port": {"number": 80}}}]}],
            "exportTo": ["."],
        })));
        let hosts: Vec<_> = service.hosts.iter().map(Host::as_str).collect();
        assert_eq!(hosts, ["reviews.default.svc.cluster.local", "a.com", "*", "1.2.3.4", "::1"]);
        assert_eq!(service.gateways.join(" "), "mesh default/gw default/gw ns/gw ns/gw ns/gw");
        let destination = &service.http[0].routes[0].destination;
        assert_eq!(destination.host.as_str(), "reviews.default.svc.cluster.local");
        assert_eq!((&*destination.subset, destination.port), ("v1", Some(80)));
        assert_eq!(service.export_to, ExportTo::Namespaces(vec!["default".into()]));
    }

    #[test]
    fn without_gateways_it_is_for_the_mesh() {
        let service = clean(parse(json!({"http": [{"redirect": {"uri": "/"}}], "exportTo": ["a", "*"]})));
        assert_eq!(service.gateways, ["mesh".into()]);
        assert_eq!((service.hosts.len(), service.export_to), (0, ExportTo::Public));
    }

    #[test]
    fn connections() {
        let service = clean(parse(json!({
            "hosts": ["a.com"],
            "tls": [{"match": [{"sniHosts": ["a.com", "B.com", "A.com"], "port": 443, "sourceNamespace": "x"}],
                     "route": [{"destination": {"host": "a.com"}}]}],
            "tcp": [{"match": [{"destinationSubnets": ["10.0.0.0/8"], "sourceLabels": {"a": "b"}, "gateways": ["g"]}],
                     "route": [{"destination": {"host": "a.com"}, "weight": 10},
                               {"destination": {"host": "b.com"}}]}],
        })));
        assert_eq!((service.tls[0].matches[0].port, service.tls[0].routes[0].weight), (443, 0));
        assert_eq!(service.tls[0].matches[0].sni_hosts, ["a.com".into(), "b.com".into()]);
        assert_eq!(service.tcp[0].matches[0].gateways, ["default/g".into()]);
        assert_eq!(service.tcp[0].routes[0].weight, 10);
    }

    #[test]
    fn mistakes() {
        let parsed = parse(json!({
            "hosts": ["", "a.*"],
            "tls": [{"route": []}, {"match": [{"port": 99999}], "route": [{"destination": {"host": ""}}]}],
            "tcp": [{"route": [{"destination": {"host": "a", "port": {}}}, {"destination": {"host": "b"}}]},
                    {"route": [{"weight": -1}]}],
        }));
        assert_eq!(
            problems(&parsed),
            [
                "spec.hosts[0]: a host is empty [host-missing]",
                "spec.hosts[1]: \"a.*\": a wildcard stands at the beginning only [wildcard-invalid]",
                "spec.tls[0].match: a TLS route needs a match on sniHosts [match-missing]",
                "spec.tls[0].route: a route needs at least one destination [destinations-missing]",
                "spec.tls[1].match[0].sniHosts: a TLS match needs at least one server name [sni-hosts-missing]",
                "spec.tls[1].match[0].port: port 99999 is not in the range 1 to 65535 [port-out-of-range]",
                "spec.tls[1].route[0].destination.host: a destination needs a host [host-missing]",
                "spec.tcp[0].route[0].destination.port.number: a port from 1 to 65535 is due [port-missing]",
                "spec.tcp[0].route: no destination has a weight [weights-zero]",
                "spec.tcp[1].route[0].destination.host: a destination needs a host [host-missing]",
                "spec.tcp[1].route[0].weight: weight -1 is negative [weight-negative]",
            ]
        );
        assert_eq!(parsed.0, None);
        let empty = parse(json!({"hosts": ["a"]}));
        assert_eq!(
            problems(&empty),
            ["spec: a VirtualService needs http, tls or tcp routes [routes-missing]"]
        );
    }
}
