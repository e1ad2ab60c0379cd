//! Metrics of the discovery server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use envoy_api::type_url;
use xds::TypeStats;

use super::families::Families;
use super::names::{self, Metric};
use crate::State;
use crate::debug::{name_of, proxies};

/// Types that are shown before anything of them was sent, so that dashboards have lines from the start.
const ALWAYS: [&str; 4] = ["cds", "eds", "lds", "rds"];

pub(super) fn collect(state: &State, families: &mut Families) {
    let version = &*state.build.version;
    families.put(names::STREAMS, &[("version", version)], state.connections.len() as f64);
    for (label, stats) in state.stats.iter() {
        if ALWAYS.contains(&label) || stats.pushes.load(Relaxed) > 0 {
            of_type(label, stats, families);
        }
    }
    families.put_histogram(names::QUEUE_TIME, &[], &state.stats.queue);
    families.put_histogram(names::CONVERGENCE_TIME, &[], &state.stats.convergence);
    families.put_histogram(names::SEND_TIME, &[], &state.stats.send_times);
    families.put(names::LONGEST_REQUEST, &[], count(&state.stats.longest_request));
    families.put(names::INTERNAL_ERRORS, &[], count(&state.stats.internal_errors));
    refusals(state, families);
}

fn of_type(label: &str, stats: &TypeStats, families: &mut Families) {
    let labels = [("type", label)];
    families.put(names::PUSHES, &labels, count(&stats.pushes));
    if stats.send_errors.load(Relaxed) > 0 {
        let label = format!("{label}_senderr");
        families.put(names::PUSHES, &[("type", &label)], count(&stats.send_errors));
    }
    families.put_histogram(names::PUSH_TIME, &labels, &stats.push_times);
    families.put_histogram(names::CONFIG_SIZE, &[("type", url_of(label))], &stats.sizes);
    families.put(names::TOTAL_REJECTS, &labels, count(&stats.rejects));
    families.put(names::EXPIRED_NONCE, &labels, count(&stats.expired_nonces));
    families.put(names::RESOURCES_SENT, &labels, count(&stats.resources));
    families.put(names::RESOURCES_REMOVED, &labels, count(&stats.removed));
}

/// Who refuses what now. Envoy gives one code for every refusal, `Internal`; the reason is on `/debug/syncz`.
fn refusals(state: &State, families: &mut Families) {
    let mut found: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for connection in proxies(state) {
        for (label, url) in [
            ("cds", type_url::CLUSTER),
            ("eds", type_url::ENDPOINT),
            ("lds", type_url::LISTENER),
            ("rds", type_url::ROUTE),
        ] {
            let status = connection.types.get(url).filter(|status| status.error.is_some());
            if let Some(status) = status {
                *found.entry((label, name_of(&connection.who.node).to_owned())).or_default() +=
                    status.rejects;
            }
        }
    }
    for ((label, node), rejects) in found {
        let labels = [("err", "Internal"), ("node", &*node)];
        families.put(refusal(label), &labels, rejects as f64);
    }
}

fn refusal(label: &str) -> Metric {
    match label {
        "cds" => names::CDS_REJECT,
        "eds" => names::EDS_REJECT,
        "lds" => names::LDS_REJECT,
        _ => names::RDS_REJECT,
    }
}

/// The type URL that a short name stands for; sizes are shown by it, as istiod does.
fn url_of(label: &str) -> &str {
    match label {
        "cds" => type_url::CLUSTER,
        "eds" => type_url::ENDPOINT,
        "lds" => type_url::LISTENER,
        "rds" => type_url::ROUTE,
        "sds" => type_url::SECRET,
        "ecds" => type_url::EXTENSION,
        "nds" => type_url::NAME_TABLE,
        "pcds" => type_url::PROXY_CONFIG,
        "wds" => type_url::ADDRESS,
        "wads" => type_url::AUTHORIZATION,
        other => other,
    }
}

fn count(counter: &AtomicU64) -> f64 {
    counter.load(Relaxed) as f64
}
