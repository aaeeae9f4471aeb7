//! Requests and answers of the attach socket.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::row;

/// Longest answer, bytes: 1000 connections with all their fingerprints take a few megabytes.
pub(super) const MAX_ANSWER: u64 = 64 << 20;

/// Most rows of one answer.
pub(super) const MAX_ROWS: usize = 1000;

/// Most rows that are left out before those of an answer.
pub(super) const MAX_SKIP: usize = 10_000;

/// A request for the rows of a view, one JSON object on a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct TopRequest {
    /// Name of the view.
    pub(super) view: &'static str,
    /// Time between two answers, milliseconds; 0: one answer.
    pub(super) interval_ms: u64,
    /// Most rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rows: Option<usize>,
    /// Rows that are left out before them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) skip: Option<usize>,
    /// Order of the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) descending: Option<bool>,
    /// Expression that selects rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) flow_id: Option<u64>,
    /// Time range of `history`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<String>,
    /// Time ranges of `diff`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<[String; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<[String; 2]>,
}

impl TopRequest {
    /// Returns the line that is sent.
    pub(super) fn line(&self) -> String {
        // Strings and numbers always serialize.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

/// The rows of a view at one moment.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct TopSnapshot {
    /// Name of the view.
    pub(super) view: String,
    /// Whether the sensor compared only some of its connections, because there are too many.
    #[serde(default, rename = "partial")]
    pub(super) is_partial: bool,
    /// Number of rows before the request's cut.
    #[serde(default)]
    pub(super) matched: Option<u64>,
    pub(super) rows: Vec<Value>,
}

impl TopSnapshot {
    /// Number of rows before the request's cut.
    pub(super) fn total(&self) -> usize {
        self.matched.and_then(|count| usize::try_from(count).ok()).unwrap_or(self.rows.len())
    }
}

/// A line of the sensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TopAnswer {
    Rows(TopSnapshot),
    /// The request was refused, with the reason.
    Refused(String),
}

impl TopAnswer {
    /// Parses a line. Events, which a reader gets until its request arrives, are no answers.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let mut value: Value = serde_json::from_slice(line).ok()?;
        match value.get("event_type")?.as_str()? {
            "view" => serde_json::from_value(value.take()).ok().map(Self::Rows),
            "refused" => Some(Self::Refused(row::text(&value, "reason").unwrap_or_default())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_only_what_it_asks_for() {
        let request = TopRequest { view: "connections", interval_ms: 500, rows: Some(19), ..TopRequest::default() };
        assert_eq!(request.line(), "{\"view\":\"connections\",\"interval_ms\":500,\"rows\":19}\n");
    }

    #[test]
    fn answers_are_told_from_events() {
        let line = br#"{"event_type":"view","view":"rules","lost":0,"matched":7,"rows":[{"rule":"beacon"}]}"#;
        let Some(TopAnswer::Rows(snapshot)) = TopAnswer::parse(line) else { panic!() };
        assert_eq!((snapshot.view.as_str(), snapshot.total(), snapshot.rows.len()), ("rules", 7, 1));
        let refused = TopAnswer::parse(b"{\"event_type\":\"refused\",\"reason\":\"no \\u001b database\"}");
        assert_eq!(refused, Some(TopAnswer::Refused(r"no \u{1b} database".to_owned())));
        for line in [&b"{\"event_type\":\"alert\"}"[..], b"", b"[]", b"{\"event_type\":\"view\"}"] {
            assert_eq!(TopAnswer::parse(line), None);
        }
    }
}
