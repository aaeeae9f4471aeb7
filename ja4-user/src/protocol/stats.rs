//! The counters of messages and streams.

use crate::conntrack::SegmentOutcome;
use ja4::wire::WireError;

/// The protocol as which malformed bytes were parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedProtocol {
    /// TLS, over TCP or inside QUIC.
    Tls,
    /// DTLS.
    Dtls,
    /// QUIC.
    Quic,
    /// Certificates.
    X509,
    /// HTTP/1 and HTTP/2.
    Http,
    /// SSH.
    Ssh,
    /// DHCPv4 and DHCPv6.
    Dhcp,
}

impl MalformedProtocol {
    /// Every protocol, in the order of its counters.
    pub const ALL: [Self; 7] = [Self::Tls, Self::Dtls, Self::Quic, Self::X509, Self::Http, Self::Ssh, Self::Dhcp];

    /// Name of the group of counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Dtls => "dtls",
            Self::Quic => "quic",
            Self::X509 => "x509",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Dhcp => "dhcp",
        }
    }
}

/// Counters of the messages and streams of one shard, or sums of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProtocolStats {
    /// Malformed messages, by [`MalformedProtocol::ALL`] and [`WireError::ALL`].
    pub malformed: [[u64; WireError::ALL.len()]; MalformedProtocol::ALL.len()],
    /// Segments that belong to no handshake.
    pub stray_segments: u64,
    /// Bytes that had arrived before.
    pub duplicate_bytes: u64,
    /// Bytes that arrived again with another value; the first copy counts.
    pub conflicting_bytes: u64,
    /// Bytes not buffered for lack of memory.
    pub refused_bytes: u64,
    /// Messages that never became complete, and streams that ended with a gap.
    pub incomplete_messages: u64,
}

impl ProtocolStats {
    /// Adds the counters of another shard.
    pub(crate) fn add(&mut self, other: &Self) {
        for (reasons, others) in self.malformed.iter_mut().zip(&other.malformed) {
            for (counter, other) in reasons.iter_mut().zip(others) {
                *counter += other;
            }
        }
        self.stray_segments += other.stray_segments;
        self.duplicate_bytes += other.duplicate_bytes;
        self.conflicting_bytes += other.conflicting_bytes;
        self.refused_bytes += other.refused_bytes;
        self.incomplete_messages += other.incomplete_messages;
    }

    pub(crate) fn count_malformed(&mut self, protocol: MalformedProtocol, error: WireError) {
        if let Some(counter) =
            self.malformed.get_mut(protocol as usize).and_then(|reasons| reasons.get_mut(error.index()))
        {
            *counter += 1;
        }
    }

    pub(crate) fn count_segment(&mut self, outcome: &SegmentOutcome) {
        self.duplicate_bytes += outcome.duplicate as u64;
        self.conflicting_bytes += outcome.conflicting as u64;
        self.refused_bytes += outcome.refused.total() as u64;
    }
}
