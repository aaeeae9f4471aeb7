//! The counters of a shard.

use crate::model::EndReason;
use crate::packet::DecodeError;
use crate::packet::defrag::DefragStats;
use crate::protocol::ProtocolStats;

/// Counters of one shard, or sums of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// Records received.
    pub packets: u64,
    /// Records with truncated headers, by [`DecodeError::ALL`].
    pub undecodable: [u64; DecodeError::ALL.len()],
    /// Messages and streams.
    pub protocol: ProtocolStats,
    /// Connections that lost incomplete messages under memory pressure.
    pub memory_evicted: u64,
    /// Bytes of attributes, and of JA4SSH windows, dropped because the attribute budget was exceeded.
    pub refused_attribute_bytes: u64,
    /// Connections opened.
    pub opened: u64,
    /// Connections ended, by [`EndReason`].
    pub ended: [u64; EndReason::ALL.len()],
    /// Current number of connections.
    pub connections: u64,
    /// Bytes that are buffered now.
    pub buffered_bytes: u64,
    /// Bytes of the attributes of current connections.
    pub attribute_bytes: u64,
    /// Nested tunnels and reassembled datagrams.
    pub decap: DecapStats,
    /// Fragments.
    pub fragments: DefragStats,
}

/// Counters of decapsulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecapStats {
    /// Records of fragments and of tunnels inside tunnels.
    pub records: u64,
    /// Inner packets that were selected and processed.
    pub processed: u64,
    /// Inner packets that were not selected.
    pub unselected: u64,
    /// Inner packets with malformed headers.
    pub unparseable: u64,
    /// Reassembled datagrams that were seen at another capture point before.
    pub duplicates: u64,
    /// Fragments inside nested tunnels.
    pub fragments: u64,
    /// Packets in more tunnels than are decapsulated.
    pub too_deep: u64,
    /// Datagrams handed off to another shard.
    pub handed_off: u64,
    /// Datagrams lost because the queue of that shard was full.
    pub handoff_lost: u64,
}

impl DecapStats {
    /// Names and counters.
    pub fn counters(&self) -> [(&'static str, u64); 9] {
        let mut copy = *self;
        let values = copy.counters_mut().map(|counter| *counter);
        let mut named = NAMES.map(|name| (name, 0));
        for ((_, counter), value) in named.iter_mut().zip(values) {
            *counter = value;
        }
        named
    }

    fn add(&mut self, other: &Self) {
        for (counter, (_, other)) in self.counters_mut().into_iter().zip(other.counters()) {
            *counter += other;
        }
    }

    /// In the order of [`NAMES`].
    fn counters_mut(&mut self) -> [&mut u64; NAMES.len()] {
        let Self {
            records,
            processed,
            unselected,
            unparseable,
            duplicates,
            fragments,
            too_deep,
            handed_off,
            handoff_lost,
        } = self;
        [records, processed, unselected, unparseable, duplicates, fragments, too_deep, handed_off, handoff_lost]
    }
}

const NAMES: [&str; 9] = [
    "records",
    "processed",
    "unselected",
    "unparseable",
    "duplicates",
    "fragments",
    "too_deep",
    "handed_off",
    "handoff_lost",
];

impl ShardStats {
    /// These counters with those of decapsulation: a record counts as one packet, whatever is in it.
    pub(crate) fn with(self, decap: DecapStats) -> Self {
        Self { packets: self.packets - decap.processed + decap.records, decap, ..self }
    }

    /// Adds the counters of another shard.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        sum(&mut self.undecodable, &other.undecodable);
        self.protocol.add(&other.protocol);
        self.memory_evicted += other.memory_evicted;
        self.refused_attribute_bytes += other.refused_attribute_bytes;
        self.opened += other.opened;
        sum(&mut self.ended, &other.ended);
        self.connections += other.connections;
        self.buffered_bytes += other.buffered_bytes;
        self.attribute_bytes += other.attribute_bytes;
        self.decap.add(&other.decap);
        self.fragments.add(&other.fragments);
    }

    pub(crate) fn count_undecodable(&mut self, error: DecodeError) {
        increment(&mut self.undecodable, error as usize);
    }

    pub(crate) fn count_ended(&mut self, reason: EndReason) {
        increment(&mut self.ended, reason as usize);
    }
}

fn increment(counters: &mut [u64], index: usize) {
    if let Some(counter) = counters.get_mut(index) {
        *counter += 1;
    }
}

fn sum(to: &mut [u64], from: &[u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}
