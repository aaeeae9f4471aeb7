//! Which bytes of a direction have been seen, for those who need to know no more of them.

/// Runs of bytes remembered. Loss and reordering leave two or three; the others are room for segments
/// that belong to nothing.
const RUNS: usize = 8;

/// How much of a run is remembered, and how many bytes are taken before one that nothing was added to is
/// forgotten. Receive windows that hosts use are no larger (Linux: 6 MiB unless told otherwise), so no
/// sender repeats what lies further back. It is far below the 2 GiB within which sequence numbers can be
/// compared.
const MEMORY: u32 = 16 << 20;

/// The bytes of one direction that have been seen, as runs of sequence numbers modulo 2^32 (RFC 9293,
/// section 3.4).
///
/// Whatever is forgotten counts as not seen: at worst a repetition passes for new. Nothing that a segment
/// says, wherever it lies, makes bytes count as seen that were not in it. So neither forged segments nor
/// bytes that a capture has missed hide those that come later.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Those added to last come first. No two overlap or touch.
    runs: [Run; RUNS],
    /// Bytes taken so far, modulo 2^32.
    taken: u32,
}

/// Bytes without a gap; none where `from == to`.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    /// `to - from <= MEMORY`.
    from: u32,
    to: u32,
    /// [`Seen::taken`] when it was added to.
    added: u32,
    /// More than one segment has made it: what a single one says is forgotten first.
    confirmed: bool,
}

/// Whether `a` comes before `b`.
fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

impl Run {
    const fn len(&self) -> u32 {
        self.to.wrapping_sub(self.from)
    }

    const fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Whether the byte is in it or right behind it.
    const fn reaches(&self, seq: u32) -> bool {
        seq.wrapping_sub(self.from) <= self.len()
    }

    fn covers(&self, other: &Self) -> bool {
        self.reaches(other.from) && other.len() <= self.to.wrapping_sub(other.from)
    }

    /// Whether the two overlap or lie side by side.
    fn touches(&self, other: &Self) -> bool {
        !self.is_empty() && (self.reaches(other.from) || other.reaches(self.from))
    }

    /// Takes in a run that touches this one.
    fn join(&mut self, other: &Self) {
        if before(other.from, self.from) {
            self.from = other.from;
        }
        if before(self.to, other.to) {
            self.to = other.to;
        }
        self.confirmed = true;
    }
}

impl Seen {
    /// Takes a segment of `len` bytes, at least one; whether it brings a byte that was not seen before.
    pub fn take(&mut self, seq: u32, len: u32) -> bool {
        let len = len.min(MEMORY);
        let taken = self.taken.wrapping_add(len);
        let segment = Run { from: seq, to: seq.wrapping_add(len), added: taken, confirmed: false };
        if self.runs.iter().any(|known| known.covers(&segment)) {
            return false;
        }
        self.taken = taken;
        let mut run = segment;
        for known in &mut self.runs {
            let stale = taken.wrapping_sub(known.added) > MEMORY;
            if !stale && known.touches(&segment) {
                run.join(known);
            } else if !stale {
                continue;
            }
            *known = Run::default();
        }
        if run.len() > MEMORY {
            run.from = run.to.wrapping_sub(MEMORY);
        }
        self.put(run);
        true
    }

