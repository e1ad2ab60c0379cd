//! Which of a service's addresses a proxy calls it by.

use std::net::IpAddr;

use model::proxy::IpMode;
use model::service::UNSPECIFIED;
use model::settings::Settings;
use model::{Service, Text};

/// The facts of a proxy by which a service's addresses are chosen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddressView {
    cluster: Text,
    ip_mode: IpMode,
    allocated: bool,
    both_families: bool,
}

impl AddressView {
    /// `allocated`: whether the proxy uses addresses that the allocator gave to services.
    pub(crate) fn new(cluster: &Text, ip_mode: IpMode, allocated: bool, settings: &Settings) -> Self {
        Self { cluster: cluster.clone(), ip_mode, allocated, both_families: settings.dual_stack }
    }

    /// All addresses, the first one first; [`UNSPECIFIED`] for a service that has none.
    ///
    /// Those in the proxy's cluster, else allocated ones, in the proxy's families; failing those, the
    /// address that the service has anyway: one that a user wrote counts whatever its family, one of
    /// another cluster only in the proxy's families.
    pub(crate) fn all<'a>(&self, service: &'a Service) -> Vec<&'a Text> {
        let own = service.cluster_vips.get(&self.cluster).filter(|list| !list.is_empty());
        let allocated = Some(&service.auto_addresses).filter(|_| self.allocated);
        let candidates = own.or(allocated).map_or(&[][..], Vec::as_slice);
        let found = self.usable(candidates);
        let anyway = service.cluster_vips.is_empty() || self.speaks(&service.address);
        if found.is_empty() && anyway && !service.address.is_empty() {
            return vec![&service.address];
        }
        found
    }

    /// The address, or [`UNSPECIFIED`].
    pub(crate) fn first<'a>(&self, service: &'a Service) -> &'a str {
        let own = service.cluster_vips.get(&self.cluster).and_then(|list| self.in_families(list).next());
        let allocated = self.allocated && &*service.address == UNSPECIFIED;
        let allocated = || self.in_families(&service.auto_addresses).next().filter(|_| allocated);
        own.or_else(allocated).unwrap_or(&service.address)
    }

    fn usable<'a>(&self, addresses: &'a [Text]) -> Vec<&'a Text> {
        if self.ip_mode == IpMode::Dual && self.both_families {
            return addresses.iter().collect();
        }
        self.in_families(addresses).collect()
    }

    /// Those in the proxy's families, IPv4 first.
    fn in_families<'a>(&self, addresses: &'a [Text]) -> impl Iterator<Item = &'a Text> {
        let of = move |v4: bool| addresses.iter().filter(move |address| is_v4(address) == Some(v4));
        let v4 = of(true).filter(|_| self.ip_mode.has_v4());
        v4.chain(of(false).filter(|_| self.ip_mode.has_v6()))
    }

    fn speaks(&self, address: &str) -> bool {
        match is_v4(address) {
            Some(true) => self.ip_mode.has_v4(),
            Some(false) => self.ip_mode.has_v6(),
            None => false,
        }
    }
}

/// Whether an address or CIDR is of IPv4; `None` if it is neither.
fn is_v4(address: &str) -> Option<bool> {
    let ip: IpAddr = address.split('/').next()?.parse().ok()?;
    Some(ip.is_ipv4())
}
