//! Services by what their selectors ask for, to find those that select a workload.

use std::collections::BTreeMap;

use memo::Shared;
use model::{Labels, Registry, Service, Text};

use crate::ServiceIndex;

/// Services with a selector under their namespace and the first label of the selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectorIndex {
    by_label: BTreeMap<(Text, Text, Text), Vec<Shared<Service>>>,
}

impl SelectorIndex {
    /// The index of these services.
    pub fn new(services: &ServiceIndex) -> Self {
        let mut by_label: BTreeMap<(Text, Text, Text), Vec<Shared<Service>>> = BTreeMap::new();
        for service in services.all() {
            let first = service.selector.as_ref().and_then(|selector| selector.iter().next());
            if let Some((key, value)) = first {
                let at = (service.namespace.clone(), key.clone(), value.clone());
                by_label.entry(at).or_default().push(service.clone());
            }
        }
        Self { by_label }
    }

    /// The services of this registry and namespace that select these labels, oldest first.
    pub fn selecting(&self, registry: Registry, namespace: &Text, labels: &Labels) -> Vec<Shared<Service>> {
        let candidates = labels
            .iter()
            .filter_map(|(key, value)| self.by_label.get(&(namespace.clone(), key.clone(), value.clone())));
        let selects = |service: &&Shared<Service>| {
            service.registry == registry
                && service.selector.as_ref().is_some_and(|selector| selector.selects(labels))
        };
        let mut found: Vec<Shared<Service>> = candidates.flatten().filter(selects).cloned().collect();
        found.sort_by(|one, two| (one.created, &one.host).cmp(&(two.created, &two.host)));
        found
    }
}
