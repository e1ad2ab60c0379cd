//! Clusters of services and subsets as a client sees them.

use memo::Shared;
use mesh::{ClusterProfile, EffectivePolicy, MergedRule, Refusals, ServiceEndpoints};
use model::labels::SESSIONS;
use model::networking::{DestinationRule, OutlierDetection, SimpleLb, Subset, TrafficPolicy};
use model::settings::Settings;
use model::{Protocol, ProxyKind, Registry, Resolution, Service, ServicePort, Text};

use super::balancer::{Algorithm, Balancer, Common, Localities};
use super::dns::{self, DnsResolution};
use super::dynamic::{self, DynamicDns};
use super::http::{HttpOptions, Upstream};
use super::metadata::{self, Metadata, ServiceName};
use super::plan::{Assignment, ClusterPlan, Discovery, PeerExchange};
use super::pool::{self, Limits};
use super::{stat_name, tls};
use crate::cluster_mesh::ClusterMesh;
use crate::endpoints::lb::{self, Locality, Style};
use crate::endpoints::locality::{Client, LocalitySetting};
use crate::endpoints::select::{self, MutualTls, Selection};
use crate::names;

/// What planning one outbound cluster may look at, and so the only reasons to plan it again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterInputs {
    /// The service.
    pub service: Shared<Service>,
    /// The port, which may be another service's of the same host.
    pub port: ServicePort,
    /// The subset, as its place in the rule; `None` for the default cluster.
    pub subset: Option<usize>,
    /// The rule that applies.
    pub rule: Option<Shared<MergedRule>>,
    /// Identities of the service's endpoints.
    pub accounts: Option<Shared<Vec<Text>>>,
    /// Whether the port has endpoints and all take mutual TLS; true where that does not matter.
    pub takes_mutual_tls: bool,
    /// Its endpoints, where they stand in the cluster.
    pub embedded: Option<Shared<ServiceEndpoints>>,
    /// Which endpoints refuse mutual TLS, where they stand in the cluster and some may.
    pub refusals: Option<Shared<Refusals>>,
    /// Whether clients assume that the service's namespace refuses mutual TLS.
    pub refuses: bool,
    /// Whether it is a gateway's cluster for mutual TLS that is passed through by server name.
    pub server_name: bool,
    /// The proxy.
    pub profile: Shared<ClusterProfile>,
    /// What clusters may read of the mesh's configuration.
    pub mesh: Shared<ClusterMesh>,
    /// Switches.
    pub settings: Shared<Settings>,
}

/// The inputs with what follows from them at once.
struct Planner<'a> {
    inputs: &'a ClusterInputs,
    service: &'a Service,
    rule: Option<&'a DestinationRule>,
    subset: Option<&'a Subset>,
    host_policy: EffectivePolicy<'a>,
    policy: EffectivePolicy<'a>,
}

impl ClusterPlan {
    /// Decides, from the inputs; `None` for a cluster whose endpoints stand in it and that has none.
    pub fn outbound(inputs: &ClusterInputs) -> Option<Self> {
        let rule = inputs.rule.as_deref().map(|merged| &merged.rule);
        let subset = inputs.subset.and_then(|place| rule?.subsets.get(place));
        let port = inputs.port.number;
        let host_policy = EffectivePolicy::of_port(rule.and_then(|rule| rule.policy.as_deref()), port)
            .over_mesh(inputs.mesh.default_traffic_policy.as_ref());
        let policy = subset.map_or(host_policy, |subset| host_policy.with_subset(subset, port));
        let planner = Planner { inputs, service: &inputs.service, rule, subset, host_policy, policy };
        let dynamic = is_dynamic(&inputs.service) && !inputs.server_name;
        if dynamic { Some(planner.dynamic()) } else { planner.plan() }
    }
}

/// Whether the name that was called is resolved: wildcard hosts with `DYNAMIC_DNS`.
pub(super) fn is_dynamic(service: &Service) -> bool {
    service.resolution == Resolution::DynamicDns && service.host.is_wildcard()
}

/// Whether a rule may send traffic to the address that was called.
pub(super) fn may_release(rule: &DestinationRule) -> bool {
    let subsets = rule.subsets.iter().filter_map(|subset| subset.policy.as_deref());
    rule.policy.as_deref().into_iter().chain(subsets).any(releases)
}

/// Whether the policy, without its ports' levels, sends traffic to the address that was called.
fn releases(policy: &TrafficPolicy) -> bool {
    policy.load_balancer.as_ref().is_some_and(|balancer| balancer.simple == Some(SimpleLb::Passthrough))
}

