//! Aligned columns for people.

use std::io::Write as _;
use std::net::IpAddr;

use super::address::address;
use super::clock::Clock;
use super::escape;
use super::filter::{ALERT, CONNECTION, STATS};
use crate::model::{
    Alert, Attributes, CertificateAttributes, ConnectionRecord, CounterGroup, CounterValue, EndReason,
    FingerprintEvent, FingerprintRecord, FlowIdentity, KnownBad, Label, StatsRecord, Time,
};

/// Widths of the columns in characters. What is longer pushes the rest of its line to the right.
pub(super) const TIME: usize = "07:00:00.123".len();
const TYPE: usize = CONNECTION.len();
pub(super) const ENDPOINT: usize = "255.255.255.255:65535".len();
pub(super) const VALUE: usize = "t13d1516h2_8daaf6152771_e5627efa2ab1".len();
/// Both endpoints and the arrow between them, less the gap behind them.
const NO_ENDS: usize = ENDPOINT + GAP.len() + "-> ".len() + ENDPOINT;
/// Between two columns.
const GAP: &[u8] = b"  ";

/// Characters of a name that are shown: a longer one is no name of a host (RFC 1035 section 2.3.4 has
/// 255 octets), and none should push the lines around it off the screen.
pub(super) const NAME_SHOWN: usize = 255;
/// Characters of a value that are shown: every fingerprint is far shorter.
pub(super) const VALUE_SHOWN: usize = 255;
/// Characters of an alert's reason that are shown: it may name all values that a handshake shows.
const REASON_SHOWN: usize = 2048;
/// Characters of an application's name that are shown.
const LABEL_SHOWN: usize = 40;
/// Counters in a line of statistics: about what a screen's width holds.
const COUNTERS_SHOWN: usize = 8;

/// Name of the raw form. It ends a line, so that `sed 's/.*  raw=//'` extracts it although it may contain spaces.
const RAW: &str = "raw";

/// Appends the line of column names.
pub(super) fn header(out: &mut Vec<u8>) {
    column(TIME, out, |out| out.extend_from_slice(b"time (UTC)"));
    column(TYPE, out, |out| out.extend_from_slice(b"type"));
    column(ENDPOINT, out, |out| out.extend_from_slice(b"client"));
    out.extend_from_slice(b"   ");
    column(ENDPOINT, out, |out| out.extend_from_slice(b"server"));
    column(VALUE, out, |out| out.extend_from_slice(b"value"));
    out.extend_from_slice(b"name\n");
}

