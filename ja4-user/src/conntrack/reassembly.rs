//! TCP segments to the byte stream of one direction.

use std::iter;

/// How far beyond the next expected byte a segment may reach and still be held: twice what the filter
/// passes of one handshake.
const WINDOW: u32 = 128 * 1024;

/// Bytes held for one direction: the 64 KiB that the filter passes by default for one hungry direction.
/// More than that cannot close a gap that matters.
const HELD_BYTES: usize = 64 * 1024;

/// Pieces held for one direction. [`HELD_BYTES`] in segments of 536 bytes, the least that every host
/// takes (RFC 9293, section 3.7.1), are 123; who cuts finer than that and loses segments as well is not
/// worth a longer search.
const HELD_PIECES: usize = 128;

/// What a piece costs besides its bytes, at most: a lone one brings a list with places for four, and
/// the heap adds a header and rounding to each allocation. A flood of one-byte pieces is charged for
/// what it takes, not for what it carries.
pub const PIECE_OVERHEAD: usize = 192;

/// Memory that the directions of a shard may hold together, by default: some 10,000 handshakes that
/// wait for one lost segment at the same moment, or 250 directions that hold all they may.
const SHARD_BYTES: usize = 16 * 1024 * 1024;

/// The furthest a window can reach (RFC 7323, section 2.3). Below 2^31, so that what is held is always
/// ahead in sequence space.
const WINDOW_LIMIT: u32 = 1 << 30;

/// What one direction may hold while it waits for a gap to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes beyond the next expected one that may be held; more than 2^30 count as 2^30.
    pub window: u32,
    /// Bytes held.
    pub bytes: usize,
    /// Pieces held.
    pub pieces: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { window: WINDOW, bytes: HELD_BYTES, pieces: HELD_PIECES }
    }
}

/// Memory that all directions of a shard may hold together, in bytes; a piece counts with
/// [`PIECE_OVERHEAD`]. `used` never exceeds `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    used: usize,
    max: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(SHARD_BYTES)
    }
}

impl Budget {
    /// An unused budget.
    pub fn new(max: usize) -> Self {
        Self { used: 0, max }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Bytes that may be in use.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Takes `bytes`; false, and nothing taken, where they do not fit.
    pub(crate) fn charge(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.max.saturating_sub(self.used);
        if fits {
            self.used = self.used.saturating_add(bytes);
        }
        fits
    }

    /// Gives `bytes` back.
    pub(crate) fn credit(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}

/// What became of a segment's bytes. None goes uncounted:
///
/// `payload = (delivered - released) + duplicate + conflicting + buffered + refused.total()`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Outcome {
    /// Bytes given to the consumer, those of this segment and those it released.
    pub delivered: usize,
    /// Bytes given to the consumer that earlier segments had brought.
    pub released: usize,
    /// Bytes that were delivered before, or are held with the same value.
    pub duplicate: usize,
    /// Bytes that are held with another value, which stays. What was delivered is no longer there to
    /// compare with and counts as duplicate.
    pub conflicting: usize,
    /// Bytes now held.
    pub buffered: usize,
    /// Bytes not held for lack of room.
    pub refused: Refused,
}

/// Bytes that found no room, by the bound they met first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Beyond [`Limits::window`].
    pub window: usize,
    /// Beyond [`Limits::pieces`].
    pub pieces: usize,
    /// Beyond [`Limits::bytes`].
    pub bytes: usize,
    /// Beyond the shard's [`Budget`].
    pub budget: usize,
}

impl Refused {
    /// Bytes that found no room for whatever reason.
    pub fn total(&self) -> usize {
        self.window + self.pieces + self.bytes + self.budget
    }
}

/// One direction of a TCP connection, put in order.
///
/// The first copy of a byte that was delivered or held is the one that counts; a later one never
/// replaces it, whatever it says. A copy that was refused has not been seen. Bytes are lost only to a
/// gap that does not close, or to a bound: there the stream stops.
///
/// Sequence numbers are compared modulo 2^32 (RFC 9293, section 3.4): up to 2^31 - 1 beyond the next
/// expected one is ahead, anything else was delivered.
///
/// What is held is charged to the shard's [`Budget`]: call [`Reassembly::clear`] before this is dropped.
#[derive(Debug)]
pub struct Reassembly {
    /// Sequence number of the next byte to deliver.
    next: u32,
    /// Only while there is something to hold.
    held: Option<Box<Held>>,
}

