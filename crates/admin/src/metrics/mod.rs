//! Metrics: read from the state whenever they are asked for, but for what was counted of the same snapshot before.

mod clusters;
mod families;
mod mesh;
pub mod names;
mod proxies;
mod remembered;
mod streams;
#[cfg(test)]
mod tests;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, TextEncoder};

use crate::State;
use families::Families;

pub(crate) use mesh::COUNTED;
pub(crate) use remembered::Remembered;

/// All metrics as Prometheus reads them.
pub(crate) fn text(state: &State, remembered: &Remembered) -> prometheus::Result<Vec<u8>> {
    let mut families = collect(state, remembered);
    families.extend(process());
    families.sort_by(|one, two| one.name().cmp(two.name()));
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text)?;
    Ok(text)
}

/// What the system says of this process (`process_*`).
fn process() -> Vec<MetricFamily> {
    prometheus::process_collector::ProcessCollector::for_self().collect()
}

fn collect(state: &State, remembered: &Remembered) -> Vec<MetricFamily> {
    let snapshot = state.snapshot();
    let mut families = Families::default();
    program(state, &mut families);
    streams::collect(state, &mut families);
    mesh::collect(state, &mut families);
    families.add_all(&remembered.of_mesh(&snapshot));
    proxies::collect(state, &snapshot, remembered, &mut families);
    let mut counted = Vec::new();
    for report in state.parts.iter().map(|part| part()) {
        for number in report.numbers {
            let labels: Vec<(&str, &str)> =
                number.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            families.put(number.metric, &labels, number.value);
        }
        counted.extend(report.families);
    }
    counted.extend(families.finish());
    counted
}

fn program(state: &State, families: &mut Families) {
    let version = &*state.build.version;
    families.put(names::BUILD, &[("component", "pilot"), ("tag", version)], 1.0);
    families.put(names::INFO, &[("version", version)], 1.0);
    families.put(names::UPTIME, &[], state.started.elapsed().as_secs_f64());
}
