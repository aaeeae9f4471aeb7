//! The events that a shard emits.
//!
//! An event borrows from the shard; a receiver that stores one copies what it needs.

use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use arcstr::ArcStr;
use ja4::Ja3;
pub use ja4::{Method, Side};
use thin_vec::ThinVec;

use crate::model::{CommunityId, ConnectionRecord, PerSide, VlanTags};

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

/// The hook that saw a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// The packet enters the host.
    Ingress,
    /// The packet leaves the host.
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

/// The identity of a connection. The client comes first, in packets of both endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowIdentity {
    /// Number of the flow, the same live and in a replay. It is below 2^53, which every JSON reader can represent.
    pub id: u64,
    /// Community ID.
    pub community: CommunityId,
    /// Address and port of the client.
    pub client: (IpAddr, u16),
    /// Address and port of the server.
    pub server: (IpAddr, u16),
    /// IP protocol number.
    pub proto: u8,
    /// VLAN tags.
    pub vlan: VlanTags,
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

/// Time and place of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventContext {
    /// Time of the packet; of the event if no packet caused it.
    pub time: Time,
    /// Index into the run's list of interface names.
    pub interface: u32,
    /// Hook that saw the packet; absent in a replay.
    pub hook: Option<Hook>,
    /// Number of the packet in its capture, from 1; absent live.
    pub packet: Option<u64>,
}

/// A fingerprint was computed.
#[derive(Clone, Copy, Debug)]
pub struct FingerprintEvent<'a> {
    /// Time and place.
    pub cause: EventContext,
    /// Method.
    pub method: Method,
    /// Endpoint that it describes.
    pub side: Side,
    /// Its number among those of this method and connection, from 1.
    pub count: u32,
    /// The value.
    pub value: &'a str,
    /// Raw form, if requested and defined.
    pub raw: Option<&'a str>,
    /// Value in original order, if requested and defined.
    pub original: Option<&'a str>,
    /// Raw form in original order, if requested and defined.
    pub raw_original: Option<&'a str>,
    /// Of JA4T: TTL or hop limit of the SYN.
    pub ttl: Option<u8>,
    /// Of JA4X: the certificate.
    pub certificate: Option<&'a CertificateAttributes>,
}

/// A shared value that is copied when one of several holders changes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CowArc<T>(Arc<T>);

impl<T> CowArc<T> {
    /// A value with one holder.
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

/// Attributes that the messages of a connection contain. Strings come from the wire and have at most [`MAX_TEXT`] bytes;
/// encoders escape them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// TLS or DTLS handshake, also inside QUIC.
    pub tls: Option<CowArc<TlsAttributes>>,
    /// QUIC.
    pub quic: Option<CowArc<QuicAttributes>>,
    /// Last HTTP request.
    pub http: Option<CowArc<HttpAttributes>>,
    /// SSH.
    pub ssh: Option<CowArc<SshAttributes>>,
    /// Last DHCP message.
    pub dhcp: Option<CowArc<DhcpAttributes>>,
}

/// Attributes that a connection shares with the receivers of its events. Without any attribute it is a null pointer.
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
    /// Application protocols: Suricata's names, and `dtls`, which Suricata lacks.
    pub(crate) const PROTOCOLS: [&str; 7] = ["quic", "tls", "dtls", "ssh", "http", "http2", "dhcp"];

    /// Returns the application protocol of a connection over this IP protocol, one of `PROTOCOLS`. Of several
    /// protocols it is the innermost: QUIC contains TLS, and a CONNECT tunnel contains another protocol than HTTP.
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

/// Longest text of an attribute, in bytes. A longer text is truncated.
pub const MAX_TEXT: usize = 1024;

/// Attributes of a TLS handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsAttributes {
    /// Server name of the ClientHello.
    pub sni: Option<ArcStr>,
    /// Version that the server chose, else the highest that the client offers.
    pub version: Option<&'static str>,
    /// Protocols that the client offers.
    pub alpn: ThinVec<ArcStr>,
    /// Protocol that the server chose, if it is not encrypted.
    pub alpn_chosen: Option<ArcStr>,
    /// Cipher suite that the server chose.
    pub cipher: Option<u16>,
    /// Named group of the key exchange that the server chose; TLS 1.3 only.
    pub group: Option<u16>,
    /// Whether the ClientHello has an encrypted_client_hello extension.
    pub ech: bool,
    /// Whether the records are DTLS; `None`: the transport decides.
    pub is_dtls: Option<bool>,
    /// Certificate of the server, if it is not encrypted.
    pub certificate: Option<Box<CertificateAttributes>>,
    /// JA3 of the first ClientHello and JA3S of the first ServerHello, if requested. Their strings are texts.
    pub ja3: Option<Box<PerSide<Option<Ja3>>>>,
}

/// Attributes of a certificate.
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
    /// Number of names in subjectAltName.
    pub san_count: u32,
}

/// Attributes of a QUIC connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuicAttributes {
    /// Version of the long headers.
    pub version: u32,
}

/// Attributes of an HTTP request.
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

/// Attributes of an SSH connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshAttributes {
    /// Identification strings, without the line's end (RFC 4253, section 4.2).
    pub banner: PerSide<Option<String>>,
    /// HASSH of the client's KEXINIT, HASSH server of the server's: MD5 in lower-case hex.
    pub hassh: PerSide<Option<String>>,
}

/// Attributes of a DHCP message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DhcpAttributes {
    /// Host name: option 12, or the name of option 81; DHCPv6 option 39.
    pub host_name: Option<String>,
    /// Vendor class: option 60; the first data of DHCPv6 option 16.
    pub vendor_class: Option<String>,
    /// Hardware address of the client, as `02:00:00:00:00:01`; absent in DHCPv6.
    pub client_mac: Option<String>,
    /// Hash of the client's DUID (DHCPv6). It matches responses to requests and is not emitted.
    pub duid: Option<u64>,
}

/// Latencies of a connection in microseconds, halved as in JA4L (see docs/methods.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Between sensor and client.
    pub client: Option<u64>,
    /// Between sensor and server.
    pub server: Option<u64>,
    /// Response time of the client's application: the third section of JA4L in other tools.
    pub client_application: Option<u64>,
    /// Response time of the server's application.
    pub server_application: Option<u64>,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Both endpoints sent FIN.
    Fin,
    /// One endpoint sent RST.
    Rst,
    /// No packet was seen for the idle time.
    Idle,
    /// The flow table was full, and this connection was the least recently used.
    Evicted,
    /// A new SYN reused its ports.
    Reused,
    /// It was open when the sensor or the capture ended.
    Open,
}

impl EndReason {
    /// Every reason, in the order of the counters.
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

/// Receives the events of a shard, each with the record of its connection.
pub trait EventHandler {
    /// Handles a fingerprint, which is not in the history of the record.
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>, record: &mut ConnectionRecord);
    /// Handles the progress of a connection: the filter selected none of its packets for a while. The record has its new
    /// counters.
    fn progress(&mut self, _cause: EventContext, _record: &mut ConnectionRecord) {}
    /// Handles the end of a connection. The record is complete.
    fn connection(&mut self, cause: EventContext, record: ConnectionRecord);
}
