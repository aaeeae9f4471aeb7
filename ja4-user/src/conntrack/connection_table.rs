//! The connections of a shard, those with one SYN in a compact form.

use std::collections::VecDeque;

use ja4_common::flow::{FlowCounters, FlowKey};

use super::app_state::AppState;
use super::connection::Connection;
use super::flow_table::{FlowTable, Keyed, SlotId};
use super::half_open::HalfOpen;
use crate::model::Time;

/// Age at which a connection without an answer is stored compactly, nanoseconds: an ordinary handshake is answered before.
const COMPACT_AFTER: u64 = 100_000_000;

/// Connections of that age that one new connection examines: more than one, so that the queue is bounded by the
/// connections of a second.
const EXAMINED_PER_NEW: usize = 2;

/// Connections of that age that one call of [`ConnectionTable::compact`] examines.
const EXAMINED_PER_TICK: usize = 32_768;

/// At most `max` connections, in order from the least to the most recently used; see [`FlowTable`].
///
/// A connection of which only a SYN was seen takes a quarter of the memory. Whatever changes a connection expands it.
#[derive(Debug)]
pub(crate) struct ConnectionTable<A: AppState> {
    table: FlowTable<Entry<A>>,
    /// Connections younger than `COMPACT_AFTER`, the oldest first, with their times. Some have ended.
    young: VecDeque<(SlotId, Time)>,
}

#[derive(Debug)]
enum Entry<A: AppState> {
    Full(Box<Connection<A>>),
    HalfOpen(Box<HalfOpen>),
}

/// What is known of a connection without expanding it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionSummary {
    /// Hash of its flow in the filter.
    pub hash: u64,
    /// Key of its flow.
    pub key: FlowKey,
    /// Time of its last known packet.
    pub last: Time,
    /// Packets and bytes, as counted by the filter.
    pub counters: FlowCounters,
}

impl<A: AppState> Keyed for Entry<A> {
    fn key(&self) -> FlowKey {
        match self {
            Self::Full(connection) => connection.key(),
            Self::HalfOpen(half_open) => half_open.key(),
        }
    }
}

impl<A: AppState> Entry<A> {
    /// The connection, which is expanded.
    #[inline]
    fn expand(&mut self) -> Option<&mut Connection<A>> {
        if let Self::HalfOpen(half_open) = self {
            *self = Self::Full(Box::new(half_open.expand()));
        }
        match self {
            Self::Full(connection) => Some(connection),
            Self::HalfOpen(_) => None,
        }
    }

    fn into_connection(self) -> Box<Connection<A>> {
        match self {
            Self::Full(connection) => connection,
            Self::HalfOpen(half_open) => Box::new(half_open.expand()),
        }
    }

    /// Stores the connection compactly if it has one SYN.
    fn compact(&mut self) {
        if let Self::Full(connection) = self
            && let Some(half_open) = HalfOpen::of(connection)
        {
            *self = Self::HalfOpen(Box::new(half_open));
        }
    }

    /// Calls `act` with the connection. It stays compact if `act` leaves it with one SYN.
    fn visit<R>(&mut self, act: impl FnOnce(&mut Connection<A>) -> R) -> Option<R> {
        let was_compact = matches!(self, Self::HalfOpen(_));
        let result = self.expand().map(act);
        if was_compact {
            self.compact();
        }
        result
    }

    fn summary(&self) -> ConnectionSummary {
        let (hash, last, counters) = match self {
            Self::Full(connection) => (connection.hash, connection.record.last, connection.counters()),
            Self::HalfOpen(half_open) => (half_open.hash(), half_open.last(), half_open.counters()),
        };
        ConnectionSummary { hash, key: self.key(), last, counters }
    }
}

impl<A: AppState> ConnectionTable<A> {
    /// An empty table.
    pub(crate) fn with_capacity(max: usize) -> Self {
        Self { table: FlowTable::with_capacity(max), young: VecDeque::new() }
    }

    /// Number of connections.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Number of connections that are stored compactly.
    #[cfg(all(test, feature = "ja4plus"))]
    pub(crate) fn half_open(&self) -> usize {
        self.table.oldest_first().filter(|entry| matches!(entry, Entry::HalfOpen(_))).count()
    }

    /// Slots that have ever held a connection, in use or free.
    pub(crate) fn slots(&self) -> usize {
        self.table.slots()
    }

