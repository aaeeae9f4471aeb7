//! Timers of connections, and their end.

use ja4_common::flow::{FlowEntry, FlowKey};

use super::core::{Core, GRACE_PERIOD, event_ctx};
use super::env::ShardEnv;
use super::flow_lookup::FlowLookup;
use super::limits::Now;
use crate::conntrack::ConnectionSummary;
use crate::model::{EndReason, EventContext, EventHandler, Latency, Time};
use crate::packet::Packet;
use crate::protocol::ProtocolConnection;

/// A packet so long after a RST shows that the receiver did not accept it, nanoseconds: packets on their way have arrived by then.
const RST_DISPROVED: u64 = 1_000_000_000;

/// Connections that one call of [`Core::refresh_counters`] examines: if there are more, each is examined every few seconds.
const REFRESHED: usize = 4096;

impl Core {
    /// Handles the timers that are due; called once a second of event time.
    pub fn tick<F: FlowLookup, S: EventHandler>(&mut self, now: Now, env: &mut ShardEnv<'_, F, S>) {
        self.compact_incomplete();
        self.connections.compact(now.time);
        while let Some(timer) = self.awaiting_ja4ts.pop_due(now.time) {
            if let Some(connection) = self.connections.get_mut(timer.hash, &timer.key)
                && connection.tcp_handshake.as_ref().is_some_and(|handshake| handshake.first_ack.is_known())
            {
                let event = context(connection, now);
                let stats = &mut self.stats.protocol;
                event_ctx(connection, event, stats, &mut *env.buffers, &mut *env.events).emit_ja4ts();
            }
        }
        while let Some(timer) = self.closing.pop_due(now.time) {
            // The flow's key may have been reused since.
            let Some(connection) = self.connections.get_mut(timer.hash, &timer.key) else {
                continue;
            };
            let entry = env.flows.entry(timer.hash, &timer.key);
            let last = entry.map_or(connection.record.last, |entry| connection.record.last.max(last_seen(&entry)));
            if connection.ended == Some(EndReason::Rst)
                && last.0.saturating_add(GRACE_PERIOD - RST_DISPROVED) >= timer.time.0
            {
                connection.ended = None;
            }
            if let Some(reason) = connection.ended {
                self.close(timer.hash, &timer.key, reason, now, env);
            }
        }
    }

    /// Reports connections if their packets pass the filter unselected: their counters are only in the filter until they end. A
    /// call examines some of the connections, and the next call continues after them.
    pub(crate) fn refresh_counters<F: FlowLookup, S: EventHandler>(&mut self, env: &mut ShardEnv<'_, F, S>) {
        for _ in 0..self.connections.slots().min(REFRESHED) {
            if self.next_refresh >= self.connections.slots() {
                self.next_refresh = 0;
            }
            let slot = self.next_refresh;
            self.next_refresh += 1;
            if let Some(ConnectionSummary { hash, key, counters, .. }) = self.connections.summary(slot)
                && let Some(entry) = env.flows.entry(hash, &key)
                && entry.counters() != counters
                && let Some(connection) = self.connections.get_mut(hash, &key)
            {
                connection.set_counters(entry.counters());
                let last = Now { time: connection.record.last.max(last_seen(&entry)), packet: None };
                emit_progress(connection, last, &mut *env.events);
            }
        }
    }

    /// Closes connections that are idle.
    pub(crate) fn evict_idle<F: FlowLookup, S: EventHandler>(&mut self, now: Now, env: &mut ShardEnv<'_, F, S>) {
        while let Some(ConnectionSummary { hash, key, last, .. }) = self.connections.oldest() {
            if now.time.0.saturating_sub(last.0) < self.idle {
                break;
            }
            // Bulk packets do not reach the shard: the filter has the time of the last one.
            if let Some(entry) = env.flows.entry(hash, &key)
                && let Some(connection) = self.connections.touch(hash, &key)
            {
                connection.set_counters(entry.counters());
                connection.record.last = connection.record.last.max(last_seen(&entry));
                if now.time.0.saturating_sub(connection.record.last.0) < self.idle {
                    let last = Now { time: connection.record.last, ..now };
                    emit_progress(connection, last, &mut *env.events);
                    continue;
                }
            }
            self.close(hash, &key, EndReason::Idle, now, env);
        }
    }

    /// Number of connections, with those in their grace periods.
    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Times of the last packets of all connections, the least recently used connection first.
    pub(crate) fn last_times(&self) -> impl Iterator<Item = Time> {
        self.connections.last_times()
    }

