//! IP fragments.

use std::time::Duration;

use ja4_user::model::Time;
use ja4_user::packet::defrag::{DefragLimits, Defragmenter};

/// Bytes of the headers that a made fragment's datagram keeps.
const HEAD: usize = 20;

/// Fragments of few datagrams, within narrow bounds: no byte and no datagram goes uncounted, no bound is
/// passed, and as long as all copies agree, what comes out is what was sent.
///
/// Each begins with a byte: 0xff means that a length and as many bytes follow, which are a packet as they
/// stand; any other, that a fragment is made. Its low two bits then give the identification, bit 2 that more
/// follow, bit 3 damages its bytes, the high half gives seconds to wait; a byte for the offset and one for
/// the length follow, in units of 8 (the last one is 3 bytes shorter).
pub fn fragments(data: &[u8]) {
    const LIMITS: DefragLimits =
        DefragLimits { datagrams: 3, fragments: 8, payload: 1500, bytes: 2000, age: Duration::from_secs(30) };
    let mut defrag = Defragmenter::new(&LIMITS);
    let (mut honest, mut rest, mut time) = (true, data, Time(1 << 60));
    while let Some((&[shape, at, len], after)) = rest.split_first_chunk() {
        rest = after;
        let mut packet = Vec::new();
        if shape == 0xff {
            let (bytes, after) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes([at, len]))));
            (packet, rest) = (bytes.to_vec(), after);
            honest = false; // it may be a fragment of what is made
        } else {
            made(shape, at.into(), len.into(), &mut packet);
            honest &= shape & 8 == 0;
            time.0 += u64::from(shape >> 4) * 1_000_000_000;
        }
        let before = defrag.stats();
        let (mut whole, mut refused) = (0, 0);
        match defrag.push(&packet, 0, time) {
            Ok(Some(datagram)) => {
                whole = 1;
                check_whole(datagram, honest);
            }
            Ok(None) => {}
            Err(_) => refused = 1,
        }
        let stats = defrag.stats();
        assert!(stats.balanced());
        assert_eq!(stats.fragments, before.fragments + 1);
        assert_eq!(stats.completed, before.completed + whole);
        assert_eq!(stats.refused.iter().sum::<u64>(), before.refused.iter().sum::<u64>() + refused);
        assert!(defrag.buffered_bytes() <= LIMITS.bytes && stats.pending <= LIMITS.datagrams as u64);
        assert!(stats.buffered_bytes <= defrag.buffered_bytes() as u64);
    }
    defrag.expire(Time(u64::MAX));
    let stats = defrag.stats();
    assert!(stats.balanced());
    assert_eq!((stats.pending, stats.buffered_bytes, defrag.buffered_bytes()), (0, 0, 0));
}

/// An IPv4 fragment.
fn made(shape: u8, at: usize, len: usize, packet: &mut Vec<u8>) {
    let more = shape & 4 != 0;
    let len = if more { 8 * len } else { (8 * len).saturating_sub(3) };
    packet.extend([0x45, 0]);
    packet.extend((HEAD as u16 + len as u16).to_be_bytes());
    packet.extend([0, shape & 3]);
    packet.extend((u16::from(more) << 13 | at as u16).to_be_bytes());
    packet.extend([64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend((8 * at..8 * at + len).map(|place| sent(place) ^ (shape & 8)));
}

/// Its length says how long it is, nothing says that it is a fragment, and it holds what was sent.
fn check_whole(datagram: &[u8], honest: bool) {
    let length = |at: usize| usize::from(u16::from_be_bytes([datagram[at], datagram[at + 1]]));
    if datagram[0] >> 4 == 4 {
        assert_eq!((length(2), length(6)), (datagram.len(), 0));
    } else {
        assert_eq!(length(4), datagram.len() - 40);
    }
    if honest {
        assert!(datagram[HEAD..].iter().zip(0..).all(|(byte, place)| *byte == sent(place)));
    }
}

/// The byte at a place of every datagram.
fn sent(place: usize) -> u8 {
    ((place as u32).wrapping_mul(0x9e37_79b9) >> 24) as u8
}
