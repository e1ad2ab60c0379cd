//! Webhooks: what is decided, and what comes of it at an API server.

use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc;
use http::Method;
use serde_json::json;

use super::*;
use crate::testing::Cluster;
use crate::watching::{Selection, watching};
use crate::work;

/// The roots `A` and `B` in base64.
const A: &str = "QQ==";
const B: &str = "Qg==";

fn webhook(name: &str, revision: &str, entries: &[(&str, &str)]) -> Value {
    let entry = |(name, bundle): &(&str, &str)| {
        json!({"name": name, "clientConfig": {"service": {"name": "istiod"}, "caBundle": bundle},
            "failurePolicy": "Ignore"})
    };
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    json!({"metadata": {"name": name, "labels": {"istio.io/rev": revision}}, "webhooks": entries})
}

fn known(which: Which, objects: &[Value]) -> Webhooks {
    let (mut webhooks, _) = Webhooks::new(which, "1-9-1", Arc::default());
    let all = objects.iter().map(|object| (Key::of(which.resource(), object), object.clone()));
    webhooks.take(News::Seen(Seen::All(all.collect())));
    webhooks.take(News::Roots("A".into()));
    webhooks
}

fn names(webhooks: &Webhooks) -> Vec<String> {
    webhooks.writes().into_iter().map(|write| write.key.name).collect()
}

#[test]
fn those_of_the_revision_and_its_tags_are_put_right_and_no_others() {
    let entry = "rev.namespace.sidecar-injector.istio.io";
    let mut webhooks = known(
        Which::Inject,
        &[
            webhook("istio-sidecar-injector-1-9-1", "1-9-1", &[(entry, "")]),
            webhook("istio-revision-tag-prod", "1-9-1", &[(entry, B)]),
            webhook("right", "1-9-1", &[(entry, A)]),
            webhook("next", "1-9-2", &[(entry, "")]),
            webhook("else", "1-9-1", &[("else.example.test", "")]),
            json!({"metadata": {"name": "bare"}, "webhooks": [{"name": entry}]}),
        ],
    );
    assert_eq!(names(&webhooks), ["istio-revision-tag-prod", "istio-sidecar-injector-1-9-1"]);
    let missing = vec![("name", "else".to_owned()), ("reason", "webhook_entry_not_found".to_owned())];
    assert_eq!(webhooks.stats.counts(), [(Counted::PatchFailures, missing, 1)]);
    webhooks.take(News::Roots("B".into()));
    assert_eq!(names(&webhooks), ["istio-sidecar-injector-1-9-1", "right"]);
}

#[test]
fn only_what_is_wrong_in_an_entry_changes() {
    let entry = "object.sidecar-injector.istio.io";
    let before = webhook("w", "1-9-1", &[(entry, ""), ("else.example.test", B)]);
    let edit = known(Which::Inject, std::slice::from_ref(&before)).writes().remove(0).edit;
    let after = edit.of(Some(&before)).unwrap();
    assert_eq!(after["webhooks"][1], before["webhooks"][1]);
    assert_eq!(after["webhooks"][0]["clientConfig"], json!({"service": {"name": "istiod"}, "caBundle": A}));
    assert_eq!(after["webhooks"][0]["failurePolicy"], "Ignore");
    assert_eq!(edit.of(Some(&after)), None);
    assert_eq!(edit.of(Some(&webhook("w", "1-9-2", &[(entry, "")]))), None);
    assert_eq!(edit.of(None), None);
}

#[test]
fn validation_becomes_mandatory_once_it_answers() {
    let object = webhook("istio-validator-1-9-1-istio-system", "1-9-1", &[("rev.validation.istio.io", A)]);
    let mut webhooks = known(Which::Validate, std::slice::from_ref(&object));
    assert!(webhooks.writes().is_empty() && *webhooks.wants_proof.borrow());
    webhooks.take(News::Proven);
    assert!(!*webhooks.wants_proof.borrow());
    let edit = webhooks.writes().remove(0).edit;
    let after = edit.of(Some(&object)).unwrap();
    assert_eq!(after["webhooks"][0]["failurePolicy"], "Fail");
    webhooks.found(&Key::of(Resource::VALIDATING, &after), Some(&after));
    assert!(webhooks.writes().is_empty());
}