// Every tracked flow has two of them, and nearly all are idle.
const _: () = assert!(size_of::<Reassembly>() <= 32);

/// Pieces ahead of a gap: never empty, in order of sequence, disjoint, none of them at `next` but after
/// [`Reassembly::skip_gap`].
#[derive(Debug, Default)]
struct Held {
    pieces: Vec<Piece>,
    bytes: usize,
}

#[derive(Debug)]
struct Piece {
    seq: u32,
    data: Box<[u8]>,
}

impl Reassembly {
    /// A stream whose first byte has this sequence number: the initial one plus 1, or in a connection
    /// met midway, that of the first segment of interest.
    pub fn new(first_seq: u32) -> Self {
        Self { next: first_seq, held: None }
    }

    /// Sequence number of the next byte to deliver.
    pub fn next_seq(&self) -> u32 {
        self.next
    }

    /// Bytes held ahead of a gap.
    pub fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes)
    }

    /// Pieces held ahead of a gap.
    pub fn held_pieces(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.pieces.len())
    }

    /// Gives up the gap: the stream goes on with what is held behind it, at the next push.
    pub fn skip_gap(&mut self) {
        if let Some(seq) = self.first_held() {
            self.next = seq;
        }
    }

    /// Gives up the gap, and delivers what is held up to the next one; false where nothing is held.
    pub fn pass_gap(&mut self, budget: &mut Budget, outcome: &mut Outcome, mut deliver: impl FnMut(&[u8])) -> bool {
        let held = self.held.is_some();
        self.skip_gap();
        self.release(&[], budget, outcome, &mut deliver);
        held
    }

    /// The stream goes on at `seq`, ahead of `next`: what lies before it will not come. What is held behind
    /// it stays.
    pub fn go_on_at(&mut self, seq: u32, budget: &mut Budget) {
        self.next = seq;
        let Some(mut held) = self.held.take() else {
            return;
        };
        held.pieces.retain(|piece| {
            let stays = piece.seq.wrapping_sub(seq).cast_signed() >= 0;
            if !stays {
                budget.credit(piece.cost());
                held.bytes = held.bytes.saturating_sub(piece.data.len());
            }
            stays
        });
        if !held.pieces.is_empty() {
            self.held = Some(held);
        }
    }

    /// Bytes of the gap before what is held; 0 where nothing is.
    pub fn gap(&self) -> u32 {
        self.first_held().map_or(0, |seq| seq.wrapping_sub(self.next))
    }

    /// Sequence number of the first byte held.
    fn first_held(&self) -> Option<u32> {
        self.held.as_ref().and_then(|held| held.pieces.first()).map(|piece| piece.seq)
    }

    /// Takes a segment, whose payload begins at `seq`, and gives `deliver` what is now in order, never
    /// an empty slice.
    ///
    /// Bytes in order come from `payload` itself, without a copy. Others are copied and held, as far
    /// as `limits` and `budget` have room.
    pub fn push(
        &mut self,
        seq: u32,
        payload: &[u8],
        limits: &Limits,
        budget: &mut Budget,
        mut deliver: impl FnMut(&[u8]),
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let ahead = seq.wrapping_sub(self.next).cast_signed();
        if ahead > 0 {
            self.hold(seq, payload, limits, budget, &mut outcome);
            if self.first_held() == Some(self.next) {
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

    /// Lets go of all that is held, and gives it back to the budget.
    pub fn clear(&mut self, budget: &mut Budget) {
        if let Some(held) = self.held.take() {
            budget.credit(held.pieces.iter().map(Piece::cost).sum());
        }
    }

    /// Moves the point of delivery.
    fn advance(&mut self, bytes: usize) {
        self.next = self.next.wrapping_add(bytes as u32); // modulo 2^32, as sequence numbers go
    }

    /// Delivers `fresh`, which begins at `next`, up to the end of the last held piece that it reaches,
    /// and those pieces in their places. Returns what of `fresh` lies after them.
    fn release<'a>(
        &mut self,
        fresh: &'a [u8],
        budget: &mut Budget,
        outcome: &mut Outcome,
        deliver: &mut impl FnMut(&[u8]),
    ) -> &'a [u8] {
        let Some(mut held) = self.held.take() else {
            return fresh;
        };
        let mut rest = fresh;
        let mut reached = 0;
        for piece in &held.pieces {
            let gap = piece.seq.wrapping_sub(self.next) as usize;
            let Some((own, overlap)) = rest.split_at_checked(gap) else {
                break;
            };
            if !own.is_empty() {
                deliver(own);
            }
            deliver(&piece.data);
            let (repeated, after) = overlap.split_at(overlap.len().min(piece.data.len()));
            outcome.compare(repeated, &piece.data);
            outcome.delivered += gap + piece.data.len();
            outcome.released += piece.data.len();
            self.advance(gap + piece.data.len());
            budget.credit(piece.cost());
            held.bytes = held.bytes.saturating_sub(piece.data.len());
            rest = after;
            reached += 1;
        }
        held.pieces.drain(..reached);
        if !held.pieces.is_empty() {
            self.held = Some(held);
        }
        rest
    }

    /// Holds those bytes of a segment ahead of `next` that no held piece has yet.
    fn hold(&mut self, seq: u32, payload: &[u8], limits: &Limits, budget: &mut Budget, outcome: &mut Outcome) {
        let offset = seq.wrapping_sub(self.next);
        let room = limits.window.min(WINDOW_LIMIT).saturating_sub(offset) as usize;
        let (mut rest, beyond) = payload.split_at(payload.len().min(room));
        outcome.refused.window += beyond.len();
        if rest.is_empty() {
            return;
        }

        let mut held = self.held.take().unwrap_or_default();
        let mut at = seq;
        let mut place = 0;
        while !rest.is_empty() {
            // What lies before the next piece is new, what lies on it is a repetition.
            let (gap, data) = match held.pieces.get(place) {
                Some(piece) => piece.seen_from(at),
                None => (rest.len(), [].as_slice()),
            };
            let (new, others) = rest.split_at(rest.len().min(gap));
            let (repeated, after) = others.split_at(others.len().min(data.len()));
            outcome.compare(repeated, data);
            if held.insert(place, at, new, limits, budget, outcome) {
                place += 1;
            }
            place += 1;
            at = at.wrapping_add((new.len() + repeated.len()) as u32); // within WINDOW_LIMIT
            rest = after;
        }
        if !held.pieces.is_empty() {
            self.held = Some(held);
        }
    }
}

