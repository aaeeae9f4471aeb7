//! Comma-separated values (RFC 4180).

mod additions;
mod alert;

use std::sync::Arc;

pub(super) use self::additions::{
    connection as add_to_connection, fingerprint as add_to_fingerprint, nothing as add_nothing,
};
use super::address::{address, nibble};
use super::clock::Clock;
use super::filter::{CONNECTION, FINGERPRINT};
use super::quic_version::quic_version;
use super::{Context, escape};
use crate::model::{
    Attributes, CertificateAttributes, ConnectionEvent, EventContext, FingerprintEvent, FlowIdentity, Hook,
    TlsAttributes,
};

/// The header line. Each line after it has as many fields.
const COLUMNS: &str = "timestamp,event_type,in_iface,direction,flow_id,pcap_cnt,\
    src_ip,src_port,dest_ip,dest_port,proto,\
    type,side,count,value,raw,original,raw_original,\
    sni,version,alpn,alpn_chosen,cipher,subject_cn,issuer_cn,quic_version,\
    host,user_agent,http_method,ssh_client,ssh_server,hassh,hassh_server,dhcp_host,dhcp_vendor,\
    state,pkts_toserver,pkts_toclient,bytes_toserver,bytes_toclient,client_us,server_us,\
    label,label_source,label_category,label_confidence,app,app_source,app_category,app_confidence,\
    known_bad,known_bad_category,known_bad_confidence,\
    first_seen,is_new,os,hops_client,hops_server,mss,tunnel,ssh_session,primary,alerts,\
    rule,severity,description,reason,group,category,confidence,suppressed\n";
