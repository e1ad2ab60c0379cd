//! The one place of settings: istiod's environment variables by their own names.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::settings::{Compliance, Settings};
use model::{Decimal, Text};

/// What this process does, whatever it sends: by value to the part that uses it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each field is a variable of the table, where it is described")]
pub struct Process {
    pub name: Text,
    pub revision: Text,
    pub shared_mesh: Text,
    pub debounce_after: Duration,
    pub debounce_max: Duration,
    pub max_request_bytes: u32,
    pub max_streams: u32,
    pub streams_per_second: Decimal,
    pub pushes_at_once: u32,
    pub debug_over_http: bool,
    pub debug_by_namespace: bool,
    pub debug_namespaces: Vec<Text>,
}

impl Default for Process {
    fn default() -> Self {
        let (pace, server, keep) = (push::Limits::default(), xds::Config::default(), xds::Keep::default());
        Self {
            name: "pilothouse".into(),
            revision: "".into(),
            shared_mesh: "".into(),
            debounce_after: pace.after,
            debounce_max: pace.max,
            max_request_bytes: u32::try_from(server.max_request_bytes).unwrap_or(u32::MAX),
            max_streams: keep.max_streams,
            streams_per_second: Decimal::new(server.streams_per_second),
            pushes_at_once: u32::try_from(server.pushes_at_once).unwrap_or(u32::MAX),
            debug_over_http: true,
            debug_by_namespace: true,
            debug_namespaces: Vec::new(),
        }
    }
}

/// One setting: its variable, what it is by default, and its effect in a sentence.
pub struct Setting<S: 'static> {
    /// The environment variable, as istiod calls it.
    pub name: &'static str,
    /// The default, as it would be written.
    pub default: &'static str,
    /// What it does.
    pub effect: &'static str,
    field: Field<S>,
}

/// Where a setting is kept.
enum Field<S> {
    Flag(fn(&mut S) -> &mut bool),
    Number(fn(&mut S) -> &mut u32),
    Decimal(fn(&mut S) -> &mut Decimal),
    Time(fn(&mut S) -> &mut Duration),
    List(fn(&mut S) -> &mut Vec<Text>),
    Word(fn(&mut S) -> &mut Text),
    /// A word of which the empty one means something else than none.
    Name(fn(&mut S) -> &mut Text),
    Compliance(fn(&mut S) -> &mut Compliance),
}

