//! The field table: one row for each fact about a connection, a fingerprint or an alert.
//!
//! A row's name is the path of the field in JSON. It is the field's name in rules and in CSV too; the SQL column is
//! the same name with `_` for `.`, without the leading `connection.`. Encoders, storage, rules and the reference in
//! docs/output.md are derived from the rows, in their order.

use super::handshake::HandshakeState;
use super::kind::{FieldKind, Known, Section};
use super::subject::{Subject, count, text, time};
use super::value::FieldValue::{self, Bool, Hex, Ip, Number, Pairs, QuicVersion, Tags, Texts, UtcDate};
use crate::model::{Attributes, EndReason, Method, Side};

/// The events that contain a field, and where else it appears.
pub mod place {
    /// In `fingerprint` events.
    pub const FINGERPRINT: u8 = 1;
    /// In `connection` events.
    pub const CONNECTION: u8 = 1 << 1;
    /// In `alert` events.
    pub const ALERT: u8 = 1 << 2;
    /// In rules.
    pub const RULE: u8 = 1 << 3;
    /// In a column of its own of the SQL table `connection`.
    pub const COLUMN: u8 = 1 << 4;
    /// In the JSON object that the SQL column `attributes` holds.
    pub const ATTRIBUTES: u8 = 1 << 5;
}
use place::{ALERT, ATTRIBUTES, COLUMN, CONNECTION, FINGERPRINT, RULE};

/// In every event.
const ALL: u8 = FINGERPRINT | CONNECTION | ALERT;
/// In every event and in rules.
const FLOW: u8 = ALL | RULE;
/// What a protocol's messages contain.
const MESSAGE: u8 = FINGERPRINT | CONNECTION | RULE | ATTRIBUTES;
/// What the engine knows of a connection.
const OF_CONNECTION: u8 = CONNECTION | RULE | COLUMN;

/// A method's bit in [`Known::With`].
#[must_use]
pub const fn bit(method: Method) -> u16 {
    1 << method as u16
}

/// A ClientHello was parsed.
const HELLO: Known = Known::With(bit(Method::Ja4));
/// A ServerHello was parsed.
const SERVER: Known = Known::With(bit(Method::Ja4s));
const CERTIFICATE: Known = Known::With(bit(Method::Ja4x));
const REQUEST: Known = Known::With(bit(Method::Ja4h));
const SSH: Known = Known::With(bit(Method::Ja4ssh));
const DHCP: Known = Known::With(bit(Method::Ja4d) | bit(Method::Ja4d6));
const SYN: Known = Known::With(bit(Method::Ja4t));
const SYN_ACK: Known = Known::With(bit(Method::Ja4ts));
/// A message was parsed that shows the application protocol.
const PAYLOAD: Known = Known::With(
    bit(Method::Ja4)
        | bit(Method::Ja4s)
        | bit(Method::Ja4x)
        | bit(Method::Ja4h)
        | bit(Method::Ja4ssh)
        | bit(Method::Ja4d)
        | bit(Method::Ja4d6),
);
const START: Known = Known::Start;
const END: Known = Known::End;
const EVENT: Known = Known::Fingerprint;

const TRANSPORTS: FieldKind = FieldKind::Word(&["TCP", "UDP"]);
const DIRECTIONS: FieldKind = FieldKind::Word(&["ingress", "egress"]);
const APPLICATIONS: FieldKind = FieldKind::Word(&Attributes::PROTOCOLS);
const HANDSHAKES: FieldKind = FieldKind::Word(&["none", "syn_only", "half_open", "failed", "done"]);
const SESSIONS: FieldKind = FieldKind::Word(&["interactive", "reverse", "download", "upload"]);
const SIDES: FieldKind = FieldKind::Word(&["client", "server"]);
const STATES: FieldKind = FieldKind::Word(&{
    let mut names = [""; EndReason::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        #[expect(clippy::indexing_slicing, reason = "checked when compiled")]
        {
            names[at] = EndReason::ALL[at].name();
        }
        at += 1;
    }
    names
});
const METHODS: FieldKind = FieldKind::Word(&{
    let mut names = [""; Method::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        #[expect(clippy::indexing_slicing, reason = "checked when compiled")]
        {
            names[at] = Method::ALL[at].name();
        }
        at += 1;
    }
    names
});

