//! One selected packet: from its record to events.

use std::num::NonZeroU16;

use ja4_common::flow::{FlowEntry, FlowKey};
use ja4_common::reason::RecordClass;
use ja4_common::record::{RecordHeader, flag};
use ja4_common::verdict::LatencyPoint;

use super::env::{ShardBuffers, ShardEnv};
use super::flow_lookup::FlowLookup;
use super::limits::ShardLimits;
use super::stats::ShardStats;
use crate::conntrack::{
    Budget, ConnectionTable, FlowTimer, Keyed as _, ReassemblyLimits, SlotId, TcpHandshake, TimerQueue,
};
use crate::model::{EndReason, EventContext, EventHandler, OptTime, Side, Time};
use crate::packet::{self, Decoded, Packet, TransportHeader};
use crate::protocol::{PacketCtx, ProtocolConnection, ProtocolState, ProtocolStats};

/// Grace period of an ended connection, nanoseconds: the last ACKs and a repeated FIN still belong to it.
pub(super) const GRACE_PERIOD: u64 = 2_000_000_000;

/// How long after the client's first ACK JA4TS waits for a SYN-ACK that was already on its way, nanoseconds. The server's first
/// payload ends the wait.
const SYN_ACK_GRACE: u64 = 1_000_000_000;

/// Part of the buffer memory that stays free for the next packets: older messages are evicted before all of it is in use, since
/// bytes refused for a full budget are lost.
const RESERVE: usize = 8;

/// Connections examined for one packet when that part is in use. One is usually enough; later packets examine further ones.
const EVICTIONS: usize = 16;

/// Timers in a queue, at least, where a shard's share of the connections is small.
const MIN_TIMERS: usize = 1024;

/// The connections of one shard.
pub struct Core {
    pub(super) connections: ConnectionTable<ProtocolState>,
    /// Ended connections, by the end of their grace periods.
    pub(super) closing: TimerQueue,
    /// Connections with a final JA4TS, by the time at which it is emitted.
    pub(super) awaiting_ja4ts: TimerQueue,
    /// Connections with an incomplete message, by the time since when it is incomplete.
    incomplete: TimerQueue,
    /// The slot after the last one that [`Core::refresh_counters`] examined.
    pub(super) next_refresh: usize,
    /// The slot after the last one that [`Core::next_records`] read.
    pub(super) next_record: usize,
    /// Memory of buffered and incomplete messages.
    pub(super) budget: Budget,
    /// Memory of attributes.
    pub(super) attribute_budget: Budget,
    limits: ReassemblyLimits,
    pub(super) idle: u64,
    ssh_window: NonZeroU16,
    pub(super) stats: ShardStats,
}

/// The context of an event that no packet of the connection causes.
pub(super) fn event_ctx<'a, S>(
    connection: &'a mut ProtocolConnection,
    event: EventContext,
    stats: &'a mut ProtocolStats,
    buffers: &'a mut ShardBuffers,
    events: &'a mut S,
) -> PacketCtx<'a, ProtocolState, S> {
    let ShardBuffers { hashers, ja3, .. } = buffers;
    PacketCtx { side: Side::Client, event, is_ssh: false, connection, hashers, ja3: *ja3, stats, events }
}

/// The filter's entry of a packet's flow, if earlier packets of the flow were counted in it. Their records may have been
/// dropped: the filter tracks a flow in any case.
fn tracked_entry<F: FlowLookup, S>(packet: &Packet<'_>, key: &FlowKey, env: &ShardEnv<'_, F, S>) -> Option<FlowEntry> {
    let RecordHeader { flags, hash, counters, .. } = *packet.header;
    let has_earlier = flags & flag::TRACKED != 0 && counters.packets.iter().sum::<u64>() > 1;
    if has_earlier { env.flows.entry(hash, key) } else { None }
}

impl Core {
    /// A core without connections.
    pub fn new(limits: &ShardLimits) -> Self {
        Self::with_capacity(limits, limits.connections)
    }

    /// A core with a table of up to `capacity` connections. `limits` is its share of the limits of several cores together: a
    /// core may have more connections than its share while others have fewer.
    pub(crate) fn with_capacity(limits: &ShardLimits, capacity: usize) -> Self {
        let timers = capacity.min(limits.connections.saturating_mul(2).saturating_add(MIN_TIMERS));
        Self {
            connections: ConnectionTable::with_capacity(capacity),
            closing: TimerQueue::new(timers),
            awaiting_ja4ts: TimerQueue::new(timers),
            incomplete: TimerQueue::new(timers),
            next_refresh: 0,
            next_record: 0,
            budget: Budget::new(limits.reassembly),
            attribute_budget: Budget::new(limits.attribute_bytes()),
            limits: ReassemblyLimits::default(),
            idle: limits.idle,
            ssh_window: limits.ssh_window,
            stats: ShardStats::default(),
        }
    }

