//! Which localities are preferred: weights and priorities (xds-semantics, EDS priorities).

use model::labels;
use model::networking::{LoadBalancer, LocalityLb, ZoneAware};
use model::service::TrafficDistribution;
use model::settings::Settings;
use model::{Endpoint, Labels, Service, Text};

use super::lb::{LbEndpoint, Locality, parts, total};
use crate::cluster_mesh::ClusterMesh;

/// The setting that applies to a cluster.
///
/// A rule's wins over the service's traffic distribution, that over the mesh's; at each level
/// zone-aware routing wins over locality weights and failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LocalitySetting<'a> {
    /// Zone-aware routing, possibly switched off.
    ZoneAware(&'a ZoneAware),
    /// Weights and failover.
    Locality {
        /// Shares by the client's locality.
        distribute: &'a [(Text, Vec<(Text, u32)>)],
        /// Failover between regions.
        failover: &'a [(Text, Text)],
        /// Labels by which failover goes.
        priority: Vec<&'a str>,
        /// Whether failover works without outlier detection.
        forced: bool,
    },
}

/// What is looked at of the proxy that endpoints are ordered for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    /// `region/zone/subzone`, may be empty.
    pub(crate) locality: &'a str,
    /// Its labels, at least those by which failover goes; `None` leaves failover by labels out.
    pub(crate) labels: Option<&'a Labels>,
}

impl<'a> LocalitySetting<'a> {
    /// The setting for a service under the load balancing of its rule; `None` if it is switched off.
    pub(crate) fn of(
        mesh: &'a ClusterMesh,
        rule: Option<&'a LoadBalancer>,
        service: &Service,
    ) -> Option<Self> {
        if let Some(zone_aware) = rule.and_then(|rule| rule.zone_aware.as_ref()) {
            return Some(Self::ZoneAware(zone_aware));
        }
        if let Some(locality) = rule.and_then(|rule| rule.locality.as_ref()) {
            return Self::of_locality(locality);
        }
        let labels = match service.traffic_distribution {
            TrafficDistribution::Any => None,
            TrafficDistribution::PreferSameZone => Some(labels::SAME_ZONE),
            TrafficDistribution::PreferSameNode => Some(labels::SAME_NODE),
        };
        if let Some(labels) = labels {
            let priority = labels.to_vec();
            return Some(Self::Locality { distribute: &[], failover: &[], priority, forced: true });
        }
        if let Some(zone_aware) = &mesh.zone_aware {
            return Some(Self::ZoneAware(zone_aware));
        }
        Self::of_locality(mesh.locality_lb.as_ref()?)
    }

    fn of_locality(setting: &'a LocalityLb) -> Option<Self> {
        (setting.enabled != Some(false)).then(|| Self::Locality {
            distribute: &setting.distribute,
            failover: &setting.failover,
            priority: setting.failover_priority.iter().map(|label| &**label).collect(),
            forced: false,
        })
    }

    /// Whether Envoy has to weigh localities.
    pub(crate) fn is_weighted(setting: Option<&Self>, outlier_detection: bool, settings: &Settings) -> bool {
        let asked = match setting {
            Some(Self::Locality { distribute, failover, priority, forced }) => {
                let fails_over = *forced || outlier_detection;
                !distribute.is_empty() || fails_over && !(failover.is_empty() && priority.is_empty())
            }
            Some(Self::ZoneAware(_)) => return false,
            None => false,
        };
        asked || settings.locality_weighted_lb
    }

    /// Gives localities their weights and priorities as seen by a client. Without outlier detection
    /// nothing would ever fail over, so that priorities are then left alone unless they are forced.
    pub(crate) fn apply(&self, localities: &mut Vec<Locality>, client: Client<'_>, outlier_detection: bool) {
        match self {
            Self::ZoneAware(setting) if setting.disabled => {}
            Self::ZoneAware(setting) => {
                let labels: Vec<&str> = setting.failover_priority.iter().map(|label| &**label).collect();
                split_by_labels(localities, client.labels, &labels);
                rank(localities, 3, |locality| region_rank(&setting.failover, client.locality, locality));
            }
            Self::Locality { distribute, .. } if !distribute.is_empty() => {
                weigh(localities, client.locality, distribute);
            }
            Self::Locality { failover, priority, forced, .. } if *forced || outlier_detection => {
                split_by_labels(localities, client.labels, priority);
                if priority.is_empty() || !failover.is_empty() {
                    rank(localities, 5, |locality| failover_rank(failover, client.locality, locality));
                }
            }
            Self::Locality { .. } => {}
        }
    }
}