    /// The slot of a connection. Does not count as use.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &FlowKey) -> Option<SlotId> {
        self.table.find(hash, key)
    }

    /// A connection, if it is not compact. Does not count as use.
    pub(crate) fn get_full(&self, hash: u64, key: &FlowKey) -> Option<&Connection<A>> {
        match self.table.get(hash, key)? {
            Entry::Full(connection) => Some(connection),
            Entry::HalfOpen(_) => None,
        }
    }

    /// Whether the client of a connection is the high end of its key.
    pub(crate) fn client_is_high(&self, hash: u64, key: &FlowKey) -> Option<bool> {
        Some(match self.table.get(hash, key)? {
            Entry::Full(connection) => connection.client_is_high,
            Entry::HalfOpen(half_open) => half_open.client_is_high(),
        })
    }

    /// A connection. Does not count as use.
    pub(crate) fn get_mut(&mut self, hash: u64, key: &FlowKey) -> Option<&mut Connection<A>> {
        self.table.get_mut(hash, key)?.expand()
    }

    /// A connection, which becomes the most recently used.
    pub(crate) fn touch(&mut self, hash: u64, key: &FlowKey) -> Option<&mut Connection<A>> {
        self.table.touch(hash, key)?.expand()
    }

    /// The connection in a slot. Does not count as use.
    #[inline]
    pub(crate) fn at_mut(&mut self, id: SlotId) -> Option<&mut Connection<A>> {
        self.table.at_mut(id)?.expand()
    }

    /// The connection in a slot, which becomes the most recently used.
    #[inline]
    pub(crate) fn touch_at(&mut self, id: SlotId) -> Option<&mut Connection<A>> {
        self.table.touch_at(id)?.expand()
    }

    /// What is known of the connection in a slot. Does not count as use.
    pub(crate) fn summary(&mut self, slot: usize) -> Option<ConnectionSummary> {
        self.table.slot_mut(slot).map(|entry| entry.summary())
    }

    /// Calls `act` with the connection in a slot. Does not count as use.
    pub(crate) fn visit_slot<R>(&mut self, slot: usize, act: impl FnOnce(&mut Connection<A>) -> R) -> Option<R> {
        self.table.slot_mut(slot)?.visit(act)
    }

    /// Calls `act` with a connection. Does not count as use.
    pub(crate) fn visit<R>(
        &mut self,
        hash: u64,
        key: &FlowKey,
        act: impl FnOnce(&mut Connection<A>) -> R,
    ) -> Option<R> {
        self.table.get_mut(hash, key)?.visit(act)
    }

    /// Calls `act` with all connections, the most recently used first, until it returns false. Does not count as use.
    pub(crate) fn visit_newest(&mut self, mut act: impl FnMut(&mut Connection<A>) -> bool) {
        self.table.each_newest_mut(|entry| entry.visit(&mut act).unwrap_or(true));
    }

    /// What is known of the least recently used connection.
    pub(crate) fn oldest(&self) -> Option<ConnectionSummary> {
        self.table.oldest().map(Entry::summary)
    }

    /// Times of the last known packets, the least recently used connection first.
    pub(crate) fn last_times(&self) -> impl Iterator<Item = Time> {
        self.table.oldest_first().map(|entry| entry.summary().last)
    }

    /// Adds a connection as the most recently used. Returns its slot, and the connection that was removed for it, if any.
    pub(crate) fn insert(&mut self, connection: Box<Connection<A>>) -> (SlotId, Option<Box<Connection<A>>>) {
        let (hash, start) = (connection.hash, connection.record.start);
        self.compact_due(start, EXAMINED_PER_NEW);
        let inserted = self.table.insert(hash, Entry::Full(connection));
        self.young.push_back((inserted.id, start));
        (inserted.id, inserted.displaced.map(Entry::into_connection))
    }

    /// Removes a connection.
    pub(crate) fn remove(&mut self, hash: u64, key: &FlowKey) -> Option<Box<Connection<A>>> {
        Some(self.table.remove(hash, key)?.into_connection())
    }

    /// Removes all connections, and frees the memory of the table.
    pub(crate) fn free(&mut self) {
        self.table.free();
        self.young = VecDeque::new();
    }

    /// Stores connections compactly of which only a SYN was seen for a while. Called once a second.
    pub(crate) fn compact(&mut self, now: Time) {
        self.compact_due(now, EXAMINED_PER_TICK);
    }

    fn compact_due(&mut self, now: Time, count: usize) {
        for _ in 0..count {
            let is_due = |(_, start): &mut (SlotId, Time)| start.0.saturating_add(COMPACT_AFTER) <= now.0;
            let Some((id, _)) = self.young.pop_front_if(is_due) else {
                return;
            };
            // The slot may have another connection now, which is compact a little earlier.
            if let Some(entry) = self.table.at_mut(id) {
                entry.compact();
            }
        }
    }
}