/// A row, without its getter.
#[derive(Debug)]
pub struct FieldRow {
    /// The name: the path in JSON, its parts joined with `.`.
    pub name: &'static str,
    /// The path in JSON.
    pub path: &'static [&'static str],
    /// The last part of the path as a JSON key with its colon.
    pub key: &'static str,
    /// The name with `_` for `.`.
    underscored: &'static str,
    /// The kind of its values.
    pub kind: FieldKind,
    /// When its value is known.
    pub known: Known,
    /// Where it appears, see [`place`].
    pub places: u8,
    /// One line for the reference.
    pub about: &'static str,
}

impl FieldRow {
    /// Its SQL column.
    #[must_use]
    pub fn column(&self) -> &'static str {
        self.underscored.strip_prefix("connection_").unwrap_or(self.underscored)
    }

    /// The JSON object at the top of a line that contains it.
    #[must_use]
    pub const fn section(&self) -> Section {
        match self.path {
            [object, _, ..] => Section::named(object),
            _ => Section::Top,
        }
    }

    /// The path of the JSON object that contains it.
    #[must_use]
    pub(crate) const fn parents(&self) -> &'static [&'static str] {
        match self.path.split_last() {
            Some((_, parents)) => parents,
            None => &[],
        }
    }
}

/// A field as an encoder of JSON needs it.
#[derive(Clone, Copy, Debug)]
pub struct FieldKey {
    /// As [`FieldRow::key`].
    pub(crate) key: &'static str,
    /// The JSON object that contains it: fields of one object have the same number, those at the top have 0.
    pub(crate) object: u8,
    /// The path of that object.
    pub(crate) parents: &'static [&'static str],
}

/// The object of each field, by [`FieldKey::object`].
const OBJECTS: [u8; ROWS.len()] = {
    let mut objects = [0; ROWS.len()];
    let mut index = 0;
    while index < ROWS.len() {
        let mut first = 0;
        #[expect(clippy::indexing_slicing, reason = "checked when compiled")]
        {
            let parents = ROWS[index].parents();
            while !is_same_path(ROWS[first].parents(), parents) {
                first += 1;
            }
            objects[index] = first as u8;
        }
        index += 1;
    }
    objects
};

#[expect(clippy::indexing_slicing, reason = "run by the compiler alone")]
const fn is_same_path(one: &[&str], other: &[&str]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut part = 0;
    while part < one.len() {
        let (one, other) = (one[part].as_bytes(), other[part].as_bytes());
        if one.len() != other.len() {
            return false;
        }
        let mut byte = 0;
        while byte < one.len() {
            if one[byte] != other[byte] {
                return false;
            }
            byte += 1;
        }
        part += 1;
    }
    true
}

macro_rules! last {
    ($one:ident) => { stringify!($one) };
    ($first:ident $($rest:ident)+) => { last!($($rest)+) };
}

macro_rules! fields {
    ($($part:ident$(.$rest:ident)* => $variant:ident $kind:expr, $known:expr, $places:expr, $about:literal, $get:expr;)+) => {
        /// A field: a row of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field {
            $(#[doc = $about] $variant,)+
        }

        const ROWS: &[FieldRow] = &[$(FieldRow {
            name: concat!(stringify!($part) $(, ".", stringify!($rest))*),
            path: &[stringify!($part) $(, stringify!($rest))*],
            key: concat!("\"", last!($part $($rest)*), "\":"),
            underscored: concat!(stringify!($part) $(, "_", stringify!($rest))*),
            kind: $kind,
            known: $known,
            places: $places,
            about: $about,
        },)+];

        impl Field {
            /// Every field, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The field's value; `None`: not known, or not of this subject.
            #[must_use]
            #[inline]
            pub fn value<'a>(self, subject: &Subject<'a>) -> Option<FieldValue<'a>> {
                match self {
                    $(Self::$variant => {
                        let get: fn(&Subject<'a>) -> Option<FieldValue<'a>> = $get;
                        get(subject)
                    })+
                }
            }

            /// Calls `found` with each known field of a [`place`], from the field `FIRST` to before the field `END`.
            ///
            /// The compiler makes straight code of it, without a look at the table: it is for lines that are written often.
            #[inline(always)]
            pub(super) fn each_of<'a, const PLACE: u8, const FIRST: u8, const END: u8>(
                subject: &Subject<'a>,
                mut found: impl FnMut(FieldKey, FieldValue<'a>),
            ) {
                $(
                    if const { $places & PLACE != 0 && Self::$variant as u8 >= FIRST && (Self::$variant as u8) < END }
                        && subject.has_section(const { section_of(Self::$variant) })
                    {
                        let get: fn(&Subject<'a>) -> Option<FieldValue<'a>> = $get;
                        if let Some(value) = get(subject) {
                            found(const { Self::$variant.key() }, value);
                        }
                    }
                )+
            }
        }
    };
}

