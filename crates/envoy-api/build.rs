//! Generates Envoy's types from the descriptor set that the `envoy-types` package ships and from our own protos.

#[path = "build/emit.rs"]
mod emit;
#[path = "build/strip.rs"]
mod strip;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use cargo_metadata::{Metadata, MetadataCommand};
use prost::Message;
use prost_types::FileDescriptorSet;
use protox::file::{ChainFileResolver, DescriptorSetFileResolver, IncludeFileResolver};

/// The protos of ours that resources are made of, below the workspace's `proto/`.
const OURS: &[&str] = &[
    "envoy/extensions/filters/network/mysql_proxy/v3/mysql_proxy.proto",
    "envoy/extensions/private_key_providers/cryptomb/v3alpha/cryptomb.proto",
    "envoy/extensions/private_key_providers/qat/v3alpha/qat.proto",
    "istio/envoy/config/filter/http/alpn/v2alpha1/config.proto",
    "istio/networking/nds/v1/nds.proto",
    "stats/config.proto",
    "udpa/type/v1/typed_struct.proto",
    "xds/type/matcher/v3/cel.proto",
    "xds/type/matcher/v3/domain.proto",
    "xds/type/matcher/v3/http_inputs.proto",
    "xds/type/matcher/v3/ip.proto",
    "xds/type/v3/typed_struct.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let shipped = shipped_set()?;
    let ours = own_set(&shipped)?;
    let all = strip::strip(FileDescriptorSet { file: [shipped.file, ours.file].concat() });
    fs::write(out.join("descriptors.bin"), all.encode_to_vec())?;
    emit::emit(&all, &out)?;
    Ok(())
}

/// The descriptor set in the source of the pinned `envoy-types` package.
fn shipped_set() -> Result<FileDescriptorSet, Box<dyn Error>> {
    let path = envoy_types()?.join("src/generated/types.bin");
    println!("cargo::rerun-if-changed={}", path.display());
    for file in ["build.rs", "build"] {
        println!("cargo::rerun-if-changed={file}");
    }
    Ok(FileDescriptorSet::decode(fs::read(path)?.as_slice())?)
}

/// Where cargo keeps the source of `envoy-types`.
fn envoy_types() -> Result<PathBuf, Box<dyn Error>> {
    // The network only if a package of another crate of the workspace was never downloaded.
    let metadata = metadata("--frozen").or_else(|_| metadata("--locked"))?;
    let package = metadata.packages.iter().find(|package| package.name.as_str() == "envoy-types");
    let folder = package
        .and_then(|package| package.manifest_path.parent())
        .ok_or("envoy-types is not a dependency")?;
    Ok(folder.to_path_buf().into())
}

/// The workspace's packages for this platform, without a change to the lock file.
fn metadata(lock: &str) -> Result<Metadata, Box<dyn Error>> {
    let manifest = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let options = [lock.to_owned(), "--filter-platform".to_owned(), env::var("HOST")?];
    Ok(MetadataCommand::new().manifest_path(manifest).other_options(options).exec()?)
}

/// Our own protos, compiled against what Envoy's descriptor set already has.
fn own_set(shipped: &FileDescriptorSet) -> Result<FileDescriptorSet, Box<dyn Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    for file in OURS {
        println!("cargo::rerun-if-changed={}", root.join(file).display());
    }
    let mut resolver = ChainFileResolver::new();
    resolver.add(IncludeFileResolver::new(root));
    resolver.add(DescriptorSetFileResolver::new(shipped.clone()));
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(false).include_source_info(false).open_files(OURS)?;
    Ok(compiler.file_descriptor_set())
}
