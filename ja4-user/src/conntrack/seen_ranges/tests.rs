use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// Near the end of the sequence space, so that it wraps.
const ISN: u32 = u32::MAX - 3000;

#[test]
fn repeated_bytes_are_not_new() {
    let mut seen = SeenRanges::default();
    assert!(seen.add(u32::MAX - 9, 20));
    assert!(!seen.add(u32::MAX - 9, 20));
    assert!(!seen.add(5, 5));
    assert!(seen.add(5, 6), "one byte is new");
}

#[test]
fn late_bytes_are_new_once() {
    let mut seen = SeenRanges::default();
    assert!(seen.add(100, 10));
    assert!(seen.add(130, 10));
    assert!(seen.add(160, 10));
    assert!(seen.add(110, 20), "fills the first gap");
    assert!(!seen.add(110, 20));
    assert!(seen.add(145, 5), "the middle of the second");
    assert!(seen.add(150, 10));
    assert!(seen.add(140, 20), "the missing bytes before it");
    assert!(!seen.add(100, 70));
}

#[test]
fn far_segments_hide_nothing_that_comes_later() {
    for forged in 0..=60_u32 {
        let mut seen = SeenRanges::default();
        for segment in 0..200_u32 {
            let seq = ISN.wrapping_add(segment * 36);
            assert!(seen.add(seq, 36), "{forged} forged, segment {segment}");
            assert!(!seen.add(seq, 36), "{forged} forged, segment {segment} again");
            // Adjacent pairs and single segments, before and after.
            for place in 0..forged {
                seen.add(seq.wrapping_add((place / 2 + 1) << 27).wrapping_add(place % 2 * 1460), 1460);
            }
        }
    }
}

#[test]
fn single_segments_do_not_displace_confirmed_runs() {
    let mut seen = SeenRanges::default();
    assert!(seen.add(ISN, 36));
    assert!(seen.add(ISN.wrapping_add(36), 36));
    for place in 1..100_u32 {
        assert!(seen.add(ISN.wrapping_add(place << 20), 1460));
    }
    assert!(!seen.add(ISN, 72));
}

#[test]
fn bytes_after_a_capture_gap_are_new() {
    let mut seen = SeenRanges::default();
    let mut seq = ISN;
    for missed in [0, 1000, 100 << 20, 1 << 30, 3 << 30, 100 << 20].into_iter().cycle().take(60) {
        seq = seq.wrapping_add(missed);
        for segment in 0..50 {
            assert!(seen.add(seq, 1000), "segment {segment} behind {missed} bytes");
            assert!(!seen.add(seq, 1000));
            seq = seq.wrapping_add(1000);
        }
        assert!(!seen.add(seq.wrapping_sub(3000), 3000));
    }
}

#[test]
fn reused_sequence_numbers_are_new() {
    let mut seen = SeenRanges::default();
    // Stays separate, as the bytes after it are missing.
    assert!(seen.add(0, 1000));
    assert!(seen.add(1000, 1000));
    let mut seq = 1 << 20;
    for _ in 0..3 * (u32::MAX / 65_536) {
        assert!(seen.add(seq, 65_536));
        assert!(!seen.add(seq, 65_536));
        seq = seq.wrapping_add(65_536);
    }
}

proptest! {
    /// Equals a set of all bytes for late, repeated and partly repeated segments: so short a stream never has more runs
    /// than are remembered.
    #[test]
    fn as_the_set_of_bytes(segments in proptest::collection::vec((0..2 * RUNS as u32 - 1, 1_u32..9), 1..60)) {
        let (mut seen, mut model) = (SeenRanges::default(), HashSet::new());
        for (offset, len) in segments {
            let len = len.min(2 * RUNS as u32 - 1 - offset);
            let new = (offset..offset + len).filter(|byte| model.insert(*byte)).count() > 0;
            prop_assert_eq!(seen.add((u32::MAX - 5).wrapping_add(offset), len), new);
        }
    }

    /// In a longer stream with forged segments, bytes may be forgotten, but none is hidden.
    #[test]
    fn bytes_that_were_not_seen_never_count_as_seen(
        segments in proptest::collection::vec((0_u32..200, 1_u32..40, (1_u32..32, 0_u32..4)), 1..100)
    ) {
        let (mut seen, mut model) = (SeenRanges::default(), HashSet::new());
        for (offset, len, (place, forged)) in segments {
            let new = (offset..offset + len).filter(|byte| model.insert(*byte)).count() > 0;
            prop_assert!(seen.add(ISN.wrapping_add(offset), len) || !new);
            for segment in 0..forged {
                seen.add(ISN.wrapping_add(place << 27).wrapping_add(segment * 1460), 1460);
            }
        }
    }
}
