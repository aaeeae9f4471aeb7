//! Comparison of two time windows.

use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::DatabaseReader;
use super::stored::ColumnReader;
use crate::model::{Method, Time};
use crate::output::storage::StorageError;
use crate::output::storage::columns::integer;

/// A time window, with an exclusive end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffWindow {
    /// Start.
    pub since: Time,
    /// End, exclusive.
    pub until: Time,
}

impl DiffWindow {
    /// Returns the duration in seconds.
    fn seconds(self) -> f64 {
        self.until.0.saturating_sub(self.since.0) as f64 / 1e9
    }
}

/// Criteria for changes.
#[derive(Clone, Debug)]
pub struct DiffOptions {
    /// Ratio of the rates from which on a change is a spike or a drop.
    pub factor: f64,
    /// Minimum of the larger count of a spike or a drop.
    pub minimum: u64,
    /// Methods to compare.
    pub methods: Vec<Method>,
}

impl Default for DiffOptions {
    /// All methods but latencies, which hardly repeat.
    fn default() -> Self {
        let methods = Method::ALL.into_iter().filter(|method| !matches!(method, Method::Ja4l | Method::Ja4ls));
        Self { factor: 3.0, minimum: 10, methods: methods.collect() }
    }
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Not in the first window.
    New,
    /// Not in the second.
    Gone,
    /// More frequent by the ratio.
    Spiked,
    /// Less frequent by the ratio.
    Dropped,
}

impl Change {
    /// Returns the name in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Gone => "gone",
            Self::Spiked => "spiked",
            Self::Dropped => "dropped",
        }
    }
}

/// A changed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueDifference {
    /// The kind of the change.
    pub change: Change,
    /// Method.
    pub method: Method,
    /// The value.
    pub value: String,
    /// The application.
    pub app: Option<String>,
    /// Counts in both windows.
    pub counts: [u64; 2],
}

/// The changes between two windows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiffReport {
    /// Sorted by kind, most frequent first.
    pub differences: Vec<ValueDifference>,
    /// Fingerprints in both windows.
    pub totals: [u64; 2],
}

impl DatabaseReader {
    /// Compares the counts of each value. Windows of different durations are compared by rate.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub fn diff(&self, [a, b]: [DiffWindow; 2], options: &DiffOptions) -> Result<DiffReport, StorageError> {
        let methods: Vec<String> = options.methods.iter().map(|method| method.id().to_string()).collect();
        // Two short ranges of the index by value and time per value: no row is read.
        let count = "(SELECT count(*) FROM fingerprint f WHERE f.value = v.id AND f.time >= ? AND f.time < ?)";
        let select = format!(
            "SELECT method, value, label_name, first, second FROM (
                SELECT v.method, v.value, v.label_name, {count} AS first, {count} AS second
                FROM fingerprint_value v WHERE v.method IN ({}))
             WHERE first > 0 OR second > 0",
            methods.join(",")
        );
        let windows = [a.since, a.until, b.since, b.until].map(|time| Value::from(integer(time.0)));
        // Ratio of the durations.
        let scale = if a.seconds() > 0.0 { b.seconds() / a.seconds() } else { 1.0 };
        self.limited(|database| {
            let mut diff = DiffReport::default();
            let mut select = database.prepare(&select)?;
            let mut rows = select.query(params_from_iter(windows))?;
            while let Some(row) = rows.next()? {
                let mut columns = ColumnReader::from(row, 0);
                let (Some(method), value, app) = (columns.method()?, columns.text()?, columns.text()?) else {
                    continue;
                };
                let counts = [columns.count()?, columns.count()?];
                for (total, count) in diff.totals.iter_mut().zip(counts) {
                    *total += count;
                }
                if let Some(change) = classify(counts, scale, options) {
                    let value = value.unwrap_or_default();
                    diff.differences.push(ValueDifference { change, method, value, app, counts });
                }
            }
            let larger_count = |of: &ValueDifference| std::cmp::Reverse(of.counts.into_iter().max());
            diff.differences.sort_by(|a, b| {
                (a.change, larger_count(a), a.method, &a.value).cmp(&(b.change, larger_count(b), b.method, &b.value))
            });
            Ok(diff)
        })
    }
}

fn classify([a, b]: [u64; 2], scale: f64, options: &DiffOptions) -> Option<Change> {
    let (expected, observed) = (a as f64 * scale, b as f64);
    match (a, b) {
        (0, 0) => None,
        (0, _) => Some(Change::New),
        (_, 0) => Some(Change::Gone),
        _ if b >= options.minimum && observed >= expected * options.factor => Some(Change::Spiked),
        _ if a >= options.minimum && expected >= observed * options.factor => Some(Change::Dropped),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_depend_on_factor_minimum_and_duration() {
        let options = DiffOptions::default();
        let classified = |counts, scale| classify(counts, scale, &options);
        assert_eq!(classified([0, 1], 1.0), Some(Change::New));
        assert_eq!(classified([1, 0], 1.0), Some(Change::Gone));
        assert_eq!(classified([4, 12], 1.0), Some(Change::Spiked));
        assert_eq!(classified([4, 11], 1.0), None);
        assert_eq!(classified([3, 9], 1.0), None);
        assert_eq!(classified([12, 4], 1.0), Some(Change::Dropped));
        // Three times as many in three times the time.
        assert_eq!(classified([4, 12], 3.0), None);
        // As many in three times the time.
        assert_eq!(classified([12, 12], 3.0), Some(Change::Dropped));
        assert_eq!(classified([12, 12], 1.0 / 3.0), Some(Change::Spiked));
    }
}
