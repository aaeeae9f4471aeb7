//! Every attribute of a connection and of a fingerprint under a name that rules use.

mod get;
mod handshake;
mod value;

pub use get::Subject;
pub use handshake::Handshake;
pub use value::Value;

use crate::document::suggestion;
use crate::model::{Attributes, EndReason, Method};

/// What values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An IP address.
    Ip,
    /// A whole number.
    Number,
    /// A time span; nanoseconds inside, written as `"90s"`.
    Duration,
    /// Any text. It may come from the wire.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Bool,
}

impl Kind {
    /// The kind in words, for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "an IP address",
            Self::Number => "a number",
            Self::Duration => "a duration",
            Self::Text | Self::Word(_) => "a text",
            Self::Bool => "true or false",
        }
    }
}

/// When a field of a connection has its value. It decides when a rule over connections counts one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// As soon as the connection is.
    Start,
    /// With the first fingerprint of one of these methods, a bit each; else at the end.
    With(u16),
    /// When the connection has ended.
    End,
    /// Only while one fingerprint is looked at.
    Fingerprint,
}

/// A method's bit in [`Known::With`].
#[must_use]
pub const fn bit(method: Method) -> u16 {
    1 << method as u16
}

/// A ClientHello has been read.
const HELLO: Known = Known::With(bit(Method::Ja4));
/// A ServerHello has been read.
const SERVER: Known = Known::With(bit(Method::Ja4s));
const CERTIFICATE: Known = Known::With(bit(Method::Ja4x));
const REQUEST: Known = Known::With(bit(Method::Ja4h));
const SSH: Known = Known::With(bit(Method::Ja4ssh));
const DHCP: Known = Known::With(bit(Method::Ja4d) | bit(Method::Ja4d6));
const SYN: Known = Known::With(bit(Method::Ja4t));
const SYN_ACK: Known = Known::With(bit(Method::Ja4ts));
/// Anything that says what a connection carries.
const PAYLOAD: Known = Known::With(
    bit(Method::Ja4)
        | bit(Method::Ja4s)
        | bit(Method::Ja4x)
        | bit(Method::Ja4h)
        | bit(Method::Ja4ssh)
        | bit(Method::Ja4d)
        | bit(Method::Ja4d6),
);

