//! Names and domains of virtual hosts: each is for the first that asks.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;
use model::Text;

use super::domains::Domain;

/// What is taken.
pub(super) struct Claims<'a> {
    names: HashSet<(Text, u16), FixedState>,
    /// Domain → the virtual host that has it.
    pub(super) winners: HashMap<Text, usize, FixedState>,
    /// Hosts of services, to which made-up names give way.
    hosts: HashSet<&'a str, FixedState>,
    /// The same with their ports.
    ports: HashSet<(&'a str, u16), FixedState>,
}

impl<'a> Claims<'a> {
    /// Nothing is taken yet; `services` are the hosts of services with their ports.
    pub(super) fn new(services: impl Iterator<Item = (&'a str, u16)>) -> Self {
        let ports: HashSet<_, FixedState> = services.collect();
        let count = ports.len();
        Self {
            names: HashSet::with_capacity_and_hasher(count, FixedState::default()),
            // Most services have five to seven domains.
            winners: HashMap::with_capacity_and_hasher(count * 7, FixedState::default()),
            hosts: ports.iter().map(|(host, _)| *host).collect(),
            ports,
        }
    }

    /// Claims the name of a virtual host.
    pub(super) fn name(&mut self, host: &Text, port: u16) -> bool {
        self.names.insert((host.clone(), port))
    }

    /// Claims a domain for the virtual host at this place, whatever the case of its letters.
    pub(super) fn domain(&mut self, domain: &Text, at: usize) -> bool {
        let lower = domain.bytes().any(|byte| byte.is_ascii_uppercase());
        let key = if lower { domain.to_ascii_lowercase().into() } else { domain.clone() };
        match self.winners.entry(key) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(at);
                true
            }
        }
    }

    /// Claims a domain of a service; a made-up one gives way to a service that is really called so.
    pub(super) fn service_domain(&mut self, domain: &Domain, port: u16, at: usize) -> bool {
        if domain.made_up && self.is_host(&domain.text, port) {
            return false;
        }
        self.domain(&domain.text, at)
    }

    /// Whether some service is really called so, with or without its port.
    fn is_host(&self, name: &str, port: u16) -> bool {
        if self.hosts.contains(name) {
            return true;
        }
        let with_port = name.rsplit_once(':').filter(|(_, number)| number.parse() == Ok(port));
        with_port.is_some_and(|(host, _)| self.ports.contains(&(host, port)))
    }
}
