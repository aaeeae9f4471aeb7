//! Comma-separated values (RFC 4180).

use std::sync::Arc;

use super::address::address;
use super::clock::Clock;
use super::filter::{CONNECTION, FINGERPRINT};
use super::{Context, escape};
use crate::event::{Cause, Connection, Fingerprint, FlowIdentity, Hook, Side, Tls};

/// The header line. Each line after it has as many fields.
const COLUMNS: &str = "timestamp,event_type,in_iface,direction,flow_id,pcap_cnt,\
    src_ip,src_port,dest_ip,dest_port,proto,\
    type,side,count,value,raw,original,raw_original,\
    sni,version,alpn,\
    state,pkts_toserver,pkts_toclient,bytes_toserver,bytes_toclient\n";
/// What a connection leaves empty: `type` to `raw_original`.
const NO_FINGERPRINT: &[u8] = b",,,,,,,";
/// What a fingerprint leaves empty: `state` to `bytes_toclient`, less the line's last comma.
const NO_CONNECTION: &[u8] = b",,,,\n";

/// Between the protocols of one `alpn` field.
const ALPN_SEPARATOR: &str = ";";

/// Appends the header line.
pub(super) fn header(out: &mut Vec<u8>) {
    out.extend_from_slice(COLUMNS.as_bytes());
}

/// Writes events as CSV; see [`Format::Csv`](super::Format::Csv).
#[derive(Debug)]
pub(super) struct Csv {
    clock: Clock,
    context: Arc<Context>,
    /// Where the protocols of a field are put together.
    alpn: String,
}

impl Csv {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { clock: Clock::new(), context, alpn: String::new() }
    }

    pub(super) fn fingerprint(&mut self, event: &Fingerprint<'_>, out: &mut Vec<u8>) {
        self.head(FINGERPRINT, &event.cause, event.flow, out);
        text(Some(event.method.name()), out);
        text(
            Some(match event.side {
                Side::Client => "client",
                Side::Server => "server",
            }),
            out,
        );
        number(Some(event.count), out);
        text(Some(event.value), out);
        text(event.raw, out);
        text(event.original, out);
        text(event.raw_original, out);
        self.tls(event.attributes.tls.as_deref(), out);
        out.extend_from_slice(NO_CONNECTION);
    }

    pub(super) fn connection(&mut self, event: &Connection<'_>, out: &mut Vec<u8>) {
        self.head(CONNECTION, &event.cause, event.flow, out);
        out.extend_from_slice(NO_FINGERPRINT);
        self.tls(event.attributes.tls.as_deref(), out);
        text(Some(event.ended.name()), out);
        for count in event.packets.into_iter().chain(event.bytes) {
            number(Some(count), out);
        }
        out.pop();
        out.push(b'\n');
    }

    fn head(&mut self, event_type: &str, cause: &Cause, flow: &FlowIdentity, out: &mut Vec<u8>) {
        self.clock.timestamp(cause.time, out);
        out.push(b',');
        text(Some(event_type), out);
        text(self.context.interfaces.get(cause.interface as usize).map(String::as_str), out);
        text(
            cause.hook.map(|hook| match hook {
                Hook::Ingress => "ingress",
                Hook::Egress => "egress",
            }),
            out,
        );
        number(Some(flow.id), out);
        number(cause.packet, out);
        for (host, port) in [flow.client, flow.server] {
            address(host, out);
            out.push(b',');
            number(Some(port), out);
        }
        match flow.proto {
            6 => text(Some("TCP"), out),
            17 => text(Some("UDP"), out),
            other => number(Some(other), out),
        }
    }

    fn tls(&mut self, tls: Option<&Tls>, out: &mut Vec<u8>) {
        let Some(tls) = tls else {
            return out.extend_from_slice(b",,,");
        };
        text(tls.sni.as_deref(), out);
        text(tls.version, out);
        self.alpn.clear();
        for (place, protocol) in tls.alpn.iter().enumerate() {
            if place > 0 {
                self.alpn.push_str(ALPN_SEPARATOR);
            }
            self.alpn.push_str(protocol);
        }
        text(Some(&self.alpn), out);
    }
}

/// A field of text and the comma after it.
fn text(text: Option<&str>, out: &mut Vec<u8>) {
    escape::csv(text.unwrap_or_default(), out);
    out.push(b',');
}

