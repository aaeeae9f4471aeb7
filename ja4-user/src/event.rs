//! What a shard reports: the typed form of the output's records.
//!
//! Events borrow from the shard that makes them; a sink that keeps one copies what it needs.

use std::net::IpAddr;

use crate::flow::community_id::CommunityId;

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

/// Which end of a connection something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The end that opened it.
    Client,
    /// The other.
    Server,
}

/// Fingerprint methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// TLS client.
    Ja4,
    /// TLS server.
    Ja4s,
    /// TCP client.
    Ja4t,
    /// TCP server.
    Ja4ts,
    /// Latency of the client.
    Ja4l,
    /// Latency of the server.
    Ja4ls,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 6] = [Self::Ja4, Self::Ja4s, Self::Ja4t, Self::Ja4ts, Self::Ja4l, Self::Ja4ls];

    /// The name in output and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ja4 => "ja4",
            Self::Ja4s => "ja4s",
            Self::Ja4t => "ja4t",
            Self::Ja4ts => "ja4ts",
            Self::Ja4l => "ja4l",
            Self::Ja4ls => "ja4ls",
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

/// What caused an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
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
pub struct Fingerprint<'a> {
    /// What caused it.
    pub cause: Cause,
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
    /// What the TLS handshake said so far.
    pub tls: Option<&'a Tls>,
}

/// What a connection's TLS handshake said. Strings come from the wire: a sink escapes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Server name of the ClientHello.
    pub sni: Option<String>,
    /// Version that the server chose, else the highest that the client offers.
    pub version: Option<&'static str>,
    /// Protocols that the client offers.
    pub alpn: Vec<String>,
    /// Cipher suite that the server chose.
    pub cipher: Option<u16>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
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

impl Ended {
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
pub struct Connection<'a> {
    /// What caused it.
    pub cause: Cause,
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
    pub ended: Ended,
    /// What its TLS handshake said.
    pub tls: Option<&'a Tls>,
}

/// Where a shard's events go.
pub trait Sink {
    /// A fingerprint.
    fn fingerprint(&mut self, event: &Fingerprint<'_>);
    /// The end of a connection.
    fn connection(&mut self, event: &Connection<'_>);
}
