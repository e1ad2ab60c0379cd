//! Clusters by what their inputs say.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_api::envoy::config::cluster::v3::{Cluster, cluster::DiscoveryType};
use mesh::{ClusterProfile, EndpointFacts, MergedRule, Scope, ScopedService, ServiceEndpoints};
use model::endpoint::EndpointWorkload;
use model::key::{Created, Meta};
use model::networking::{
    ClientTls, ClientTlsMode, ConnectionPool, DestinationRule, ExportTo, H2Upgrade, HttpPool, LoadBalancer,
    OutlierDetection, ProxyProtocol, SimpleLb, Subset, TrafficPolicy,
};
use model::proxy::{Capabilities, CertFiles, IpMode};
use model::service::{TargetPort, TrafficDistribution, UNSPECIFIED};
use model::{Endpoint, Health, Host, Key, Kind, Labels, Registry, Service, ServicePort, Text};
use prost::Message;

use super::*;

/// What a test says of a cluster's inputs, over a plain HTTP port of a Kubernetes service.
struct Case(ClusterInputs);

fn case() -> Case {
    let port = port(80, Protocol::Http);
    Case(ClusterInputs {
        service: Shared::new(service(&port)),
        port,
        subset: None,
        rule: None,
        accounts: Some(Shared::new(vec!["spiffe://cluster.local/ns/n/sa/a".into()])),
        takes_mutual_tls: true,
        embedded: None,
        refusals: None,
        refuses: false,
        server_name: false,
        profile: Shared::new(profile()),
        mesh: Shared::new(ClusterMesh::of(&MeshConfig::default())),
        settings: Shared::default(),
    })
}

fn port(number: u16, protocol: Protocol) -> ServicePort {
    ServicePort { name: "p".into(), number, protocol, target: TargetPort::Number(number) }
}

fn key(kind: Kind, name: &str) -> Key {
    Key { cluster: "Kubernetes".into(), kind, namespace: "n".into(), name: name.into() }
}

fn service(port: &ServicePort) -> Service {
    Service {
        host: Host::new("a.n.svc.cluster.local"),
        namespace: "n".into(),
        name: "a".into(),
        object: key(Kind::Service, "a"),
        created: Created(0),
        registry: Registry::Kubernetes,
        ports: vec![port.clone()],
        resolution: Resolution::Static,
        external: false,
        address: UNSPECIFIED.into(),
        cluster_vips: BTreeMap::new(),
        auto_addresses: Vec::new(),
        accounts: Vec::new(),
        labels: Labels::default(),
        export_to: ExportTo::Public,
        selector: None,
        external_name: None,
        node_local: false,
        traffic_distribution: TrafficDistribution::Any,
        publish_not_ready: false,
        passthrough_target_ports: BTreeMap::new(),
        race_connect: false,
    }
}

fn profile() -> ClusterProfile {
    ClusterProfile {
        kind: ProxyKind::Sidecar,
        ip_mode: IpMode::V4,
        cluster: "Kubernetes".into(),
        network: Text::default(),
        network_view: Vec::new(),
        locality: Text::default(),
        name_labels: Labels::default(),
        capabilities: Capabilities { metadata_exchange: true, alpn: true, stats: true, mysql: true },
        client_files: CertFiles::default(),
        external_sds: false,
        file_credentials: false,
        preserve_header_case: false,
        auto_addresses: false,
        dns_capture: false,
        passes_server_names: false,
        hosts: None,
    }
}

fn rule(policy: TrafficPolicy, subsets: Vec<Subset>) -> Shared<MergedRule> {
    let meta = Meta {
        key: key(Kind::DestinationRule, "r"),
        created: Created(0),
        labels: Labels::default(),
        annotations: Labels::default(),
        api_version: "networking.istio.io/v1alpha3".into(),
    };
    let rule = DestinationRule {
        meta: meta.clone(),
        host: Host::new("a.n.svc.cluster.local"),
        policy: Some(Arc::new(policy)),
        subsets,
        export_to: ExportTo::Unset,
        selector: None,
    };
    Shared::new(MergedRule { rule, from: vec![meta] })
}

fn subset(policy: Option<TrafficPolicy>) -> Subset {
    Subset { name: "v1".into(), labels: Labels::default(), policy: policy.map(Arc::new) }
}

fn balanced(simple: SimpleLb) -> TrafficPolicy {
    let load_balancer = Some(LoadBalancer { simple: Some(simple), ..LoadBalancer::default() });
    TrafficPolicy { load_balancer, ..TrafficPolicy::default() }
}