    /// Whether a flow has a connection.
    pub(crate) fn has_connection(&self, hash: u64, key: &FlowKey) -> bool {
        self.connections.find(hash, key).is_some()
    }

    /// Evicts the `count` least recently used connections.
    pub(crate) fn evict<F: FlowLookup, S: EventHandler>(
        &mut self,
        count: usize,
        now: Now,
        env: &mut ShardEnv<'_, F, S>,
    ) {
        self.close_oldest(count, EndReason::Evicted, now, env);
    }

    /// Closes all connections, the least recently used first: the capture or the run has ended.
    pub fn finish<F: FlowLookup, S: EventHandler>(&mut self, now: Now, env: &mut ShardEnv<'_, F, S>) {
        self.close_oldest(usize::MAX, EndReason::Open, now, env);
        self.connections.free();
    }

    /// Closes the `count` least recently used connections. Returns whether any is left.
    pub(crate) fn close_oldest<F: FlowLookup, S: EventHandler>(
        &mut self,
        count: usize,
        reason: EndReason,
        now: Now,
        env: &mut ShardEnv<'_, F, S>,
    ) -> bool {
        for _ in 0..count {
            let Some(ConnectionSummary { hash, key, .. }) = self.connections.oldest() else {
                return false;
            };
            self.close(hash, &key, reason, now, env);
        }
        true
    }

    /// Removes a connection, and emits its end. `reason` applies if it has not ended before.
    fn close<F: FlowLookup, S: EventHandler>(
        &mut self,
        hash: u64,
        key: &FlowKey,
        reason: EndReason,
        now: Now,
        env: &mut ShardEnv<'_, F, S>,
    ) {
        let Some(mut connection) = self.connections.remove(hash, key) else {
            return;
        };
        if let Some(entry) = env.flows.entry(hash, key) {
            connection.set_counters(entry.counters());
            connection.record.last = connection.record.last.max(last_seen(&entry));
        }
        // At the end of the run the filter ends too.
        if reason != EndReason::Open {
            env.flows.remove(hash, key);
        }
        let reason = *connection.ended.get_or_insert(reason);
        let event = context(&connection, now);
        self.emit_end(connection, event, env);
        self.stats.count_ended(reason);
    }

    /// Closes a connection, as a new SYN reuses its ports. The filter has restarted its entry, and sends the counters of the
    /// old one with the SYN.
    pub(super) fn close_reused<F, S: EventHandler>(
        &mut self,
        packet: &Packet<'_>,
        key: &FlowKey,
        env: &mut ShardEnv<'_, F, S>,
    ) {
        if let Some(mut connection) = self.connections.remove(packet.header.hash, key) {
            connection.set_counters(packet.header.counters);
            let reason = *connection.ended.get_or_insert(EndReason::Reused);
            self.emit_end(connection, packet.context(), env);
            self.stats.count_ended(reason);
        }
    }

    /// Emits the last fingerprints and the end of a connection.
    pub(super) fn emit_end<F, S: EventHandler>(
        &mut self,
        mut connection: Box<ProtocolConnection>,
        event: EventContext,
        env: &mut ShardEnv<'_, F, S>,
    ) {
        let stats = &mut self.stats.protocol;
        let mut cx = event_ctx(&mut connection, event, stats, &mut *env.buffers, &mut *env.events);
        cx.emit_ja4ts();
        cx.finish_messages(&mut self.budget);
        cx.connection.finalize();
        cx.emit_ja4ssh();
        connection.release(&mut self.budget);
        connection.credit_attributes(&mut self.attribute_budget);
        let latency = connection.latencies.known(connection.record.attributes.tls.is_some());
        let ProtocolConnection { mut record, ended, .. } = *connection;
        record.ended = ended;
        record.latency = (latency != Latency::default()).then(|| Box::new(latency));
        env.events.connection(event, record);
    }
}

fn emit_progress(connection: &mut ProtocolConnection, last: Now, events: &mut impl EventHandler) {
    let cause = context(connection, last);
    events.progress(cause, &mut connection.record);
}

/// Time of a flow's last packet.
fn last_seen(entry: &FlowEntry) -> Time {
    Time(entry.low.last_seen.max(entry.high.last_seen))
}

/// Context of an event that no packet causes.
fn context(connection: &ProtocolConnection, now: Now) -> EventContext {
    EventContext { time: now.time, interface: connection.record.interface, hook: None, packet: now.packet }
}
