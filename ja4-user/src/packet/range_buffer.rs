//! Disjoint ranges of bytes that arrived out of order.

/// The bytes of one range, or where they are stored.
pub(crate) trait RangeBytes {
    /// Number of bytes, at least 1.
    fn len(&self) -> usize;
}

impl RangeBytes for Box<[u8]> {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
}

impl RangeBytes for Vec<u8> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }
}

/// One buffered range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BufferedRange<B> {
    /// Offset of its first byte.
    pub offset: u32,
    /// Its bytes.
    pub bytes: B,
}

impl<B: RangeBytes> BufferedRange<B> {
    /// Offset of the byte after its last one.
    pub(crate) fn end(&self) -> u32 {
        self.offset.wrapping_add(self.bytes.len() as u32) // ranges are shorter than 2^31
    }
}

/// Disjoint ranges in order of their offsets: the first copy of a byte is the one that is kept.
///
/// Offsets are compared modulo 2^32, as TCP sequence numbers are (RFC 9293, section 3.4). The caller keeps all of
/// them within 2^31 of each other, and bounds the number of ranges and bytes.
#[derive(Debug)]
pub(crate) struct RangeBuffer<B> {
    ranges: Vec<BufferedRange<B>>,
}

/// A part of a range that is added to a [`RangeBuffer`].
#[derive(Debug)]
pub(crate) enum RangePart<'a, B> {
    /// Bytes that a buffered range has already, with the same values or with others.
    Known {
        /// The added bytes.
        added: &'a [u8],
        /// The buffered range.
        range: &'a BufferedRange<B>,
        /// Index in that range of the byte at the offset of the first added one.
        from: usize,
    },
    /// Bytes that no buffered range has.
    Missing {
        /// Offset of the first of them.
        offset: u32,
        /// The added bytes, at least one.
        added: &'a [u8],
        /// Number of ranges buffered so far.
        ranges: usize,
        /// The buffered range before them.
        before: Option<&'a mut BufferedRange<B>>,
    },
}

impl<B> Default for RangeBuffer<B> {
    fn default() -> Self {
        Self { ranges: Vec::new() }
    }
}

impl<B: RangeBytes> RangeBuffer<B> {
    /// Number of ranges.
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is no range.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges in order of their offsets.
    pub(crate) fn as_slice(&self) -> &[BufferedRange<B>] {
        &self.ranges
    }

    /// Removes the first `count` ranges.
    pub(crate) fn remove_first(&mut self, count: usize) {
        self.ranges.drain(..count.min(self.ranges.len()));
    }

    /// Keeps only the ranges for which `keep` returns true.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&BufferedRange<B>) -> bool) {
        self.ranges.retain(keep);
    }

    /// Removes all ranges, and returns memory beyond a capacity of `ranges`.
    pub(crate) fn clear(&mut self, ranges: usize) {
        self.ranges.clear();
        self.ranges.shrink_to(ranges);
    }

    /// The ranges that end after `offset`.
    pub(crate) fn ending_after(&self, offset: u32) -> &[BufferedRange<B>] {
        self.ranges.get(self.first_ending_after(offset)..).unwrap_or_default()
    }

    fn first_ending_after(&self, offset: u32) -> usize {
        self.ranges.partition_point(|range| range.end().wrapping_sub(offset).cast_signed() <= 0)
    }

    /// Adds bytes at `offset`. Calls `visit` for each part of them, in order. For a missing part it returns the new
    /// range to insert, or `None` if it has extended the range before, or has dropped the part.
    pub(crate) fn add(&mut self, offset: u32, bytes: &[u8], mut visit: impl FnMut(RangePart<'_, B>) -> Option<B>) {
        let (mut offset, mut rest) = (offset, bytes);
        let mut index = self.first_ending_after(offset);
        while !rest.is_empty() {
            // Bytes before the next range are missing; bytes within it are known.
            let next = self.ranges.get(index);
            let gap =
                next.map_or(rest.len(), |range| (range.offset.wrapping_sub(offset).cast_signed()).max(0) as usize);
            let (missing, others) = rest.split_at(rest.len().min(gap));
            let at = offset.wrapping_add(missing.len() as u32); // within 2^31
            let from = next.map_or(0, |range| at.wrapping_sub(range.offset) as usize);
            let overlap = next.map_or(0, |range| range.bytes.len().saturating_sub(from));
            let (known, after) = others.split_at(others.len().min(overlap));
            if let Some(range) = next
                && !known.is_empty()
            {
                visit(RangePart::Known { added: known, range, from });
            }
            if !missing.is_empty() {
                let ranges = self.ranges.len();
                let before = index.checked_sub(1).and_then(|before| self.ranges.get_mut(before));
                let part = RangePart::Missing { offset, added: missing, ranges, before };
                if let Some(bytes) = visit(part) {
                    self.ranges.insert(index.min(ranges), BufferedRange { offset, bytes });
                    index += 1;
                }
            }
            index += 1;
            offset = at.wrapping_add(known.len() as u32);
            rest = after;
        }
    }
}
