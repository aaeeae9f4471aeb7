//! One datagram whose fragments are being gathered.

use super::fragment::{Fragment, IPV6, Key};
use super::{DefragError, DefragLimits};
use crate::model::Time;

/// Capacity that a place keeps when its datagram is done: two Ethernet frames, as nearly every
/// fragmented datagram has. What a larger one needed goes back to the heap.
const KEPT_BYTES: usize = 4096;
/// The same in pieces.
const KEPT_PIECES: usize = 16;

/// The fragments of one datagram, as far as they have come.
///
/// `pieces` are in order of `start`, disjoint, never empty, and add up to `data`. None ends beyond
/// `total`. `head` is there exactly if the byte at 0 is.
#[derive(Debug, Default)]
pub(super) struct Datagram {
    pub(super) key: Key,
    /// When its first fragment came.
    pub(super) born: Time,
    /// The headers before its payload.
    head: Vec<u8>,
    /// Bytes of `head` that its length field counts.
    head_announced: usize,
    /// Payload in order of arrival.
    data: Vec<u8>,
    pieces: Vec<Piece>,
    /// Length of its payload, once the last fragment has come.
    total: Option<usize>,
    /// Fragments that brought something.
    fragments: usize,
}

/// A run of bytes: those from `start` to `end` stand at `place` in the data.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: u32,
    end: u32,
    place: u32,
}

/// What a fragment would bring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survey {
    /// Bytes not known yet.
    pub(super) fresh: usize,
    /// Bytes that are known, whether they are the same or not.
    pub(super) known: usize,
    /// No known byte differs.
    pub(super) agrees: bool,
    /// Bytes of headers that would be kept.
    pub(super) head: usize,
}

impl Datagram {
    /// Bytes that it holds, headers included.
    pub(super) fn held(&self) -> usize {
        self.data.len() + self.head.len()
    }

    /// Bytes of payload that it holds.
    pub(super) fn payload(&self) -> usize {
        self.data.len()
    }

    /// Every byte is there.
    pub(super) fn is_complete(&self) -> bool {
        self.total == Some(self.data.len())
    }

    /// What a fragment would bring, if it contradicts nothing and keeps the bounds.
    pub(super) fn survey(&self, fragment: &Fragment<'_>, limits: &DefragLimits) -> Result<Survey, DefragError> {
        let (start, end) = (fragment.start, fragment.end());
        let extent = self.pieces.last().map_or(0, |last| last.end as usize);
        let fits = match self.total {
            Some(total) if fragment.more => end <= total,
            Some(total) => end == total,
            None => fragment.more || end >= extent,
        };
        if !fits {
            return Err(DefragError::Contradiction);
        }
        let first = start == 0 && self.head.is_empty();
        let head_announced = if first { fragment.head.announced() } else { self.head_announced };
        if end > limits.payload || end.max(extent) + head_announced > usize::from(u16::MAX) {
            return Err(DefragError::TooLong);
        }
        let (mut known, mut agrees) = (0, true);
        for piece in self.pieces.iter().skip(self.first_beyond(start)).take_while(|piece| (piece.start as usize) < end)
        {
            let (from, to) = (start.max(piece.start as usize), end.min(piece.end as usize));
            known += to - from;
            let at = piece.place as usize + (from - piece.start as usize);
            agrees &= self.data.get(at..at + (to - from)) == fragment.payload.get(from - start..to - start);
        }
        let fresh = fragment.payload.len() - known;
        if fresh > 0 && self.fragments >= limits.fragments {
            return Err(DefragError::TooMany);
        }
        let head = if first { fragment.head.bytes.len() } else { 0 };
        Ok(Survey { fresh, known, agrees, head })
    }

    /// Takes what a fragment brings that is not known yet. It has been surveyed.
    pub(super) fn store(&mut self, fragment: &Fragment<'_>) {
        if fragment.start == 0 && self.head.is_empty() {
            self.head.extend_from_slice(fragment.head.bytes);
            self.head_announced = fragment.head.announced();
            if let Some((says, next)) = fragment.head.patch
                && let Some(byte) = self.head.get_mut(says)
            {
                *byte = next;
            }
        }
        if !fragment.more {
            self.total = Some(fragment.end());
        }
        let before = self.data.len();
        let (start, end) = (fragment.start, fragment.end());
        let (mut at, mut index) = (start, self.first_beyond(start));
        while at < end {
            let next = self.pieces.get(index).map(|piece| (piece.start as usize, piece.end as usize));
            if let Some((from, to)) = next
                && from <= at
            {
                at = to;
            } else {
                let stop = next.map_or(end, |(from, _)| from.min(end));
                // All below 2^16: a datagram's payload has no more bytes.
                let piece = Piece { start: at as u32, end: stop as u32, place: self.data.len() as u32 };
                self.data.extend_from_slice(fragment.payload.get(at - start..stop - start).unwrap_or_default());
                self.pieces.insert(index, piece);
                at = stop;
            }
            index += 1;
        }
        self.fragments += usize::from(self.data.len() > before);
    }

    /// Writes the whole datagram, whose header no longer speaks of fragments.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.head);
        for piece in &self.pieces {
            let (place, len) = (piece.place as usize, (piece.end - piece.start) as usize);
            out.extend_from_slice(self.data.get(place..place + len).unwrap_or_default());
        }
        // At most 65535, as every fragment was held to it.
        let length = ((self.head_announced + self.data.len()) as u16).to_be_bytes();
        match out.first().map(|first| first >> 4) {
            Some(6) => put(out, 4, &length),
            _ => {
                put(out, 2, &length);
                // Flags and offset; the checksum no longer holds and is left out.
                put(out, 6, &[0; 2]);
                put(out, 10, &[0; 2]);
            }
        }
        debug_assert!(out.len() <= IPV6 + usize::from(u16::MAX));
    }

    /// Lets go of what it holds, for the next one in its place.
    pub(super) fn reset(&mut self) {
        let Self { head, data, pieces, .. } = std::mem::take(self);
        (self.head, self.data, self.pieces) = (head, data, pieces);
        self.head.clear();
        self.data.clear();
        self.pieces.clear();
        self.data.shrink_to(KEPT_BYTES);
        self.pieces.shrink_to(KEPT_PIECES);
    }

    /// The first piece that ends beyond `start`.
    fn first_beyond(&self, start: usize) -> usize {
        self.pieces.partition_point(|piece| piece.end as usize <= start)
    }

    #[cfg(test)]
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.fragments, self.pieces.len())
    }
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = out.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
