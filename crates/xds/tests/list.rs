//! Scripts of state-of-the-world clients: what they say and what they are to hear.

mod harness;

use std::time::Duration;

use harness::{Client, House, Mesh, Speaks, pass};
use xds::Config;

async fn start(text: &str) -> (Mesh, House, Client) {
    let mut mesh = Mesh::default();
    let house = House::new(mesh.then(text));
    let client = Client::connect(&house.serve(Config::default()), Speaks::List).await;
    (mesh, house, client)
}

#[tokio::test(start_paused = true)]
async fn clusters_are_sent_whole_and_endpoints_one_by_one() {
    let (mut mesh, house, mut client) = start("cds a1 b1 | eds a1 b1").await;
    client.ask("cds");
    assert_eq!(client.hears().await, "cds a1 b1");
    client.ack("cds");
    client.ask("eds +a +b");
    assert_eq!(client.hears().await, "eds a1 b1");
    client.ack("eds +a +b");
    assert_eq!(client.hears().await, "");
    house.views.send_replace(mesh.then("cds a1 b1 | eds a2 b1"));
    assert_eq!(client.hears().await, "eds a2");
    client.ack("eds +a +b");
    house.views.send_replace(mesh.then("cds a1 b2 | eds a2 b1"));
    assert_eq!(client.hears().await, "cds a1 b2\neds b1");
}

