//! Values of metrics, put together for the exposition.

use std::collections::BTreeMap;

use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};
use xds::Histogram;

use super::names::Metric;

/// Values by metric, ordered by name.
#[derive(Default)]
pub(super) struct Families(BTreeMap<&'static str, MetricFamily>);

impl Families {
    /// Adds one value of a counter or gauge.
    pub(super) fn put(&mut self, metric: Metric, labels: &[(&str, &str)], value: f64) {
        let mut sample = proto::Metric::from_label(labels.iter().map(pair).collect());
        if metric.kind == MetricType::COUNTER {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            sample.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            sample.set_gauge(gauge);
        }
        self.add(metric, sample);
    }

    /// Adds one value of a histogram.
    pub(super) fn put_histogram(&mut self, metric: Metric, labels: &[(&str, &str)], values: &Histogram) {
        let mut sample = proto::Metric::from_label(labels.iter().map(pair).collect());
        let mut histogram = proto::Histogram::default();
        let buckets = values.buckets().map(|(bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(values.count());
        histogram.set_sample_sum(values.sum());
        sample.set_histogram(histogram);
        self.add(metric, sample);
    }

    fn add(&mut self, metric: Metric, sample: proto::Metric) {
        let family = self.0.entry(metric.name).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(metric.name.to_owned());
            family.set_help(metric.help.to_owned());
            family.set_field_type(metric.kind);
            family
        });
        family.mut_metric().push(sample);
    }

    /// Adds values that were put together before.
    pub(super) fn add_all(&mut self, others: &Self) {
        for (name, family) in &others.0 {
            match self.0.get_mut(name) {
                Some(known) => known.mut_metric().extend(family.get_metric().iter().cloned()),
                None => drop(self.0.insert(name, family.clone())),
            }
        }
    }

    /// All that have a value.
    pub(super) fn finish(self) -> Vec<MetricFamily> {
        self.0.into_values().collect()
    }
}

fn pair((name, value): &(&str, &str)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name((*name).to_owned());
    pair.set_value((*value).to_owned());
    pair
}