macro_rules! settings {
    ($(#[$doc:meta])* $table:ident of $kept:ty: $($name:literal $kind:ident $field:ident $default:literal $effect:literal)*) => {
        $(#[$doc])*
        pub const $table: &[Setting<$kept>] = &[$(Setting {
            name: $name,
            default: $default,
            effect: $effect,
            field: Field::$kind(|settings| &mut settings.$field),
        }),*];
    };
}

settings! {
    /// Settings of this process, in the order in which they are listed to people.
    PROCESS of Process:
    "POD_NAME" Word name "pilothouse" "What this process is called on pages and by istioctl."
    "REVISION" Word revision "" "The revision of this control plane: which Istio objects it reads and what its own are called; empty reads all."
    "SHARED_MESH_CONFIG" Word shared_mesh "" "A ConfigMap with MeshConfig that lies below the revision's own."
    "PILOT_DEBOUNCE_AFTER" Time debounce_after "20ms" "How long it must have been quiet for changes that wait to be pushed; istiod waits 100ms."
    "PILOT_DEBOUNCE_MAX" Time debounce_max "500ms" "The longest time that a change waits; in istiod 10s."
    "ISTIO_GPRC_MAXRECVMSGSIZE" Number max_request_bytes "4194304" "The longest request of a client, in bytes."
    "ISTIO_GPRC_MAXSTREAMS" Number max_streams "100000" "Streams that one connection may have open; 0 for as many as come."
    "PILOT_MAX_REQUESTS_PER_SECOND" Decimal streams_per_second "0" "Streams that may begin per second; 0 for as many as come, where istiod takes 15 and 5 per processor."
    "PILOT_PUSH_THROTTLE" Number pushes_at_once "0" "Clients that are brought to a new state at once; 0 for 64."
    "ENABLE_DEBUG_ON_HTTP" Flag debug_over_http "true" "Debug pages are served over HTTP."
    "ENABLE_DEBUG_ENDPOINT_AUTH" Flag debug_by_namespace "true" "Identities of other namespaces than the root one see debug pages of their own namespace's proxies only."
    "DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES" List debug_namespaces "" "Namespaces whose identities see all debug pages, divided by commas."
}

settings! {
    /// Settings that change what proxies are sent, in the order in which they are listed to people.
    MESH of Settings:
    "PILOT_ENABLE_ALPN_FILTER" Flag alpn_filter "true" "Outbound HTTP carries the istio.alpn filter."
    "PILOT_ENABLE_METADATA_EXCHANGE" Flag metadata_exchange "true" "Proxies tell each other what workload they are."
    "PILOT_DISABLE_MX_ALPN" Flag disable_mx_alpn "false" "istio-peer-exchange is left out of ALPN lists."
    "PILOT_MX_ADDITIONAL_LABELS" List mx_labels "" "Further labels that proxies tell each other, divided by commas."
    "PILOT_ENABLE_TELEMETRY_LABEL" Flag telemetry_label "true" "Clusters carry their services' names as metadata."
    "PILOT_ENDPOINT_TELEMETRY_LABEL" Flag endpoint_telemetry_label "true" "Endpoints carry their workload's name as metadata."
    "PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS" Flag auto_send_unhealthy "true" "Endpoints that are not ready are sent as unhealthy unless a rule forbids it."
    "PILOT_SEND_UNHEALTHY_ENDPOINTS" Flag send_unhealthy "false" "Endpoints that are not ready are always sent as unhealthy."
    "ENABLE_ENHANCED_DESTINATIONRULE_MERGE" Flag enhanced_rule_merge "true" "DestinationRules of one host are merged only if they are exported alike."
    "PILOT_UNIFIED_SIDECAR_SCOPE" Flag unified_sidecar_scope "true" "The root namespace's Sidecar is evaluated in each workload's own namespace."
    "PILOT_SIDECAR_PICK_BEST_SERVICE_NAMESPACE" Flag pick_best_service_namespace "true" "Of services with one host in several namespaces the best one is taken, not the first by alphabet."
    "PILOT_ENABLE_ROUTE_COLLAPSE_OPTIMIZATION" Flag route_collapse "true" "Gateway hosts with equal routes share a virtual host."
    "PILOT_ENABLE_ABSOLUTE_FQDN_VHOST_DOMAIN" Flag absolute_fqdn_domain "true" "Virtual hosts also match names that end in a dot."
    "PILOT_FILTER_GATEWAY_CLUSTER_CONFIG" Flag filter_gateway_clusters "false" "Gateways are sent only the clusters that their routes name."
    "PILOT_SCOPE_GATEWAY_TO_NAMESPACE" Flag scope_gateway_to_namespace "false" "Gateways select workloads of their own namespace only."
    "ISTIO_DUAL_STACK" Flag dual_stack "false" "Proxies with IPv4 and IPv6 addresses get listeners and endpoints of both."
    "DISABLE_SHADOW_HOST_SUFFIX" Flag disable_shadow_host_suffix "true" "Mirrored requests keep their host as it is."
    "PILOT_ENABLE_IP_AUTOALLOCATE" Flag ip_autoallocate "true" "ServiceEntries without addresses have those that were allocated to them (in their status)."
    "PILOT_ENABLE_MONGO_FILTER" Flag mongo_filter "true" "Mongo ports carry the mongo_proxy filter."
    "PILOT_ENABLE_MYSQL_FILTER" Flag mysql_filter "false" "MySQL ports carry the mysql_proxy filter."
    "PILOT_ENABLE_REDIS_FILTER" Flag redis_filter "false" "Redis ports carry the redis_proxy filter."
    "PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES" Flag eds_for_headless "false" "Headless services get their endpoints by EDS."
    "ENABLE_MULTICLUSTER_HEADLESS" Flag multicluster_headless "true" "Names of headless services lead to endpoints in every cluster of the proxy's network."
    "ENABLE_100_CONTINUE_HEADERS" Flag continue_100 "true" "Answers with status 100 are passed on."
    "PILOT_SIDECAR_USE_REMOTE_ADDRESS" Flag sidecar_use_remote_address "false" "Outbound listeners of sidecars trust the connection's own address."
    "PILOT_ENABLE_QUIC_LISTENERS" Flag quic_listeners "false" "Gateways offer HTTP/3 where a UDP port leads to them."
    "PILOT_ENABLE_PERSISTENT_SESSION_FILTER" Flag persistent_session_filter "false" "Services with session labels get the stateful_session filter."
    "ENABLE_LOCALITY_WEIGHTED_LB_CONFIG" Flag locality_weighted_lb "false" "Clusters always weight localities."
    "MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP" Number max_connections_per_event_loop "1" "Connections that a listener accepts in one turn; 0 for no limit."
    "PREFER_DESTINATIONRULE_TLS_FOR_EXTERNAL_SERVICES" Flag prefer_rule_tls_for_external "true" "For services outside the mesh a rule's TLS wins over certificates of the proxy's metadata."
    "PILOT_TRACE_SAMPLING" Decimal trace_sampling "1.0" "Percent of requests that are traced where nothing else says it."
    "PILOT_HTTP10" Flag http10 "false" "HTTP/1.0 is accepted everywhere."
    "PILOT_SKIP_VALIDATE_TRUST_DOMAIN" Flag skip_validate_trust_domain "false" "Peers of any trust domain are accepted."
    "ENABLE_TLS_ON_SIDECAR_INGRESS" Flag tls_on_sidecar_ingress "false" "TLS settings of Sidecar ingress listeners are applied."
    "PILOT_ALLOW_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE" Flag sidecar_service_inbound_merge "false" "Sidecar ingress listeners stand beside those made from services."
    "PILOT_ENABLE_HEADLESS_FILTER_CHAIN_LISTENER" Flag headless_filter_chain_listener "false" "Headless TCP services get one listener with a chain per endpoint."
    "DISABLE_TRACK_REMAINING_CB_METRICS" Flag disable_track_remaining "true" "Circuit breakers do not report what remains."
    "PILOT_DNS_CARES_UDP_MAX_QUERIES" Number cares_udp_max_queries "100" "Queries on one UDP channel of a proxy's resolver."
    "PILOT_DNS_JITTER_DURATION" Time dns_jitter "100ms" "Spread of a proxy's name resolutions."
    "PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT" Time transport_socket_connect_timeout "15s" "Time limit of a listener's TLS handshake."
    "PILOT_ENABLE_SERVICEENTRY_SELECT_PODS" Flag select_pods "true" "ServiceEntries select pods."
    "PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES" Flag select_workload_entries "true" "Kubernetes Services select WorkloadEntries."
    "ISTIO_ENABLE_IPV4_OUTBOUND_LISTENER_FOR_IPV6_CLUSTERS" Flag ipv4_outbound_for_ipv6 "false" "IPv6 proxies reach IPv4 destinations too."
    "COMPLIANCE_POLICY" Compliance compliance "" "The regulation that TLS of proxies has to keep: fips-140-2, fips-140-3 or pqc."
}

mod controllers;
mod identity;
mod injection;

pub use self::controllers::{CONTROLLERS, Controllers};
pub use self::identity::{IDENTITY, Identity};
pub use self::injection::{INJECTION, Injection};

/// This process's variables; what is no text is left out.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Settings of one table from an environment, over the defaults; every value that cannot be read is told at
/// once and its default kept, as istiod does.
pub fn parse<S: Default>(table: &[Setting<S>], environment: &BTreeMap<String, String>) -> (S, Vec<String>) {
    let mut settings = S::default();
    let mut problems = Vec::new();
    for setting in table {
        let is_said = |text: &&String| !text.is_empty() || matches!(setting.field, Field::Name(_));
        if let Some(text) = environment.get(setting.name).filter(is_said)
            && !setting.set(&mut settings, text)
        {
            let Setting { name, default, .. } = setting;
            problems.push(format!("{name}: '{text}' cannot be read; {default} is used"));
        }
    }
    (settings, problems)
}

impl<S> Setting<S> {
    fn set(&self, settings: &mut S, text: &str) -> bool {
        fn put<T>(field: &mut T, value: Option<T>) -> bool {
            value.map(|value| *field = value).is_some()
        }
        match self.field {
            Field::Flag(field) => put(field(settings), flag(text)),
            Field::Number(field) => put(field(settings), text.parse().ok()),
            Field::Decimal(field) => put(field(settings), number(text).map(Decimal::new)),
            Field::Time(field) => put(field(settings), model::parse::proxy::duration(text)),
            Field::List(field) => put(field(settings), Some(list(text))),
            Field::Word(field) | Field::Name(field) => put(field(settings), Some(text.into())),
            Field::Compliance(field) => put(field(settings), Compliance::parse(text)),
        }
    }
}

/// A number that is not negative.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

/// Words between commas, sorted, each once.
fn list(text: &str) -> Vec<Text> {
    let words: BTreeSet<&str> = text.split(',').filter(|word| !word.is_empty()).collect();
    words.into_iter().map(Text::from).collect()
}

/// Truth values as Go reads them.
fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<S: Default + PartialEq + std::fmt::Debug>(table: &[Setting<S>]) {
        for setting in table {
            let mut settings = S::default();
            assert!(setting.set(&mut settings, setting.default), "{}", setting.name);
            assert_eq!(settings, S::default(), "{}", setting.name);
        }
    }

    #[test]
    fn the_defaults_of_the_tables_are_those_of_the_types() {
        check(MESH);
        check(PROCESS);
        check(IDENTITY);
        check(INJECTION);
        check(CONTROLLERS);
    }

    fn environment<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn an_empty_name_of_webhooks_is_said_and_any_other_empty_value_is_not() {
        let environment = environment([
            ("INJECTION_WEBHOOK_CONFIG_NAME", ""),
            ("PILOT_CA_CERT_CONFIGMAP", ""),
            ("ENABLE_LEADER_ELECTION", ""),
        ]);
        let (settings, problems) = parse(CONTROLLERS, &environment);
        let expected = Controllers { injection_webhook: "".into(), ..Controllers::default() };
        assert_eq!((settings, problems), (expected, vec![]));
    }

    #[test]
    fn every_bad_value_is_told() {
        let environment = environment([
            ("PILOT_HTTP10", "maybe"),
            ("PILOT_TRACE_SAMPLING", "all"),
            ("ISTIO_DUAL_STACK", "1"),
        ]);
        let (settings, problems) = parse(MESH, &environment);
        assert_eq!(problems.len(), 2);
        assert!(settings.dual_stack && !settings.http10);
    }

    #[test]
    fn settings_of_the_process_are_read_and_told_alike() {
        let environment = environment([
            ("PILOT_DEBOUNCE_AFTER", "5"),
            ("PILOT_DEBOUNCE_MAX", "1m"),
            ("ISTIO_GPRC_MAXRECVMSGSIZE", "-1"),
            ("PILOT_MAX_REQUESTS_PER_SECOND", "2.5"),
            ("POD_NAME", "istiod-0"),
        ]);
        let (process, problems) = parse(PROCESS, &environment);
        assert_eq!(
            problems,
            [
                "PILOT_DEBOUNCE_AFTER: '5' cannot be read; 20ms is used",
                "ISTIO_GPRC_MAXRECVMSGSIZE: '-1' cannot be read; 4194304 is used",
            ]
        );
        let expected = Process {
            debounce_max: Duration::from_secs(60),
            streams_per_second: Decimal::new(2.5),
            name: "istiod-0".into(),
            ..Process::default()
        };
        assert_eq!(process, expected);
    }
}
