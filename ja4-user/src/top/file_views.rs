//! The views over a capture file, as a sensor gives them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::file_rows::{FileConnection, FileRows};
use super::request::{TopAnswer, TopRequest, TopSnapshot};
use super::row;
use super::state::top_state::StartRanges;
use crate::model::{DisplayFilter, Method, Time};
use crate::output::storage::reader::times;
use crate::output::storage::{DatabaseReader, DiffOptions};

/// Clients, and values of each method, in the summary.
const TOP: usize = 5;

/// Client stacks that are named of a host.
const MAX_STACKS: usize = 8;

/// The views over the rows of a file.
#[derive(Debug)]
pub(super) struct FileViews {
    rows: FileRows,
    /// The end of the capture: what `now` and relative times refer to.
    end: Time,
}

/// An order of rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum FileSortKey {
    Absent,
    Number(u64),
    Address(IpAddr),
    Text(String),
}

impl FileViews {
    pub(super) fn new(rows: FileRows) -> Self {
        let latest = rows.connections.iter().map(|connection| connection.stored.last.0).max().unwrap_or_default();
        Self { rows, end: Time(latest.saturating_add(1)) }
    }

    /// Time ranges that suit the capture: all of it, and its two halves.
    pub(super) fn ranges(&self) -> StartRanges {
        let start = self.rows.connections.iter().map(|connection| connection.stored.start.0).min().unwrap_or_default();
        let seconds = (self.end.0.saturating_sub(start) / 1_000_000_000).saturating_add(2);
        let half = seconds / 2 + 1;
        StartRanges {
            investigate: format!("{seconds}s..now"),
            diff: format!("{}s..{half}s {half}s..now", seconds.max(half + 1)),
        }
    }

    /// Answers a request.
    pub(super) fn answer(&self, request: &TopRequest) -> TopAnswer {
        match self.rows_of(request) {
            Ok(rows) => {
                let matched = Some(rows.len() as u64);
                let (skip, most) = (request.skip.unwrap_or_default(), request.rows.unwrap_or(usize::MAX));
                let rows = rows.into_iter().skip(skip).take(most).collect();
                TopAnswer::Rows(TopSnapshot { view: request.view.to_owned(), is_partial: false, matched, rows })
            }
            Err(reason) => TopAnswer::Refused(reason),
        }
    }

    fn rows_of(&self, request: &TopRequest) -> Result<Vec<Value>, String> {
        let connections = self.selected(request)?;
        let mut rows = match request.view {
            "connections" | "history" => connections.into_iter().cloned().collect(),
            "connection" => {
                let is_asked = |row: &&Value| row::number(row, "flow_id") == request.flow_id;
                connections.into_iter().filter(is_asked).cloned().collect()
            }
            "alerts" => self.rows.alerts.clone(),
            "rules" => self.rules(),
            "summary" => vec![self.summary()],
            "hosts" => hosts(&connections),
            "values" => values(&connections),
            "diff" => return self.differences(request),
            view => return Err(format!("unknown view {view}")),
        };
        if let Some(sort) = request.sort {
            rows.sort_by_cached_key(|row| sort_key(sort, row));
            if request.descending == Some(true) {
                rows.reverse();
            }
        }
        Ok(rows)
    }

    /// The connections in the time range that the filter selects.
    fn selected(&self, request: &TopRequest) -> Result<Vec<&Value>, String> {
        let filter =
            request.filter.as_deref().map(DisplayFilter::parse).transpose().map_err(|error| error.to_string())?;
        let bound = |text: &Option<String>| text.as_deref().map(|text| times::parse(text, self.end)).transpose();
        let (since, until) = (bound(&request.since)?, bound(&request.until)?);
        let is_selected = |connection: &&FileConnection| {
            since.is_none_or(|since| connection.stored.last >= since)
                && until.is_none_or(|until| connection.stored.start < until)
                && filter.as_ref().is_none_or(|filter| filter.matches(&connection.stored))
        };
        Ok(self.rows.connections.iter().filter(is_selected).map(|connection| &connection.row).collect())
    }

