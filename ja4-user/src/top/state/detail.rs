//! One connection in full.

use serde_json::Value;

use crate::top::cell::{Tone, ToneText};
use crate::top::{row, units};

/// The state of the detail view.
#[derive(Clone, Debug)]
pub(in crate::top) struct DetailState {
    pub(in crate::top) flow_id: u64,
    /// The connection, as the list or the sensor gave it.
    pub(in crate::top) connection: Value,
    /// The alert that the view was opened from.
    pub(in crate::top) alert: Option<Value>,
    /// The sensor does not have the connection any more.
    pub(in crate::top) is_gone: bool,
    /// The selected line.
    pub(in crate::top) cursor: usize,
    /// The first line that is shown.
    pub(in crate::top) first: usize,
}

impl DetailState {
    /// Opens the connection of a row, if it has one.
    pub(in crate::top) fn of_connection(row: &Value) -> Option<Self> {
        Self::new(row.clone(), None, row)
    }

    /// Opens the connection of an alert, if it has one.
    pub(in crate::top) fn of_alert(alert: &Value) -> Option<Self> {
        Self::new(Value::Null, Some(alert.clone()), alert)
    }

    fn new(connection: Value, alert: Option<Value>, row: &Value) -> Option<Self> {
        let flow_id = row::number(row, "flow_id")?;
        Some(Self { flow_id, connection, alert, is_gone: false, cursor: 0, first: 0 })
    }

    /// Takes over the answer of the sensor.
    pub(in crate::top) fn apply(&mut self, rows: Vec<Value>) {
        match rows.into_iter().next() {
            Some(connection) => (self.connection, self.is_gone) = (connection, false),
            None => self.is_gone = true,
        }
    }

    /// Moves the selection by lines; `rows` are shown.
    pub(in crate::top) fn move_by(&mut self, by: isize, rows: usize) {
        let count = self.lines().len();
        self.cursor = self.cursor.saturating_add_signed(by).min(count.saturating_sub(1));
        self.first = self.first.min(self.cursor).max((self.cursor + 1).saturating_sub(rows.max(1)));
    }

    /// All that is known of the connection.
    pub(in crate::top) fn lines(&self) -> Vec<DetailLine> {
        let mut lines = Vec::new();
        if let Some(alert) = &self.alert {
            alert_lines(alert, &mut lines);
        }
        if !self.connection.is_null() {
            connection_lines(&self.connection, &mut lines);
        }
        lines
    }
}

/// A line of the detail view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::top) enum DetailLine {
    Title(&'static str),
    Field { name: String, value: ToneText },
}

impl DetailLine {
    /// What `y` copies.
    pub(in crate::top) fn copied(&self) -> Option<String> {
        match self {
            Self::Title(_) => None,
            Self::Field { value, .. } => Some(value.text.clone()),
        }
    }
}

fn add(lines: &mut Vec<DetailLine>, name: impl Into<String>, value: Option<String>, tone: Tone) {
    if let Some(value) = value {
        lines.push(DetailLine::Field { name: name.into(), value: ToneText::new(value, tone) });
    }
}

fn alert_lines(alert: &Value, lines: &mut Vec<DetailLine>) {
    lines.push(DetailLine::Title("Alert"));
    let severity = row::text(alert, "alert.ja4sensor.severity").unwrap_or_default();
    add(lines, "time", row::text(alert, "timestamp").map(|time| units::date_and_time(&time)), Tone::Plain);
    add(lines, "rule", row::text(alert, "alert.ja4sensor.rule"), Tone::Title);
    add(lines, "severity", Some(severity.clone()), Tone::of_severity(&severity));
    add(lines, "detects", row::text(alert, "alert.signature"), Tone::Plain);
    add(lines, "reason", row::text(alert, "alert.ja4sensor.reason"), Tone::Plain);
    let group: Vec<_> = row::field(alert, "alert.ja4sensor.group").map(row::leaves).unwrap_or_default();
    let group: Vec<_> = group.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
    add(lines, "group", (!group.is_empty()).then(|| group.join(", ")), Tone::Plain);
    add(lines, "confidence", row::text(alert, "alert.ja4sensor.confidence"), Tone::Plain);
}

