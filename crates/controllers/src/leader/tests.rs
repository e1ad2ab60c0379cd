//! Locks at an API server, by the test's own clock.

use super::*;
use crate::testing::Cluster;

fn who(identity: &str, revision: &str) -> Who {
    Who { identity: identity.to_owned(), revision: revision.to_owned(), namespace: "istio-system".to_owned() }
}

struct Contender {
    leads: watch::Receiver<bool>,
    default: watch::Sender<Option<String>>,
    shutdown: CancellationToken,
}

fn contender(cluster: &Cluster, identity: &str, revision: &str) -> Contender {
    let (default, seen) = watch::channel(None);
    let (lock, leads) = Lock::new(cluster.store(), NAMESPACES, &who(identity, revision), seen);
    let shutdown = CancellationToken::new();
    tokio::spawn(lock.run(shutdown.clone()));
    Contender { leads, default, shutdown }
}

impl Contender {
    async fn until(&mut self, leads: bool) -> Duration {
        let begun = Instant::now();
        self.leads.wait_for(|now| *now == leads).await.unwrap();
        begun.elapsed()
    }
}

fn key() -> Key {
    Key::new(Resource::CONFIG_MAP, "istio-system", NAMESPACES)
}

fn holder(cluster: &Cluster) -> Record {
    read(&cluster.get(&key()).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_other_when_it_is_given_back() {
    let cluster = Cluster::new();
    let mut first = contender(&cluster, "one", "1-9-1");
    first.until(true).await;
    let mut second = contender(&cluster, "two", "1-9-2");
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(*first.leads.borrow() && !*second.leads.borrow());
    assert_eq!(holder(&cluster).holder_key, "1-9-1");
    first.shutdown.cancel();
    let waited = second.until(true).await;
    assert!(waited <= LOOK, "{waited:?}");
    assert_eq!((holder(&cluster).holder_identity.as_str(), holder(&cluster).leader_transitions), ("two", 1));
}

#[tokio::test(start_paused = true)]
async fn whoever_falls_silent_is_followed_after_the_lease() {
    let cluster = Cluster::new();
    let record = Record { holder_identity: "gone".into(), leader_transitions: 4, ..Record::default() };
    let annotations = json!({LEADER: serde_json::to_string(&record).unwrap()});
    let metadata = json!({"namespace": "istio-system", "name": NAMESPACES, "annotations": annotations});
    cluster.put(Resource::CONFIG_MAP, json!({"metadata": metadata, "data": {"kept": "1"}}));
    let mut next = contender(&cluster, "one", "1-9-1");
    let waited = next.until(true).await;
    assert!(waited >= record::LEASE && waited <= record::LEASE + LOOK, "{waited:?}");
    assert_eq!(cluster.get(&key()).unwrap()["data"]["kept"], "1");
}

#[tokio::test(start_paused = true)]
async fn the_default_revision_takes_over_at_once_and_keeps_it() {
    let cluster = Cluster::new();
    let mut first = contender(&cluster, "one", "1-9-1");
    first.until(true).await;
    let mut second = contender(&cluster, "two", "1-9-2");
    tokio::time::sleep(Duration::from_secs(3)).await;
    for contender in [&first, &second] {
        contender.default.send_replace(Some("1-9-2".to_owned()));
    }
    assert!(second.until(true).await < Duration::from_secs(1));
    assert!(first.until(false).await <= LOOK);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(!*first.leads.borrow() && *second.leads.borrow());
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_leads_no_longer() {
    let cluster = Cluster::new();
    let mut first = contender(&cluster, "one", "1-9-1");
    first.until(true).await;
    for _ in 0..200 {
        cluster.refuse(http::Method::PUT, NAMESPACES, 500, "InternalError");
    }
    let waited = first.until(false).await;
    assert!(waited >= DEADLINE && waited < record::LEASE, "{waited:?}");
}