/// Writes events as columns; see [`Format::Table`](super::Format::Table).
#[derive(Debug)]
pub(super) struct Table {
    clock: Clock,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { clock: Clock::new() }
    }

    pub(super) fn fingerprint(
        &mut self,
        event: &FingerprintEvent<'_>,
        record: &ConnectionRecord,
        seen: Option<&FingerprintRecord>,
        out: &mut Vec<u8>,
    ) {
        let write = |out: &mut Vec<u8>| escape::terminal(event.value, VALUE_SHOWN, out);
        self.line(
            event.cause.time,
            event.method.name(),
            &record.identity,
            name(&record.attributes, event.certificate),
            out,
            write,
        );
        if let Some(seen) = seen {
            marks(seen.value.label.as_deref(), seen.is_first_seen(), seen.value.known_bad.as_deref(), out);
        }
        form("original", event.original, out);
        form("raw_original", event.raw_original, out);
        form(RAW, event.raw, out);
        out.push(b'\n');
    }

    pub(super) fn connection(&mut self, at: Time, record: &ConnectionRecord, out: &mut Vec<u8>) {
        let ConnectionRecord { packets, bytes, .. } = record;
        let state = record.ended.unwrap_or(EndReason::Open).name();
        self.line(at, CONNECTION, &record.identity, name(&record.attributes, None), out, |out| {
            let packets = format_args!("{}+{} packets", packets.client, packets.server);
            write(out, format_args!("{state} {packets} {}+{} bytes", bytes.client, bytes.server));
        });
        connection_marks(record, out);
        out.push(b'\n');
    }

    /// `raw` is the raw form of the alert's fingerprint, if raw forms are requested.
    pub(super) fn alert(&mut self, alert: &Alert, raw: Option<&str>, out: &mut Vec<u8>) {
        column(TIME, out, |out| self.clock.time_of_day(alert.time, out));
        column(TYPE, out, |out| out.extend_from_slice(ALERT.as_bytes()));
        match &alert.flow {
            Some(flow) => ends(flow, out),
            None => column(NO_ENDS, out, |_| {}),
        }
        column(VALUE, out, |out| {
            write(out, format_args!("{} ", alert.severity));
            escape::terminal(&alert.rule, VALUE_SHOWN, out);
        });
        escape::terminal(&alert.reason, REASON_SHOWN, out);
        for (name, value) in &alert.group {
            out.push(b' ');
            escape::terminal(name, NAME_SHOWN, out);
            out.push(b'=');
            escape::terminal(value, NAME_SHOWN, out);
        }
        if alert.suppressed > 0 {
            write(out, format_args!(" (and {} like it)", alert.suppressed));
        }
        trim(out);
        form(RAW, raw.filter(|_| alert.fingerprint.is_some()), out);
        out.push(b'\n');
    }

    pub(super) fn stats(&mut self, at: Time, record: &StatsRecord, out: &mut Vec<u8>) {
        column(TIME, out, |out| self.clock.time_of_day(at, out));
        column(TYPE, out, |out| out.extend_from_slice(STATS.as_bytes()));
        for (group, name, count) in counters(record).take(COUNTERS_SHOWN) {
            if let Some(part) = group {
                escape::terminal(part, VALUE_SHOWN, out);
                out.push(b'.');
            }
            escape::terminal(name, VALUE_SHOWN, out);
            write(out, format_args!("={count} "));
        }
        trim(out);
        out.push(b'\n');
    }

    /// Leaves the line open: marks may follow.
    fn line(
        &mut self,
        at: Time,
        kind: &str,
        flow: &FlowIdentity,
        name: Option<&str>,
        out: &mut Vec<u8>,
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        column(TIME, out, |out| self.clock.time_of_day(at, out));
        column(TYPE, out, |out| out.extend_from_slice(kind.as_bytes()));
        ends(flow, out);
        column(VALUE, out, value);
        if let Some(name) = name {
            escape::terminal(name, NAME_SHOWN, out);
        }
        trim(out);
    }
}

/// Returns the most descriptive name: the server name that the client requests, else the banner of the server, else the
/// name of a DHCP client, else the subject of `certificate` or of the server's certificate.
pub(super) fn name<'a>(known: &'a Attributes, certificate: Option<&'a CertificateAttributes>) -> Option<&'a str> {
    let tls = known.tls.as_deref();
    let asked = tls.and_then(|tls| tls.sni.as_deref());
    asked
        .or_else(|| known.http.as_ref()?.host.as_deref())
        .or_else(|| known.ssh.as_ref()?.banner.server.as_deref())
        .or_else(|| known.dhcp.as_ref()?.host_name.as_deref())
        .or_else(|| certificate.or_else(|| tls?.certificate.as_deref())?.subject.as_deref())
}

/// The counters that are not 0 at the top of a tree and one level below it, with their group.
fn counters(CounterGroup(top): &CounterGroup) -> impl Iterator<Item = (Option<&str>, &str, u64)> {
    top.iter().flat_map(|(name, value)| {
        let (own, below) = match value {
            CounterValue::Count(count) => (Some((None, &**name, *count)), [].iter()),
            CounterValue::Group(CounterGroup(entries)) => (None, entries.iter()),
            CounterValue::Text(_) => (None, [].iter()),
        };
        let below = below.filter_map(move |(inner, value)| match value {
            CounterValue::Count(count) => Some((Some(&**name), &**inner, *count)),
            CounterValue::Text(_) | CounterValue::Group(_) => None,
        });
        own.into_iter().chain(below).filter(|&(.., count)| count != 0)
    })
}

/// What is known of a fingerprint or a connection: `{curl}  new  !c2`.
fn marks(label: Option<&Label>, new: bool, bad: Option<&KnownBad>, out: &mut Vec<u8>) {
    if let Some(label) = label {
        out.extend_from_slice(b"  {");
        escape::terminal(&label.name, LABEL_SHOWN, out);
        out.push(b'}');
    }
    if new {
        out.extend_from_slice(b"  new");
    }
    if let Some(bad) = bad {
        out.extend_from_slice(b"  !");
        escape::terminal(&bad.category, LABEL_SHOWN, out);
    }
}

