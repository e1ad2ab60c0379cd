//! The choice of a filter chain: one sieve after the other, and what the chain asks of the transport.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{
    Call, Refusal, Tls,
    tree::{has_type, is, list, number, text},
};

/// The listener filters that look into the connection, as far as they are active on the call's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inspectors {
    /// Sees server name, application protocol and that there is TLS at all.
    pub(super) tls: bool,
    /// Sees that plaintext is HTTP, and which version.
    pub(super) http: bool,
}

impl Inspectors {
    fn of(listener: &Value, port: u16) -> Self {
        let active = |kind: &str| {
            let mut filters = list(listener, "/listenerFilters").iter();
            filters.any(|filter| has_type(filter, kind) && !is_disabled(filter.get("filterDisabled"), port))
        };
        Self { tls: active("TlsInspector"), http: active("HttpInspector") }
    }
}

/// Whether a listener filter's predicate covers the port.
fn is_disabled(predicate: Option<&Value>, port: u16) -> bool {
    let Some(predicate) = predicate else { return false };
    if let Some(range) = predicate.get("destinationPortRange") {
        return (number(range, "/start")..number(range, "/end")).contains(&u64::from(port));
    }
    let mut rules = list(predicate, "/orMatch/rules").iter();
    let mut both = list(predicate, "/andMatch/rules").iter().peekable();
    let negated = predicate.get("notMatch").is_some_and(|inner| !is_disabled(Some(inner), port));
    is(predicate, "/anyMatch")
        || negated
        || rules.any(|rule| is_disabled(Some(rule), port))
        || (both.peek().is_some() && both.all(|rule| is_disabled(Some(rule), port)))
}

/// The chain that takes the call.
pub(super) fn pick<'a>(listener: &'a Value, call: &Call) -> Result<&'a Value, Refusal> {
    let inspectors = Inspectors::of(listener, call.port);
    let mut chains: Vec<&Value> = list(listener, "/filterChains").iter().collect();
    sieve(&mut chains, "destinationPort", |set| usize::from(set.as_u64() == Some(u64::from(call.port))));
    sieve(&mut chains, "prefixRanges", |set| prefix_rank(set, &call.address));
    sieve(&mut chains, "serverNames", |set| server_name_rank(set, call.server_name()));
    let transport = if inspectors.tls && call.tls != Tls::Plaintext { "tls" } else { "raw_buffer" };
    sieve(&mut chains, "transportProtocol", |set| usize::from(set.as_str() == Some(transport)));
    let protocol = call.application_protocol(inspectors);
    sieve(&mut chains, "applicationProtocols", |set| usize::from(texts(set).any(|one| one == protocol)));
    match chains[..] {
        [chain] => Ok(chain),
        [] => listener.get("defaultFilterChain").ok_or(Refusal::NoFilterChain),
        _ => Err(Refusal::MultipleFilterChain),
    }
}

/// Keeps the chains of the best rank above 0; if there is none, those that leave the criterion unset.
fn sieve(chains: &mut Vec<&Value>, criterion: &str, rank: impl Fn(&Value) -> usize) {
    let set = |chain: &Value| {
        chain.pointer("/filterChainMatch").and_then(|matched| matched.get(criterion)).cloned()
    };
    let ranks: Vec<Option<usize>> = chains.iter().map(|chain| set(chain).map(|value| rank(&value))).collect();
    let best = match ranks.iter().flatten().max() {
        None => return,
        Some(0) => None,
        Some(best) => Some(*best),
    };
    let mut ranks = ranks.into_iter();
    chains.retain(|_| ranks.next() == Some(best));
}

/// Prefix length of the best range that holds the address; 0: none does.
fn prefix_rank(ranges: &Value, address: &str) -> usize {
    let Ok(address) = address.parse::<IpAddr>() else { return 0 };
    let holds = |range: &Value| {
        let prefix: IpAddr = text(range, "/addressPrefix").parse().ok()?;
        let length = u8::try_from(number(range, "/prefixLen")).ok()?;
        let network = IpNet::new(prefix, length).ok()?;
        network.contains(&address).then_some(usize::from(length))
    };
    list(ranges, "").iter().filter_map(holds).max().unwrap_or(0)
}

/// The exact name is best, then the longest wildcard.
fn server_name_rank(names: &Value, server_name: &str) -> usize {
    let rank = |name: &str| match name.strip_prefix('*') {
        _ if name == server_name => usize::MAX,
        Some(suffix) if !server_name.is_empty() && server_name.ends_with(suffix) => name.len(),
        _ => 0,
    };
    texts(names).map(rank).max().unwrap_or(0)
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Whether the call's protection is what the chain asks for.
pub(super) fn check_transport(chain: &Value, call: &Call) -> Result<(), Refusal> {
    let Some(socket) = chain.get("transportSocket") else { return Ok(()) };
    if call.tls == Tls::Plaintext {
        return Err(Refusal::TlsError);
    }
    let context = socket.get("typedConfig").unwrap_or(&Value::Null);
    let secret = text(context, "/commonTlsContext/tlsCertificateSdsSecretConfigs/0/name");
    let mutual = is(context, "/requireClientCertificate") && secret == call.mtls_secret_config_name;
    if mutual == (call.tls == Tls::Mtls) { Ok(()) } else { Err(Refusal::MtlsError) }
}
