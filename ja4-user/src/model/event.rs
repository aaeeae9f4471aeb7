//! What a shard reports: the typed form of the output's records.
//!
//! Events borrow from the shard that makes them; a sink that keeps one copies what it needs.

use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use arcstr::ArcStr;
pub use ja4::{Method, Side};
use thin_vec::ThinVec;

use crate::model::CommunityId;

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

/// Which hook saw a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// On its way into the host.
    Ingress,
    /// On its way out.
    Egress,
}

impl Hook {
    /// The name in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// A connection as every record names it: client first, whoever sent the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowIdentity {
    /// Stable for the same flow in a capture and live; below 2^53, so that every JSON reader keeps it.
    pub id: u64,
    /// Community ID.
    pub community: CommunityId,
    /// Address and port of the client.
    pub client: (IpAddr, u16),
    /// Address and port of the server.
    pub server: (IpAddr, u16),
    /// IP protocol number.
    pub proto: u8,
    /// VLAN tags, outermost first; 0: none.
    pub vlan: [u16; 2],
}

impl FlowIdentity {
    /// The transport protocol: the sensor tracks TCP and UDP alone.
    #[must_use]
    pub const fn transport(&self) -> &'static str {
        match self.proto {
            6 => "TCP",
            17 => "UDP",
            _ => "other",
        }
    }
}

/// What caused an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventContext {
    /// Time of the packet, or of the event where no packet caused it.
    pub time: Time,
    /// Index into the run's list of interface names.
    pub interface: u32,
    /// Which hook saw the packet; absent in a replay.
    pub hook: Option<Hook>,
    /// Number of the packet in its capture, from 1, at which the event was known; absent live.
    pub packet: Option<u64>,
}

/// A fingerprint.
#[derive(Clone, Copy, Debug)]
pub struct FingerprintEvent<'a> {
    /// What caused it.
    pub cause: EventContext,
    /// Whose it is.
    pub flow: &'a FlowIdentity,
    /// Method.
    pub method: Method,
    /// Whom it describes.
    pub side: Side,
    /// Its number among those of this method and connection, from 1.
    pub count: u32,
    /// The value.
    pub value: &'a str,
    /// The raw form, if asked for and defined.
    pub raw: Option<&'a str>,
    /// The value in original order, if asked for and defined.
    pub original: Option<&'a str>,
    /// The raw form in original order, if asked for and defined.
    pub raw_original: Option<&'a str>,
    /// Of JA4T: TTL or hop limit of the SYN.
    pub ttl: Option<u8>,
    /// Of JA4X: what the certificate says.
    pub certificate: Option<&'a CertificateAttributes>,
    /// What is known of the connection so far.
    pub attributes: &'a SharedAttributes,
}

/// One value that a shard and whoever it tells of it hold together; who changes it takes a copy where it is held
/// elsewhere too.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CowArc<T>(Arc<T>);

impl<T> CowArc<T> {
    /// Of nobody else yet.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Clone for CowArc<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for CowArc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for CowArc<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

/// What is known of a connection beside its fingerprints. Strings come from the wire, in lengths that
/// [`MAX_TEXT`] bounds: a sink escapes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// What its TLS or DTLS handshake said, inside QUIC too.
    pub tls: Option<CowArc<TlsAttributes>>,
    /// QUIC.
    pub quic: Option<CowArc<QuicAttributes>>,
    /// The HTTP request seen last.
    pub http: Option<CowArc<HttpAttributes>>,
    /// SSH.
    pub ssh: Option<CowArc<SshAttributes>>,
    /// The DHCP message seen last.
    pub dhcp: Option<CowArc<DhcpAttributes>>,
}

/// The same, as a connection holds it, with whoever was told of it. Of many connections nothing is known, and that takes
/// no more than a pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedAttributes(Option<CowArc<Attributes>>);

static NO_ATTRIBUTES: Attributes = Attributes { tls: None, quic: None, http: None, ssh: None, dhcp: None };

impl Deref for SharedAttributes {
    type Target = Attributes;

    fn deref(&self) -> &Attributes {
        self.0.as_deref().unwrap_or(&NO_ATTRIBUTES)
    }
}

impl DerefMut for SharedAttributes {
    fn deref_mut(&mut self) -> &mut Attributes {
        self.0.get_or_insert_default()
    }
}

impl From<Attributes> for SharedAttributes {
    fn from(attributes: Attributes) -> Self {
        Self(Some(CowArc::new(attributes)))
    }
}

/// Protocol number of UDP, over which TLS is DTLS unless a framing carries TLS.
const UDP: u8 = 17;

impl Attributes {
    /// The words for what a connection carries: Suricata's, and `dtls`, for which it has none.
    pub const PROTOCOLS: [&str; 7] = ["quic", "tls", "dtls", "ssh", "http", "http2", "dhcp"];

    /// What a connection over this IP protocol carries, as far as that is known: one of [`Self::PROTOCOLS`]. Of several
    /// the one inside: QUIC carries TLS, and what comes after a CONNECT is not HTTP.
    #[must_use]
    #[inline]
    pub fn protocol(&self, transport: u8) -> Option<&'static str> {
        let [quic, tls, dtls, ssh, http, http2, dhcp] = Self::PROTOCOLS;
        if self.quic.is_some() {
            return Some(quic);
        }
        if let Some(handshake) = &self.tls {
            return Some(if handshake.is_dtls.unwrap_or(transport == UDP) { dtls } else { tls });
        }
        if self.ssh.is_some() {
            return Some(ssh);
        }
        if let Some(request) = &self.http {
            return Some(if request.version == Some("HTTP/2") { http2 } else { http });
        }
        self.dhcp.as_ref().map(|_| dhcp)
    }
}

