//! Who may see debug pages.

use std::net::{IpAddr, SocketAddr};

/// Whether debug pages are shown to a peer.
///
/// istiod shows them to loopback without a question and to others if they prove who they are (istiod-surface 9.1).
/// Nobody can prove that to a server of files, so here it is loopback alone; an unknown peer is not.
pub(crate) fn is_allowed(peer: Option<SocketAddr>) -> bool {
    peer.is_some_and(|peer| match peer.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_allowed() {
        let check = |peer: &str| is_allowed(Some(peer.parse().unwrap()));
        assert!(["127.0.0.1:1", "127.8.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"].into_iter().all(check));
        assert!(!["10.0.0.1:1", "[::ffff:10.0.0.1]:1", "[fe80::1]:1"].into_iter().any(check));
        assert!(!is_allowed(None));
    }
}
