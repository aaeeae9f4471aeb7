use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NOW: Time = Time(1_795_417_200_000_000_000);
const SECOND: u64 = 1_000_000_000;
const POINT: u32 = 7;

/// A part of a datagram: its offset, whether it is not the last, its bytes.
type Piece<'a> = (usize, bool, &'a [u8]);

/// An IPv4 fragment of a UDP datagram, with its own TTL, which identifies the header.
fn four(id: u16, ttl: u8, (at, more, payload): Piece<'_>) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend((u16::from(more) << 13 | (at / 8) as u16).to_be_bytes());
    packet.extend([ttl, 17, 0xab, 0xcd, 192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend(payload);
    packet
}

/// An IPv6 fragment of a UDP datagram, after hop-by-hop options.
fn six(id: u32, (at, more, payload): Piece<'_>) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((16 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 64]);
    packet.extend([0x20; 32]);
    packet.extend([44, 0, 1, 4, 0, 0, 0, 0]);
    packet.extend([17, 0]);
    packet.extend((at as u16 | u16::from(more)).to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend(payload);
    packet
}

fn push(defrag: &mut Defragmenter, packet: &[u8]) -> Result<Option<Vec<u8>>, DefragError> {
    push_at(defrag, packet, NOW)
}

/// Pushes a fragment, and checks that the counters balance and no bound is exceeded.
fn push_at(defrag: &mut Defragmenter, packet: &[u8], time: Time) -> Result<Option<Vec<u8>>, DefragError> {
    let before = defrag.stats();
    let outcome = defrag.push(packet, POINT, time).map(|whole| whole.map(<[u8]>::to_vec));
    let (stats, limits) = (defrag.stats(), defrag.limits);
    assert!(stats.balanced(), "{stats:?}");
    assert_eq!(stats.refused.iter().sum::<u64>() - before.refused.iter().sum::<u64>(), u64::from(outcome.is_err()));
    assert_eq!(stats.completed - before.completed, u64::from(matches!(outcome, Ok(Some(_)))));
    assert!(defrag.buffered <= limits.bytes && defrag.order.len() <= limits.datagrams);
    let waiting: Vec<_> = defrag.order.iter().map(|place| &defrag.datagrams[*place as usize]).collect();
    assert_eq!(waiting.iter().map(|datagram| datagram.buffered()).sum::<usize>(), defrag.buffered);
    assert_eq!(waiting.iter().map(|datagram| datagram.payload() as u64).sum::<u64>(), stats.buffered_bytes);
    assert_eq!((waiting.len(), waiting.len() as u64), (defrag.index.len(), stats.pending));
    assert!(defrag.datagrams.len() <= limits.datagrams);
    for datagram in waiting {
        let (fragments, pieces) = datagram.shape();
        assert!(fragments <= limits.fragments && pieces <= 2 * fragments);
    }
    outcome
}

fn payload(len: usize) -> Vec<u8> {
    (0..len as u32).map(|place| (place.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect()
}

#[test]
fn an_ipv4_datagram_has_a_header_without_fragment_fields() {
    let data = payload(2500);
    let pieces = [(0, true, &data[..1480]), (1480, true, &data[1480..2480]), (2480, false, &data[2480..])];
    let mut whole = vec![0x45, 0, 0x09, 0xd8, 0, 7, 0, 0, 60, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    whole.extend(&data);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
        let mut defrag = Defragmenter::default();
        let [first, second, third] = order.map(|number| four(7, 60 + number as u8, pieces[number]));
        assert_eq!(push(&mut defrag, &first), Ok(None));
        assert_eq!(push(&mut defrag, &second), Ok(None));
        assert_eq!(push(&mut defrag, &third).unwrap().as_ref(), Some(&whole), "{order:?}");
        let stats = defrag.stats();
        assert_eq!((stats.completed, stats.completed_bytes, stats.pending, defrag.buffered_bytes()), (1, 2500, 0, 0));
    }
}

#[test]
fn an_ipv6_datagram_loses_its_fragment_header() {
    let data = payload(2000);
    let mut whole = vec![0x60, 0, 0, 0, 0x07, 0xd8, 0, 64];
    whole.extend([0x20; 32]);
    whole.extend([17, 0, 1, 4, 0, 0, 0, 0]);
    whole.extend(&data);
    let (first, last) = (six(0xdead_beef, (0, true, &data[..1232])), six(0xdead_beef, (1232, false, &data[1232..])));
    let mut defrag = Defragmenter::default();
    for (one, two) in [(&first, &last), (&last, &first)] {
        assert_eq!(push(&mut defrag, one), Ok(None));
        assert_eq!(push(&mut defrag, two).unwrap().as_ref(), Some(&whole));
    }
    assert_eq!(defrag.datagrams.len(), 1, "a slot is reused");
}

#[test]
fn fragments_of_different_datagrams_do_not_mix() {
    let data = payload(16);
    let mut defrag = Defragmenter::default();
    let first = four(1, 64, (0, true, &data[..8]));
    push(&mut defrag, &first).unwrap();
    let last = four(1, 64, (8, false, &data[8..]));
    // Another identification, protocol, source, destination, version.
    for (place, value) in [(5, 2), (9, 6), (12, 10), (19, 9)] {
        let mut other = last.clone();
        other[place] = value;
        assert_eq!(push(&mut defrag, &other), Ok(None), "byte {place}");
    }
    assert_eq!(push(&mut defrag, &six(1, (8, false, &data[8..]))), Ok(None));
    assert_eq!(push(&mut defrag, &last).unwrap().map(|whole| whole.len()), Some(36));
    assert_eq!(defrag.stats().pending, 5);
}

#[test]
fn fragments_of_two_capture_points_do_not_mix() {
    let (data, noise) = (payload(24), [0xee; 8]);
    let mut defrag = Defragmenter::default();
    let (first, last) = (four(1, 64, (0, true, &data[..16])), four(1, 63, (16, false, &data[16..])));
    // Fragmented again between the two capture points.
    let recut = [four(1, 63, (0, true, &data[..8])), four(1, 63, (8, false, &[&data[8..], &noise[..]].concat()))];
    let mut at = |place, packet: &[u8]| defrag.push(packet, place, NOW).unwrap().map(<[u8]>::to_vec);
    assert_eq!(at(2, &first), None);
    assert_eq!(at(5, &recut[0]), None);
    assert_eq!(at(2, &last).map(|whole| whole[20..].to_vec()), Some(data.clone()));
    assert_eq!(at(5, &recut[1]).map(|whole| whole.len()), Some(20 + 24 + 8));
    assert_eq!((defrag.stats().completed, defrag.stats().pending, defrag.stats().overlapping), (2, 0, 0));
}

#[test]
fn duplicates_are_counted_and_change_nothing() {
    let data = payload(24);
    let mut defrag = Defragmenter::default();
    for _ in 0..3 {
        push(&mut defrag, &four(1, 64, (0, true, &data[..16]))).unwrap();
    }
    // A part of the known bytes, with the same values.
    push(&mut defrag, &four(1, 64, (8, true, &data[8..16]))).unwrap();
    let stats = defrag.stats();
    assert_eq!((stats.duplicate, stats.duplicate_bytes, stats.overlapping), (3, 40, 0));
    assert!(push(&mut defrag, &four(1, 64, (16, false, &data[16..]))).unwrap().is_some());
}

#[test]
fn the_first_copy_of_a_byte_in_overlapping_fragments_counts() {
    let (data, noise) = (payload(64), [0xee; 64]);
    for packet in [|piece: Piece<'_>| four(1, 64, piece), |piece: Piece<'_>| six(1, piece)] {
        let mut defrag = Defragmenter::default();
        push(&mut defrag, &packet((16, true, &data[16..32]))).unwrap();
        // Overlaps the first one, with other bytes.
        let around = [&data[8..16], &noise[..16], &data[32..40]].concat();
        push(&mut defrag, &packet((8, true, &around))).unwrap();
        push(&mut defrag, &packet((8, true, &noise[..8]))).unwrap();
        push(&mut defrag, &packet((32, false, &[&noise[..8], &data[40..]].concat()))).unwrap();
        let whole = push(&mut defrag, &packet((0, true, &[&data[..8], &noise[..16]].concat()))).unwrap().unwrap();
        assert_eq!(&whole[whole.len() - 64..], data);
        let stats = defrag.stats();
        assert_eq!((stats.overlapping, stats.overlapped_bytes, stats.duplicate), (4, 16 + 8 + 8 + 16, 0));
    }
}

#[test]
fn a_last_fragment_without_new_bytes_may_complete_a_datagram() {
    let data = payload(16);
    let mut defrag = Defragmenter::default();
    push(&mut defrag, &four(1, 64, (0, true, &data))).unwrap();
    assert!(push(&mut defrag, &four(1, 64, (8, false, &data[8..]))).unwrap().is_some());
}

#[test]
fn the_length_of_a_datagram_does_not_change() {
    let data = payload(64);
    let mut defrag = Defragmenter::default();
    let refused = |defrag: &mut Defragmenter, piece| push(defrag, &four(1, 64, piece)).unwrap_err();
    push(&mut defrag, &four(1, 64, (32, true, &data[32..40]))).unwrap();
    assert_eq!(refused(&mut defrag, (16, false, &data[16..24])), DefragError::Contradiction, "before known bytes");
    push(&mut defrag, &four(1, 64, (40, false, &data[40..47]))).unwrap();
    assert_eq!(refused(&mut defrag, (40, false, &data[40..48])), DefragError::Contradiction, "another last");
    assert_eq!(refused(&mut defrag, (40, true, &data[40..48])), DefragError::Contradiction, "beyond the last");
    assert_eq!(refused(&mut defrag, (48, true, &data[48..])), DefragError::Contradiction);
    assert_eq!(defrag.stats().refused_bytes, 8 + 8 + 8 + 16);
    let whole = push(&mut defrag, &four(1, 64, (0, true, &data[..32]))).unwrap().unwrap();
    assert_eq!(whole[20..], data[..47]);
}

#[test]
fn a_longer_first_header_does_not_make_the_datagram_too_long() {
    let data = payload(65_512);
    let mut defrag = Defragmenter::default();
    push(&mut defrag, &four(1, 64, (8, false, &data[8..]))).unwrap();
    let mut first = four(1, 64, (0, true, &data[..8]));
    // Four bytes of options: 65536 with the last one's end.
    first[0] = 0x46;
    first[3] += 4;
    first.splice(20..20, [1, 1, 1, 0]);
    assert_eq!(push(&mut defrag, &first), Err(DefragError::TooLong));
    let whole = push(&mut defrag, &four(1, 64, (0, true, &data[..8]))).unwrap().unwrap();
    assert_eq!((whole.len(), &whole[2..4]), (65_532, &[0xff, 0xfc][..]));

    let data = payload(65_535);
    push(&mut defrag, &six(1, (65_504, false, &data[..23]))).unwrap();
    for at in (0..65_504).step_by(16_376) {
        let end = (at + 16_376).min(65_504);
        let whole = push(&mut defrag, &six(1, (at, true, &data[at..end]))).unwrap();
        assert_eq!(whole.map(|whole| whole.len()), (end == 65_504).then_some(40 + 65_535));
    }
    assert_eq!(push(&mut defrag, &six(1, (65_504, false, &data[..24]))), Err(DefragError::TooLong));
}

#[test]
fn too_many_fragments_of_one_datagram_are_refused() {
    let mut defrag = Defragmenter::default();
    for number in 0..DefragLimits::DEFAULT.fragments {
        push(&mut defrag, &four(1, 64, (16 * number, true, &[7; 8]))).unwrap();
    }
    assert_eq!(push(&mut defrag, &four(1, 64, (8, true, &[7; 8]))), Err(DefragError::TooMany));
    assert_eq!(push(&mut defrag, &four(1, 64, (0, true, &[7; 8]))), Ok(None), "a duplicate brings nothing");
}

#[test]
fn a_datagram_expires_30_seconds_after_its_first_fragment() {
    let data = payload(16);
    let mut defrag = Defragmenter::default();
    let (first, last) = (four(1, 64, (0, true, &data[..8])), four(1, 64, (8, false, &data[8..])));
    push_at(&mut defrag, &first, NOW).unwrap();
    push_at(&mut defrag, &first, Time(NOW.0 + 29 * SECOND)).unwrap();
    defrag.expire(Time(NOW.0 - SECOND));
    defrag.expire(Time(NOW.0 + 30 * SECOND - 1));
    assert_eq!(defrag.stats().pending, 1);
    assert_eq!(push_at(&mut defrag, &last, Time(NOW.0 + 30 * SECOND)), Ok(None));
    let stats = defrag.stats();
    assert_eq!((stats.expired, stats.expired_bytes, stats.pending, stats.buffered_bytes), (1, 8, 1, 8));
    defrag.expire(Time(NOW.0 + 60 * SECOND));
    assert_eq!((defrag.stats().expired, defrag.buffered_bytes()), (2, 0));
    assert!(defrag.stats().balanced());
}

#[test]
fn the_oldest_datagram_is_evicted() {
    let limits = DefragLimits { datagrams: 2, ..DefragLimits::default() };
    let mut defrag = Defragmenter::new(&limits);
    for (second, id) in [1, 2, 1, 3].into_iter().enumerate() {
        push_at(&mut defrag, &four(id, 64, (0, true, &[1; 8])), Time(NOW.0 + second as u64 * SECOND)).unwrap();
    }
    assert_eq!((defrag.stats().evicted, defrag.stats().evicted_bytes), (1, 8));
    // The first is the oldest, although it was repeated since.
    assert!(push(&mut defrag, &four(2, 64, (8, false, &[2; 8]))).unwrap().is_some());
    assert_eq!(push(&mut defrag, &four(1, 64, (8, false, &[2; 8]))), Ok(None));

    // Three heads and payloads of 36 and 28 bytes; the newest one alone may fill it.
    let mut defrag = Defragmenter::new(&DefragLimits { bytes: 100, ..DefragLimits::default() });
    push(&mut defrag, &four(1, 64, (0, true, &[1; 16]))).unwrap();
    push(&mut defrag, &four(2, 64, (0, true, &[1; 8]))).unwrap();
    push(&mut defrag, &four(3, 64, (0, true, &[1; 8]))).unwrap();
    assert_eq!((defrag.buffered_bytes(), defrag.stats().evicted), (92, 0));
    push(&mut defrag, &four(1, 64, (16, true, &[1; 16]))).unwrap();
    assert_eq!((defrag.buffered_bytes(), defrag.stats().evicted), (80, 1), "the oldest other one");
    push(&mut defrag, &four(1, 64, (32, true, &[1; 48]))).unwrap();
    assert_eq!((defrag.buffered_bytes(), defrag.stats().evicted), (100, 2));
    assert_eq!(push(&mut defrag, &four(1, 64, (80, true, &[1; 8]))), Err(DefragError::OverLimit));
    assert_eq!(push(&mut defrag, &four(9, 64, (0, true, &[1; 88]))), Err(DefragError::OverLimit));
    assert_eq!(defrag.stats().pending, 1, "a datagram that cannot fit evicts no other");
}

#[test]
fn a_flood_takes_bounded_memory() {
    let mut defrag = Defragmenter::default();
    assert_eq!((defrag.datagrams.capacity(), defrag.index.capacity(), defrag.complete.capacity()), (0, 0, 0));
    let data = payload(65_000);
    for id in 0..3000 {
        let len = if id % 2 == 0 { 65_000 } else { 8 };
        push(&mut defrag, &four(id, 64, (0, true, &data[..len]))).unwrap();
    }
    assert!(defrag.buffered_bytes() > DefragLimits::DEFAULT.bytes - 70_000);
    defrag.expire(Time(NOW.0 + 31 * SECOND));
    assert_eq!((defrag.buffered_bytes(), defrag.stats().pending, defrag.complete.capacity()), (0, 0, 0));
}

/// A datagram's payload and its fragments: all of it, then some further parts, in any order.
fn fragmented() -> impl Strategy<Value = (Vec<u8>, Vec<(usize, usize)>)> {
    let cuts = prop::collection::vec(0usize..150, 0..30);
    let more = prop::collection::vec((0usize..150, 1usize..20), 0..20);
    (prop::collection::vec(any::<u8>(), 9..1200), cuts, more).prop_flat_map(|(bytes, cuts, more)| {
        let (len, units) = (bytes.len(), (bytes.len() - 1) / 8);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| 8 * (1 + cut % units)).chain([0, len]).collect();
        cuts.push(8);
        cuts.sort_unstable();
        cuts.dedup();
        let cover: Vec<_> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let more = more.into_iter().map(|(from, n)| (8 * (from % units), n)).map(move |(from, n)| {
            // One part with everything would not be a fragment.
            (from, (from + 8 * n).min(if from == 0 { 8 * units } else { len }))
        });
        let pieces: Vec<_> = cover.into_iter().chain(more).collect();
        (Just(bytes), Just(pieces).prop_shuffle())
    })
}

proptest! {
    #[test]
    fn cuts_order_repetition_and_overlap_do_not_change_the_datagram(
        (bytes, pieces) in fragmented(),
        version_6: bool,
    ) {
        let mut defrag = Defragmenter::default();
        let mut covered = vec![false; bytes.len()];
        for (from, to) in pieces {
            let piece = (from, to < bytes.len(), &bytes[from..to]);
            let packet = if version_6 { six(3, piece) } else { four(3, 64, piece) };
            covered[from..to].fill(true);
            let outcome = push(&mut defrag, &packet);
            // A last fragment may have only known bytes, as others may have said that they are not the last.
            if let Some(whole) = outcome.unwrap() {
                prop_assert!(covered.iter().all(|byte| *byte));
                prop_assert_eq!(&whole[whole.len() - bytes.len()..], &bytes);
                prop_assert_eq!(whole.len() - bytes.len(), if version_6 { 48 } else { 20 });
                covered.fill(false);
            }
        }
        prop_assert!(defrag.stats().completed > 0);
    }

    #[test]
    fn of_copies_that_differ_the_first_to_arrive_wins(
        pieces in prop::collection::vec((0usize..20, prop::collection::vec(any::<u8>(), 8..80)), 1..60),
        last in prop::collection::vec(any::<u8>(), 1..9),
    ) {
        // The last fragment is first, so that the datagram does not complete early.
        let mut defrag = Defragmenter::default();
        let end = 30 * 8;
        push(&mut defrag, &four(1, 64, (end, false, &last))).unwrap();
        let mut first: BTreeMap<usize, u8> = (end..).zip(last.iter().copied()).collect();
        for (at, bytes) in &pieces {
            let (at, bytes) = (8 * at, &bytes[..bytes.len() / 8 * 8]);
            for (place, byte) in (at..).zip(bytes) {
                first.entry(place).or_insert(*byte);
            }
            let whole = push(&mut defrag, &four(1, 64, (at, true, bytes))).unwrap();
            prop_assert_eq!(whole.is_some(), first.len() == end + last.len());
            if let Some(whole) = whole {
                prop_assert_eq!(&whole[20..], first.values().copied().collect::<Vec<_>>());
                return Ok(());
            }
        }
    }

    #[test]
    fn bounds_hold_under_any_limits_and_fragments(
        (datagrams, fragments, payload, bytes) in (0usize..5, 0usize..6, 0usize..400, 0usize..600),
        steps in prop::collection::vec((0u16..8, 0usize..40, 0usize..120, any::<bool>(), 0u64..12), 0..120),
    ) {
        let limits = DefragLimits { datagrams, fragments, payload, bytes, age: DefragLimits::DEFAULT.age };
        let mut defrag = Defragmenter::new(&limits);
        let mut time = NOW;
        for (id, at, len, more, wait) in steps {
            time.0 += wait * SECOND;
            let data = vec![id as u8; len];
            let piece = (8 * at, more, &data[..]);
            let packet = if id % 2 == 0 { four(id, 64, piece) } else { six(id.into(), piece) };
            let _ = push_at(&mut defrag, &packet, time);
        }
        defrag.expire(Time(time.0 + 30 * SECOND));
        prop_assert_eq!((defrag.buffered_bytes(), defrag.stats().pending), (0, 0));
        prop_assert!(defrag.stats().balanced());
    }

    #[test]
    fn any_bytes_are_taken(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..20)) {
        let mut defrag = Defragmenter::default();
        for mut packet in packets {
            let _ = push(&mut defrag, &packet);
            if let Some(first) = packet.first_mut() {
                *first = if *first & 1 == 0 { 0x45 } else { 0x60 };
                let _ = push(&mut defrag, &packet);
            }
        }
    }
}