impl Held {
    /// Puts a new piece, which touches no other one's bytes, at its place in the order. False where
    /// there is nothing to put or no room for it.
    fn insert(
        &mut self,
        place: usize,
        seq: u32,
        data: &[u8],
        limits: &Limits,
        budget: &mut Budget,
        outcome: &mut Outcome,
    ) -> bool {
        if data.is_empty() || place > self.pieces.len() {
            return false;
        }
        if self.pieces.len() >= limits.pieces {
            outcome.refused.pieces += data.len();
            return false;
        }
        if data.len() > limits.bytes.saturating_sub(self.bytes) {
            outcome.refused.bytes += data.len();
            return false;
        }
        if !budget.charge(data.len().saturating_add(PIECE_OVERHEAD)) {
            outcome.refused.budget += data.len();
            return false;
        }
        outcome.buffered += data.len();
        self.bytes += data.len();
        self.pieces.insert(place, Piece { seq, data: data.into() });
        true
    }
}

impl Piece {
    /// What the piece takes from the budget.
    fn cost(&self) -> usize {
        self.data.len().saturating_add(PIECE_OVERHEAD)
    }

    /// How many bytes after `at` the piece begins, and those of its bytes that lie at `at` or after.
    /// Both are within [`WINDOW_LIMIT`] of the same point, so their distance has a sign.
    fn seen_from(&self, at: u32) -> (usize, &[u8]) {
        let into = at.wrapping_sub(self.seq).cast_signed();
        let distance = into.unsigned_abs() as usize;
        if into < 0 { (distance, &self.data) } else { (0, self.data.get(distance..).unwrap_or_default()) }
    }
}

