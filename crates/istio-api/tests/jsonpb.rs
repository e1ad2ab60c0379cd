//! What each input means: `tests/jsonpb.txt` holds the input, and below it what it reads as, written
//! out again (`=`), or the error (`!`). Which inputs fail, and what the others become, was recorded
//! from Go's jsonpb reading into Istio's own types (istio.io/api v1.31.4).

#![allow(clippy::unwrap_used, clippy::panic, reason = "A test may panic.")]

use istio_api::mesh::{MeshConfig, MeshNetworks, ProxyConfig};
use istio_api::networking::{DestinationRule, ServiceEntry, VirtualService, WorkloadEntry};
use istio_api::security::PeerAuthentication;
use serde::{Serialize, de::DeserializeOwned};

fn again<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(input: &str) -> String {
    let value: T = match serde_json::from_str(input) {
        Ok(value) => value,
        Err(error) => return format!("! {error}"),
    };
    let output = serde_json::to_value(&value).unwrap();
    assert_eq!(serde_json::from_value::<T>(output.clone()).unwrap(), value, "{output} reads differently");
    format!("= {output}")
}

fn read(kind: &str, input: &str) -> String {
    match kind {
        "DestinationRule" => again::<DestinationRule>(input),
        "MeshConfig" => again::<MeshConfig>(input),
        "MeshNetworks" => again::<MeshNetworks>(input),
        "PeerAuthentication" => again::<PeerAuthentication>(input),
        "ProxyConfig" => again::<ProxyConfig>(input),
        "ServiceEntry" => again::<ServiceEntry>(input),
        "VirtualService" => again::<VirtualService>(input),
        "WorkloadEntry" => again::<WorkloadEntry>(input),
        _ => panic!("no such kind: {kind}"),
    }
}

#[test]
fn inputs_mean_what_jsonpb_makes_of_them() {
    let mut lines = include_str!("jsonpb.txt").lines().filter(|line| !line.starts_with('#'));
    let mut wrong = Vec::new();
    while let (Some(line), Some(expected)) = (lines.next(), lines.next()) {
        let (kind, input) = line.split_once(' ').unwrap();
        let result = read(kind, input);
        let result = result.split(" at line ").next().unwrap();
        if result != expected.trim_start() {
            wrong.push(format!("{line}\n    {result}\n  expected\n{expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
