//! Root certificates: what is decided, and what comes of it at an API server.

use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc;
use http::Method;
use serde_json::json;

use super::*;
use crate::store::Resource;
use crate::testing::Cluster;
use crate::watching::{Selection, watching};
use crate::work;

const NAME: &str = "istio-ca-root-cert";

fn key(namespace: &str) -> Key {
    Key::new(Resource::CONFIG_MAP, namespace, NAME)
}

fn map(namespace: &str, certificates: &str) -> Value {
    json!({"metadata": {"namespace": namespace, "name": NAME}, "data": {ENTRY: certificates}})
}

fn names(list: &[&str]) -> BTreeSet<Text> {
    list.iter().map(|name| Text::from(*name)).collect()
}

#[test]
fn only_what_differs_where_it_counts_is_written_by_whoever_leads() {
    let all = |only: &str, leads: bool, there: &[(&str, &str)]| {
        let mut roots = Roots::new(NAME, only);
        roots.take(News::Namespaces(names(&[
            "default",
            "kube-node-lease",
            "kube-public",
            "kube-system",
            "local-path-storage",
            "shop",
        ])));
        roots.take(News::Roots("A".into()));
        roots.take(News::Leads(leads));
        let there = there.iter().map(|(namespace, text)| (key(namespace), map(namespace, text)));
        roots.take(News::Seen(Seen::All(there.collect())));
        roots.writes().into_iter().map(|write| write.key.namespace).collect::<Vec<_>>()
    };
    assert_eq!(all("", true, &[]), ["default", "kube-system", "shop"]);
    assert_eq!(all("", false, &[]), Vec::<String>::new());
    assert_eq!(all("shop", true, &[]), ["shop"]);
    assert_eq!(all("", true, &[("shop", "A"), ("default", "B"), ("other", "B")]), ["default", "kube-system"]);
}

#[test]
fn nothing_is_written_before_everything_is_known() {
    let mut roots = Roots::new(NAME, "");
    roots.take(News::Namespaces(names(&["shop"])));
    roots.take(News::Leads(true));
    roots.take(News::Seen(Seen::One(key("shop"), Some(map("shop", "B")))));
    roots.take(News::Roots("A".into()));
    assert_eq!(roots.writes(), []);
    roots.take(News::Seen(Seen::All(Vec::new())));
    assert_eq!(roots.writes().len(), 1);
}

#[test]
fn what_else_is_in_the_config_map_stays() {
    let edit = Certificates { at: key("shop"), roots: "A".into() };
    let new = edit.of(None).unwrap();
    assert_eq!(new["metadata"]["labels"], json!({"istio.io/config": "true"}));
    assert_eq!(new["data"], json!({"root-cert.pem": "A"}));
    let before = json!({"metadata": {"name": NAME, "labels": {"a": "b"}}, "data": {"mine": "1", ENTRY: "B"}});
    let after = edit.of(Some(&before)).unwrap();
    assert_eq!(after["data"], json!({"mine": "1", "root-cert.pem": "A"}));
    assert_eq!(after["metadata"], before["metadata"]);
    assert_eq!(edit.of(Some(&after)), None);
}

/// The controller at work on a cluster, and what tells it of the rest.
fn at_work(cluster: &Cluster) -> mpsc::Sender<News> {
    let (sender, receiver) = mpsc::channel(8);
    let store = cluster.store();
    let selection =
        Selection { resource: Resource::CONFIG_MAP, name: Some(NAME.to_owned()), work: "a watch" };
    let seen = watching(&store, selection).map(News::Seen);
    tokio::spawn(work::run(Roots::new(NAME, ""), futures::stream::select(receiver, seen), store));
    sender
}

fn is(text: &'static str) -> impl Fn(Option<&Value>) -> bool {
    move |object| object.is_some_and(|object| object["data"][ENTRY] == text)
}

async fn tell(sender: &mut mpsc::Sender<News>, news: News) {
    futures::SinkExt::send(sender, news).await.unwrap();
}

async fn begun(cluster: &Cluster, namespaces: &[&str]) -> mpsc::Sender<News> {
    let mut sender = at_work(cluster);
    tell(&mut sender, News::Roots("A".into())).await;
    tell(&mut sender, News::Leads(true)).await;
    tell(&mut sender, News::Namespaces(names(namespaces))).await;
    sender
}

#[tokio::test(start_paused = true)]
async fn certificates_are_put_repaired_and_renewed_and_then_nothing_happens() {
    let cluster = Cluster::new();
    let mut sender = begun(&cluster, &["shop"]).await;
    cluster.until(&key("shop"), is("A")).await;
    cluster.put(Resource::CONFIG_MAP, map("shop", "mine"));
    cluster.until(&key("shop"), is("A")).await;
    cluster.delete(&key("shop"));
    cluster.until(&key("shop"), is("A")).await;
    tell(&mut sender, News::Namespaces(names(&["bank", "shop"]))).await;
    cluster.until(&key("bank"), is("A")).await;
    tell(&mut sender, News::Roots("B".into())).await;
    cluster.until(&key("shop"), is("B")).await;
    cluster.until(&key("bank"), is("B")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.written();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(cluster.written(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_tried_again_at_once_and_a_failure_after_a_while() {
    let cluster = Cluster::new();
    cluster.put(Resource::CONFIG_MAP, map("shop", "old"));
    cluster.refuse(Method::PUT, NAME, 409, "Conflict");
    cluster.refuse(Method::PUT, NAME, 500, "InternalError");
    cluster.refuse(Method::PUT, NAME, 503, "ServiceUnavailable");
    let _sender = begun(&cluster, &["shop"]).await;
    cluster.until(&key("shop"), is("A")).await;
    assert_eq!(cluster.written().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_goes_on() {
    let cluster = Cluster::new();
    for _ in 0..4 {
        cluster.refuse(Method::GET, "configmaps", 500, "InternalError");
    }
    let _sender = begun(&cluster, &["shop"]).await;
    cluster.until(&key("shop"), is("A")).await;
}

#[tokio::test(start_paused = true)]
async fn a_quarrel_is_not_fought_at_full_speed() {
    let cluster = Cluster::new();
    let _sender = begun(&cluster, &["shop"]).await;
    let other = cluster.clone();
    tokio::spawn(async move {
        loop {
            other.until(&key("shop"), is("A")).await;
            other.put(Resource::CONFIG_MAP, map("shop", "mine"));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    tokio::time::sleep(Duration::from_secs(20)).await;
    let writes = cluster.written().len();
    assert!((6..40).contains(&writes), "{writes}");
}