/// Whether a locality is covered by a rule's, in which `*` and missing parts stand for anything.
fn covers(rule: &str, locality: &str) -> bool {
    let ([region, zone, subzone], own) = (parts(rule), parts(locality));
    let matches = |rule: &str, own: &str| rule == "*" || rule == own;
    matches(region, own[0])
        && (zone.is_empty() || matches(zone, own[1]))
        && (subzone.is_empty() || matches(subzone, own[2]))
}

/// Distributes by the first entry for the client's locality; localities that it does not name keep their
/// weight and lose their endpoints.
fn weigh(localities: &mut [Locality], client: &str, distribute: &[(Text, Vec<(Text, u32)>)]) {
    let Some((_, shares)) = distribute.iter().find(|(from, _)| covers(from, client)) else { return };
    let mut open: Vec<usize> = (0..localities.len()).collect();
    for (to, share) in shares {
        let named = |index: &usize| localities.get(*index).is_some_and(|one| covers(to, &one.name));
        let (chosen, rest): (Vec<usize>, Vec<usize>) = open.into_iter().partition(named);
        open = rest;
        let weight = |locality: &Locality| u64::from(locality.weight.unwrap_or(1));
        let sum: u64 = chosen.iter().filter_map(|index| localities.get(*index)).map(weight).sum();
        for index in chosen {
            let Some(locality) = localities.get_mut(index) else { continue };
            let part = (weight(locality) * u64::from(*share)).div_ceil(sum.max(1));
            if part > 0 {
                locality.weight = Some(u32::try_from(part).unwrap_or(u32::MAX));
            }
        }
    }
    for index in open {
        if let Some(locality) = localities.get_mut(index) {
            locality.endpoints.clear();
        }
    }
}

/// Puts a rank of `ranks` possible ones below the priorities that localities have, then closes gaps.
fn rank(localities: &mut [Locality], ranks: u32, of: impl Fn(&str) -> u32) {
    for locality in localities.iter_mut() {
        locality.priority = locality.priority * ranks + of(&locality.name);
    }
    close_gaps(localities);
}

fn close_gaps(localities: &mut [Locality]) {
    let mut used: Vec<u32> = localities.iter().map(|locality| locality.priority).collect();
    used.sort_unstable();
    used.dedup();
    for locality in localities {
        let place = used.binary_search(&locality.priority).unwrap_or_default();
        locality.priority = u32::try_from(place).unwrap_or_default();
    }
}

/// 0 for the same place down to 3 for another region, 4 for one that failover does not name.
fn failover_rank(failover: &[(Text, Text)], client: &str, locality: &str) -> u32 {
    let ([region, zone, subzone], own) = (parts(client), parts(locality));
    if region != own[0] {
        let wanted = failover.iter().find(|(from, _)| **from == *region);
        return if wanted.is_some_and(|(_, to)| **to != *own[0]) { 4 } else { 3 };
    }
    match (zone == own[1], subzone == own[2]) {
        (true, true) => 0,
        (true, false) => 1,
        (false, _) => 2,
    }
}

/// 0 for the same region, 1 for that which failover names, 2 for others.
fn region_rank(failover: &[(Text, Text)], client: &str, locality: &str) -> u32 {
    let (region, own) = (parts(client)[0], parts(locality)[0]);
    if region == own {
        return 0;
    }
    let wanted = failover.iter().find(|(from, _)| **from == *region);
    if wanted.is_some_and(|(_, to)| **to == *own) { 1 } else { 2 }
}

/// Splits each locality by how many leading labels its endpoints share with the client.
fn split_by_labels(localities: &mut Vec<Locality>, client: Option<&Labels>, labels: &[&str]) {
    let Some(client) = client.filter(|_| !labels.is_empty()) else { return };
    let mut split = Vec::with_capacity(localities.len());
    for locality in localities.drain(..) {
        let mut groups: std::collections::BTreeMap<u32, Vec<LbEndpoint>> = std::collections::BTreeMap::new();
        for endpoint in locality.endpoints {
            let priority = mismatch(&endpoint.endpoint, client, labels);
            groups.entry(priority).or_default().push(endpoint);
        }
        split.extend(groups.into_iter().map(|(priority, endpoints)| Locality {
            name: locality.name.clone(),
            weight: Some(total(&endpoints)),
            priority,
            endpoints,
            style: locality.style,
        }));
    }
    *localities = split;
    close_gaps(localities);
}