/// What a connection leaves empty: `type` to `raw_original`.
const NO_FINGERPRINT: &[u8] = b",,,,,,,";
/// What is empty without TLS (`sni` to `cipher`), a certificate, QUIC, HTTP, SSH, DHCP.
const NO_TLS: &[u8] = b",,,,,";
const NO_CERTIFICATE: &[u8] = b",,";
const NO_QUIC: &[u8] = b",";
const NO_HTTP: &[u8] = b",,,";
const NO_SSH: &[u8] = b",,,,";
const NO_DHCP: &[u8] = b",,";
/// What a fingerprint leaves empty: `state` to `server_us`.
const NO_CONNECTION: &[u8] = b",,,,,,,";

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

    /// Leaves the line open behind the comma of `server_us`: the engine's columns follow.
    pub(super) fn fingerprint(&mut self, event: &FingerprintEvent<'_>, out: &mut Vec<u8>) {
        self.head(FINGERPRINT, &event.cause, event.flow, out);
        text(Some(event.method.name()), out);
        text(Some(event.side.name()), out);
        number(Some(event.count), out);
        text(Some(event.value), out);
        text(event.raw, out);
        text(event.original, out);
        text(event.raw_original, out);
        self.attributes(event.attributes, event.certificate, out);
        out.extend_from_slice(NO_CONNECTION);
    }

    /// Leaves the line open, as [`Self::fingerprint`] does.
    pub(super) fn connection(&mut self, event: &ConnectionEvent<'_>, out: &mut Vec<u8>) {
        self.head(CONNECTION, &event.cause, event.flow, out);
        out.extend_from_slice(NO_FINGERPRINT);
        self.attributes(event.attributes, None, out);
        text(Some(event.ended.name()), out);
        for count in event.packets.into_iter().chain(event.bytes) {
            number(Some(count), out);
        }
        number(event.latency.client, out);
        number(event.latency.server, out);
    }

    fn head(&mut self, event_type: &str, cause: &EventContext, flow: &FlowIdentity, out: &mut Vec<u8>) {
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

    /// From `sni` to `dhcp_vendor`; `certificate` is the one that the event is about, if it is about one.
    fn attributes(&mut self, known: &Attributes, certificate: Option<&CertificateAttributes>, out: &mut Vec<u8>) {
        let tls = known.tls.as_deref();
        match tls {
            Some(tls) => self.tls(tls, out),
            None => out.extend_from_slice(NO_TLS),
        }
        match certificate.or_else(|| tls?.certificate.as_deref()) {
            Some(certificate) => {
                text(certificate.subject.as_deref(), out);
                text(certificate.issuer.as_deref(), out);
            }
            None => out.extend_from_slice(NO_CERTIFICATE),
        }
        match &known.quic {
            Some(quic) => {
                quic_version(quic.version, out);
                out.push(b',');
            }
            None => out.extend_from_slice(NO_QUIC),
        }
        match &known.http {
            Some(http) => {
                text(http.host.as_deref(), out);
                text(http.user_agent.as_deref(), out);
                text(http.method.as_deref(), out);
            }
            None => out.extend_from_slice(NO_HTTP),
        }
        match &known.ssh {
            Some(ssh) => {
                for end in ssh.banner.iter().chain(&ssh.hassh) {
                    text(end.as_deref(), out);
                }
            }
            None => out.extend_from_slice(NO_SSH),
        }
        match &known.dhcp {
            Some(dhcp) => {
                text(dhcp.host_name.as_deref(), out);
                text(dhcp.vendor_class.as_deref(), out);
            }
            None => out.extend_from_slice(NO_DHCP),
        }
    }

    /// From `sni` to `cipher`.
    fn tls(&mut self, tls: &TlsAttributes, out: &mut Vec<u8>) {
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
        text(tls.alpn_chosen.as_deref(), out);
        if let Some(cipher) = tls.cipher {
            let [a, b, c, d] = [12, 8, 4, 0].map(|shift| nibble(cipher >> shift));
            out.extend_from_slice(&[b'0', b'x', a, b, c, d]);
        }
        out.push(b',');
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
pub(super) mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::tests::samples::{
        alert, attributes, certificate, connection, context, fingerprint, flow, known, tls,
    };
    use super::*;
    use crate::model::{Alert, CowArc, DhcpAttributes, HttpAttributes, Latency, SharedAttributes, SshAttributes};

    /// Text as people are shown it.
    fn shown(text: &str) -> String {
        let mut out = Vec::new();
        escape::terminal(text, usize::MAX, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn csv(context: Context, write: impl FnOnce(&mut Csv, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut Csv::new(Arc::new(context)), &mut out);
        if out.last() == Some(&b',') {
            add_nothing(&mut out);
        }
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
    pub(in super::super) fn by_column(line: &str) -> HashMap<String, String> {
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
             example.org,TLS 1.3,h2;http/1.1,,0x1301,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n",
        );
        assert_eq!(by_column(&line)["alpn"], "h2;http/1.1");
    }

    #[test]
    fn the_end_of_a_connection() {
        let (flow, attributes) = (flow(), SharedAttributes::default());
        let event = connection(&flow, &attributes);
        let line = csv(Context::default(), |csv, out| csv.connection(&event, out));
        assert_eq!(
            line,
            "2026-11-23T07:00:00.123456789Z,connection,,ingress,1811942318310512,,\
             10.0.0.1,51234,10.0.0.2,443,TCP,,,,,,,,,,,,,,,,,,,,,,,,,fin,12,10,1234,56789,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n",
        );
        let columns = by_column(&line);
        assert_eq!((&*columns["state"], &*columns["bytes_toclient"]), ("fin", "56789"));
    }

    #[test]
    fn every_protocol_has_its_columns() {
        let (flow, known, own) = (flow(), known().into(), certificate());
        let event = FingerprintEvent { certificate: Some(&own), ..fingerprint(&flow, &known) };
        let line = csv(context(), |csv, out| csv.fingerprint(&event, out));
        let columns = by_column(&line);
        for (column, expected) in [
            ("cipher", "0x1301"),
            ("subject_cn", "www.example.org"),
            ("issuer_cn", "Example CA"),
            ("quic_version", "draft-29"),
            ("host", "www.example.org"),
            ("user_agent", "curl/8.5.0"),
            ("http_method", "GET"),
            ("ssh_client", "SSH-2.0-OpenSSH_9.6"),
            ("ssh_server", "SSH-2.0-OpenSSH_9.2p1 Debian-2"),
            ("hassh", "0123456789abcdef0123456789abcdef"),
            ("hassh_server", "fedcba9876543210fedcba9876543210"),
            ("dhcp_host", "printer-2"),
            ("dhcp_vendor", "MSFT 5.0"),
            ("state", ""),
            ("client_us", ""),
        ] {
            assert_eq!(columns[column], expected, "{column}");
        }

        let latency = Latency { client: Some(100), server: Some(15_000), ..Latency::default() };
        let event = ConnectionEvent { latency, ..connection(&flow, &known) };
        let columns = by_column(&csv(context(), |csv, out| csv.connection(&event, out)));
        assert_eq!((&*columns["client_us"], &*columns["server_us"]), ("100", "15000"));
        assert_eq!((&*columns["hassh"], &*columns["subject_cn"]), ("0123456789abcdef0123456789abcdef", ""));
    }

    #[test]
    fn the_server_s_own_certificate_stands_where_the_event_is_about_none() {
        let flow = flow();
        let known = attributes(TlsAttributes { certificate: Some(Box::new(certificate())), ..tls() });
        let columns = by_column(&csv(context(), |csv, out| csv.connection(&connection(&flow, &known), out)));
        assert_eq!(columns["subject_cn"], "www.example.org");
        let issuer =
            CertificateAttributes { subject: Some("Example CA".to_owned()), ..CertificateAttributes::default() };
        let event = FingerprintEvent { certificate: Some(&issuer), ..fingerprint(&flow, &known) };
        let columns = by_column(&csv(context(), |csv, out| csv.fingerprint(&event, out)));
        assert_eq!((&*columns["subject_cn"], &*columns["issuer_cn"]), ("Example CA", ""));
    }

    #[test]
    fn an_alert_fills_its_columns() {
        let line = csv(context(), |csv, out| csv.alert(&alert(), Some("t13d_raw"), out));
        let columns = by_column(&line);
        for (column, expected) in [
            ("event_type", "alert"),
            ("in_iface", "eth0"),
            ("pcap_cnt", "12"),
            ("dest_port", "443"),
            ("type", "ja4"),
            ("raw", "t13d_raw"),
            ("label", ""),
            ("app", ""),
            ("rule", "known_bad"),
            ("severity", "high"),
            ("group", "src_ip=10.0.0.1"),
            ("category", "c2"),
            ("confidence", "40"),
            ("suppressed", "3"),
        ] {
            assert_eq!(columns[column], expected, "{column}");
        }
        let bare = Alert { flow: None, fingerprint: None, ..alert() };
        let columns = by_column(&csv(context(), |csv, out| csv.alert(&bare, None, out)));
        assert_eq!((&*columns["src_ip"], &*columns["pcap_cnt"], &*columns["rule"]), ("", "12", "known_bad"));
    }

    proptest! {
        #[test]
        fn strings_of_every_protocol_come_back(
            texts in prop::array::uniform11("[\"',=+@\t\r\n;a-]{0,6}"),
        ) {
            let [chosen, subject, issuer, host, user_agent, method, client, server, hassh, name, vendor] =
                texts.clone().map(Some);
            let certificate = CertificateAttributes { subject, issuer, ..CertificateAttributes::default() };
            let known = Attributes {
                tls: Some(CowArc::new(TlsAttributes {
                    alpn_chosen: chosen.map(Into::into),
                    certificate: Some(Box::new(certificate)),
                    ..TlsAttributes::default()
                })),
                quic: None,
                http: Some(CowArc::new(HttpAttributes { version: None, method, host, user_agent })),
                ssh: Some(CowArc::new(SshAttributes { banner: [client, server], hassh: [hassh, None] })),
                dhcp: Some(CowArc::new(DhcpAttributes { host_name: name, vendor_class: vendor, ..DhcpAttributes::default() })),
            };
            let flow = flow();
            let line = csv(context(), |csv, out| csv.fingerprint(&fingerprint(&flow, &known.into()), out));
            let columns = by_column(&line);
            let names = [
                "alpn_chosen", "subject_cn", "issuer_cn", "host", "user_agent", "http_method", "ssh_client", "ssh_server",
                "hassh", "dhcp_host", "dhcp_vendor",
            ];
            for (name, text) in names.into_iter().zip(&texts) {
                prop_assert_eq!(&columns[name], &shown(text), "{}", name);
            }
            for field in read(&line).concat() {
                prop_assert!(!field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{:?}", field);
            }
        }

        #[test]
        fn any_strings_come_back(
            strings in any::<[String; 5]>(),
            // What matters in CSV comes up more often than any string would have it.
            sni in "[\"',=+@\t\r\n;a-]{0,6}",
            alpn in any::<Vec<String>>(),
        ) {
            let [interface, value, raw, original, raw_original] = &strings;
            let context = Context { interfaces: vec![String::new(), interface.clone()], ..Context::default() };
            let tls = TlsAttributes { sni: Some(sni.clone().into()), alpn: alpn.iter().cloned().map(Into::into).collect(), ..tls() };
            let (flow, attributes) = (flow(), attributes(tls));
            let event = FingerprintEvent {
                value,
                raw: Some(raw),
                original: Some(original),
                raw_original: Some(raw_original),
                ..fingerprint(&flow, &attributes)
            };
            let line = csv(context, |csv, out| csv.fingerprint(&event, out));
            let columns = by_column(&line);
            prop_assert_eq!(&columns["in_iface"], &shown(interface));
            prop_assert_eq!(&columns["value"], &shown(value));
            prop_assert_eq!(&columns["raw"], &shown(raw));
            prop_assert_eq!(&columns["original"], &shown(original));
            prop_assert_eq!(&columns["raw_original"], &shown(raw_original));
            prop_assert_eq!(&columns["sni"], &shown(&sni));
            prop_assert_eq!(&columns["alpn"], &shown(&alpn.join(ALPN_SEPARATOR)));
            for record in read(&line) {
                for field in record {
                    prop_assert!(!field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{:?}", field);
                }
            }
        }
    }
}
