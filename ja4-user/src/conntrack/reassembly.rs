//! Reassembly of the TCP segments of one direction into its byte stream.

use std::iter;

use super::budget::Budget;
use crate::packet::range_buffer::{RangeBuffer, RangePart};

/// How far a buffered segment may reach beyond the next expected byte: twice what the filter passes of one handshake.
const WINDOW: u32 = 128 * 1024;

/// Bytes buffered for one direction: the 64 KiB that the filter passes by default of one direction. More than that
/// cannot close a gap that matters.
const BUFFERED_BYTES: usize = 64 * 1024;

/// Ranges buffered for one direction. [`BUFFERED_BYTES`] in segments of 536 bytes, the least that every host accepts
/// (RFC 9293, section 3.7.1), are 123. A sender of smaller segments that also loses some does not justify a longer search.
const BUFFERED_RANGES: usize = 128;

/// Memory of a buffered range besides its bytes, at most: a lone one has a list with capacity for four, and the heap
/// adds a header and rounding to each allocation. A flood of one-byte ranges is charged for the memory that it takes.
pub(crate) const RANGE_OVERHEAD: usize = 192;

/// The furthest a window can reach (RFC 7323, section 2.3). Below 2^31, so that buffered bytes are always ahead in
/// sequence space.
const WINDOW_LIMIT: u32 = 1 << 30;

/// Bounds of what one direction buffers while a gap is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReassemblyLimits {
    /// Distance of a buffered byte from the next expected one, bytes; values above 2^30 count as 2^30.
    pub window: u32,
    /// Buffered bytes.
    pub bytes: usize,
    /// Buffered ranges.
    pub ranges: usize,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self { window: WINDOW, bytes: BUFFERED_BYTES, ranges: BUFFERED_RANGES }
    }
}

/// The outcome of a segment. Every byte is counted:
///
/// `payload = (delivered - released) + duplicate + conflicting + buffered + refused.total()`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct SegmentOutcome {
    /// Bytes delivered: those of this segment, and the buffered ones that it released.
    pub delivered: usize,
    /// Delivered bytes of earlier segments.
    pub released: usize,
    /// Bytes that were delivered before, or are buffered with the same value.
    pub duplicate: usize,
    /// Bytes that are buffered with another value, which is kept. Delivered bytes cannot be compared any more, and
    /// count as duplicate.
    pub conflicting: usize,
    /// Bytes now buffered.
    pub buffered: usize,
    /// Bytes not buffered for lack of memory.
    pub refused: RefusedBytes,
}

/// Bytes not buffered, by the first bound that they exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusedBytes {
    /// Over [`ReassemblyLimits::window`].
    pub window: usize,
    /// Over [`ReassemblyLimits::ranges`].
    pub ranges: usize,
    /// Over [`ReassemblyLimits::bytes`].
    pub bytes: usize,
    /// Over the shard's [`Budget`].
    pub budget: usize,
}

impl RefusedBytes {
    /// Bytes not buffered for any reason.
    pub fn total(&self) -> usize {
        self.window + self.ranges + self.bytes + self.budget
    }
}

impl SegmentOutcome {
    /// Adds the outcome of another segment.
    pub fn add(&mut self, other: &Self) {
        let Self { delivered, released, duplicate, conflicting, buffered, refused } = other;
        self.delivered += delivered;
        self.released += released;
        self.duplicate += duplicate;
        self.conflicting += conflicting;
        self.buffered += buffered;
        self.refused.window += refused.window;
        self.refused.ranges += refused.ranges;
        self.refused.bytes += refused.bytes;
        self.refused.budget += refused.budget;
    }

    /// Counts added bytes at the place of buffered ones.
    fn compare(&mut self, added: &[u8], buffered: &[u8]) {
        let differing = iter::zip(added, buffered).filter(|(new, old)| new != old).count();
        self.conflicting += differing;
        self.duplicate += added.len() - differing;
    }
}

