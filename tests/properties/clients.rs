//! A client of either protocol on a session of the engine, which asks as a proxy does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use envoy_api::envoy::config::cluster::v3::Cluster;
use envoy_api::envoy::config::cluster::v3::cluster::ClusterDiscoveryType;
use envoy_api::envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse};
use envoy_api::{Name, type_url};
use prost::Message;
use push::Wanted;
use tokio::time::Instant;
use xds::{Asks, Limits, Names, Request, Response, Session, encode_delta, encode_list};

use crate::house::House;

/// More responses than any view can cause.
const WITHOUT_END: usize = 500;

/// What a client holds: bytes by type and name.
pub(crate) type Held = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// A proxy at the other end of a session.
pub(crate) struct Client {
    session: Session,
    names: Names,
    /// Its place among the house's connections.
    at: usize,
    is_list: bool,
    now: Instant,
    wants: u64,
    pub(crate) held: Held,
    /// The names it asks for, of types that it asks for by name.
    asked: BTreeMap<&'static str, BTreeSet<String>>,
    /// The routes that each of its listeners names.
    routes: BTreeMap<String, BTreeSet<Name>>,
    /// Nonce and version of the last response of a type.
    last: BTreeMap<String, (String, String)>,
}

impl Client {
    /// Connects to the house; `is_list` says that it speaks state of the world.
    pub(crate) fn connect(house: &mut House, node: usize, is_list: bool) -> Self {
        let at = house.join(node);
        let now = Instant::now();
        let session = Session::new(house.view(at).1, Limits::default(), is_list, String::new(), now);
        let mut client = Self {
            session,
            names: Names::default(),
            at,
            is_list,
            now,
            wants: 0,
            held: Held::new(),
            asked: BTreeMap::new(),
            routes: BTreeMap::new(),
            last: BTreeMap::new(),
        };
        client.say(type_url::CLUSTER, &[], &[], "");
        client.say(type_url::LISTENER, &[], &[], "");
        client.say(type_url::NAME_TABLE, &[], &[], "");
        client
    }

    /// Takes whatever the newest view brings; an error says what is wrong with how it comes.
    pub(crate) fn settle(&mut self, house: &mut House) -> Result<(), String> {
        self.now += Duration::from_secs(1);
        self.session.set_view(house.view(self.at).1);
        for _ in 0..WITHOUT_END {
            let Some(response) = self.session.next(self.now) else { return self.is_at_rest() };
            self.take(&response);
            self.follow(house);
        }
        Err("responses without end".to_owned())
    }

    /// The names that it asks for of a type.
    pub(crate) fn asked(&self, url: &str) -> BTreeSet<String> {
        self.asked.get(url).cloned().unwrap_or_default()
    }

    fn is_at_rest(&self) -> Result<(), String> {
        if self.session.deadline().is_some() || !self.session.is_current() {
            return Err("something is held back from a client that accepted everything".to_owned());
        }
        Ok(())
    }

    /// Reads a response off the wire, holds what it says and accepts it.
    fn take(&mut self, response: &Response) {
        let url = response.type_url.to_string();
        let held = self.held.entry(url.clone()).or_default();
        let mut segments = if self.is_list { encode_list(response) } else { encode_delta(response) };
        bytes::Buf::advance(&mut segments, 5);
        let version = if self.is_list {
            let message = DiscoveryResponse::decode(segments).unwrap();
            if [type_url::CLUSTER, type_url::LISTENER].contains(&&*url) {
                held.clear();
                self.routes.retain(|_, _| url != type_url::LISTENER);
            }
            for (any, resource) in message.resources.iter().zip(&response.resources) {
                held.insert(resource.name.to_string(), any.value.to_vec());
            }
            message.version_info
        } else {
            let message = DeltaDiscoveryResponse::decode(segments).unwrap();
            for resource in message.resources {
                held.insert(resource.name, resource.resource.unwrap().value.to_vec());
            }
            for name in message.removed_resources {
                held.remove(&name);
                self.routes.retain(|listener, _| url != type_url::LISTENER || *listener != name);
            }
            message.system_version_info
        };
        if url == type_url::LISTENER {
            let routes = response
                .resources
                .iter()
                .map(|one| (one.name.to_string(), one.needs.routes.iter().cloned().collect()));
            self.routes.extend(routes);
        }
        self.last.insert(url.clone(), (response.nonce.clone(), version));
        self.say(&url, &[], &[], &response.nonce);
    }

    /// Asks for what the clusters and listeners that it holds need, and for nothing else.
    fn follow(&mut self, house: &mut House) {
        let clusters = self.held.get(type_url::CLUSTER).into_iter().flatten();
        self.ask(type_url::ENDPOINT, clusters.filter_map(|(_, bytes)| by_name(bytes)).collect());
        let routes: BTreeSet<Name> = self.routes.values().flatten().cloned().collect();
        if self.ask(type_url::ROUTE, routes.iter().map(ToString::to_string).collect()) {
            self.wants += 1;
            let (number, _) = house.view(self.at);
            house.engine.want(number, Wanted { routes, changes: self.wants });
            self.session.plan_from(type_url::ROUTE, self.wants);
            self.session.set_view(house.view(self.at).1);
        }
    }

    /// Asks for these names of a type, if they are others than before.
    fn ask(&mut self, url: &'static str, wanted: BTreeSet<String>) -> bool {
        let before = self.asked.insert(url, wanted.clone()).unwrap_or_default();
        if before == wanted {
            return false;
        }
        let more: Vec<String> = wanted.difference(&before).cloned().collect();
        let less: Vec<String> = before.difference(&wanted).cloned().collect();
        self.held.entry(url.to_owned()).or_default().retain(|name, _| wanted.contains(name));
        let nonce = self.last.get(url).filter(|_| self.is_list).map(|(nonce, _)| nonce.clone());
        self.say(url, &more, &less, &nonce.unwrap_or_default());
        true
    }

    fn say(&mut self, url: &str, more: &[String], less: &[String], nonce: &str) {
        let asks = if self.is_list {
            let names = self.asked.get(url).into_iter().flatten().cloned().collect();
            let version = self.last.get(url).map(|(_, version)| version.clone()).unwrap_or_default();
            Asks::StateOfTheWorld { names, version }
        } else {
            Asks::Delta { subscribe: more.to_vec(), unsubscribe: less.to_vec(), initial: BTreeMap::new() }
        };
        let request = Request { type_url: url.to_owned(), nonce: nonce.to_owned(), error: None, asks };
        self.session.request(&request, &self.names).unwrap();
    }
}

/// The name by which a cluster gets its endpoints, if it does.
fn by_name(cluster: &[u8]) -> Option<String> {
    let cluster = Cluster::decode(cluster).unwrap();
    let is_eds = matches!(cluster.cluster_discovery_type, Some(ClusterDiscoveryType::Type(3)));
    let service = cluster.eds_cluster_config.filter(|_| is_eds)?.service_name;
    Some(if service.is_empty() { cluster.name } else { service })
}
