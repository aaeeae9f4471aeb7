//! Views: rows that a reader has asked for, at an interval.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::{Error as NameError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer as _};

use crate::encode::clock::Clock;
use crate::encode::{Filter, Format};
use crate::model::{ConnectionSelection, ConnectionSort, DisplayFilter, EngineQuery, QueryAnswer, RowSelection};
use crate::system::clock::wall_clock;

/// Maximum number of rows, and of rows that are left out before them.
const MAX_ROWS: usize = 1000;
const MAX_SKIP: usize = 10_000;

/// Intervals, milliseconds; 0 is one snapshot.
const INTERVALS: std::ops::RangeInclusive<u64> = 100..=3_600_000;

/// A request, one JSON object on a line: `{"view":"connections","sort":"bytes","rows":20,"interval_ms":500}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFields {
    view: ViewName,
    /// Format of `events`.
    #[serde(default)]
    format: Option<Format>,
    /// Types and methods of `events`.
    #[serde(default)]
    types: Option<Filter>,
    /// Maximum number of rows.
    #[serde(default = "default_rows")]
    rows: usize,
    /// Rows that are left out before the first one.
    #[serde(default)]
    skip: usize,
    /// Time between two snapshots, milliseconds; 0: one snapshot.
    #[serde(default = "default_interval")]
    interval_ms: u64,
    /// Order of the rows.
    #[serde(default)]
    sort: Option<String>,
    /// Whether the largest comes first.
    #[serde(default = "default_descending")]
    descending: bool,
    /// Only connections that this selects.
    #[serde(default)]
    filter: Option<DisplayFilter>,
    /// The connection of the view `connection`.
    #[serde(default)]
    flow_id: Option<u64>,
    /// Time range of `history`.
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    until: Option<String>,
    /// Time ranges of `diff`.
    #[serde(default)]
    before: Option<[String; 2]>,
    #[serde(default)]
    after: Option<[String; 2]>,
}

/// A valid request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReaderRequest {
    View(ViewRequest),
    Events(Arc<EventStream>),
}

/// The events that a reader gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventStream {
    pub(crate) format: Format,
    pub(crate) types: Filter,
    /// Only those of connections that this selects.
    pub(crate) filter: Option<DisplayFilter>,
}

/// A request for the rows of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ViewRequest {
    view: ViewName,
    interval: Option<Duration>,
    query: ViewQuery,
}

/// What a view asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ViewQuery {
    /// The state of the sensor.
    Engine(EngineQuery),
    /// The state and the counters of the sensor.
    Summary,
    /// Connections of a time range: those of the database, and those that the sensor knows.
    History { since: Option<String>, until: Option<String>, rows: RowSelection<ConnectionSort> },
    /// Values that changed between two time ranges of the database.
    Diff { before: [String; 2], after: [String; 2], skip: usize, most: usize },
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ViewName {
    Events,
    Connections,
    Connection,
    Alerts,
    Rules,
    Summary,
    Hosts,
    Values,
    History,
    Diff,
}

const fn default_rows() -> usize {
    50
}

const fn default_interval() -> u64 {
    1000
}

const fn default_descending() -> bool {
    true
}

impl ViewName {
    const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Connections => "connections",
            Self::Connection => "connection",
            Self::Alerts => "alerts",
            Self::Rules => "rules",
            Self::Summary => "summary",
            Self::Hosts => "hosts",
            Self::Values => "values",
            Self::History => "history",
            Self::Diff => "diff",
        }
    }

    /// Whether a filter selects its rows.
    const fn has_filter(self) -> bool {
        matches!(self, Self::Events | Self::Connections | Self::Hosts | Self::Values | Self::History)
    }
}

impl RequestFields {
    fn check(&self) -> Result<(), String> {
        let Self { view, format, types, rows, skip, interval_ms, filter, .. } = self;
        if !(1..=MAX_ROWS).contains(rows) {
            return Err(format!("invalid rows {rows}; expected 1 to {MAX_ROWS}"));
        }
        if *skip > MAX_SKIP {
            return Err(format!("invalid skip {skip}; expected at most {MAX_SKIP}"));
        }
        if *interval_ms != 0 && !INTERVALS.contains(interval_ms) {
            let (least, most) = (INTERVALS.start(), INTERVALS.end());
            return Err(format!("invalid interval_ms {interval_ms}; expected 0, or {least} to {most}"));
        }
        if *view != ViewName::Events && (format.is_some() || types.is_some()) {
            return Err(format!("the view {} has neither format nor types", view.name()));
        }
        if filter.is_some() && !view.has_filter() {
            return Err(format!("the view {} has no filter", view.name()));
        }
        Ok(())
    }

