//! Texts with commands between percent signs (Envoy's substitution formatter), such as values of headers and lines of
//! access logs. A proxy turns down whatever a wrong one is part of, a whole route table or listener, so it is found here.
//!
//! What stands between a command's parentheses is the command's own language and is not looked into, but for
//! headers, which have one alternative at most.

use serde_json::Value as Json;

/// Why a proxy would turn a text down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A percent sign begins no command and is not doubled either.
    Sign(String),
    /// There is no such command, or it is not used as it is meant.
    Command(String),
}

impl Fault {
    /// The code of the problem that it is.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Sign(_) => "format-invalid",
            Self::Command(_) => "format-command-invalid",
        }
    }

    /// The cause, in words.
    pub(super) fn detail(&self) -> &str {
        let (Self::Sign(detail) | Self::Command(detail)) = self;
        detail
    }
}

/// Where a text stands, since some commands are known only there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The value of a header.
    Header,
    /// A line or field of an access log, for which the extension behind `REQ_WITHOUT_QUERY` is brought along.
    Log,
}

/// The first fault of a text, if it has one.
pub(super) fn fault(text: &str, place: Place) -> Option<Fault> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        if let Some(literal) = after.strip_prefix('%') {
            rest = literal;
            continue;
        }
        let Some((command, after)) = Command::read(after) else {
            let detail = format!(
                "{text:?}: a percent sign begins a command such as %PROTOCOL%; one that does not is doubled"
            );
            return Some(Fault::Sign(detail));
        };
        if let Some(detail) = command.misuse(place) {
            return Some(Fault::Command(detail));
        }
        rest = after;
    }
    None
}

/// The first fault of the texts in a format that is JSON.
pub(super) fn json_fault(format: &Json) -> Option<Fault> {
    match format {
        Json::String(text) => fault(text, Place::Log),
        Json::Array(list) => list.iter().find_map(json_fault),
        Json::Object(fields) => fields.values().find_map(json_fault),
        Json::Null | Json::Bool(_) | Json::Number(_) => None,
    }
}

/// `NAME(arguments):length` between two percent signs.
struct Command<'a> {
    name: &'a str,
    /// What is between the parentheses; empty where there are none.
    arguments: &'a str,
    has_length: bool,
}

impl<'a> Command<'a> {
    /// A command after its first percent sign, and what follows after its last.
    fn read(text: &'a str) -> Option<(Self, &'a str)> {
        let is_name = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
        let length = text.bytes().take_while(|byte| is_name(byte)).count();
        let (name, after) = text.split_at_checked(length).filter(|(name, _)| !name.is_empty())?;
        if let Some(inside) = after.strip_prefix('(') {
            // The first parenthesis after which the command can end closes.
            let mut ends = inside.match_indices(')').map(|(at, _)| inside.split_at(at));
            return ends.find_map(|(arguments, after)| {
                let (has_length, rest) = end(after.get(1..)?).filter(|_| !arguments.contains('\n'))?;
                Some((Self { name, arguments, has_length }, rest))
            });
        }
        let (has_length, rest) = end(after)?;
        Some((Self { name, arguments: "", has_length }, rest))
    }

    /// Why a proxy does not take it.
    fn misuse(&self, place: Place) -> Option<String> {
        let Self { name, arguments, has_length } = self;
        let has = |list: &[&str]| list.binary_search(name).is_ok();
        let of_log = *name == WITHOUT_QUERY && place == Place::Log;
        let of_header = *name == REQUEST_STATE && place == Place::Header;
        let requires = has(&REQUIRED) || of_log || of_header;
        if !requires && !has(&OPTIONAL) && !has(&PLAIN) {
            return Some(format!("proxies know no command %{name}%"));
        }
        if requires && arguments.is_empty() {
            return Some(format!("the command {name} needs arguments in parentheses"));
        }
        if has(&PLAIN) && !arguments.is_empty() {
            return Some(format!("the command {name} takes no arguments"));
        }
        if *has_length && !has(&LENGTH) && !of_log {
            return Some(format!("the command {name} takes no length"));
        }
        let one_other = !(has(&HEADERS) || of_log) || arguments.matches('?').count() < 2;
        (!one_other).then(|| format!("the command {name} takes one alternative at most"))
    }
}

/// `%` or `:length%` at the end of a command: whether it has a length, and what follows.
fn end(text: &str) -> Option<(bool, &str)> {
    if let Some(rest) = text.strip_prefix('%') {
        return Some((false, rest));
    }
    let (length, rest) = text.strip_prefix(':')?.split_once('%')?;
    let is_number = length.bytes().all(|byte| byte.is_ascii_digit()) && length.parse::<u64>().is_ok();
    is_number.then_some((true, rest))
}

/// The command of an extension that access logs bring along.
const WITHOUT_QUERY: &str = "REQ_WITHOUT_QUERY";

/// The former name of `FILTER_STATE`, which is translated in headers.
const REQUEST_STATE: &str = "PER_REQUEST_STATE";

// The commands of Envoy 1.40, each tried with it.

