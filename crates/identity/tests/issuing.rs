//! Certificates as they are issued, looked at by OpenSSL.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which are not told from the tests themselves"
)]

mod house;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use identity::{RootRules, Stats};
use istio_api::wire::auth::IstioCertificateRequest;
use tonic::Code;

use house::{below, certificates, create, csr, open, plug, root};

const TOKEN: &[(&str, &str)] = &[("authorization", "Bearer web/shop")];

fn asked(csr: String, seconds: i64) -> IstioCertificateRequest {
    IstioCertificateRequest { csr, validity_duration: seconds, metadata: None }
}

fn openssl(folder: &Path, words: &[&str]) -> String {
    let output = Command::new("openssl").args(words).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What OpenSSL says of a chain, having verified it.
fn looked_at(chain: &[String]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let [leaf, between @ .., roots] = chain else { panic!("{chain:?}") };
    for (name, text) in [("leaf", leaf), ("between", &between.concat()), ("roots", roots)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut verify = vec!["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "roots"];
    if !between.is_empty() {
        verify.extend(["-untrusted", "between"]);
    }
    verify.push("leaf");
    openssl(folder.path(), &verify);
    openssl(folder.path(), &["x509", "-in", "leaf", "-noout", "-text"])
}

#[tokio::test]
async fn a_certificate_is_the_callers_whatever_the_request_says() {
    let folder = tempfile::tempdir().unwrap();
    let stats = Arc::<Stats>::default();
    let (authority, _keeper) = open(folder.path(), &stats).await;
    let service = certificates(&authority, &stats);
    let chain = create(&service, asked(csr(&rcgen::PKCS_RSA_SHA256, None), 3600), TOKEN).await.unwrap();
    assert_eq!(chain.len(), 2, "the certificate and the root");
    assert_eq!(chain[1], **authority.roots().borrow());
    let text = looked_at(&chain);
    for line in [
        "Signature Algorithm: sha256WithRSAEncryption",
        "Issuer: O = cluster.local",
        "Subject: \n",
        "X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment\n",
        "X509v3 Extended Key Usage: \n                TLS Web Server Authentication, TLS Web Client Authentication\n",
        "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
        "X509v3 Subject Alternative Name: critical\n                URI:spiffe://td/ns/web/sa/shop\n",
        "X509v3 Authority Key Identifier: \n",
    ] {
        assert!(text.replace("Issuer: O=", "Issuer: O = ").contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("evil"), "{text}");
    assert_eq!((stats.requests.load(Relaxed), stats.issued.load(Relaxed)), (1, 1));
}

#[tokio::test]
async fn a_root_is_istiods() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, _keeper) = open(folder.path(), &Arc::default()).await;
    std::fs::write(folder.path().join("root"), authority.roots().borrow().as_bytes()).unwrap();
    let text = openssl(folder.path(), &["x509", "-in", "root", "-noout", "-text", "-purpose"]);
    for line in [
        "Public-Key: (2048 bit)",
        "X509v3 Key Usage: critical\n                Certificate Sign\n",
        "X509v3 Basic Constraints: critical\n                CA:TRUE\n",
        "SSL client CA : Yes",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let dates = openssl(folder.path(), &["x509", "-in", "root", "-noout", "-checkend", "315000000"]);
    assert!(dates.contains("will not expire"), "{dates}");
}

#[tokio::test]
async fn a_plugged_in_authority_hands_out_what_leads_to_its_root() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let folder = tempfile::tempdir().unwrap();
        let root = root("Root");
        plug(folder.path(), &below(&root, "Below", algorithm), &root);
        let (authority, _keeper) = open(folder.path(), &Arc::default()).await;
        let service = certificates(&authority, &Arc::default());
        let request = asked(csr(&rcgen::PKCS_ECDSA_P256_SHA256, Some("me")), 0);
        let chain = create(&service, request, TOKEN).await.unwrap();
        assert_eq!(chain.len(), 4, "leaf, authority and root as the chain has them, roots");
        let text = looked_at(&chain);
        assert!(text.replace(" = ", "=").contains("Subject: CN=spiffe://td/ns/web/sa/shop"), "{text}");
        assert!(text.contains("X509v3 Subject Alternative Name: critical"), "{text}");
    }
}

#[tokio::test]
async fn refusals_are_istiods_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let stats = Arc::<Stats>::default();
    let (authority, _keeper) = open(folder.path(), &stats).await;
    let service = certificates(&authority, &stats);
    let good = || csr(&rcgen::PKCS_ECDSA_P256_SHA256, None);
    let told = async |request, headers: &[(&'static str, &str)]| {
        let status = create(&service, request, headers).await.unwrap_err();
        format!("{:?}: {}", status.code(), status.message())
    };
    let stranger = "Unauthenticated: request authenticate failure";
    assert_eq!(told(asked(good(), 0), &[]).await, stranger);
    assert_eq!(told(asked(good(), 0), &[("authorization", "Bearer nobody")]).await, stranger);
    assert_eq!(told(asked(good(), 0), &[TOKEN[0], ("clusterid", "two")]).await, stranger);
    assert_eq!(stats.strangers.load(Relaxed), 3);
    assert_eq!(
        told(asked(good(), 2160 * 3600 + 1), TOKEN).await,
        "InvalidArgument: CSR signing error (requested TTL 2160h0m1s is greater than the max allowed TTL 2160h0m0s)"
    );
    assert!(told(asked("no".to_owned(), 0), TOKEN).await.starts_with("InvalidArgument: CSR signing error ("));
    let mut other = asked(good(), 0);
    let name = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue("x".to_owned())) };
    let fields = [("ImpersonatedIdentity".to_owned(), name)].into();
    other.metadata = Some(prost_types::Struct { fields });
    assert_eq!(told(other, TOKEN).await, "Unauthenticated: request impersonation authentication failure");
    let long = create(&service, asked("x".repeat(1 << 20), 0), TOKEN).await.unwrap_err();
    assert_eq!(long.code(), Code::OutOfRange);
}

