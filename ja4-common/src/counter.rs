//! One counter for every outcome, per CPU and hook.
//!
//! Two laws hold exactly, in the kernel and in a replay:
//!
//! - `seen = unselected + unparseable + selected`
//! - `selected = emitted + ring_full + rate_limited`, for every class

use crate::reason::{Malformed, PassReason, RecordClass};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Counters of one hook on one CPU, or sums of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FilterCounters {
    /// Frames that met the filter.
    pub seen: u64,
    /// Frames let pass, by [`PassReason`].
    pub unselected: [u64; PassReason::COUNT],
    /// Frames too broken to judge, by [`Malformed`].
    pub unparseable: [u64; Malformed::ALL.len()],
    /// Frames chosen, by [`RecordClass`].
    pub selected: [u64; RecordClass::COUNT],
    /// Records handed to a shard, by [`RecordClass`].
    pub emitted: [u64; RecordClass::COUNT],
    /// Records lost because the shard's ring was full, by [`RecordClass`].
    pub ring_full: [u64; RecordClass::COUNT],
    /// Records withheld by the governor, by [`RecordClass`].
    pub rate_limited: [u64; RecordClass::COUNT],
    /// Records that hold less of the frame than was wanted.
    pub truncated: u64,
    /// Births that the flow map refused.
    pub flow_insert_failed: u64,
    /// Records that woke their shard.
    pub wakeups: u64,
}

impl FilterCounters {
    /// Number of counters.
    pub const WORDS: usize = size_of::<Self>() / 8;

    /// Adds another set, counter by counter.
    pub fn add(&mut self, other: &Self) {
        let from: [u64; Self::WORDS] = zerocopy::transmute!(*other);
        let mut to: [u64; Self::WORDS] = zerocopy::transmute!(*self);
        for (to, from) in to.iter_mut().zip(from) {
            *to = to.wrapping_add(from);
        }
        *self = zerocopy::transmute!(to);
    }

    /// Whether both laws hold.
    pub fn balanced(&self) -> bool {
        let sum = |counters: &[u64]| counters.iter().sum::<u64>();
        let outcomes = sum(&self.unselected) + sum(&self.unparseable) + sum(&self.selected);
        let per_class = self.emitted.iter().zip(&self.ring_full).zip(&self.rate_limited);
        self.seen == outcomes
            && per_class
                .zip(&self.selected)
                .all(|(((emitted, full), rate_limited), selected)| emitted + full + rate_limited == *selected)
    }
}