fields! {
    sensor => Sensor FieldKind::Text, START, ALL, "Name of the sensor.", |s| text(s.sensor);
    in_iface => InIface FieldKind::Text, START, FLOW, "Interface that saw the first packet.", |s| text(s.interface());
    direction => Direction DIRECTIONS, EVENT, FINGERPRINT | CONNECTION, "Hook that saw the packet; absent in a replay.",
        |s| text(Some(s.context()?.hook?.name()));
    flow_id => FlowId FieldKind::Number, START, FLOW, "Number of the flow, the same live and in a replay; below 2^53.",
        |s| count(Some(s.flow()?.id));
    community_id => CommunityId FieldKind::Text, START, FLOW, "Community ID, version 1.",
        |s| text(std::str::from_utf8(s.flow()?.community.as_bytes()).ok());
    pcap_cnt => PcapCnt FieldKind::Number, EVENT, ALL, "Number of the packet in its capture, from 1; absent live.",
        |s| count(s.packet());
    vlan => Vlan FieldKind::Number, START, FLOW, "VLAN tags, outermost first. A condition holds if it holds for one.",
        |s| Some(s.flow()?.vlan).filter(|tags| !tags.is_empty()).map(Tags);
    src_ip => SrcIp FieldKind::Ip, START, FLOW, "Address of the client.", |s| Some(Ip(s.flow()?.client.0));
    src_port => SrcPort FieldKind::Number, START, FLOW, "Port of the client.", |s| count(Some(s.flow()?.client.1));
    dest_ip => DestIp FieldKind::Ip, START, FLOW, "Address of the server.", |s| Some(Ip(s.flow()?.server.0));
    dest_port => DestPort FieldKind::Number, START, FLOW, "Port of the server.", |s| count(Some(s.flow()?.server.1));
    proto => Proto TRANSPORTS, START, FLOW, "Transport protocol.", |s| text(Some(s.flow()?.transport()));
    ip_version => IpVersion FieldKind::Number, START, RULE, "4 or 6.",
        |s| Some(Number(if s.flow()?.client.0.is_ipv4() { 4 } else { 6 }));
    app_proto => AppProto APPLICATIONS, PAYLOAD, FINGERPRINT | CONNECTION | RULE | COLUMN, "Application protocol.",
        |s| text(s.attributes().protocol(s.flow()?.proto));

    fingerprint.type => FingerprintType METHODS, EVENT, FINGERPRINT | ALERT | RULE, "Method of the fingerprint.",
        |s| text(Some(s.method()?.name()));
    fingerprint.value => FingerprintValue FieldKind::Text, EVENT, FINGERPRINT | ALERT | RULE, "Value of the fingerprint.",
        |s| text(s.fingerprint_value());
    fingerprint.side => FingerprintSide SIDES, EVENT, FINGERPRINT | RULE, "Endpoint that the fingerprint describes.",
        |s| text(Some(s.side()?.name()));
    fingerprint.count => FingerprintCount FieldKind::Number, EVENT, FINGERPRINT | RULE,
        "Number of the fingerprint among those of its method and connection, from 1.", |s| count(s.fingerprint_count());
    fingerprint.raw => FingerprintRaw FieldKind::Text, EVENT, FINGERPRINT | ALERT | RULE,
        "Raw form of the fingerprint, with --raw.", |s| text(s.raw());
    fingerprint.original => FingerprintOriginal FieldKind::Text, EVENT, FINGERPRINT,
        "Value computed in original order, with --raw.", |s| text(s.fingerprint()?.original);
    fingerprint.raw_original => FingerprintRawOriginal FieldKind::Text, EVENT, FINGERPRINT,
        "Raw form in original order, with --raw.", |s| text(s.fingerprint()?.raw_original);

    certificate.subject_cn => CertificateSubject FieldKind::Text, EVENT, FINGERPRINT,
        "Common name of the subject of the certificate that a JA4X describes.",
        |s| text(s.fingerprint()?.certificate?.subject.as_deref());
    certificate.issuer_cn => CertificateIssuer FieldKind::Text, EVENT, FINGERPRINT, "Common name of its issuer.",
        |s| text(s.fingerprint()?.certificate?.issuer.as_deref());
    certificate.notbefore => CertificateNotBefore FieldKind::Date, EVENT, FINGERPRINT, "Start of its validity.",
        |s| s.fingerprint()?.certificate?.not_before.map(UtcDate);
    certificate.notafter => CertificateNotAfter FieldKind::Date, EVENT, FINGERPRINT, "End of its validity.",
        |s| s.fingerprint()?.certificate?.not_after.map(UtcDate);
    certificate.san_count => CertificateSanCount FieldKind::Number, EVENT, FINGERPRINT, "Number of names in its subjectAltName.",
        |s| count(Some(s.fingerprint()?.certificate?.san_count));

    connection.start => ConnectionStart FieldKind::Time, END, CONNECTION | RULE, "Time of the first packet.",
        |s| time(s.start());
    connection.end => ConnectionEnd FieldKind::Time, END, CONNECTION | RULE, "Time of the last packet.", |s| time(s.end());
    connection.duration => ConnectionDuration FieldKind::Duration, END, RULE, "Time from the first packet to the last.",
        |s| count(Some(s.end()?.0.saturating_sub(s.start()?.0)));
    connection.pkts_toserver => PktsToserver FieldKind::Number, END, CONNECTION | RULE | COLUMN, "Packets from the client.",
        |s| count(s.packets(Side::Client));
    connection.pkts_toclient => PktsToclient FieldKind::Number, END, CONNECTION | RULE | COLUMN, "Packets from the server.",
        |s| count(s.packets(Side::Server));
    connection.bytes_toserver => BytesToserver FieldKind::Number, END, CONNECTION | RULE | COLUMN,
        "Bytes on the wire from the client.", |s| count(s.bytes(Side::Client));
    connection.bytes_toclient => BytesToclient FieldKind::Number, END, CONNECTION | RULE | COLUMN,
        "Bytes on the wire from the server.", |s| count(s.bytes(Side::Server));
    connection.state => ConnectionState STATES, END, CONNECTION | RULE | COLUMN, "Why the connection ended.",
        |s| text(s.end_reason().map(EndReason::name));
    connection.handshake => ConnectionHandshake HANDSHAKES, END, RULE, "How far the handshake came.",
        |s| text(Some(HandshakeState::of(s.record?).name()));

    latency.client_us => LatencyClient FieldKind::Number, END, CONNECTION | RULE | COLUMN,
        "Latency between sensor and client, microseconds.", |s| count(s.latency()?.client);
    latency.server_us => LatencyServer FieldKind::Number, END, CONNECTION | RULE | COLUMN,
        "Latency between sensor and server, microseconds.", |s| count(s.latency()?.server);
    latency.client_application_us => LatencyClientApplication FieldKind::Number, END, CONNECTION | RULE | COLUMN,
        "Response time of the client's application, microseconds.", |s| count(s.latency()?.client_application);
    latency.server_application_us => LatencyServerApplication FieldKind::Number, END, CONNECTION | RULE | COLUMN,
        "Response time of the server's application, microseconds.", |s| count(s.latency()?.server_application);

    tls.sni => TlsSni FieldKind::Text, HELLO, MESSAGE | COLUMN, "Server name in the ClientHello.",
        |s| text(s.tls()?.sni.as_deref());
    tls.version => TlsVersion FieldKind::Text, SERVER, MESSAGE, "Version that the server chose, such as `TLS 1.3`.",
        |s| text(s.tls()?.version);
    tls.alpn => TlsAlpn FieldKind::Text, HELLO, MESSAGE, "Protocols that the client offers. A condition holds if it holds for one.",
        |s| Some(Texts(&s.tls()?.alpn)).filter(|_| s.tls().is_some_and(|tls| !tls.alpn.is_empty()));
    tls.alpn_chosen => TlsAlpnChosen FieldKind::Text, SERVER, MESSAGE, "Protocol that the server chose.",
        |s| text(s.tls()?.alpn_chosen.as_deref());
    tls.cipher => TlsCipher FieldKind::Number, SERVER, MESSAGE, "Cipher suite that the server chose, such as 0x1301.",
        |s| s.tls()?.cipher.map(Hex);
    tls.group => TlsGroup FieldKind::Number, SERVER, MESSAGE,
        "Named group of the key exchange in TLS 1.3, such as 0x11ec (X25519MLKEM768).", |s| s.tls()?.group.map(Hex);
    tls.ech => TlsEch FieldKind::Bool, HELLO, MESSAGE, "Whether the ClientHello has an encrypted_client_hello extension.",
        |s| Some(Bool(s.tls()?.ech));
    tls.subject_cn => TlsSubject FieldKind::Text, CERTIFICATE, MESSAGE, "Common name of the subject of the server's certificate.",
        |s| text(s.tls()?.certificate.as_ref()?.subject.as_deref());
    tls.issuer_cn => TlsIssuer FieldKind::Text, CERTIFICATE, MESSAGE, "Common name of its issuer.",
        |s| text(s.tls()?.certificate.as_ref()?.issuer.as_deref());
    tls.notbefore => TlsNotBefore FieldKind::Date, CERTIFICATE, MESSAGE, "Start of its validity.",
        |s| s.tls()?.certificate.as_ref()?.not_before.map(UtcDate);
    tls.notafter => TlsNotAfter FieldKind::Date, CERTIFICATE, MESSAGE, "End of its validity.",
        |s| s.tls()?.certificate.as_ref()?.not_after.map(UtcDate);
    tls.san_count => TlsSanCount FieldKind::Number, CERTIFICATE, MESSAGE, "Number of names in its subjectAltName.",
        |s| count(Some(s.tls()?.certificate.as_ref()?.san_count));
    tls.ja3.hash => TlsJa3Hash FieldKind::Text, HELLO, MESSAGE, "JA3 of the client, with --ja3.",
        |s| text(Some(s.ja3(Side::Client)?.hash.as_str()));
    tls.ja3.string => TlsJa3String FieldKind::Text, HELLO, MESSAGE, "Lists that the JA3 is the hash of, with --ja3.",
        |s| text(Some(&s.ja3(Side::Client)?.string));
    tls.ja3s.hash => TlsJa3sHash FieldKind::Text, SERVER, MESSAGE, "JA3S of the server, with --ja3.",
        |s| text(Some(s.ja3(Side::Server)?.hash.as_str()));
    tls.ja3s.string => TlsJa3sString FieldKind::Text, SERVER, MESSAGE, "Lists that the JA3S is the hash of, with --ja3.",
        |s| text(Some(&s.ja3(Side::Server)?.string));
    quic.version => QuicVersionField FieldKind::Number, HELLO, MESSAGE, "Version of QUIC in the long headers.",
        |s| Some(QuicVersion(s.attributes().quic.as_ref()?.version));
    http.hostname => HttpHostname FieldKind::Text, REQUEST, MESSAGE | COLUMN, "Host of the last HTTP request.",
        |s| text(s.http()?.host.as_deref());
    http.http_user_agent => HttpUserAgent FieldKind::Text, REQUEST, MESSAGE, "User-Agent of the last HTTP request.",
        |s| text(s.http()?.user_agent.as_deref());
    http.http_method => HttpMethod FieldKind::Text, REQUEST, MESSAGE, "Method of the last HTTP request.",
        |s| text(s.http()?.method.as_deref());
    http.protocol => HttpProtocol FieldKind::Text, REQUEST, MESSAGE, "Version of the last HTTP request, such as `HTTP/1.1`.",
        |s| text(s.http()?.version);
    ssh.client.banner => SshClientBanner FieldKind::Text, SSH, RULE, "Identification string of the client (RFC 4253, section 4.2).",
        |s| text(s.ssh_banner(Side::Client));
    ssh.client.proto_version => SshClientProtocol FieldKind::Text, SSH, MESSAGE, "Protocol version in it.",
        |s| text(s.ssh_versions(Side::Client)?.protocol);
    ssh.client.software_version => SshClientSoftware FieldKind::Text, SSH, MESSAGE, "Software version in it.",
        |s| text(s.ssh_versions(Side::Client)?.software);
    ssh.client.hassh.hash => SshClientHassh FieldKind::Text, SSH, MESSAGE, "HASSH of the client.",
        |s| text(s.hassh(Side::Client));
    ssh.server.banner => SshServerBanner FieldKind::Text, SSH, RULE, "Identification string of the server.",
        |s| text(s.ssh_banner(Side::Server));
    ssh.server.proto_version => SshServerProtocol FieldKind::Text, SSH, MESSAGE, "Protocol version in it.",
        |s| text(s.ssh_versions(Side::Server)?.protocol);
    ssh.server.software_version => SshServerSoftware FieldKind::Text, SSH, MESSAGE, "Software version in it.",
        |s| text(s.ssh_versions(Side::Server)?.software);
    ssh.server.hassh.hash => SshServerHassh FieldKind::Text, SSH, MESSAGE, "HASSH of the server.",
        |s| text(s.hassh(Side::Server));
    dhcp.hostname => DhcpHostname FieldKind::Text, DHCP, MESSAGE, "Host name in the last DHCP message.",
        |s| text(s.dhcp()?.host_name.as_deref());
    dhcp.vendor_class_identifier => DhcpVendorClass FieldKind::Text, DHCP, MESSAGE, "Vendor class in the last DHCP message.",
        |s| text(s.dhcp()?.vendor_class.as_deref());
    dhcp.client_mac => DhcpClientMac FieldKind::Text, DHCP, MESSAGE, "Hardware address of the client in the last DHCP message.",
        |s| text(s.dhcp()?.client_mac.as_deref());

    label.name => LabelName FieldKind::Text, EVENT, FINGERPRINT | RULE,
        "Label of the fingerprint: an application or an operating system.", |s| text(Some(&s.label()?.name));
    label.source => LabelSource FieldKind::Text, EVENT, FINGERPRINT | RULE, "Database that has the label.",
        |s| text(Some(&s.label()?.source));
    label.category => LabelCategory FieldKind::Text, EVENT, FINGERPRINT | RULE, "Category of the label.",
        |s| text(s.label()?.category.as_deref());
    label.confidence => LabelConfidence FieldKind::Number, EVENT, FINGERPRINT | RULE,
        "Confidence of the label, 0 to 100.", |s| count(s.label()?.confidence);
    app.name => AppName FieldKind::Text, END, OF_CONNECTION, "Application of the client: the label of its first fingerprint with one.",
        |s| text(Some(&s.app()?.name));
    app.source => AppSource FieldKind::Text, END, OF_CONNECTION, "Database that has the label.", |s| text(Some(&s.app()?.source));
    app.category => AppCategory FieldKind::Text, END, OF_CONNECTION, "Category of the application.",
        |s| text(s.app()?.category.as_deref());
    app.confidence => AppConfidence FieldKind::Number, END, OF_CONNECTION, "Confidence of the label, 0 to 100.",
        |s| count(s.app()?.confidence);
    first_seen => FirstSeen FieldKind::Bool, END, OF_CONNECTION | FINGERPRINT,
        "Whether the value was never seen on this network before; of a connection: one of its values.",
        |s| s.first_seen().map(Bool);
    known_bad => KnownBadFlag FieldKind::Bool, END, RULE,
        "Whether the fingerprint, or one of the connection, matches a known-bad pattern.",
        |s| s.record.map(|_| Bool(s.known_bad().is_some()));
    known_bad.pattern => KnownBadPattern FieldKind::Text, END, OF_CONNECTION | FINGERPRINT, "Known-bad pattern that matched.",
        |s| text(Some(&s.known_bad()?.pattern));
    known_bad.category => KnownBadCategory FieldKind::Text, END, OF_CONNECTION | FINGERPRINT, "Category such as `c2`.",
        |s| text(Some(&s.known_bad()?.category));
    known_bad.confidence => KnownBadConfidence FieldKind::Number, END, OF_CONNECTION | FINGERPRINT,
        "Confidence of the pattern, 0 to 100.", |s| count(Some(s.known_bad()?.confidence));
    known_bad.note => KnownBadNote FieldKind::Text, END, OF_CONNECTION | FINGERPRINT,
        "Description of the pattern, and other software with the same value.",
        |s| text(Some(&*s.known_bad()?.note).filter(|note| !note.is_empty()));
    os => Os FieldKind::Text, SYN, OF_CONNECTION, "Operating system of the client, inferred from its SYN.",
        |s| text(s.record?.os());
    hops.client => HopsClient FieldKind::Number, Known::With(bit(Method::Ja4t) | bit(Method::Ja4l)), OF_CONNECTION,
        "Hops between sensor and client.", |s| count(s.hops(Side::Client));
    hops.server => HopsServer FieldKind::Number, Known::With(bit(Method::Ja4ls)), OF_CONNECTION,
        "Hops between sensor and server.", |s| count(s.hops(Side::Server));
    mss => Mss FieldKind::Number, SYN, OF_CONNECTION, "MSS in the client's SYN, bytes.", |s| count(s.record?.mss);
    path.name => PathName FieldKind::Text, SYN, CONNECTION | RULE,
        "Path inferred from the MSS: `ethernet`, `jumbo`, `loopback` or a tunnel.", |s| text(s.record?.path()?.name);
    path.confidence => PathConfidence FieldKind::Number, SYN, CONNECTION | RULE, "Confidence of the name, 0 to 100.",
        |s| { let path = s.record?.path()?; count(path.name.map(|_| path.confidence)) };
    path.mtu => PathMtu FieldKind::Number, SYN, CONNECTION | RULE, "Bytes of an IP packet on the path.",
        |s| count(Some(s.record?.path()?.mtu));
    tunnel.name => TunnelName FieldKind::Text, SYN, OF_CONNECTION, "Tunnel on the path, inferred from the MSS, such as `wireguard`.",
        |s| text(Some(s.record?.tunnel()?.name));
    tunnel.confidence => TunnelConfidence FieldKind::Number, SYN, OF_CONNECTION, "Confidence of the name, 0 to 100.",
        |s| count(Some(s.record?.tunnel()?.confidence));
    tunnel.mtu => TunnelMtu FieldKind::Number, SYN, OF_CONNECTION, "Bytes of an IP packet in the tunnel.",
        |s| count(Some(s.record?.tunnel()?.mtu));
    ssh_session => SshSessionField SESSIONS, END, OF_CONNECTION, "Use of the SSH connection, inferred from JA4SSH.",
        |s| text(s.record?.ssh.map(|session| session.name()));
    primary.type => PrimaryType METHODS, END, CONNECTION | RULE,
        "Method of the fingerprint that describes the client best.", |s| text(Some(s.record?.primary()?.method.name()));
    primary.value => PrimaryValue FieldKind::Text, END, CONNECTION | RULE, "Value of that fingerprint.",
        |s| text(Some(&s.record?.primary()?.value.text));
    alerts => Alerts FieldKind::Text, END, OF_CONNECTION,
        "Descriptions of the alerts of the connection. A condition holds if it holds for one.",
        |s| match s.record?.fired.as_slice() { [] => None, fired => Some(Texts(fired)) };

    ja4 => Ja4 FieldKind::Text, HELLO, RULE, "Newest JA4 of the connection.", |s| s.newest(Method::Ja4);
    ja4s => Ja4s FieldKind::Text, SERVER, RULE, "Newest JA4S of the connection.", |s| s.newest(Method::Ja4s);
    ja4t => Ja4t FieldKind::Text, SYN, RULE, "Newest JA4T of the connection.", |s| s.newest(Method::Ja4t);
    ja4ts => Ja4ts FieldKind::Text, SYN_ACK, RULE, "Newest JA4TS of the connection.", |s| s.newest(Method::Ja4ts);
    ja4l => Ja4l FieldKind::Text, Known::With(bit(Method::Ja4l)), RULE, "Newest JA4L of the connection.", |s| s.newest(Method::Ja4l);
    ja4ls => Ja4ls FieldKind::Text, Known::With(bit(Method::Ja4ls)), RULE, "Newest JA4LS of the connection.", |s| s.newest(Method::Ja4ls);
    ja4h => Ja4h FieldKind::Text, REQUEST, RULE, "Newest JA4H of the connection.", |s| s.newest(Method::Ja4h);
    ja4x => Ja4x FieldKind::Text, CERTIFICATE, RULE, "Newest JA4X of the connection.", |s| s.newest(Method::Ja4x);
    ja4ssh => Ja4ssh FieldKind::Text, SSH, RULE, "Newest JA4SSH of the connection.", |s| s.newest(Method::Ja4ssh);
    ja4d => Ja4d FieldKind::Text, Known::With(bit(Method::Ja4d)), RULE, "Newest JA4D of the connection.", |s| s.newest(Method::Ja4d);
    ja4d6 => Ja4d6 FieldKind::Text, Known::With(bit(Method::Ja4d6)), RULE, "Newest JA4D6 of the connection.", |s| s.newest(Method::Ja4d6);

    alert.action => AlertAction FieldKind::Text, EVENT, ALERT, "Always `allowed`: the sensor blocks nothing.",
        |s| s.alert().and(text(Some("allowed")));
    alert.signature => AlertSignature FieldKind::Text, EVENT, ALERT, "What the rule detects.", |s| text(Some(&s.alert()?.description));
    alert.category => AlertCategory FieldKind::Text, EVENT, ALERT, "Category such as `c2`.", |s| text(s.alert()?.category.as_deref());
    alert.severity => AlertSeverity FieldKind::Number, EVENT, ALERT, "Severity as Suricata numbers it: 1 is the highest.",
        |s| count(Some(s.alert()?.severity.eve()));
    alert.ja4sensor.rule => AlertRule FieldKind::Text, EVENT, ALERT, "Name of the rule.", |s| text(Some(&s.alert()?.rule));
    alert.ja4sensor.description => AlertDescription FieldKind::Text, EVENT, ALERT, "What the rule detects.",
        |s| text(Some(&s.alert()?.description));
    alert.ja4sensor.severity => AlertSeverityName FieldKind::Text, EVENT, ALERT, "`low`, `medium`, `high` or `critical`.",
        |s| text(Some(s.alert()?.severity.name()));
    alert.ja4sensor.reason => AlertReason FieldKind::Text, EVENT, ALERT, "Threshold and measured value, or what matched.",
        |s| text(Some(&s.alert()?.reason));
    alert.ja4sensor.group => AlertGroup FieldKind::Text, EVENT, ALERT, "Fields that the rule groups by, and their values.",
        |s| match s.alert()?.group.as_slice() { [] => None, group => Some(Pairs(group)) };
    alert.ja4sensor.confidence => AlertConfidence FieldKind::Number, EVENT, ALERT, "Confidence, 0 to 100.",
        |s| count(s.alert()?.confidence);
    alert.ja4sensor.suppressed => AlertSuppressed FieldKind::Number, EVENT, ALERT,
        "Matches of the same rule and group that the cooldown of the previous alert suppressed.",
        |s| count(Some(s.alert()?.suppressed));

    ja4.ja4 => Ja4Values FieldKind::Text, END, CONNECTION, "Every JA4 of the connection, in order.", |s| s.values(Method::Ja4);
    ja4.ja4s => Ja4sValues FieldKind::Text, END, CONNECTION, "Every JA4S of the connection, in order.", |s| s.values(Method::Ja4s);
    ja4.ja4t => Ja4tValues FieldKind::Text, END, CONNECTION, "Every JA4T of the connection, in order.", |s| s.values(Method::Ja4t);
    ja4.ja4ts => Ja4tsValues FieldKind::Text, END, CONNECTION, "Every JA4TS of the connection, in order.", |s| s.values(Method::Ja4ts);
    ja4.ja4l => Ja4lValues FieldKind::Text, END, CONNECTION, "Every JA4L of the connection, in order.", |s| s.values(Method::Ja4l);
    ja4.ja4ls => Ja4lsValues FieldKind::Text, END, CONNECTION, "Every JA4LS of the connection, in order.", |s| s.values(Method::Ja4ls);
    ja4.ja4h => Ja4hValues FieldKind::Text, END, CONNECTION, "Every JA4H of the connection, in order.", |s| s.values(Method::Ja4h);
    ja4.ja4x => Ja4xValues FieldKind::Text, END, CONNECTION, "Every JA4X of the connection, in order.", |s| s.values(Method::Ja4x);
    ja4.ja4ssh => Ja4sshValues FieldKind::Text, END, CONNECTION, "Every JA4SSH of the connection, in order.", |s| s.values(Method::Ja4ssh);
    ja4.ja4d => Ja4dValues FieldKind::Text, END, CONNECTION, "Every JA4D of the connection, in order.", |s| s.values(Method::Ja4d);
    ja4.ja4d6 => Ja4d6Values FieldKind::Text, END, CONNECTION, "Every JA4D6 of the connection, in order.", |s| s.values(Method::Ja4d6);
}

