//! Tracing of requests: sampling, tags and where traces go (xds-semantics, tracing).

use std::time::Duration;

use envoy_api::Any;
use envoy_api::envoy::config::core::v3 as core;
use envoy_api::envoy::config::trace::v3 as api;
use envoy_api::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::Tracing as Message;
use envoy_api::envoy::r#type::metadata::v3::{MetadataKey, MetadataKind, metadata_key, metadata_kind};
use envoy_api::envoy::r#type::tracing::v3::{CustomTag as Tag, custom_tag};
use envoy_api::envoy::r#type::v3::Percent;
use model::mesh_config::{ExtensionProvider, ProviderKind, TracingService};
use model::proxy::IstioVersion;
use model::proxy_config::CustomTag;
use model::{Decimal, Host, ProxyKind, Text};

use super::base::BaseInputs as Inputs;
use crate::wire::duration;

/// How requests are traced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tracing {
    /// Percent of requests.
    sampling: Decimal,
    /// Istio's own tags; `None` leaves them out.
    workload: Option<WorkloadTags>,
    custom: Vec<(Text, CustomTag)>,
    max_path_tag_length: Option<u32>,
    /// Where traces go; `None` is the tracer that the proxy was started with.
    collector: Option<Collector>,
    /// Whether a request to an endpoint is a span of its own.
    spawn_upstream_span: bool,
}

/// The workload's own tags.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct WorkloadTags {
    revision: Text,
    service: Text,
    cluster: Text,
    mesh_id: Text,
    namespace: Text,
}

/// A provider whose cluster is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Collector {
    kind: ProviderKind,
    host: Host,
    cluster: Text,
    /// The name under which the proxy's spans appear.
    service_name: Text,
    version: IstioVersion,
}

impl Tracing {
    /// How requests of this proxy are traced; `None` if they are not.
    pub(super) fn of(inputs: &Inputs) -> Option<Self> {
        match inputs.mesh.default_tracing.first() {
            None if inputs.mesh.enable_tracing => Some(Self::with(inputs, None)),
            None => None,
            // What cannot be sent anywhere is not traced.
            Some(name) => Some(Self::with(inputs, Some(collector(inputs, inputs.mesh.provider(name)?)?))),
        }
    }

    fn with(inputs: &Inputs, collector: Option<Collector>) -> Self {
        let tracing = &inputs.profile.config.tracing;
        let wanted = collector.is_some() || tracing.istio_tags.unwrap_or(true);
        let own_length = collector.as_ref().and_then(|collector| collector.kind.service()?.max_tag_length);
        let skywalking = matches!(&collector, Some(Collector { kind: ProviderKind::SkyWalking(_), .. }));
        Self {
            sampling: sampling(inputs),
            workload: wanted.then(|| WorkloadTags::of(inputs)),
            custom: tracing.custom_tags.clone(),
            max_path_tag_length: own_length.filter(|length| *length != 0).or(tracing.max_path_tag_length),
            spawn_upstream_span: collector.is_some()
                && (skywalking || inputs.profile.kind == ProxyKind::Router),
            collector,
        }
    }

    /// The message of a connection manager.
    pub(super) fn build(&self) -> Message {
        let percent = |value| Some(Percent { value });
        let mut tags: Vec<_> = self.custom.iter().map(|(name, tag)| custom(name, tag)).collect();
        tags.extend(self.workload.iter().flat_map(WorkloadTags::build));
        tags.sort_by(|one, two| one.tag.cmp(&two.tag));
        Message {
            client_sampling: percent(100.0),
            random_sampling: percent(self.sampling.get()),
            overall_sampling: percent(100.0),
            max_path_tag_length: self.max_path_tag_length,
            custom_tags: tags,
            provider: self.collector.as_ref().and_then(Collector::build),
            spawn_upstream_span: self.spawn_upstream_span.then_some(true),
            ..Default::default()
        }
    }
}