    /// The rows, in an order of the view.
    fn rows<S: DeserializeOwned + Default>(self) -> Result<RowSelection<S>, String> {
        let Self { rows: most, skip, sort, descending, filter, .. } = self;
        let sort = match sort.as_deref() {
            Some(name) => {
                let name: StrDeserializer<'_, NameError> = name.into_deserializer();
                S::deserialize(name).map_err(|error| format!("invalid sort: {error}"))?
            }
            None => S::default(),
        };
        Ok(RowSelection { filter: filter.map(Arc::new), sort, descending, skip, most })
    }

    fn query(self) -> Result<ViewQuery, String> {
        Ok(match self.view {
            // It is no query, see `ReaderRequest::parse`.
            ViewName::Events => ViewQuery::Summary,
            ViewName::Connections => {
                let selection = ConnectionSelection { rows: self.rows()?, with_ended: true };
                ViewQuery::Engine(EngineQuery::Connections(selection))
            }
            ViewName::Connection => {
                let flow = self.flow_id.ok_or("the view connection needs a flow_id")?;
                let filter = Some(Arc::new(DisplayFilter::of_flow(flow)));
                let rows = RowSelection { filter, most: 1, descending: true, ..RowSelection::default() };
                ViewQuery::Engine(EngineQuery::Connections(ConnectionSelection { rows, with_ended: true }))
            }
            ViewName::Alerts => ViewQuery::Engine(EngineQuery::Alerts { skip: self.skip, most: self.rows }),
            ViewName::Rules => ViewQuery::Engine(EngineQuery::Rules),
            ViewName::Summary => ViewQuery::Summary,
            ViewName::Hosts => ViewQuery::Engine(EngineQuery::Hosts(self.rows()?)),
            ViewName::Values => ViewQuery::Engine(EngineQuery::Values(self.rows()?)),
            ViewName::History => {
                let (since, until) = (self.since.clone(), self.until.clone());
                ViewQuery::History { since, until, rows: self.rows()? }
            }
            ViewName::Diff => {
                let missing = "the view diff needs before and after, each two times";
                let (before, after) = (self.before.ok_or(missing)?, self.after.ok_or(missing)?);
                ViewQuery::Diff { before, after, skip: self.skip, most: self.rows }
            }
        })
    }
}

impl ReaderRequest {
    /// Parses a line.
    ///
    /// # Errors
    /// A message that names the cause.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let fields: RequestFields =
            serde_json::from_slice(line).map_err(|error| format!("invalid request: {error}"))?;
        fields.check()?;
        let RequestFields { view, format, types, .. } = fields;
        if view == ViewName::Events {
            let (format, types) = (format.unwrap_or_default(), types.unwrap_or_default());
            return Ok(Self::Events(Arc::new(EventStream { format, types, filter: fields.filter })));
        }
        let interval = Some(fields.interval_ms).filter(|interval| *interval > 0).map(Duration::from_millis);
        Ok(Self::View(ViewRequest { view, interval, query: fields.query()? }))
    }
}

impl ViewRequest {
    /// Time between two snapshots; `None`: there is one.
    pub(super) const fn interval(&self) -> Option<Duration> {
        self.interval
    }

    pub(super) const fn query(&self) -> &ViewQuery {
        &self.query
    }