/// Fields with lines of their own; all others follow under their names.
const SHOWN: &[&str] = &[
    "event_type",
    "timestamp",
    "src_ip",
    "src_port",
    "dest_ip",
    "dest_port",
    "proto",
    "app_proto",
    "in_iface",
    "connection",
    "app",
    "primary",
    "known_bad",
    "alerts",
    "first_seen",
    "fingerprints",
    "ja4",
    "latency",
    "hops",
    "os",
    "path",
    "tunnel",
    "mss",
];

fn connection_lines(connection: &Value, lines: &mut Vec<DetailLine>) {
    let text = |path: &str| row::text(connection, path);
    lines.push(DetailLine::Title("Connection"));
    let end = |ip, port| {
        let (ip, port) = (text(ip)?, text(port));
        Some(port.map_or(ip.clone(), |port| format!("{ip} port {port}")))
    };
    add(lines, "client", end("src_ip", "src_port"), Tone::Title);
    add(lines, "server", end("dest_ip", "dest_port"), Tone::Title);
    add(lines, "name", row::first_text(connection, &["tls.sni", "http.hostname", "dhcp.hostname"]), Tone::Title);
    let protocol = [text("proto"), text("app_proto")].into_iter().flatten().collect::<Vec<_>>().join(", ");
    add(lines, "protocol", Some(protocol), Tone::Plain);
    add(lines, "state", text("connection.state"), Tone::Plain);
    add(lines, "handshake", text("connection.handshake"), Tone::Plain);
    add(lines, "start", text("connection.start").map(|time| units::date_and_time(&time)), Tone::Plain);
    add(lines, "last packet", text("connection.end").map(|time| units::date_and_time(&time)), Tone::Plain);
    for (name, packets, bytes) in [
        ("to server", "connection.pkts_toserver", "connection.bytes_toserver"),
        ("to client", "connection.pkts_toclient", "connection.bytes_toclient"),
    ] {
        let counts = row::number(connection, packets).zip(row::number(connection, bytes));
        add(lines, name, counts.map(|(packets, bytes)| format!("{packets} packets, {bytes} bytes")), Tone::Plain);
    }
    add(lines, "interface", text("in_iface"), Tone::Plain);

    let fired = row::list(connection, "alerts");
    if !fired.is_empty() || row::holds(connection, "known_bad") || row::holds(connection, "first_seen") {
        lines.push(DetailLine::Title("What stands out"));
        for alert in fired {
            add(lines, "alert", row::scalar(alert), Tone::Warning);
        }
        for (name, path) in
            [("known bad", "note"), ("category", "category"), ("pattern", "pattern"), ("confidence", "confidence")]
        {
            add(lines, name, text(&format!("known_bad.{path}")), Tone::Bad);
        }
        add(
            lines,
            "first seen",
            row::holds(connection, "first_seen").then(|| "a value is new to this network".to_owned()),
            Tone::New,
        );
    }

    lines.push(DetailLine::Title("Software"));
    let app = text("app.name").map(|name| labelled(&name, connection, "app"));
    add(lines, "client", app.or_else(|| Some("unknown".to_owned())), Tone::Title);
    add(lines, "system", text("os"), Tone::Plain);
    lines.push(DetailLine::Title("Fingerprints"));
    for fingerprint in row::list(connection, "fingerprints") {
        fingerprint_lines(fingerprint, lines);
    }
    if row::list(connection, "fingerprints").is_empty() {
        let values = row::field(connection, "ja4").and_then(Value::as_object);
        for (method, values) in values.into_iter().flatten() {
            for value in values.as_array().into_iter().flatten() {
                add(lines, row::visible(method), row::scalar(value), Tone::Plain);
            }
        }
    }
    let path: Vec<DetailLine> = path_lines(connection);
    if !path.is_empty() {
        lines.push(DetailLine::Title("Latency and path"));
        lines.extend(path);
    }
    let Some(fields) = connection.as_object() else { return };
    let others = fields.iter().filter(|(name, _)| !SHOWN.contains(&name.as_str()));
    let others: Vec<_> = others.flat_map(|(name, value)| row::leaves(&serde_json::json!({ name: value }))).collect();
    if !others.is_empty() {
        lines.push(DetailLine::Title("Attributes"));
        for (name, value) in others {
            add(lines, name, Some(value), Tone::Plain);
        }
    }
}

