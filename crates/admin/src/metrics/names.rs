//! The one list of metrics: names, kinds and meanings.
//!
//! Those that begin with `pilothouse_` are ours, all others istiod's (istiod-surface 10), whose names carry no
//! suffix for their kind unless istiod gives them one.

use prometheus::proto::MetricType;

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: MetricType,
    pub(crate) help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident $kind:ident $name:literal $help:literal)*) => {
        $(#[doc = $help]
        pub const $constant: Metric =
            Metric { name: $name, kind: MetricType::$kind, help: $help };)*

        /// All of them.
        #[cfg(test)]
        pub(crate) const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    BUILD GAUGE "istio_build" "Always 1; the labels say which component and version this is."
    INFO GAUGE "pilot_info" "Always 1; the label says which version this is."
    UPTIME GAUGE "istiod_uptime_seconds" "Time since the start."

    STREAMS GAUGE "pilot_xds" "Proxies connected."
    PUSHES COUNTER "pilot_xds_pushes" "Responses sent by type; those with _senderr found the stream closed."
    PUSH_TIME HISTOGRAM "pilot_xds_push_time" "Seconds to make a response and hand it to the transport."
    CONFIG_SIZE HISTOGRAM "pilot_xds_config_size_bytes" "Sizes of responses."
    QUEUE_TIME HISTOGRAM "pilot_proxy_queue_time" "Seconds from a change to the first response that it causes, per proxy."
    CONVERGENCE_TIME HISTOGRAM "pilot_proxy_convergence_time" "Seconds from a change to the answer to the last response that it causes, per proxy."
    TOTAL_REJECTS COUNTER "pilot_total_xds_rejects" "Responses that proxies refused."
    CDS_REJECT GAUGE "pilot_xds_cds_reject" "Refusals of proxies that refuse their clusters now."
    EDS_REJECT GAUGE "pilot_xds_eds_reject" "Refusals of proxies that refuse their endpoints now."
    LDS_REJECT GAUGE "pilot_xds_lds_reject" "Refusals of proxies that refuse their listeners now."
    RDS_REJECT GAUGE "pilot_xds_rds_reject" "Refusals of proxies that refuse their routes now."
    EXPIRED_NONCE COUNTER "pilot_xds_expired_nonce" "Requests that answer a response which is not the newest."
    SEND_TIME HISTOGRAM "pilot_xds_send_time" "Seconds until the transport has taken a response."
    LONGEST_REQUEST GAUGE "pilot_xds_recv_max" "Bytes of the longest request so far."
    INTERNAL_ERRORS COUNTER "pilot_total_xds_internal_errors" "Streams that ended because of an error of the server."

    PUSH_TRIGGERS COUNTER "pilot_push_triggers" "Pushes by what caused them."
    INBOUND_UPDATES COUNTER "pilot_inbound_updates" "Changes received by what they are of."
    DEBOUNCE_TIME HISTOGRAM "pilot_debounce_time" "Seconds from the first change that waits to the push that brings it."
    PUSHCONTEXT_INIT HISTOGRAM "pilot_pushcontext_init_seconds" "Seconds to make the state of the mesh that a push is from."
    CONFIG_EVENTS COUNTER "pilot_k8s_cfg_events" "Changes of configuration objects."
    REGISTRY_EVENTS COUNTER "pilot_k8s_reg_events" "Changes of the objects that services and endpoints are made from."
    REJECTED_CONFIGS GAUGE "pilot_total_rejected_configs" "Errors in a configuration object."

    SERVICES GAUGE "pilot_services" "Services known."
    VIRTUAL_SERVICES GAUGE "pilot_virt_services" "VirtualServices known."
    CONFLICT_OUTBOUND GAUGE "pilot_conflict_outbound_listener_tcp_over_current_tcp" "Addresses with a port that several TCP services want."
    CONFLICT_INBOUND GAUGE "pilot_conflict_inbound_listener" "Sidecars with a port to which services lead with different protocols."
    DUPLICATE_CLUSTERS GAUGE "pilot_duplicate_envoy_clusters" "Ports of hosts that several objects define for the same clients."
    DNS_WITHOUT_ENDPOINTS GAUGE "pilot_dns_cluster_without_endpoints" "Clusters that are left out since there is no name to resolve."
    NO_SERVICE GAUGE "pilot_no_ip" "Sidecars that no service leads to."
    NO_POD GAUGE "endpoint_no_pod" "Endpoints of Pods that are not known."
    DUPLICATE_DOMAIN GAUGE "pilot_vservice_dup_domain" "Hosts that several VirtualServices of the mesh want."
    DUPLICATE_SUBSETS GAUGE "pilot_destrule_subsets" "Subsets that a DestinationRule defines twice."
    NO_INSTANCES GAUGE "pilot_eds_no_instances" "Ports of services that no endpoint stands behind."
    NOT_READY GAUGE "pilot_endpoint_not_ready" "Endpoints that are not ready."

    PLANS_MADE COUNTER "pilothouse_plans_made_total" "Plans made."
    PLANS_REUSED COUNTER "pilothouse_plans_reused_total" "Plans that were there."
    ENCODED COUNTER "pilothouse_resources_encoded_total" "Resources and parts of them encoded."
    ENCODED_REUSED COUNTER "pilothouse_resources_reused_total" "Resources and parts of them that were there."
    MEMO_ENTRIES GAUGE "pilothouse_memo_entries" "Plans, resources and parts held."
    SETS GAUGE "pilothouse_sets" "Sets of resources, each shared by the proxies with one profile."
    RESOURCES_SENT COUNTER "pilothouse_resources_sent_total" "Resources sent."
    RESOURCES_REMOVED COUNTER "pilothouse_resources_removed_total" "Removals of resources sent."
    PLAN_TIME HISTOGRAM "pilothouse_views_seconds" "Seconds to make what all proxies are served in a new state."
    UNCHANGED COUNTER "pilothouse_changes_without_effect_total" "Batches of changes after which nothing was different."
    PROBLEMS GAUGE "pilothouse_problems" "Problems in the configuration."
    GENERATION GAUGE "pilothouse_snapshot_generation" "The state of the mesh, counted from the start."
    CONFIG_AGE GAUGE "pilothouse_config_age_seconds" "Time since the state of the mesh last changed."
    WATCHES GAUGE "pilothouse_watch_live" "Whether what is known of a kind of object is what the API server says (1) or was last read from it (0)."
    WATCH_ERRORS COUNTER "pilothouse_watch_errors_total" "Failures to list or watch a kind of object, by reason."
    CERTIFICATE_REQUESTS COUNTER "citadel_server_csr_count" "Requests for certificates."
    CERTIFICATES COUNTER "citadel_server_success_cert_issuance_count" "Certificates issued."
    UNREADABLE_REQUESTS COUNTER "citadel_server_csr_parsing_err_count" "Requests for certificates that cannot be read, or are not signed with their own key."
    UNSIGNED_REQUESTS COUNTER "citadel_server_csr_sign_err_count" "Requests for certificates that were not signed, by error."
    STRANGERS COUNTER "citadel_server_authentication_failure_count" "Requests for certificates by callers who could not show who they are."
    ROOT_EXPIRY GAUGE "citadel_server_root_cert_expiry_timestamp" "When the root ends, in seconds since 1970."
    ROOT_SECONDS GAUGE "citadel_server_root_cert_expiry_seconds" "Seconds until the root ends."
    CHAIN_EXPIRY GAUGE "citadel_server_cert_chain_expiry_timestamp" "When the authority's certificate ends, in seconds since 1970."
    CHAIN_SECONDS GAUGE "citadel_server_cert_chain_expiry_seconds" "Seconds until the authority's certificate ends."
    STRANGE_STREAMS COUNTER "pilothouse_strange_streams_total" "Streams of proxies that could not show who they are."
    FOREIGN_CERTIFICATES COUNTER "pilothouse_foreign_certificates_total" "Certificates of peers without an identity of this mesh."
    TOKENS COUNTER "pilothouse_tokens_total" "Tokens that the cluster was asked about, refused, or did not answer for, and those that were known."
    FAILED_RENEWALS COUNTER "pilothouse_failed_renewals_total" "Times that a new state of the authority, or a new certificate of this server, could not be taken."
    INJECTION_REFUSED GAUGE "pilothouse_injection_config_refused" "Whether the newest injection configuration cannot be used (1), so that the one before holds."
    PATCH_ATTEMPTS COUNTER "webhook_patch_attempts_total" "Attempts to put the certificate authority into a webhook that injects."
    PATCH_RETRIES COUNTER "webhook_patch_retries_total" "Attempts after one that failed."
    PATCH_FAILURES COUNTER "webhook_patch_failures_total" "Attempts that failed, and webhooks of the revision that do not inject, by reason."
    VALIDATION_UPDATES COUNTER "galley_validation_config_updates" "Webhooks that validate and were put right."
    VALIDATION_UPDATE_ERRORS COUNTER "galley_validation_config_update_error" "Attempts at that which failed, by reason."
    STATE_AGE GAUGE "pilothouse_state_age_seconds" "Time since the API server last stood for all that is served; 0 while it does."
}
