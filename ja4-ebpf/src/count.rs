//! Counting outcomes.

use ja4_common::counter::FilterCounters;
use ja4_common::reason::{Malformed, PassReason};

use crate::bytes::opaque;

#[inline(always)]
fn bump<const N: usize>(counters: &mut [u64; N], index: usize) {
    // Opaque, so that the bound stays: rustc knows the enum's range, the verifier does not.
    if let Some(counter) = counters.get_mut(opaque(index)) {
        *counter += 1;
    }
}

/// A frame let pass.
#[inline(always)]
pub(crate) fn unselected(counters: &mut FilterCounters, reason: PassReason) {
    bump(&mut counters.unselected, reason as usize);
}

/// A frame too broken to judge.
#[inline(always)]
pub(crate) fn unparseable(counters: &mut FilterCounters, reason: Malformed) {
    bump(&mut counters.unparseable, reason as usize);
}

/// A frame chosen.
#[inline(always)]
pub(crate) fn selected(counters: &mut FilterCounters, class: u8) {
    bump(&mut counters.selected, class.into());
}

/// A record handed to its shard.
#[inline(always)]
pub(crate) fn emitted(counters: &mut FilterCounters, class: u8) {
    bump(&mut counters.emitted, class.into());
}

/// A record lost to a full ring.
#[inline(always)]
pub(crate) fn ring_full(counters: &mut FilterCounters, class: u8) {
    bump(&mut counters.ring_full, class.into());
}

/// A record withheld by the governor.
#[inline(always)]
pub(crate) fn rate_limited(counters: &mut FilterCounters, class: u8) {
    bump(&mut counters.rate_limited, class.into());
}