/// A fingerprint, its raw forms, its label and its known-bad pattern.
fn fingerprint_lines(fingerprint: &Value, lines: &mut Vec<DetailLine>) {
    let text = |path: &str| row::text(fingerprint, path);
    let tone = match () {
        () if row::holds(fingerprint, "known_bad") => Tone::Bad,
        () if row::holds(fingerprint, "first_seen") => Tone::New,
        () => Tone::Plain,
    };
    add(lines, text("type").unwrap_or_default(), text("value"), tone);
    let mut about: Vec<String> = text("timestamp").map(|time| units::time_of_day(&time)).into_iter().collect();
    about.extend(text("side"));
    about.extend(row::number(fingerprint, "count").filter(|count| *count > 1).map(|count| format!("number {count}")));
    about.extend(
        row::first_text(fingerprint, &["label.name", "label"]).map(|name| labelled(&name, fingerprint, "label")),
    );
    about.extend(row::holds(fingerprint, "first_seen").then(|| "first seen".to_owned()));
    about.extend(
        row::first_text(fingerprint, &["known_bad.note", "known_bad.pattern", "known_bad"])
            .map(|note| format!("known bad: {note}")),
    );
    add(lines, "", Some(about.join(", ")), Tone::Dim);
    for form in ["raw", "original", "raw_original"] {
        add(lines, format!("  {form}"), text(form), Tone::Dim);
    }
}

/// A name with what is known of its source.
fn labelled(name: &str, row: &Value, path: &str) -> String {
    let of = |key: &str| row::text(row, &format!("{path}.{key}"));
    let mut about: Vec<String> = of("category").into_iter().collect();
    about.extend(of("source"));
    about.extend(of("confidence").map(|confidence| format!("confidence {confidence}")));
    if about.is_empty() { name.to_owned() } else { format!("{name} ({})", about.join(", ")) }
}

fn path_lines(connection: &Value) -> Vec<DetailLine> {
    let mut lines = Vec::new();
    for (name, path) in [
        ("client", "latency.client_us"),
        ("server", "latency.server_us"),
        ("client software", "latency.client_application_us"),
        ("server software", "latency.server_application_us"),
    ] {
        add(&mut lines, name, row::number(connection, path).map(units::microseconds), Tone::Plain);
    }
    for (name, path) in [("client distance", "hops.client"), ("server distance", "hops.server")] {
        add(&mut lines, name, row::text(connection, path).map(|hops| format!("{hops} hops")), Tone::Plain);
    }
    for (name, path) in [("path", "path"), ("tunnel", "tunnel")] {
        let mtu = row::text(connection, &format!("{path}.mtu")).map(|mtu| format!("MTU {mtu}"));
        let parts: Vec<_> = [row::text(connection, &format!("{path}.name")), mtu].into_iter().flatten().collect();
        add(&mut lines, name, (!parts.is_empty()).then(|| parts.join(", ")), Tone::Plain);
    }
    add(&mut lines, "MSS", row::text(connection, "mss"), Tone::Plain);
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_attribute_has_a_line() {
        let connection = json!({
            "flow_id": 7, "src_ip": "10.0.0.1", "src_port": 1, "tls": {"sni": "a.example", "ech": true},
            "future": {"field": [1, 2]}, "process": {"name": "curl", "pid": 12},
        });
        let detail = DetailState::of_connection(&connection).unwrap();
        let fields: Vec<_> = detail
            .lines()
            .into_iter()
            .filter_map(|line| match line {
                DetailLine::Field { name, value } => Some((name, value.text)),
                DetailLine::Title(_) => None,
            })
            .collect();
        for (name, value) in
            [("tls.ech", "yes"), ("future.field", "1, 2"), ("process.pid", "12"), ("client", "10.0.0.1 port 1")]
        {
            assert!(fields.contains(&(name.to_owned(), value.to_owned())), "{name} is not in {fields:?}");
        }
    }

    #[test]
    fn the_selection_stays_in_the_lines() {
        let mut detail = DetailState::of_connection(&json!({"flow_id": 7, "a": 1})).unwrap();
        detail.move_by(1_000, 3);
        assert_eq!(detail.cursor + 1, detail.lines().len());
        assert_eq!(detail.first + 3, detail.lines().len());
        detail.move_by(-1_000, 3);
        assert_eq!((detail.cursor, detail.first), (0, 0));
        detail.apply(Vec::new());
        assert!(detail.is_gone);
        assert!(DetailState::of_connection(&json!({})).is_none());
    }
}
