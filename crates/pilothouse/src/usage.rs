//! Flags that cannot be used as they are: the exit status is 2, as for those that cannot be read.

use std::fmt;

/// What is wrong with the flags.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) &'static str);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Usage {}

/// `host:port`; an IPv6 address stands in brackets.
pub(crate) fn host_and_port(text: &str) -> Result<String, String> {
    let is_host = |host: &str| {
        let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        in_brackets.map_or(!host.contains(':'), |ip| ip.parse::<std::net::Ipv6Addr>().is_ok())
    };
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && is_host(host) && port.parse::<u16>().is_ok() => {
            Ok(text.to_owned())
        }
        _ => Err("write HOST:PORT, as 127.0.0.1:15010 or [::1]:15010".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for good in ["istiod.istio-system.svc:15010", "127.0.0.1:1", "[::1]:15010"] {
            assert_eq!(host_and_port(good).as_deref(), Ok(good));
        }
        for bad in ["foo", "foo:", ":15010", "::1:15010", "foo:http", "", "[x]:1"] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }
}
