//! What time tells of connections, and how they end: told by the clock in place of a packet.

use ja4_common::flow::{FlowEntry, FlowKey};

use super::{Core, FlowLookup, LINGER, Now};
use crate::conntrack::Keyed as _;
use crate::conntrack::connection::Connection;
use crate::model::{self, EndReason, EventContext, EventHandler, Time};
use crate::packet::Packet;
use crate::shard::engines::Engines;
use crate::shard::ja4ssh;
use crate::shard::opening::tell_ja4ts;
use crate::shard::unfinished::tell_unfinished;

/// A packet so long after a RST shows that the receiver did not take it, nanoseconds: what was on its way
/// has arrived by then.
const OUTLIVED: u64 = 1_000_000_000;

/// Connections that one round of [`Core::audit`] looks at: where there are more, each comes every few seconds.
const AUDITED: usize = 4096;

impl Core {
    /// Lets go of what has waited long enough: told once a second of event time.
    pub fn tick(
        &mut self,
        now: Now,
        lookup: &mut impl FlowLookup,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) {
        self.forget_finished();
        while let Some((due, hash, key)) = self.answered.front().copied()
            && due <= now.time
        {
            self.answered.pop_front();
            if let Some(connection) = self.connections.get_mut(hash, &key)
                && connection.opening.as_ref().is_some_and(|opening| opening.answered.is_known())
            {
                let cause = after(connection, now);
                tell_ja4ts(connection, cause, engines, sink);
            }
        }
        while let Some((due, hash, key)) = self.lingering.front().copied()
            && due <= now.time
        {
            self.lingering.pop_front();
            // The tuple may have been used again since.
            let Some(connection) = self.connections.get_mut(hash, &key) else {
                continue;
            };
            let last = lookup.entry(hash, &key).map_or(connection.last, |entry| connection.last.max(last_seen(&entry)));
            if connection.ended == Some(EndReason::Rst) && last.0.saturating_add(LINGER - OUTLIVED) >= due.0 {
                connection.ended = None;
            }
            if connection.ended.is_some() {
                self.retire(hash, &key, EndReason::Open, now, lookup, engines, sink);
            }
        }
    }

    /// Tells of connections whose packets pass the filter unselected, which does not show otherwise until they end. A
    /// call looks at some of them, and the next one goes on behind those.
    pub fn audit(&mut self, lookup: &mut impl FlowLookup, sink: &mut impl EventHandler) {
        for _ in 0..self.connections.slots().min(AUDITED) {
            if self.audited >= self.connections.slots() {
                self.audited = 0;
            }
            let slot = self.connections.slot_mut(self.audited);
            self.audited += 1;
            let Some(connection) = slot else {
                continue;
            };
            let Some(entry) = lookup
                .entry(connection.hash, &connection.key())
                .filter(|entry| entry.counters() != connection.counters)
            else {
                continue;
            };
            connection.counters = entry.counters();
            let last = Now { time: connection.last.max(last_seen(&entry)), packet: None };
            let (packets, bytes) = connection.totals();
            let flow = &connection.identity;
            sink.progress(&model::ProgressEvent { cause: after(connection, last), flow, packets, bytes });
        }
    }

    /// Lets go of connections without a packet for the idle time.
    pub fn evict_idle(
        &mut self,
        now: Now,
        lookup: &mut impl FlowLookup,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) {
        while let Some(connection) = self.connections.oldest() {
            let (key, hash) = (connection.key(), connection.hash);
            if now.time.0.saturating_sub(connection.last.0) < self.idle {
                break;
            }
            // Bulk packets do not come this way: the filter knows when the last one passed.
            if let Some(entry) = lookup.entry(hash, &key)
                && let Some(connection) = self.connections.touch(hash, &key)
            {
                connection.counters = entry.counters();
                connection.last = connection.last.max(last_seen(&entry));
                if now.time.0.saturating_sub(connection.last.0) < self.idle {
                    let at = Now { time: connection.last, ..now };
                    let (packets, bytes) = connection.totals();
                    let flow = &connection.identity;
                    sink.progress(&model::ProgressEvent { cause: after(connection, at), flow, packets, bytes });
                    continue;
                }
            }
            self.retire(hash, &key, EndReason::Idle, now, lookup, engines, sink);
        }
    }