fn tls(mode: ClientTlsMode) -> TrafficPolicy {
    TrafficPolicy { tls: Some(ClientTls { mode, ..ClientTls::default() }), ..TrafficPolicy::default() }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut ClusterInputs)) -> Self {
        change(&mut self.0);
        self
    }

    fn service(self, change: impl FnOnce(&mut Service)) -> Self {
        let mut service = (*self.0.service).clone();
        change(&mut service);
        self.with(|inputs| inputs.service = Shared::new(service))
    }

    fn profile(self, change: impl FnOnce(&mut ClusterProfile)) -> Self {
        let mut profile = (*self.0.profile).clone();
        change(&mut profile);
        self.with(|inputs| inputs.profile = Shared::new(profile))
    }

    fn rule(self, policy: TrafficPolicy) -> Self {
        self.with(|inputs| inputs.rule = Some(rule(policy, Vec::new())))
    }

    fn subset(self, policy: TrafficPolicy, own: Option<TrafficPolicy>) -> Self {
        self.with(|inputs| {
            inputs.rule = Some(rule(policy, vec![subset(own)]));
            inputs.subset = Some(0);
        })
    }

    fn cluster(&self) -> Cluster {
        let plan = ClusterPlan::outbound(&self.0).unwrap();
        Cluster::decode(plan.build().body.to_bytes()).unwrap()
    }

    /// Discovery, balancing and sockets on one line.
    fn line(&self) -> String {
        let cluster = self.cluster();
        let kind = match &cluster.cluster_discovery_type {
            Some(envoy_api::envoy::config::cluster::v3::cluster::ClusterDiscoveryType::Type(kind)) => {
                format!("{:?}", DiscoveryType::try_from(*kind).unwrap())
            }
            _ => "Custom".into(),
        };
        let matches = cluster.transport_socket_matches.iter().map(|one| one.name.clone());
        let socket = cluster.transport_socket.iter().map(|one| one.name.clone());
        let sockets: Vec<_> = socket.chain(matches).collect();
        format!("{kind} {:?} {}", cluster.lb_policy(), sockets.join(","))
    }

    /// Protocols that mutual TLS offers.
    fn offers(&self) -> String {
        use envoy_api::envoy::config::core::v3::transport_socket::ConfigType::TypedConfig;
        use envoy_api::envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;
        let cluster = self.cluster();
        let first = cluster.transport_socket_matches[0].transport_socket.clone().unwrap();
        let Some(TypedConfig(config)) = first.config_type else { return String::new() };
        config.unpack::<UpstreamTlsContext>().unwrap().common_tls_context.unwrap().alpn_protocols.join(",")
    }
}

const AUTO: &str = "tlsMode-istio,tlsMode-disabled";
const TLS: &str = "envoy.transport_sockets.tls";

#[test]
fn mutual_tls_is_spoken_where_nobody_forbids_it() {
    let check = |case: Case, sockets: &str| assert_eq!(case.line(), format!("Eds LeastRequest {sockets}"));
    check(case(), AUTO);
    check(case().with(|it| it.refuses = true), "");
    check(case().service(|it| it.external = true), "");
    check(case().rule(tls(ClientTlsMode::Disable)), "");
    check(case().rule(tls(ClientTlsMode::IstioMutual)), TLS);
    check(case().rule(tls(ClientTlsMode::Simple)), TLS);
    // No certificate to show.
    check(case().rule(tls(ClientTlsMode::Mutual)), "");
    check(case().with(|it| it.server_name = true), "");
}

#[test]
fn a_secret_reaches_gateways_and_selected_sidecars_only() {
    let tls =
        ClientTls { mode: ClientTlsMode::Simple, credential_name: "secret".into(), ..ClientTls::default() };
    let policy = TrafficPolicy { tls: Some(tls), ..TrafficPolicy::default() };
    assert_eq!(case().rule(policy.clone()).line(), "Eds LeastRequest ");
    let gateway = case().rule(policy).profile(|it| it.kind = ProxyKind::Router);
    assert_eq!(gateway.line(), format!("Eds LeastRequest {TLS}"));
}

