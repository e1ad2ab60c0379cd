//! What other parts of the process say of themselves: whether they are ready, and a few numbers.

use std::sync::Arc;

use prometheus::proto::MetricFamily;

use crate::names::Metric;

/// A part of the process that may be asked how it is.
pub type Part = Arc<dyn Fn() -> Report + Send + Sync>;

/// How a part of the process is.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Whether the process may be called ready as far as this part is concerned.
    pub is_ready: bool,
    /// A line for each thing that whoever asks for readiness should know; none if all is well.
    pub details: Vec<String>,
    /// Its metrics.
    pub numbers: Vec<Number>,
    /// Metrics that it counts itself, of other names.
    pub families: Vec<MetricFamily>,
}

/// One value of a metric.
#[derive(Clone, Debug)]
pub struct Number {
    /// Which metric; a counter or a gauge.
    pub metric: Metric,
    /// Names and values of its labels.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}