impl Outcome {
    /// Counts the bytes of a segment that lie on those of a piece.
    fn compare(&mut self, repeated: &[u8], held: &[u8]) {
        let differing = iter::zip(repeated, held).filter(|(new, old)| new != old).count();
        self.conflicting += differing;
        self.duplicate += repeated.len() - differing;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const ROOMY: Limits = Limits { window: 1 << 20, bytes: 1 << 20, pieces: 1 << 20 };

    /// A stream under test, with all it has delivered.
    struct Stream {
        reassembly: Reassembly,
        limits: Limits,
        budget: Budget,
        first_seq: u32,
        out: Vec<u8>,
    }

    impl Stream {
        fn new(first_seq: u32, limits: Limits, budget: usize) -> Self {
            let reassembly = Reassembly::new(first_seq);
            Self { reassembly, limits, budget: Budget::new(budget), first_seq, out: Vec::new() }
        }

        fn roomy(first_seq: u32) -> Self {
            Self::new(first_seq, ROOMY, usize::MAX)
        }

        /// A segment at an offset of the stream, with what must hold after every one.
        fn push(&mut self, offset: i64, payload: &[u8]) -> Outcome {
            let seq = self.first_seq.wrapping_add(offset as u32);
            let before = (self.out.len(), self.reassembly.held_bytes());
            let Self { reassembly, limits, budget, out, .. } = self;
            let outcome = reassembly.push(seq, payload, limits, budget, |bytes| {
                assert!(!bytes.is_empty());
                out.extend_from_slice(bytes);
            });
            let Outcome { delivered, released, duplicate, conflicting, buffered, refused } = outcome;
            let counted = delivered - released + duplicate + conflicting + buffered + refused.total();
            assert_eq!(counted, payload.len());
            assert_eq!(out.len(), before.0 + delivered);
            let (held, pieces) = (reassembly.held_bytes(), reassembly.held_pieces());
            assert_eq!(held, before.1 + buffered - released);
            assert!(held <= limits.bytes && pieces <= limits.pieces);
            assert_eq!(budget.used(), held + pieces * PIECE_OVERHEAD);
            assert!(budget.used() <= budget.max());
            assert_eq!(reassembly.next_seq(), self.first_seq.wrapping_add(out.len() as u32));
            outcome
        }

        fn clear(&mut self) {
            self.reassembly.clear(&mut self.budget);
            assert_eq!((self.budget.used(), self.reassembly.held_pieces()), (0, 0));
        }
    }

    #[test]
    fn bytes_in_order_are_neither_copied_nor_held() {
        let (limits, mut budget) = (Limits { window: 0, bytes: 0, pieces: 0 }, Budget::new(0));
        let mut reassembly = Reassembly::new(1000);
        let payload = [7u8; 3000];
        let mut given = Vec::new();
        for (seq, range) in [(1000, 0..1460), (2460, 1460..2920), (2460, 1460..3000)] {
            let segment = &payload[range];
            let _ = reassembly.push(seq, segment, &limits, &mut budget, |bytes| {
                given.push((bytes.as_ptr(), bytes.len()));
            });
            assert!(reassembly.held.is_none());
        }
        let parts = [(0, 1460), (1460, 1460), (2920, 80)];
        assert_eq!(given, parts.map(|(at, len)| (payload[at..].as_ptr(), len)));
    }

    #[test]
    fn a_late_segment_releases_what_came_after_it() {
        let mut stream = Stream::roomy(5);
        assert_eq!(stream.push(6, b"world").buffered, 5);
        assert_eq!(stream.push(11, b"!").buffered, 1);
        assert_eq!(stream.out, b"");
        let outcome = stream.push(0, b"hello ");
        assert_eq!((outcome.delivered, outcome.released), (12, 6));
        assert_eq!(stream.out, b"hello world!");
        assert!(stream.reassembly.held.is_none());
    }

    #[test]
    fn a_retransmission_is_a_duplicate() {
        let mut stream = Stream::roomy(5);
        assert_eq!(stream.push(0, b"hello").delivered, 5);
        assert_eq!(stream.push(0, b"hello").duplicate, 5);
        assert_eq!(stream.push(2, b"llo").duplicate, 3);
        assert_eq!(stream.push(-1, b"\0").duplicate, 1); // a keep-alive probe
        let longer = stream.push(0, b"hello you");
        assert_eq!((longer.duplicate, longer.delivered), (5, 4));
        assert_eq!(stream.push(20, b"far").buffered, 3);
        assert_eq!(stream.push(20, b"far").duplicate, 3);
        assert_eq!(stream.out, b"hello you");
    }

    #[test]
    fn the_first_copy_of_a_held_byte_wins() {
        let mut stream = Stream::roomy(0);
        let _ = stream.push(2, b"CC");
        let _ = stream.push(6, b"GG");
        let across = stream.push(1, b"bCcdefGhi");
        let counted = (across.duplicate, across.conflicting, across.buffered);
        assert_eq!(counted, (2, 2, 5));
        // Delivery passes over held bytes with others in their place, and goes on after them.
        let all = stream.push(0, b"a.........j");
        assert_eq!((all.conflicting, all.delivered), (9, 11));
        assert_eq!(stream.out, b"abCCdeGGhij");
    }

    #[test]
    fn a_segment_beyond_the_window_is_refused() {
        let mut stream = Stream::new(9, Limits { window: 10, ..ROOMY }, 1000);
        assert_eq!(stream.push(10, b"x").refused.window, 1);
        let half = stream.push(8, b"xyz");
        assert_eq!((half.buffered, half.refused.window), (2, 1));
        // The window bounds what is held, not what is in order.
        assert_eq!(stream.push(0, &[1; 40]).delivered, 40);
        // Half the sequence space and more ahead is behind.
        assert_eq!(stream.push(40 + (1 << 31), b"x").duplicate, 1);
        assert_eq!(stream.push(39 + (1 << 31), b"x").refused.window, 1);
    }

    #[test]
    fn a_flood_of_tiny_pieces_stays_within_its_bounds() {
        let limits = Limits { pieces: 10, ..ROOMY };
        let mut stream = Stream::new(u32::MAX - 50, limits, usize::MAX);
        for offset in (1..2000).rev().step_by(2) {
            let _ = stream.push(offset, b"x");
        }
        assert_eq!((stream.reassembly.held_pieces(), stream.push(1, b"x").refused.pieces), (10, 1));

        let mut stream = Stream::new(0, Limits { bytes: 10, ..ROOMY }, usize::MAX);
        assert_eq!(stream.push(100, &[1; 11]).refused.bytes, 11);
        assert_eq!(stream.push(100, &[1; 10]).buffered, 10);
        assert_eq!(stream.push(200, &[1; 1]).refused.bytes, 1);

        let mut stream = Stream::new(0, ROOMY, 2 * PIECE_OVERHEAD + 5);
        assert_eq!(stream.push(1, b"ab").buffered, 2);
        assert_eq!(stream.push(4, b"efgh").refused.budget, 4);
        assert_eq!(stream.push(4, b"efg").buffered, 3);
        // What was refused may come again, and what was delivered has made room.
        assert_eq!(stream.push(0, b"0").released, 2);
        assert_eq!(stream.push(10, b"k").buffered, 1);
        stream.clear();
    }

    #[test]
    fn one_budget_serves_many_directions() {
        let mut budget = Budget::new(3 * (PIECE_OVERHEAD + 100));
        let mut all: Vec<_> = (0..4).map(Reassembly::new).collect();
        let buffered =
            all.iter_mut().map(|one| one.push(1000, &[0; 100], &Limits::default(), &mut budget, |_| ()).buffered);
        assert_eq!(buffered.collect::<Vec<_>>(), [100, 100, 100, 0]);
        all.iter_mut().for_each(|one| one.clear(&mut budget));
        assert_eq!(budget.used(), 0);
    }

    /// Positions around the wrap, and elsewhere.
    fn first_seq() -> impl Strategy<Value = u32> {
        prop_oneof![(0u32..600).prop_map(|n| n.wrapping_sub(300)), any::<u32>()]
    }

    /// A stream and segments of it that cover all of it, in any order, some overlapping.
    fn segmented() -> impl Strategy<Value = (Vec<u8>, Vec<(usize, usize)>)> {
        let cuts = prop::collection::vec(0usize..500, 0..20);
        let more = prop::collection::vec((0usize..500, 0usize..80), 0..20);
        (prop::collection::vec(any::<u8>(), 1..500), cuts, more).prop_flat_map(|(bytes, mut cuts, more)| {
            let len = bytes.len();
            cuts.extend([0, len]);
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(len));
            cuts.sort_unstable();
            let cover = cuts.windows(2).map(|pair| (pair[0], pair[1]));
            let more = more.iter().map(|&(at, n)| (at.min(len), (at + n).min(len)));
            let segments: Vec<_> = cover.chain(more).collect();
            (Just(bytes), Just(segments).prop_shuffle())
        })
    }

