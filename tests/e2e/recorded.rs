//! A sample of the recorded sets, served live: Envoy can accept a resource and yet wait for ever.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use pilothouse::offline::{self, Answer, Request};
use serde_json::Value;
use testkit::envoy::stock;
use testkit::golden::case::{Proxy, sets};
use testkit::golden::{Filter, Set};

use crate::Done;
use crate::certificates::Root;
use crate::house::{self, House, Means, PILOTHOUSE, until};
use crate::network::{Network, ROOT, address};
use crate::pod;

/// Families whose features are there: samples of Bookinfo, services, rules, routes, gateways, sidecars, simulation.
const FAMILIES: [u32; 7] = [1, 2, 3, 4, 5, 7, 14];
/// Of how many sets that can be served without further means one is.
const EVERY: usize = 8;
/// Names of secrets that an agent has.
const SECRETS: [&str; 2] = ["default", "ROOTCA"];
/// Where all of them run, one after the other: nothing leads out of there, so that names fail to resolve at once.
const PROXY: &str = "hub";

/// A proxy of a set, and what it is to be served.
struct Case {
    set: Set,
    proxy: Proxy,
    request: Request,
    answer: Answer,
}

pub(crate) async fn run(means: &Means) -> Done {
    if !means.has_namespaces {
        return Ok(Some("network namespaces need root, ip and iptables"));
    }
    let Some(corpora) = &means.corpora else { return Ok(Some("no corpora beside the repository")) };
    let cases = cases(corpora)?;
    let network = Network::new()?;
    network.allow_any_address(PROXY)?;
    let mut failed = Vec::new();
    for case in &cases {
        let name = format!("{}/{}", case.set.name, case.proxy.name);
        if let Err(error) = live(means, &network, case).await {
            println!("    {name}: {error:#}");
            failed.push(name);
        }
    }
    println!("    {} proxies of recorded sets were served live", cases.len());
    ensure!(failed.is_empty(), "not live: {}", failed.join(", "));
    Ok(None)
}

/// The sample: one proxy of each chosen set; none of them needs a certificate but a workload's own.
fn cases(corpora: &Path) -> Result<Vec<Case>> {
    let filter = Filter { families: FAMILIES.into(), ..Filter::default() };
    let mut fit = Vec::new();
    for set in sets(corpora, &filter)? {
        if let Some(case) = case(set)? {
            fit.push(case);
        }
    }
    Ok(fit.into_iter().step_by(EVERY).collect())
}

fn case(set: Set) -> Result<Option<Case>> {
    let Some(proxy) = set.proxies.iter().rfind(|proxy| proxy.is_envoy()).cloned() else { return Ok(None) };
    let asked = set.request(&proxy, &Filter::default())?;
    if asked.networks.is_some() || !asked.clusters.is_empty() {
        return Ok(None);
    }
    let request = Request {
        files: asked.files,
        mesh: asked.mesh,
        env: asked.env,
        node: stock::announced(&asked.node)?,
        ..Request::default()
    };
    let Ok(answer) = offline::translate(&request) else { return Ok(None) };
    let wants = answer.resources.values().flatten().flat_map(|(_, resource)| secrets(resource));
    let is_fit = wants.collect::<BTreeSet<_>>().iter().all(|name| SECRETS.contains(&name.as_str()));
    Ok(is_fit.then_some(Case { set, proxy, request, answer }))
}

/// Names of the secrets that a resource asks for.
fn secrets(resource: &Value) -> Vec<String> {
    match resource {
        Value::Object(fields) if fields.contains_key("sdsConfig") => {
            vec![fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()]
        }
        Value::Object(fields) => fields.values().flat_map(secrets).collect(),
        Value::Array(list) => list.iter().flat_map(secrets).collect(),
        _ => Vec::new(),
    }
}

/// Serves one proxy until all that it is to have is active.
async fn live(means: &Means, network: &Network, case: &Case) -> Result<()> {
    let mut house = House::new(means)?;
    let result = active(&mut house, network, case).await;
    house.end(result).await
}

async fn active(house: &mut House, network: &Network, case: &Case) -> Result<()> {
    for (name, text) in &case.request.files {
        house.save(name, text)?;
    }
    fs::write(house.path("mesh.yaml"), case.request.mesh.clone().unwrap_or_default())?;
    let mut control = house.pilothouse((address(1), 15_010).into());
    control.envs(&case.request.env);
    house.processes.start(PILOTHOUSE, &mut network.inside(PROXY, ROOT, &control))?;
    let account = case.proxy.node.pointer("/metadata/SERVICE_ACCOUNT").and_then(Value::as_str);
    let socket = house.path("agent.sock");
    pod::agent(&socket, Root::new()?.identity("default", account.unwrap_or("default"))?)?;
    let bootstrap = pod::with_agent(&house::bootstrap(&words())?, &socket)?;
    let envoy = house.envoy("proxy", &with_node(&bootstrap, &case.proxy.node)?)?;
    house.processes.start("envoy", &mut network.inside(PROXY, ROOT, &envoy))?;
    let wanted = names(&case.answer, "lds");
    let mut last = "Envoy is not ready".to_owned();
    let waited = until("every listener is active", async || {
        house.complain_if_ended()?;
        if let Err(error) = pod::admin(network, PROXY, "/ready").await {
            last = format!("Envoy is not ready: {error:#}");
            return Ok(false);
        }
        let active = listeners(network).await?;
        last = format!("{active:?} are active, {wanted:?} wanted");
        Ok(active == wanted)
    });
    waited.await.with_context(|| last)?;
    let warming = "total_listeners_warming|warming_clusters|update_rejected$";
    let waiting = pod::sum(network, PROXY, warming).await?;
    ensure!(waiting == 0, "something is still warming, or was rejected: {waiting}");
    house.complain_if_ended()
}

/// The listeners that are active; those that Envoy has by itself have no name that ours have.
async fn listeners(network: &Network) -> Result<BTreeSet<String>> {
    let page = pod::admin(network, PROXY, "/listeners?format=json").await?;
    let page: Value = serde_json::from_str(&page).context("reading Envoy's listeners")?;
    let list = page.get("listener_statuses").and_then(Value::as_array).into_iter().flatten();
    Ok(list.filter_map(|one| Some(one.get("name")?.as_str()?.to_owned())).collect())
}

fn names(answer: &Answer, kind: &str) -> BTreeSet<String> {
    answer.resources.get(kind).into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn words() -> Vec<String> {
    let discovery = format!("{}:15010", address(1));
    let words = format!(
        "--name proxy --ip {} --discoveryAddress {discovery} --adminAddress {}",
        address(1),
        pod::ADMIN
    );
    words.split(' ').map(str::to_owned).collect()
}

/// The bootstrap of a recorded node; its extensions are the real Envoy's own.
fn with_node(bootstrap: &[u8], node: &Value) -> Result<Vec<u8>> {
    let mut bootstrap: Value = serde_json::from_slice(bootstrap)?;
    *bootstrap.get_mut("node").context("a bootstrap has a node")? = node.clone();
    Ok(serde_json::to_vec(&bootstrap)?)
}
