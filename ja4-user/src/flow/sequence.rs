//! Which bytes of a direction have been seen, for those who need to know no more of them.

/// Gaps remembered. Reordering leaves one or two open; what is forgotten counts as seen.
const GAPS: usize = 4;

/// The bytes of one direction that have been seen: all up to a point, but for a few gaps. Sequence
/// numbers are compared modulo 2^32 (RFC 9293, section 3.4).
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Behind the last byte seen; nothing before the first segment.
    next: Option<u32>,
    /// First byte of each gap and the first one behind it; equal: no gap.
    gaps: [(u32, u32); GAPS],
}

/// Whether `a` comes before `b`.
fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

impl Seen {
    /// Takes a segment of `len` bytes, at least one; whether it brings a byte that was not seen before.
    pub fn take(&mut self, seq: u32, len: u32) -> bool {
        let end = seq.wrapping_add(len);
        let Some(next) = self.next else {
            self.next = Some(end);
            return true;
        };
        if before(next, end) {
            if before(next, seq) {
                self.open((next, seq));
            }
            self.next = Some(end);
            self.fill(seq, end);
            return true;
        }
        self.fill(seq, end)
    }

    /// Remembers a gap, in place of the oldest where there are too many.
    fn open(&mut self, gap: (u32, u32)) {
        let free = self.gaps.iter_mut().find(|(from, to)| from == to);
        match free {
            Some(place) => *place = gap,
            None => {
                self.gaps.rotate_left(1);
                if let Some(last) = self.gaps.last_mut() {
                    *last = gap;
                }
            }
        }
    }

    /// Takes bytes out of the gaps; whether any lay in one. What is left behind a segment in the middle of
    /// a gap is forgotten.
    fn fill(&mut self, seq: u32, end: u32) -> bool {
        let mut new = false;
        for (from, to) in &mut self.gaps {
            if from == to || !before(seq, *to) || !before(*from, end) {
                continue;
            }
            new = true;
            if before(*from, seq) {
                *to = seq;
            } else if before(end, *to) {
                *from = end;
            } else {
                *to = *from;
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_brings_nothing_new() {
        let mut seen = Seen::default();
        assert!(seen.take(u32::MAX - 9, 20));
        assert!(!seen.take(u32::MAX - 9, 20));
        assert!(!seen.take(5, 5));
        assert!(seen.take(5, 6), "one byte is new");
    }

    #[test]
    fn what_comes_late_is_new_once() {
        let mut seen = Seen::default();
        assert!(seen.take(100, 10));
        assert!(seen.take(130, 10));
        assert!(seen.take(160, 10));
        assert!(seen.take(110, 20), "fills the first gap");
        assert!(!seen.take(110, 20));
        assert!(seen.take(140, 10), "half of the second");
        assert!(seen.take(150, 10));
        assert!(!seen.take(140, 20));
        assert!(!seen.take(100, 70));
    }

    #[test]
    fn the_oldest_of_many_gaps_is_forgotten() {
        let mut seen = Seen::default();
        for place in 0..8 {
            assert!(seen.take(place * 20, 10));
        }
        assert!(!seen.take(10, 10));
        assert!(seen.take(130, 10));
    }
}
