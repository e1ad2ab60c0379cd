//! The mesh's configuration beside gateways: what is decided, and what comes of it at an API server.

use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc;
use serde_json::json;

use super::*;
use crate::testing::Cluster;
use crate::watching::{Selection, watching};
use crate::work;

const NAME: &str = "istio-1-9-1";

fn key(namespace: &str) -> Key {
    Key::new(Resource::CONFIG_MAP, namespace, NAME)
}

fn map(namespace: &str, mesh: &str) -> Value {
    json!({"metadata": {"namespace": namespace, "name": NAME}, "data": {"mesh": mesh}})
}

fn owner(name: &str) -> Owner {
    Owner { name: name.to_owned(), uid: format!("uid-of-{name}") }
}

fn gateways(all: &[(&str, &[&str])]) -> News {
    let of = |names: &[&str]| names.iter().map(|name| owner(name)).collect();
    News::Gateways(all.iter().map(|(namespace, names)| ((*namespace).to_owned(), of(names))).collect())
}

fn known(objects: &[Value]) -> Gateways {
    let mut state = Gateways::new(NAME, "istio-system");
    let all = objects.iter().map(|object| (Key::of(Resource::CONFIG_MAP, object), object.clone()));
    state.take(News::Seen(Seen::All(all.collect())));
    state
}

#[test]
fn it_is_made_where_gateways_are_and_nowhere_else() {
    let mut state = known(&[map("istio-system", "a: 1")]);
    assert_eq!(state.writes(), []);
    state.take(gateways(&[("istio-system", &["old"]), ("team", &["gateway", "other"])]));
    let [write] = &state.writes()[..] else { panic!("{:?}", state.writes()) };
    let made = write.edit.of(None).unwrap();
    assert_eq!(made["data"], json!({"mesh": "a: 1"}));
    let owners: Vec<&Value> = made["metadata"]["ownerReferences"].as_array().unwrap().iter().collect();
    let of = |name: &str| json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": format!("uid-of-{name}")});
    assert_eq!(owners, [&of("gateway"), &of("other")]);
    state.found(&write.key, Some(&made));
    assert_eq!(state.writes(), []);
    state.take(News::Seen(Seen::One(key("istio-system"), Some(map("istio-system", "a: 2")))));
    assert_eq!(state.writes().len(), 1);
    state.take(News::Seen(Seen::One(key("istio-system"), None)));
    assert_eq!(state.writes().len(), 1, "what the mesh said last holds");
}

#[test]
fn one_that_somebody_made_is_left_alone_and_told_of() {
    let mut state = known(&[map("istio-system", "a: 1"), map("team", "b: 1"), map("other", "b: 1")]);
    state.take(gateways(&[("team", &["gateway"])]));
    assert_eq!((state.writes(), &state.told), (vec![], &BTreeSet::from(["team".to_owned()])));
    let edit =
        Copy { at: key("team"), from: "istio-system".into(), data: Arc::default(), owners: BTreeSet::new() };
    assert_eq!(edit.of(Some(&map("team", "b: 1"))), None);
    state.take(News::Seen(Seen::One(key("team"), Some(map("team", "a: 1")))));
    assert!(state.told.is_empty() && state.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_follows_the_meshs_and_is_put_back() {
    let cluster = Cluster::new();
    cluster.put(Resource::CONFIG_MAP, map("istio-system", "a: 1"));
    let (mut sender, receiver) = mpsc::channel(8);
    let store = cluster.store();
    let selection =
        Selection { resource: Resource::CONFIG_MAP, name: Some(NAME.to_owned()), work: "a watch" };
    let seen = watching(&store, selection).map(News::Seen);
    let state = Gateways::new(NAME, "istio-system");
    tokio::spawn(work::run(state, futures::stream::select(receiver, seen), store));
    futures::SinkExt::send(&mut sender, gateways(&[("team", &["gateway"])])).await.unwrap();
    let says = |mesh: &'static str| {
        move |object: Option<&Value>| object.is_some_and(|one| one["data"]["mesh"] == mesh)
    };
    cluster.until(&key("team"), says("a: 1")).await;
    cluster.put(Resource::CONFIG_MAP, map("istio-system", "a: 2"));
    cluster.until(&key("team"), says("a: 2")).await;
    cluster.delete(&key("team"));
    cluster.until(&key("team"), says("a: 2")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.written();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(cluster.written(), Vec::<String>::new());
}
