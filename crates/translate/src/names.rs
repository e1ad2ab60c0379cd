//! Names of clusters, by which routes, listeners, endpoints and people find them.

use model::Host;

/// Traffic to unknown destinations, sent on as it is.
pub const PASSTHROUGH: &str = "PassthroughCluster";
/// Traffic that leads nowhere.
pub const BLACK_HOLE: &str = "BlackHoleCluster";
/// Inbound traffic to ports that no service declares.
pub const INBOUND_PASSTHROUGH: &str = "InboundPassthroughCluster";
/// Traffic to unknown destinations by the name that was called.
pub const ALLOW_ANY_DYNAMIC_DNS: &str = "AllowAnyDynamicDNSCluster";

/// `outbound|9080|v1|reviews.default.svc.cluster.local`; the subset may be empty.
pub fn outbound(port: u16, subset: &str, host: &Host) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// `outbound_.9080_.v1_.reviews.default.svc.cluster.local`: the server name of mutual TLS, and the
/// cluster that a gateway forwards such connections to.
pub fn server_name(port: u16, subset: &str, host: &Host) -> String {
    format!("outbound_.{port}_.{subset}_.{host}")
}

/// `inbound|9080||`, by the workload's port.
pub fn inbound(port: u16) -> String {
    format!("inbound|{port}||")
}

/// A parsed `outbound|port|subset|host` or `outbound_.port_.subset_.host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Whether it is of the second form.
    pub server_name_form: bool,
    /// The service's port.
    pub port: u16,
    /// The subset, may be empty.
    pub subset: String,
    /// The service's host.
    pub host: Host,
}

/// What an outbound cluster's name says; `None` if it is no such name.
pub fn parse_outbound(name: &str) -> Option<Outbound> {
    let (server_name_form, separator) = match name.get(..10)? {
        "outbound_." => (true, "_."),
        head if head.starts_with("outbound|") => (false, "|"),
        _ => return None,
    };
    let mut fields = name.splitn(4, separator).skip(1);
    let (port, subset, host) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Outbound {
        server_name_form,
        port: port.parse().ok()?,
        subset: subset.into(),
        host: Host::new(host),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        let host = Host::new("a.b.c");
        for (name, form) in [(outbound(80, "v1", &host), false), (server_name(80, "v1", &host), true)] {
            let expected =
                Outbound { server_name_form: form, port: 80, subset: "v1".into(), host: host.clone() };
            assert_eq!(parse_outbound(&name), Some(expected), "{name}");
        }
        assert_eq!(parse_outbound("PassthroughCluster"), None);
        assert_eq!(parse_outbound("outbound|x||h"), None);
    }
}