    /// Returns the line of a snapshot. `lost` snapshots were not sent before it.
    pub(super) fn line(&self, answer: &QueryAnswer, lost: u64) -> Vec<u8> {
        let QueryAnswer { rows, matched, is_partial } = answer;
        let mut line = b"{\"timestamp\":\"".to_vec();
        Clock::new().timestamp(wall_clock(), &mut line);
        let partial = if *is_partial { "\"partial\":true," } else { "" };
        let name = self.view.name();
        let head = format!(
            "\",\"event_type\":\"view\",\"view\":\"{name}\",\"lost\":{lost},\"matched\":{matched},{partial}\"rows\":["
        );
        line.extend_from_slice(head.as_bytes());
        for (place, row) in rows.iter().enumerate() {
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ViewError {
    /// The sensor has too many queries; the next one may succeed.
    Busy,
    /// The query cannot be answered, with the reason.
    Refused(String),
    /// The sensor is shutting down.
    Ended,
}

/// Answers queries.
pub(crate) type ViewSource = Arc<dyn Fn(&ViewQuery) -> Result<QueryAnswer, ViewError> + Send + Sync>;

/// The source of the rows, once the sensor has started.
#[derive(Default)]
pub(super) struct ViewSlot(OnceLock<ViewSource>);

impl ViewSlot {
    pub(super) fn set(&self, source: ViewSource) {
        let _first = self.0.set(source);
    }

    pub(super) fn query(&self, query: &ViewQuery) -> Result<QueryAnswer, ViewError> {
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
    use bytes::Bytes;

    use super::*;
    use crate::model::{HostSort, ValueSort};

    fn view(line: &str) -> ViewRequest {
        match ReaderRequest::parse(line.as_bytes()).unwrap() {
            ReaderRequest::View(view) => view,
            ReaderRequest::Events(stream) => panic!("{stream:?}"),
        }
    }

    fn query(line: &str) -> ViewQuery {
        view(line).query
    }

    #[test]
    fn events_are_requested_in_a_format() {
        let line = br#"{"view":"events","format":"csv","types":["ja4","alert"],"filter":"app:curl"}"#;
        let ReaderRequest::Events(stream) = ReaderRequest::parse(line).unwrap() else { panic!("no events") };
        let filter = Some(DisplayFilter::parse("app:curl").unwrap());
        assert_eq!(*stream, EventStream { format: Format::Csv, types: "ja4,alert".parse().unwrap(), filter });
        let error = ReaderRequest::parse(br#"{"view":"hosts","format":"csv"}"#).unwrap_err();
        assert_eq!(error, "the view hosts has neither format nor types");
    }

    #[test]
    fn a_request_has_defaults_and_bounds() {
        let request = view(r#"{"view":"connections"}"#);
        let rows = RowSelection { descending: true, most: 50, ..RowSelection::default() };
        let selection = ConnectionSelection { rows, with_ended: true };
        assert_eq!(request.query, ViewQuery::Engine(EngineQuery::Connections(selection)));
        assert_eq!(request.interval, Some(Duration::from_secs(1)));
        assert_eq!(view(r#"{"view":"rules","interval_ms":0}"#).interval, None);
        for (line, error) in [
            (r#"{"view":"connections","rows":0}"#, "invalid rows 0; expected 1 to 1000"),
            (r#"{"view":"connections","skip":10001}"#, "invalid skip 10001; expected at most 10000"),
            (r#"{"view":"alerts","interval_ms":99}"#, "invalid interval_ms 99; expected 0, or 100 to 3600000"),
            (r#"{"view":"alerts","filter":"new"}"#, "the view alerts has no filter"),
            (r#"{"view":"connection"}"#, "the view connection needs a flow_id"),
            (r#"{"view":"diff","before":["2h","1h"]}"#, "the view diff needs before and after, each two times"),
            (
                r#"{"view":"hosts","sort":"sni"}"#,
                "invalid sort: unknown variant `sni`, expected one of `connections`, `bytes`, `alerts`, `last`, `ip`, `os`",
            ),
        ] {
            assert_eq!(ReaderRequest::parse(line.as_bytes()), Err(error.to_owned()));
        }
        let invalid = ReaderRequest::parse(br#"{"view":"hosts","filter":"nwe"}"#).unwrap_err();
        assert!(invalid.starts_with("invalid request: character 1: unknown word 'nwe'"), "{invalid}");
        for line in ["", "connections", r#"{"view":"clients"}"#, r#"{"view":"rules","colour":1}"#, r#"{"rows":1}"#] {
            assert!(ReaderRequest::parse(line.as_bytes()).unwrap_err().starts_with("invalid request: "), "{line}");
        }
    }

    #[test]
    fn each_view_has_orders_of_its_own() {
        let hosts = RowSelection { sort: HostSort::Bytes, descending: false, most: 3, ..RowSelection::default() };
        assert_eq!(
            query(r#"{"view":"hosts","sort":"bytes","descending":false,"rows":3}"#),
            ViewQuery::Engine(EngineQuery::Hosts(hosts))
        );
        let values = RowSelection { sort: ValueSort::FirstSeen, descending: true, most: 50, ..RowSelection::default() };
        let asked = query(r#"{"view":"values","sort":"first_seen"}"#);
        assert_eq!(asked, ViewQuery::Engine(EngineQuery::Values(values)));
    }

    #[test]
    fn a_snapshot_is_one_line() {
        let request = view(r#"{"view":"rules","rows":2}"#);
        let rows = ["{\"a\":1}\n", "{\"a\":2}\n"].map(|row| Bytes::from_static(row.as_bytes())).to_vec();
        let line = request.line(&QueryAnswer { rows, matched: 3, is_partial: true }, 7);
        let (_, line) = std::str::from_utf8(&line).unwrap().split_once(",\"event_type\"").unwrap();
        let rest =
            ":\"view\",\"view\":\"rules\",\"lost\":7,\"matched\":3,\"partial\":true,\"rows\":[{\"a\":1},{\"a\":2}]}\n";
        assert_eq!(line, rest);
    }
}