/// The proxy's own wish before the mesh's; what is more than everything counts as 1 %, as istiod has it.
fn sampling(inputs: &Inputs) -> Decimal {
    match inputs.profile.config.tracing.sampling {
        Some(wish) if wish.get() > 100.0 => Decimal::new(1.0),
        Some(wish) if wish.get() != 0.0 => wish,
        _ => inputs.settings.trace_sampling,
    }
}

fn collector(inputs: &Inputs, provider: &ExtensionProvider) -> Option<Collector> {
    let service = provider.kind.service()?;
    let host = inputs.collectors.host(&service.service)?;
    Some(Collector {
        kind: provider.kind.clone(),
        cluster: crate::names::outbound(service.port, "", host).into(),
        host: host.clone(),
        service_name: inputs.profile.service_cluster.clone(),
        version: inputs.profile.version,
    })
}

impl Collector {
    fn build(&self) -> Option<api::tracing::Http> {
        let (name, config) = match &self.kind {
            ProviderKind::Zipkin(service) => ("envoy.tracers.zipkin", Any::pack(&self.zipkin(service))),
            ProviderKind::Datadog(_) => ("envoy.tracers.datadog", Any::pack(&self.datadog())),
            ProviderKind::SkyWalking(_) => ("envoy.tracers.skywalking", Any::pack(&self.skywalking())),
            ProviderKind::OpenTelemetry(service) => {
                ("envoy.tracers.opentelemetry", Any::pack(&self.open_telemetry(service)))
            }
            ProviderKind::Prometheus | ProviderKind::FileAccessLog(_) | ProviderKind::Other(_) => {
                return None;
            }
        };
        let config = api::tracing::http::ConfigType::TypedConfig(config);
        Some(api::tracing::Http { name: name.into(), config_type: Some(config) })
    }

    fn zipkin(&self, service: &TracingService) -> api::ZipkinConfig {
        let path = if service.path.is_empty() { "/api/v2/spans" } else { &service.path };
        let mut config = api::ZipkinConfig {
            collector_endpoint_version: api::zipkin_config::CollectorEndpointVersion::HttpJson as i32,
            trace_id_128bit: !service.short_trace_ids,
            shared_span_context: Some(false),
            ..Default::default()
        };
        // Older proxies do not know the newer way to name the service.
        if self.version < IstioVersion(1, 29, 0) {
            config.collector_cluster = self.cluster.to_string();
            config.collector_endpoint = path.into();
            config.collector_hostname = self.host.to_string();
        } else {
            let timeout = service.timeout.unwrap_or(Duration::from_secs(5));
            let uri = self.uri(format!("http://{}{path}", self.host), Some(timeout));
            config.collector_service = Some(core::HttpService { http_uri: Some(uri), ..Default::default() });
        }
        config
    }

    fn datadog(&self) -> api::DatadogConfig {
        api::DatadogConfig {
            collector_cluster: self.cluster.to_string(),
            service_name: self.service_name.to_string(),
            collector_hostname: self.host.to_string(),
            ..Default::default()
        }
    }

    fn skywalking(&self) -> api::SkyWalkingConfig {
        api::SkyWalkingConfig { grpc_service: Some(self.grpc(None)), ..Default::default() }
    }

    fn open_telemetry(&self, service: &TracingService) -> api::OpenTelemetryConfig {
        let mut config =
            api::OpenTelemetryConfig { service_name: self.service_name.to_string(), ..Default::default() };
        if service.grpc {
            config.grpc_service = Some(self.grpc(service.timeout));
        } else {
            let uri = format!("{}/{}", self.host, service.path.trim_start_matches('/'));
            let uri = self.uri(uri, service.timeout);
            config.http_service = Some(core::HttpService { http_uri: Some(uri), ..Default::default() });
        }
        config
    }

