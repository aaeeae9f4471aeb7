use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::encode::tests::samples::{
    alert, attributes, certificate, connection, context, end, fingerprint, flow, known, tls,
};
use crate::encode::{EncodeContext, Format, Formatter};
use crate::model::{
    Alert, Attributes, CertificateAttributes, CowArc, DhcpAttributes, FingerprintEvent, HttpAttributes, InterfaceNames,
    Latency, SharedAttributes, SshAttributes, TlsAttributes,
};
use std::sync::Arc;

/// Text as people are shown it.
fn shown(text: &str) -> String {
    let mut out = Vec::new();
    escape::terminal(text, usize::MAX, &mut out);
    String::from_utf8(out).unwrap()
}

fn csv(context: EncodeContext, write: impl FnOnce(&mut Formatter, &mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut Formatter::new(Format::Csv, Arc::new(context)), &mut out);
    String::from_utf8(out).unwrap()
}

/// The header line.
fn columns() -> String {
    let mut out = Vec::new();
    header(&mut out);
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
pub(in crate::encode) fn by_column(line: &str) -> HashMap<String, String> {
    let records = read(&format!("{}{line}", columns()));
    assert_eq!(records.len(), 2, "{line:?}");
    assert_eq!(records[0].len(), records[1].len(), "{line:?}");
    let text = |field: &String| field.strip_prefix('\'').unwrap_or(field).to_owned();
    records[0].iter().cloned().zip(records[1].iter().map(text)).collect()
}

#[test]
fn a_fingerprint() {
    let record = connection(flow(), attributes(tls()));
    let line = csv(context(), |csv, out| csv.fingerprint(&fingerprint(), &record, None, out));
    assert!(
        line.starts_with("2026-11-23T07:00:00.123456789Z,fingerprint,web1,eth0,ingress,1811942318310512,"),
        "{line}"
    );
    let columns = by_column(&line);
    for (column, expected) in [
        ("vlan", "100"),
        ("src_ip", "10.0.0.1"),
        ("src_port", "51234"),
        ("proto", "TCP"),
        ("app_proto", "tls"),
        ("fingerprint.type", "ja4"),
        ("fingerprint.side", "client"),
        ("fingerprint.count", "1"),
        ("fingerprint.value", "t13d1516h2_8daaf6152771_e5627efa2ab1"),
        ("tls.sni", "example.org"),
        ("tls.version", "TLS 1.3"),
        ("tls.alpn", "h2;http/1.1"),
        ("connection.state", ""),
        ("label.name", ""),
    ] {
        assert_eq!(columns[column], expected, "{column}");
    }
}

#[test]
fn the_end_of_a_connection() {
    let record = connection(flow(), SharedAttributes::default());
    let columns = by_column(&csv(EncodeContext::default(), |csv, out| csv.connection(&end(), &record, out)));
    for (column, expected) in [
        ("event_type", "connection"),
        ("sensor", ""),
        ("connection.start", "2026-11-23T06:59:58.623456789Z"),
        ("connection.state", "fin"),
        ("connection.pkts_toserver", "12"),
        ("connection.bytes_toclient", "56789"),
        ("fingerprint.type", ""),
    ] {
        assert_eq!(columns[column], expected, "{column}");
    }
}

#[test]
fn every_protocol_has_its_columns() {
    let (mut record, own) = (connection(flow(), known()), certificate());
    let event = FingerprintEvent { certificate: Some(&own), ..fingerprint() };
    let line = csv(context(), |csv, out| csv.fingerprint(&event, &record, None, out));
    let columns = by_column(&line);
    for (column, expected) in [
        ("tls.cipher", "0x1301"),
        ("tls.group", "0x11ec"),
        ("certificate.subject_cn", "www.example.org"),
        ("certificate.issuer_cn", "Example CA"),
        ("quic.version", "draft-29"),
        ("http.hostname", "www.example.org"),
        ("http.http_user_agent", "curl/8.5.0"),
        ("http.http_method", "GET"),
        ("ssh.client.software_version", "OpenSSH_9.6"),
        ("ssh.server.software_version", "OpenSSH_9.2p1"),
        ("ssh.client.hassh.hash", "0123456789abcdef0123456789abcdef"),
        ("ssh.server.hassh.hash", "fedcba9876543210fedcba9876543210"),
        ("dhcp.hostname", "printer-2"),
        ("dhcp.vendor_class_identifier", "MSFT 5.0"),
        ("connection.state", ""),
        ("latency.client_us", ""),
    ] {
        assert_eq!(columns[column], expected, "{column}");
    }

    record.latency = Some(Box::new(Latency { client: Some(100), server: Some(15_000), ..Latency::default() }));
    let columns = by_column(&csv(context(), |csv, out| csv.connection(&end(), &record, out)));
    assert_eq!((&*columns["latency.client_us"], &*columns["latency.server_us"]), ("100", "15000"));
    assert_eq!(
        (&*columns["ssh.client.hassh.hash"], &*columns["tls.subject_cn"]),
        ("0123456789abcdef0123456789abcdef", "")
    );
}

#[test]
fn the_certificate_of_a_ja4x_and_that_of_the_server_have_columns_of_their_own() {
    let known = attributes(TlsAttributes { certificate: Some(Box::new(certificate())), ..tls() });
    let record = connection(flow(), known);
    let columns = by_column(&csv(context(), |csv, out| csv.connection(&end(), &record, out)));
    assert_eq!(columns["tls.subject_cn"], "www.example.org");
    let issuer = CertificateAttributes { subject: Some("Example CA".to_owned()), ..CertificateAttributes::default() };
    let event = FingerprintEvent { certificate: Some(&issuer), ..fingerprint() };
    let columns = by_column(&csv(context(), |csv, out| csv.fingerprint(&event, &record, None, out)));
    assert_eq!((&*columns["certificate.subject_cn"], &*columns["certificate.issuer_cn"]), ("Example CA", ""));
    assert_eq!(columns["tls.subject_cn"], "www.example.org");
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
        ("fingerprint.type", "ja4"),
        ("fingerprint.raw", "t13d_raw"),
        ("label.name", ""),
        ("app.name", ""),
        ("alert.ja4sensor.rule", "known_bad"),
        ("alert.ja4sensor.severity", "high"),
        ("alert.ja4sensor.group", "src_ip=10.0.0.1"),
        ("alert.category", "c2"),
        ("alert.ja4sensor.confidence", "40"),
        ("alert.ja4sensor.suppressed", "3"),
    ] {
        assert_eq!(columns[column], expected, "{column}");
    }
    let bare = Alert { flow: None, fingerprint: None, ..alert() };
    let columns = by_column(&csv(context(), |csv, out| csv.alert(&bare, None, out)));
    assert_eq!(
        (&*columns["src_ip"], &*columns["pcap_cnt"], &*columns["alert.ja4sensor.rule"]),
        ("", "12", "known_bad")
    );
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
            ssh: Some(CowArc::new(SshAttributes { banner: [client, server].into(), hassh: [hassh, None].into() })),
            dhcp: Some(CowArc::new(DhcpAttributes { host_name: name, vendor_class: vendor, ..DhcpAttributes::default() })),
        };
        let record = connection(flow(), known);
        let line = csv(context(), |csv, out| csv.fingerprint(&fingerprint(), &record, None, out));
        let columns = by_column(&line);
        let names = [
            "tls.alpn_chosen", "tls.subject_cn", "tls.issuer_cn", "http.hostname", "http.http_user_agent", "http.http_method", "ssh.client.software_version", "ssh.server.software_version",
            "ssh.client.hassh.hash", "dhcp.hostname", "dhcp.vendor_class_identifier",
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
        let context = EncodeContext { interfaces: Arc::new(InterfaceNames::from_iter([&format!("not {interface}"), interface])), ..EncodeContext::default() };
        let tls = TlsAttributes { sni: Some(sni.clone().into()), alpn: alpn.iter().cloned().map(Into::into).collect(), ..tls() };
        let record = connection(flow(), attributes(tls));
        let event = FingerprintEvent {
            value,
            raw: Some(raw),
            original: Some(original),
            raw_original: Some(raw_original),
            ..fingerprint()
        };
        let line = csv(context, |csv, out| csv.fingerprint(&event, &record, None, out));
        let columns = by_column(&line);
        prop_assert_eq!(&columns["in_iface"], &shown(interface));
        prop_assert_eq!(&columns["fingerprint.value"], &shown(value));
        prop_assert_eq!(&columns["fingerprint.raw"], &shown(raw));
        prop_assert_eq!(&columns["fingerprint.original"], &shown(original));
        prop_assert_eq!(&columns["fingerprint.raw_original"], &shown(raw_original));
        prop_assert_eq!(&columns["tls.sni"], &shown(&sni));
        prop_assert_eq!(&columns["tls.alpn"], &shown(&alpn.join(SEPARATOR)));
        for record in read(&line) {
            for field in record {
                prop_assert!(!field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{:?}", field);
            }
        }
    }
}