    /// The rules that raised alerts.
    fn rules(&self) -> Vec<Value> {
        let mut fired: BTreeMap<(String, String), u64> = BTreeMap::new();
        for alert in &self.rows.alerts {
            let text = |path| row::text(alert, path).unwrap_or_default();
            let rule = (text("alert.ja4sensor.rule"), text("alert.ja4sensor.severity"));
            *fired.entry(rule).or_default() += 1;
        }
        fired
            .into_iter()
            .map(|((rule, severity), fired)| json!({"rule": rule, "severity": severity, "fired": fired}))
            .collect()
    }

    fn summary(&self) -> Value {
        let connections: Vec<&Value> = self.rows.connections.iter().map(|connection| &connection.row).collect();
        let mut alerts: BTreeMap<String, u64> = BTreeMap::new();
        for severity in self.rows.alerts.iter().filter_map(|alert| row::text(alert, "alert.ja4sensor.severity")) {
            *alerts.entry(severity).or_default() += 1;
        }
        let mut talkers = hosts(&connections);
        talkers.sort_by_key(|host| Reverse(row::number(host, "bytes")));
        talkers.truncate(TOP);
        let mut top = values(&connections);
        // Latencies seldom repeat.
        top.retain(|value| !matches!(row::text(value, "type").as_deref(), Some("ja4l" | "ja4ls")));
        top.sort_by_key(|value| Reverse(row::number(value, "connections")));
        let mut shown: BTreeMap<String, usize> = BTreeMap::new();
        top.retain(|value| {
            let shown = shown.entry(row::text(value, "type").unwrap_or_default()).or_default();
            *shown += 1;
            *shown <= TOP
        });
        json!({
            "stats": self.rows.stats, "connections": {"open": 0, "recent": connections.len()}, "alerts": alerts,
            "talkers": talkers, "values": top,
        })
    }

    /// The values that changed between two time ranges.
    fn differences(&self, request: &TopRequest) -> Result<Vec<Value>, String> {
        let window = |range: &Option<[String; 2]>| {
            let [since, until] = range.as_ref().ok_or("two time ranges are needed: 2h..1h 1h..now")?;
            times::window_at(&format!("{since}..{until}"), self.end)
        };
        let windows = [window(&request.before)?, window(&request.after)?];
        let folder = self.rows.folder.as_ref().ok_or("there is no database")?;
        differences(&folder.database(), windows).map_err(|error| error.to_string())
    }
}

fn differences(
    database: &Path,
    windows: [crate::output::storage::DiffWindow; 2],
) -> Result<Vec<Value>, crate::output::storage::StorageError> {
    let report = DatabaseReader::open(database, None)?.diff(windows, &DiffOptions::default())?;
    let row = |difference: crate::output::storage::reader::ValueDifference| {
        let [first, second] = difference.counts;
        json!({
            "change": difference.change.name(), "type": difference.method.name(), "value": difference.value,
            "first": first, "second": second, "label": difference.app,
        })
    };
    Ok(report.differences.into_iter().map(row).collect())
}

/// One row for each client.
fn hosts(connections: &[&Value]) -> Vec<Value> {
    #[derive(Default)]
    struct ClientHost {
        connections: u64,
        bytes: u64,
        alerts: u64,
        os: Option<String>,
        last: String,
        stacks: Vec<Value>,
    }
    let mut hosts: BTreeMap<String, ClientHost> = BTreeMap::new();
    for connection in connections {
        let text = |path| row::text(connection, path);
        let host = hosts.entry(text("src_ip").unwrap_or_default()).or_default();
        host.connections += 1;
        host.bytes += row::sum(connection, &["connection.bytes_toserver", "connection.bytes_toclient"]).unwrap_or(0);
        host.alerts += row::list(connection, "alerts").len() as u64;
        host.os = text("os").or(host.os.take());
        host.last = text("connection.end").unwrap_or_default().max(std::mem::take(&mut host.last));
        let stack = json!({"type": text("primary.type"), "value": text("primary.value"), "app": text("app.name")});
        let names_client = text("primary.type").is_some_and(|method| method != Method::Ja4t.name());
        if names_client && host.stacks.len() < MAX_STACKS && !host.stacks.contains(&stack) {
            host.stacks.push(stack);
        }
    }
    hosts
        .into_iter()
        .map(|(ip, host)| {
            json!({
                "ip": ip, "connections": host.connections, "bytes": host.bytes, "alerts": host.alerts, "os": host.os,
                "last": host.last, "stacks": host.stacks,
            })
        })
        .collect()
}