    /// Number of connections, including ended ones that still wait for late packets.
    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Times of the last packets of all connections, the least recently used connection first.
    pub(crate) fn last_times(&self) -> impl Iterator<Item = Time> {
        self.connections.oldest_first().map(|connection| connection.last)
    }

    /// Whether a flow has a connection.
    pub(crate) fn has_connection(&self, hash: u64, key: &FlowKey) -> bool {
        self.connections.find(hash, key).is_some()
    }

    /// Evicts the `count` least recently used connections.
    pub(crate) fn evict(
        &mut self,
        count: usize,
        now: Now,
        lookup: &mut impl FlowLookup,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) {
        for _ in 0..count {
            let Some(oldest) = self.connections.oldest() else {
                return;
            };
            let (key, hash) = (oldest.key(), oldest.hash);
            self.retire(hash, &key, EndReason::Evicted, now, lookup, engines, sink);
        }
    }

    /// Lets go of everything, oldest first: the capture or the run is over.
    pub fn finish(
        &mut self,
        now: Now,
        lookup: &mut impl FlowLookup,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) {
        while let Some(connection) = self.connections.oldest() {
            let (key, hash) = (connection.key(), connection.hash);
            self.retire(hash, &key, EndReason::Open, now, lookup, engines, sink);
        }
    }

    /// Ends a connection for good and tells of it.
    #[expect(clippy::too_many_arguments, reason = "the stages' context, passed down one level")]
    fn retire(
        &mut self,
        hash: u64,
        key: &FlowKey,
        ended: EndReason,
        now: Now,
        lookup: &mut impl FlowLookup,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) {
        let Some(mut connection) = self.connections.remove(hash, key) else {
            return;
        };
        if let Some(entry) = lookup.entry(hash, key) {
            connection.counters = entry.counters();
            connection.last = connection.last.max(last_seen(&entry));
        }
        lookup.remove(hash, key);
        let ended = *connection.ended.get_or_insert(ended);
        let cause = after(&connection, now);
        self.tell_end(&mut connection, cause, engines, sink);
        self.stats.count_ended(ended);
    }

    /// A new SYN takes a connection's place. The filter has begun its entry anew and sends the old
    /// one's counts along.
    pub(crate) fn end_now(
        &mut self,
        packet: &Packet<'_>,
        key: &FlowKey,
        ended: EndReason,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) {
        if let Some(mut connection) = self.connections.remove(packet.header.hash, key) {
            connection.counters = packet.header.counters;
            let ended = *connection.ended.get_or_insert(ended);
            self.tell_end(&mut connection, packet.cause(), engines, sink);
            self.stats.count_ended(ended);
        }
    }

    /// The last words on a connection.
    pub(crate) fn tell_end(
        &mut self,
        connection: &mut Connection,
        cause: EventContext,
        engines: &mut Engines,
        sink: &mut impl EventHandler,
    ) {
        tell_ja4ts(connection, cause, engines, sink);
        tell_unfinished(connection, cause, engines, &mut self.stats, &mut self.budget, sink);
        connection.settle();
        ja4ssh::tell_rest(connection, cause, &mut engines.methods, sink);
        connection.release(&mut self.budget);
        let (packets, bytes) = connection.totals();
        sink.connection(&model::ConnectionEvent {
            cause,
            flow: &connection.identity,
            start: connection.start,
            end: connection.last,
            packets,
            bytes,
            ended: connection.ended.unwrap_or(EndReason::Open),
            latency: connection.latencies.known(connection.attributes.tls.is_some()),
            attributes: &connection.attributes,
        });
        connection.credit_kept(&mut self.kept);
    }
}

/// Time of a flow's last packet.
fn last_seen(entry: &FlowEntry) -> Time {
    Time(entry.low.last_seen.max(entry.high.last_seen))
}

/// Context of an event that no packet caused.
fn after(connection: &Connection, now: Now) -> EventContext {
    EventContext { time: now.time, interface: connection.interface, hook: None, packet: now.packet }
}
