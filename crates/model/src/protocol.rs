//! The protocol of a port and how it is told from names (xds-semantics, port protocol).

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each variant is the protocol's own name")]
pub enum Protocol {
    Http,
    HttpProxy,
    Http2,
    Grpc,
    GrpcWeb,
    Https,
    Tls,
    Tcp,
    Udp,
    Mongo,
    Redis,
    Mysql,
    Hbone,
    /// Not said: the proxy looks at the first bytes.
    Auto,
}

/// Ports whose protocol lets the server speak first, so that looking at first bytes would hang.
const SERVER_FIRST: [u16; 4] = [25, 53, 3306, 27017];

impl Protocol {
    /// What istiod calls it on its debug pages; one that nobody said has a name too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::HttpProxy => "HTTP_PROXY",
            Self::Http2 => "HTTP2",
            Self::Grpc => "GRPC",
            Self::GrpcWeb => "GRPC-Web",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Mongo => "Mongo",
            Self::Redis => "Redis",
            Self::Mysql => "MySQL",
            Self::Hbone => "HBONE",
            Self::Auto => "UnsupportedProtocol",
        }
    }

    /// The protocol of a word such as `http`, `GRPC-Web` or `TLS`; none if the word is no protocol.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "tcp" => Self::Tcp,
            "udp" => Self::Udp,
            "grpc" => Self::Grpc,
            "grpc-web" => Self::GrpcWeb,
            "http" => Self::Http,
            "http_proxy" => Self::HttpProxy,
            "http2" => Self::Http2,
            "https" => Self::Https,
            "tls" => Self::Tls,
            "mongo" => Self::Mongo,
            "redis" => Self::Redis,
            "mysql" => Self::Mysql,
            "hbone" => Self::Hbone,
            _ => return None,
        })
    }

    /// The protocol of a Kubernetes port: `UDP` by transport, then `appProtocol`, then the port's name.
    pub fn of_kube_port(transport: &str, app_protocol: Option<&str>, name: &str, number: u16) -> Self {
        if transport.eq_ignore_ascii_case("udp") {
            return Self::Udp;
        }
        let word = match app_protocol {
            Some("kubernetes.io/h2c") => return Self::Http2,
            Some("kubernetes.io/ws") => return Self::Http,
            Some("kubernetes.io/wss") => return Self::Https,
            Some(word) if !word.is_empty() => word,
            _ => name,
        };
        if word.get(..8).is_some_and(|head| head.eq_ignore_ascii_case("grpc-web")) {
            return Self::GrpcWeb;
        }
        let head = word.split('-').next().unwrap_or(word);
        Self::from_word(head).unwrap_or_else(|| Self::unnamed(number))
    }

    /// The protocol of a ServiceEntry or Gateway port from its `protocol` word.
    pub fn of_istio_port(word: &str, number: u16) -> Self {
        Self::from_word(word).unwrap_or_else(|| Self::unnamed(number))
    }

    fn unnamed(number: u16) -> Self {
        if SERVER_FIRST.contains(&number) { Self::Tcp } else { Self::Auto }
    }

    /// HTTP in any version, without TLS around it.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::HttpProxy | Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// HTTP/2 and what runs on it.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// Bytes, or something that is treated as bytes.
    pub fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::Https | Self::Tls | Self::Mongo | Self::Redis | Self::Mysql)
    }

    /// TLS that the client begins.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// Not said, to be told from the first bytes.
    pub fn is_auto(self) -> bool {
        self == Self::Auto
    }

    /// What is left when TLS is taken off.
    #[must_use]
    pub fn after_tls(self) -> Self {
        match self {
            Self::Https => Self::Http,
            Self::Tls => Self::Tcp,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(app: Option<&str>, name: &str, number: u16, expected: Protocol) {
        assert_eq!(Protocol::of_kube_port("TCP", app, name, number), expected, "{app:?} {name} {number}");
    }

    #[test]
    fn app_protocol_before_name_before_number() {
        check(None, "http-web", 80, Protocol::Http);
        check(None, "http", 80, Protocol::Http);
        check(None, "httpweb", 80, Protocol::Auto);
        check(None, "GRPC-WEB-x", 80, Protocol::GrpcWeb);
        check(None, "grpc-webby", 80, Protocol::GrpcWeb);
        check(Some("kubernetes.io/h2c"), "tcp", 80, Protocol::Http2);
        check(Some("mongo"), "tcp", 80, Protocol::Mongo);
        check(None, "", 3306, Protocol::Tcp);
        check(None, "", 9080, Protocol::Auto);
        assert_eq!(Protocol::of_kube_port("UDP", None, "http", 53), Protocol::Udp);
    }
}
