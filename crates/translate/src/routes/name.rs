//! Names of a sidecar's route configurations.

use model::Text;

/// What a name of a route configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RouteName<'a> {
    /// `<port>`: all HTTP services at a port.
    Port(u16),
    /// `<host>:<port>`: one service at a port whose protocol is told from first bytes.
    Service(&'a str, u16),
    /// `http_proxy` or a Unix socket: all services at all ports.
    All,
}

/// The route configuration of the HTTP proxy.
pub const HTTP_PROXY: &str = "http_proxy";

impl<'a> RouteName<'a> {
    /// What `name` asks for; `None` if it is no such name.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        if name == HTTP_PROXY || name.starts_with("unix://") {
            return Some(Self::All);
        }
        match name.split_once(':') {
            Some((host, port)) => Some(Self::Service(host, port.parse().ok()?)),
            None => Some(Self::Port(name.parse().ok()?)),
        }
    }

    /// The port, 0 for all.
    pub(super) fn port(&self) -> u16 {
        match self {
            Self::Port(port) | Self::Service(_, port) => *port,
            Self::All => 0,
        }
    }
}

/// `<host>:<port>` or `<port>`, as listeners ask for it.
pub(super) fn of_port(host: Option<&str>, port: u16) -> Text {
    match host {
        Some(host) => format!("{host}:{port}").into(),
        None => port.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_which_services_are_meant() {
        assert_eq!(RouteName::parse("80"), Some(RouteName::Port(80)));
        assert_eq!(RouteName::parse("a.b:80"), Some(RouteName::Service("a.b", 80)));
        assert_eq!(RouteName::parse("unix:///tmp/s"), Some(RouteName::All));
        assert_eq!(RouteName::parse(HTTP_PROXY), Some(RouteName::All));
        for name in ["", "a", "a:b", "99999", "http.80"] {
            assert_eq!(RouteName::parse(name), None, "{name}");
        }
    }
}
