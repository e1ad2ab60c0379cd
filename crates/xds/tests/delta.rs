//! Scripts of delta clients: what they say and what they are to hear.

mod harness;

use std::time::Duration;

use harness::{Client, House, Mesh, Speaks, pass};
use xds::Config;

async fn start(text: &str) -> (Mesh, House, Client) {
    let mut mesh = Mesh::default();
    let house = House::new(mesh.then(text));
    let client = Client::connect(&house.serve(Config::default()), Speaks::Delta).await;
    (mesh, house, client)
}

#[tokio::test(start_paused = true)]
async fn a_new_client_is_sent_what_it_asks_for_and_then_what_changes() {
    let (mut mesh, house, mut client) = start("cds a1 b1 | eds a1 b1 c1").await;
    client.ask("cds");
    assert_eq!(client.hears().await, "cds a1 b1");
    client.ack("cds");
    client.ask("eds +a +b");
    assert_eq!(client.hears().await, "eds a1 b1");
    client.ack("eds");
    assert_eq!(client.hears().await, "");
    house.views.send_replace(mesh.then("cds a1 b1 | eds a2 b1 c2"));
    assert_eq!(client.hears_and_acks().await, "eds a2");
    house.views.send_replace(mesh.then("cds a1 b1 | eds a2 b1 c3"));
    assert_eq!(client.hears().await, "");
    let current: Vec<_> = house.logged().into_iter().filter(|line| line.starts_with("current")).collect();
    assert_eq!(current, ["current 1", "current 2", "current 3"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_said_to_be_gone_unless_something_stands_for_it() {
    let (_, _, mut client) = start("sds a1 | rds").await;
    client.ask("sds +a +b");
    assert_eq!(client.hears().await, "sds a1 -b");
    client.ask("rds +r");
    assert_eq!(client.hears().await, "rds r0");
}

#[tokio::test(start_paused = true)]
async fn an_empty_wildcard_is_answered() {
    let (mut mesh, house, mut client) = start("lds").await;
    client.ask("lds");
    assert_eq!(client.hears().await, "lds");
    client.ack("lds");
    house.views.send_replace(mesh.then("lds l1"));
    assert_eq!(client.hears().await, "lds l1");
}

#[tokio::test(start_paused = true)]
async fn a_reconnecting_client_is_sent_only_what_differs() {
    let (_, _, mut client) = start("cds a1 b2 d1 | eds a1 b1").await;
    client.ask("cds =a1 =b1 =c1");
    client.ask("eds +a +b =a1 =b1");
    // The cluster that changed is followed by its endpoints; the removal comes last.
    assert_eq!(client.hears_and_acks().await, "cds b2 d1\neds b1");
    pass(Duration::from_millis(200)).await;
    assert_eq!(client.hears_and_acks().await, "cds -c");
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_of_the_server_nothing_is_sent_again() {
    let (_, house, mut client) = start("cds a1 b1 | eds a1 b1 | lds l1>a | rds r1>b").await;
    let all = ["cds +* =a1 =b1", "eds +a +b =a1 =b1", "lds +* =l1", "rds +r =r1"];
    all.iter().for_each(|text| client.ask(text));
    // Empty answers: the client is current, and status can say so.
    assert_eq!(client.hears_and_acks().await, "cds\neds\nlds\nrds");
    assert!(house.logged().contains(&"current 1".into()));
}

#[tokio::test(start_paused = true)]
async fn versions_of_another_server_mean_that_all_is_sent() {
    let (_, _, mut client) = start("cds a1").await;
    client.ask("cds =a:2026-11-24T08:00:00Z/7 =x:1");
    assert_eq!(client.hears().await, "cds a1");
    pass(Duration::from_millis(200)).await;
    assert_eq!(client.hears().await, "cds -x");
}

#[tokio::test(start_paused = true)]
async fn a_refused_version_is_not_sent_again_and_any_other_is() {
    let (mut mesh, house, mut client) = start("cds a1 b1").await;
    client.ask("cds");
    assert_eq!(client.hears_and_acks().await, "cds a1 b1");
    house.views.send_replace(mesh.then("cds a2 b1"));
    assert_eq!(client.hears().await, "cds a2");
    client.nack("cds");
    assert_eq!(client.hears().await, "");
    house.views.send_replace(mesh.then("cds a2 b2"));
    assert_eq!(client.hears_and_acks().await, "cds b2");
    // The former version too: what the client made of the refused response is not known.
    house.views.send_replace(mesh.then("cds a1 b2"));
    assert_eq!(client.hears_and_acks().await, "cds a1");
    house.views.send_replace(mesh.then("cds a2 b2"));
    assert_eq!(client.hears().await, "cds a2");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_may_come_after_the_next_response() {
    let (mut mesh, house, mut client) = start("cds a1 b1").await;
    client.ask("cds");
    assert_eq!(client.hears_and_acks().await, "cds a1 b1");
    house.views.send_replace(mesh.then("cds a2 b2"));
    assert_eq!(client.hears().await, "cds a2 b2");
    house.views.send_replace(mesh.then("cds a2 b3"));
    assert_eq!(client.hears().await, "cds b3");
    let refused = client.nonces["cds"][1].clone();
    client.request("cds", refused, Some("no good"));
    client.ack("cds");
    assert_eq!(client.hears().await, "");
    house.views.send_replace(mesh.then("cds a1 b3"));
    assert_eq!(client.hears().await, "cds a1");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_refuses_for_ever_is_served_on() {
    let (mut mesh, house, mut client) = start("cds a1").await;
    client.ask("cds");
    for at in 2..50 {
        assert_eq!(client.hears().await, format!("cds a{}", at - 1));
        client.nack("cds");
        client.nack("cds");
        assert_eq!(client.hears().await, "");
        house.views.send_replace(mesh.then(&format!("cds a{at}")));
    }
}

#[tokio::test(start_paused = true)]
async fn names_that_are_asked_for_again_are_sent_again() {
    let (_, _, mut client) = start("eds a1 b1").await;
    client.ask("eds +a +b");
    assert_eq!(client.hears_and_acks().await, "eds a1 b1");
    client.ask("eds +a");
    assert_eq!(client.hears_and_acks().await, "eds a1");
}

#[tokio::test(start_paused = true)]
async fn names_that_are_dropped_are_not_answered_and_not_sent() {
    let (mut mesh, house, mut client) = start("eds a1 b1").await;
    client.ask("eds +a +b");
    assert_eq!(client.hears_and_acks().await, "eds a1 b1");
    client.ask("eds -a -never");
    assert_eq!(client.hears().await, "");
    house.views.send_replace(mesh.then("eds a2 b2"));
    assert_eq!(client.hears_and_acks().await, "eds b2");
}

#[tokio::test(start_paused = true)]
async fn a_stale_nonce_does_not_lose_a_subscription() {
    let (mut mesh, house, mut client) = start("eds a1 b1").await;
    client.ask("eds +a");
    assert_eq!(client.hears().await, "eds a1");
    house.views.send_replace(mesh.then("eds a2 b1"));
    assert_eq!(client.hears().await, "eds a2");
    let stale = client.nonces["eds"][0].clone();
    client.request("eds +b", stale, None);
    assert_eq!(client.hears().await, "eds b1");
}

#[tokio::test(start_paused = true)]
async fn a_name_beside_the_wildcard_is_answered_when_it_is_dropped() {
    let (_, _, mut client) = start("cds a1 b1").await;
    client.ask("cds +* +a +x");
    assert_eq!(client.hears_and_acks().await, "cds a1 b1 -x");
    client.ask("cds -a -x");
    assert_eq!(client.hears_and_acks().await, "cds a1 -x");
}

#[tokio::test(start_paused = true)]
async fn the_wildcard_can_be_left_and_entered_again() {
    let (mut mesh, house, mut client) = start("cds a1 b1").await;
    client.ask("cds");
    assert_eq!(client.hears_and_acks().await, "cds a1 b1");
    client.ask("cds +a -*");
    assert_eq!(client.hears_and_acks().await, "cds a1");
    house.views.send_replace(mesh.then("cds a2 b2"));
    assert_eq!(client.hears_and_acks().await, "cds a2");
    client.ask("cds -a");
    house.views.send_replace(mesh.then("cds a3 b3"));
    assert_eq!(client.hears().await, "");
    // Nothing named is no wildcard any more, once something has been named.
    client.ask("cds");
    assert_eq!(client.hears().await, "");
    client.ask("cds +*");
    assert_eq!(client.hears_and_acks().await, "cds a3 b3");
}

#[tokio::test(start_paused = true)]
async fn an_on_demand_client_starts_with_nothing() {
    let (_, house, mut client) = start("ads a1 b1").await;
    client.ask("ads +* -*");
    assert_eq!(client.hears_and_acks().await, "ads");
    client.ask("ads +b");
    assert_eq!(client.hears_and_acks().await, "ads b1");
    let wanted: Vec<_> = house.logged().into_iter().filter(|line| line.starts_with("wanted")).collect();
    assert_eq!(wanted, ["wanted ads ", "wanted ads b"]);
}

#[tokio::test(start_paused = true)]
async fn an_upper_layer_covers_a_lower_one() {
    let (mut mesh, house, mut client) = start("cds a1/a2 b2").await;
    client.ask("cds");
    assert_eq!(client.hears_and_acks().await, "cds a1 b2");
    house.views.send_replace(mesh.then("cds a1/a3 b3"));
    assert_eq!(client.hears_and_acks().await, "cds b3");
    house.views.send_replace(mesh.then("cds /a3 b3"));
    assert_eq!(client.hears_and_acks().await, "cds a3");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_planned_when_first_wanted_is_not_called_empty_before() {
    let (mut mesh, house, mut client) = start("rds a1").await;
    client.ask("rds +a +late +never");
    assert_eq!(client.hears_and_acks().await, "rds a1");
    house.views.send_replace(mesh.then("rds a1 late1"));
    assert_eq!(client.hears_and_acks().await, "rds late1 never0");
}