#[test]
fn nobody_asks_where_all_is_mandatory_already() {
    let mut object = webhook("v", "1-9-1", &[("validation.istio.io", A)]);
    object["webhooks"][0]["failurePolicy"] = FAIL.into();
    assert!(!*known(Which::Validate, &[object]).wants_proof.borrow());
    assert!(!*known(Which::Validate, &[]).wants_proof.borrow());
}

fn at_work(cluster: &Cluster, which: Which) -> (mpsc::Sender<News>, Arc<Stats>) {
    let (sender, receiver) = mpsc::channel(8);
    let (store, stats) = (cluster.store(), Arc::<Stats>::default());
    let (webhooks, wanted) = Webhooks::new(which, "1-9-1", stats.clone());
    let selection = Selection { resource: which.resource(), name: None, work: "a watch" };
    let proof = prove(store.clone(), "istio-system".to_owned(), "1-9-1".to_owned(), wanted);
    let news = futures::stream::select_all([
        receiver.boxed(),
        watching(&store, selection).map(News::Seen).boxed(),
        futures::stream::once(proof).map(|()| News::Proven).boxed(),
    ]);
    tokio::spawn(work::run(webhooks, news, store));
    (sender, stats)
}

fn has(bundle: &'static str, policy: &'static str) -> impl Fn(Option<&Value>) -> bool {
    move |object| {
        object.is_some_and(|object| {
            let entry = &object["webhooks"][0];
            entry["clientConfig"]["caBundle"] == bundle && entry["failurePolicy"] == policy
        })
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_installer_takes_away_is_put_back_and_then_nothing_happens() {
    let cluster = Cluster::new();
    let bare = webhook("w", "1-9-1", &[("object.sidecar-injector.istio.io", "")]);
    cluster.put(Resource::MUTATING, bare.clone());
    cluster.refuse(Method::PUT, "/w", 409, "Conflict");
    cluster.refuse(Method::PUT, "/w", 500, "InternalError");
    let (mut sender, stats) = at_work(&cluster, Which::Inject);
    futures::SinkExt::send(&mut sender, News::Roots("A".into())).await.unwrap();
    let key = Key::new(Resource::MUTATING, "", "w");
    cluster.until(&key, has(A, "Ignore")).await;
    cluster.put(Resource::MUTATING, bare);
    cluster.until(&key, has(A, "Ignore")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.written();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(cluster.written(), Vec::<String>::new());
    let counts: Vec<(Counted, u64)> =
        stats.counts().into_iter().map(|(counted, _, count)| (counted, count)).collect();
    let expected = [(Counted::PatchAttempts, 3), (Counted::PatchRetries, 1), (Counted::PatchFailures, 1)];
    assert_eq!(counts, expected);
}

#[tokio::test(start_paused = true)]
async fn validation_is_tried_until_it_answers() {
    let cluster = Cluster::new();
    cluster.put(Resource::VALIDATING, webhook("v", "1-9-1", &[("rev.validation.istio.io", "")]));
    // The kind has one version only, and three times nobody answers.
    for _ in 0..4 {
        cluster.refuse(Method::POST, "/v1/", 404, "NotFound");
    }
    for _ in 0..3 {
        cluster.refuse(Method::POST, "/v1beta1/", 500, "failed calling webhook");
    }
    cluster.refuse(
        Method::POST,
        "/v1beta1/",
        400,
        "admission webhook \"rev.validation.istio.io\" denied the request: no",
    );
    let (mut sender, _) = at_work(&cluster, Which::Validate);
    futures::SinkExt::send(&mut sender, News::Roots("A".into())).await.unwrap();
    let key = Key::new(Resource::VALIDATING, "", "v");
    cluster.until(&key, has(A, "Ignore")).await;
    cluster.until(&key, has(A, "Fail")).await;
    let trials = cluster.written().into_iter().filter(|line| line.starts_with("POST gateways istio-system/"));
    assert_eq!(trials.count(), 8);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_admitted_proves_nothing() {
    let cluster = Cluster::new();
    cluster.put(Resource::VALIDATING, webhook("v", "1-9-1", &[("rev.validation.istio.io", "")]));
    let (mut sender, _) = at_work(&cluster, Which::Validate);
    futures::SinkExt::send(&mut sender, News::Roots("A".into())).await.unwrap();
    let key = Key::new(Resource::VALIDATING, "", "v");
    cluster.until(&key, has(A, "Ignore")).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(cluster.get(&key).unwrap()["webhooks"][0]["failurePolicy"], "Ignore");
}
