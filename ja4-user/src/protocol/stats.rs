//! The counters of messages and streams.

use crate::conntrack::SegmentOutcome;
use crate::model::{AddCounters, CounterDeclarations, CounterGroup, CounterKind, CounterSet, counter_set};
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

counter_set! {
    /// Counters of the messages and streams of one shard, or sums of them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ProtocolStats as shard: AddCounters {
        /// Malformed messages.
        hidden malformed: MalformedStats,
        /// TCP segments outside a handshake.
        counter stray_segments,
        /// Stream bytes received before.
        counter duplicate_bytes,
        /// Retransmitted bytes with different content; the first copy is used.
        counter conflicting_bytes,
        /// Out-of-order bytes dropped because the reassembly buffer was full.
        counter refused_bytes,
        /// Attribute bytes dropped because the budget was exceeded.
        ///
        /// Bytes of JA4SSH windows are among them.
        counter refused_attribute_bytes,
        /// Streams that ended with an incomplete message.
        ///
        /// Also messages that never became complete.
        counter incomplete_messages,
    }
}

/// Malformed messages, by [`MalformedProtocol::ALL`] and [`WireError::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MalformedStats(pub [[u64; WireError::ALL.len()]; MalformedProtocol::ALL.len()]);

impl CounterSet for MalformedStats {
    fn declare(to: &mut CounterDeclarations) {
        let help = "Malformed messages, by protocol and reason.";
        to.add(CounterKind::Counter, "{protocol}/{reason}", "shard_malformed", help);
    }

    /// Counters that are 0 are omitted.
    fn write(&self, to: &mut CounterGroup) {
        for (protocol, counters) in MalformedProtocol::ALL.into_iter().zip(&self.0) {
            let mut reasons = CounterGroup::default();
            for (reason, count) in WireError::ALL.into_iter().zip(counters).filter(|(_, count)| **count > 0) {
                reasons.count(reason.as_str(), *count);
            }
            if !reasons.0.is_empty() {
                to.group(protocol.name(), reasons);
            }
        }
    }
}

impl AddCounters for MalformedStats {
    fn add(&mut self, other: &Self) {
        self.0.add(&other.0);
    }
}

impl ProtocolStats {
    pub(crate) fn count_malformed(&mut self, protocol: MalformedProtocol, error: WireError) {
        let counters = self.malformed.0.get_mut(protocol as usize);
        if let Some(counter) = counters.and_then(|reasons| reasons.get_mut(error.index())) {
            *counter += 1;
        }
    }

    pub(crate) fn count_segment(&mut self, outcome: &SegmentOutcome) {
        self.duplicate_bytes += outcome.duplicate as u64;
        self.conflicting_bytes += outcome.conflicting as u64;
        self.refused_bytes += outcome.refused.total() as u64;
    }
}
