//! Reading fields.

use std::net::IpAddr;

use super::{Field, Handshake, Value};
use crate::model::{
    CertificateAttributes, ConnectionRecord, EndReason, FingerprintRecord, KnownBad, Label, Method, Side, Time,
    TlsAttributes,
};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The connection, as far as it is known.
    pub record: &'a ConnectionRecord,
    /// The fingerprint that is looked at, if it is one.
    pub event: Option<&'a FingerprintRecord>,
    /// Names of the interfaces, by index.
    pub interfaces: &'a [String],
}

impl<'a> Subject<'a> {
    /// TLS attributes.
    fn tls(self) -> Option<&'a TlsAttributes> {
        self.record.attributes.tls.as_deref()
    }

    fn certificate(self) -> Option<&'a CertificateAttributes> {
        self.tls()?.certificate.as_deref()
    }

    /// The label of the connection.
    fn app(self) -> Option<&'a Label> {
        self.record.app.as_deref()
    }

    /// The label of the fingerprint.
    fn label(self) -> Option<&'a Label> {
        self.event?.label.as_deref()
    }

    fn known_bad(self) -> Option<&'a KnownBad> {
        match self.event {
            Some(seen) => seen.known_bad.as_deref(),
            None => self.record.known_bad.as_deref(),
        }
    }

    /// The newest value of a method.
    fn newest(self, method: Method) -> Value<'a> {
        let seen = self.record.history.iter().rev().find(|seen| seen.method == method);
        text(seen.map(|seen| &*seen.value))
    }
}

