//! Recorded answers survive the way from JSON to bytes and back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test may panic")]

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use envoy_api::envoy::config::cluster::v3::Cluster;
use envoy_api::envoy::config::core::v3::TypedExtensionConfig;
use envoy_api::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_api::envoy::config::listener::v3::Listener;
use envoy_api::envoy::config::route::v3::RouteConfiguration;
use envoy_api::envoy::extensions::transport_sockets::tls::v3::Secret;
use envoy_api::json;
use prost::{Message, Name};
use serde_json::Value;

/// A type of recorded resource. Files that are not listed hold Istio's own wire types.
struct Kind {
    file: &'static str,
    full_name: String,
    /// Decodes into the Rust type and encodes again.
    reencode: fn(&[u8]) -> Vec<u8>,
}

fn kinds() -> [Kind; 6] {
    [
        kind::<Cluster>("cds.json"),
        kind::<ClusterLoadAssignment>("eds.json"),
        kind::<Listener>("lds.json"),
        kind::<RouteConfiguration>("rds.json"),
        kind::<Secret>("sds.json"),
        kind::<TypedExtensionConfig>("ecds.json"),
    ]
}

fn kind<M: Message + Name + Default>(file: &'static str) -> Kind {
    Kind { file, full_name: M::full_name(), reencode: |bytes| M::decode(bytes).unwrap().encode_to_vec() }
}

#[test]
fn recorded_resources_parse_and_render_back_equal() {
    let Ok(corpus) = env::var("PILOTHOUSE_CORPUS") else {
        // Past the capture of the test runner: a skip is to be seen.
        writeln!(io::stderr(), "skipped: PILOTHOUSE_CORPUS does not name a corpus folder").unwrap();
        return;
    };
    let mut resources = 0;
    for proxy in recorded_proxies(&Path::new(&corpus).join("xds-golden/cases")) {
        for kind in kinds() {
            resources += check_file(&proxy.join(kind.file), &kind);
        }
    }
    assert_ne!(resources, 0, "nothing recorded in {corpus}");
    eprintln!("{resources} recorded resources");
}

/// Checks the resources of a file, if there is one, and counts them.
fn check_file(path: &Path, kind: &Kind) -> usize {
    let Ok(text) = fs::read(path) else { return 0 };
    let recorded: Vec<Value> = serde_json::from_slice(&text).unwrap();
    for entry in &recorded {
        let place = format!("{}: {}", path.display(), entry["name"]);
        let bytes =
            json::parse(&kind.full_name, &entry["resource"]).unwrap_or_else(|e| panic!("{place}: {e}"));
        assert_eq!(json::resource(&kind.full_name, &bytes), entry["resource"], "{place}");
        assert_eq!((kind.reencode)(&bytes), bytes, "{place}: the typed message has other bytes");
    }
    recorded.len()
}

/// The folders with the answers to one proxy.
fn recorded_proxies(cases: &Path) -> Vec<PathBuf> {
    subfolders(cases).iter().flat_map(|case| subfolders(&case.join("expected"))).collect()
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).collect()
}
