//! Tags against a little store of objects that answers as an API server does.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// The objects of a cluster by their path.
type Objects = Arc<Mutex<BTreeMap<String, Value>>>;

const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const SERVICES: &str = "/api/v1/namespaces/istio-system/services";
const NAMESPACES: &str = "/api/v1/namespaces";

/// A cluster with these objects, each under the path of its kind.
fn cluster(objects: &[(&str, Value)]) -> (Tags, Objects) {
    let path =
        |path: &str, object: &Value| format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
    let objects: BTreeMap<String, Value> =
        objects.iter().map(|(of, object)| (path(of, object), object.clone())).collect();
    let objects = Arc::new(Mutex::new(objects));
    let answers = objects.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let objects = answers.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let (code, answer) = answer(&objects, &parts.method, parts.uri.path(), &body);
            let answer =
                Response::builder().status(code).body(Body::from(serde_json::to_vec(&answer).unwrap()));
            Ok::<_, Infallible>(answer.unwrap())
        }
    });
    (Tags::new(kube::Client::new(service, "default"), "istio-system"), objects)
}

fn answer(objects: &Objects, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
    let mut objects = objects.lock().unwrap();
    let missing =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404});
    let depth = |of: &str| of.matches('/').count();
    match *method {
        Method::GET if objects.contains_key(path) => (StatusCode::OK, objects[path].clone()),
        Method::GET if [MUTATING, VALIDATING, SERVICES, NAMESPACES].contains(&path) => {
            let is_in = |at: &str| at.starts_with(&format!("{path}/")) && depth(at) == depth(path) + 1;
            let items: Vec<&Value> = objects.iter().filter(|(at, _)| is_in(at)).map(|(_, one)| one).collect();
            (StatusCode::OK, json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}))
        }
        Method::GET => (StatusCode::NOT_FOUND, missing),
        Method::DELETE => (StatusCode::OK, objects.remove(path).unwrap_or(missing)),
        _ => {
            let object: Value = serde_json::from_slice(body).unwrap();
            let name = object["metadata"]["name"].as_str().unwrap();
            let at = if *method == Method::POST { format!("{path}/{name}") } else { path.to_owned() };
            objects.insert(at, object.clone());
            (StatusCode::OK, object)
        }
    }
}

