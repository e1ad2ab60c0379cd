//! Type URLs of the resources that are served over xDS.

/// `envoy.config.cluster.v3.Cluster`, wildcard.
pub const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// `envoy.config.endpoint.v3.ClusterLoadAssignment`, by name.
pub const ENDPOINT: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
/// `envoy.config.listener.v3.Listener`, wildcard.
pub const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
/// `envoy.config.route.v3.RouteConfiguration`, by name.
pub const ROUTE: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
/// `envoy.extensions.transport_sockets.tls.v3.Secret`, by name.
pub const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/// `envoy.config.core.v3.TypedExtensionConfig`, by name.
pub const EXTENSION: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
/// `istio.workload.Address`, wildcard or by name.
pub const ADDRESS: &str = "type.googleapis.com/istio.workload.Address";
/// `istio.workload.Workload`, wildcard or by name.
pub const WORKLOAD: &str = "type.googleapis.com/istio.workload.Workload";
/// `istio.security.Authorization`, wildcard.
pub const AUTHORIZATION: &str = "type.googleapis.com/istio.security.Authorization";
/// `istio.networking.nds.v1.NameTable`, wildcard, one resource without a name.
pub const NAME_TABLE: &str = "type.googleapis.com/istio.networking.nds.v1.NameTable";
/// `istio.mesh.v1alpha1.ProxyConfig`, wildcard, one resource.
pub const PROXY_CONFIG: &str = "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig";
/// `istio.v1.HealthInformation`, sent by clients and never answered.
pub const HEALTH: &str = "type.googleapis.com/istio.v1.HealthInformation";
/// The types that answer with debug pages begin like this.
pub const DEBUG: &str = "istio.io/debug";
