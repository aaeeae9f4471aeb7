//! The reference of all counters, for docs/.

use super::MetricTable;
use super::family::{MetricFamily, MetricUnit};
use crate::model::CounterKind;

/// One number of the `stats` event, or a group of numbers that differ by their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterReference {
    /// The keys in the `stats` event from the outermost, separated by dots. `{label}` stands for any key, and
    /// `{label:one|two}` for these keys.
    pub path: String,
    /// The Prometheus metric; `None`: it has none, and the help says why.
    pub metric: Option<String>,
    /// Whether the number never decreases while the sensor runs.
    pub is_counter: bool,
    /// The unit in the `stats` event; `None`: the help says what is counted.
    pub unit: Option<&'static str>,
    /// What is counted.
    pub help: &'static str,
}

impl MetricTable {
    /// Returns every number of the `stats` event.
    #[must_use]
    pub fn reference(&self) -> Vec<CounterReference> {
        let row = |family: &MetricFamily| CounterReference {
            path: family.path().replace('/', "."),
            metric: (family.kind() != CounterKind::LeftOut).then(|| family.full_name()),
            is_counter: family.kind() == CounterKind::Counter,
            unit: unit(family),
            help: family.help(),
        };
        self.0.iter().map(row).collect()
    }
}

fn unit(family: &MetricFamily) -> Option<&'static str> {
    match family.unit {
        MetricUnit::Milliseconds => Some("milliseconds"),
        MetricUnit::Microseconds => Some("microseconds"),
        MetricUnit::One if family.path().ends_with("_s") => Some("seconds"),
        MetricUnit::One if family.path().ends_with("bytes") => Some("bytes"),
        MetricUnit::One => None,
    }
}