/// 0 if all labels agree, more the earlier one differs. Another network, where it is named first, ranks
/// below all of the client's own, and the other labels still count.
fn mismatch(endpoint: &Endpoint, client: &Labels, labels: &[&str]) -> u32 {
    let count = u32::try_from(labels.len()).unwrap_or(u32::MAX);
    let mut remote = 0;
    for (left, (index, label)) in (1..=count).rev().zip(labels.iter().enumerate()) {
        let (key, wanted) = match label.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (*label, client.get(label)),
        };
        if wanted.unwrap_or_default() == endpoint.workload.labels.get(key).unwrap_or_default() {
            continue;
        }
        if index > 0 || *label != labels::NETWORK {
            return left + remote;
        }
        remote = count;
    }
    remote
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use memo::Shared;
    use model::endpoint::EndpointWorkload;

    use super::super::lb::{Style, group};
    use super::*;

    fn endpoint(locality: &str, app: &str) -> LbEndpoint {
        let labels = [("app", app)].into_iter().collect();
        let workload = EndpointWorkload { locality: locality.into(), labels, ..EndpointWorkload::default() };
        let endpoint = Endpoint {
            addresses: vec!["10.0.0.1".into()],
            port: 80,
            port_name: "http".into(),
            service_port: 80,
            workload: Arc::new(workload),
            weight: 0,
            health: model::endpoint::Health::Healthy,
        };
        LbEndpoint::new(Shared::new(endpoint), false)
    }

    /// Localities with priority, weight and number of endpoints.
    fn check(setting: &LocalitySetting<'_>, expected: &[(&str, u32, u32, usize)]) {
        let places = [("r1/z1/s1", "a"), ("r1/z1/s2", "a"), ("r1/z2", "b"), ("r2/z1", "a"), ("r3", "b")];
        let endpoints = places.map(|(locality, app)| endpoint(locality, app));
        let mut localities = group(endpoints, Style::of(&Settings::default()));
        let labels: Labels = [("app", "a")].into_iter().collect();
        setting.apply(&mut localities, Client { locality: "r1/z1/s1", labels: Some(&labels) }, true);
        let seen: Vec<_> = localities
            .iter()
            .map(|one| (&*one.name, one.priority, one.weight.unwrap_or_default(), one.endpoints.len()))
            .collect();
        assert_eq!(seen, expected);
    }

    fn failover<'a>(failover: &'a [(Text, Text)], priority: Vec<&'a str>) -> LocalitySetting<'a> {
        LocalitySetting::Locality { distribute: &[], failover, priority, forced: false }
    }

    #[test]
    fn nearer_places_come_first() {
        check(
            &failover(&[], Vec::new()),
            &[
                ("r1/z1/s1", 0, 1, 1),
                ("r1/z1/s2", 1, 1, 1),
                ("r1/z2", 2, 1, 1),
                ("r2/z1", 3, 1, 1),
                ("r3", 3, 1, 1),
            ],
        );
        let pairs = [("r1".into(), "r3".into())];
        check(
            &failover(&pairs, Vec::new()),
            &[
                ("r1/z1/s1", 0, 1, 1),
                ("r1/z1/s2", 1, 1, 1),
                ("r1/z2", 2, 1, 1),
                ("r2/z1", 4, 1, 1),
                ("r3", 3, 1, 1),
            ],
        );
    }

    #[test]
    fn labels_split_and_gaps_are_closed() {
        check(
            &failover(&[], vec!["app", "other=x"]),
            &[
                ("r1/z1/s1", 0, 1, 1),
                ("r1/z1/s2", 0, 1, 1),
                ("r1/z2", 1, 1, 1),
                ("r2/z1", 0, 1, 1),
                ("r3", 1, 1, 1),
            ],
        );
    }

    #[test]
    fn a_distribution_empties_what_it_does_not_name() {
        let shares = vec![("r1/*".into(), 70), ("r2".into(), 30)];
        let distribute = [("r1/z1/*".into(), shares)];
        let setting = LocalitySetting::Locality {
            distribute: &distribute,
            failover: &[],
            priority: Vec::new(),
            forced: false,
        };
        check(
            &setting,
            &[
                ("r1/z1/s1", 0, 24, 1),
                ("r1/z1/s2", 0, 24, 1),
                ("r1/z2", 0, 24, 1),
                ("r2/z1", 0, 30, 1),
                ("r3", 0, 1, 0),
            ],
        );
    }

    #[test]
    fn zones_of_the_own_region_are_one_priority() {
        let setting = ZoneAware::default();
        check(
            &LocalitySetting::ZoneAware(&setting),
            &[
                ("r1/z1/s1", 0, 1, 1),
                ("r1/z1/s2", 0, 1, 1),
                ("r1/z2", 0, 1, 1),
                ("r2/z1", 1, 1, 1),
                ("r3", 1, 1, 1),
            ],
        );
    }
}
