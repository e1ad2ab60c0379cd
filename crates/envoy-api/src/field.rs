//! Field numbers of the repeated messages that are encoded apart and shared between resources.

/// `RouteConfiguration.virtual_hosts`.
pub const VIRTUAL_HOSTS: u32 = 2;
/// `Listener.filter_chains`.
pub const FILTER_CHAINS: u32 = 3;
/// `ClusterLoadAssignment.endpoints`.
pub const LOCALITIES: u32 = 2;
