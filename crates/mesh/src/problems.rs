//! What is wrong between objects: references to nothing, and conflicts that one of them loses.
//!
//! A function of the snapshot that is asked for when somebody wants to tell the user, never on the way of a
//! change to proxies. Only what is certain is told: an object that some other workload, namespace or client
//! could make sense of is none. `IST0…` are the codes of istio's analyzers for the same mistakes.

mod conflicts;
mod endpoints;
mod gateways;
mod ports;
mod references;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use model::Problem;
use model::key::Meta;

use crate::Snapshot;

impl Snapshot {
    /// What is wrong between objects, in the order of these; found once for whoever asks.
    pub fn problems(&self) -> Arc<[Problem]> {
        self.found.get_or_init(|| self.find_problems()).clone()
    }

    fn find_problems(&self) -> Arc<[Problem]> {
        let mut found: Vec<Problem> = self.routes.problems().cloned().collect();
        references::virtual_services(self, &mut found);
        references::destination_rules(self, &mut found);
        conflicts::virtual_services(self, &mut found);
        conflicts::destination_rules(self, &mut found);
        conflicts::sidecars(self, &mut found);
        conflicts::service_entries(self, &mut found);
        conflicts::listeners(self, &mut found);
        conflicts::peer_authentications(self, &mut found);
        endpoints::slices(self, &mut found);
        endpoints::subsets(self, &mut found);
        endpoints::workload_entries(self, &mut found);
        ports::targets(self, &mut found);
        gateways::servers(self, &mut found);
        gateways::selectors(self, &mut found);
        gateways::secrets(self, &mut found);
        found.sort();
        found.dedup();
        found.into()
    }
}

/// An object as others are told of it: `default/reviews`.
fn name(meta: &Meta) -> String {
    format!("{}/{}", meta.key.namespace, meta.key.name)
}