/// Appends another form of a fingerprint, such as `  raw=t13d…`, if there is one. It is complete, whatever its length: a
/// truncated list compares with nothing.
fn form(name: &str, text: Option<&str>, out: &mut Vec<u8>) {
    if let Some(text) = text {
        out.extend_from_slice(GAP);
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        escape::terminal(text, usize::MAX, out);
    }
}

/// What is known of a connection: `{curl}  new  !c2  2 alerts`.
pub(super) fn connection_marks(record: &ConnectionRecord, out: &mut Vec<u8>) {
    marks(record.app.as_deref(), record.is_new, record.known_bad.as_deref(), out);
    if !record.fired.is_empty() {
        write(out, format_args!("  {} alerts", record.fired.len()));
    }
}

/// Both endpoints, the client's first.
pub(super) fn ends(flow: &FlowIdentity, out: &mut Vec<u8>) {
    column(ENDPOINT, out, |out| endpoint(flow.client, out));
    // The arrow is one character in three bytes.
    out.extend_from_slice("→  ".as_bytes());
    column(ENDPOINT, out, |out| endpoint(flow.server, out));
}

/// `10.0.0.1:443`, `[::1]:443`
fn endpoint((host, port): (IpAddr, u16), out: &mut Vec<u8>) {
    match host {
        IpAddr::V4(_) => address(host, out),
        IpAddr::V6(_) => {
            out.push(b'[');
            address(host, out);
            out.push(b']');
        }
    }
    out.push(b':');
    out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
}

/// What `write` appends, filled up with spaces to `width` characters, and the gap after it.
pub(super) fn column(width: usize, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    /// Mask and value of the bits of a UTF-8 continuation byte.
    const KIND: u8 = 0b1100_0000;
    const CONTINUES: u8 = 0b1000_0000;

    let start = out.len();
    write(out);
    let written = out.iter().skip(start).filter(|&&byte| byte & KIND != CONTINUES).count();
    out.resize(out.len() + width.saturating_sub(written), b' ');
    out.extend_from_slice(GAP);
}

/// Takes back the spaces that would trail a line.
pub(super) fn trim(out: &mut Vec<u8>) {
    while out.last() == Some(&b' ') {
        out.pop();
    }
}

