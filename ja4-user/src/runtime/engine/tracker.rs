//! The records of open connections.

use std::sync::Arc;

use crate::model::bounded_lru_map::BoundedLruMap;
use crate::model::{ConnectionRecord, FlowIdentity, Time};

/// Open connections of a shard, least recently used first. The shard bounds their number.
///
/// Records are shared: an event holds the record as of its time, and a later event then changes a copy.
#[derive(Debug)]
pub struct Tracker {
    records: BoundedLruMap<u64, Arc<ConnectionRecord>>,
}

/// A connection record, found or created.
#[derive(Debug)]
pub struct TrackedRecord<'a> {
    /// The record.
    pub record: &'a mut Arc<ConnectionRecord>,
    /// The record was created by this call.
    pub is_new: bool,
}

impl Default for Tracker {
    fn default() -> Self {
        Self { records: BoundedLruMap::new(usize::MAX) }
    }
}

impl Tracker {
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

    /// Returns the record of a connection; creates it if there is none.
    pub fn enter(&mut self, flow: &FlowIdentity, interface: u32, now: Time) -> TrackedRecord<'_> {
        let mut is_new = false;
        let record = self.records.entry(flow.id, || {
            is_new = true;
            Arc::new(ConnectionRecord::new(flow, interface, now))
        });
        TrackedRecord { record, is_new }
    }

    /// Returns the record of a flow.
    #[must_use]
    pub fn get(&self, flow: u64) -> Option<&Arc<ConnectionRecord>> {
        self.records.peek(&flow, |id| *id == flow).map(|(_, record)| record)
    }

    /// Removes the record of a connection that has ended.
    pub fn end(&mut self, flow: u64) -> Option<Arc<ConnectionRecord>> {
        self.records.remove(&flow)
    }

    /// Iterates over the records mutably, least recently used first.
    pub(crate) fn oldest_first_mut(&mut self) -> impl Iterator<Item = &mut Arc<ConnectionRecord>> {
        self.records.iter_mut().map(|(_, record)| record)
    }

    /// Iterates over the records, most recently used first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Arc<ConnectionRecord>> {
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
