//! A simulated sidecar: delta ADS with the subscriptions and acknowledgements of an Envoy.
//!
//! It knows names and versions; a resource is looked into once in the whole process, for the names that an Envoy
//! would ask for because of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use envoy_api::envoy::config::cluster::v3::{Cluster, cluster};
use envoy_api::envoy::config::core::v3::Node;
use envoy_api::envoy::config::listener::v3::{FilterChain, Listener, filter};
use envoy_api::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager::RouteSpecifier,
};
use envoy_api::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource as Sent,
};
use envoy_api::{Name, type_url};
use foldhash::{HashMap, HashSet};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

const METHOD: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/// Between a stream that ended and the next attempt.
const AGAIN: Duration = Duration::from_millis(100);

/// The types in the order in which an Envoy begins to ask for them, with their short names.
pub(crate) const TYPES: [(&str, &str); 4] = [
    ("cds", type_url::CLUSTER),
    ("eds", type_url::ENDPOINT),
    ("lds", type_url::LISTENER),
    ("rds", type_url::ROUTE),
];

/// What one sidecar was sent since it was last asked, and how far it is.
#[derive(Default)]
pub(crate) struct Log {
    /// When it last acknowledged something.
    pub(crate) last: Option<SystemTime>,
    pub(crate) responses: u64,
    pub(crate) bytes: u64,
    /// Names sent, and removed, with their type's short name.
    pub(crate) sent: Vec<(&'static str, Name)>,
    pub(crate) removed: Vec<(&'static str, Name)>,
    /// Whether it holds all that it asked for.
    pub(crate) is_current: bool,
    /// How often it connected.
    pub(crate) streams: u64,
}

/// What all sidecars of the process share: names once, and what resources lead to.
#[derive(Default)]
pub(crate) struct Common(Mutex<Known>);

#[derive(Default)]
struct Known {
    names: HashSet<Name>,
    /// By type, name and version: names of the next type that the resource makes an Envoy ask for.
    leads_to: HashMap<(usize, Name, Name), Arc<[Name]>>,
}

/// One type's state.
#[derive(Default)]
struct Held {
    /// Version and what it leads to, by name.
    resources: HashMap<Name, (Name, Arc<[Name]>)>,
    /// Names asked for, with the number of resources that lead to them.
    asked: HashMap<Name, usize>,
    /// How many of them it was not sent yet.
    missing: usize,
    has_begun: bool,
}

/// What one response adds to the names that resources lead to, and takes from them; names may be in both.
#[derive(Default)]
struct Leads {
    more: Vec<Arc<[Name]>>,
    fewer: Vec<Arc<[Name]>>,
}

/// One sidecar.
pub(crate) struct Sidecar {
    node: Node,
    held: [Held; 4],
    log: Arc<Mutex<Log>>,
    common: Arc<Common>,
}

type Requests = mpsc::Sender<DeltaDiscoveryRequest>;

impl Sidecar {
    pub(crate) fn new(node: Node, common: Arc<Common>) -> (Self, Arc<Mutex<Log>>) {
        let log = Arc::<Mutex<Log>>::default();
        (Self { node, held: Default::default(), log: log.clone(), common }, log)
    }

    /// Stays connected for ever.
    pub(crate) async fn run(mut self, server: SocketAddr) {
        loop {
            // Refused and broken streams are what happens while the server is away.
            let _ = self.stream(server).await;
            self.note(|log| log.is_current = false);
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn stream(&mut self, server: SocketAddr) -> Result<()> {
        let endpoint = Endpoint::from_shared(format!("http://{server}"))?.tcp_nodelay(true);
        let channel = endpoint
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(1 << 22)
            .connect()
            .await?;
        let mut client = tonic::client::Grpc::new(channel).max_decoding_message_size(usize::MAX);
        client.ready().await?;
        let (requests, queue) = mpsc::channel(64);
        self.begin(&requests).await?;
        let codec = ProstCodec::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>::default();
        let request = tonic::Request::new(ReceiverStream::new(queue));
        let path = http::uri::PathAndQuery::from_static(METHOD);
        let mut responses = client.streaming(request, path, codec).await?.into_inner();
        self.note(|log| log.streams += 1);
        while let Some(response) = responses.message().await? {
            self.take(response, &requests).await?;
        }
        Ok(())
    }

    /// The first requests of a stream: clusters, or all that was asked for on an earlier stream.
    async fn begin(&mut self, requests: &Requests) -> Result<()> {
        let mut node = Some(self.node.clone());
        for (at, (_, url)) in TYPES.iter().enumerate() {
            let Some(held) = self.held.get(at) else { continue };
            if at > 0 && !held.has_begun {
                continue;
            }
            let versions =
                held.resources.iter().map(|(name, (version, _))| (name.to_string(), version.to_string()));
            let request = DeltaDiscoveryRequest {
                node: node.take(),
                type_url: (*url).to_owned(),
                resource_names_subscribe: held.asked.keys().map(ToString::to_string).collect(),
                initial_resource_versions: versions.collect(),
                ..Default::default()
            };
            requests.send(request).await.context("the stream has ended")?;
        }
        Ok(())
    }

    /// Takes a response in, acknowledges it and asks for what it leads to.
    async fn take(&mut self, response: DeltaDiscoveryResponse, requests: &Requests) -> Result<()> {
        let Some(at) = TYPES.iter().position(|(_, url)| *url == response.type_url) else { return Ok(()) };
        let bytes = response.encoded_len() as u64;
        let leads = self.put(at, &response);
        let ack = DeltaDiscoveryRequest {
            type_url: response.type_url,
            response_nonce: response.nonce,
            ..Default::default()
        };
        requests.send(ack).await.context("the stream has ended")?;
        let now = SystemTime::now();
        if at.is_multiple_of(2) {
            self.ask(at + 1, leads, requests).await?;
        }
        if at == 1 || at == 0 && self.held.get(1).is_some_and(|held| held.asked.is_empty()) {
            self.start(2, requests).await?;
        }
        let is_current = self.is_current();
        self.note(|log| {
            log.last = Some(now);
            log.responses += 1;
            log.bytes += bytes;
            log.is_current = is_current;
        });
        Ok(())
    }

    fn put(&mut self, at: usize, response: &DeltaDiscoveryResponse) -> Leads {
        let mut leads = Leads::default();
        let short = TYPES.get(at).map_or("", |(short, _)| *short);
        let Some(held) = self.held.get_mut(at) else { return leads };
        held.has_begun = true;
        let mut sent = Vec::with_capacity(response.resources.len());
        for resource in &response.resources {
            let (name, version, leads_to) = self.common.look(at, resource);
            sent.push((short, name.clone()));
            let former = held.resources.insert(name.clone(), (version, leads_to.clone()));
            held.missing -= usize::from(former.is_none() && held.asked.contains_key(&name));
            let former = former.map(|(_, names)| names);
            if former.as_ref() != Some(&leads_to) {
                leads.more.push(leads_to);
                leads.fewer.extend(former);
            }
        }
        let removed: Vec<_> =
            response.removed_resources.iter().map(|name| (short, self.common.name(name))).collect();
        for (_, name) in &removed {
            let former = held.resources.remove(name);
            held.missing += usize::from(former.is_some() && held.asked.contains_key(name));
            leads.fewer.extend(former.map(|(_, names)| names));
        }
        self.note(|log| {
            log.sent.extend(sent);
            log.removed.extend(removed);
        });
        leads
    }

    /// Asks for a wildcard type for the first time.
    async fn start(&mut self, at: usize, requests: &Requests) -> Result<()> {
        let (Some(held), Some((_, url))) = (self.held.get_mut(at), TYPES.get(at)) else { return Ok(()) };
        if std::mem::replace(&mut held.has_begun, true) {
            return Ok(());
        }
        let request = DeltaDiscoveryRequest { type_url: (*url).to_owned(), ..Default::default() };
        requests.send(request).await.context("the stream has ended")
    }

    /// Subscribes to what the resources of the type before lead to, and lets go of what they no longer do.
    async fn ask(&mut self, at: usize, leads: Leads, requests: &Requests) -> Result<()> {
        let Some(held) = self.held.get_mut(at) else { return Ok(()) };
        let (more, fewer) = held.follow(&leads);
        if more.is_empty() && fewer.is_empty() {
            return Ok(());
        }
        held.has_begun = true;
        let request = DeltaDiscoveryRequest {
            type_url: TYPES.get(at).map_or("", |(_, url)| url).to_owned(),
            resource_names_subscribe: more,
            resource_names_unsubscribe: fewer,
            ..Default::default()
        };
        requests.send(request).await.context("the stream has ended")
    }

    fn is_current(&self) -> bool {
        self.held.iter().all(|held| held.has_begun && held.missing == 0)
            && self.held.get(2).is_some_and(|listeners| !listeners.resources.is_empty())
    }

    fn note(&self, write: impl FnOnce(&mut Log)) {
        write(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Held {
    /// Counts what leads to names; those to ask for now, and those to let go.
    fn follow(&mut self, leads: &Leads) -> (Vec<String>, Vec<String>) {
        let (mut more, mut fewer) = (Vec::new(), Vec::new());
        for name in leads.more.iter().flat_map(|names| &**names) {
            let count = self.asked.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 {
                more.push(name.to_string());
                self.missing += usize::from(!self.resources.contains_key(name));
            }
        }
        for name in leads.fewer.iter().flat_map(|names| &**names) {
            let Some(count) = self.asked.get_mut(name) else { continue };
            *count -= 1;
            if *count == 0 {
                self.asked.remove(name);
                let was_held = self.resources.remove(name).is_some();
                self.missing -= usize::from(!was_held);
                fewer.push(name.to_string());
            }
        }
        (more, fewer)
    }
}

impl Common {
    fn name(&self, name: &str) -> Name {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).name(name)
    }

    /// Name and version of a resource, and the names that it leads to.
    fn look(&self, at: usize, sent: &Sent) -> (Name, Name, Arc<[Name]>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, version) = (known.name(&sent.name), known.name(&sent.version));
        let key = (at, name.clone(), version.clone());
        if let Some(leads_to) = known.leads_to.get(&key) {
            return (name, version, leads_to.clone());
        }
        let bytes = sent.resource.as_ref().map(|any| any.value.clone()).unwrap_or_default();
        let names = match at {
            0 => endpoints_of(bytes),
            2 => routes_of(bytes),
            _ => Vec::new(),
        };
        let leads_to: Arc<[Name]> = names.iter().map(|name| known.name(name)).collect();
        known.leads_to.insert(key, leads_to.clone());
        (name, version, leads_to)
    }
}

impl Known {
    fn name(&mut self, name: &str) -> Name {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name: Name = name.into();
        self.names.insert(name.clone());
        name
    }
}

/// The name by which a cluster asks for its endpoints, if it does.
fn endpoints_of(bytes: bytes::Bytes) -> Vec<String> {
    let Ok(cluster) = Cluster::decode(bytes) else { return Vec::new() };
    let eds = i32::from(cluster::DiscoveryType::Eds);
    if cluster.cluster_discovery_type != Some(cluster::ClusterDiscoveryType::Type(eds)) {
        return Vec::new();
    }
    let named = cluster.eds_cluster_config.map(|config| config.service_name).filter(|name| !name.is_empty());
    vec![named.unwrap_or(cluster.name)]
}

/// The route configurations that a listener asks for.
fn routes_of(bytes: bytes::Bytes) -> Vec<String> {
    let Ok(listener) = Listener::decode(bytes) else { return Vec::new() };
    let chains = listener.filter_chains.into_iter().filter_map(|chain| FilterChain::decode(chain).ok());
    let own = listener.default_filter_chain;
    let filters = chains.chain(own).flat_map(|chain| chain.filters);
    let route = |filter: envoy_api::envoy::config::listener::v3::Filter| {
        let Some(filter::ConfigType::TypedConfig(any)) = filter.config_type else { return None };
        if !any.type_url.ends_with(".HttpConnectionManager") {
            return None;
        }
        match HttpConnectionManager::decode(any.value).ok()?.route_specifier? {
            RouteSpecifier::Rds(rds) => Some(rds.route_config_name),
            _ => None,
        }
    };
    filters.filter_map(route).collect()
}