/// The fields that have every value of a method.
pub(crate) const VALUES: [(Method, Field); 11] = [
    (Method::Ja4, Field::Ja4Values),
    (Method::Ja4s, Field::Ja4sValues),
    (Method::Ja4t, Field::Ja4tValues),
    (Method::Ja4ts, Field::Ja4tsValues),
    (Method::Ja4l, Field::Ja4lValues),
    (Method::Ja4ls, Field::Ja4lsValues),
    (Method::Ja4h, Field::Ja4hValues),
    (Method::Ja4x, Field::Ja4xValues),
    (Method::Ja4ssh, Field::Ja4sshValues),
    (Method::Ja4d, Field::Ja4dValues),
    (Method::Ja4d6, Field::Ja4d6Values),
];

impl Field {
    /// The field's row.
    #[must_use]
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "each variant has its row")]
    pub fn row(self) -> &'static FieldRow {
        &ROWS[self as usize]
    }

    /// The field as an encoder of JSON needs it.
    #[must_use]
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "each variant has its row")]
    pub(crate) const fn key(self) -> FieldKey {
        let row = &ROWS[self as usize];
        FieldKey { key: row.key, object: OBJECTS[self as usize], parents: row.parents() }
    }
}

#[expect(clippy::indexing_slicing, reason = "each variant has its row")]
const fn section_of(field: Field) -> Section {
    ROWS[field as usize].section()
}
