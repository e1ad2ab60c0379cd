//! Takes out of a descriptor set what neither the wire format nor JSON needs: comments, annotations, services.

use prost_types::field_descriptor_proto::Type;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, FieldDescriptorProto, FieldOptions,
    FileDescriptorProto, FileDescriptorSet, MessageOptions,
};

/// Packages that only annotate other protos.
const ANNOTATIONS: &[&str] =
    &["envoy.annotations", "google.api", "udpa.annotations", "validate", "xds.annotations.v3"];

/// The set without annotations; messages, enums and their names stay as they are.
pub(crate) fn strip(set: FileDescriptorSet) -> FileDescriptorSet {
    let (dropped, kept): (Vec<_>, Vec<_>) =
        set.file.into_iter().partition(|file| ANNOTATIONS.contains(&file.package()));
    let dropped: Vec<String> = dropped.into_iter().filter_map(|file| file.name).collect();
    FileDescriptorSet { file: kept.into_iter().map(|file| strip_file(file, &dropped)).collect() }
}

fn strip_file(mut file: FileDescriptorProto, dropped: &[String]) -> FileDescriptorProto {
    file.dependency.retain(|name| !dropped.contains(name));
    file.public_dependency.clear();
    file.weak_dependency.clear();
    file.source_code_info = None;
    file.options = None;
    file.service.clear();
    file.extension.clear();
    file.message_type.iter_mut().for_each(strip_message);
    file.enum_type.iter_mut().for_each(strip_enum);
    file
}

fn strip_message(message: &mut DescriptorProto) {
    let map_entry = message.options.as_ref().and_then(|options| options.map_entry);
    message.options = map_entry.map(|entry| MessageOptions { map_entry: Some(entry), ..Default::default() });
    message.extension.clear();
    message.field.iter_mut().for_each(strip_field);
    message.oneof_decl.iter_mut().for_each(|oneof| oneof.options = None);
    message.nested_type.iter_mut().for_each(strip_message);
    message.enum_type.iter_mut().for_each(strip_enum);
}

/// Keeps what changes the encoding. Deprecation is dropped too: Istio's proxies are sent several deprecated fields.
fn strip_field(field: &mut FieldDescriptorProto) {
    let packed = field.options.as_ref().and_then(|options| options.packed);
    field.options = packed.map(|packed| FieldOptions { packed: Some(packed), ..Default::default() });
}

fn strip_enum(item: &mut EnumDescriptorProto) {
    let alias = item.options.as_ref().and_then(|options| options.allow_alias);
    item.options = alias.map(|alias| EnumOptions { allow_alias: Some(alias), ..Default::default() });
    item.value.iter_mut().for_each(|value| value.options = None);
}

/// Turns the repeated message `field` of `message` into repeated bytes, which look the same on the wire.
pub(crate) fn make_bytes(message: &mut DescriptorProto, field: &str) -> bool {
    let found = message.field.iter_mut().find(|candidate| candidate.name() == field);
    let Some(field) = found else { return false };
    field.set_type(Type::Bytes);
    field.type_name = None;
    true
}
