use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ROOMY: ReassemblyLimits = ReassemblyLimits { window: 1 << 20, bytes: 1 << 20, ranges: 1 << 20 };

/// A stream under test and the bytes that it has delivered.
struct Stream {
    reassembly: Reassembly,
    limits: ReassemblyLimits,
    budget: Budget,
    first_seq: u32,
    out: Vec<u8>,
}

impl Stream {
    fn new(first_seq: u32, limits: ReassemblyLimits, budget: usize) -> Self {
        let reassembly = Reassembly::new(first_seq);
        Self { reassembly, limits, budget: Budget::new(budget), first_seq, out: Vec::new() }
    }

    fn roomy(first_seq: u32) -> Self {
        Self::new(first_seq, ROOMY, usize::MAX)
    }

    /// Pushes a segment at an offset of the stream, and checks the invariants.
    fn push(&mut self, offset: i64, payload: &[u8]) -> SegmentOutcome {
        let seq = self.first_seq.wrapping_add(offset as u32);
        let before = (self.out.len(), self.reassembly.buffered_bytes());
        let Self { reassembly, limits, budget, out, .. } = self;
        let outcome = reassembly.push(seq, payload, limits, budget, |bytes| {
            assert!(!bytes.is_empty());
            out.extend_from_slice(bytes);
        });
        let SegmentOutcome { delivered, released, duplicate, conflicting, buffered, refused } = outcome;
        let counted = delivered - released + duplicate + conflicting + buffered + refused.total();
        assert_eq!(counted, payload.len());
        assert_eq!(out.len(), before.0 + delivered);
        let (buffered_bytes, ranges) = (reassembly.buffered_bytes(), reassembly.buffered_ranges());
        assert_eq!(buffered_bytes, before.1 + buffered - released);
        assert!(buffered_bytes <= limits.bytes && ranges <= limits.ranges);
        assert_eq!(budget.used(), buffered_bytes + ranges * RANGE_OVERHEAD);
        assert!(budget.used() <= budget.max());
        assert_eq!(reassembly.next_seq(), self.first_seq.wrapping_add(out.len() as u32));
        outcome
    }

    fn clear(&mut self) {
        self.reassembly.clear(&mut self.budget);
        assert_eq!((self.budget.used(), self.reassembly.buffered_ranges()), (0, 0));
    }
}

#[test]
fn bytes_in_order_are_neither_copied_nor_buffered() {
    let (limits, mut budget) = (ReassemblyLimits { window: 0, bytes: 0, ranges: 0 }, Budget::new(0));
    let mut reassembly = Reassembly::new(1000);
    let payload = [7u8; 3000];
    let mut given = Vec::new();
    for (seq, range) in [(1000, 0..1460), (2460, 1460..2920), (2460, 1460..3000)] {
        let segment = &payload[range];
        let _ = reassembly.push(seq, segment, &limits, &mut budget, |bytes| {
            given.push((bytes.as_ptr(), bytes.len()));
        });
        assert!(reassembly.buffer.is_none());
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
    assert!(stream.reassembly.buffer.is_none());
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
fn the_first_copy_of_a_buffered_byte_wins() {
    let mut stream = Stream::roomy(0);
    let _ = stream.push(2, b"CC");
    let _ = stream.push(6, b"GG");
    let across = stream.push(1, b"bCcdefGhi");
    let counted = (across.duplicate, across.conflicting, across.buffered);
    assert_eq!(counted, (2, 2, 5));
    // Buffered bytes are delivered in place of the differing ones, and delivery continues after them.
    let all = stream.push(0, b"a.........j");
    assert_eq!((all.conflicting, all.delivered), (9, 11));
    assert_eq!(stream.out, b"abCCdeGGhij");
}

#[test]
fn a_segment_beyond_the_window_is_refused() {
    let mut stream = Stream::new(9, ReassemblyLimits { window: 10, ..ROOMY }, 1000);
    assert_eq!(stream.push(10, b"x").refused.window, 1);
    let half = stream.push(8, b"xyz");
    assert_eq!((half.buffered, half.refused.window), (2, 1));
    // The window bounds buffered bytes, not bytes in order.
    assert_eq!(stream.push(0, &[1; 40]).delivered, 40);
    // A distance of half the sequence space or more is behind.
    assert_eq!(stream.push(40 + (1 << 31), b"x").duplicate, 1);
    assert_eq!(stream.push(39 + (1 << 31), b"x").refused.window, 1);
}

#[test]
fn a_flood_of_tiny_ranges_stays_within_its_bounds() {
    let limits = ReassemblyLimits { ranges: 10, ..ROOMY };
    let mut stream = Stream::new(u32::MAX - 50, limits, usize::MAX);
    for offset in (1..2000).rev().step_by(2) {
        let _ = stream.push(offset, b"x");
    }
    assert_eq!((stream.reassembly.buffered_ranges(), stream.push(1, b"x").refused.ranges), (10, 1));

    let mut stream = Stream::new(0, ReassemblyLimits { bytes: 10, ..ROOMY }, usize::MAX);
    assert_eq!(stream.push(100, &[1; 11]).refused.bytes, 11);
    assert_eq!(stream.push(100, &[1; 10]).buffered, 10);
    assert_eq!(stream.push(200, &[1; 1]).refused.bytes, 1);

    let mut stream = Stream::new(0, ROOMY, 2 * RANGE_OVERHEAD + 5);
    assert_eq!(stream.push(1, b"ab").buffered, 2);
    assert_eq!(stream.push(4, b"efgh").refused.budget, 4);
    assert_eq!(stream.push(4, b"efg").buffered, 3);
    // Refused bytes may be sent again; delivery has returned memory to the budget.
    assert_eq!(stream.push(0, b"0").released, 2);
    assert_eq!(stream.push(10, b"k").buffered, 1);
    stream.clear();
}

#[test]
fn one_budget_serves_many_directions() {
    let mut budget = Budget::new(3 * (RANGE_OVERHEAD + 100));
    let mut all: Vec<_> = (0..4).map(Reassembly::new).collect();
    let buffered =
        all.iter_mut().map(|one| one.push(1000, &[0; 100], &ReassemblyLimits::default(), &mut budget, |_| ()).buffered);
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
        prop_assert!(stream.reassembly.buffer.is_none());
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
            prop_assert_eq!(stream.reassembly.buffered_bytes(), first.len() - expected.len());
        }
        stream.clear();
    }

    #[test]
    fn bounds_hold_and_the_stream_is_a_prefix_under_any_limits(
        first_seq in first_seq(),
        (bytes, segments) in segmented(),
        (window, bytes_limit, ranges) in (0u32..300, 0usize..200, 0usize..6),
        budget in 0usize..1500,
    ) {
        let limits = ReassemblyLimits { window, bytes: bytes_limit, ranges };
        let mut stream = Stream::new(first_seq, limits, budget);
        for &(from, to) in &segments {
            let _ = stream.push(from as i64, &bytes[from..to]);
            prop_assert!(bytes.starts_with(&stream.out));
        }
        // All of it is delivered when it is sent again in order.
        let _ = stream.push(0, &bytes);
        prop_assert_eq!(&stream.out, &bytes);
        stream.clear();
    }

    #[test]
    fn any_sequence_numbers_are_taken(
        first_seq: u32,
        segments in prop::collection::vec((any::<u32>(), 0usize..70_000), 0..40),
    ) {
        let mut stream = Stream::new(first_seq, ReassemblyLimits::default(), 100_000);
        let zeros = vec![0; 70_000];
        for (offset, len) in segments {
            let _ = stream.push(i64::from(offset), &zeros[..len]);
        }
        stream.clear();
    }
}
