//! The flows of the kernel: the LRU map, the membership filter in front of it, and the table of recent packets.

use ja4_common::duplicate::{RecentBucket, RecentTable};
use ja4_common::filter_config::{FilterConfig, MAX_IDLE_EPOCHS};
use ja4_common::flow::{DirectionState, FlowEntry, FlowKey};
use ja4_common::flow_table::Flows;

use crate::bytes::{self, FlowPtr};
use crate::maps::FLOWS;

/// The flow table in BPF maps.
pub(crate) struct KernelFlows {
    membership_mask: u32,
    epoch: u8,
    recent: KernelRecent,
}

/// The table of recent packets.
pub(crate) struct KernelRecent {
    now: u64,
}

impl KernelRecent {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { now: bytes::coarse_now() }
    }
}

impl RecentTable for KernelRecent {
    #[inline(always)]
    fn bucket(&mut self, hash: u64) -> Option<&mut RecentBucket> {
        bytes::recent(hash)
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        self.now
    }
}

impl KernelFlows {
    #[inline(always)]
    pub(crate) fn new(config: &FilterConfig) -> Self {
        let recent = KernelRecent::new();
        Self { membership_mask: config.membership_mask, epoch: epoch_of(recent.now, config.epoch_shift), recent }
    }
}

/// The epoch of a time. It is odd, and so never 0.
#[inline(always)]
fn epoch_of(now: u64, shift: u32) -> u8 {
    ((now >> (shift & 63)) << 1) as u8 | 1
}

impl Flows for KernelFlows {
    type Handle = FlowPtr;
    type Recent = KernelRecent;

    #[inline(always)]
    fn may_contain(&self, hash: u64) -> bool {
        bytes::membership_slot(hash, self.membership_mask)
            .is_some_and(|slot| *slot != 0 && self.epoch.wrapping_sub(*slot) <= 2 * MAX_IDLE_EPOCHS)
    }

    #[inline(always)]
    fn find(&mut self, key: &FlowKey, hash: u64) -> Option<FlowPtr> {
        bytes::flow(hash).filter(|found| found.is(key))
    }

    #[inline(always)]
    fn entry(&mut self, handle: FlowPtr) -> Option<(&mut FlowEntry, &mut KernelRecent)> {
        Some((handle.entry(), &mut self.recent))
    }

    #[inline(always)]
    fn recent(&mut self) -> &mut KernelRecent {
        &mut self.recent
    }

    #[inline(always)]
    fn insert(&mut self, hash: u64, entry: &FlowEntry) -> bool {
        let kept = FLOWS.insert(hash, entry, 0).is_ok();
        if kept {
            self.touch(hash);
        }
        kept
    }

    #[inline(always)]
    fn touch(&mut self, hash: u64) {
        if let Some(slot) = bytes::membership_slot(hash, self.membership_mask)
            && *slot != self.epoch
        {
            *slot = self.epoch;
        }
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        self.recent.now
    }

    #[inline(always)]
    fn count(direction: &mut DirectionState, packets: u64, bytes: u64) {
        bytes::add(&mut direction.packets, packets);
        bytes::add(&mut direction.bytes, bytes);
    }
}
