//! Where proxies are told to fetch their secrets.

use super::secrets::SecretSources;

/// The resource and where it comes from.
fn source(secret: &super::api::SdsSecretConfig) -> String {
    use super::core::config_source::ConfigSourceSpecifier::{Ads, ApiConfigSource};
    use super::core::grpc_service::TargetSpecifier::EnvoyGrpc;
    let source = secret.sds_config.as_ref().unwrap();
    let from = match source.config_source_specifier.as_ref().unwrap() {
        Ads(_) => "ads",
        ApiConfigSource(api) => match api.grpc_services[0].target_specifier.as_ref().unwrap() {
            EnvoyGrpc(grpc) => &grpc.cluster_name,
            _ => "google",
        },
        _ => "other",
    };
    let waits = if source.initial_fetch_timeout.is_some() { " for ever" } else { "" };
    format!("{} from {from}{waits}", secret.name)
}

#[test]
fn credentials_are_named_by_their_scheme() {
    let plain = SecretSources::default();
    let check = |name: &str, expected: &str| assert_eq!(source(&plain.credential(name)), expected);
    check("a", "kubernetes://a from ads");
    check("ns/a", "kubernetes://ns/a from ads");
    check("configmap://a", "configmap://a from ads");
    check("kubernetes-gateway://ns/a", "kubernetes-gateway://ns/a from ads");
    check("invalid://x", "invalid:// from ads");
    check("builtin://", "default from sds-grpc for ever");
    check("builtin://-cacert", "ROOTCA from sds-grpc for ever");
    check("sds://a", "kubernetes://a from ads");
    let external = SecretSources { external: true, files: false };
    assert_eq!(source(&external.credential("sds://a")), "sds://a from sds-external");
    assert_eq!(source(&plain.credential_roots("a")), "kubernetes://a-cacert from ads");
}

#[test]
fn files_come_from_the_agent_or_a_cluster_of_their_own() {
    let plain = SecretSources::default();
    let files = SecretSources { external: false, files: true };
    assert_eq!(source(&plain.certificate_file("c", "k")), "file-cert:c~k from sds-grpc");
    assert_eq!(source(&files.roots_file("r")), "file-root:r from sds-files-grpc");
    assert_eq!(source(&files.certificate_file("c", "")), "default from sds-grpc for ever");
    assert_eq!(source(&files.roots_file("")), "ROOTCA from sds-grpc for ever");
}
