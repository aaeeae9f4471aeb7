//! From the frame to a record in the ring of a shard.

use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::btf_maps::RingBuf;
use ja4_common::counter::FilterCounters;
use ja4_common::flow::shard_of;
use ja4_common::limit::RecordLimits;
use ja4_common::parse::ParseStart;
use ja4_common::reason::RecordClass;
use ja4_common::record::{FrameInfo, HEADER, RecordHeader, SIZE_CLASSES, flag};
use ja4_common::select::{SelectStages, select};
use ja4_common::verdict::{Selection, Verdict};

use crate::bytes::{self, Context, Frame, ReservedRecord, ShardStatePtr};
use crate::flowstate::KernelFlows;
use crate::maps::{CpuState, RINGS, TokenBucket};

/// Units of a token: one record costs that many. Fractions let low rates refill smoothly.
const TOKEN: u64 = 1 << 20;

/// Longest refill time, nanoseconds. It keeps the product below 2^64.
const MAX_REFILL: u64 = 1 << 30;

/// The step of emitting that the programs call as a global function.
pub(crate) trait EmitStage {
    /// Calls [`emit`].
    fn emit(&self, cpu: &mut CpuState, egress: bool) -> u8;
}

/// Filters one frame, counts the outcome, and emits a record if the frame is selected. `start` returns the header with
/// which the frame starts. Returns the class of a selected frame, for the log of a debug build.
#[inline(always)]
pub(crate) fn filter_frame<F: SelectStages + EmitStage>(
    frame: &F,
    start: impl FnOnce(&mut CpuState) -> ParseStart,
    egress: bool,
    info: impl FnOnce() -> FrameInfo,
) -> Option<u8> {
    let cpu = bytes::cpu()?;
    let start = start(cpu);
    let CpuState { counters: [ingress, outgoing], scratch, .. } = cpu;
    let counters = if egress { outgoing } else { ingress };
    let config = bytes::config();
    let mut flows = KernelFlows::new(config);
    counters.seen += 1;
    match select(frame, start, info, &mut flows, config, scratch) {
        Verdict::Unselected(reason) => {
            increment(&mut counters.unselected, reason as usize);
            None
        }
        Verdict::Unparseable(reason) => {
            increment(&mut counters.unparseable, reason as usize);
            None
        }
        Verdict::Selected => Some(frame.emit(cpu, egress)),
    }
}

/// Increments one of several counters.
#[inline(always)]
fn increment<const N: usize>(counters: &mut [u64; N], index: usize) {
    // Opaque: rustc knows the range of the enum and would drop the bound, which the verifier needs.
    if let Some(counter) = counters.get_mut(bytes::opaque(index)) {
        *counter += 1;
    }
}

/// Emits the record of the current frame unless it is over the limit of its class. Returns the class.
#[inline(always)]
pub(crate) fn emit<C: Context>(frame: &Frame<C>, cpu: &mut CpuState, egress: bool) -> u8 {
    let CpuState { counters: [ingress, outgoing], buckets, scratch, .. } = cpu;
    let counters = if egress { outgoing } else { ingress };
    let config = bytes::config();
    let Selection { class, hash, flags, limit, .. } = scratch.selection;
    increment(&mut counters.selected, class.into());
    if flags & flag::TRACKED == 0 && has_flow(class) {
        counters.flow_insert_failed += 1;
    }
    let shard = shard_of(hash, config.shards);
    let Some(ring) = RINGS.get(shard) else {
        increment(&mut counters.ring_full, class.into());
        return class;
    };
    let Some(state) = bytes::shard_state(shard) else {
        increment(&mut counters.ring_full, class.into());
        return class;
    };
    let now = bytes::now();
    if admits(limit, ring, state, buckets, now) {
        let emission = Emission { frame, info: &scratch.info, selection: &scratch.selection, ring, state, now };
        write(&emission, counters);
    } else {
        increment(&mut counters.rate_limited, class.into());
    }
    class
}

/// Whether frames of this class belong to a flow with an entry.
#[inline(always)]
fn has_flow(class: u8) -> bool {
    class != RecordClass::Fragment as u8 && class != RecordClass::Nested as u8
}

/// The parameters of a record, for each size class.
struct Emission<'a, C> {
    frame: &'a Frame<C>,
    info: &'a FrameInfo,
    selection: &'a Selection,
    ring: &'a RingBuf<[u8; 8], 4096>,
    state: ShardStatePtr,
    now: u64,
}

/// Writes a record of the smallest size class that holds the frame.
#[inline(always)]
fn write<C: Context>(emission: &Emission<'_, C>, counters: &mut FilterCounters) {
    let Selection { class, capture, .. } = *emission.selection;
    let size = HEADER + capture as usize;
    let written = if size <= SIZE_CLASSES[0] {
        emission.write::<{ SIZE_CLASSES[0] }>(counters)
    } else if size <= SIZE_CLASSES[1] {
        emission.write::<{ SIZE_CLASSES[1] }>(counters)
    } else if size <= SIZE_CLASSES[2] {
        emission.write::<{ SIZE_CLASSES[2] }>(counters)
    } else {
        emission.write::<{ SIZE_CLASSES[3] }>(counters)
    };
    if written {
        increment(&mut counters.emitted, class.into());
    } else {
        increment(&mut counters.ring_full, class.into());
    }
}

impl<C: Context> Emission<'_, C> {
    /// Writes a record of `SIZE` bytes. Returns false if the ring is full.
    #[inline(always)]
    fn write<const SIZE: usize>(&self, counters: &mut FilterCounters) -> bool {
        let Some(mut record) = ReservedRecord::<SIZE>::new(self.ring) else {
            return false;
        };
        let captured = record.fill(self.frame, self.selection.capture);
        if captured < self.selection.capture {
            counters.truncated += 1;
        }
        let wake = self.state.take_wakeup();
        if wake {
            counters.wakeups += 1;
        }
        let header = RecordHeader::new(self.info, self.selection, self.now, captured);
        record.submit(header, if wake { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP }.into());
        true
    }
}

/// Whether a limit admits a record. Takes a token of the limit's bucket if it does.
#[inline(always)]
fn admits(
    index: u8,
    ring: &RingBuf<[u8; 8], 4096>,
    state: ShardStatePtr,
    buckets: &mut [TokenBucket; RecordLimits::COUNT],
    now: u64,
) -> bool {
    // Each index is opaque: LLVM would compare one register and index with a copy, and old verifiers do not
    // know the bound of the copy.
    let (Some(limit), Some(bucket)) = (bytes::limit(index), buckets.get_mut(bytes::opaque(index.into()))) else {
        return true;
    };
    let mark = limit.mark();
    if mark != 0 {
        let queued = bytes::queued(ring);
        state.report_queued(queued);
        if queued >= mark {
            bucket.limited += 1;
            return false;
        }
    }
    let rate = limit.rate();
    if rate == 0 {
        bucket.admitted += 1;
        return true;
    }
    let elapsed = now.saturating_sub(bucket.filled);
    let elapsed = if elapsed > MAX_REFILL { MAX_REFILL } else { elapsed };
    // rate < 2^32 and elapsed <= 2^30 ns. 2^20 units / 10^9 ns is 1/954.
    let filled = bucket.tokens + elapsed * rate / 954;
    let full = limit.burst() * TOKEN;
    let tokens = if filled > full { full } else { filled };
    bucket.filled = now;
    if tokens < TOKEN {
        bucket.tokens = tokens;
        bucket.limited += 1;
        return false;
    }
    bucket.tokens = tokens - TOKEN;
    bucket.admitted += 1;
    true
}
