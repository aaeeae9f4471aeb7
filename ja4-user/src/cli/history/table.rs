//! Rows as columns for people.

use crate::encode::clock::Clock;
use crate::encode::escape;
use crate::model::field::Field;
use crate::model::{Alert, FlowIdentity, Time};
use crate::output::storage::FirstSeenRow;
use crate::output::storage::reader::{StoredConnection, StoredFingerprint, ValueDifference};

/// Widths in characters. A longer text shifts the rest of its line to the right.
const TIME: usize = "2026-11-23 07:00:00".len();
const ENDPOINT: usize = "255.255.255.255:65535".len();
const WORD: usize = 9;
const VALUE: usize = "t13d1516h2_8daaf6152771_e5627efa2ab1".len();
const COUNT: usize = 10;

/// Maximum number of characters of one text.
const MAX_TEXT: usize = 255;

/// Writes a line column by column.
struct TableLine<'a>(&'a mut Vec<u8>);

impl TableLine<'_> {
    fn column(&mut self, width: usize, text: &str) -> &mut Self {
        let mut shown = Vec::new();
        escape::terminal(text, MAX_TEXT, &mut shown);
        let shown = String::from_utf8_lossy(&shown);
        self.0.extend_from_slice(shown.as_bytes());
        let padding = width.saturating_sub(shown.chars().count());
        self.0.resize(self.0.len() + padding + 2, b' ');
        self
    }

    /// Writes a time, to the second.
    fn time(&mut self, time: Time) -> &mut Self {
        let mut text = Vec::new();
        Clock::new().timestamp(time, &mut text);
        let text = String::from_utf8_lossy(&text).replace('T', " ");
        self.column(TIME, text.get(..TIME).unwrap_or_default())
    }

    fn endpoints(&mut self, flow: Option<&FlowIdentity>) -> &mut Self {
        let [client, server] =
            flow.map_or([String::new(), String::new()], |flow| [endpoint(flow.client), endpoint(flow.server)]);
        self.column(ENDPOINT, &client).column(ENDPOINT, &server)
    }

    fn end(&mut self) {
        while self.0.last() == Some(&b' ') {
            self.0.pop();
        }
        self.0.push(b'\n');
    }
}

fn endpoint((host, port): (std::net::IpAddr, u16)) -> String {
    std::net::SocketAddr::new(host, port).to_string()
}

fn header(columns: &[(usize, &str)], out: &mut Vec<u8>) {
    let mut line = TableLine(out);
    for (width, name) in columns {
        line.column(*width, name);
    }
    line.end();
}

pub(super) fn connection_header(out: &mut Vec<u8>) {
    let names = [(TIME, "end (UTC)"), (ENDPOINT, "client"), (ENDPOINT, "server"), (WORD, "protocol"), (WORD, "state")];
    header(&[names.as_slice(), &[(COUNT, "bytes"), (VALUE, "fingerprint"), (0, "application, name")]].concat(), out);
}

pub(super) fn connection(connection: &StoredConnection, out: &mut Vec<u8>) {
    let mut line = TableLine(out);
    line.time(connection.last)
        .endpoints(Some(&connection.flow))
        .column(WORD, connection.text(Field::AppProto).unwrap_or("-"));
    line.column(WORD, connection.text(Field::ConnectionState).unwrap_or("open"));
    line.column(COUNT, &connection.bytes().to_string());
    line.column(VALUE, connection.text(Field::PrimaryValue).unwrap_or("-"));
    let bad = connection.text(Field::KnownBadPattern).map(|pattern| format!("BAD {pattern}"));
    let name = connection.text(Field::TlsSni).or_else(|| connection.text(Field::HttpHostname));
    let texts = [bad.as_deref(), connection.text(Field::AppName), name];
    for text in texts.into_iter().flatten() {
        line.column(0, text);
    }
    line.end();
}

pub(super) fn fingerprint_header(out: &mut Vec<u8>) {
    let names = [(TIME, "time (UTC)"), (WORD, "type"), (ENDPOINT, "client"), (ENDPOINT, "server"), (VALUE, "value")];
    header(&[names.as_slice(), &[(0, "label, name")]].concat(), out);
}

/// `raw`: with the raw form at the end of the line, if it is stored.
pub(super) fn fingerprint(
    connection: &StoredConnection,
    fingerprint: &StoredFingerprint,
    raw: bool,
    out: &mut Vec<u8>,
) {
    let mut line = TableLine(out);
    line.time(fingerprint.time).column(WORD, fingerprint.method.name()).endpoints(Some(&connection.flow));
    line.column(VALUE, &fingerprint.value);
    let name = connection.text(Field::TlsSni).or_else(|| connection.text(Field::HttpHostname));
    let raw = fingerprint.text(Field::FingerprintRaw).filter(|_| raw);
    for text in [fingerprint.text(Field::LabelName), name, raw].into_iter().flatten() {
        line.column(0, text);
    }
    line.end();
}

pub(super) fn alert_header(out: &mut Vec<u8>) {
    header(
        &[
            (TIME, "time (UTC)"),
            (WORD, "severity"),
            (ENDPOINT, "client"),
            (ENDPOINT, "server"),
            (20, "rule"),
            (0, "reason"),
        ],
        out,
    );
}

pub(super) fn alert(alert: &Alert, out: &mut Vec<u8>) {
    let mut line = TableLine(out);
    line.time(alert.time).column(WORD, alert.severity.name()).endpoints(alert.flow.as_ref()).column(20, &alert.rule);
    line.column(0, &alert.reason);
    if alert.flow.is_none() {
        line.column(0, &super::csv::group(alert));
    }
    line.end();
}

pub(super) fn difference_header(out: &mut Vec<u8>) {
    header(
        &[(WORD, "change"), (WORD, "type"), (VALUE, "value"), (COUNT, "first"), (COUNT, "second"), (0, "label")],
        out,
    );
}

pub(super) fn difference(difference: &ValueDifference, out: &mut Vec<u8>) {
    let [first, second] = difference.counts.map(|count| count.to_string());
    let mut line = TableLine(out);
    line.column(WORD, difference.change.name()).column(WORD, difference.method.name()).column(VALUE, &difference.value);
    line.column(COUNT, &first).column(COUNT, &second).column(0, difference.app.as_deref().unwrap_or_default()).end();
}

pub(super) fn first_seen_header(out: &mut Vec<u8>) {
    let names = [(TIME, "first (UTC)"), (TIME, "last (UTC)"), (COUNT, "count"), (WORD, "approved"), (WORD, "type")];
    header(&[names.as_slice(), &[(VALUE, "value"), (0, "host")]].concat(), out);
}

pub(super) fn first_seen(FirstSeenRow { fact, approved }: &FirstSeenRow, out: &mut Vec<u8>) {
    let mut line = TableLine(out);
    line.time(fact.first).time(fact.last).column(COUNT, &fact.count.to_string());
    line.column(WORD, if *approved { "yes" } else { "no" }).column(WORD, fact.method.name()).column(VALUE, &fact.value);
    line.column(0, &fact.host.map(|host| host.to_string()).unwrap_or_default()).end();
}
