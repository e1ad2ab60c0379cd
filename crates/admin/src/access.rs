//! Who may see debug pages, and which of them (istiod-surface 9.1, 9.4).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use axum::http::Extensions;
use model::{Caller, Text};
use xds::Peer;

/// The pages that somebody may see who may not see all, of proxies of the own namespace.
const OWN: [&str; 3] = ["config_dump", "edsz", "ndsz"];

/// Who may see debug pages beside those who come over loopback.
///
/// Whoever proves an identity of the root namespace sees all, others what is of their own namespace. The proof
/// is a [`Caller`] that a layer in front put into the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether there are debug pages over HTTP at all.
    pub over_http: bool,
    /// Whether it matters which namespace somebody is of; else every proven identity sees all.
    pub by_namespace: bool,
    /// Namespaces whose identities see all, beside the root namespace.
    pub namespaces: BTreeSet<Text>,
}

impl Default for Access {
    fn default() -> Self {
        Self { over_http: true, by_namespace: true, namespaces: BTreeSet::new() }
    }
}

/// What somebody may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Everything.
    #[default]
    Everything,
    /// Some pages, of the proxies of this namespace.
    Namespace(Text),
}

impl Sight {
    /// Whether this page is among those that are seen.
    pub(crate) fn has_page(&self, page: &str) -> bool {
        *self == Self::Everything || OWN.contains(&page)
    }

    /// Whether proxies of this namespace are seen.
    pub(crate) fn has_namespace(&self, namespace: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Namespace(own) => **own == *namespace,
        }
    }
}

impl Access {
    /// What is seen over HTTP; nothing by who comes from elsewhere and is nobody.
    pub(crate) fn over_http(
        &self,
        root: &str,
        peer: Option<SocketAddr>,
        caller: Option<&Caller>,
    ) -> Option<Sight> {
        if is_loopback(peer) {
            return Some(Sight::Everything);
        }
        caller.map(|caller| self.of(root, caller))
    }

    /// What is seen over xDS, where an identity counts before the way that it comes; `pages` says that it is asked
    /// for pages, which no switch opens to who is nobody.
    pub(crate) fn over_xds(&self, root: &str, extensions: &Extensions, pages: bool) -> Option<Sight> {
        if let Some(caller) = extensions.get::<Caller>() {
            return Some(self.of(root, caller));
        }
        let is_open = !pages && !self.by_namespace;
        let peer = extensions.get().map(|Peer(peer)| *peer);
        (is_open || is_loopback(peer)).then_some(Sight::Everything)
    }

    fn of(&self, root: &str, caller: &Caller) -> Sight {
        let namespace = &caller.namespace;
        if !self.by_namespace || **namespace == *root || self.namespaces.contains(namespace) {
            return Sight::Everything;
        }
        Sight::Namespace(namespace.clone())
    }
}

/// An unknown peer is none of the own machine.
fn is_loopback(peer: Option<SocketAddr>) -> bool {
    peer.is_some_and(|peer| match peer.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "istio-system";

    fn caller(namespace: &str) -> Caller {
        Caller {
            trust_domain: "cluster.local".into(),
            namespace: namespace.into(),
            service_account: "default".into(),
        }
    }

    fn own(namespace: &str) -> Option<Sight> {
        Some(Sight::Namespace(namespace.into()))
    }

    #[test]
    fn loopback_sees_everything_over_http() {
        let check = |peer: &str| Access::default().over_http(ROOT, Some(peer.parse().unwrap()), None);
        for peer in ["127.0.0.1:1", "127.8.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(check(peer), Some(Sight::Everything), "{peer}");
        }
        for peer in ["10.0.0.1:1", "[::ffff:10.0.0.1]:1", "[fe80::1]:1"] {
            assert_eq!(check(peer), None, "{peer}");
        }
        assert_eq!(Access::default().over_http(ROOT, None, None), None);
    }

    #[test]
    fn an_identity_sees_what_is_of_its_namespace() {
        let some = Access { namespaces: ["ops".into()].into(), ..Access::default() };
        let all = Access { by_namespace: false, ..Access::default() };
        let check = |access: &Access, namespace: &str| access.over_http(ROOT, None, Some(&caller(namespace)));
        assert_eq!(check(&some, ROOT), Some(Sight::Everything));
        assert_eq!(check(&some, "ops"), Some(Sight::Everything));
        assert_eq!(check(&some, "a"), own("a"));
        assert_eq!(check(&all, "a"), Some(Sight::Everything));
        let sight = own("a").unwrap();
        assert!(sight.has_page("config_dump") && !sight.has_page("syncz"));
        assert!(sight.has_namespace("a") && !sight.has_namespace("b"));
    }

    #[test]
    fn over_xds_an_identity_counts_first() {
        let access = Access::default();
        let mut extensions = Extensions::new();
        assert_eq!(access.over_xds(ROOT, &extensions, false), None);
        let open = Access { by_namespace: false, ..Access::default() };
        assert_eq!(open.over_xds(ROOT, &extensions, false), Some(Sight::Everything));
        assert_eq!(open.over_xds(ROOT, &extensions, true), None, "pages need an identity all the same");
        extensions.insert(Peer("127.0.0.1:1".parse().unwrap()));
        assert_eq!(access.over_xds(ROOT, &extensions, true), Some(Sight::Everything));
        extensions.insert(caller("a"));
        assert_eq!(access.over_xds(ROOT, &extensions, true), own("a"));
    }
}
