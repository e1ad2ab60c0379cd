//! Conditions of HTTP rules.

use std::collections::BTreeMap;

use istio_api::networking as api;

use super::reader::{Reader, labels, text};
use super::virtual_service::gateways;
use crate::Text;
use crate::networking::{HttpMatch, StringMatch};

/// One condition of an HTTP rule.
pub(super) fn http_match(reader: &mut Reader<'_>, spec: &api::HttpMatchRequest) -> HttpMatch {
    HttpMatch {
        name: text(&spec.name),
        uri: reader.optional("uri", spec.uri.as_ref(), string_match),
        ignore_uri_case: spec.ignore_uri_case,
        scheme: reader.optional("scheme", spec.scheme.as_ref(), string_match),
        method: reader.optional("method", spec.method.as_ref(), string_match),
        authority: reader.optional("authority", spec.authority.as_ref(), string_match),
        headers: by_name(reader, "headers", &spec.headers),
        without_headers: by_name(reader, "withoutHeaders", &spec.without_headers),
        query_params: by_name(reader, "queryParams", &spec.query_params),
        port: reader.port("port", spec.port),
        source_labels: labels(&spec.source_labels),
        source_namespace: text(&spec.source_namespace),
        gateways: gateways(reader, &spec.gateways),
        stat_prefix: text(&spec.stat_prefix),
    }
}

/// How a text is compared; of several ways the last counts, as protobuf has it.
pub(super) fn string_match(reader: &mut Reader<'_>, spec: &api::StringMatch) -> StringMatch {
    match (&spec.regex, &spec.prefix, &spec.exact) {
        (Some(regex), _, _) => StringMatch::Regex(reader.regex("regex", regex)),
        (None, Some(prefix), _) => StringMatch::Prefix(text(prefix)),
        (None, None, Some(exact)) => StringMatch::Exact(text(exact)),
        (None, None, None) => StringMatch::Present,
    }
}

/// A name of a header or query parameter that proxies accept.
pub(super) fn check_name(reader: &mut Reader<'_>, field: &str, name: &str) {
    if name.is_empty() {
        reader.refuse(field, "name-missing", "a name is empty");
    }
    if name.contains(['\0', '\r', '\n']) {
        reader.refuse(field, "name-invalid", format!("{name:?} has a character that no header may have"));
    }
}

/// Conditions on named values. An empty one, and the regular expression `*`, which is none, ask only
/// that there is a value.
fn by_name(
    reader: &mut Reader<'_>,
    field: &str,
    spec: &BTreeMap<String, api::StringMatch>,
) -> Vec<(Text, StringMatch)> {
    let mut conditions = Vec::with_capacity(spec.len());
    for (name, condition) in spec {
        check_name(reader, field, name);
        let any = condition.regex.as_deref() == Some("*");
        let condition = match any {
            true => StringMatch::Present,
            false => reader.inside(format_args!("{field}[{name}]"), |reader| string_match(reader, condition)),
        };
        conditions.push((text(name), condition));
    }
    conditions
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{DOMAIN, meta, spec};
    use super::*;
    use crate::{Kind, Problem};

    fn parse(json: Value) -> (HttpMatch, Vec<Problem>) {
        let meta = meta(Kind::VirtualService);
        let mut reader = Reader::new(&meta, DOMAIN);
        let value = http_match(&mut reader, &spec(json));
        (value, reader.finish(()).1)
    }

    #[test]
    fn texts_are_compared_in_four_ways() {
        let (read, problems) = parse(json!({
            "uri": {"prefix": "/a"}, "method": {"exact": "GET"}, "scheme": {}, "authority": {"regex": "a|b"},
            "headers": {"x": {"regex": "*"}, "b": {}, "a": {"exact": ""}},
        }));
        assert_eq!(problems, []);
        assert_eq!(read.uri, Some(StringMatch::Prefix("/a".into())));
        assert_eq!(read.method, Some(StringMatch::Exact("GET".into())));
        assert_eq!(read.scheme, Some(StringMatch::Present));
        assert_eq!(read.authority, Some(StringMatch::Regex("a|b".into())));
        let (exact, present) = (StringMatch::Exact("".into()), StringMatch::Present);
        assert_eq!(read.headers, [("a".into(), exact), ("b".into(), present.clone()), ("x".into(), present)]);
    }

    #[test]
    fn a_regular_expression_must_be_one() {
        let (_, problems) = parse(json!({"headers": {"x": {"regex": "a("}}, "uri": {"regex": "*"}}));
        let found: Vec<_> = problems.iter().map(|problem| (&*problem.field, problem.code)).collect();
        assert_eq!(found, [("spec.uri.regex", "regex-invalid"), ("spec.headers[x].regex", "regex-invalid")]);
        assert!(problems[1].detail.contains("unclosed group"), "{}", problems[1].detail);
    }
}
