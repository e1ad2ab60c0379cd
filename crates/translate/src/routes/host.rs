//! One virtual host of a route table, of sidecars and of gateways: a part with a plan and a memo entry of
//! its own.

use std::sync::Arc;

use envoy_api::envoy::config::route::v3 as route;
use envoy_api::{Name, Part, field};
use memo::{Memo, Shared};
use model::Text;
use route::virtual_host::TlsRequirementType;

use super::Memos;
use super::domains::{Domain, with_port};
use super::http::RoutePlan;
use super::session::{self, Session};

/// The memos of virtual hosts.
#[derive(Default)]
pub(super) struct HostMemos {
    /// By inputs; only this one is asked where nothing has changed.
    pub(super) hosts: Memo<HostInputs, VirtualHost>,
    /// By plan, so that inputs which lead to an equal plan encode nothing.
    pub(super) parts: Memo<HostPlan, Part>,
}

/// Everything that a virtual host may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HostInputs {
    /// What it is called by.
    pub(crate) label: Label,
    /// What it is for.
    pub(crate) domains: Domains,
    /// Its routes, in order of precedence.
    pub(crate) routes: Shared<Vec<RoutePlan>>,
    /// Whether requests without TLS are redirected (`httpsRedirect`).
    pub(crate) tls_only: bool,
    /// Whether requests tell how often they were tried.
    pub(crate) attempts: bool,
    /// Sticky sessions of the service that it is for.
    pub(crate) session: Option<Session>,
}

/// What a virtual host is called by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Label {
    /// `<host>:<port>`.
    Port(Text, u16),
    /// The one for hosts that nothing is known of.
    CatchAll(&'static str),
}

/// The domains that a virtual host has won.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Domains {
    /// Every host.
    Any,
    /// These.
    Listed(Vec<Text>),
    /// Those of a service.
    Service {
        /// All that it may claim.
        all: Shared<Vec<Domain>>,
        /// Those that went to others, indexes into `all`; nearly always none.
        lost: Vec<u16>,
        /// Whether only those with a port count.
        with_port_only: bool,
    },
}

impl Domains {
    /// Whether nothing is left.
    pub(super) fn are_lost(&self) -> bool {
        match self {
            Self::Any | Self::Listed(_) => false,
            Self::Service { all, lost, with_port_only: false } => lost.len() >= all.len(),
            Self::Service { with_port_only: true, .. } => self.won().is_empty(),
        }
    }

    /// The domains in order.
    fn won(&self) -> Vec<String> {
        let (all, lost, with_port_only) = match self {
            Self::Any => return vec!["*".into()],
            Self::Listed(domains) => return domains.iter().map(ToString::to_string).collect(),
            Self::Service { all, lost, with_port_only } => (all, lost, *with_port_only),
        };
        let won = (0_u16..).zip(all.iter()).filter(|(at, _)| !lost.contains(at));
        let won = won.map(|(_, domain)| &*domain.text);
        won.filter(|text| !with_port_only || text.contains(':')).map(str::to_owned).collect()
    }
}

/// A virtual host as decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HostPlan {
    name: String,
    domains: Vec<String>,
    routes: Arc<Vec<RoutePlan>>,
    tls_only: bool,
    attempts: bool,
    session: Option<Session>,
}

/// A virtual host, encoded.
#[derive(Debug)]
pub(crate) struct VirtualHost {
    /// Its name, by which tables are sorted.
    pub(crate) name: String,
    pub(super) part: Shared<Part>,
    /// The clusters that its routes name.
    pub(super) clusters: Arc<[Name]>,
}

impl VirtualHost {
    /// The virtual host of these inputs.
    pub(crate) fn of(inputs: &HostInputs, memos: &Memos) -> Shared<Self> {
        let memos = &memos.hosts;
        memos.hosts.get(inputs, |inputs| {
            let plan = HostPlan::plan(inputs);
            let part = memos.parts.get(&plan, |plan| Part::field(field::VIRTUAL_HOSTS, &plan.build()));
            let clusters: Vec<Name> = plan.routes.iter().flat_map(RoutePlan::clusters).collect();
            let clusters = super::distinct(clusters.iter());
            Self { name: plan.name, part, clusters }
        })
    }
}

impl HostPlan {
    pub(super) fn plan(inputs: &HostInputs) -> Self {
        let name = match &inputs.label {
            Label::Port(host, port) => with_port(host, *port),
            Label::CatchAll(name) => (*name).to_owned(),
        };
        Self {
            name,
            domains: inputs.domains.won(),
            routes: inputs.routes.arc().clone(),
            tls_only: inputs.tls_only,
            attempts: inputs.attempts,
            session: inputs.session.clone(),
        }
    }

    /// Renders.
    pub(super) fn build(&self) -> route::VirtualHost {
        let session = self.session.iter().map(|session| (session::FILTER.to_owned(), session.build()));
        let tls = if self.tls_only { TlsRequirementType::All } else { TlsRequirementType::None };
        route::VirtualHost {
            name: self.name.clone(),
            domains: self.domains.clone(),
            routes: self.routes.iter().map(RoutePlan::build).collect(),
            require_tls: tls as i32,
            typed_per_filter_config: session.collect(),
            include_request_attempt_count: self.attempts,
            ..Default::default()
        }
    }
}
