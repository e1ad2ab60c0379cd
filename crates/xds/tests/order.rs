//! Scripts about the order of a push: make before break.

mod harness;

use std::time::Duration;

use harness::{Client, House, Mesh, Speaks, pass};
use xds::Config;

/// A client that holds all of a view with clusters, endpoints, listeners and routes.
async fn current(text: &str, asks: &[&str]) -> (Mesh, House, Client) {
    let mut mesh = Mesh::default();
    let house = House::new(mesh.then(text));
    let mut client = Client::connect(&house.serve(Config::default()), Speaks::Delta).await;
    asks.iter().for_each(|ask| client.ask(ask));
    client.hears_and_acks().await;
    pass(Duration::from_secs(1)).await;
    (mesh, house, client)
}

#[tokio::test(start_paused = true)]
async fn a_push_goes_from_what_is_needed_to_what_needs_it() {
    let asks = ["nds", "sds +s", "rds +r", "lds", "eds +a", "cds"];
    let (mut mesh, house, mut client) =
        current("cds a1 | eds a1 | lds l1 | rds r1 | sds s1 | nds n1", &asks).await;
    house.views.send_replace(mesh.then("cds a2 | eds a2 | lds l2 | rds r2 | sds s2 | nds n2"));
    assert_eq!(client.hears().await, "cds a2\neds a2\nlds l2\nrds r2\nsds s2\nnds n2");
}

