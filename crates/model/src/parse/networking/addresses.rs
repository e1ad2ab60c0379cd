//! Addresses, ranges of addresses and wildcards that proxies accept; anything else would make a proxy
//! turn down a whole listener or cluster.

use std::net::{IpAddr, SocketAddr};

use super::reader::Reader;

/// What begins the address of a Unix socket.
const UNIX: &str = "unix://";

/// An IP, or IPs by prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range<'a> {
    /// One IP, a whole-length prefix taken off.
    One(&'a str),
    /// A shorter prefix, as written.
    Prefix(&'a str),
}

/// The IP or range that is written, if it is one.
pub(super) fn range(written: &str) -> Option<Range<'_>> {
    let (ip, length) = match written.split_once('/') {
        Some((ip, length)) => (ip, Some(length.parse::<u8>().ok()?)),
        None => (written, None),
    };
    let most = match ip.parse::<IpAddr>().ok()? {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    match length {
        Some(length) if length < most => Some(Range::Prefix(written)),
        Some(length) if length > most => None,
        _ => Some(Range::One(ip)),
    }
}

/// Whether proxies can connect to an address without asking DNS: an IP or a Unix socket.
pub(super) fn is_direct(written: &str) -> bool {
    written.starts_with(UNIX) || written.parse::<IpAddr>().is_ok()
}

/// Subnets in a condition; one that is none is refused, since without it the condition would be wider.
pub(super) fn check_subnets(reader: &mut Reader<'_>, field: &str, written: &[String]) {
    for (at, subnet) in written.iter().enumerate() {
        if range(subnet).is_none() {
            let detail = format!("{subnet:?} is neither an IP address nor a range of them");
            reader.refuse(&format!("{field}[{at}]"), "address-invalid", detail);
        }
    }
}

/// The address that a listener binds to: empty, an IP, or a Unix socket where `unix` allows one.
pub(super) fn check_bind(reader: &mut Reader<'_>, written: &str, unix: bool) {
    let is_socket = unix && written.starts_with(UNIX);
    if !written.is_empty() && !is_socket && written.parse::<IpAddr>().is_err() {
        reader.refuse("bind", "address-invalid", format!("{written:?} is no address to bind to"));
    }
}

/// The application's address: empty, `address:port`, or a Unix socket.
pub(super) fn check_endpoint(reader: &mut Reader<'_>, written: &str) {
    let known = written.is_empty() || written.starts_with(UNIX) || written.parse::<SocketAddr>().is_ok();
    if !known {
        let detail = format!("{written:?} is neither address:port nor unix://path");
        reader.refuse("defaultEndpoint", "address-invalid", detail);
    }
}

/// A host of a TLS connection: `*` may stand alone or for the first labels (Envoy, `server_names`).
pub(super) fn check_server_name(reader: &mut Reader<'_>, field: &str, host: &str) {
    let rest = host.strip_prefix("*.").unwrap_or(host);
    if host != "*" && rest.contains('*') {
        let detail = format!("{host:?}: a wildcard stands alone or at the beginning, before a dot");
        reader.refuse(field, "wildcard-invalid", detail);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DOMAIN, meta};
    use super::*;
    use crate::Kind;

    fn codes(check: impl FnOnce(&mut Reader<'_>)) -> Vec<&'static str> {
        let meta = meta(Kind::Sidecar);
        let mut reader = Reader::new(&meta, DOMAIN);
        check(&mut reader);
        reader.finish(()).1.iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn ranges() {
        assert_eq!(range("1.2.3.4"), Some(Range::One("1.2.3.4")));
        assert_eq!(range("1.2.3.4/32"), Some(Range::One("1.2.3.4")));
        assert_eq!(range("::1/128"), Some(Range::One("::1")));
        assert_eq!(range("10.0.0.0/8"), Some(Range::Prefix("10.0.0.0/8")));
        assert_eq!(range("2001:db8::/32"), Some(Range::Prefix("2001:db8::/32")));
        for wrong in ["", "a.com", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/x", "1.2.3", "::1/129"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn binds_and_endpoints() {
        for (bind, unix, wrong) in [
            ("", false, 0),
            ("::", false, 0),
            ("a", false, 1),
            ("unix:///x", true, 0),
            ("unix:///x", false, 1),
        ] {
            assert_eq!(codes(|reader| check_bind(reader, bind, unix)).len(), wrong, "{bind}");
        }
        for (endpoint, wrong) in [
            ("", 0),
            ("127.0.0.1:80", 0),
            ("[::1]:80", 0),
            ("unix:///x", 0),
            ("localhost:80", 1),
            ("127.0.0.1", 1),
            ("1.2.3.4:99999", 1),
        ] {
            assert_eq!(codes(|reader| check_endpoint(reader, endpoint)).len(), wrong, "{endpoint}");
        }
    }

    #[test]
    fn server_names() {
        for (host, wrong) in [("*", 0), ("*.a", 0), ("a.com", 0), ("*a.com", 1), ("a.*", 1), ("*.*.a", 1)] {
            assert_eq!(codes(|reader| check_server_name(reader, "hosts", host)).len(), wrong, "{host}");
        }
    }
}