    fn uri(&self, uri: String, timeout: Option<Duration>) -> core::HttpUri {
        core::HttpUri {
            uri,
            timeout: timeout.map(duration),
            http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster(self.cluster.to_string())),
        }
    }

    fn grpc(&self, timeout: Option<Duration>) -> core::GrpcService {
        let envoy = core::grpc_service::EnvoyGrpc {
            cluster_name: self.cluster.to_string(),
            authority: self.host.to_string(),
            ..Default::default()
        };
        core::GrpcService {
            timeout: timeout.map(duration),
            target_specifier: Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(envoy)),
            ..Default::default()
        }
    }
}

impl WorkloadTags {
    fn of(inputs: &Inputs) -> Self {
        let profile = &inputs.profile;
        let label = |key: &str, otherwise: &str| match profile.labels.text(key) {
            Some(value) if !value.is_empty() => value.clone(),
            _ => otherwise.into(),
        };
        let or = |value: &Text, otherwise: &str| {
            if value.is_empty() { otherwise.into() } else { value.clone() }
        };
        Self {
            revision: label("service.istio.io/canonical-revision", "latest"),
            service: label("service.istio.io/canonical-name", "unknown"),
            cluster: or(&profile.cluster, "unknown"),
            mesh_id: or(&profile.mesh_id, "unknown"),
            namespace: or(&profile.namespace, "default"),
        }
    }

    fn build(&self) -> Vec<Tag> {
        let own = [
            ("istio.canonical_revision", &self.revision),
            ("istio.canonical_service", &self.service),
            ("istio.cluster_id", &self.cluster),
            ("istio.mesh_id", &self.mesh_id),
            ("istio.namespace", &self.namespace),
        ];
        let own = own.into_iter().map(|(name, value)| tag(name, literal(value)));
        own.chain(DRY_RUN.into_iter().map(|(name, key)| tag(name, authorization(key)))).collect()
    }
}

/// What policies that are only tried out would have done, from the metadata that RBAC leaves.
const DRY_RUN: [(&str, &str); 4] = [
    ("istio.authorization.dry_run.allow_policy.name", "istio_dry_run_allow_shadow_effective_policy_id"),
    ("istio.authorization.dry_run.allow_policy.result", "istio_dry_run_allow_shadow_engine_result"),
    ("istio.authorization.dry_run.deny_policy.name", "istio_dry_run_deny_shadow_effective_policy_id"),
    ("istio.authorization.dry_run.deny_policy.result", "istio_dry_run_deny_shadow_engine_result"),
];

fn tag(name: &str, kind: custom_tag::Type) -> Tag {
    Tag { tag: name.into(), r#type: Some(kind) }
}

fn literal(value: &str) -> custom_tag::Type {
    custom_tag::Type::Literal(custom_tag::Literal { value: value.into() })
}

fn authorization(key: &str) -> custom_tag::Type {
    let segment = metadata_key::path_segment::Segment::Key(key.into());
    let path = vec![metadata_key::PathSegment { segment: Some(segment) }];
    custom_tag::Type::Metadata(custom_tag::Metadata {
        kind: Some(MetadataKind { kind: Some(metadata_kind::Kind::Request(metadata_kind::Request {})) }),
        metadata_key: Some(MetadataKey { key: "envoy.filters.http.rbac".into(), path }),
        ..Default::default()
    })
}

fn custom(name: &str, custom: &CustomTag) -> Tag {
    let kind = match custom {
        CustomTag::Literal(value) => literal(value),
        CustomTag::Environment(name, default) => custom_tag::Type::Environment(custom_tag::Environment {
            name: name.to_string(),
            default_value: default.to_string(),
        }),
        CustomTag::Header(name, default) => custom_tag::Type::RequestHeader(custom_tag::Header {
            name: name.to_string(),
            default_value: default.to_string(),
        }),
        CustomTag::Formatter(value) => custom_tag::Type::Value(value.to_string()),
    };
    tag(name, kind)
}
