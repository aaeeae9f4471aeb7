//! One datagram of which some fragments have arrived.

use super::error::DefragError;
use super::fragment::{FragmentKey, IPV6, IpFragment};
use super::limits::DefragLimits;
use crate::model::Time;
use crate::packet::range_buffer::{RangeBuffer, RangeBytes, RangePart};

/// Capacity that a slot keeps when its datagram is done: two Ethernet frames, as nearly every fragmented datagram has. The
/// memory of a larger one is returned to the heap.
const KEPT_BYTES: usize = 4096;
/// The same in ranges.
const KEPT_RANGES: usize = 16;

/// The fragments of one datagram that have arrived.
///
/// `ranges` refer to all of `data`. None ends after `total`. `headers` is present exactly if the byte at 0 is.
#[derive(Debug, Default)]
pub(super) struct PartialDatagram {
    pub(super) key: FragmentKey,
    /// Time of its first fragment.
    pub(super) first: Time,
    /// The headers before its payload.
    headers: Vec<u8>,
    /// Bytes of `headers` that its length field counts.
    headers_counted: usize,
    /// Payload in order of arrival.
    data: Vec<u8>,
    ranges: RangeBuffer<DataSpan>,
    /// Length of its payload, once the last fragment has arrived.
    total: Option<usize>,
    /// Fragments that had new bytes.
    fragments: usize,
}

/// A range's bytes, by their place in the data.
#[derive(Clone, Copy, Debug)]
struct DataSpan {
    start: u32,
    len: u32,
}

impl RangeBytes for DataSpan {
    fn len(&self) -> usize {
        self.len as usize
    }
}

/// What a fragment would add.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survey {
    /// New bytes.
    pub(super) fresh: usize,
    /// Bytes that have arrived before, with the same value or another.
    pub(super) known: usize,
    /// Whether no known byte differs.
    pub(super) agrees: bool,
    /// Bytes of headers that would be stored.
    pub(super) headers: usize,
}

impl PartialDatagram {
    /// Buffered bytes with headers.
    pub(super) fn buffered(&self) -> usize {
        self.data.len() + self.headers.len()
    }

    /// Buffered bytes of payload.
    pub(super) fn payload(&self) -> usize {
        self.data.len()
    }

    /// Whether every byte has arrived.
    pub(super) fn is_complete(&self) -> bool {
        self.total == Some(self.data.len())
    }

    /// Computes what a fragment would add, if it contradicts no other and exceeds no bound.
    pub(super) fn survey(&self, fragment: &IpFragment<'_>, limits: &DefragLimits) -> Result<Survey, DefragError> {
        let (start, end) = (fragment.start, fragment.end());
        let extent = self.ranges.as_slice().last().map_or(0, |last| last.end() as usize);
        let fits = match self.total {
            Some(total) if fragment.more => end <= total,
            Some(total) => end == total,
            None => fragment.more || end >= extent,
        };
        if !fits {
            return Err(DefragError::Contradiction);
        }
        let is_first = start == 0 && self.headers.is_empty();
        let headers_counted = if is_first { fragment.headers.counted() } else { self.headers_counted };
        if end > limits.payload || end.max(extent) + headers_counted > usize::from(u16::MAX) {
            return Err(DefragError::TooLong);
        }
        let (mut known, mut agrees) = (0, true);
        for range in self.ranges.ending_after(start as u32).iter().take_while(|range| (range.offset as usize) < end) {
            let (from, to) = (start.max(range.offset as usize), end.min(range.end() as usize));
            known += to - from;
            let at = range.bytes.start as usize + (from - range.offset as usize);
            agrees &= self.data.get(at..at + (to - from)) == fragment.payload.get(from - start..to - start);
        }
        let fresh = fragment.payload.len() - known;
        if fresh > 0 && self.fragments >= limits.fragments {
            return Err(DefragError::TooMany);
        }
        let headers = if is_first { fragment.headers.bytes.len() } else { 0 };
        Ok(Survey { fresh, known, agrees, headers })
    }

    /// Stores the new bytes of a fragment that was surveyed.
    pub(super) fn store(&mut self, fragment: &IpFragment<'_>) {
        if fragment.start == 0 && self.headers.is_empty() {
            self.headers.extend_from_slice(fragment.headers.bytes);
            self.headers_counted = fragment.headers.counted();
            if let Some((at, next)) = fragment.headers.patch
                && let Some(byte) = self.headers.get_mut(at)
            {
                *byte = next;
            }
        }
        if !fragment.more {
            self.total = Some(fragment.end());
        }
        let before = self.data.len();
        let data = &mut self.data;
        // Offsets are below 2^16: a datagram's payload has no more bytes.
        self.ranges.add(fragment.start as u32, fragment.payload, |part| match part {
            RangePart::Known { .. } => None,
            RangePart::Missing { added, .. } => {
                let span = DataSpan { start: data.len() as u32, len: added.len() as u32 };
                data.extend_from_slice(added);
                Some(span)
            }
        });
        self.fragments += usize::from(self.data.len() > before);
    }

    /// Writes the complete datagram, with a header that does not describe a fragment.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.headers);
        for range in self.ranges.as_slice() {
            let start = range.bytes.start as usize;
            out.extend_from_slice(self.data.get(start..start + range.bytes.len()).unwrap_or_default());
        }
        // At most 65535, as checked for every fragment.
        let length = ((self.headers_counted + self.data.len()) as u16).to_be_bytes();
        match out.first().map(|first| first >> 4) {
            Some(6) => put(out, 4, &length),
            _ => {
                put(out, 2, &length);
                // Flags and offset; the checksum is no longer valid and is set to 0.
                put(out, 6, &[0; 2]);
                put(out, 10, &[0; 2]);
            }
        }
        debug_assert!(out.len() <= IPV6 + usize::from(u16::MAX));
    }

    /// Drops its bytes, so that the slot can be reused.
    pub(super) fn reset(&mut self) {
        let Self { headers, data, ranges, .. } = std::mem::take(self);
        (self.headers, self.data, self.ranges) = (headers, data, ranges);
        self.headers.clear();
        self.data.clear();
        self.data.shrink_to(KEPT_BYTES);
        self.ranges.clear(KEPT_RANGES);
    }

    #[cfg(test)]
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.fragments, self.ranges.len())
    }
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = out.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