const PROTOCOLS: Kind = Kind::Word(&["tcp", "udp", "other"]);
const APPLICATIONS: Kind = Kind::Word(&Attributes::PROTOCOLS);
const ENDS: Kind = Kind::Word(&{
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
const METHODS: Kind = Kind::Word(&{
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
const HANDSHAKES: Kind = Kind::Word(&["none", "syn_only", "half_open", "failed", "done"]);
const SESSIONS: Kind = Kind::Word(&["interactive", "reverse", "download", "upload"]);
const SIDES: Kind = Kind::Word(&["client", "server"]);

macro_rules! fields {
    ($($variant:ident $name:literal $kind:expr, $known:expr, $about:literal;)+) => {
        /// A named attribute.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field {
            $(#[doc = $about] $variant,)+
        }

        impl Field {
            /// Every field.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in rules.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What values it has.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => $kind,)+ }
            }

            /// When it has its value.
            #[must_use]
            pub const fn known(self) -> Known {
                match self { $(Self::$variant => $known,)+ }
            }

            /// What it is, in a line.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)+ }
            }
        }
    };
}

fields! {
    SrcIp "src_ip" Kind::Ip, Known::Start, "Address of the client.";
    DstIp "dst_ip" Kind::Ip, Known::Start, "Address of the server.";
    SrcPort "src_port" Kind::Number, Known::Start, "Port of the client.";
    DstPort "dst_port" Kind::Number, Known::Start, "Port of the server.";
    Proto "proto" PROTOCOLS, Known::Start, "Transport protocol.";
    IpVersion "ip_version" Kind::Number, Known::Start, "4 or 6.";
    Vlan "vlan" Kind::Number, Known::Start, "VLAN tags, up to two: a condition holds if it does for one.";
    Iface "iface" Kind::Text, Known::Start, "Interface that saw it.";
    FlowId "flow_id" Kind::Number, Known::Start, "Number of the flow, as in output.";
    CommunityId "community_id" Kind::Text, Known::Start, "Community ID, as in output.";
    AppProto "app_proto" APPLICATIONS, PAYLOAD, "What the connection carries.";
    Sni "sni" Kind::Text, HELLO, "Server name of the ClientHello.";
    Alpn "alpn" Kind::Text, HELLO, "Protocols that the client offers: a condition holds if it does for one.";
    AlpnChosen "alpn_chosen" Kind::Text, SERVER, "Protocol that the server chose.";
    TlsVersion "tls_version" Kind::Text, SERVER, "TLS version that the server chose, as in output: \"TLS 1.3\".";
    Cipher "cipher" Kind::Number, SERVER, "Cipher suite that the server chose: 0x1301.";
    Ech "ech" Kind::Bool, HELLO, "The ClientHello has an encrypted_client_hello extension.";
    CertSubject "cert_subject" Kind::Text, CERTIFICATE, "Common name of the certificate's subject.";
    CertIssuer "cert_issuer" Kind::Text, CERTIFICATE, "Common name of its issuer.";
    CertNotBefore "cert_not_before" Kind::Number, CERTIFICATE, "Start of its validity, seconds since 1970.";
    CertNotAfter "cert_not_after" Kind::Number, CERTIFICATE, "End of its validity, seconds since 1970.";
    CertSanCount "cert_san_count" Kind::Number, CERTIFICATE, "Names in its subjectAltName.";
    HttpMethod "http_method" Kind::Text, REQUEST, "Method of the HTTP request.";
    HttpHost "http_host" Kind::Text, REQUEST, "Host of the HTTP request.";
    HttpUserAgent "http_user_agent" Kind::Text, REQUEST, "User-Agent of the HTTP request.";
    HttpVersion "http_version" Kind::Text, REQUEST, "Version of the HTTP request: \"HTTP/1.1\".";
    SshClientBanner "ssh_client_banner" Kind::Text, SSH, "Identification string of the SSH client.";
    SshServerBanner "ssh_server_banner" Kind::Text, SSH, "Identification string of the SSH server.";
    Hassh "hassh" Kind::Text, SSH, "HASSH of the client.";
    HasshServer "hassh_server" Kind::Text, SSH, "HASSH of the server.";
    SshSession "ssh_session" SESSIONS, Known::End, "What SSH is used for.";
    DhcpHostName "dhcp_host_name" Kind::Text, DHCP, "Host name of the DHCP message.";
    DhcpVendorClass "dhcp_vendor_class" Kind::Text, DHCP, "Vendor class of the DHCP message.";
    DhcpClientMac "dhcp_client_mac" Kind::Text, DHCP, "Hardware address in the DHCP message.";
    QuicVersion "quic_version" Kind::Number, HELLO, "Version of QUIC's long headers: 0x00000001.";
    PktsToserver "pkts_toserver" Kind::Number, Known::End, "Packets that the client sent.";
    PktsToclient "pkts_toclient" Kind::Number, Known::End, "Packets that the server sent.";
    BytesToserver "bytes_toserver" Kind::Number, Known::End, "Bytes on the wire that the client sent.";
    BytesToclient "bytes_toclient" Kind::Number, Known::End, "Bytes on the wire that the server sent.";
    Start "start" Kind::Number, Known::End, "Time of the first packet, seconds since 1970.";
    End "end" Kind::Number, Known::End, "Time of the last packet, seconds since 1970.";
    Duration "duration" Kind::Duration, Known::End, "From the first packet to the last.";
    State "state" ENDS, Known::End, "How the connection ended.";
    Handshake "handshake" HANDSHAKES, Known::End, "How far its handshake came.";
    ClientLatency "client_latency_us" Kind::Number, Known::End, "Latency of the client, microseconds.";
    ServerLatency "server_latency_us" Kind::Number, Known::End, "Latency of the server, microseconds.";
    ClientAppLatency "client_app_latency_us" Kind::Number, Known::End, "Latency of the client with its application, microseconds.";
    ServerAppLatency "server_app_latency_us" Kind::Number, Known::End, "Latency of the server with its application, microseconds.";
    ClientHops "client_hops" Kind::Number, Known::With(bit(Method::Ja4t) | bit(Method::Ja4l)), "Hops to the client.";
    ServerHops "server_hops" Kind::Number, Known::With(bit(Method::Ja4ls)), "Hops to the server.";
    Mss "mss" Kind::Number, SYN, "MSS of the client's SYN, bytes.";
    Path "path" Kind::Text, SYN, "What path the MSS tells of: \"ethernet\", \"jumbo\", \"loopback\", or a tunnel.";
    PathConfidence "path_confidence" Kind::Number, SYN, "How sure that is, 0 to 100.";
    PathMtu "path_mtu" Kind::Number, SYN, "Bytes of an IP packet on the path, whatever it is.";
    Tunnel "tunnel" Kind::Text, SYN, "The tunnel on the path, told by the MSS: \"wireguard\".";
    TunnelConfidence "tunnel_confidence" Kind::Number, SYN, "How sure that is, 0 to 100.";
    TunnelMtu "tunnel_mtu" Kind::Number, SYN, "Bytes of an IP packet in the tunnel.";
    Os "os" Kind::Text, SYN, "Operating system of the client, as its SYN hints.";
    App "app" Kind::Text, Known::End, "Application of the connection: the label of its client.";
    AppSource "app_source" Kind::Text, Known::End, "Which database names it.";
    AppCategory "app_category" Kind::Text, Known::End, "Category of the application.";
    AppConfidence "app_confidence" Kind::Number, Known::End, "How sure it is, 0 to 100.";
    KnownBad "known_bad" Kind::Bool, Known::End, "The fingerprint, or one of the connection, is known to be bad.";
    KnownBadPattern "known_bad_pattern" Kind::Text, Known::End, "The pattern that says so.";
    KnownBadCategory "known_bad_category" Kind::Text, Known::End, "Category such as \"c2\".";
    KnownBadConfidence "known_bad_confidence" Kind::Number, Known::End, "How sure it is, 0 to 100.";
    KnownBadNote "known_bad_note" Kind::Text, Known::End, "What it is, and what else has the value.";
    IsNew "is_new" Kind::Bool, Known::End, "One of the connection's values was never seen before.";
    PrimaryType "primary_type" METHODS, Known::End, "Method of the fingerprint that says most about the client.";
    PrimaryValue "primary_value" Kind::Text, Known::End, "The value of that fingerprint.";
    Alerts "alerts" Kind::Text, Known::End, "Descriptions of what has fired on the connection: a condition holds if it does for one.";
    Ja4 "ja4" Kind::Text, HELLO, "The newest JA4 of the connection.";
    Ja4s "ja4s" Kind::Text, SERVER, "The newest JA4S of the connection.";
    Ja4t "ja4t" Kind::Text, SYN, "The newest JA4T of the connection.";
    Ja4ts "ja4ts" Kind::Text, SYN_ACK, "The newest JA4TS of the connection.";
    Ja4l "ja4l" Kind::Text, Known::With(bit(Method::Ja4l)), "The newest JA4L of the connection.";
    Ja4ls "ja4ls" Kind::Text, Known::With(bit(Method::Ja4ls)), "The newest JA4LS of the connection.";
    Ja4h "ja4h" Kind::Text, REQUEST, "The newest JA4H of the connection.";
    Ja4x "ja4x" Kind::Text, CERTIFICATE, "The newest JA4X of the connection.";
    Ja4ssh "ja4ssh" Kind::Text, SSH, "The newest JA4SSH of the connection.";
    Ja4d "ja4d" Kind::Text, Known::With(bit(Method::Ja4d)), "The newest JA4D of the connection.";
    Ja4d6 "ja4d6" Kind::Text, Known::With(bit(Method::Ja4d6)), "The newest JA4D6 of the connection.";
    Label "label" Kind::Text, Known::Fingerprint, "Label of the fingerprint: an application or an operating system.";
    LabelSource "label_source" Kind::Text, Known::Fingerprint, "Which database names it.";
    LabelCategory "label_category" Kind::Text, Known::Fingerprint, "Category of the label.";
    LabelConfidence "label_confidence" Kind::Number, Known::Fingerprint, "Confidence of the label, 0 to 100.";
    Type "type" METHODS, Known::Fingerprint, "Method of the fingerprint.";
    FingerprintValue "value" Kind::Text, Known::Fingerprint, "The fingerprint's value.";
    Raw "raw" Kind::Text, Known::Fingerprint, "The fingerprint's raw form, where raw forms are asked for.";
    Side "side" SIDES, Known::Fingerprint, "Whom the fingerprint describes.";
    Count "count" Kind::Number, Known::Fingerprint, "Its number among those of this method and connection, from 1.";
    FirstSeen "first_seen" Kind::Bool, Known::Fingerprint, "Nobody on this network had the value before.";
}

impl Field {
    /// The field of a name.
    ///
    /// # Errors
    ///
    /// There is none; the text says which one may be meant.
    pub fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|field| field.name() == name);
        found.ok_or_else(|| {
            format!("unknown field {name:?}{}", suggestion(name, Self::ALL.iter().map(|field| field.name())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_come_back() {
        for field in Field::ALL {
            assert_eq!(Field::parse(field.name()), Ok(*field));
        }
    }

    #[test]
    fn a_slip_is_named_with_what_was_meant() {
        assert_eq!(Field::parse("dst_prt").unwrap_err(), "unknown field \"dst_prt\"; did you mean \"dst_port\"?");
        assert_eq!(Field::parse("zzzzzzzzzz").unwrap_err(), "unknown field \"zzzzzzzzzz\"");
    }
}
