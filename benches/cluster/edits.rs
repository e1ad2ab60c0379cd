//! From a write to the API server to the ACK of a real Envoy that sees all of the mesh.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testkit::cluster::plane::Plane;
use testkit::processes::Processes;
use testkit::proxy::Admin;

use super::plane::Process;
use super::{Means, world};
use crate::relay::Relay;
use crate::table::Times;
use crate::{envoy, table};

const REPEATS: usize = 100;
/// Longer than a mesh must rest to count as quiet.
const QUIET: Duration = Duration::from_millis(250);

/// A route's weight and an endpoint in turn, each in a quiet mesh; the times count from the API server's answer.
pub(super) async fn measure(means: &Means, plane: &Plane, process: &Process, folder: &Path) -> Result<Times> {
    let relay = Relay::start(process.grpc).await?;
    let mut processes = Processes::new(folder)?;
    let words = ["--name", "s-0-0", "--namespace", &world::name(0), "--ip", &world::address(0, 0, 0)];
    let words = words.map(str::to_owned);
    let result = async {
        let admin =
            envoy::start(&means.envoy, &relay, &words, &folder.join("envoy.json"), &mut processes).await?;
        edit(plane, &relay, &admin).await
    };
    let result = result.await;
    processes.end().await;
    result
}

async fn edit(plane: &Plane, relay: &Relay, admin: &Admin) -> Result<Times> {
    let of = world::name(0);
    let routes = format!("/apis/networking.istio.io/v1/namespaces/{of}/virtualservices");
    plane.api.create(&routes, &route(0)).await?;
    let slice = format!("/apis/discovery.k8s.io/v1/namespaces/{of}/endpointslices/s-2");
    let (mut times, mut writes) = (Times::default(), Times::default());
    for n in 1..=REPEATS {
        tokio::time::sleep(QUIET).await;
        let begin = SystemTime::now();
        if n % 2 == 0 {
            plane.api.merge(&format!("{routes}/s-1"), &route(n)).await?;
        } else {
            plane.api.merge(&slice, &world::slice(0, 2, 3 + n / 2 % 2)).await?;
        }
        let answered = SystemTime::now();
        writes.0.push(answered.duration_since(begin)?);
        tokio::time::sleep(QUIET).await;
        let ack = relay.last().filter(|ack| *ack > begin).context("the Envoy was silent about a change")?;
        // The watch may be faster than the answer.
        times.0.push(ack.duration_since(answered).unwrap_or_default());
    }
    println!("  the writes themselves: {:.1} ms (median)", table::millis(writes.percentile(50)));
    ensure!(admin.rejected().await? == 0, "the Envoy rejected an update");
    Ok(times)
}

fn route(n: usize) -> Value {
    let share = n / 2 % 50;
    let to = |host: &str, weight: usize| json!({"destination": {"host": host}, "weight": weight});
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "s-1"},
        "spec": {"hosts": ["s-1"], "http": [{"route": [to("s-1", 100 - share), to("s-2", share)]}]},
    })
}