/// Commands without arguments.
const PLAIN: [&str; 127] = [
    "ACCESS_LOG_TYPE",
    "BYTES_RECEIVED",
    "BYTES_RETRANSMITTED",
    "BYTES_SENT",
    "CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_CX_RTT",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_DIRECT_LOCAL_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_PORT",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_EMAIL_SAN",
    "DOWNSTREAM_LOCAL_IP_SAN",
    "DOWNSTREAM_LOCAL_OTHERNAME_SAN",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
    "DOWNSTREAM_PEER_CHAIN_SERIALS",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_EMAIL_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_IP_SAN",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER_SERIAL",
    "DOWNSTREAM_PEER_OTHERNAME_SAN",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_GROUP",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DURATION",
    "FILTER_CHAIN_NAME",
    "GRPC_STATUS",
    "GRPC_STATUS_NUMBER",
    "HOSTNAME",
    "LISTENER_NAME",
    "LOCAL_REPLY_BODY",
    "PACKETS_RETRANSMITTED",
    "PROTOCOL",
    "REQUESTED_SERVER_NAME",
    "REQUEST_DURATION",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESPONSE_CODE",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "RESPONSE_TX_DURATION",
    "ROUNDTRIP_DURATION",
    "ROUTE_NAME",
    "ROUTE_RESOLUTION_COUNT",
    "ROUTE_RESOLUTION_TIME_US",
    "SPAN_ID",
    "STREAM_ID",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "TRACE_ID",
    "UNIQUE_ID",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_CLUSTER_RAW",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_IDS_ATTEMPTED",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOST",
    "UPSTREAM_HOSTS_ATTEMPTED",
    "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_HOST_NAMES_ATTEMPTED",
    "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_HOST_NAME_WITHOUT_PORT",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_CLOSE_REASON",
    "UPSTREAM_LOCAL_DNS_SAN",
    "UPSTREAM_LOCAL_IP_SAN",
    "UPSTREAM_LOCAL_PORT",
    "UPSTREAM_LOCAL_URI_SAN",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_DNS_SAN",
    "UPSTREAM_PEER_IP_SAN",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PEER_URI_SAN",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
    "UPSTREAM_REMOTE_PORT",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_SERVER_NAME",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_GROUP",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "VIRTUAL_CLUSTER_NAME",
];

/// Commands that may have arguments.
const OPTIONAL: [&str; 17] = [
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "EMIT_TIME",
    "EMIT_TIME_LOCAL",
    "PATH",
    "QUERY_PARAMS",
    "RESPONSE_CODE_DETAILS",
    "START_TIME",
    "START_TIME_LOCAL",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_PEER_CERT_V_END",
    "UPSTREAM_PEER_CERT_V_START",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
];

/// Commands that need arguments.
const REQUIRED: [&str; 18] = [
    "CEL",
    "CLUSTER_METADATA",
    "COALESCE",
    "COMMON_DURATION",
    "DYNAMIC_METADATA",
    "ENVIRONMENT",
    "FILTER_STATE",
    "METADATA",
    "QUERY_PARAM",
    "REQ",
    "REQUEST_HEADER",
    "RESP",
    "RESPONSE_HEADER",
    "RESPONSE_TRAILER",
    "STREAM_INFO_REQ",
    "TRAILER",
    "UPSTREAM_FILTER_STATE",
    "UPSTREAM_METADATA",
];

/// Commands after which a length may stand.
const LENGTH: [&str; 17] = [
    "CEL",
    "COALESCE",
    "DYNAMIC_METADATA",
    "ENVIRONMENT",
    "FILTER_STATE",
    "METADATA",
    "PATH",
    "QUERY_PARAM",
    "QUERY_PARAMS",
    "REQ",
    "REQUEST_HEADER",
    "RESP",
    "RESPONSE_HEADER",
    "RESPONSE_TRAILER",
    "STREAM_INFO_REQ",
    "TRAILER",
    "UPSTREAM_FILTER_STATE",
];

/// Commands whose arguments are a header and perhaps another in its place: `a?b`.
const HEADERS: [&str; 7] =
    ["REQ", "REQUEST_HEADER", "RESP", "RESPONSE_HEADER", "RESPONSE_TRAILER", "STREAM_INFO_REQ", "TRAILER"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_by_name() {
        for list in [&PLAIN[..], &OPTIONAL, &REQUIRED, &LENGTH, &HEADERS] {
            assert!(list.is_sorted());
        }
    }

    #[test]
    fn what_proxies_take() {
        for text in [
            "",
            "plain",
            "100%%",
            "%%%REQ(a)%",
            "%PROTOCOL%",
            "a %REQ(x)% b %RESP(y?z):5%%PROTOCOL%",
            "%START_TIME(%Y/%m/%dT%H:%M:%S%z)%",
            "%START_TIME()%",
            "%CEL(size(request.id))%",
            "%DYNAMIC_METADATA([\"a\",\"b\"])%",
            "%UPSTREAM_METADATA([\"a\",\"b\"])%",
            "%PER_REQUEST_STATE(x)%",
            "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(MASK_PREFIX_LEN(24))%",
        ] {
            assert_eq!(fault(text, Place::Header), None, "{text}");
        }
        assert_eq!(fault("%REQ_WITHOUT_QUERY(a?b):5%", Place::Log), None);
    }

    #[test]
    fn what_proxies_turn_down() {
        for (text, code) in [
            ("100%", "format-invalid"),
            ("%", "format-invalid"),
            ("%%%", "format-invalid"),
            ("%REQ(%", "format-invalid"),
            ("%req(a)%", "format-invalid"),
            ("50% of %PROTOCOL%", "format-invalid"),
            ("%REQ(a):x%", "format-invalid"),
            ("%FOO%", "format-command-invalid"),
            ("%FOO(x)%", "format-command-invalid"),
            ("%REQ%", "format-command-invalid"),
            ("%REQ()%", "format-command-invalid"),
            ("%REQ(a?b?c)%", "format-command-invalid"),
            ("%PROTOCOL(x)%", "format-command-invalid"),
            ("%PROTOCOL:5%", "format-command-invalid"),
            ("%START_TIME(%s):5%", "format-command-invalid"),
            ("%REQ_WITHOUT_QUERY(x)%", "format-command-invalid"),
        ] {
            assert_eq!(fault(text, Place::Header).map(|fault| fault.code()), Some(code), "{text}");
        }
    }
}