impl Field {
    /// The field's value.
    #[must_use]
    pub fn get<'a>(self, subject: &Subject<'a>) -> Value<'a> {
        let subject = *subject;
        let Subject { record, event, interfaces } = subject;
        let attributes = &record.attributes;
        let (http, ssh, dhcp) = (attributes.http.as_deref(), attributes.ssh.as_deref(), attributes.dhcp.as_deref());
        let [to_server, to_client] = record.packets;
        let [bytes_to_server, bytes_to_client] = record.bytes;
        match self {
            Self::SrcIp => Value::Ip(record.identity.client.0),
            Self::DstIp => Value::Ip(record.identity.server.0),
            Self::SrcPort => Value::Number(record.identity.client.1.into()),
            Self::DstPort => Value::Number(record.identity.server.1.into()),
            Self::Proto => Value::Text(match record.identity.proto {
                TCP => "tcp",
                UDP => "udp",
                _ => "other",
            }),
            Self::IpVersion => Value::Number(if matches!(record.identity.client.0, IpAddr::V4(_)) { 4 } else { 6 }),
            Self::Vlan => match record.identity.vlan {
                [0, 0] => Value::Absent,
                tags => Value::Tags(tags),
            },
            Self::Iface => text(interfaces.get(record.interface as usize).map(String::as_str)),
            Self::FlowId => Value::number(record.identity.id),
            Self::CommunityId => text(std::str::from_utf8(record.identity.community.as_bytes()).ok()),
            Self::AppProto => text(record.protocol()),
            Self::Sni => text(subject.tls().and_then(|tls| tls.sni.as_deref())),
            Self::Alpn => match subject.tls().map(|tls| tls.alpn.as_slice()) {
                None | Some([]) => Value::Absent,
                Some(offered) => Value::Texts(offered),
            },
            Self::AlpnChosen => text(subject.tls().and_then(|tls| tls.alpn_chosen.as_deref())),
            Self::TlsVersion => text(subject.tls().and_then(|tls| tls.version)),
            Self::Cipher => number(subject.tls().and_then(|tls| tls.cipher)),
            Self::Ech => subject.tls().map_or(Value::Absent, |tls| Value::Bool(tls.ech)),
            Self::CertSubject => text(subject.certificate().and_then(|certificate| certificate.subject.as_deref())),
            Self::CertIssuer => text(subject.certificate().and_then(|certificate| certificate.issuer.as_deref())),
            Self::CertNotBefore => number(subject.certificate().and_then(|certificate| certificate.not_before)),
            Self::CertNotAfter => number(subject.certificate().and_then(|certificate| certificate.not_after)),
            Self::CertSanCount => number(subject.certificate().map(|certificate| certificate.san_count)),
            Self::HttpMethod => text(http.and_then(|http| http.method.as_deref())),
            Self::HttpHost => text(http.and_then(|http| http.host.as_deref())),
            Self::HttpUserAgent => text(http.and_then(|http| http.user_agent.as_deref())),
            Self::HttpVersion => text(http.and_then(|http| http.version)),
            Self::SshClientBanner => text(ssh.and_then(|ssh| side(&ssh.banner, Side::Client))),
            Self::SshServerBanner => text(ssh.and_then(|ssh| side(&ssh.banner, Side::Server))),
            Self::Hassh => text(ssh.and_then(|ssh| side(&ssh.hassh, Side::Client))),
            Self::HasshServer => text(ssh.and_then(|ssh| side(&ssh.hassh, Side::Server))),
            Self::SshSession => text(record.ssh.map(|session| session.name())),
            Self::DhcpHostName => text(dhcp.and_then(|dhcp| dhcp.host_name.as_deref())),
            Self::DhcpVendorClass => text(dhcp.and_then(|dhcp| dhcp.vendor_class.as_deref())),
            Self::DhcpClientMac => text(dhcp.and_then(|dhcp| dhcp.client_mac.as_deref())),
            Self::QuicVersion => number(attributes.quic.as_deref().map(|quic| quic.version)),
            Self::PktsToserver => Value::number(to_server),
            Self::PktsToclient => Value::number(to_client),
            Self::BytesToserver => Value::number(bytes_to_server),
            Self::BytesToclient => Value::number(bytes_to_client),
            Self::Start => seconds(record.start),
            Self::End => seconds(record.last),
            Self::Duration => Value::number(record.last.0.saturating_sub(record.start.0)),
            Self::State => text(record.ended.map(EndReason::name)),
            Self::Handshake => Value::Text(Handshake::of(record).name()),
            Self::ClientLatency => number(record.latency().client),
            Self::ServerLatency => number(record.latency().server),
            Self::ClientAppLatency => number(record.latency().client_application),
            Self::ServerAppLatency => number(record.latency().server_application),
            Self::ClientHops => number(record.hops.first().copied().flatten()),
            Self::ServerHops => number(record.hops.get(1).copied().flatten()),
            Self::Mss => number(record.mss),
            Self::Path => text(record.path().and_then(|path| path.name)),
            Self::PathConfidence => {
                number(record.path().filter(|path| path.name.is_some()).map(|path| path.confidence))
            }
            Self::PathMtu => number(record.path().map(|path| path.mtu)),
            Self::Tunnel => text(record.tunnel().map(|tunnel| tunnel.name)),
            Self::TunnelConfidence => number(record.tunnel().map(|tunnel| tunnel.confidence)),
            Self::TunnelMtu => number(record.tunnel().map(|tunnel| tunnel.mtu)),
            Self::Os => text(record.os()),
            Self::App => text(subject.app().map(|label| &*label.name)),
            Self::AppSource => text(subject.app().map(|label| &*label.source)),
            Self::AppCategory => text(subject.app().and_then(|label| label.category.as_deref())),
            Self::AppConfidence => number(subject.app().and_then(|label| label.confidence)),
            Self::KnownBad => Value::Bool(subject.known_bad().is_some()),
            Self::KnownBadPattern => text(subject.known_bad().map(|bad| &*bad.pattern)),
            Self::KnownBadCategory => text(subject.known_bad().map(|bad| &*bad.category)),
            Self::KnownBadConfidence => number(subject.known_bad().map(|bad| bad.confidence)),
            Self::KnownBadNote => text(subject.known_bad().map(|bad| &*bad.note)),
            Self::IsNew => Value::Bool(record.is_new),
            Self::PrimaryType => text(record.primary().map(|seen| seen.method.name())),
            Self::PrimaryValue => text(record.primary().map(|seen| &*seen.value)),
            Self::Alerts => match record.fired.as_slice() {
                [] => Value::Absent,
                fired => Value::Texts(fired),
            },
            Self::Ja4 => subject.newest(Method::Ja4),
            Self::Ja4s => subject.newest(Method::Ja4s),
            Self::Ja4t => subject.newest(Method::Ja4t),
            Self::Ja4ts => subject.newest(Method::Ja4ts),
            Self::Ja4l => subject.newest(Method::Ja4l),
            Self::Ja4ls => subject.newest(Method::Ja4ls),
            Self::Ja4h => subject.newest(Method::Ja4h),
            Self::Ja4x => subject.newest(Method::Ja4x),
            Self::Ja4ssh => subject.newest(Method::Ja4ssh),
            Self::Ja4d => subject.newest(Method::Ja4d),
            Self::Ja4d6 => subject.newest(Method::Ja4d6),
            Self::Label => text(subject.label().map(|label| &*label.name)),
            Self::LabelSource => text(subject.label().map(|label| &*label.source)),
            Self::LabelCategory => text(subject.label().and_then(|label| label.category.as_deref())),
            Self::LabelConfidence => number(subject.label().and_then(|label| label.confidence)),
            Self::Type => text(event.map(|seen| seen.method.name())),
            Self::FingerprintValue => text(event.map(|seen| &*seen.value)),
            Self::Raw => text(event.and_then(|seen| seen.raw.as_deref())),
            Self::Side => text(event.map(|seen| seen.side.name())),
            Self::Count => number(event.map(|seen| seen.count)),
            Self::FirstSeen => event.map_or(Value::Absent, |seen| Value::Bool(seen.first_seen)),
        }
    }
}

fn text(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Absent, Value::Text)
}

fn number<'a>(number: Option<impl TryInto<i64>>) -> Value<'a> {
    number.map_or(Value::Absent, Value::number)
}

/// A point in time.
fn seconds<'a>(time: Time) -> Value<'a> {
    Value::number(time.0 / 1_000_000_000)
}

/// One end's text of a pair.
fn side(pair: &[Option<String>; 2], side: Side) -> Option<&str> {
    pair.get(side as usize)?.as_deref()
}
