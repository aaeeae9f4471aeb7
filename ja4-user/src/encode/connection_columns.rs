//! Aligned columns for people, one line for each connection.

use super::clock::Clock;
use super::escape;
use super::table::{ENDPOINT, NAME_SHOWN, TIME, VALUE, VALUE_SHOWN, column, connection_marks, ends, name, trim, write};
use crate::model::{ConnectionRecord, EndReason, Method};

/// Widths of the columns in characters, as those of [`table`](super::table).
const PROTOCOL: usize = "http2".len();
const DURATION: usize = "1000.000 s".len();
const BYTES: usize = "123456+12345678".len();
const STATE: usize = "evicted".len();
const JA4S: usize = "t130200_1302_a56c5b993250".len();
const JA4T: usize = "64240_2-1-3-1-1-4_1460_8".len();

/// Appends the line of column names.
pub(super) fn header(out: &mut Vec<u8>) {
    let mut text = |width: usize, name: &str| column(width, out, |out| out.extend_from_slice(name.as_bytes()));
    text(TIME, "start (UTC)");
    text(DURATION, "duration");
    text(ENDPOINT, "client");
    text(1, "");
    text(ENDPOINT, "server");
    text(PROTOCOL, "app");
    text(STATE, "state");
    text(BYTES, "bytes");
    text(VALUE, "ja4, ja4h, ...");
    text(JA4S, "ja4s");
    text(JA4T, "ja4t");
    out.extend_from_slice(b"name\n");
}

/// Writes connections as columns; see [`LineUnit::Connection`](super::LineUnit::Connection).
#[derive(Debug)]
pub(super) struct ConnectionColumns {
    clock: Clock,
}

impl ConnectionColumns {
    pub(super) fn new() -> Self {
        Self { clock: Clock::new() }
    }

    pub(super) fn connection(&mut self, record: &ConnectionRecord, out: &mut Vec<u8>) {
        let ConnectionRecord { start, last, bytes, ended, .. } = record;
        column(TIME, out, |out| self.clock.time_of_day(*start, out));
        column(DURATION, out, |out| {
            let milliseconds = last.0.saturating_sub(start.0) / 1_000_000;
            write(out, format_args!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000));
        });
        ends(&record.identity, out);
        let protocol = record.protocol().unwrap_or(record.identity.transport());
        column(PROTOCOL, out, |out| out.extend_from_slice(protocol.as_bytes()));
        column(STATE, out, |out| out.extend_from_slice(ended.unwrap_or(EndReason::Open).name().as_bytes()));
        column(BYTES, out, |out| write(out, format_args!("{}+{}", bytes.client, bytes.server)));
        // JA4T has a column of its own.
        let primary = record.primary().filter(|seen| seen.method != Method::Ja4t);
        let values = [(VALUE, primary), (JA4S, record.newest(Method::Ja4s)), (JA4T, record.newest(Method::Ja4t))];
        for (width, seen) in values {
            let value = seen.map_or("", |seen| &seen.value.text);
            column(width, out, |out| escape::terminal(value, VALUE_SHOWN, out));
        }
        if let Some(name) = name(&record.attributes, None) {
            escape::terminal(name, NAME_SHOWN, out);
        }
        trim(out);
        connection_marks(record, out);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::samples::{attributes, connection, flow, record, tls};
    use super::*;
    use crate::model::{FingerprintRecord, SharedAttributes};

    #[test]
    fn a_connection_is_one_line_under_the_names_of_its_columns() {
        let mut out = Vec::new();
        header(&mut out);
        let mut full = ConnectionRecord { attributes: attributes(tls()), ..record() };
        full.history.push(FingerprintRecord::example(Method::Ja4s, "t130200_1302_a56c5b993250"));
        full.history.push(FingerprintRecord::example(Method::Ja4t, "64240_2-4-8-1-3_1380_7"));
        let mut table = ConnectionColumns::new();
        table.connection(&full, &mut out);
        table.connection(&connection(flow(), SharedAttributes::default()), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\
start (UTC)   duration    client                    server                 app    state    bytes            ja4, ja4h, ...                        ja4s                       ja4t                      name
06:59:58.623  1.500 s     10.0.0.1:51234         →  10.0.0.2:443           tls    fin      1234+56789       t13d1516h2_8daaf6152771_e5627efa2ab1  t130200_1302_a56c5b993250  64240_2-4-8-1-3_1380_7    example.org  {Chromium}  new  !c2  2 alerts
06:59:58.623  1.500 s     10.0.0.1:51234         →  10.0.0.2:443           TCP    fin      1234+56789
"
        );
    }

    #[test]
    fn a_name_cannot_add_a_line() {
        let mut out = Vec::new();
        let known = attributes(crate::model::TlsAttributes { sni: Some("a\n\u{1b}[2J".into()), ..tls() });
        ConnectionColumns::new().connection(&connection(flow(), known), &mut out);
        assert!(String::from_utf8(out).unwrap().ends_with("  a\\u{a}\\u{1b}[2J\n"));
    }
}
