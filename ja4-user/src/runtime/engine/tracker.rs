//! The records of open connections.

use crate::model::bounded_lru_map::BoundedLruMap;
use crate::model::{ConnectionRecord, FlowIdentity, Time};

/// Open connections, least recently used first.
///
/// A shard reports the end of each connection. If that event is dropped, the record stays until it is evicted.
#[derive(Debug)]
pub struct Tracker {
    records: BoundedLruMap<u64, ConnectionRecord>,
}

/// A connection record, found or created.
#[derive(Debug)]
pub struct TrackedRecord<'a> {
    /// The record.
    pub record: &'a mut ConnectionRecord,
    /// The record was created by this call.
    pub is_new: bool,
}

impl Tracker {
    /// Creates a tracker for `capacity` connections, at least one.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { records: BoundedLruMap::new(capacity) }
    }

    /// Number of open connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no connection is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Evicts the least recently used record if the table is full and has no record of this flow.
    pub(crate) fn evict_for(&mut self, flow: u64) -> Option<ConnectionRecord> {
        let must_evict = self.records.is_full() && self.get(flow).is_none();
        if must_evict { self.pop() } else { None }
    }

    /// Returns the record of a connection; creates it if there is none. Call `evict_for` first: otherwise a full table drops
    /// its least recently used record.
    pub fn enter(&mut self, flow: &FlowIdentity, interface: u32, now: Time) -> TrackedRecord<'_> {
        let mut is_new = false;
        let record = self.records.entry(flow.id, || {
            is_new = true;
            ConnectionRecord::new(flow, interface, now)
        });
        TrackedRecord { record, is_new }
    }

    /// Returns the record of a flow.
    #[must_use]
    pub fn get(&self, flow: u64) -> Option<&ConnectionRecord> {
        self.records.peek(&flow, |id| *id == flow).map(|(_, record)| record)
    }

    /// Returns the record of a flow mutably.
    pub fn get_mut(&mut self, flow: u64) -> Option<&mut ConnectionRecord> {
        self.records.peek_mut(&flow, |id| *id == flow)
    }

    /// Removes the record of a connection that has ended.
    pub fn end(&mut self, flow: u64) -> Option<ConnectionRecord> {
        self.records.remove(&flow)
    }

    /// Removes the least recently used record.
    pub fn pop(&mut self) -> Option<ConnectionRecord> {
        self.records.pop().map(|(_, record)| record)
    }

    /// Removes all records. Returns their number.
    pub(crate) fn clear(&mut self) -> u64 {
        let count = self.len() as u64;
        self.records.clear();
        count
    }

    /// Iterates over the records mutably, least recently used first.
    pub(crate) fn oldest_first_mut(&mut self) -> impl Iterator<Item = &mut ConnectionRecord> {
        self.records.iter_mut().map(|(_, record)| record)
    }

    /// Iterates over the records, most recently used first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &ConnectionRecord> {
        self.records.iter().rev().map(|(_, record)| record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CommunityId, FingerprintRecord, MAX_VALUES, Method};

    fn flow(id: u64) -> FlowIdentity {
        let (client, server) = (("10.0.0.1".parse().unwrap(), 1), ("10.0.0.2".parse().unwrap(), 443));
        FlowIdentity { id, community: CommunityId::of(client, server, 6), client, server, proto: 6, vlan: [0; 2] }
    }

    fn seen(method: Method, count: u32) -> FingerprintRecord {
        FingerprintRecord { count, ..FingerprintRecord::example(method, &count.to_string()) }
    }

    #[test]
    fn a_full_table_evicts_the_least_recently_used_record() {
        let mut tracker = Tracker::with_capacity(2);
        let mut enter = |id| {
            let evicted = tracker.evict_for(id);
            tracker.enter(&flow(id), 0, Time(id));
            evicted.map(|record| record.identity.id)
        };
        assert_eq!([1, 2, 1, 3].map(&mut enter), [None, None, None, Some(2)]);
        assert_eq!([tracker.pop(), tracker.pop()].map(|record| record.unwrap().identity.id), [1, 3]);
        assert!(tracker.is_empty());
    }

    #[test]
    fn an_open_connection_is_stored_at_doubling_intervals() {
        let mut record = ConnectionRecord::new(&flow(1), 0, Time(0));
        let reported: Vec<_> = (0..=20_160).filter(|half| record.is_store_due(Time(half * 30_000_000_000))).collect();
        assert_eq!(reported, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384], "in a week");
    }

    #[test]
    fn a_record_keeps_the_first_value_and_the_newest() {
        let mut record = ConnectionRecord::new(&flow(1), 0, Time(0));
        record.note(seen(Method::Ja4, 1));
        for count in 1..=100 {
            record.note(seen(Method::Ja4h, count));
        }
        let kept: Vec<_> =
            record.history.iter().filter(|seen| seen.method == Method::Ja4h).map(|seen| seen.count).collect();
        assert_eq!(kept.len(), MAX_VALUES);
        assert_eq!((kept.first(), kept.get(1), kept.last()), (Some(&1), Some(&86), Some(&100)));
        assert_eq!(record.newest(Method::Ja4).unwrap().count, 1);
        assert_eq!(record.primary().unwrap().method, Method::Ja4);
    }
}
