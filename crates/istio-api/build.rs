//! Generates Istio's own wire messages from our protos.

use std::error::Error;
use std::path::Path;

/// The protos of messages that are no part of Envoy's resources, below the workspace's `proto/`.
const OURS: &[&str] = &["security/v1alpha1/ca.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    for file in OURS {
        println!("cargo::rerun-if-changed={}", root.join(file).display());
    }
    let set = protox::compile(OURS, [root])?;
    prost_build::Config::new().format(false).compile_fds(set)?;
    Ok(())
}