/// The byte stream of one direction of a TCP connection.
///
/// The first copy of a byte that was delivered or buffered counts; a later copy never replaces it. A refused byte does
/// not count as seen. Bytes are lost only to a gap that does not close, or to a bound: the stream stops there.
///
/// Sequence numbers are compared modulo 2^32 (RFC 9293, section 3.4): a byte is ahead up to 2^31 - 1 beyond the next
/// expected one, and was delivered otherwise.
///
/// Buffered ranges are charged to the shard's [`Budget`]: call [`Reassembly::clear`] before this is dropped.
#[derive(Debug)]
pub struct Reassembly {
    /// Sequence number of the next byte to deliver.
    next: u32,
    /// `None` while nothing is buffered.
    buffer: Option<Box<GapBuffer>>,
}

// Every tracked flow has two of them, and nearly all are idle.
const _: () = assert!(size_of::<Reassembly>() <= 32);

/// Ranges after a gap: at least one, none of them at `next` except after [`Reassembly::skip_gap`].
#[derive(Debug, Default)]
struct GapBuffer {
    ranges: RangeBuffer<Box<[u8]>>,
    bytes: usize,
}

/// Memory charged for a range of `bytes`.
fn cost(bytes: &[u8]) -> usize {
    bytes.len().saturating_add(RANGE_OVERHEAD)
}

impl Reassembly {
    /// A stream that begins with this sequence number: the initial sequence number plus 1, or that of the first selected
    /// segment if the start of the connection was not captured.
    pub fn new(first_seq: u32) -> Self {
        Self { next: first_seq, buffer: None }
    }

    /// Sequence number of the next byte to deliver.
    pub fn next_seq(&self) -> u32 {
        self.next
    }

