//! The services beside discovery: health, and reflection for people with grpcurl.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::{Builder, Error};

/// Says of the whole server whether it is serving; not before it is told.
#[derive(Clone)]
pub struct Health(HealthReporter);

impl Health {
    /// Says so from now on, to whoever asks and to whoever watches.
    pub async fn report(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.0.set_service_status("", status).await;
    }
}

/// Health and reflection. Health says that the server is not serving, until it is told otherwise.
///
/// `descriptors` is an encoded descriptor set; of it, what the files that define `services` need is kept.
/// A set that cannot be read is an error.
pub async fn side_services(descriptors: &[u8], services: &[&str]) -> Result<(Routes, Health), Error> {
    let set = FileDescriptorSet::decode(descriptors)?;
    let set = needed(set, services);
    let builder = || Builder::configure().register_file_descriptor_set(set.clone());
    let reporter = HealthReporter::new();
    let health = HealthService::from_health_reporter(reporter.clone());
    let routes = Routes::new(tonic_health::pb::health_server::HealthServer::new(health))
        .add_service(builder().build_v1()?)
        .add_service(builder().build_v1alpha()?);
    let health = Health(reporter);
    health.report(false).await;
    Ok((routes, health))
}

/// The files that define these services, and the files that those import.
fn needed(set: FileDescriptorSet, services: &[&str]) -> FileDescriptorSet {
    let files: BTreeMap<&str, &FileDescriptorProto> =
        set.file.iter().map(|file| (file.name(), file)).collect();
    let defines = |file: &&FileDescriptorProto| {
        let full = |name: &str| format!("{}.{name}", file.package());
        file.service.iter().any(|service| services.contains(&&*full(service.name())))
    };
    let mut open: Vec<&str> = set.file.iter().filter(defines).map(|file| file.name()).collect();
    let mut chosen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if chosen.insert(name) {
            let imports = files.get(name).into_iter().flat_map(|file| &file.dependency);
            open.extend(imports.map(String::as_str));
        }
    }
    let file = set.file.iter().filter(|file| chosen.contains(file.name())).cloned().collect();
    FileDescriptorSet { file }
}
