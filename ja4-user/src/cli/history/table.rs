//! Rows as columns for people.

use crate::encode::clock::Clock;
use crate::encode::escape;
use crate::model::field::Field;
use crate::model::{Alert, FlowIdentity, Time};
use crate::output::storage::FirstSeenRow;
use crate::output::storage::reader::{StoredConnection, StoredFingerprint, ValueDifference};

/// Widths in characters. What is longer pushes the rest of its line to the right.
const TIME: usize = "2026-11-23 07:00:00".len();
const END: usize = "255.255.255.255:65535".len();
const WORD: usize = 9;
const VALUE: usize = "t13d1516h2_8daaf6152771_e5627efa2ab1".len();
const COUNT: usize = 10;

/// Characters of one text that are shown.
const SHOWN: usize = 255;

/// A line, column by column.
struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    fn column(&mut self, width: usize, text: &str) -> &mut Self {
        let mut shown = Vec::new();
        escape::terminal(text, SHOWN, &mut shown);
        let shown = String::from_utf8_lossy(&shown);
        self.0.extend_from_slice(shown.as_bytes());
        let filled = width.saturating_sub(shown.chars().count());
        self.0.resize(self.0.len() + filled + 2, b' ');
        self
    }

    /// To the second.
    fn time(&mut self, time: Time) -> &mut Self {
        let mut text = Vec::new();
        Clock::new().timestamp(time, &mut text);
        let text = String::from_utf8_lossy(&text).replace('T', " ");
        self.column(TIME, text.get(..TIME).unwrap_or_default())
    }

    fn ends(&mut self, flow: Option<&FlowIdentity>) -> &mut Self {
        let [client, server] = flow.map_or([String::new(), String::new()], |flow| [end(flow.client), end(flow.server)]);
        self.column(END, &client).column(END, &server)
    }

    fn end(&mut self) {
        while self.0.last() == Some(&b' ') {
            self.0.pop();
        }
        self.0.push(b'\n');
    }
}

fn end((host, port): (std::net::IpAddr, u16)) -> String {
    std::net::SocketAddr::new(host, port).to_string()
}

fn head(columns: &[(usize, &str)], out: &mut Vec<u8>) {
    let mut line = Line(out);
    for (width, name) in columns {
        line.column(*width, name);
    }
    line.end();
}

pub(super) fn connections(out: &mut Vec<u8>) {
    let names = [(TIME, "end (UTC)"), (END, "client"), (END, "server"), (WORD, "protocol"), (WORD, "state")];
    head(&[names.as_slice(), &[(COUNT, "bytes"), (VALUE, "fingerprint"), (0, "application, name")]].concat(), out);
}

pub(super) fn connection(of: &StoredConnection, out: &mut Vec<u8>) {
    let mut line = Line(out);
    line.time(of.last).ends(Some(&of.flow)).column(WORD, of.text(Field::AppProto).unwrap_or("-"));
    line.column(WORD, of.text(Field::ConnectionState).unwrap_or("open"));
    line.column(COUNT, &of.bytes().to_string());
    line.column(VALUE, of.text(Field::PrimaryValue).unwrap_or("-"));
    let bad = of.text(Field::KnownBadPattern).map(|pattern| format!("BAD {pattern}"));
    let name = of.text(Field::TlsSni).or_else(|| of.text(Field::HttpHostname));
    let words = [bad.as_deref(), of.text(Field::AppName), name];
    for word in words.into_iter().flatten() {
        line.column(0, word);
    }
    line.end();
}

pub(super) fn fingerprints(out: &mut Vec<u8>) {
    let names = [(TIME, "time (UTC)"), (WORD, "type"), (END, "client"), (END, "server"), (VALUE, "value")];
    head(&[names.as_slice(), &[(0, "label, name")]].concat(), out);
}

pub(super) fn fingerprint(of: &StoredConnection, seen: &StoredFingerprint, out: &mut Vec<u8>) {
    let mut line = Line(out);
    line.time(seen.time).column(WORD, seen.method.name()).ends(Some(&of.flow)).column(VALUE, &seen.value);
    let name = of.text(Field::TlsSni).or_else(|| of.text(Field::HttpHostname));
    for word in [seen.text(Field::LabelName), name].into_iter().flatten() {
        line.column(0, word);
    }
    line.end();
}

pub(super) fn alerts(out: &mut Vec<u8>) {
    head(
        &[(TIME, "time (UTC)"), (WORD, "severity"), (END, "client"), (END, "server"), (20, "rule"), (0, "reason")],
        out,
    );
}

pub(super) fn alert(of: &Alert, out: &mut Vec<u8>) {
    let mut line = Line(out);
    line.time(of.time).column(WORD, of.severity.name()).ends(of.flow.as_ref()).column(20, &of.rule);
    line.column(0, &of.reason);
    if of.flow.is_none() {
        line.column(0, &super::csv::group(of));
    }
    line.end();
}

pub(super) fn differences(out: &mut Vec<u8>) {
    head(&[(WORD, "change"), (WORD, "type"), (VALUE, "value"), (COUNT, "first"), (COUNT, "second"), (0, "label")], out);
}

pub(super) fn difference(of: &ValueDifference, out: &mut Vec<u8>) {
    let [first, second] = of.counts.map(|count| count.to_string());
    let mut line = Line(out);
    line.column(WORD, of.change.name()).column(WORD, of.method.name()).column(VALUE, &of.value);
    line.column(COUNT, &first).column(COUNT, &second).column(0, of.app.as_deref().unwrap_or_default()).end();
}

pub(super) fn first_seens(out: &mut Vec<u8>) {
    let names = [(TIME, "first (UTC)"), (TIME, "last (UTC)"), (COUNT, "count"), (WORD, "approved"), (WORD, "type")];
    head(&[names.as_slice(), &[(VALUE, "value"), (0, "host")]].concat(), out);
}

pub(super) fn first_seen(of: &FirstSeenRow, out: &mut Vec<u8>) {
    let mut line = Line(out);
    line.time(of.first).time(of.last).column(COUNT, &of.count.to_string());
    line.column(WORD, if of.approved { "yes" } else { "no" }).column(WORD, of.method.name()).column(VALUE, &of.value);
    line.column(0, &of.host.map(|host| host.to_string()).unwrap_or_default()).end();
}
