//! Chooses the messages that we build resources from and writes Rust for them.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;

use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};

use crate::strip::make_bytes;

/// Packages that are wanted whole; what their fields mention comes along.
const PACKAGES: &[&str] = &include!("packages.in");

/// Repeated messages that are encoded apart from their parent and shared between resources:
/// package, message, field.
const PARTS: &[(&str, &str, &str)] = &[
    ("envoy.config.route.v3", "RouteConfiguration", "virtual_hosts"),
    ("envoy.config.listener.v3", "Listener", "filter_chains"),
    ("envoy.config.endpoint.v3", "ClusterLoadAssignment", "endpoints"),
];

/// Writes the wanted packages of `set` to `out`, with `types.rs` as the module tree over them.
pub(crate) fn emit(set: &FileDescriptorSet, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut file = wanted(set)?;
    for part in PARTS {
        replace_part(&mut file, part)?;
    }
    let mut config = prost_build::Config::new();
    config
        .out_dir(out)
        .include_file("types.rs")
        .btree_map(["."])
        .bytes(["."])
        .extern_path(".google.protobuf.Any", "crate::Any")
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        .format(false);
    config.compile_fds(FileDescriptorSet { file })?;
    Ok(())
}

/// The files of the wanted packages and of every message that they mention, in the set's order.
/// Those of `google.protobuf` are among them for the generator to look at; their Rust types are prost's, `Any` ours.
fn wanted(set: &FileDescriptorSet) -> Result<Vec<FileDescriptorProto>, String> {
    let homes = homes(set);
    let mut chosen = BTreeSet::new();
    for package in PACKAGES {
        let before = chosen.len();
        chosen.extend((0..set.file.len()).filter(|at| set.file[*at].package() == *package));
        if chosen.len() == before {
            return Err(format!("no file has the package {package}"));
        }
    }
    let mut open: Vec<usize> = chosen.iter().copied().collect();
    while let Some(at) = open.pop() {
        let mentioned = set.file[at].message_type.iter().flat_map(mentions);
        open.extend(
            mentioned.filter_map(|name| homes.get(&name).copied()).filter(|home| chosen.insert(*home)),
        );
    }
    Ok(chosen.into_iter().map(|at| set.file[at].clone()).collect())
}

/// Full name of each message and enum, with a leading dot, to the file that it stands in.
fn homes(set: &FileDescriptorSet) -> BTreeMap<String, usize> {
    let mut homes = BTreeMap::new();
    for (at, file) in set.file.iter().enumerate() {
        let scope = format!(".{}", file.package());
        homes.extend(file.enum_type.iter().map(|item| (format!("{scope}.{}", item.name()), at)));
        for message in &file.message_type {
            collect_names(&scope, message, &mut |name| {
                homes.insert(name, at);
            });
        }
    }
    homes
}

fn collect_names(scope: &str, message: &DescriptorProto, take: &mut impl FnMut(String)) {
    let name = format!("{scope}.{}", message.name());
    message.enum_type.iter().for_each(|item| take(format!("{name}.{}", item.name())));
    message.nested_type.iter().for_each(|nested| collect_names(&name, nested, take));
    take(name);
}

/// The types that the fields of a message, and of the messages inside it, refer to.
fn mentions(message: &DescriptorProto) -> Vec<String> {
    let own = message.field.iter().filter_map(|field| field.type_name.clone());
    own.chain(message.nested_type.iter().flat_map(mentions)).collect()
}

fn replace_part(files: &mut [FileDescriptorProto], part: &(&str, &str, &str)) -> Result<(), String> {
    let (package, name, field) = part;
    let messages =
        files.iter_mut().filter(|file| file.package() == *package).flat_map(|file| &mut file.message_type);
    let replaced =
        messages.filter(|message| message.name() == *name).any(|message| make_bytes(message, field));
    if replaced { Ok(()) } else { Err(format!("{package}.{name} has no field {field}")) }
}