impl<'a> Planner<'a> {
    fn plan(&self) -> Option<ClusterPlan> {
        let built = self.discovery();
        let (mesh, settings) = (&*self.inputs.mesh, &*self.inputs.settings);
        let resolves = matches!(built, Discovery::StrictDns | Discovery::LogicalDns);
        let localities = if resolves { Some(self.localities()?) } else { None };
        let resolution =
            || DnsResolution::plan(self.inputs.profile.ip_mode, self.service.race_connect, mesh, settings);
        let dns = resolves.then(resolution);
        let balancer = self.balancer(&built);
        let released = !built.is_original_destination() && self.is_released();
        let discovery =
            if released { Discovery::OriginalDestination { port: None, kept: false } } else { built };
        let localities = localities.filter(|_| !released);
        let mut plan = self.base(discovery, balancer);
        plan.dns = dns;
        plan.assignment = localities.map_or(Assignment::None, Assignment::Localities);
        self.secure(&mut plan, false);
        Some(plan)
    }

    fn dynamic(&self) -> ClusterPlan {
        let family = dns::family(self.inputs.profile.ip_mode, &self.inputs.settings);
        let cache = dynamic::cache_of(&self.service.host, family);
        let discovery = Discovery::Dynamic(DynamicDns { cache, insecure: false });
        let panic = self.policy.outlier_detection.map(|outlier| self.panic(outlier));
        let common = panic.map(|panic| Common { panic: Some(panic), ..Common::default() });
        let balancer = Balancer { common, ..Balancer::provided() };
        let mut plan = self.base(discovery, balancer);
        plan.metadata.services = None;
        plan.stat_name = None;
        self.secure(&mut plan, true);
        plan
    }

    /// Everything but discovery's details and TLS.
    fn base(&self, discovery: Discovery, balancer: Balancer) -> ClusterPlan {
        let (inputs, policy) = (self.inputs, &self.policy);
        let (mesh, settings) = (&*inputs.mesh, &*inputs.settings);
        let pool = policy.connection_pool;
        let subset = self.subset_name();
        let pattern = &mesh.outbound_cluster_stat_name;
        ClusterPlan {
            name: self.name(inputs.server_name),
            stat_name: stat_name::expand(pattern, self.service, &inputs.port, subset, 0),
            discovery,
            dns: None,
            assignment: Assignment::None,
            connect_timeout: pool::connect_timeout(pool, mesh),
            limits: Some(Limits::plan(pool, policy.retry_budget, mesh, settings)),
            http: self.http(),
            outlier_detection: policy.outlier_detection.cloned(),
            balancer,
            tls: None,
            metadata: self.metadata(),
            peer_exchange: PeerExchange::of(&inputs.profile, settings),
            bind: None,
        }
    }

