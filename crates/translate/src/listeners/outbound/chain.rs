//! Filter chains as decided: which connections they are for, and what becomes of those.

use std::collections::BTreeSet;
use std::net::IpAddr;

use envoy_api::envoy::config::core::v3::CidrRange;
use model::service::UNSPECIFIED;
use model::{Protocol, Text};

use super::super::TcpTarget;
use super::super::network_filters::TcpOptions;
use crate::wire::DnsCache;

/// Every server name.
const ANY: &str = "*";

/// A filter chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Chain {
    /// Matches HTTP by its first bytes.
    pub(super) http: bool,
    /// Server names, sorted; none, or `*` among them, for all.
    pub(super) snis: Vec<Text>,
    /// Destination addresses, alone or in CIDR form, sorted; none for all.
    pub(super) cidrs: Vec<Text>,
    /// Namespace and name of the VirtualService that it is of.
    pub(super) rule: Option<(Text, Text)>,
    /// The endpoint of a headless service that it is for; the workload there has no use for it.
    pub(super) endpoint: Option<Text>,
    pub(super) terminal: Terminal,
}

/// What Envoy tells chains apart by: two that are equal in it it refuses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Match {
    http: bool,
    names: Vec<Text>,
    ranges: BTreeSet<(bool, u128, u32)>,
}

/// What a chain ends with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Terminal {
    /// A connection manager that asks for these routes.
    Http { route: Text, protocol: Protocol, absolute_url: bool, forward_proxies: Vec<DnsCache> },
    /// A TCP proxy.
    Tcp { stat_prefix: Text, target: TcpTarget, protocol: Protocol, options: Box<TcpOptions> },
}

impl Chain {
    /// A chain for everything.
    pub(super) fn of(terminal: Terminal) -> Self {
        Self { http: false, snis: Vec::new(), cidrs: Vec::new(), rule: None, endpoint: None, terminal }
    }

    /// The same for these server names and destination addresses only.
    pub(super) fn matching(self, snis: &[Text], cidrs: &[Text]) -> Self {
        let sorted = |list: &[Text]| {
            let mut list = list.to_vec();
            list.sort();
            list
        };
        Self { snis: sorted(snis), cidrs: sorted(cidrs), ..self }
    }

    /// Whether every connection is for this chain.
    pub(super) fn matches_all(&self) -> bool {
        !self.http && self.server_names().is_empty() && self.cidrs.is_empty()
    }

    /// The server names that are asked for.
    pub(super) fn server_names(&self) -> &[Text] {
        if self.snis.iter().any(|name| &**name == ANY) { &[] } else { &self.snis }
    }

    /// The destination addresses that are asked for; `0.0.0.0` is no address to ask for, and text that is
    /// no address is left out, both as in istiod.
    pub(super) fn ranges(&self) -> impl Iterator<Item = CidrRange> {
        let found = self.cidrs.iter().filter_map(|cidr| parse(cidr));
        found.map(|(address, length)| CidrRange {
            address_prefix: address.to_string(),
            prefix_len: Some(length),
        })
    }

    /// What Envoy tells chains apart by.
    pub(super) fn matched(&self) -> Match {
        let mut names: Vec<Text> = self.snis.iter().filter(|name| &***name != ANY).cloned().collect();
        names.sort_unstable();
        names.dedup();
        Match { http: self.http, names, ranges: self.masked() }
    }

    /// Ranges without what lies beyond their length.
    fn masked(&self) -> BTreeSet<(bool, u128, u32)> {
        self.cidrs
            .iter()
            .filter_map(|cidr| parse(cidr))
            .map(|(address, length)| mask(address, length))
            .collect()
    }
}

/// `10.0.0.0/8`, or a single address.
fn parse(cidr: &str) -> Option<(IpAddr, u32)> {
    let (address, length) =
        cidr.split_once('/').map_or((cidr, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let length =
        length.map_or(Some(width), |length| length.parse().ok()).filter(|length| *length <= width)?;
    (address.to_string() != UNSPECIFIED).then_some((address, length))
}

fn mask(address: IpAddr, length: u32) -> (bool, u128, u32) {
    let (bits, width) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    (address.is_ipv4(), bits.checked_shr(width - length).unwrap_or_default(), length)
}
