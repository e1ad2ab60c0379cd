//! Which namespaces count: the mesh's `discoverySelectors` hide all objects of the others.

use std::collections::BTreeSet;
use std::sync::Arc;

use memo::Table;
use model::{Key, Text};

use crate::Config;

/// What was read, and what of it is in namespaces that count.
#[derive(Clone, Default)]
pub(crate) struct Discovery {
    read: Config,
    selected: Config,
    /// The namespaces that count; `None` for all.
    namespaces: Option<BTreeSet<Text>>,
}

impl Discovery {
    /// What counts of `read`, patched from what counted before.
    pub(crate) fn next(self: &Arc<Self>, read: Config) -> (Arc<Self>, Config) {
        let Some(namespaces) = selected(&read) else {
            let nothing = if self.namespaces.is_none() { self.clone() } else { Arc::default() };
            return (nothing, read);
        };
        let none = Config::default();
        let before = match &self.namespaces {
            Some(before) if *before == namespaces => (&self.read, &self.selected),
            _ => (&none, &none),
        };
        let selected = patched(&read, before, &namespaces);
        let next = Self { read, selected: selected.clone(), namespaces: Some(namespaces) };
        (Arc::new(next), selected)
    }
}

/// The namespaces of the local cluster that count, by name.
pub(crate) fn namespaces(config: &Config) -> BTreeSet<Text> {
    let local = config.namespaces.values().filter(|one| one.meta.key.cluster == config.settings.cluster);
    selected(config).unwrap_or_else(|| local.map(|one| one.meta.key.name.clone()).collect())
}

/// The namespaces that some selector selects; `None` where there are no selectors.
fn selected(config: &Config) -> Option<BTreeSet<Text>> {
    let selectors = &config.mesh.discovery_selectors;
    if selectors.is_empty() {
        return None;
    }
    let local = config.namespaces.values().filter(|one| one.meta.key.cluster == config.settings.cluster);
    let counts = local.filter(|one| selectors.iter().any(|selector| selector.selects(&one.meta.labels)));
    Some(counts.map(|one| one.meta.key.name.clone()).collect())
}

/// The tables of `read` as far as their objects are in these namespaces; what is of the whole cluster stays.
fn patched(read: &Config, (was_read, was): (&Config, &Config), namespaces: &BTreeSet<Text>) -> Config {
    macro_rules! tables {
        ($($table:ident)*) => {
            Config {
                $($table: table(&read.$table, (&was_read.$table, &was.$table), namespaces),)*
                ..read.clone()
            }
        };
    }
    tables! {
        kube_services slices pods service_entries workload_entries sidecars gateways virtual_services
        destination_rules peer_authentications proxy_configs
    }
}

fn table<V>(
    read: &Table<Key, V>,
    (was_read, was): (&Table<Key, V>, &Table<Key, V>),
    namespaces: &BTreeSet<Text>,
) -> Table<Key, V>
where
    V: PartialEq,
    Table<Key, V>: Clone,
{
    let mut next = was.clone();
    for key in read.changed(was_read) {
        match read.get(&key).filter(|_| namespaces.contains(&key.namespace)) {
            Some(value) => next.share(key, value.clone()),
            None => next.remove(&key),
        };
    }
    next
}

#[cfg(test)]
mod tests {
    use memo::Shared;
    use model::Labels;
    use model::labels::{Condition, LabelSelector};
    use model::mesh_config::MeshConfig;

    use super::*;
    use crate::builders::{With, namespace, service};

    fn mesh(selectors: Vec<LabelSelector>) -> Shared<MeshConfig> {
        Shared::new(MeshConfig { discovery_selectors: selectors, ..MeshConfig::default() })
    }

    fn told((_, config): &(Arc<Discovery>, Config)) -> Vec<String> {
        config.kube_services.iter().map(|(key, _)| key.namespace.to_string()).collect()
    }

    #[test]
    fn objects_of_other_namespaces_do_not_count() {
        let on: Labels = [("mesh", "on")].into_iter().collect();
        let mut config = Config::default()
            .with(namespace("a", on.clone()))
            .with(namespace("b", Labels::default()))
            .with(service("a/s", &[80]))
            .with(service("b/s", &[80]))
            .with(service("c/s", &[80]));
        let all = Arc::new(Discovery::default()).next(config.clone());
        assert_eq!(told(&all), ["a", "b", "c"]);
        config.mesh = mesh(vec![LabelSelector { labels: on.clone(), conditions: Vec::new() }]);
        let some = all.0.next(config.clone());
        assert_eq!(told(&some), ["a"]);
        let unlabelled = Condition::Missing("mesh".into());
        config.mesh = mesh(vec![LabelSelector { labels: Labels::default(), conditions: vec![unlabelled] }]);
        let other = some.0.next(config.clone());
        assert_eq!(told(&other), ["b"]);
        let more = config.clone().with(service("b/t", &[80])).with(service("a/t", &[80]));
        assert_eq!(told(&other.0.next(more)), ["b", "b"]);
        let labelled = config.with(namespace("b", on)).with(namespace("c", Labels::default()));
        assert_eq!(told(&other.0.next(labelled.clone())), ["c"]);
        assert_eq!(told(&Arc::new(Discovery::default()).next(labelled)), ["c"]);
    }
}