    fn subset_name(&self) -> &'a str {
        self.subset.map_or("", |subset| &subset.name)
    }

    fn name(&self, server_name: bool) -> Text {
        let (port, subset, host) = (self.inputs.port.number, self.subset_name(), &self.service.host);
        let name = if server_name {
            names::server_name(port, subset, host)
        } else {
            names::outbound(port, subset, host)
        };
        name.into()
    }

    /// How endpoints are found before load balancing may send traffic to the address that was called.
    fn discovery(&self) -> Discovery {
        let to_original = || {
            let port = self.service.passthrough_target_ports.get(&self.inputs.port.number).copied();
            Discovery::OriginalDestination { port, kept: false }
        };
        if let Some(subset) = self.subset {
            let released = subset.policy.as_deref().is_some_and(releases);
            if released || self.host_policy.is_passthrough() && !self.is_sharded() {
                return to_original();
            }
        }
        let headless = self.service.registry == Registry::Kubernetes && self.inputs.settings.eds_for_headless;
        match self.service.resolution {
            Resolution::Dns if self.service.race_connect => Discovery::LogicalDns,
            Resolution::Dns => Discovery::StrictDns,
            Resolution::DnsRoundRobin => Discovery::LogicalDns,
            Resolution::Passthrough if self.inputs.profile.kind == ProxyKind::Sidecar && !headless => {
                to_original()
            }
            _ => Discovery::Endpoints,
        }
    }

    /// Whether load balancing sends traffic to the address that was called.
    fn is_released(&self) -> bool {
        self.policy.is_passthrough() && !self.is_sharded()
    }

    /// Whether keys are spread over endpoints, as Redis wants.
    fn is_sharded(&self) -> bool {
        self.inputs.settings.redis_filter && self.inputs.port.protocol == Protocol::Redis
    }

    fn http(&self) -> HttpOptions {
        let (profile, protocol) = (&self.inputs.profile, self.inputs.port.protocol);
        let pool = self.policy.connection_pool;
        let mut http = HttpOptions {
            upstream: Upstream::of(protocol, profile.kind, profile.preserve_header_case),
            ..HttpOptions::default()
        };
        http.upgrade(pool, self.inputs.mesh.h2_upgrade, protocol);
        http.limit(pool);
        if let Some(outlier) = self.policy.outlier_detection {
            http.error_codes.clone_from(&outlier.http_error_codes);
        }
        http
    }

    fn balancer(&self, built: &Discovery) -> Balancer {
        let original = built.is_original_destination();
        let algorithm = if original {
            Algorithm::default()
        } else if self.is_sharded() {
            Algorithm::Maglev(None)
        } else {
            Algorithm::of(self.policy.load_balancer)
        };
        let (service, settings) = (self.service, &*self.inputs.settings);
        let outlier = self.policy.outlier_detection;
        let setting = LocalitySetting::of(&self.inputs.mesh, self.policy.load_balancer, service);
        let panic = outlier.map(|outlier| self.panic(outlier));
        let common = Common {
            panic: panic.or_else(|| select::supports_unhealthy(service, settings).then_some(0)),
            localities: Localities::of(setting.as_ref(), outlier.is_some(), settings),
            sticky: self.is_sticky(),
        };
        Balancer { algorithm, provided: original || self.is_released(), common: Some(common) }
    }

    /// Percent of healthy endpoints below which all are used. Never where endpoints that are not ready are
    /// sent for other reasons.
    fn panic(&self, outlier: &OutlierDetection) -> u32 {
        if select::forces_unhealthy(self.service, &self.inputs.settings) {
            0
        } else {
            outlier.min_health_percent
        }
    }

    /// Whether sessions stay with endpoints that end; subsets do without, as in istiod.
    fn is_sticky(&self) -> bool {
        let labels = &self.service.labels;
        let wanted = || SESSIONS.iter().any(|key| labels.is_set(key));
        self.subset.is_none() && !self.inputs.server_name && wanted()
    }

    fn metadata(&self) -> Metadata {
        let names = || vec![ServiceName::of(self.service)];
        let mode = self.policy.tls.map(|tls| tls.mode);
        Metadata {
            services: self.inputs.settings.telemetry_label.then(names),
            config: self.inputs.rule.as_deref().map(metadata::config_path),
            subset: self.subset.map(|subset| subset.name.clone()),
            foreign_tls: self.rule.is_some() && mode.is_some_and(|mode| mode.is_foreign()),
            external: self.service.external && self.subset.is_none(),
        }
    }

    /// TLS, and what follows from it elsewhere. Clusters by server name pass TLS through as it is.
    fn secure(&self, plan: &mut ClusterPlan, dynamic: bool) {
        if self.inputs.server_name {
            return;
        }
        let level = match self.subset {
            Some(subset) => subset.policy.as_deref(),
            None => self.rule.and_then(|rule| rule.policy.as_deref()),
        };
        let outcome = tls::plan(&tls::Context {
            inputs: self.inputs,
            policy: self.policy,
            sni: if dynamic { Text::default() } else { self.name(true) },
            http2: plan.http.upstream.is_http2(),
            original_destination: plan.discovery.is_original_destination(),
            passthrough: level.is_some_and(releases),
            dynamic,
        });
        plan.tls = outcome.tls;
        plan.http.auto_sni = outcome.auto_sni;
        plan.http.auto_san_validation = outcome.auto_san_validation;
        if let Discovery::Dynamic(dynamic) = &mut plan.discovery {
            dynamic.insecure = outcome.insecure;
        }
    }

    /// The endpoints of a cluster that resolves their names; `None` if there are none.
    fn localities(&self) -> Option<Vec<Locality>> {
        let (inputs, settings) = (self.inputs, &*self.inputs.settings);
        let profile = &inputs.profile;
        let selection = Selection {
            service: self.service,
            subset: self.subset.map(|subset| &subset.labels),
            cluster: &profile.cluster,
            node: "",
            network_view: &profile.network_view,
            cluster_local: inputs.mesh.cluster_locals.covers(&self.service.host, &settings.domain),
            unhealthy: select::sends_unhealthy(self.service, &self.policy, settings),
        };
        let rule = self.rule.and_then(|rule| select::rule_mode(rule, self.subset, inputs.port.number));
        let mutual = MutualTls { rule, refusals: inputs.refusals.as_deref() };
        let endpoints = inputs.embedded.iter().flat_map(|service| &service.endpoints);
        let chosen = endpoints
            .filter(|endpoint| endpoint.service_port == inputs.port.number && selection.keeps(endpoint))
            .map(|endpoint| mutual.judge(endpoint));
        let mut localities = lb::group(chosen, Style::of(settings));
        if localities.is_empty() {
            return None;
        }
        // As in istiod, labels order the endpoints of a service's default cluster only.
        let by_labels = self.subset.is_none() && !inputs.server_name;
        let client =
            Client { locality: &profile.locality, labels: by_labels.then_some(&profile.name_labels) };
        let setting = LocalitySetting::of(&inputs.mesh, self.policy.load_balancer, self.service);
        if let Some(setting) = setting {
            setting.apply(&mut localities, client, self.policy.outlier_detection.is_some());
        }
        Some(localities)
    }
}
