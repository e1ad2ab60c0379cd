//! Tables of HTTP rules.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::testing::{DOMAIN, meta, spec};
use super::*;
use crate::Kind;

fn parse(json: Value) -> (HttpRoute, Vec<String>) {
    let meta = meta(Kind::VirtualService);
    let mut reader = Reader::new(&meta, DOMAIN);
    let value = http_route(&mut reader, &spec(json));
    let problems = reader.finish(()).1;
    let problems = problems.iter().map(|one| format!("{} [{}]", one.field, one.code)).collect();
    (value, problems)
}

fn clean(mut json: Value) -> HttpRoute {
    if json.get("redirect").is_none()
        && json.get("directResponse").is_none()
        && json.get("delegate").is_none()
    {
        json["route"] = json!([{"destination": {"host": "a.com"}}]);
    }
    let (value, problems) = parse(json);
    assert_eq!(problems, Vec::<String>::new());
    value
}

#[test]
fn redirects() {
    let redirect = |json: Value| clean(json!({"redirect": json})).redirect.unwrap();
    let plain = redirect(json!({"uri": "/x", "authority": "b", "scheme": "https", "redirectCode": 308}));
    assert_eq!((&*plain.uri, plain.uri_is_prefix, plain.code), ("/x", false, 308));
    assert_eq!(plain.port, RedirectPort::Unset);
    let port = redirect(json!({"uri": "%PREFIX()%/new", "port": 8443}));
    assert_eq!((&*port.uri, port.uri_is_prefix), ("%PREFIX()%/new", false));
    assert_eq!(port.port, RedirectPort::Port(8443));
    let field = redirect(json!({"prefixRewrite": "/p", "derivePort": "FROM_REQUEST_PORT"}));
    assert_eq!((&*field.uri, field.uri_is_prefix, field.port), ("/p", true, RedirectPort::RequestPort));
    let default = redirect(json!({"derivePort": "FROM_PROTOCOL_DEFAULT"}));
    assert_eq!(default.port, RedirectPort::ProtocolDefault);
}

#[test]
fn answers_and_delegates() {
    let answer =
        |body: Value| clean(json!({"directResponse": {"status": 503, "body": body}})).direct_response;
    assert_eq!(answer(json!({"string": ""})).unwrap().body, Some(ResponseBody::Text("".into())));
    assert_eq!(answer(json!({"bytes": "aGk="})).unwrap().body, Some(ResponseBody::Bytes(b"hi".to_vec())));
    assert_eq!(answer(json!(null)).unwrap().body, None);
    let delegate = |json: Value| clean(json!({"delegate": json})).delegate.unwrap();
    assert_eq!(delegate(json!({"name": "d"})), ("d".into(), "default".into()));
    assert_eq!(delegate(json!({"name": "d", "namespace": "n"})), ("d".into(), "n".into()));
}

#[test]
fn timeouts_retries_rewrites() {
    let rule = clean(json!({
        "timeout": "0s",
        "retries": {"attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx,503", "backoff": "25ms",
                    "retryRemoteLocalities": true},
        "rewrite": {"authority": "b", "uriRegexRewrite": {"match": "^/a", "rewrite": "/b"}},
        "headers": {"request": {"set": {"b": "2", "a": "1"}, "remove": ["c"]}},
    }));
    assert_eq!(rule.timeout, Some(Duration::ZERO));
    let retry = rule.retries.unwrap();
    assert_eq!((retry.attempts, retry.per_try_timeout), (3, Some(Duration::from_secs(2))));
    assert_eq!((retry.remote_localities, retry.ignore_previous_hosts), (Some(true), None));
    assert_eq!(retry.backoff, Some(Duration::from_millis(25)));
    assert_eq!(rule.rewrite.unwrap().uri_regex, Some(("^/a".into(), "/b".into())));
    assert_eq!(rule.headers.request.set, [("a".into(), "1".into()), ("b".into(), "2".into())]);
    assert_eq!(clean(json!({"retries": {}})).retries.unwrap().attempts, 0);
    assert_eq!(clean(json!({})).retries, None);
}

#[test]
fn faults() {
    let fault = |json: Value| clean(json!({"fault": json})).fault.unwrap();
    let delay = |json: Value| fault(json!({"delay": json})).delay.unwrap();
    let fixed = Some(Duration::from_secs(1));
    let fraction = delay(json!({"fixedDelay": "1s", "percentage": {"value": 0.5}, "percent": 7}));
    assert_eq!(fraction, FaultDelay { fixed, share: Share::Fraction(Millionths(5_000)) });
    let percent = delay(json!({"fixedDelay": "1s", "percent": 7}));
    assert_eq!(percent, FaultDelay { fixed, share: Share::Percent(7) });
    assert_eq!(delay(json!({"fixedDelay": "1s"})), FaultDelay { fixed, share: Share::Unset });
    let abort = |json: Value| fault(json!({"abort": json})).abort.unwrap();
    assert_eq!(abort(json!({"httpStatus": 500})).error, FaultError::Http(500));
    assert_eq!(abort(json!({"grpcStatus": "UNAVAILABLE"})).error, FaultError::Grpc("UNAVAILABLE".into()));
    assert_eq!(abort(json!({"percentage": {"value": 100}})).share, Share::Fraction(Millionths::ALL));
}

