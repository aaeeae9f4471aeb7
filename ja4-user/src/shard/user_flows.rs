//! The flow table of the filter in userspace.

use ja4_common::duplicate::{RecentBucket, RecentTable};
use ja4_common::flow::{DirectionState, FlowEntry, FlowKey};
use ja4_common::flow_table::Flows;

use crate::conntrack::{FlowTable, Keyed, SlotId};
use crate::model::Time;

/// Flows that userspace filters: all of them in a replay, and those inside nested tunnels live.
pub struct UserFlows {
    table: FlowTable<FlowEntry>,
    recent: RecentPackets,
}

/// Buckets of the table of recent packets: a lane of a replay has a part of the flows.
const RECENT: usize = 1 << 10;

/// The table of recent packets, and the time of the current frame.
pub struct RecentPackets {
    buckets: Box<[RecentBucket]>,
    now: u64,
}

impl RecentTable for RecentPackets {
    fn bucket(&mut self, hash: u64) -> Option<&mut RecentBucket> {
        self.buckets.get_mut(hash as usize % RECENT)
    }

    fn now(&self) -> u64 {
        self.now
    }
}

impl UserFlows {
    /// An empty table of up to `flows` flows.
    pub fn with_capacity(flows: usize) -> Self {
        let recent = RecentPackets { buckets: vec![RecentBucket::default(); RECENT].into(), now: 0 };
        Self { table: FlowTable::with_capacity(flows), recent }
    }

    /// Number of flows.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Keeps only the flows for which `keep` returns true.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u64, &FlowKey) -> bool) {
        self.table.retain(|hash, entry| keep(hash, &entry.key));
    }

    /// Removes all flows, and frees the memory of the table.
    pub(crate) fn free(&mut self) {
        self.table.free();
    }

    /// Sets the time of the current frame.
    pub(crate) fn set_time(&mut self, now: Time) {
        self.recent.now = now.0;
    }

    /// The entry of a flow.
    pub(super) fn get(&self, hash: u64, key: &FlowKey) -> Option<FlowEntry> {
        self.table.get(hash, key).copied()
    }

    /// Removes the entry of a flow.
    pub(super) fn delete(&mut self, hash: u64, key: &FlowKey) {
        self.table.remove(hash, key);
    }
}

impl Flows for UserFlows {
    type Handle = SlotId;
    type Recent = RecentPackets;

    fn may_contain(&self, _: u64) -> bool {
        true
    }

    fn find(&mut self, key: &FlowKey, hash: u64) -> Option<SlotId> {
        self.table.find(hash, key)
    }

    fn entry(&mut self, handle: SlotId) -> Option<(&mut FlowEntry, &mut RecentPackets)> {
        // Does not count as use: the core keeps the order of use, and removes the entry when the connection ends.
        self.table.at_mut(handle).map(|entry| (entry, &mut self.recent))
    }

    fn recent(&mut self) -> &mut RecentPackets {
        &mut self.recent
    }

    fn insert(&mut self, hash: u64, entry: &FlowEntry) -> bool {
        self.table.insert(hash, *entry);
        true
    }

    fn touch(&mut self, _: u64) {}

    fn now(&self) -> u64 {
        self.recent.now
    }

    fn count(direction: &mut DirectionState, packets: u64, bytes: u64) {
        direction.packets += packets;
        direction.bytes += bytes;
    }
}

impl Keyed for FlowEntry {
    fn key(&self) -> FlowKey {
        self.key
    }
}
