//! Views: rows that a reader has asked for, at an interval.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use crate::model::{ConnectionSelection, ConnectionSort, EngineQuery};

/// Maximum number of rows.
const MAX_ROWS: usize = 1000;

/// Intervals, milliseconds.
const INTERVALS: std::ops::RangeInclusive<u64> = 100..=3_600_000;

/// A request, one JSON object on a line: `{"view":"connections","sort":"bytes","rows":20,"interval_ms":500}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ViewRequest {
    view: ViewName,
    /// Maximum number of rows.
    #[serde(default = "default_rows")]
    rows: usize,
    /// Time between two snapshots, milliseconds.
    #[serde(default = "default_interval")]
    interval_ms: u64,
    /// Order of connections.
    #[serde(default)]
    sort: ConnectionSort,
    /// Only connections of this client or server.
    #[serde(default)]
    host: Option<IpAddr>,
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ViewName {
    Connections,
    Alerts,
    Rules,
}

fn default_rows() -> usize {
    50
}

fn default_interval() -> u64 {
    1000
}

impl ViewRequest {
    /// Parses a line.
    ///
    /// # Errors
    /// A message that names the cause.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let request: Self = serde_json::from_slice(line).map_err(|error| format!("invalid request: {error}"))?;
        if !(1..=MAX_ROWS).contains(&request.rows) {
            return Err(format!("invalid rows {}; expected 1 to {MAX_ROWS}", request.rows));
        }
        if !INTERVALS.contains(&request.interval_ms) {
            let (least, most) = (INTERVALS.start(), INTERVALS.end());
            return Err(format!("invalid interval_ms {}; expected {least} to {most}", request.interval_ms));
        }
        Ok(request)
    }

    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }

    pub(super) fn query(&self) -> EngineQuery {
        let Self { view, rows: most, sort, host, .. } = *self;
        match view {
            ViewName::Connections => EngineQuery::Connections(ConnectionSelection { most, host, sort }),
            ViewName::Alerts => EngineQuery::Alerts { most },
            ViewName::Rules => EngineQuery::Rules,
        }
    }

    /// Returns the line of a snapshot. `rows` are JSON objects; `lost` snapshots were not sent before it.
    pub(super) fn line(&self, rows: &[Bytes], lost: u64) -> Vec<u8> {
        let name = match self.view {
            ViewName::Connections => "connections",
            ViewName::Alerts => "alerts",
            ViewName::Rules => "rules",
        };
        let mut line = format!("{{\"event_type\":\"view\",\"view\":\"{name}\",\"lost\":{lost},\"rows\":[").into_bytes();
        for (place, row) in rows.iter().take(self.rows).enumerate() {
            if place > 0 {
                line.push(b',');
            }
            line.extend_from_slice(row.trim_ascii_end());
        }
        line.extend_from_slice(b"]}\n");
        line
    }
}

/// Why there are no rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViewError {
    /// The sensor has too many queries; the next one may succeed.
    Busy,
    /// The sensor is shutting down.
    Ended,
}

/// Answers queries.
pub(crate) type ViewSource = Arc<dyn Fn(EngineQuery) -> Result<Vec<Bytes>, ViewError> + Send + Sync>;

/// The source of the rows, once the sensor has started.
#[derive(Default)]
pub(super) struct ViewSlot(OnceLock<ViewSource>);

impl ViewSlot {
    pub(super) fn set(&self, source: ViewSource) {
        let _first = self.0.set(source);
    }

    pub(super) fn query(&self, query: EngineQuery) -> Result<Vec<Bytes>, ViewError> {
        self.0.get().map_or(Err(ViewError::Busy), |source| source(query))
    }
}

impl fmt::Debug for ViewSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewSlot").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_defaults_and_bounds() {
        let request = ViewRequest::parse(br#"{"view":"connections"}"#).unwrap();
        let selection = ConnectionSelection { most: 50, host: None, sort: ConnectionSort::Last };
        assert_eq!(
            (request.query(), request.interval()),
            (EngineQuery::Connections(selection), Duration::from_secs(1))
        );
        for (line, error) in [
            (r#"{"view":"connections","rows":0}"#, "invalid rows 0; expected 1 to 1000"),
            (r#"{"view":"alerts","interval_ms":99}"#, "invalid interval_ms 99; expected 100 to 3600000"),
        ] {
            assert_eq!(ViewRequest::parse(line.as_bytes()), Err(error.to_owned()));
        }
        for line in ["", "connections", r#"{"view":"hosts"}"#, r#"{"view":"rules","colour":1}"#, r#"{"rows":1}"#] {
            assert!(ViewRequest::parse(line.as_bytes()).unwrap_err().starts_with("invalid request: "), "{line}");
        }
    }

    #[test]
    fn a_snapshot_is_one_line() {
        let request = ViewRequest::parse(br#"{"view":"rules","rows":2}"#).unwrap();
        let rows = ["{\"a\":1}\n", "{\"a\":2}\n", "{\"a\":3}\n"].map(|row| Bytes::from_static(row.as_bytes()));
        let line = String::from_utf8(request.line(&rows, 7)).unwrap();
        assert_eq!(line, "{\"event_type\":\"view\",\"view\":\"rules\",\"lost\":7,\"rows\":[{\"a\":1},{\"a\":2}]}\n");
    }
}