    /// Remembers a run in a free place, or in that of one that one segment alone has made, or of any; of
    /// the one that was added to longest ago.
    fn put(&mut self, run: Run) {
        let last = |test: fn(&Run) -> bool| self.runs.iter().rposition(test);
        let place = last(Run::is_empty).or_else(|| last(|run| !run.confirmed)).unwrap_or(RUNS - 1);
        if let Some(newer) = self.runs.get_mut(..=place) {
            newer.rotate_right(1);
        }
        if let Some(first) = self.runs.first_mut() {
            *first = run;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Near the end of the numbers, so that real traffic goes past it.
    const ISN: u32 = u32::MAX - 3000;

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
        assert!(seen.take(145, 5), "the middle of the second");
        assert!(seen.take(150, 10));
        assert!(seen.take(140, 20), "what is left before it");
        assert!(!seen.take(100, 70));
    }

    #[test]
    fn far_segments_hide_nothing_that_comes_later() {
        for forged in 0..=60_u32 {
            let mut seen = Seen::default();
            for segment in 0..200_u32 {
                let seq = ISN.wrapping_add(segment * 36);
                assert!(seen.take(seq, 36), "{forged} forged, segment {segment}");
                assert!(!seen.take(seq, 36), "{forged} forged, segment {segment} again");
                // Of two that follow each other as of lone ones, before and behind.
                for place in 0..forged {
                    seen.take(seq.wrapping_add((place / 2 + 1) << 27).wrapping_add(place % 2 * 1460), 1460);
                }
            }
        }
    }

    #[test]
    fn lone_segments_do_not_push_out_what_is_confirmed() {
        let mut seen = Seen::default();
        assert!(seen.take(ISN, 36));
        assert!(seen.take(ISN.wrapping_add(36), 36));
        for place in 1..100_u32 {
            assert!(seen.take(ISN.wrapping_add(place << 20), 1460));
        }
        assert!(!seen.take(ISN, 72));
    }

    #[test]
    fn it_goes_on_behind_what_a_capture_has_missed() {
        let mut seen = Seen::default();
        let mut seq = ISN;
        for missed in [0, 1000, 100 << 20, 1 << 30, 3 << 30, 100 << 20].into_iter().cycle().take(60) {
            seq = seq.wrapping_add(missed);
            for segment in 0..50 {
                assert!(seen.take(seq, 1000), "segment {segment} behind {missed} bytes");
                assert!(!seen.take(seq, 1000));
                seq = seq.wrapping_add(1000);
            }
            assert!(!seen.take(seq.wrapping_sub(3000), 3000));
        }
    }

    #[test]
    fn numbers_that_come_round_again_are_new() {
        let mut seen = Seen::default();
        // Left alone when the rest is missed.
        assert!(seen.take(0, 1000));
        assert!(seen.take(1000, 1000));
        let mut seq = 1 << 20;
        for _ in 0..3 * (u32::MAX / 65_536) {
            assert!(seen.take(seq, 65_536));
            assert!(!seen.take(seq, 65_536));
            seq = seq.wrapping_add(65_536);
        }
    }

    proptest! {
        /// Against the set of all bytes, which in so short a stream never makes more runs than are
        /// remembered: whatever comes late, again, or in part again.
        #[test]
        fn as_the_set_of_bytes(segments in proptest::collection::vec((0..2 * RUNS as u32 - 1, 1_u32..9), 1..60)) {
            let (mut seen, mut model) = (Seen::default(), HashSet::new());
            for (offset, len) in segments {
                let len = len.min(2 * RUNS as u32 - 1 - offset);
                let new = (offset..offset + len).filter(|byte| model.insert(*byte)).count() > 0;
                prop_assert_eq!(seen.take((u32::MAX - 5).wrapping_add(offset), len), new);
            }
        }

        /// The same of a longer stream among segments from anywhere: more is forgotten, nothing is hidden.
        #[test]
        fn bytes_that_were_not_seen_never_count_as_seen(
            segments in proptest::collection::vec((0_u32..200, 1_u32..40, (1_u32..32, 0_u32..4)), 1..100)
        ) {
            let (mut seen, mut model) = (Seen::default(), HashSet::new());
            for (offset, len, (place, forged)) in segments {
                let new = (offset..offset + len).filter(|byte| model.insert(*byte)).count() > 0;
                prop_assert!(seen.take(ISN.wrapping_add(offset), len) || !new);
                for segment in 0..forged {
                    seen.take(ISN.wrapping_add(place << 27).wrapping_add(segment * 1460), 1460);
                }
            }
        }
    }
}
