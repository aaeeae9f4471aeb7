//! The filter's flows where userspace is its host.

use ja4_common::flow::{Direction, FlowEntry, FlowKey, Flows};

use super::core::FlowBooks;
use crate::event::Time;
use crate::flow::{FlowTable, Keyed, SlotId};

/// Flows that userspace filters itself: all of them in a replay, those inside nested tunnels live.
pub struct UserFlows {
    table: FlowTable<FlowEntry>,
    now: u64,
}

impl UserFlows {
    /// No flows, and room for so many.
    pub fn with_capacity(flows: usize) -> Self {
        Self { table: FlowTable::with_capacity(flows), now: 0 }
    }

    /// Number of flows.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Removes every flow that `keep` refuses.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(u64, &FlowKey) -> bool) {
        self.table.retain(|hash, entry| keep(hash, &entry.key));
    }

    /// The time of the frame at hand.
    pub(super) fn set_time(&mut self, now: Time) {
        self.now = now.0;
    }
}

impl Flows for UserFlows {
    type Handle = SlotId;

    fn maybe(&self, _: u64) -> bool {
        true
    }

    fn find(&mut self, key: &FlowKey, hash: u64) -> Option<SlotId> {
        self.table.find(hash, key)
    }

    fn entry(&mut self, handle: SlotId) -> Option<&mut FlowEntry> {
        // Not a use: the core, which is told of the flow's end, keeps the order of use for both.
        self.table.at_mut(handle)
    }

    fn insert(&mut self, hash: u64, entry: &FlowEntry) -> bool {
        self.table.insert(hash, *entry);
        true
    }

    fn touch(&mut self, _: u64) {}

    fn now(&self) -> u64 {
        self.now
    }

    fn count(direction: &mut Direction, packets: u64, bytes: u64) {
        direction.packets += packets;
        direction.bytes += bytes;
    }
}

impl Keyed for FlowEntry {
    fn key(&self) -> FlowKey {
        self.key
    }
}

impl FlowBooks for UserFlows {
    fn entry(&self, hash: u64, key: &FlowKey) -> Option<FlowEntry> {
        self.table.get(hash, key).copied()
    }

    fn remove(&mut self, hash: u64, key: &FlowKey) {
        self.table.remove(hash, key);
    }

    fn inner(&mut self) -> &mut UserFlows {
        self
    }
}