    /// The counters.
    pub fn stats(&self) -> ShardStats {
        ShardStats {
            connections: self.connections.len() as u64,
            buffered_bytes: self.budget.used() as u64,
            attribute_bytes: self.attribute_budget.used() as u64,
            ..self.stats
        }
    }

    /// Whether the low end of a known flow is its client.
    pub(crate) fn client_is_low(&self, hash: u64, key: &FlowKey) -> Option<bool> {
        self.connections.client_is_high(hash, key).map(|is_high| !is_high)
    }

    /// Processes one packet.
    pub fn packet<F: FlowLookup, S: EventHandler>(&mut self, packet: &Packet<'_>, env: &mut ShardEnv<'_, F, S>) {
        self.stats.packets += 1;
        let decoded = match packet::decode(packet) {
            Ok(decoded) => decoded,
            Err(error) => return self.stats.count_undecodable(error),
        };
        if packet.header.flags & flag::RESTARTED != 0 {
            self.close_reused(packet, &decoded.key, env);
        }
        let slot = self.find_or_insert(packet, &decoded, env);
        self.restore_syn_ack(packet, &decoded, slot, env);
        let before = self.budget.used();
        self.process(packet, &decoded, slot, env);
        if self.budget.used() != before {
            self.note_incomplete(slot, decoded.key, packet.context().time);
        }
        if self.is_under_pressure() {
            self.evict_incomplete(packet.context(), env);
        }
    }

    /// Completes the connection of a packet by the filter's entry if the record of its SYN-ACK was dropped.
    fn restore_syn_ack<F: FlowLookup, S>(
        &mut self,
        packet: &Packet<'_>,
        decoded: &Decoded<'_>,
        slot: SlotId,
        env: &ShardEnv<'_, F, S>,
    ) {
        if packet.header.flags & flag::FROM_CLIENT == 0
            && !decoded.payload.is_empty()
            && let TransportHeader::Tcp(segment) = &decoded.transport
            && !segment.syn()
            && let Some(connection) = self.connections.at_mut(slot)
            && !connection.is_ssh
            && connection.needs_isn(Side::Server)
            && let Some(entry) = tracked_entry(packet, &decoded.key, env)
        {
            connection.restore_isns(&entry);
        }
    }

    /// Processes a packet of the connection in a slot.
    fn process<F, S: EventHandler>(
        &mut self,
        packet: &Packet<'_>,
        decoded: &Decoded<'_>,
        slot: SlotId,
        env: &mut ShardEnv<'_, F, S>,
    ) {
        let Some(connection) = self.connections.touch_at(slot) else {
            return;
        };
        let (header, event) = (packet.header, packet.context());
        connection.record.last = connection.record.last.max(event.time);
        if header.flags & flag::TRACKED != 0 {
            connection.set_counters(header.counters);
        }
        connection.is_ssh |= header.class == RecordClass::Ssh as u8;
        let side = if header.flags & flag::FROM_CLIENT != 0 { Side::Client } else { Side::Server };
        let is_ssh = connection.is_ssh && header.class != RecordClass::Http as u8;
        let ShardBuffers { hashers, ja3, quic } = &mut *env.buffers;
        let stats = &mut self.stats.protocol;
        let mut cx = PacketCtx { side, event, is_ssh, connection, hashers, ja3: *ja3, stats, events: &mut *env.events };
        let segment = match &decoded.transport {
            TransportHeader::Tcp(segment) => segment,
            TransportHeader::Udp => {
                cx.datagrams(header, decoded, quic, &mut self.budget);
                let refused = cx.connection.charge_attributes(&mut self.attribute_budget);
                self.stats.protocol.refused_attribute_bytes += refused as u64;
                return;
            }
        };
        cx.tcp_handshake(decoded, segment, header.latency_point);
        let awaits_ja4ts =
            header.latency_point == LatencyPoint::FirstAck as u8 && cx.connection.tcp_handshake.is_some();
        cx.ssh_packets(decoded, segment, header.gso_size, self.ssh_window);
        if !decoded.payload.is_empty() && header.flags & flag::HEADERS_ONLY == 0 {
            if side == Side::Server && !cx.connection.tcp_handshake.as_ref().is_some_and(TcpHandshake::awaits_ack) {
                // A server that sends payload has received the client's ACK.
                cx.emit_ja4ts();
            }
            // The payload of a SYN (TCP Fast Open, RFC 7413) follows it in sequence.
            let seq = segment.seq.wrapping_add(u32::from(segment.syn()));
            let resync = header.flags & flag::RESYNC != 0;
            cx.stream(seq, decoded.payload, resync, &self.limits, &mut self.budget);
        }
        let has_ended = (segment.fin() || segment.rst()) && cx.tcp_end(segment);
        let mut refused = 0;
        if decoded.payload_len > 0 {
            refused += cx.connection.charge_attributes(&mut self.attribute_budget);
        }
        // A RST may be forged: buffered messages are kept until the end of the grace period.
        if has_ended && cx.connection.ended == Some(EndReason::Fin) {
            cx.finish_messages(&mut self.budget);
            // Incomplete Certificate messages may have had attributes.
            refused += cx.connection.charge_attributes(&mut self.attribute_budget);
            cx.connection.release(&mut self.budget);
        }
        self.stats.protocol.refused_attribute_bytes += refused as u64;
        let timer = |after| FlowTimer {
            time: Time(event.time.0.saturating_add(after)),
            hash: connection.hash,
            key: decoded.key,
        };
        if has_ended {
            self.closing.start(timer(GRACE_PERIOD));
        }
        if awaits_ja4ts {
            self.awaiting_ja4ts.start(timer(SYN_ACK_GRACE));
        }
    }

