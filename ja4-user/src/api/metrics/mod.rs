//! `/metrics`: the `stats` event for Prometheus.
//!
//! Text exposition format 0.0.4. `table` declares the metric and the help text of each number; [`reference()`] returns it for
//! docs/. Numbers without a metric are counted by
//! `ja4sensor_stats_without_metric`.

mod family;
mod reference;
mod table;
#[cfg(test)]
mod tests;
mod write;

use self::family::{MetricFamily, MetricRole, PathSegment};
pub use self::reference::{CounterReference, reference};
use self::write::Samples;
use crate::model::{CounterGroup, CounterValue};

/// The media type of [`text`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Encodes the metrics of a `stats` event.
#[must_use]
pub fn text(stats: &CounterGroup) -> String {
    let mut walk =
        MetricWalk { path: Vec::new(), samples: vec![Samples::default(); table::FAMILIES.len()], left_out: 0 };
    let all: Vec<usize> = (0..table::FAMILIES.len()).collect();
    walk.group(stats, &all);
    let mut out = String::with_capacity(64 << 10);
    write::head(&mut out, "ja4sensor_build_info", "gauge", "The version of the sensor.");
    out.push_str(concat!("ja4sensor_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n"));
    for (family, samples) in table::FAMILIES.iter().zip(&walk.samples) {
        samples.write(family, &mut out);
    }
    let help = "Numbers of the stats event without a metric; a bug.";
    write::head(&mut out, "ja4sensor_stats_without_metric", "gauge", help);
    out.push_str(&format!("ja4sensor_stats_without_metric {}\n", walk.left_out));
    out
}

/// A walk over the tree. At each level, only the families with a matching path remain candidates.
struct MetricWalk<'a> {
    path: Vec<&'a str>,
    /// Samples of each family.
    samples: Vec<Samples>,
    /// Leaves without a family.
    left_out: u64,
}

impl<'a> MetricWalk<'a> {
    fn group(&mut self, CounterGroup(entries): &'a CounterGroup, candidates: &[usize]) {
        if let Some(at) = self.info(candidates) {
            return self.texts(entries, at);
        }
        for (name, value) in entries {
            let depth = self.path.len();
            let fits = |at: &usize| family(*at).segment(depth).is_some_and(|segment| segment.fits(name));
            let candidates: Vec<usize> = candidates.iter().copied().filter(fits).collect();
            self.path.push(name);
            match value {
                CounterValue::Group(group) => self.group(group, &candidates),
                CounterValue::Count(count) => self.leaf(&candidates, Some(*count)),
                CounterValue::Text(_) => self.leaf(&candidates, None),
            }
            self.path.pop();
        }
    }

    /// Adds a leaf: a number, or a text, which is not exposed.
    fn leaf(&mut self, candidates: &[usize], count: Option<u64>) {
        let ends = |at: &usize| family(*at).segment(self.path.len()).is_none();
        let Some(at) = candidates.iter().copied().find(ends) else {
            self.left_out += 1;
            return;
        };
        match (family(at).role, count) {
            (MetricRole::LeftOut, _) => {}
            (_, Some(count)) => {
                let labels: Vec<(&str, &str)> = family(at).labels(&self.path).collect();
                if let Some(samples) = self.samples.get_mut(at) {
                    samples.add(&labels, &family(at).unit.value(count));
                }
            }
            (_, None) => self.left_out += 1,
        }
    }

    /// Returns the family that exposes the texts of the current group as labels.
    fn info(&self, candidates: &[usize]) -> Option<usize> {
        let here = |at: &usize| matches!(family(*at).segment(self.path.len()), Some(PathSegment::Texts));
        candidates.iter().copied().find(here)
    }

    fn texts(&mut self, entries: &'a [(std::borrow::Cow<'static, str>, CounterValue)], at: usize) {
        let mut labels: Vec<(&str, &str)> = family(at).labels(&self.path).collect();
        for (name, value) in entries {
            match value {
                CounterValue::Text(text) => labels.push((name, text)),
                CounterValue::Count(_) | CounterValue::Group(_) => self.left_out += 1,
            }
        }
        if let Some(samples) = self.samples.get_mut(at) {
            samples.add(&labels, "1");
        }
    }
}

/// Returns a row of the table.
fn family(at: usize) -> &'static MetricFamily {
    table::FAMILIES.get(at).unwrap_or(&family::NONE)
}
