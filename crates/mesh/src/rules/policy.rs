//! The policy of one port and subset, out of a rule's levels.

use model::networking::{
    ClientTls, ConnectionPool, LoadBalancer, OutlierDetection, ProxyProtocol, RetryBudget, SimpleLb, Subset,
    TrafficPolicy, Tunnel,
};

/// What applies to one port of a host or subset, borrowed from the rule's levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is described at TrafficPolicy")]
pub struct EffectivePolicy<'a> {
    pub load_balancer: Option<&'a LoadBalancer>,
    pub connection_pool: Option<&'a ConnectionPool>,
    pub outlier_detection: Option<&'a OutlierDetection>,
    pub tls: Option<&'a ClientTls>,
    pub tunnel: Option<&'a Tunnel>,
    pub proxy_protocol: Option<ProxyProtocol>,
    pub retry_budget: Option<RetryBudget>,
}

impl<'a> EffectivePolicy<'a> {
    /// The policy of a port: its own level replaces the host's level whole, tunnel, PROXY protocol and retry
    /// budget included, which a port's level cannot say.
    pub fn of_port(policy: Option<&'a TrafficPolicy>, port: u16) -> Self {
        let Some(policy) = policy else { return Self::default() };
        let level = port_level(policy, port).unwrap_or(policy);
        Self {
            load_balancer: level.load_balancer.as_ref(),
            connection_pool: level.connection_pool.as_ref(),
            outlier_detection: level.outlier_detection.as_ref(),
            tls: level.tls.as_ref(),
            tunnel: level.tunnel.as_ref(),
            proxy_protocol: level.proxy_protocol,
            retry_budget: level.retry_budget,
        }
    }

    /// The policy of a port of a subset: what the subset says goes over this policy of the host's port.
    /// The subset's own level for the port replaces the four parts also where it says nothing.
    #[must_use]
    pub fn with_subset(self, subset: &'a Subset, port: u16) -> Self {
        let Some(policy) = subset.policy.as_deref() else { return self };
        let own = Self::of_port(Some(policy), port);
        let upper = Self {
            tunnel: own.tunnel.or(self.tunnel),
            proxy_protocol: own.proxy_protocol.or(self.proxy_protocol),
            retry_budget: own.retry_budget.or(self.retry_budget),
            ..own
        };
        if port_level(policy, port).is_some() {
            return upper;
        }
        Self {
            load_balancer: own.load_balancer.or(self.load_balancer),
            connection_pool: own.connection_pool.or(self.connection_pool),
            outlier_detection: own.outlier_detection.or(self.outlier_detection),
            tls: own.tls.or(self.tls),
            ..upper
        }
    }

    /// Fills pool and outlier detection from the mesh's `defaultTrafficPolicy`.
    #[must_use]
    pub fn over_mesh(self, mesh: Option<&'a TrafficPolicy>) -> Self {
        let Some(mesh) = mesh else { return self };
        Self {
            connection_pool: self.connection_pool.or(mesh.connection_pool.as_ref()),
            outlier_detection: self.outlier_detection.or(mesh.outlier_detection.as_ref()),
            ..self
        }
    }

    /// Whether traffic goes to the address that was called (`loadBalancer.simple: PASSTHROUGH`).
    pub fn is_passthrough(&self) -> bool {
        self.load_balancer.is_some_and(|it| it.simple == Some(SimpleLb::Passthrough))
    }
}

fn port_level(policy: &TrafficPolicy, port: u16) -> Option<&TrafficPolicy> {
    policy.port_levels.iter().find(|(number, _)| *number == port).map(|(_, level)| &**level)
}
