//! What differs from jsonpb, and what callers rely on; the rest is in `tests/jsonpb.txt`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::leniency::{Duration, Lenient};
use crate::mesh::MeshConfig;
use crate::networking::{DestinationRule, VirtualService};

fn read<T: Lenient + std::fmt::Debug>(input: Value) -> String {
    match T::read(input) {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("error{error}"),
    }
}

#[test]
fn integral_floats_are_integers() {
    for (input, expected) in [
        (json!(8080.0), "Some(8080)"),
        (json!(1e3), "Some(1000)"),
        (json!(-0.0), "Some(0)"),
        (
            json!(4294967296.0),
            "error: invalid value: floating point `4294967296.0`, expected an integer from 0 to 4294967295",
        ),
        (
            json!(1e300),
            "error: invalid value: floating point `1e+300`, expected an integer from 0 to 4294967295",
        ),
    ] {
        assert_eq!(read::<u32>(input), expected);
    }
    assert_eq!(read::<i32>(json!(-3.0)), "Some(-3)");
    assert_eq!(read::<u64>(json!("18446744073709551615")), "Some(18446744073709551615)");
    assert_eq!(read::<i64>(json!("-9223372036854775808")), "Some(-9223372036854775808)");
}

#[test]
fn floats_may_be_infinite() {
    assert_eq!(read::<f64>(json!("NaN")), "Some(NaN)");
    assert_eq!(read::<f64>(json!("Infinity")), "Some(inf)");
    assert_eq!(read::<f64>(json!("-Infinity")), "Some(-inf)");
}

#[test]
fn numbers_that_name_no_value_are_errors() {
    let error = serde_json::from_value::<DestinationRule>(json!({"trafficPolicy": {"tls": {"mode": 9}}}));
    assert_eq!(
        error.unwrap_err().to_string(),
        "trafficPolicy.tls.mode: invalid value: integer `9`, \
         expected one of DISABLE, SIMPLE, MUTUAL, ISTIO_MUTUAL"
    );
}

#[test]
fn unknown_fields_can_be_found() {
    let input = json!({
        "hosts": ["a"], "hots": ["b"], "exportTo": ["."], "export_to": ["*"],
        "http": [{"match": [{"headers": {"x": {"exakt": "y"}}}]}, {"retries": {"attempt": 2}}],
    });
    let mut found = BTreeSet::new();
    let read: VirtualService = serde_ignored::deserialize(input, |path| {
        found.insert(path.to_string());
    })
    .unwrap();
    assert_eq!(read.export_to, ["."]);
    let expected = ["export_to", "hots", "http.0.match.0.headers.x.exakt", "http.1.retries.attempt"];
    assert!(found.iter().eq(expected), "{found:?}");
}

#[test]
fn durations_know_their_size() {
    let duration = |text: &str| text.parse::<Duration>().unwrap();
    assert_eq!(duration("1.5s").to_std(), Some(std::time::Duration::from_millis(1500)));
    assert_eq!(duration("-1ns").to_std(), None);
    assert_eq!(duration("-8ms").to_string(), "-0.008s");
    assert_eq!(
        "1x".parse::<Duration>().unwrap_err().to_string(),
        "\"1x\" is not a duration: a unit is not one of ns, us, ms, s, m, h"
    );
}

#[test]
fn borrowed_and_owned_text_read_alike() {
    let text = r#"{"defaultConfig": {"proxyMetadata": {"A": "1"}}, "h2UpgradePolicy": "UPGRADE"}"#;
    let borrowed: MeshConfig = serde_json::from_str(text).unwrap();
    let owned: MeshConfig = serde_json::from_value(serde_json::from_str(text).unwrap()).unwrap();
    assert_eq!(borrowed, owned);
}