/// What an installation of a revision brings that matters to tags.
fn installed(revision: &str) -> [(&'static str, Value); 2] {
    let of = model::Revision::new(revision);
    let labels = json!({"app": "istiod", "istio.io/rev": revision, "operator.istio.io/component": "Pilot"});
    let client = json!({"service": {"name": of.named("istiod"), "namespace": "istio-system", "path": "/inject",
        "port": 443}, "caBundle": "Q0E="});
    let injector = json!({
        "metadata": {"name": of.named("istio-sidecar-injector"), "labels": labels, "resourceVersion": "7"},
        "webhooks": [{"name": "rev.namespace.sidecar-injector.istio.io", "clientConfig": client,
            "namespaceSelector": {}, "objectSelector": {}}],
    });
    let service = json!({
        "metadata": {"name": of.named("istiod"), "namespace": "istio-system", "labels": labels},
        "spec": {"clusterIP": "10.0.0.1", "selector": {"app": "istiod", "istio.io/rev": revision},
            "ports": [{"name": "https-dns", "port": 15012, "protocol": "TCP", "nodePort": 31000}]},
    });
    [(MUTATING, injector), (SERVICES, service)]
}

fn namespace(name: &str, rev: &str) -> (&'static str, Value) {
    (NAMESPACES, json!({"metadata": {"name": name, "labels": {"istio.io/rev": rev}}}))
}

fn said(tags: &[Tag]) -> Vec<String> {
    tags.iter().map(|tag| format!("{} {} [{}]", tag.name, tag.revision, tag.namespaces.join(","))).collect()
}

#[tokio::test]
async fn a_tag_is_set_moved_and_removed() {
    let mut objects = installed("1-9-1").to_vec();
    objects.extend(installed("1-9-2"));
    objects.extend([namespace("shop", "prod"), namespace("bank", "1-9-2")]);
    let (tags, objects) = cluster(&objects);
    assert_eq!(said(&tags.list().await.unwrap()), [" 1-9-1 []", " 1-9-2 [bank]"]);
    tags.set("prod", "1-9-1", false).await.unwrap();
    assert_eq!(said(&tags.list().await.unwrap()), ["prod 1-9-1 [shop]", " 1-9-2 [bank]"]);
    let again = tags.set("prod", "1-9-2", false).await.unwrap_err();
    assert_eq!(again.to_string(), r#"the tag "prod" exists and stands for "1-9-1"; --overwrite moves it"#);
    tags.set("prod", "1-9-2", true).await.unwrap();
    assert_eq!(tags.namespaces("prod").await.unwrap(), ["shop"]);
    let kept = objects.lock().unwrap()[&format!("{SERVICES}/istiod-revision-tag-prod")].clone();
    assert_eq!(kept["spec"]["selector"]["istio.io/rev"], "1-9-2");
    tags.remove("prod").await.unwrap();
    assert!(!objects.lock().unwrap().keys().any(|path| path.contains("prod")));
    assert_eq!(tags.remove("prod").await.unwrap_err().to_string(), r#"there is no tag "prod""#);
}

#[tokio::test]
async fn the_objects_are_those_that_istioctl_makes() {
    let (tags, _) = cluster(&installed("1-9-1"));
    let objects = tags.objects("prod", "1-9-1", false).await.unwrap();
    let [injector, service] = &objects[..] else { panic!("{objects:?}") };
    assert_eq!(
        injector["metadata"],
        json!({"name": "istio-revision-tag-prod", "labels":
            {"app": "sidecar-injector", "istio.io/rev": "1-9-1", "istio.io/tag": "prod"}})
    );
    let entries: Vec<&str> =
        injector["webhooks"].as_array().unwrap().iter().filter_map(|entry| entry["name"].as_str()).collect();
    assert_eq!(entries, ["rev.namespace.sidecar-injector.istio.io", "rev.object.sidecar-injector.istio.io"]);
    assert_eq!(injector["webhooks"][0]["clientConfig"]["caBundle"], "Q0E=");
    assert_eq!(injector["webhooks"][0]["clientConfig"]["service"]["name"], "istiod-1-9-1");
    assert_eq!(service["metadata"]["name"], "istiod-revision-tag-prod");
    let ports = json!([{"name": "https-dns", "port": 15012, "protocol": "TCP"}]);
    assert_eq!(
        service["spec"],
        json!({"ports": ports, "selector": {"app": "istiod", "istio.io/rev": "1-9-1"}})
    );
}

#[tokio::test]
async fn the_default_tag_validates_and_puts_the_default_revision_out_of_use() {
    let mut objects = installed("1-9-1").to_vec();
    objects.extend(installed("default"));
    let before =
        json!({"metadata": {"name": "istiod-default-validator"}, "webhooks": [{"failurePolicy": "Fail"}]});
    objects.push((VALIDATING, before));
    let (tags, objects) = cluster(&objects);
    tags.set("default", "1-9-1", false).await.unwrap();
    let objects = objects.lock().unwrap();
    let default = &objects[&format!("{MUTATING}/istio-sidecar-injector")];
    assert_eq!(
        default["webhooks"][0]["namespaceSelector"]["matchLabels"]["istio.io/deactivated"],
        "never-match"
    );
    let validator = &objects[&format!("{VALIDATING}/istiod-default-validator")];
    assert_eq!(validator["metadata"]["labels"]["istio.io/rev"], "1-9-1");
    assert_eq!(validator["webhooks"][0]["failurePolicy"], "Fail");
    assert_eq!(validator["webhooks"][0]["clientConfig"]["service"]["path"], "/validate");
    let injector = &objects[&format!("{MUTATING}/istio-revision-tag-default")];
    assert_eq!(injector["webhooks"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_conflict_is_tried_again_and_what_others_wrote_meanwhile_stays() {
    let cluster = crate::testing::Cluster::new();
    for (path, object) in installed("1-9-1") {
        let resource = if path == MUTATING { Resource::MUTATING } else { Resource::SERVICE };
        cluster.put(resource, object);
    }
    let tags = Tags::new(cluster.client(), "istio-system");
    tags.set("prod", "1-9-1", false).await.unwrap();
    cluster.refuse(Method::PUT, "istio-revision-tag-prod", 409, "Conflict");
    tags.set("prod", "1-9-1", true).await.unwrap();
    let writes = cluster.written();
    let tries = writes.iter().filter(|line| line.starts_with("PUT mutatingwebhookconfigurations")).count();
    assert_eq!(tries, 2, "{writes:?}");
}

#[tokio::test]
async fn without_the_tag_default_the_default_revision_is_in_use_again() {
    let mut objects = installed("1-9-1").to_vec();
    let [(at, mut injector), service] = installed("default");
    let labels = json!({"matchLabels": {"app": "a"}});
    injector["webhooks"] = json!([
        {"name": "rev.namespace.sidecar-injector.istio.io", "clientConfig": {"service": {"name": "istiod"}}},
        {"name": "mine.sidecar-injector.istio.io", "namespaceSelector": labels, "objectSelector": labels},
    ]);
    objects.extend([(at, injector), service]);
    let (tags, objects) = cluster(&objects);
    tags.set("default", "1-9-1", false).await.unwrap();
    tags.remove("default").await.unwrap();
    let objects = objects.lock().unwrap();
    let entries = &objects[&format!("{MUTATING}/istio-sidecar-injector")]["webhooks"];
    let expected = json!({"key": "istio.io/rev", "operator": "In", "values": ["default"]});
    assert_eq!(entries[0]["namespaceSelector"]["matchExpressions"][0], expected);
    let validator = &objects[&format!("{VALIDATING}/istiod-default-validator")];
    assert_eq!(validator["metadata"]["labels"]["istio.io/rev"], "default");
    assert_eq!(validator["webhooks"][0]["clientConfig"]["service"]["name"], "istiod");
    assert!(!objects.contains_key(&format!("{MUTATING}/istio-revision-tag-default")));
}

#[tokio::test]
async fn without_the_tag_and_a_default_revision_nobody_validates_what_names_none() {
    let (tags, objects) = cluster(&installed("1-9-1"));
    tags.set("default", "1-9-1", false).await.unwrap();
    tags.remove("default").await.unwrap();
    assert!(!objects.lock().unwrap().keys().any(|path| path.contains("default")));
}

#[tokio::test]
async fn a_certificate_authority_is_kept_where_the_revision_has_none() {
    let [(at, mut injector), service] = installed("1-9-1");
    let (tags, objects) = cluster(&[(at, injector.clone()), service]);
    tags.set("prod", "1-9-1", false).await.unwrap();
    injector["webhooks"][0]["clientConfig"]["caBundle"] = "".into();
    objects.lock().unwrap().insert(format!("{MUTATING}/istio-sidecar-injector-1-9-1"), injector);
    tags.set("prod", "1-9-1", true).await.unwrap();
    let tag = objects.lock().unwrap()[&format!("{MUTATING}/istio-revision-tag-prod")].clone();
    assert_eq!(tag["webhooks"][0]["clientConfig"]["caBundle"], "Q0E=");
}

#[tokio::test]
async fn what_is_wrong_is_told_in_words() {
    let (tags, _) = cluster(&installed("1-9-1"));
    for (tag, revision, complaint) in [
        (
            "prod",
            "1-9-9",
            r#"no control plane of revision "1-9-9" is installed (no webhook that injects for it); there are: 1-9-1"#,
        ),
        (
            "1-9-1",
            "1-9-1",
            r#""1-9-1" is a revision; a tag of that name would take its namespaces away from it"#,
        ),
        (
            "Prod",
            "1-9-1",
            r#""Prod" cannot be a tag: it takes up to 43 lower-case letters, digits and inner hyphens"#,
        ),
    ] {
        assert_eq!(tags.set(tag, revision, false).await.unwrap_err().to_string(), complaint);
    }
}

#[test]
fn names_fit_their_objects() {
    for (name, fits) in
        [("prod", true), ("1-9-1", true), ("", false), ("-a", false), ("a-", false), ("a.b", false)]
    {
        assert_eq!(check_name(name).is_ok(), fits, "{name}");
    }
    assert!(check_name(&"a".repeat(43)).is_ok());
    assert!(check_name(&"a".repeat(44)).is_err());
}