    /// Bytes buffered after a gap.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.bytes)
    }

    /// Ranges buffered after a gap.
    pub fn buffered_ranges(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.ranges.len())
    }

    /// Gives up the gap: at the next push, the stream continues with the buffered bytes after it.
    pub(crate) fn skip_gap(&mut self) {
        if let Some(seq) = self.first_buffered() {
            self.next = seq;
        }
    }

    /// Gives up the gap, and delivers the buffered bytes up to the next one. Returns false if nothing is buffered.
    pub(crate) fn deliver_past_gap(
        &mut self,
        budget: &mut Budget,
        outcome: &mut SegmentOutcome,
        mut deliver: impl FnMut(&[u8]),
    ) -> bool {
        let is_buffering = self.buffer.is_some();
        self.skip_gap();
        self.release(&[], budget, outcome, &mut deliver);
        is_buffering
    }

    /// Continues the stream at `seq`, ahead of `next`: bytes before it will not come. Ranges after it stay buffered.
    pub(crate) fn resume_at(&mut self, seq: u32, budget: &mut Budget) {
        self.next = seq;
        let Some(mut buffer) = self.buffer.take() else {
            return;
        };
        let bytes = &mut buffer.bytes;
        buffer.ranges.retain(|range| {
            let stays = range.offset.wrapping_sub(seq).cast_signed() >= 0;
            if !stays {
                budget.credit(cost(&range.bytes));
                *bytes = bytes.saturating_sub(range.bytes.len());
            }
            stays
        });
        self.put_back(buffer);
    }

    /// Bytes of the gap before the buffered ones; 0 if nothing is buffered.
    pub fn gap(&self) -> u32 {
        self.first_buffered().map_or(0, |seq| seq.wrapping_sub(self.next))
    }

    /// Sequence number of the first buffered byte.
    fn first_buffered(&self) -> Option<u32> {
        self.buffer.as_ref().and_then(|buffer| buffer.ranges.as_slice().first()).map(|range| range.offset)
    }

    /// Takes a segment with its payload at `seq`, and calls `deliver` for the bytes that are now in order, never
    /// with an empty slice.
    ///
    /// Bytes in order are delivered from `payload` without a copy. Others are copied and buffered, as far as `limits`
    /// and `budget` allow.
    pub fn push(
        &mut self,
        seq: u32,
        payload: &[u8],
        limits: &ReassemblyLimits,
        budget: &mut Budget,
        mut deliver: impl FnMut(&[u8]),
    ) -> SegmentOutcome {
        let mut outcome = SegmentOutcome::default();
        let ahead = seq.wrapping_sub(self.next).cast_signed();
        if ahead > 0 {
            self.buffer(seq, payload, limits, budget, &mut outcome);
            if self.first_buffered() == Some(self.next) {
                self.release(&[], budget, &mut outcome, &mut deliver);
            }
            return outcome;
        }
        let behind = ahead.unsigned_abs() as usize;
        let Some((_, fresh)) = payload.split_at_checked(behind) else {
            outcome.duplicate = payload.len();
            return outcome;
        };
        outcome.duplicate = behind;
        let rest = if fresh.is_empty() { fresh } else { self.release(fresh, budget, &mut outcome, &mut deliver) };
        if !rest.is_empty() {
            deliver(rest);
            self.advance(rest.len());
            outcome.delivered += rest.len();
        }
        outcome
    }

    /// Drops all buffered ranges, and returns their memory to the budget.
    pub fn clear(&mut self, budget: &mut Budget) {
        if let Some(buffer) = self.buffer.take() {
            budget.credit(buffer.ranges.as_slice().iter().map(|range| cost(&range.bytes)).sum());
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.next = self.next.wrapping_add(bytes as u32); // modulo 2^32, as sequence numbers are
    }

    /// Stores a buffer again unless it is empty.
    fn put_back(&mut self, buffer: Box<GapBuffer>) {
        if !buffer.ranges.is_empty() {
            self.buffer = Some(buffer);
        }
    }

    /// Delivers `fresh`, which begins at `next`, up to the end of the last buffered range that it reaches, with those
    /// ranges in their places. Returns the bytes of `fresh` after them.
    fn release<'a>(
        &mut self,
        fresh: &'a [u8],
        budget: &mut Budget,
        outcome: &mut SegmentOutcome,
        deliver: &mut impl FnMut(&[u8]),
    ) -> &'a [u8] {
        let Some(mut buffer) = self.buffer.take() else {
            return fresh;
        };
        let mut rest = fresh;
        let mut reached = 0;
        for range in buffer.ranges.as_slice() {
            let gap = range.offset.wrapping_sub(self.next) as usize;
            let Some((own, overlap)) = rest.split_at_checked(gap) else {
                break;
            };
            if !own.is_empty() {
                deliver(own);
            }
            deliver(&range.bytes);
            let (repeated, after) = overlap.split_at(overlap.len().min(range.bytes.len()));
            outcome.compare(repeated, &range.bytes);
            outcome.delivered += gap + range.bytes.len();
            outcome.released += range.bytes.len();
            self.advance(gap + range.bytes.len());
            budget.credit(cost(&range.bytes));
            buffer.bytes = buffer.bytes.saturating_sub(range.bytes.len());
            rest = after;
            reached += 1;
        }
        buffer.ranges.remove_first(reached);
        self.put_back(buffer);
        rest
    }

    /// Buffers those bytes of a segment ahead of `next` that no buffered range has.
    fn buffer(
        &mut self,
        seq: u32,
        payload: &[u8],
        limits: &ReassemblyLimits,
        budget: &mut Budget,
        outcome: &mut SegmentOutcome,
    ) {
        let offset = seq.wrapping_sub(self.next);
        let room = limits.window.min(WINDOW_LIMIT).saturating_sub(offset) as usize;
        let (within, beyond) = payload.split_at(payload.len().min(room));
        outcome.refused.window += beyond.len();
        if within.is_empty() {
            return;
        }
        let mut buffer = self.buffer.take().unwrap_or_default();
        let GapBuffer { ranges, bytes } = &mut *buffer;
        ranges.add(seq, within, |part| match part {
            RangePart::Known { added, range, from } => {
                outcome.compare(added, range.bytes.get(from..).unwrap_or_default());
                None
            }
            RangePart::Missing { added, ranges, .. } => {
                let refused = if ranges >= limits.ranges {
                    &mut outcome.refused.ranges
                } else if added.len() > limits.bytes.saturating_sub(*bytes) {
                    &mut outcome.refused.bytes
                } else if !budget.charge(cost(added)) {
                    &mut outcome.refused.budget
                } else {
                    outcome.buffered += added.len();
                    *bytes += added.len();
                    return Some(added.into());
                };
                *refused += added.len();
                None
            }
        });
        self.put_back(buffer);
    }
}

#[cfg(test)]
mod tests;