/// Longest text kept as an attribute, bytes; what is longer is cut.
pub const MAX_TEXT: usize = 1024;

/// What a TLS handshake said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsAttributes {
    /// Server name of the ClientHello.
    pub sni: Option<ArcStr>,
    /// Version that the server chose, else the highest that the client offers.
    pub version: Option<&'static str>,
    /// Protocols that the client offers.
    pub alpn: ThinVec<ArcStr>,
    /// Protocol that the server chose, where it says so in the clear.
    pub alpn_chosen: Option<ArcStr>,
    /// Cipher suite that the server chose.
    pub cipher: Option<u16>,
    /// The ClientHello has an encrypted_client_hello extension.
    pub ech: bool,
    /// Whether the records are those of DTLS; `None`: by the transport.
    pub is_dtls: Option<bool>,
    /// The server's own certificate, where it is sent in the clear.
    pub certificate: Option<Box<CertificateAttributes>>,
}

/// What a certificate says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateAttributes {
    /// Common name of the subject.
    pub subject: Option<String>,
    /// Common name of the issuer.
    pub issuer: Option<String>,
    /// Start of its validity, seconds since the Unix epoch.
    pub not_before: Option<i64>,
    /// End of its validity, seconds since the Unix epoch.
    pub not_after: Option<i64>,
    /// Names in subjectAltName.
    pub san_count: u32,
}

/// What a QUIC connection's headers said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuicAttributes {
    /// Version of the long headers.
    pub version: u32,
}

/// What an HTTP request said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpAttributes {
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    pub version: Option<&'static str>,
    /// Method.
    pub method: Option<String>,
    /// Host, or `:authority`.
    pub host: Option<String>,
    /// User-Agent.
    pub user_agent: Option<String>,
}

/// What both ends of an SSH connection said; client, server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshAttributes {
    /// Identification strings, without the line's end (RFC 4253, section 4.2).
    pub banner: [Option<String>; 2],
    /// HASSH of the client's KEXINIT, HASSH server of the server's: MD5 in lower-case hex.
    pub hassh: [Option<String>; 2],
}

/// What a DHCP message said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DhcpAttributes {
    /// Host name: option 12, or the name of option 81; DHCPv6 option 39.
    pub host_name: Option<String>,
    /// Vendor class: option 60; the first data of DHCPv6 option 16.
    pub vendor_class: Option<String>,
    /// Hardware address of the client, as `02:00:00:00:00:01`; absent in DHCPv6.
    pub client_mac: Option<String>,
    /// Hash of the client's DUID, which DHCPv6 has in its place. Not told: an answer is known by it.
    pub duid: Option<u64>,
}

/// Latencies of a connection, microseconds, halved as JA4L prints them (specification, section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// From the sensor to the client.
    pub client: Option<u64>,
    /// From the sensor to the server.
    pub server: Option<u64>,
    /// The client's, application included: the third section that other tools print.
    pub client_application: Option<u64>,
    /// The server's, likewise.
    pub server_application: Option<u64>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Both ends sent FIN.
    Fin,
    /// One end sent RST.
    Rst,
    /// Nothing came for the idle time.
    Idle,
    /// The table was full, and this was the one seen longest ago.
    Evicted,
    /// A new SYN took its place.
    Reused,
    /// It had not ended when the sensor or the capture did.
    Open,
}

impl EndReason {
    /// Every way, in the order of its counter.
    pub const ALL: [Self; 6] = [Self::Fin, Self::Rst, Self::Idle, Self::Evicted, Self::Reused, Self::Open];

    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Rst => "rst",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::Reused => "reused",
            Self::Open => "open",
        }
    }
}

/// The end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionEvent<'a> {
    /// What caused it.
    pub cause: EventContext,
    /// Which one.
    pub flow: &'a FlowIdentity,
    /// First packet.
    pub start: Time,
    /// Last packet.
    pub end: Time,
    /// Packets sent by the client and by the server.
    pub packets: [u64; 2],
    /// Bytes on the wire sent by the client and by the server.
    pub bytes: [u64; 2],
    /// How it ended.
    pub ended: EndReason,
    /// Its latencies.
    pub latency: Latency,
    /// What is known of it.
    pub attributes: &'a SharedAttributes,
}

/// A connection that goes on, though nothing of it came this way for a while.
#[derive(Clone, Copy, Debug)]
pub struct ProgressEvent<'a> {
    /// What caused it: the time is that of its last packet.
    pub cause: EventContext,
    /// Which one.
    pub flow: &'a FlowIdentity,
    /// Packets sent by the client and by the server.
    pub packets: [u64; 2],
    /// Bytes on the wire sent by the client and by the server.
    pub bytes: [u64; 2],
}

/// Where a shard's events go.
pub trait EventHandler {
    /// A fingerprint.
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>);
    /// A connection goes on.
    fn progress(&mut self, _event: &ProgressEvent<'_>) {}
    /// The end of a connection.
    fn connection(&mut self, event: &ConnectionEvent<'_>);
}