/// A field with a number and the comma after it.
fn number(value: Option<impl itoa::Integer>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
    out.push(b',');
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test may stop at the first surprise"
    )]

    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::tests::samples::{attributes, connection, context, fingerprint, flow, tls};
    use super::*;
    use crate::event::Attributes;

    fn csv(context: Context, write: impl FnOnce(&mut Csv, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut Csv::new(Arc::new(context)), &mut out);
        String::from_utf8(out).unwrap()
    }

    /// The records of a file, by the grammar of RFC 4180 section 2, line feeds for CRLF.
    fn read(file: &str) -> Vec<Vec<String>> {
        let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
        let mut quoted = false;
        let mut characters = file.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
                '"' if quoted => quoted = false,
                _ if quoted => field.push(character),
                '"' => {
                    assert!(field.is_empty(), "a quote inside a bare field");
                    quoted = true;
                }
                ',' => record.push(std::mem::take(&mut field)),
                '\n' => {
                    record.push(std::mem::take(&mut field));
                    records.push(std::mem::take(&mut record));
                }
                '\r' => panic!("a bare carriage return outside quotes"),
                _ => field.push(character),
            }
        }
        assert!(!quoted && field.is_empty() && record.is_empty(), "ends inside a record");
        records
    }

    /// The fields of one line by their column, and without the mark that defuses them.
    fn by_column(line: &str) -> HashMap<String, String> {
        let records = read(&format!("{COLUMNS}{line}"));
        assert_eq!(records.len(), 2, "{line:?}");
        assert_eq!(records[0].len(), records[1].len(), "{line:?}");
        let text = |field: &String| field.strip_prefix('\'').unwrap_or(field).to_owned();
        records[0].iter().cloned().zip(records[1].iter().map(text)).collect()
    }

    #[test]
    fn a_fingerprint() {
        let (flow, attributes) = (flow(), attributes(tls()));
        let line = csv(context(), |csv, out| csv.fingerprint(&fingerprint(&flow, &attributes), out));
        assert_eq!(
            line,
            "2026-11-23T07:00:00.123456789Z,fingerprint,eth0,ingress,1811942318310512,12,\
             10.0.0.1,51234,10.0.0.2,443,TCP,ja4,client,1,t13d1516h2_8daaf6152771_e5627efa2ab1,,,,\
             example.org,TLS 1.3,h2;http/1.1,,,,,\n",
        );
        assert_eq!(by_column(&line)["alpn"], "h2;http/1.1");
    }

    #[test]
    fn the_end_of_a_connection() {
        let (flow, attributes) = (flow(), Attributes::default());
        let event = connection(&flow, &attributes);
        let line = csv(Context::default(), |csv, out| csv.connection(&event, out));
        assert_eq!(
            line,
            "2026-11-23T07:00:00.123456789Z,connection,,ingress,1811942318310512,,\
             10.0.0.1,51234,10.0.0.2,443,TCP,,,,,,,,,,,fin,12,10,1234,56789\n",
        );
        let columns = by_column(&line);
        assert_eq!((&*columns["state"], &*columns["bytes_toclient"]), ("fin", "56789"));
    }

    proptest! {
        #[test]
        fn any_strings_come_back(
            strings in any::<[String; 5]>(),
            // What matters in CSV comes up more often than any string would have it.
            sni in "[\"',=+@\t\r\n;a-]{0,6}",
            alpn in any::<Vec<String>>(),
        ) {
            let [interface, value, raw, original, raw_original] = &strings;
            let context = Context { interfaces: vec![String::new(), interface.clone()], ..Context::default() };
            let tls = Tls { sni: Some(sni.clone()), alpn: alpn.clone(), ..tls() };
            let (flow, attributes) = (flow(), attributes(tls));
            let event = Fingerprint {
                value,
                raw: Some(raw),
                original: Some(original),
                raw_original: Some(raw_original),
                ..fingerprint(&flow, &attributes)
            };
            let line = csv(context, |csv, out| csv.fingerprint(&event, out));
            let columns = by_column(&line);
            prop_assert_eq!(&columns["in_iface"], interface);
            prop_assert_eq!(&columns["value"], value);
            prop_assert_eq!(&columns["raw"], raw);
            prop_assert_eq!(&columns["original"], original);
            prop_assert_eq!(&columns["raw_original"], raw_original);
            prop_assert_eq!(&columns["sni"], &sni);
            prop_assert_eq!(&columns["alpn"], &alpn.join(ALPN_SEPARATOR));
            for record in read(&line) {
                for field in record {
                    prop_assert!(!field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{:?}", field);
                }
            }
        }
    }
}