/// One row for each fingerprint.
fn values(connections: &[&Value]) -> Vec<Value> {
    #[derive(Default)]
    struct SeenValue {
        hosts: BTreeSet<String>,
        flows: BTreeSet<u64>,
        first: Option<String>,
        last: String,
        label: Option<String>,
        known_bad: Value,
    }
    let mut values: BTreeMap<(String, String), SeenValue> = BTreeMap::new();
    for connection in connections {
        for fingerprint in row::list(connection, "fingerprints") {
            let text = |path| row::text(fingerprint, path);
            let (Some(method), Some(value), Some(time)) = (text("type"), text("value"), text("timestamp")) else {
                continue;
            };
            let seen = values.entry((method, value)).or_default();
            seen.hosts.extend(row::text(connection, "src_ip"));
            seen.flows.extend(row::number(connection, "flow_id"));
            if seen.first.as_ref().is_none_or(|first| *first > time) {
                seen.first = Some(time.clone());
            }
            seen.last = std::mem::take(&mut seen.last).max(time);
            seen.label = text("label.name").or(seen.label.take());
            if let Some(bad) = fingerprint.get("known_bad") {
                seen.known_bad = bad.clone();
            }
        }
    }
    values
        .into_iter()
        .map(|((method, value), seen)| {
            json!({
                "type": method, "value": value, "label": seen.label, "hosts": seen.hosts.len(),
                "connections": seen.flows.len(), "first_seen": seen.first, "last": seen.last, "known_bad": seen.known_bad,
            })
        })
        .collect()
}