#[test]
fn mirrors_are_one_list() {
    let rule = clean(json!({
        "mirror": {"host": "m"}, "mirrorPercent": 50,
        "mirrors": [{"destination": {"host": "n.com"}, "percentage": {"value": 1}}, {"destination": {"host": "o.com"}}],
    }));
    let mirrors: Vec<_> = rule.all_mirrors().map(|(to, share)| (to.host.as_str(), share)).collect();
    assert_eq!(
        mirrors,
        [
            ("m.default.svc.cluster.local", Share::Percent(50)),
            ("n.com", Share::Fraction(Millionths(10_000))),
            ("o.com", Share::Unset),
        ]
    );
}

#[test]
fn cross_origin_policy() {
    let cors = |json: Value| clean(json!({"corsPolicy": json})).cors.unwrap();
    let policy = cors(json!({
        "allowOrigins": [{"prefix": "https://"}], "allowOrigin": ["ignored"], "maxAge": "24h",
        "allowMethods": ["GET"], "allowCredentials": false, "unmatchedPreflights": "IGNORE",
    }));
    assert_eq!(policy.origins, [StringMatch::Prefix("https://".into())]);
    assert_eq!(policy.max_age, Some(Duration::from_secs(86_400)));
    assert_eq!((policy.credentials, policy.forward_unmatched), (Some(false), Some(false)));
    assert_eq!(cors(json!({"allowOrigin": ["*"]})).origins, [StringMatch::Exact("*".into())]);
    assert_eq!(cors(json!({})).forward_unmatched, None);
}

#[test]
fn mistakes_are_found_where_they_are() {
    let check = |json: Value, expected: &[&str]| assert_eq!(parse(json).1, expected);
    check(json!({}), &["spec [action-missing]"]);
    let route = json!([{"destination": {"host": "a.com"}}]);
    check(json!({"route": route, "redirect": {}}), &["spec [actions-exclude]"]);
    check(
        json!({"route": route, "headers": {"response": {"add": {"": "x", "a": "b\nc"}, "remove": ["\r"]}}}),
        &[
            "spec.headers.response.remove [name-invalid]",
            "spec.headers.response.add [name-missing]",
            "spec.headers.response.add.a [value-invalid]",
        ],
    );
    for field in ["uri", "authority", "scheme", "prefixRewrite"] {
        let expected = format!("spec.redirect.{field} [value-invalid]");
        check(json!({"redirect": {field: "a\r\nb: c"}}), &[&expected]);
    }
    for field in ["uri", "authority"] {
        let expected = format!("spec.rewrite.{field} [value-invalid]");
        check(json!({"route": route, "rewrite": {field: "a\0"}}), &[&expected]);
    }
    check(
        json!({"route": route, "rewrite": {"uriRegexRewrite": {"match": "a", "rewrite": "\n"}}}),
        &["spec.rewrite.uriRegexRewrite.rewrite [value-invalid]"],
    );
    let body =
        |length: usize| json!({"directResponse": {"status": 200, "body": {"string": "x".repeat(length)}}});
    check(body(1 << 20), &[]);
    check(body((1 << 20) + 1), &["spec.directResponse.body [body-too-long]"]);
    check(
        json!({"redirect": {"redirectCode": 200}}),
        &["spec.redirect.redirectCode [redirect-code-invalid]"],
    );
    check(json!({"directResponse": {"status": 100}}), &["spec.directResponse.status [status-out-of-range]"]);
    check(json!({"route": route, "timeout": "-1s"}), &["spec.timeout [duration-negative]"]);
    check(json!({"route": route, "retries": {"attempts": -1}}), &["spec.retries.attempts [number-negative]"]);
    check(json!({"route": [{"weight": 1}]}), &["spec.route[0].destination.host [host-missing]"]);
    check(
        json!({"route": [{"destination": {"host": "a"}}, {"destination": {"host": "b"}}]}),
        &["spec.route [weights-zero]"],
    );
    check(
        json!({"route": route, "fault": {"delay": {"exponentialDelay": "1s", "percentage": {"value": 101}}}}),
        &[
            "spec.fault.delay.percentage.value [percentage-out-of-range]",
            "spec.fault.delay.exponentialDelay [delay-unknown]",
        ],
    );
    check(
        json!({"route": route, "fault": {"abort": {"httpStatus": 600}}}),
        &["spec.fault.abort.httpStatus [status-out-of-range]"],
    );
    check(
        json!({"route": route, "rewrite": {"uri": "/", "uriRegexRewrite": {"match": "("}}}),
        &[
            "spec.rewrite.uriRegexRewrite.match [regex-invalid]",
            "spec.rewrite.uriRegexRewrite [rewrites-exclude]",
        ],
    );
}

#[test]
fn a_header_whose_value_is_no_format_is_left_out_alone() {
    let (rule, problems) = parse(json!({
        "route": [{"destination": {"host": "a.com"}, "headers": {"response": {"add": {"x": "%FOO(x)%"}}}}],
        "headers": {"request": {"set": {
            "a": "100%", "b": "100%%", "c": "%REQ(%", "d": "%REQ(x)%", "Host": "50%", ":authority": "50%",
        }}},
    }));
    assert_eq!(
        problems,
        [
            "spec.route[0].headers.response.add.x [format-command-invalid]",
            "spec.headers.request.set.a [format-invalid]",
            "spec.headers.request.set.c [format-invalid]",
        ]
    );
    let kept: Vec<_> = rule.headers.request.set.iter().map(|(name, _)| &**name).collect();
    assert_eq!(kept, [":authority", "Host", "b", "d"]);
    assert_eq!(rule.routes[0].headers.response.add, []);
}
