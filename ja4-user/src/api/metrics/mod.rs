//! `/metrics`: the `stats` event for Prometheus.
//!
//! Text exposition format 0.0.4. Names and help texts are those of the declarations of the counters;
//! [`MetricTable::reference`] returns them for docs/. The metrics of the process have the names that client libraries of
//! Prometheus use. Numbers without a metric are counted by
//! `ja4sensor_stats_without_metric`.

mod family;
mod reference;
#[cfg(test)]
mod tests;
mod write;

use self::family::{MetricFamily, PathSegment};
pub use self::reference::CounterReference;
use self::write::Samples;
use crate::model::{CounterDeclaration, CounterGroup, CounterKind, CounterValue};
use crate::system::process::ProcessUsage;

/// The media type of [`MetricTable::text`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics of a `stats` event. The first one that matches a number applies.
#[derive(Clone, Debug)]
pub struct MetricTable(Vec<MetricFamily>);

impl MetricTable {
    /// The metrics of declared counters.
    #[must_use]
    pub fn new(declarations: Vec<CounterDeclaration>) -> Self {
        Self(declarations.into_iter().map(MetricFamily::new).collect())
    }

    /// Encodes the metrics of a `stats` event.
    #[must_use]
    pub fn text(&self, stats: &CounterGroup) -> String {
        let mut walk = MetricWalk { path: Vec::new(), samples: vec![Samples::default(); self.0.len()], left_out: 0 };
        let all: Vec<_> = self.0.iter().enumerate().collect();
        walk.group(stats, &all);
        let mut out = String::with_capacity(64 << 10);
        write::head(&mut out, "ja4sensor_build_info", "gauge", "The version of the sensor.");
        out.push_str(concat!("ja4sensor_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n"));
        for (family, samples) in self.0.iter().zip(&walk.samples) {
            samples.write(family, &mut out);
        }
        if let Some(usage) = ProcessUsage::read() {
            write::process(&usage, &mut out);
        }
        let help = "Numbers of the stats event without a metric; a bug.";
        write::head(&mut out, "ja4sensor_stats_without_metric", "gauge", help);
        out.push_str(&format!("ja4sensor_stats_without_metric {}\n", walk.left_out));
        out
    }
}

/// A metric with its position in the table.
type Candidate<'a> = (usize, &'a MetricFamily);

/// A walk over the tree. At each level, only the families with a matching path remain candidates.
struct MetricWalk<'a> {
    path: Vec<&'a str>,
    /// Samples of each family.
    samples: Vec<Samples>,
    /// Leaves without a family.
    left_out: u64,
}

impl<'a> MetricWalk<'a> {
    fn group(&mut self, CounterGroup(entries): &'a CounterGroup, candidates: &[Candidate<'a>]) {
        let depth = self.path.len();
        let is_info = |(_, family): &Candidate<'_>| family.segment(depth) == Some(PathSegment::Texts);
        if let Some(info) = candidates.iter().copied().find(is_info) {
            return self.texts(entries, info);
        }
        for (name, value) in entries {
            let fits = |(_, family): &Candidate<'_>| family.segment(depth).is_some_and(|segment| segment.fits(name));
            let candidates: Vec<_> = candidates.iter().copied().filter(fits).collect();
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
    fn leaf(&mut self, candidates: &[Candidate<'a>], count: Option<u64>) {
        let ends = |(_, family): &Candidate<'_>| family.segment(self.path.len()).is_none();
        let Some((at, family)) = candidates.iter().copied().find(ends) else {
            self.left_out += 1;
            return;
        };
        match (family.kind(), count) {
            (CounterKind::LeftOut, _) => {}
            (_, Some(count)) => {
                let labels: Vec<(&str, &str)> = family.labels(&self.path).collect();
                if let Some(samples) = self.samples.get_mut(at) {
                    samples.add(&labels, &family.unit.value(count));
                }
            }
            (_, None) => self.left_out += 1,
        }
    }

    /// Adds the texts of the current group as labels.
    fn texts(&mut self, entries: &'a [(std::borrow::Cow<'static, str>, CounterValue)], (at, family): Candidate<'a>) {
        let mut labels: Vec<(&str, &str)> = family.labels(&self.path).collect();
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