/// What a row is sorted by.
fn sort_key(sort: &str, of: &Value) -> FileSortKey {
    let text = |paths: &[&str]| {
        row::first_text(of, paths).map_or(FileSortKey::Absent, |text| FileSortKey::Text(text.to_lowercase()))
    };
    let address =
        |path| row::text(of, path).and_then(|text| text.parse().ok()).map_or(FileSortKey::Absent, FileSortKey::Address);
    let number = |sum: Option<u64>| sum.map_or(FileSortKey::Absent, FileSortKey::Number);
    match sort {
        "last" => text(&["connection.end", "last"]),
        "start" => text(&["connection.start"]),
        "client" => address("src_ip"),
        "ip" => address("ip"),
        "server" => address("dest_ip"),
        "sni" => text(&["tls.sni", "http.hostname", "dhcp.hostname"]),
        "app" => text(&["app.name"]),
        "value" => text(&["primary.value", "value"]),
        "packets" => number(row::sum(of, &["connection.pkts_toserver", "connection.pkts_toclient"])),
        "bytes" => number(
            row::number(of, "bytes").or(row::sum(of, &["connection.bytes_toserver", "connection.bytes_toclient"])),
        ),
        path => match row::number(of, path) {
            Some(count) => FileSortKey::Number(count),
            None => text(&[path]),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;
    use crate::model::field::Field;
    use crate::output::storage::reader::StoredConnection;

    fn views() -> FileViews {
        let connection = |id: u64, client: &str, app: &str, bytes: u64| {
            let time = format!("2026-12-01T06:39:{id:02}.000000000Z");
            let flow = example::record(client, "192.0.2.1", 443).identity;
            let start = Time((100 + id) * 1_000_000_000);
            FileConnection {
                stored: StoredConnection::example(flow, start, &[(Field::AppName, app)]),
                row: json!({
                    "flow_id": id, "src_ip": client, "dest_ip": "192.0.2.1", "app": {"name": app},
                    "connection": {"start": time, "end": time, "bytes_toserver": bytes, "bytes_toclient": 0},
                    "primary": {"type": "ja4", "value": format!("value of {app}")},
                    "fingerprints": [{"type": "ja4", "value": format!("value of {app}"), "timestamp": time,
                        "label": {"name": app}}],
                }),
            }
        };
        let alert =
            |flow: u64| json!({"flow_id": flow, "alert": {"ja4sensor": {"rule": "known_bad", "severity": "high"}}});
        FileViews::new(FileRows {
            connections: vec![
                connection(3, "10.0.0.10", "curl", 7),
                connection(2, "10.0.0.9", "Firefox", 900),
                connection(1, "10.0.0.9", "curl", 5),
            ],
            alerts: vec![alert(3), alert(2)],
            ..FileRows::default()
        })
    }

    fn ask(request: TopRequest) -> Vec<Value> {
        match views().answer(&request) {
            TopAnswer::Rows(snapshot) => snapshot.rows,
            TopAnswer::Refused(reason) => panic!("{reason}"),
        }
    }

    fn texts(rows: &[Value], path: &str) -> Vec<String> {
        rows.iter().map(|row| row::text(row, path).unwrap_or_default()).collect()
    }

    #[test]
    fn connections_are_sorted_cut_and_filtered() {
        let request = TopRequest { view: "connections", sort: Some("client"), ..TopRequest::default() };
        assert_eq!(texts(&ask(request.clone()), "src_ip"), ["10.0.0.9", "10.0.0.9", "10.0.0.10"]);
        let cut =
            TopRequest { sort: Some("bytes"), descending: Some(true), skip: Some(1), rows: Some(1), ..request.clone() };
        assert_eq!(texts(&ask(cut), "flow_id"), ["3"]);
        let curl = TopRequest { filter: Some("app:curl".to_owned()), ..request.clone() };
        assert_eq!(texts(&ask(curl), "flow_id"), ["1", "3"]);
        let one = TopRequest { view: "connection", flow_id: Some(2), ..TopRequest::default() };
        assert_eq!(texts(&ask(one), "app.name"), ["Firefox"]);
        let wrong = TopRequest { filter: Some("app:".to_owned()), ..request };
        assert!(matches!(views().answer(&wrong), TopAnswer::Refused(_)));
    }

    #[test]
    fn times_are_relative_to_the_end_of_the_capture() {
        let range = |since: &str, until: &str| {
            let request = TopRequest { view: "history", ..TopRequest::default() };
            ask(TopRequest { since: Some(since.to_owned()), until: Some(until.to_owned()), ..request })
        };
        assert_eq!(texts(&range("2s", "now"), "flow_id"), ["3", "2"]);
        assert_eq!(texts(&range("9s", "1s"), "flow_id"), ["2", "1"]);
        let ranges = views().ranges();
        assert_eq!((ranges.investigate.as_str(), ranges.diff.as_str()), ("4s..now", "4s..3s 3s..now"));
    }

    #[test]
    fn hosts_values_and_the_summary_are_counted() {
        let hosts = ask(TopRequest { view: "hosts", sort: Some("connections"), ..TopRequest::default() });
        assert_eq!(
            (texts(&hosts, "ip"), texts(&hosts, "bytes")),
            (vec!["10.0.0.10".into(), "10.0.0.9".into()], vec!["7".into(), "905".into()])
        );
        assert_eq!(hosts[1]["stacks"].as_array().unwrap().len(), 2);
        let values = ask(TopRequest { view: "values", ..TopRequest::default() });
        assert_eq!(texts(&values, "label"), ["Firefox", "curl"]);
        assert_eq!(
            (texts(&values, "hosts"), texts(&values, "connections")),
            (vec!["1".into(), "2".into()], vec!["1".into(), "2".into()])
        );
        assert_eq!(values[1]["first_seen"], "2026-12-01T06:39:01.000000000Z");
        let summary = ask(TopRequest { view: "summary", ..TopRequest::default() });
        assert_eq!((&summary[0]["alerts"]["high"], &summary[0]["talkers"][0]["ip"]), (&json!(2), &json!("10.0.0.9")));
        assert_eq!(ask(TopRequest { view: "rules", ..TopRequest::default() })[0]["fired"], 2);
    }

    #[test]
    fn absent_values_come_before_all_others() {
        assert_eq!(FileSortKey::Absent.cmp(&FileSortKey::Number(0)), std::cmp::Ordering::Less);
    }
}
