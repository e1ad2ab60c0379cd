//! PeerAuthentication.

use istio_api::security as api;

use super::Outcome;
use super::reader::{Reader, labels};
use crate::key::Meta;
use crate::networking::{MutualTlsMode, PeerAuthentication};

/// A PeerAuthentication.
///
/// Modes by port count only with a selector (Istio API reference) and are left out without one. An
/// empty selector is none.
pub(super) fn parse_peer_authentication(
    meta: Meta,
    spec: &api::PeerAuthentication,
) -> Outcome<PeerAuthentication> {
    let mut reader = Reader::new(&meta, "");
    let selector = spec.selector.as_ref().map(|selector| labels(&selector.match_labels));
    let selector = selector.filter(|labels| !labels.is_empty());
    let mut port_modes = Vec::new();
    for (port, mutual_tls) in &spec.port_level_mtls {
        let port = reader.required_port(&format!("portLevelMtls[{port}]"), *port);
        port_modes.push((port, mode(mutual_tls.mode)));
    }
    if selector.is_none() && !port_modes.is_empty() {
        port_modes.clear();
        reader.leave_out(
            "portLevelMtls",
            "port-modes-without-selector",
            "modes by port need a selector of workloads",
        );
    }
    let mode = spec.mtls.as_ref().map(|mutual_tls| mode(mutual_tls.mode)).unwrap_or_default();
    reader.finish(PeerAuthentication { meta, selector, mode, port_modes })
}

fn mode(written: api::MutualTlsMode) -> MutualTlsMode {
    match written {
        api::MutualTlsMode::Unset => MutualTlsMode::Unset,
        api::MutualTlsMode::Disable => MutualTlsMode::Disable,
        api::MutualTlsMode::Permissive => MutualTlsMode::Permissive,
        api::MutualTlsMode::Strict => MutualTlsMode::Strict,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{clean, meta, problems, spec};
    use super::*;
    use crate::Kind;

    fn parse(json: Value) -> Outcome<PeerAuthentication> {
        parse_peer_authentication(meta(Kind::PeerAuthentication), &spec(json))
    }

    #[test]
    fn modes_and_selector() {
        let policy = clean(parse(json!({
            "selector": {"matchLabels": {"app": "a"}},
            "mtls": {"mode": "STRICT"},
            "portLevelMtls": {"9080": {"mode": "DISABLE"}, "80": {}},
        })));
        assert_eq!(policy.selector.unwrap().get("app"), Some("a"));
        assert_eq!(policy.mode, MutualTlsMode::Strict);
        assert_eq!(policy.port_modes, [(80, MutualTlsMode::Unset), (9080, MutualTlsMode::Disable)]);
        let empty = clean(parse(json!({"selector": {}})));
        assert_eq!((empty.selector, empty.mode), (None, MutualTlsMode::Unset));
    }

    #[test]
    fn port_modes_need_a_selector_and_a_port() {
        let parsed =
            parse(json!({"mtls": {"mode": "PERMISSIVE"}, "portLevelMtls": {"80": {"mode": "STRICT"}}}));
        assert_eq!(
            problems(&parsed),
            ["spec.portLevelMtls: modes by port need a selector of workloads [port-modes-without-selector]"]
        );
        assert_eq!(parsed.0.unwrap().port_modes, []);
        let parsed = parse(json!({"selector": {"matchLabels": {"a": "b"}}, "portLevelMtls": {"70000": {}}}));
        assert_eq!(
            problems(&parsed),
            ["spec.portLevelMtls[70000]: port 70000 is not in the range 1 to 65535 [port-out-of-range]"]
        );
        assert_eq!(parsed.0, None);
    }
}
