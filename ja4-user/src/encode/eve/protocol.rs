//! The events of a connection's protocol.

use ja4::Ja3;

use super::event::{EventWriter, app_proto, key, object, plus, values};
use crate::encode::escape;
use crate::encode::filter::Filter;
use crate::encode::json::{FieldWriter, end, list, quoted, text};
use crate::model::field::{Field, FieldSource as _, FieldValue, Subject};
use crate::model::{ConnectionRecord, FingerprintRecord, Method, Time, TlsAttributes};

/// Fields in the `ja4plus` of a request or message: what is known of its fingerprint.
pub(super) const OF_MESSAGE: [Field; 10] = [
    Field::Direction,
    Field::LabelName,
    Field::LabelSource,
    Field::LabelCategory,
    Field::LabelConfidence,
    Field::FirstSeen,
    Field::KnownBadPattern,
    Field::KnownBadCategory,
    Field::KnownBadConfidence,
    Field::KnownBadNote,
];

/// Fields of the connection in the `ja4plus` of its protocol's event.
const OF_CONNECTION: [Field; 10] = [
    Field::AppName,
    Field::AppSource,
    Field::AppCategory,
    Field::AppConfidence,
    Field::FirstSeen,
    Field::KnownBadPattern,
    Field::KnownBadCategory,
    Field::KnownBadConfidence,
    Field::KnownBadNote,
    Field::SshSessionField,
];

/// Fields of the object `ssh`, which are Suricata's.
const SSH: [Field; 6] = [
    Field::SshClientProtocol,
    Field::SshClientSoftware,
    Field::SshClientHassh,
    Field::SshServerProtocol,
    Field::SshServerSoftware,
    Field::SshServerHassh,
];

/// Fields of the object `dhcp`, which are Suricata's.
const DHCP: [Field; 3] = [Field::DhcpHostname, Field::DhcpVendorClass, Field::DhcpClientMac];

/// Fields of a TLS handshake for which the object `tls` has no place.
const NOT_IN_TLS: [Field; 3] = [Field::TlsGroup, Field::TlsEch, Field::TlsSanCount];

/// Fields of a TLS handshake for which the object `quic` has no place.
const NOT_IN_QUIC: [Field; 6] =
    [Field::TlsVersion, Field::TlsAlpn, Field::TlsAlpnChosen, Field::TlsCipher, Field::TlsGroup, Field::TlsEch];

/// Times of a certificate that the schema accepts, seconds since 1970: from the year 1000 to the year 2999.
const DATES: std::ops::Range<i64> = -30_610_224_000..32_503_680_000;

/// Suricata's value of `tls.version` before the server has chosen one.
const UNDETERMINED: &str = "UNDETERMINED";

/// A message with an event of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageKind {
    Http,
    Dhcp,
}

impl EventWriter {
    /// Writes the events of the protocol of a connection that has ended.
    pub(super) fn protocol(
        &mut self,
        filter: Filter,
        subject: &Subject<'_>,
        record: &ConnectionRecord,
        out: &mut Vec<u8>,
    ) {
        let is_selected = |methods: &[Method]| methods.iter().any(|method| filter.fingerprint(*method));
        // A message with a fingerprint had its event then.
        let is_new = |method| filter.fingerprint(method) && record.newest(method).is_none();
        match app_proto(record) {
            Some("tls" | "quic") if is_selected(&[Method::Ja4, Method::Ja4s, Method::Ja4x]) => {
                self.handshakes(subject, record, out);
            }
            Some("ssh") if is_selected(&[Method::Ja4ssh]) => self.ssh(subject, record, out),
            Some("http" | "http2") if is_new(Method::Ja4h) => {
                self.message(MessageKind::Http, record.last, None, subject, out);
                end(out);
            }
            Some("dhcp") if is_new(Method::Ja4d) && is_new(Method::Ja4d6) => {
                self.message(MessageKind::Dhcp, record.last, None, subject, out);
                end(out);
            }
            _ => {}
        }
    }