#[tokio::test(start_paused = true)]
async fn a_route_waits_for_the_endpoints_of_a_new_cluster() {
    let (mut mesh, house, mut client) =
        current("cds a1 | eds a1 | rds r1>a q1>a", &["cds", "eds +a", "rds +q +r"]).await;
    house.views.send_replace(mesh.then("cds b1 | eds b1 | rds r2>b q2"));
    // What needs nothing new does not wait, and the old cluster stays while it is used.
    assert_eq!(client.hears().await, "cds b1\nrds q2");
    client.ack("cds");
    client.ack("rds");
    assert_eq!(client.hears().await, "");
    client.ask("eds +b");
    assert_eq!(client.hears().await, "eds b1");
    pass(Duration::from_secs(2)).await;
    assert_eq!(client.hears().await, "");
    client.ack("eds");
    assert_eq!(client.hears().await, "rds r2\ncds -a");
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_endpoints_is_bounded_and_does_not_start_again() {
    let (mut mesh, house, mut client) =
        current("cds a1 | eds a1 | rds r1>a", &["cds", "eds +a", "rds +r"]).await;
    house.views.send_replace(mesh.then("cds a1 b1 | eds a1 b1 | rds r2>b"));
    assert_eq!(client.hears_and_acks().await, "cds b1");
    pass(Duration::from_secs(3)).await;
    // The cluster changes meanwhile: it is sent, its time goes on.
    house.views.send_replace(mesh.then("cds a1 b2 | eds a1 b1 | rds r3>b"));
    assert_eq!(client.hears_and_acks().await, "cds b2");
    pass(Duration::from_millis(1_900)).await;
    assert_eq!(client.hears_and_acks().await, "");
    pass(Duration::from_millis(100)).await;
    assert_eq!(client.hears_and_acks().await, "rds r3");
    house.views.send_replace(mesh.then("cds a1 b3 | eds a1 b1 | rds r4>b"));
    assert_eq!(client.hears_and_acks().await, "cds b3\nrds r4");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_endpoints_to_ask_for_is_ready_when_it_is_accepted() {
    let (mut mesh, house, mut client) = current("cds a1 | rds r1", &["cds", "rds +r"]).await;
    house.views.send_replace(mesh.then("cds a1 b1 | rds r2>b"));
    assert_eq!(client.hears().await, "cds b1");
    client.ack("cds");
    assert_eq!(client.hears().await, "rds r2");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_asks_for_no_endpoints_is_not_waited_for_though_they_are_there() {
    // As with load balancing PASSTHROUGH; the client has no cluster that would make it ask for any endpoints.
    let (mut mesh, house, mut client) = current("cds a1. | eds a1 | rds r1>a", &["cds", "rds +r"]).await;
    house.views.send_replace(mesh.then("cds a1. b1. | eds a1 b1 | rds r2>b"));
    assert_eq!(client.hears().await, "cds b1");
    client.ack("cds");
    assert_eq!(client.hears().await, "rds r2");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_whose_endpoints_the_client_does_not_ask_for_is_ready_as_well() {
    let (mut mesh, house, mut client) =
        current("cds a1 | eds a1 | rds r1", &["cds", "eds +a", "rds +r"]).await;
    house.views.send_replace(mesh.then("cds a1 b1 c1 | eds a1 b1 c1 | rds r2>b q1>c"));
    assert_eq!(client.hears_and_acks().await, "cds b1 c1");
    client.ask("eds +c");
    assert_eq!(client.hears().await, "eds c1\nrds r2");
}

#[tokio::test(start_paused = true)]
async fn clusters_that_no_view_has_are_not_waited_for() {
    let (mut mesh, house, mut client) =
        current("cds a1 | eds a1 | rds r1", &["cds", "eds +a", "rds +r"]).await;
    house.views.send_replace(mesh.then("cds a1 | eds a1 | rds r2>nowhere"));
    assert_eq!(client.hears().await, "rds r2");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_no_clusters_is_not_kept_waiting() {
    let (_, _, client) = current("cds a1 | rds r1>a", &["rds +r"]).await;
    assert_eq!(client.holds["rds"]["r"], "r1");
}

#[tokio::test(start_paused = true)]
async fn changed_clusters_are_followed_by_endpoints_that_the_client_holds() {
    let (mut mesh, house, mut client) = current("cds a1 b1 | eds a1 b1", &["cds", "eds +a +b"]).await;
    house.views.send_replace(mesh.then("cds a2 b1 | eds a1 b1"));
    assert_eq!(client.hears_and_acks().await, "cds a2\neds a1");
}

#[tokio::test(start_paused = true)]
async fn endpoints_of_a_cluster_that_goes_away_are_not_emptied_before() {
    let (mut mesh, house, mut client) =
        current("cds a1 b1 | eds a1 b1 | rds r1>a", &["cds", "eds +a +b", "rds +r"]).await;
    house.views.send_replace(mesh.then("cds b1 | eds b1 | rds r2>b"));
    assert_eq!(client.hears_and_acks().await, "rds r2\ncds -a");
    client.ask("eds -a");
    assert_eq!(client.hears().await, "");
    // While the cluster stays, losing all endpoints is told at once.
    house.views.send_replace(mesh.then("cds b1 | eds | rds r2>b"));
    assert_eq!(client.hears().await, "eds b0");
}

#[tokio::test(start_paused = true)]
async fn a_newer_view_replaces_the_stages_not_sent_yet() {
    let asks = ["cds", "eds +a", "lds", "rds +r"];
    let (mut mesh, house, mut client) = current("cds a1 | eds a1 | lds l1 | rds r1", &asks).await;
    house.views.send_replace(mesh.then("cds a2 | eds a1 | lds l2 | rds r2"));
    assert_eq!(client.hears_one().await, "cds a2");
    house.views.send_replace(mesh.then("cds a3 | eds a1 | lds l3 | rds r3"));
    // The endpoints were on their way already or not; no listener or route of the old state is sent.
    assert_eq!(client.hears().await, "eds a1\nlds l3\nrds r3\ncds a3\neds a1");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_changes_all_the_time_does_not_starve_its_routes() {
    let asks = ["cds", "eds +a", "rds +r"];
    let (mut mesh, house, mut client) = current("cds a1 | eds a1 | rds r1", &asks).await;
    let mut heard = Vec::new();
    for at in 2..12 {
        house.views.send_replace(mesh.then(&format!("cds a1 | eds a{at} | rds r{at}")));
        heard.push(client.hears_one().await.split(' ').next().unwrap().to_owned());
    }
    assert!(heard.iter().filter(|type_url| *type_url == "rds").count() >= 4, "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_comes_back_is_new_again() {
    let (mut mesh, house, mut client) =
        current("cds a1 b1 | eds a1 b1 | rds r1", &["cds", "eds +a +b", "rds +r"]).await;
    house.views.send_replace(mesh.then("cds a1 | eds a1 | rds r1"));
    assert_eq!(client.hears_and_acks().await, "cds -b");
    client.ask("eds -b");
    house.views.send_replace(mesh.then("cds a1 b1 | eds a1 b1 | rds r2>b"));
    assert_eq!(client.hears_and_acks().await, "cds b1");
    client.ask("eds +b");
    assert_eq!(client.hears_and_acks().await, "eds b1\nrds r2");
}