#[tokio::test(start_paused = true)]
async fn names_that_come_later_are_sent_alone() {
    let (_, _, mut client) = start("eds a1 b1").await;
    client.ask("eds +a");
    assert_eq!(client.hears().await, "eds a1");
    client.ack("eds +a");
    client.ack("eds +a +b");
    assert_eq!(client.hears().await, "eds b1");
    client.ack("eds +b");
    client.ack("eds");
    assert_eq!(client.hears().await, "");
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_asks_for_all_only_where_all_can_be_asked_for() {
    let (_, _, mut client) = start("eds a1 | cds a1").await;
    client.ask("eds");
    assert_eq!(client.hears().await, "");
    client.ask("cds +a");
    assert_eq!(client.hears().await, "cds a1");
    client.ack("cds");
    assert_eq!(client.hears().await, "");
    client.ack("cds +*");
    assert_eq!(client.hears().await, "cds a1");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_is_not_answered() {
    let (mut mesh, house, mut client) = start("sds a1").await;
    client.ask("sds +b");
    assert_eq!(client.hears().await, "");
    house.views.send_replace(mesh.then("sds a1 b1"));
    assert_eq!(client.hears().await, "sds b1");
}

#[tokio::test(start_paused = true)]
async fn a_removal_of_clusters_comes_after_all_that_used_them() {
    let (mut mesh, house, mut client) = start("cds a1 b1 | eds a1 b1 | rds r1>a").await;
    client.ask("cds");
    client.ask("eds +a +b");
    client.ask("rds +r");
    assert_eq!(client.hears_and_acks().await, "cds a1 b1\neds a1 b1\nrds r1");
    pass(Duration::from_secs(1)).await;
    house.views.send_replace(mesh.then("cds b1 c1 | eds b1 c1 | rds r2>b"));
    assert_eq!(client.hears().await, "cds a1 b1 c1\nrds r2\ncds b1 c1");
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_held_back_is_represented_by_what_the_client_holds() {
    let (mut mesh, house, mut client) = start("cds a1 | eds a1 | lds k1 l1>a").await;
    client.ask("cds");
    client.ask("eds +a");
    client.ask("lds");
    assert_eq!(client.hears_and_acks().await, "cds a1\neds a1\nlds k1 l1");
    house.views.send_replace(mesh.then("cds a1 b1 | eds a1 b1 | lds k2 l2>b m1>b"));
    assert_eq!(client.hears().await, "cds a1 b1\nlds k2 l1");
    client.ack("cds");
    client.ack("eds +a +b");
    client.ack("lds");
    assert_eq!(client.hears().await, "eds b1");
    client.ack("eds +a +b");
    assert_eq!(client.hears().await, "lds k2 l2 m1");
}

#[tokio::test(start_paused = true)]
async fn a_first_list_of_listeners_is_never_sent_in_part() {
    let (_, _, mut client) = start("cds a1 | eds a1 | lds k1 l1>a").await;
    client.ask("cds");
    client.ask("lds");
    client.ask("eds +a");
    assert_eq!(client.hears().await, "cds a1\neds a1");
    client.ack("eds +a");
    assert_eq!(client.hears().await, "lds k1 l1");
}

#[tokio::test(start_paused = true)]
async fn a_refused_version_is_represented_by_the_former_one() {
    let (mut mesh, house, mut client) = start("cds a1 b1").await;
    client.ask("cds");
    assert_eq!(client.hears_and_acks().await, "cds a1 b1");
    house.views.send_replace(mesh.then("cds a2 b1 c1"));
    assert_eq!(client.hears().await, "cds a2 b1 c1");
    client.nack("cds");
    assert_eq!(client.hears().await, "");
    house.views.send_replace(mesh.then("cds a2 b2 c1"));
    assert_eq!(client.hears_and_acks().await, "cds a1 b2");
    house.views.send_replace(mesh.then("cds a1 b2 c1"));
    assert_eq!(client.hears_and_acks().await, "cds a1 b2");
    house.views.send_replace(mesh.then("cds a1 b2 c2"));
    assert_eq!(client.hears_and_acks().await, "cds a1 b2 c2");
}

#[tokio::test(start_paused = true)]
async fn a_first_response_that_is_refused_takes_nothing_away() {
    let (mut mesh, house, mut client) = start("lds a1 b1").await;
    client.ask("lds =old");
    assert_eq!(client.hears().await, "lds a1 b1");
    client.nack("lds");
    assert_eq!(client.hears().await, "");
    house.views.send_replace(mesh.then("lds a1 b2"));
    assert_eq!(client.hears().await, "lds a1 b2");
}

#[tokio::test(start_paused = true)]
async fn a_stale_nonce_is_not_answered() {
    let (mut mesh, house, mut client) = start("eds a1 b1").await;
    client.ask("eds +a");
    assert_eq!(client.hears().await, "eds a1");
    house.views.send_replace(mesh.then("eds a2 b1"));
    assert_eq!(client.hears().await, "eds a2");
    let stale = client.nonces["eds"][0].clone();
    client.request("eds +a +b", stale, None);
    assert_eq!(client.hears().await, "");
    client.ack("eds +a +b");
    assert_eq!(client.hears().await, "eds b1");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_with_the_version_of_now_is_sent_nothing() {
    let (mut mesh, house, mut client) = start("cds a1 b1 | eds a1 b1").await;
    client.ask("cds");
    assert_eq!(client.hears_and_acks().await, "cds a1 b1");
    let version = client.last["cds"].1.clone();

    // Another stream, as after a restart: sets of their own with equal content.
    let again = House::new(Mesh::default().then("cds a1 b1 | eds a1 b1"));
    let server = again.serve(Config::default());
    let mut client = Client::connect(&server, Speaks::List).await;
    client.request(&format!("cds ={version}"), "old-nonce".into(), None);
    client.ask("eds +a");
    assert_eq!(client.hears_and_acks().await, "eds a1");
    let status = server.connections().list().remove(0);
    assert_eq!(status.types[harness::url("cds")].acked.as_ref().unwrap().version[..], version[..]);
    again.views.send_replace(Mesh::default().then("cds a1 b2 | eds a1 b1"));
    assert_eq!(client.hears().await, "cds a1 b2");

    house.views.send_replace(mesh.then("cds a1 | eds a1"));
    let mut client = Client::connect(&house.serve(Config::default()), Speaks::List).await;
    client.ask(&format!("cds ={version}"));
    assert_eq!(client.hears().await, "cds a1");
}

#[tokio::test(start_paused = true)]
async fn the_version_of_a_list_with_something_held_back_is_its_own() {
    let (mut mesh, house, mut client) = start("cds a1 | eds a1 | lds l1>a").await;
    ["cds", "eds +a", "lds"].iter().for_each(|text| client.ask(text));
    assert_eq!(client.hears_and_acks().await, "cds a1\neds a1\nlds l1");
    house.views.send_replace(mesh.then("cds a1 b1 | eds a1 b1 | lds k1 l2>b"));
    assert_eq!(client.hears_and_acks().await, "cds a1 b1\nlds k1 l1");
    let partial = client.last["lds"].1.clone();
    pass(Duration::from_secs(6)).await;
    assert_eq!(client.hears_and_acks().await, "lds k1 l2");
    assert_ne!(client.last["lds"].1, partial);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_nonce_starts_anew() {
    let (_, _, mut client) = start("eds a1 b1").await;
    client.ask("eds +a");
    assert_eq!(client.hears().await, "eds a1");
    client.ask("eds +a +b");
    assert_eq!(client.hears().await, "eds a1 b1");
    // But not if it refuses: that could go on for ever.
    client.request("eds +a +b", String::new(), Some("no good"));
    assert_eq!(client.hears().await, "");
}