    /// Writes an event for each TLS handshake. The attributes of a connection are those of the last one. The ClientHellos
    /// of a handshake are numbered from 1: a server may request a second one.
    fn handshakes(&mut self, subject: &Subject<'_>, record: &ConnectionRecord, out: &mut Vec<u8>) {
        let mut rest = record.history.as_slice();
        loop {
            let hellos = rest.iter().enumerate().filter(|(_, seen)| seen.method == Method::Ja4 && seen.count() == 1);
            let next = hellos.map(|(at, _)| at).nth(1).unwrap_or(rest.len());
            let (handshake, later) = rest.split_at(next);
            self.handshake(subject, record, handshake, later.is_empty(), out);
            if later.is_empty() {
                break;
            }
            rest = later;
        }
    }

    /// Writes the event of a TLS handshake with these fingerprints.
    fn handshake(
        &mut self,
        subject: &Subject<'_>,
        record: &ConnectionRecord,
        handshake: &[FingerprintRecord],
        is_last: bool,
        out: &mut Vec<u8>,
    ) {
        let is_quic = record.attributes.quic.is_some();
        let hello = handshake.iter().find(|seen| seen.method == Method::Ja4);
        let at = hello.or(handshake.first()).map_or(record.start, |seen| seen.time(record.start));
        let ja4 = hello.map(|seen| &*seen.value.text);
        let tls = record.attributes.tls.as_deref().filter(|_| is_last);
        if is_quic {
            self.open(b"quic", at, None, subject, out);
            object(b"quic", out, |out| {
                for field in [Field::QuicVersionField].into_iter().chain(tls.map(|_| Field::TlsSni)) {
                    self.known(field, subject, out);
                }
                self.ja3(tls, out);
                self.text(b"ja4", ja4, out);
            });
        } else {
            self.open(b"tls", at, None, subject, out);
            self.tls(tls, ja4, out);
        }
        plus(out, |out| {
            if let Some(tls) = tls {
                let fields = if is_quic { &NOT_IN_QUIC[..] } else { &NOT_IN_TLS };
                let dates = tls.certificate.as_deref().filter(|_| !is_quic).map(|certificate| {
                    [(Field::TlsNotBefore, certificate.not_before), (Field::TlsNotAfter, certificate.not_after)]
                });
                let is_odd =
                    |(field, date): (Field, Option<i64>)| date.filter(|date| !DATES.contains(date)).map(|_| field);
                let offered = (!is_quic && tls.cipher.is_none()).then_some(Field::TlsVersion);
                let fields = offered
                    .into_iter()
                    .chain(fields.iter().copied())
                    .chain(dates.into_iter().flatten().filter_map(is_odd))
                    .chain(OF_CONNECTION);
                FieldWriter::write_list(subject, fields, &mut self.clock, out);
            }
            let of_handshake = handshake.iter().filter(|seen| match seen.method {
                Method::Ja4 => seen.count() > 1,
                method => matches!(method, Method::Ja4s | Method::Ja4x),
            });
            values(of_transport(record).chain(of_handshake), out);
        });
        end(out);
    }

    /// Writes the object `tls`, with the attributes of the handshake if they are known.
    fn tls(&mut self, tls: Option<&TlsAttributes>, ja4: Option<&str>, out: &mut Vec<u8>) {
        object(b"tls", out, |out| {
            let certificate = tls.and_then(|tls| tls.certificate.as_deref());
            if let Some(certificate) = certificate {
                for (name, common_name) in [(&b"subject"[..], &certificate.subject), (b"issuerdn", &certificate.issuer)]
                {
                    if let Some(common_name) = common_name {
                        key(name, out);
                        text(out, |out| {
                            out.extend_from_slice(b"CN=");
                            escape::json(common_name, out);
                        });
                        out.push(b',');
                    }
                }
                for (name, date) in [(&b"notbefore"[..], certificate.not_before), (b"notafter", certificate.not_after)]
                {
                    if let Some(date) = date.filter(|date| DATES.contains(date)) {
                        self.field(name, FieldValue::UtcDate(date), out);
                    }
                }
            }
            self.text(b"sni", tls.and_then(|tls| tls.sni.as_deref()), out);
            if let Some(tls) = tls {
                let version = tls.version.filter(|_| tls.cipher.is_some()).map_or(UNDETERMINED, version);
                self.field(b"version", FieldValue::Text(version), out);
            }
            self.ja3(tls, out);
            self.text(b"ja4", ja4, out);
            if let Some(tls) = tls {
                for (name, protocols) in
                    [(&b"client_alpns"[..], &*tls.alpn), (b"server_alpns", tls.alpn_chosen.as_slice())]
                {
                    if !protocols.is_empty() {
                        key(name, out);
                        list(protocols, out, |protocol, out| quoted(protocol, out));
                        out.push(b',');
                    }
                }
            }
            if let Some(cipher) = tls.and_then(|tls| tls.cipher) {
                object(b"server_handshake", out, |out| {
                    self.field(b"cipher", FieldValue::number(cipher), out);
                });
            }
        });
    }