    proptest! {
        #[test]
        fn order_duplication_and_overlap_do_not_change_the_stream(
            first_seq in first_seq(),
            (bytes, segments) in segmented(),
        ) {
            let mut stream = Stream::roomy(first_seq);
            for (from, to) in segments {
                let outcome = stream.push(from as i64, &bytes[from..to]);
                prop_assert_eq!((outcome.conflicting, outcome.refused.total()), (0, 0));
                prop_assert!(bytes.starts_with(&stream.out));
            }
            prop_assert_eq!(&stream.out, &bytes);
            prop_assert!(stream.reassembly.held.is_none());
            prop_assert_eq!(stream.budget.used(), 0);
        }

        #[test]
        fn of_copies_that_differ_the_first_to_arrive_wins(
            first_seq in first_seq(),
            segments in prop::collection::vec(
                (-20i64..200, prop::collection::vec(any::<u8>(), 0..40)), 0..60),
        ) {
            let mut stream = Stream::roomy(first_seq);
            let mut first = BTreeMap::new();
            for (offset, payload) in &segments {
                for (at, &byte) in (*offset..).zip(payload).filter(|(at, _)| *at >= 0) {
                    first.entry(at).or_insert(byte);
                }
                let _ = stream.push(*offset, payload);
                let in_order = first.iter().zip(0..).take_while(|((at, _), n)| **at == *n);
                let expected: Vec<u8> = in_order.map(|((_, &byte), _)| byte).collect();
                prop_assert_eq!(&stream.out, &expected);
                prop_assert_eq!(stream.reassembly.held_bytes(), first.len() - expected.len());
            }
            stream.clear();
        }

        #[test]
        fn bounds_hold_and_the_stream_is_a_prefix_under_any_limits(
            first_seq in first_seq(),
            (bytes, segments) in segmented(),
            (window, held, pieces) in (0u32..300, 0usize..200, 0usize..6),
            budget in 0usize..1500,
        ) {
            let limits = Limits { window, bytes: held, pieces };
            let mut stream = Stream::new(first_seq, limits, budget);
            for &(from, to) in &segments {
                let _ = stream.push(from as i64, &bytes[from..to]);
                prop_assert!(bytes.starts_with(&stream.out));
            }
            // Sent again in order, all of it arrives.
            let _ = stream.push(0, &bytes);
            prop_assert_eq!(&stream.out, &bytes);
            stream.clear();
        }

        #[test]
        fn any_sequence_numbers_are_taken(
            first_seq: u32,
            segments in prop::collection::vec((any::<u32>(), 0usize..70_000), 0..40),
        ) {
            let mut stream = Stream::new(first_seq, Limits::default(), 100_000);
            let zeros = vec![0; 70_000];
            for (offset, len) in segments {
                let _ = stream.push(i64::from(offset), &zeros[..len]);
            }
            stream.clear();
        }
    }
}
