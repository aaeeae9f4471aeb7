//! The counters of a shard.

use crate::model::{EndReason, counter_set};
use crate::packet::DecodeError;
use crate::packet::defrag::DefragStats;
use crate::protocol::{MalformedStats, ProtocolStats};

counter_set! {
    /// Counters of one shard, or sums of them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ShardStats as shard: AddCounters {
        /// Records processed by the shards.
        counter packets,
        /// Open connections.
        gauge connections,
        /// Connections opened.
        counter opened as shard_connections_opened,
        /// Messages and streams.
        flatten protocol: ProtocolStats,
        /// Connections that lost incomplete messages to eviction under memory pressure.
        counter memory_evicted,
        /// Bytes in reassembly buffers and incomplete messages.
        gauge buffered_bytes,
        /// Bytes of connection attributes.
        gauge attribute_bytes,
        /// Records with truncated headers, by reason.
        counter undecodable by reason of DecodeError,
        group malformed: MalformedStats = malformed,
        /// Nested tunnels and reassembled datagrams.
        group decap: DecapStats,
        /// Fragments.
        group fragments: DefragStats,
        /// Connections ended, by reason.
        counter ended by how of EndReason as shard_connections_ended,
    }
}

counter_set! {
    /// Counters of decapsulation in userspace.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DecapStats as decap: AddCounters {
        /// Records of fragments and nested tunnels.
        counter records,
        /// Inner packets processed.
        counter processed,
        /// Inner packets not selected.
        counter unselected,
        /// Inner packets that would start a flow that does not match the capture filter.
        counter filtered,
        /// Inner packets that could not be parsed.
        counter unparseable,
        /// Reassembled datagrams already seen at another capture point.
        counter duplicates,
        /// Fragments inside nested tunnels.
        counter fragments,
        /// Packets with too many nested tunnels.
        counter too_deep,
        /// Reassembled datagrams handed to another shard.
        counter handed_off,
        /// Reassembled datagrams dropped because the queue of the other shard was full.
        counter handoff_lost,
    }
}

impl ShardStats {
    /// These counters with those of decapsulation: a record counts as one packet, whatever is in it.
    pub(crate) fn with(self, decap: DecapStats) -> Self {
        Self { packets: self.packets - decap.processed + decap.records, decap, ..self }
    }

    pub(crate) fn count_undecodable(&mut self, error: DecodeError) {
        increment(&mut self.undecodable, error as usize);
    }

    pub(crate) fn count_ended(&mut self, reason: EndReason) {
        increment(&mut self.ended, reason as usize);
    }

    const fn malformed(&self) -> &MalformedStats {
        &self.protocol.malformed
    }
}

fn increment(counters: &mut [u64], index: usize) {
    if let Some(counter) = counters.get_mut(index) {
        *counter += 1;
    }
}
