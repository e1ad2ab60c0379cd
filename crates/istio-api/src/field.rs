//! Names of fields: a message's own (snake_case) and the one that JSON shows (camelCase).

/// Whether `key` is the JSON name of the field that the message calls `proto`: an underscore is
/// left out and the letter after it becomes a capital.
pub(crate) fn is_json_name(proto: &str, key: &str) -> bool {
    json_chars(proto).eq(key.chars())
}

/// The JSON name of the field that the message calls `proto`.
pub(crate) fn json_name(proto: &str) -> String {
    json_chars(proto).collect()
}

fn json_chars(proto: &str) -> impl Iterator<Item = char> {
    let mut capital = false;
    proto.chars().filter_map(move |c| {
        if c == '_' {
            capital = true;
            return None;
        }
        let c = if capital { c.to_ascii_uppercase() } else { c };
        capital = false;
        Some(c)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_protobuf() {
        for (proto, json) in [
            ("hosts", "hosts"),
            ("export_to", "exportTo"),
            ("consecutive_5xx_errors", "consecutive5xxErrors"),
            ("http2_max_requests", "http2MaxRequests"),
            ("k8s_sa_jwt_path", "k8sSaJwtPath"),
            ("mesh_mTLS", "meshMTLS"),
            ("matchLabels", "matchLabels"),
        ] {
            assert_eq!(json_name(proto), json);
            assert!(is_json_name(proto, json));
        }
        assert!(!is_json_name("export_to", "exportto"));
        assert!(!is_json_name("export_to", "export"));
        assert!(!is_json_name("export", "exportTo"));
    }
}