#[test]
fn traffic_to_the_address_that_was_called_has_one_mode() {
    let headless = || case().service(|it| it.resolution = Resolution::Passthrough);
    assert_eq!(headless().line(), format!("OriginalDst ClusterProvided {TLS}"));
    let some_plain = headless().with(|it| it.takes_mutual_tls = false);
    assert_eq!(some_plain.line(), "OriginalDst ClusterProvided ");
    let gateway = headless().profile(|it| it.kind = ProxyKind::Router);
    assert_eq!(gateway.line(), format!("Eds LeastRequest {AUTO}"));
    let released = case().rule(balanced(SimpleLb::Passthrough));
    assert_eq!(released.line(), format!("OriginalDst ClusterProvided {TLS}"));
}

#[test]
fn a_subset_is_found_as_its_host_is() {
    let released = case().subset(balanced(SimpleLb::Passthrough), Some(balanced(SimpleLb::Random)));
    assert_eq!(released.line(), format!("OriginalDst ClusterProvided {TLS}"));
    let own = case().subset(TrafficPolicy::default(), Some(balanced(SimpleLb::Random)));
    assert_eq!(own.line(), format!("Eds Random {AUTO}"));
    assert_eq!(&*own.cluster().name, "outbound|80|v1|a.n.svc.cluster.local");
}

#[test]
fn the_proxy_protocol_goes_around_every_socket() {
    let policy = TrafficPolicy { proxy_protocol: Some(ProxyProtocol::V2), ..TrafficPolicy::default() };
    let outer = "envoy.transport_sockets.upstream_proxy_protocol";
    let external = case().service(|it| it.external = true).rule(policy.clone());
    assert_eq!(external.line(), format!("Eds LeastRequest {outer}"));
    let cluster = case().rule(policy).cluster();
    let sockets = cluster.transport_socket_matches.iter().flat_map(|one| &one.transport_socket);
    assert_eq!(sockets.map(|one| &*one.name).collect::<Vec<_>>(), [outer, outer]);
}

#[test]
fn protocols_offered_follow_what_the_proxy_can_do() {
    let h2 = || case().with(|it| it.port = port(80, Protocol::Grpc));
    let stock = |case: Case| {
        case.profile(|it| {
            it.capabilities =
                Capabilities { metadata_exchange: false, alpn: false, stats: false, mysql: true };
        })
    };
    assert_eq!(case().offers(), "istio-peer-exchange,istio");
    assert_eq!(h2().offers(), "istio-peer-exchange,istio,h2");
    assert_eq!(stock(case()).offers(), "istio-http/1.1,istio,http/1.1");
    assert_eq!(stock(h2()).offers(), "istio-h2,istio,h2");
    assert_eq!(stock(case().with(|it| it.port = port(80, Protocol::Tcp))).offers(), "istio");
    assert_eq!(case().cluster().filters.len(), 1);
    assert_eq!(stock(case()).cluster().filters.len(), 0);
}

#[test]
fn http2_is_spoken_by_protocol_or_on_request() {
    let upstream = |case: Case| match ClusterPlan::outbound(&case.0).unwrap().http.upstream {
        http::Upstream::Unset => "unset",
        http::Upstream::PreserveCase => "case",
        http::Upstream::Http2(_) => "http2",
        http::Upstream::Downstream(_) => "client's",
    };
    let pool = |http: HttpPool| {
        let connection_pool = Some(ConnectionPool { http: Some(http), tcp: None });
        TrafficPolicy { connection_pool, ..TrafficPolicy::default() }
    };
    let up = || pool(HttpPool { h2_upgrade: H2Upgrade::Upgrade, ..HttpPool::default() });
    let protocol = |protocol| case().with(|it| it.port = port(80, protocol));
    assert_eq!(upstream(case()), "unset");
    assert_eq!(upstream(protocol(Protocol::Http2)), "http2");
    assert_eq!(upstream(protocol(Protocol::Auto)), "client's");
    assert_eq!(upstream(protocol(Protocol::Auto).profile(|it| it.kind = ProxyKind::Router)), "unset");
    assert_eq!(upstream(case().rule(up())), "http2");
    assert_eq!(upstream(protocol(Protocol::Tcp).rule(up())), "http2");
    assert_eq!(upstream(protocol(Protocol::Auto).rule(up())), "client's");
    let client = pool(HttpPool { use_client_protocol: true, ..HttpPool::default() });
    assert_eq!(upstream(case().rule(client)), "client's");
    let kept = case().profile(|it| it.preserve_header_case = true);
    assert_eq!(upstream(kept.rule(up())), "case");
}

