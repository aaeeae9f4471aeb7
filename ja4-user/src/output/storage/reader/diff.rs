//! What has changed from one window of time to another.

use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::DatabaseReader;
use super::stored::Columns;
use crate::model::{Method, Time};
use crate::output::storage::StorageError;
use crate::output::storage::columns::{integer, method_number};

/// From a moment on, up to another one, which is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffWindow {
    /// First moment.
    pub since: Time,
    /// First moment after it.
    pub until: Time,
}

impl DiffWindow {
    /// How long it is, seconds.
    fn seconds(self) -> f64 {
        self.until.0.saturating_sub(self.since.0) as f64 / 1e9
    }
}

/// What counts as a change.
#[derive(Clone, Debug)]
pub struct DiffOptions {
    /// A rate that is so many times the other one is a spike, or a drop.
    pub factor: f64,
    /// The larger count of a spike or a drop is at least this.
    pub minimum: u64,
    /// Methods that are looked at.
    pub methods: Vec<Method>,
}

impl Default for DiffOptions {
    /// All methods but latencies: nearly each is a value of its own.
    fn default() -> Self {
        let methods = Method::ALL.into_iter().filter(|method| !matches!(method, Method::Ja4l | Method::Ja4ls));
        Self { factor: 3.0, minimum: 10, methods: methods.collect() }
    }
}

/// How a value has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Not in the first window.
    New,
    /// Not in the second.
    Gone,
    /// Far more often.
    Spiked,
    /// Far less often.
    Dropped,
}

impl Change {
    /// The name in output.
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

/// A value that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueDifference {
    /// How.
    pub change: Change,
    /// Method.
    pub method: Method,
    /// The value.
    pub value: String,
    /// Whose it is.
    pub app: Option<String>,
    /// How often it was seen in either window.
    pub counts: [u64; 2],
}

/// All that has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiffReport {
    /// By change, the most frequent first.
    pub differences: Vec<ValueDifference>,
    /// Fingerprints in either window.
    pub totals: [u64; 2],
}

impl DatabaseReader {
    /// Compares how often each value was seen. Windows of different lengths are compared by rate.
    ///
    /// # Errors
    /// If the time is over, or the file is damaged.
    pub fn diff(&self, [a, b]: [DiffWindow; 2], options: &DiffOptions) -> Result<DiffReport, StorageError> {
        let methods: Vec<String> = options.methods.iter().map(|method| method_number(*method).to_string()).collect();
        // Two short ranges of the index by value and time for each value: no row is read.
        let count = "(SELECT count(*) FROM fingerprint f WHERE f.value = v.id AND f.time >= ? AND f.time < ?)";
        let select = format!(
            "SELECT method, value, app, first, second FROM (
                SELECT v.method, v.value, v.app, {count} AS first, {count} AS second
                FROM fingerprint_value v WHERE v.method IN ({}))
             WHERE first > 0 OR second > 0",
            methods.join(",")
        );
        let windows = [a.since, a.until, b.since, b.until].map(|time| Value::from(integer(time.0)));
        // How much of the first window the second one is.
        let scale = if a.seconds() > 0.0 { b.seconds() / a.seconds() } else { 1.0 };
        self.limited(|database| {
            let mut diff = DiffReport::default();
            let mut select = database.prepare(&select)?;
            let mut rows = select.query(params_from_iter(windows))?;
            while let Some(row) = rows.next()? {
                let mut of = Columns::from(row, 0);
                let (Some(method), value, app) = (of.method()?, of.text()?, of.text()?) else {
                    continue;
                };
                let counts = [of.count()?, of.count()?];
                for (total, count) in diff.totals.iter_mut().zip(counts) {
                    *total += count;
                }
                if let Some(change) = judge(counts, scale, options) {
                    let value = value.unwrap_or_default();
                    diff.differences.push(ValueDifference { change, method, value, app, counts });
                }
            }
            let most = |one: &ValueDifference| std::cmp::Reverse(one.counts.into_iter().max());
            diff.differences.sort_by(|one, other| {
                (one.change, most(one), one.method, &one.value).cmp(&(
                    other.change,
                    most(other),
                    other.method,
                    &other.value,
                ))
            });
            Ok(diff)
        })
    }
}

fn judge([a, b]: [u64; 2], scale: f64, options: &DiffOptions) -> Option<Change> {
    let (expected, seen) = (a as f64 * scale, b as f64);
    match (a, b) {
        (0, 0) => None,
        (0, _) => Some(Change::New),
        (_, 0) => Some(Change::Gone),
        _ if b >= options.minimum && seen >= expected * options.factor => Some(Change::Spiked),
        _ if a >= options.minimum && expected >= seen * options.factor => Some(Change::Dropped),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factor_minimum_and_length_decide() {
        let options = DiffOptions::default();
        let judged = |counts, scale| judge(counts, scale, &options);
        assert_eq!(judged([0, 1], 1.0), Some(Change::New));
        assert_eq!(judged([1, 0], 1.0), Some(Change::Gone));
        assert_eq!(judged([4, 12], 1.0), Some(Change::Spiked));
        assert_eq!(judged([4, 11], 1.0), None);
        assert_eq!(judged([3, 9], 1.0), None);
        assert_eq!(judged([12, 4], 1.0), Some(Change::Dropped));
        // Three times as many in three times the time.
        assert_eq!(judged([4, 12], 3.0), None);
        // As many in three times the time.
        assert_eq!(judged([12, 12], 3.0), Some(Change::Dropped));
        assert_eq!(judged([12, 12], 1.0 / 3.0), Some(Change::Spiked));
    }
}