pub(super) fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector does not fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::super::tests::samples::{self, attributes, certificate, connection, fingerprint, flow, known, tls};
    use super::*;
    use crate::model::{SharedAttributes, TlsAttributes};

    fn shown(write: impl FnOnce(&mut Table, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        header(&mut out);
        write(&mut Table::new(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_stand_under_their_names() {
        let shown = shown(|table, out| {
            table.fingerprint(&fingerprint(), &connection(flow(), attributes(tls())), None, out);
            table.connection(samples::TIME, &connection(flow(), SharedAttributes::default()), out);
        });
        assert_eq!(
            shown,
            "\
time (UTC)    type        client                    server                 value                                 name
07:00:00.123  ja4         10.0.0.1:51234         →  10.0.0.2:443           t13d1516h2_8daaf6152771_e5627efa2ab1  example.org
07:00:00.123  connection  10.0.0.1:51234         →  10.0.0.2:443           fin 12+10 packets 1234+56789 bytes
"
        );
    }

    #[test]
    fn marks_and_alerts_are_short() {
        let shown = shown(|table, out| {
            let record = connection(flow(), attributes(tls()));
            table.fingerprint(&fingerprint(), &record, Some(&samples::seen()), out);
            table.connection(samples::TIME, &samples::record(), out);
            table.alert(&samples::alert(), None, out);
            table.alert(&Alert { flow: None, suppressed: 0, ..samples::alert() }, None, out);
        });
        let lines: Vec<_> = shown.lines().collect();
        assert!(lines[1].ends_with("  example.org  {Chromium}  new  !c2"), "{shown}");
        assert!(lines[2].ends_with(" bytes  {Chromium}  new  !c2  2 alerts"), "{shown}");
        assert!(lines[3].ends_with(" is Sliver src_ip=10.0.0.1 (and 3 like it)"), "{shown}");
        assert!(lines[3].contains("  high known_bad  "), "{shown}");
        let place = |line: &str| line.chars().count() - line[line.find("high").unwrap()..].chars().count();
        assert_eq!(place(lines[3]), place(lines[4]), "{shown}");
    }

    #[test]
    fn other_forms_end_the_line_and_are_complete() {
        let long = format!("t13d_{}", "002f,".repeat(200));
        let event = FingerprintEvent {
            original: Some("t13d_o"),
            raw_original: Some("t13d_ro"),
            raw: Some(&long),
            ..fingerprint()
        };
        let shown = shown(|table, out| {
            table.fingerprint(&event, &connection(flow(), attributes(tls())), Some(&samples::seen()), out);
            table.alert(&samples::alert(), Some("a\nb"), out);
            table.alert(&Alert { fingerprint: None, ..samples::alert() }, Some("none"), out);
        });
        let lines: Vec<_> = shown.lines().collect();
        let forms = format!("  new  !c2  original=t13d_o  raw_original=t13d_ro  raw={long}");
        assert!(lines[1].ends_with(&forms), "{shown}");
        assert!(lines[2].ends_with(" (and 3 like it)  raw=a\\u{a}b"), "{shown}");
        assert!(lines[3].ends_with(" (and 3 like it)"), "{shown}");
    }

    #[test]
    fn long_addresses_push_and_ports_stay_readable() {
        let flow = FlowIdentity { client: ("2001:db8:1:2:3:4:5:6".parse().unwrap(), 51_234), ..flow() };
        let record = connection(flow, attributes(tls()));
        let shown = shown(|table, out| table.fingerprint(&fingerprint(), &record, None, out));
        assert!(shown.contains("  [2001:db8:1:2:3:4:5:6]:51234  →  10.0.0.2:443  "), "{shown}");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal_or_add_a_line() {
        let attributes = attributes(TlsAttributes { sni: Some("\u{1b}[2J\n\u{202e}gro".into()), ..tls() });
        let record = connection(flow(), attributes);
        let shown = shown(|table, out| table.fingerprint(&fingerprint(), &record, None, out));
        assert!(shown.ends_with("  \\u{1b}[2J\\u{a}\\u{202e}gro\n"), "{shown}");
        assert_eq!(shown.lines().count(), 2);
    }

    #[test]
    fn the_name_is_the_one_that_tells_most() {
        let own = certificate();
        let mut of = known();
        of.tls.as_mut().unwrap().certificate = Some(Box::new(certificate()));
        assert_eq!(name(&of, Some(&own)), Some("example.org"));
        of.tls.as_mut().unwrap().sni = None;
        assert_eq!(name(&of, None), Some("www.example.org"));
        of.http = None;
        assert_eq!(name(&of, None), Some("SSH-2.0-OpenSSH_9.2p1 Debian-2"));
        of.ssh = None;
        assert_eq!(name(&of, None), Some("printer-2"));
        of.dhcp = None;
        let issuer =
            CertificateAttributes { subject: Some("Example CA".to_owned()), ..CertificateAttributes::default() };
        assert_eq!(name(&of, Some(&issuer)), Some("Example CA"));
        assert_eq!(name(&of, None), Some("www.example.org"));
        of.tls = None;
        assert_eq!(name(&of, None), None);
    }

    #[test]
    fn statistics_are_one_short_line_without_zeros() {
        let (mut record, mut kernel) = (CounterGroup::default(), CounterGroup::default());
        kernel.count("seen", 5).count("dropped", 0).text("hook", "native");
        kernel.group("deeper", CounterGroup::default().count("hidden", 1).clone());
        record.count("uptime_ms", 7).group("kernel", kernel);
        for number in 0..100_u64 {
            record.count(number.to_string(), number);
        }
        let shown = shown(|table, out| table.stats(samples::TIME, &record, out));
        assert!(
            shown.ends_with("\n07:00:00.123  stats       uptime_ms=7 kernel.seen=5 1=1 2=2 3=3 4=4 5=5 6=6\n"),
            "{shown}"
        );
    }
}