#[tokio::test]
async fn a_plugged_in_authority_is_exchanged_where_all_trust_both() {
    let folder = tempfile::tempdir().unwrap();
    let (root, stranger) = (root("Root"), house::root("Stranger"));
    let (one, two) = ("One", "Two");
    plug(folder.path(), &below(&root, one, &rcgen::PKCS_ECDSA_P256_SHA256), &root);
    let stats = Arc::<Stats>::default();
    let (authority, keeper) = open(folder.path(), &stats).await;
    let running = tokio::spawn(keeper.run());
    let service = certificates(&authority, &Arc::default());
    let issuer = async || {
        let request = asked(csr(&rcgen::PKCS_ECDSA_P256_SHA256, None), 0);
        let chain = create(&service, request, TOKEN).await.unwrap();
        looked_at(&chain).lines().find(|line| line.contains("Issuer:")).unwrap().to_owned()
    };
    let refusals = || stats.failed_renewals.load(Relaxed);
    assert!(issuer().await.ends_with(one));
    let before = refusals();
    plug(folder.path(), &stranger, &stranger);
    until(async || refusals() > before).await;
    assert!(issuer().await.ends_with(one), "nobody trusts the stranger");
    let before = refusals();
    std::fs::write(folder.path().join("ca-cert.pem"), "torn").unwrap();
    until(async || refusals() > before).await;
    assert!(issuer().await.ends_with(one));
    plug(folder.path(), &below(&root, two, &rcgen::PKCS_ECDSA_P384_SHA384), &root);
    until(async || issuer().await.ends_with(two)).await;
    running.abort();
}

/// Looks until it is so, for twenty seconds at most.
async fn until(is_so: impl AsyncFn() -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(tokio::time::Instant::now() < end, "it never is so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_authority_that_makes_no_sense_is_refused_with_the_reason() {
    let root = root("Root");
    let other = house::root("Other");
    let told = async |change: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        plug(folder.path(), &below(&root, "Below", &rcgen::PKCS_ECDSA_P256_SHA256), &root);
        change(folder.path());
        let places = identity::Places { folder: folder.path().to_owned(), cluster: None };
        let opened = identity::Authority::open(places, RootRules::default(), Arc::default()).await;
        let text = opened.err().unwrap().to_string();
        assert!(!text.contains("PRIVATE"), "{text}");
        text
    };
    let write = |folder: &Path, name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    let told_key = told(&|folder: &Path| write(folder, "ca-key.pem", other.key().serialize_pem())).await;
    assert!(told_key.ends_with("the key is not that of the certificate"), "{told_key}");
    let told_root = told(&|folder: &Path| write(folder, "root-cert.pem", other.pem())).await;
    assert!(told_root.ends_with("leads to none of its roots"), "{told_root}");
    let missing = told(&|folder: &Path| std::fs::remove_file(folder.join("cert-chain.pem")).unwrap()).await;
    assert!(missing.contains("has no cert-chain.pem"), "{missing}");
    let garbage = told(&|folder: &Path| write(folder, "ca-key.pem", "garbage".to_owned())).await;
    assert!(garbage.contains("private key"), "{garbage}");
}