#[test]
fn panic_is_off_but_where_a_rule_asks_for_it() {
    let panic = |case: Case| {
        let threshold = case.cluster().common_lb_config.unwrap().healthy_panic_threshold;
        threshold.map(|percent| percent.value)
    };
    let outlier = OutlierDetection { min_health_percent: 30, ..OutlierDetection::default() };
    let asks = TrafficPolicy { outlier_detection: Some(outlier), ..TrafficPolicy::default() };
    assert_eq!(panic(case()), Some(0.0));
    assert_eq!(panic(case().rule(asks.clone())), Some(30.0));
    let local = case().rule(asks);
    let local = local.service(|it| it.traffic_distribution = TrafficDistribution::PreferSameZone);
    assert_eq!(panic(local), Some(0.0));
}

#[test]
fn names_without_endpoints_make_no_cluster() {
    let named = case().service(|it| it.resolution = Resolution::Dns);
    assert_eq!(ClusterPlan::outbound(&named.0), None);
    let workload = Arc::new(EndpointWorkload::default());
    let endpoint = Endpoint {
        addresses: vec!["a.example".into()],
        port: 8080,
        port_name: "p".into(),
        service_port: 80,
        workload,
        weight: 0,
        health: Health::Unknown,
    };
    let endpoints =
        ServiceEndpoints { endpoints: vec![Shared::new(endpoint)], ..ServiceEndpoints::default() };
    let named = named.with(|it| it.embedded = Some(Shared::new(endpoints)));
    assert_eq!(named.line(), format!("StrictDns LeastRequest {AUTO}"));
    assert_eq!(named.cluster().load_assignment.unwrap().endpoints.len(), 1);
}

#[test]
fn identities_are_known_in_every_trust_domain() {
    let mesh = MeshConfig { trust_domain_aliases: vec!["old".into()], ..MeshConfig::default() };
    let case = case()
        .with(|it| it.mesh = Shared::new(ClusterMesh::of(&mesh)))
        .service(|it| it.accounts = vec!["example.com".into()]);
    let expected = ["example.com", "spiffe://cluster.local/ns/n/sa/a", "spiffe://old/ns/n/sa/a"];
    assert_eq!(accounts::accounts(&case.0), expected.map(Text::from));
}

fn inputs(services: usize) -> OutboundInputs {
    let one = port(80, Protocol::Http);
    let of = |place: usize| ScopedService {
        service: Shared::new(Service { host: Host::new(&format!("s{place}.n")), ..service(&one) }),
        ports: None,
        aliases: Arc::default(),
    };
    let scope = Scope {
        namespace: "n".into(),
        sidecar: None,
        rule_labels: Labels::default(),
        egress: Vec::new(),
        services: (0..services).map(of).collect(),
        by_host: BTreeMap::new(),
        rules: BTreeMap::new(),
        inbound_rules: BTreeMap::new(),
        outbound: MeshConfig::default().outbound_traffic_policy,
    };
    OutboundInputs {
        scope: Shared::new(scope),
        profile: Shared::new(profile()),
        facts: Shared::new(EndpointFacts::default()),
        authn: Shared::default(),
        mesh: Shared::default(),
        settings: Shared::default(),
    }
}

#[test]
fn nothing_is_planned_again_that_has_not_changed() {
    let memos = Memos::default();
    let before = inputs(10);
    let first = outbound(&before, &memos);
    assert_eq!((first.len(), memos.planned().made, memos.built().made), (12, 10, 12));
    let mut scope = (*before.scope).clone();
    scope.services.truncate(9);
    let after = OutboundInputs { scope: Shared::new(scope), ..before.clone() };
    let second = outbound(&after, &memos);
    assert_eq!((second.len(), memos.planned().made, memos.built().made), (11, 10, 12));
    // A mesh configuration that decides nothing here plans nothing.
    let mesh = MeshConfig { access_log_file: "/dev/stdout".into(), ..MeshConfig::default() };
    let other = OutboundInputs { mesh: Shared::new(mesh), ..before };
    assert_eq!(outbound(&other, &memos), first);
    assert_eq!((memos.planned().made, memos.built().made), (10, 12));
}

#[test]
fn gateways_pass_mutual_tls_through_by_server_name() {
    let mut inputs = inputs(1);
    let passing =
        ClusterProfile { kind: ProxyKind::Router, passes_server_names: true, ..(*inputs.profile).clone() };
    inputs.profile = Shared::new(passing);
    let clusters = outbound(&inputs, &Memos::default());
    let names: Vec<_> = clusters.iter().map(|cluster| &*cluster.name).collect();
    assert_eq!(names, ["outbound|80||s0.n", "outbound_.80_._.s0.n", "BlackHoleCluster"]);
}
