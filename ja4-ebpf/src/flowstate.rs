//! The flows that the kernel knows: the LRU map, and the slots in front of it.

use ja4_common::flow::{Direction, FlowEntry, FlowKey, Flows};

use crate::bytes;
use crate::maps::FLOWS;

/// Epochs without a packet after which a slot says "never". Userspace moves the epoch on eight
/// times in the time after which it drops an idle flow.
const EPOCHS_KEPT: u8 = 10;

/// Flows in BPF maps.
pub struct KernelFlows {
    slot_mask: u32,
    epoch: u8,
}

impl KernelFlows {
    #[inline(always)]
    pub fn new(slot_mask: u32) -> Self {
        Self { slot_mask, epoch: bytes::epoch() }
    }
}

impl Flows for KernelFlows {
    #[inline(always)]
    fn maybe(&self, hash: u64) -> bool {
        bytes::slot(hash, self.slot_mask)
            .is_some_and(|slot| *slot != 0 && self.epoch.wrapping_sub(*slot) <= EPOCHS_KEPT)
    }

    #[inline(always)]
    fn find(&mut self, key: &FlowKey) -> Option<&mut FlowEntry> {
        bytes::flow(key)
    }

    #[inline(always)]
    fn insert(&mut self, key: &FlowKey, hash: u64, entry: &FlowEntry) -> bool {
        let kept = FLOWS.insert(key, entry, 0).is_ok();
        if kept {
            self.touch(hash);
        }
        kept
    }

    #[inline(always)]
    fn forget(&mut self, hash: u64) {
        if let Some(slot) = bytes::slot(hash, self.slot_mask) {
            *slot = 0;
        }
    }

    #[inline(always)]
    fn touch(&mut self, hash: u64) {
        if let Some(slot) = bytes::slot(hash, self.slot_mask)
            && *slot != self.epoch
        {
            *slot = self.epoch;
        }
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        bytes::now()
    }

    #[inline(always)]
    fn count(direction: &mut Direction, packets: u64, bytes: u64) {
        bytes::add(&mut direction.packets, packets);
        bytes::add(&mut direction.bytes, bytes);
    }
}