    /// Writes the objects `ja3` and `ja3s`, if they are known.
    fn ja3(&mut self, tls: Option<&TlsAttributes>, out: &mut Vec<u8>) {
        let Some(of_sides) = tls.and_then(|tls| tls.ja3.as_deref()) else {
            return;
        };
        for (name, of_side) in [(&b"ja3"[..], &of_sides.client), (b"ja3s", &of_sides.server)] {
            if let Some(Ja3 { hash, string }) = of_side {
                object(name, out, |out| {
                    self.text(b"hash", Some(hash.as_str()), out);
                    self.text(b"string", Some(string), out);
                });
            }
        }
    }

    fn ssh(&mut self, subject: &Subject<'_>, record: &ConnectionRecord, out: &mut Vec<u8>) {
        let first = record.history.iter().find(|seen| seen.method == Method::Ja4ssh);
        let at = first.map_or(record.last, |seen| seen.time(record.start));
        self.open(b"ssh", at, None, subject, out);
        FieldWriter::write_list(subject, SSH, &mut self.clock, out);
        plus(out, |out| {
            FieldWriter::write_list(subject, OF_CONNECTION, &mut self.clock, out);
            let of_ssh = record.history.iter().filter(|seen| seen.method == Method::Ja4ssh);
            values(of_transport(record).chain(of_ssh), out);
        });
        end(out);
    }

    /// Writes the event of the latest request or message, and leaves the line open behind a comma.
    pub(super) fn message(
        &mut self,
        kind: MessageKind,
        at: Time,
        packet: Option<u64>,
        subject: &Subject<'_>,
        out: &mut Vec<u8>,
    ) {
        match kind {
            MessageKind::Http => {
                self.open(b"http", at, packet, subject, out);
                object(b"http", out, |out| {
                    if let Some(FieldValue::Text(host)) = subject.value(Field::HttpHostname) {
                        let (name, port) = host_and_port(host);
                        self.text(b"hostname", Some(name), out);
                        if let Some(port) = port {
                            self.field(b"http_port", FieldValue::number(port), out);
                        }
                    }
                    for field in [Field::HttpUserAgent, Field::HttpMethod] {
                        self.known(field, subject, out);
                    }
                    match subject.value(Field::HttpProtocol) {
                        Some(FieldValue::Text("HTTP/2")) => self.text(b"version", Some("2"), out),
                        Some(FieldValue::Text(protocol)) => self.text(b"protocol", Some(protocol), out),
                        _ => {}
                    }
                });
            }
            MessageKind::Dhcp => {
                self.open(b"dhcp", at, packet, subject, out);
                FieldWriter::write_list(subject, DHCP, &mut self.clock, out);
            }
        }
    }
}

/// The fingerprints of a connection's TCP handshake, and its latencies.
fn of_transport(record: &ConnectionRecord) -> impl Iterator<Item = &FingerprintRecord> + Clone {
    let is_of_transport = |method| matches!(method, Method::Ja4t | Method::Ja4ts | Method::Ja4l | Method::Ja4ls);
    record.history.iter().filter(move |seen| is_of_transport(seen.method))
}

/// The name and the port of a Host header (RFC 9110, section 7.2).
fn host_and_port(host: &str) -> (&str, Option<u16>) {
    let parts = host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
    match parts {
        // An IPv6 address without a port has colons too.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

/// Suricata's name of a TLS version.
fn version(version: &'static str) -> &'static str {
    match version {
        "SSL 2.0" => "SSLv2",
        "SSL 3.0" => "SSLv3",
        "TLS 1.0" => "TLSv1",
        version => version,
    }
}