    /// Records since when a connection has an incomplete message, after a packet has changed the number of buffered bytes.
    fn note_incomplete(&mut self, slot: SlotId, key: FlowKey, now: Time) {
        let Some(connection) = self.connections.at_mut(slot) else {
            return;
        };
        match (connection.is_incomplete(), connection.incomplete_since.is_known()) {
            (false, true) => connection.incomplete_since = OptTime::UNKNOWN,
            (true, false) if self.incomplete.start(FlowTimer { time: now, hash: connection.hash, key }) => {
                connection.incomplete_since = now.into();
            }
            _ => {}
        }
    }

    fn is_under_pressure(&self) -> bool {
        self.budget.used() > self.budget.max() - self.budget.max() / RESERVE
    }

    /// Evicts the messages that have been incomplete for longest: they are the least likely to become complete, and a sender
    /// who fills the memory with such messages does not keep it.
    fn evict_incomplete<F, S: EventHandler>(&mut self, event: EventContext, env: &mut ShardEnv<'_, F, S>) {
        for _ in 0..EVICTIONS {
            let Some(FlowTimer { time, hash, key }) = self.incomplete.pop() else {
                return;
            };
            let Some(connection) = self.connections.get_mut(hash, &key) else {
                continue;
            };
            if connection.incomplete_since != time.into() {
                continue;
            }
            connection.incomplete_since = OptTime::UNKNOWN;
            self.stats.memory_evicted += 1;
            let event = EventContext { hook: None, ..event };
            let stats = &mut self.stats.protocol;
            event_ctx(connection, event, stats, &mut *env.buffers, &mut *env.events).finish_messages(&mut self.budget);
            connection.drop_incomplete(&mut self.budget);
            self.stats.protocol.refused_attribute_bytes +=
                connection.charge_attributes(&mut self.attribute_budget) as u64;
            if !self.is_under_pressure() {
                return;
            }
        }
    }

    /// Removes the entries of connections that no longer have an incomplete message, where they may be the majority.
    pub(super) fn compact_incomplete(&mut self) {
        let connections = &self.connections;
        self.incomplete.compact(|FlowTimer { time, hash, key }| {
            connections.get_full(*hash, key).is_some_and(|connection| connection.incomplete_since == (*time).into())
        });
    }

    /// The slot of the packet's connection, which is added if it is new.
    fn find_or_insert<F: FlowLookup, S: EventHandler>(
        &mut self,
        packet: &Packet<'_>,
        decoded: &Decoded<'_>,
        env: &mut ShardEnv<'_, F, S>,
    ) -> SlotId {
        let hash = packet.header.hash;
        if let Some(slot) = self.connections.find(hash, &decoded.key) {
            return slot;
        }
        self.stats.opened += 1;
        let mut connection = Box::new(ProtocolConnection::new(packet, decoded));
        if let TransportHeader::Tcp(segment) = &decoded.transport
            && !(segment.syn() && packet.header.flags & flag::FROM_CLIENT != 0)
            && let Some(entry) = tracked_entry(packet, &decoded.key, env)
        {
            connection.restore_client_syn(&entry);
        }
        let (slot, evicted) = self.connections.insert(connection);
        if let Some(mut evicted) = evicted {
            let event = EventContext { hook: None, ..packet.context() };
            env.flows.remove(evicted.hash, &evicted.key());
            evicted.ended.get_or_insert(EndReason::Evicted);
            self.emit_end(evicted, event, env);
            self.stats.count_ended(EndReason::Evicted);
        }
        slot
    }
}
