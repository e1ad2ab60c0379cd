//! What clients do that they should not, and what becomes of them and of others.

mod harness;

use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use envoy_api::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use harness::{Client, House, Mesh, Speaks, pass, url};
use xds::{Config, Limits};

const NODE: &str = "sidecar~10.0.0.1~app.ns~ns.svc.cluster.local";

fn house(text: &str) -> (Mesh, House) {
    let mut mesh = Mesh::default();
    let house = House::new(mesh.then(text));
    (mesh, house)
}

#[tokio::test(start_paused = true)]
async fn a_first_request_without_a_node_ends_the_stream() {
    let (_, house) = house("cds a1");
    let server = house.serve(Config::default());
    for speaks in [Speaks::Delta, Speaks::List] {
        let mut client = Client::connect_as(&server, speaks, "").await;
        client.ask("cds");
        assert_eq!(client.hears().await, "end InvalidArgument missing node information");
    }
    assert!(server.connections().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_says_nothing_ends_in_time() {
    let (_, house) = house("cds a1");
    let limits = Limits { first: Duration::from_secs(30), ..Limits::default() };
    let server = house.serve(Config { limits, ..Config::default() });
    let mut silent = Client::connect(&server, Speaks::Delta).await;
    assert_eq!(silent.hears().await, "");
    pass(Duration::from_secs(29)).await;
    assert_eq!(silent.hears().await, "");
    pass(Duration::from_secs(1)).await;
    assert_eq!(silent.hears().await, "end DeadlineExceeded there was no first request in time");
    let mut quiet = Client::connect(&server, Speaks::Delta).await;
    quiet.ask("cds");
    assert_eq!(quiet.hears_and_acks().await, "cds a1");
    pass(Duration::from_secs(3_600)).await;
    assert_eq!(quiet.hears().await, "", "later a stream may be silent for as long as it likes");
}

#[tokio::test(start_paused = true)]
async fn a_report_of_health_is_no_first_request() {
    let (_, house) = house("cds a1");
    let mut client = Client::connect(&house.serve(Config::default()), Speaks::Delta).await;
    client.send_raw(
        &DeltaDiscoveryRequest { type_url: envoy_api::type_url::HEALTH.into(), ..Default::default() }
            .encode_to_vec(),
    );
    assert_eq!(client.hears().await, "");
    client.ask("cds");
    assert_eq!(client.hears().await, "cds a1");
    client.request(envoy_api::type_url::HEALTH, String::new(), None);
    assert_eq!(client.hears().await, "");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_not_let_in_hears_why() {
    let (_, house) = house("cds a1");
    let server = house.serve(Config::default());
    let mut client = Client::connect_as(&server, Speaks::Delta, "forbidden").await;
    client.ask("cds");
    assert_eq!(client.hears().await, "end PermissionDenied not you");
    *house.ready.lock().unwrap() = false;
    let mut client = Client::connect(&server, Speaks::Delta).await;
    client.ask("cds");
    assert!(client.hears().await.starts_with("end Unavailable"));
}

#[tokio::test(start_paused = true)]
async fn unknown_types_are_not_answered_and_do_no_harm() {
    let (_, house) = house("cds a1");
    let mut client = Client::connect(&house.serve(Config::default()), Speaks::Delta).await;
    client.request("networking.istio.io/v1/NoSuchThing +x", String::new(), None);
    client.request("type.googleapis.com/no.such.Thing", String::new(), None);
    assert_eq!(client.hears().await, "");
    client.ask("cds");
    assert_eq!(client.hears().await, "cds a1");
    for at in 0..100 {
        client.request(&format!("no.such.Thing{at}"), String::new(), None);
    }
    assert!(client.hears().await.starts_with("end ResourceExhausted"));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_request_ends_its_stream_and_no_other() {
    let (_, house) = house("cds a1");
    let server = house.serve(Config::default());
    let mut good = Client::connect(&server, Speaks::Delta).await;
    good.ask("cds");
    let mut bad = Client::connect(&server, Speaks::Delta).await;
    bad.ask("cds");
    assert_eq!(bad.hears().await, "cds a1");
    bad.send_raw(&[0xff, 0xff, 0xff, 0xff]);
    assert!(bad.hears().await.starts_with("end InvalidArgument unreadable request"));
    assert_eq!(good.hears().await, "cds a1");
    drop(bad);
    assert_eq!(server.connections().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_ends_the_stream() {
    let (_, house) = house("cds a1");
    let mut client = Client::connect(&house.serve(Config::default()), Speaks::Delta).await;
    client.send_bytes(Bytes::from_static(&[0, 0, 0x40, 0, 1]));
    assert!(client.hears().await.starts_with("end ResourceExhausted"), "{:?}", client.status);
}

#[tokio::test(start_paused = true)]
async fn more_names_than_anybody_needs_end_the_stream() {
    let (_, house) = house("eds a1");
    let limits = Limits { names: 1_000, ..Limits::default() };
    let server = house.serve(Config { limits, ..Config::default() });
    let mut client = Client::connect(&server, Speaks::Delta).await;
    let names = |from: usize, to: usize| (from..to).map(|at| format!("+n{at} ")).collect::<String>();
    client.ask(&format!("eds {}", names(0, 900)));
    assert!(client.hears().await.starts_with("eds "));
    client.ask(&format!("eds {}", names(900, 1_800)));
    client.ask("eds +more");
    assert!(client.hears().await.ends_with("end ResourceExhausted the stream asks for too many resources"));
    let mut client = Client::connect(&server, Speaks::List).await;
    client.ask(&format!("eds {}", names(0, 1_001)));
    assert!(client.hears().await.starts_with("end ResourceExhausted"));
}

#[tokio::test(start_paused = true)]
async fn names_that_come_and_go_under_a_wildcard_count_too() {
    let (_, house) = house("cds a1");
    let limits = Limits { names: 1_000, ..Limits::default() };
    let server = house.serve(Config { limits, ..Config::default() });
    let mut client = Client::connect(&server, Speaks::Delta).await;
    client.ask("cds +*");
    for round in 0..5 {
        let fresh: String = (0..400).map(|at| format!("+n{round}x{at} -n{round}x{at} ")).collect();
        client.ask(&format!("cds {fresh}"));
    }
    assert!(client.hears().await.ends_with("end ResourceExhausted the stream asks for too many resources"));
}

#[tokio::test(start_paused = true)]
async fn the_table_shows_how_far_a_client_is() {
    let (mut mesh, house) = house("cds a1");
    let server = house.serve(Config::default());
    let mut client = Client::connect(&server, Speaks::Delta).await;
    client.ask("cds");
    client.hears().await;
    let status = || server.connections().list().remove(0).types.remove(url("cds")).unwrap();
    assert!(status().pending && status().acked.is_none() && status().wildcard);
    client.ack("cds");
    client.hears().await;
    assert!(!status().pending);
    assert_eq!(status().acked.unwrap().nonce, status().sent.unwrap().nonce);
    house.views.send_replace(mesh.then("cds a2"));
    client.hears().await;
    client.nack("cds");
    client.hears().await;
    assert_eq!(status().error.as_deref(), Some("no good"));
    assert_eq!(status().rejects, 1);
    assert_ne!(status().acked.unwrap().nonce, status().sent.unwrap().nonce);
    let stats = server.stats();
    let counts = stats.of(url("cds"));
    let [pushes, rejects] =
        [&counts.pushes, &counts.rejects].map(|count| count.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!((pushes, rejects), (2, 1));
    let who = server.connections().list().remove(0).who;
    assert_eq!((&*who.node, who.state_of_the_world), (NODE, false));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_is_forgotten() {
    let (_, house) = house("cds a1");
    let server = house.serve(Config::default());
    let mut client = Client::connect(&server, Speaks::Delta).await;
    client.ask("cds");
    client.hears().await;
    client.close();
    assert_eq!(client.hears().await, "end Ok");
    assert!(server.connections().is_empty());
    let mut client = Client::connect(&server, Speaks::Delta).await;
    client.ask("cds");
    client.hears().await;
    house.logged();
    drop(client);
    assert!(server.connections().is_empty());
    assert_eq!(house.logged(), ["gone"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_skips_states_and_holds_up_nobody() {
    let (mut mesh, house) = house("cds a1 | eds a1");
    let server = house.serve(Config::default());
    let mut slow = Client::connect(&server, Speaks::Delta).await;
    let mut fast = Client::connect(&server, Speaks::Delta).await;
    slow.ask("cds");
    fast.ask("cds");
    assert_eq!(slow.hears_one().await, "cds a1");
    assert_eq!(fast.hears_and_acks().await, "cds a1");
    for at in 2..1_000 {
        house.views.send_replace(mesh.then(&format!("cds a{at} | eds a1")));
        if at % 100 == 0 {
            assert_eq!(fast.hears_and_acks().await, format!("cds a{at}"));
        }
    }
    // Nothing was queued for it: what it is sent is the newest.
    assert_eq!(slow.hears().await, "cds a999");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_answers_is_sent_what_changes() {
    let (mut mesh, house) = house("cds a1");
    let mut client = Client::connect(&house.serve(Config::default()), Speaks::Delta).await;
    client.ask("cds");
    assert_eq!(client.hears().await, "cds a1");
    for at in 2..100 {
        house.views.send_replace(mesh.then(&format!("cds a{at}")));
        assert_eq!(client.hears().await, format!("cds a{at}"));
    }
    client.ack("cds");
    assert_eq!(client.hears().await, "");
}

#[tokio::test(start_paused = true)]
async fn streams_beyond_the_rate_wait_a_second_and_are_then_turned_away() {
    let (_, house) = house("cds a1");
    let server = house.serve(Config { streams_per_second: 2.0, ..Config::default() });
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(&server, Speaks::Delta).await;
        client.ask("cds");
        clients.push(client);
    }
    let mut heard = Vec::new();
    for client in &mut clients {
        heard.push(client.hears().await);
    }
    assert_eq!(heard[..3], ["cds a1", "", ""]);
    assert!(heard[3].starts_with("end ResourceExhausted"));
    pass(Duration::from_secs(1)).await;
    assert_eq!(clients[1].hears().await, "cds a1");
    assert_eq!(clients[2].hears().await, "cds a1");
}

#[tokio::test(start_paused = true)]
async fn questions_of_debug_types_are_answered_beside_everything_else() {
    let (_, house) = house("cds a1");
    let server = house.serve(Config::default());
    for speaks in [Speaks::Delta, Speaks::List] {
        let mut client = Client::connect(&server, speaks).await;
        client.request("istio.io/debug +syncz +config_dump?proxyID=a.b", "garbage".into(), None);
        assert_eq!(client.hears().await, "? syncz,config_dump?proxyID=a.b");
        client.ask("cds");
        assert_eq!(client.hears().await, "cds a1");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_ours_are_counted_and_those_of_clients_are_not() {
    let (_, house) = house("cds a1");
    let server = house.serve(Config::default());
    let count = || server.stats().internal_errors.load(std::sync::atomic::Ordering::Relaxed);
    let mut client = Client::connect_as(&server, Speaks::Delta, "forbidden").await;
    client.ask("cds");
    client.hears().await;
    assert_eq!(count(), 0);
    let mut client = Client::connect(&server, Speaks::Delta).await;
    client.request("istio.io/debug +broken", String::new(), None);
    assert_eq!(client.hears().await, "end Internal broken");
    assert_eq!(count(), 1);
}
