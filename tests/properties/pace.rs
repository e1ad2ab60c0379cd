//! Endpoints that change without end delay no route, and are sent all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use envoy_api::type_url;
use model::parse::Context;
use model::settings::Settings;
use pilothouse::offline;
use push::{Command, Engine, Handle, Limits};
use serde_json::json;
use sources::{File, Folder};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, interval, sleep, timeout};
use xds::View;

/// The longest that a route may take, also on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_millis(200);
const CLUSTER: &str = "outbound|80||one.a.svc.cluster.local";
/// Twenty routes a fifth of a second apart, each once the one before has come.
const ROUTES: usize = 20;

fn service() -> String {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": "one"},
        "spec": {"clusterIP": "10.1.0.1", "ports": [{"name": "http", "port": 80}]}})
    .to_string()
}

fn slice(at: usize) -> String {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": "a", "name": "one-1", "labels": {"kubernetes.io/service-name": "one"}},
        "ports": [{"name": "http", "port": 80}], "endpoints": [{"addresses": [format!("10.2.{}.{}", at / 250, at % 250)]}]})
    .to_string()
}

fn route(at: usize) -> String {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"namespace": "a", "name": "one"},
        "spec": {"hosts": ["one"], "http": [{"timeout": format!("{}s", at + 1), "route": [{"destination": {"host": "one"}}]}]}})
    .to_string()
}

/// Saves files and hands what they change to the engine.
struct Disk {
    folder: Folder,
    engine: Handle,
}

impl Disk {
    async fn save(&mut self, path: &str, text: String) {
        let changes = self.folder.update([File { path: path.into(), text: Some(text) }]);
        self.engine.commands.send(Command::Changes(changes)).await.ok().unwrap();
    }
}

/// The version of what a view has of a type under a name.
fn version(view: &View, url: &str, name: &str) -> String {
    view.types[url].get(name).unwrap().version.to_string()
}

/// Waits until another version is served than this; answers how long it took.
async fn until_other(views: &mut watch::Receiver<Arc<View>>, url: &str, name: &str, old: &str) -> Duration {
    let begin = Instant::now();
    let other = views.wait_for(|view| version(view, url, name) != old);
    timeout(Duration::from_secs(10), other).await.unwrap_or_else(|_| panic!("no other {name}")).unwrap();
    begin.elapsed()
}

/// Counts the assignments that are served one after the other.
async fn count(mut views: watch::Receiver<Arc<View>>, served: Arc<AtomicUsize>) {
    loop {
        let old = version(&views.borrow(), type_url::ENDPOINT, CLUSTER);
        until_other(&mut views, type_url::ENDPOINT, CLUSTER, &old).await;
        served.fetch_add(1, Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn fifty_endpoint_changes_a_second_delay_no_route() {
    let settings = Settings::default();
    let context = Context { cluster: settings.cluster.clone(), domain: settings.domain.clone() };
    let (engine, handle, inbox) = Engine::new(settings);
    engine.start(inbox, Limits::default()).unwrap();
    let mut disk = Disk { folder: Folder::new(context.clone()), engine: handle.clone() };
    disk.save("service.yaml", service()).await;
    disk.save("route.yaml", route(99)).await;
    let mut others = Disk { folder: Folder::new(context), engine: handle.clone() };
    others.save("slice.yaml", slice(0)).await;
    handle
        .snapshots
        .clone()
        .wait_for(|snapshot| {
            snapshot.endpoints.of(&model::Host::new("one.a.svc.cluster.local"), &"a".into()).is_some()
        })
        .await
        .unwrap();

    let node =
        json!({"id": "sidecar~10.0.0.1~c.a~a.svc.cluster.local", "metadata": {"CLUSTER_ID": "Kubernetes"}});
    let proxy = push::proxy(&offline::node(&node).unwrap()).unwrap();
    let (reply, answer) = oneshot::channel();
    handle.commands.send(Command::Connect(Box::new(proxy), reply)).await.ok().unwrap();
    let (_, mut views) = answer.await.unwrap();

    let storm = tokio::spawn(async move {
        let mut ticks = interval(Duration::from_millis(20));
        for at in 1.. {
            ticks.tick().await;
            others.save("slice.yaml", slice(at)).await;
        }
    });
    let served = Arc::new(AtomicUsize::new(0));
    let seen = tokio::spawn(count(views.clone(), Arc::clone(&served)));
    let begin = Instant::now();
    let mut worst = Duration::ZERO;
    for at in 0..ROUTES {
        sleep(LIMIT).await;
        let old = version(&views.borrow(), type_url::ROUTE, "80");
        disk.save("route.yaml", route(at)).await;
        worst = worst.max(until_other(&mut views, type_url::ROUTE, "80", &old).await);
    }
    let lasted = begin.elapsed();
    storm.abort();
    seen.abort();
    let served = served.load(Relaxed);
    println!("{ROUTES} routes within {worst:?} each, {served} endpoint changes served in {lasted:?}");
    assert!(worst < LIMIT, "a route took {worst:?}");
    // Newest only: a view may bring two of them, but not many.
    assert!(served as u128 > lasted.as_millis() / 40, "{served} endpoint changes in {lasted:?}");
}
