//! IP fragments.

use std::time::Duration;

use ja4_user::model::Time;
use ja4_user::packet::defrag::{DefragLimits, Defragmenter};

use super::original_byte;

/// Length of the IPv4 header of a generated fragment and of its reassembled datagram.
const IPV4_HEADER: usize = 20;

/// Marks an element that is a packet, not the description of a fragment.
const RAW_PACKET: u8 = 0xff;

/// Bit of the first byte of a description: more fragments follow.
const MORE_FRAGMENTS: u8 = 0x04;

/// Bit of the first byte of a description: the fragment's bytes are altered.
const ALTERED: u8 = 0x08;

/// Reassembles the fragments of a few datagrams, with small limits.
///
/// Input: elements of two kinds, by their first byte.
/// - 0xff: a length in two bytes follows, and then a packet of that length;
/// - any other value describes an IPv4 fragment in three bytes:
///   - byte 0, bits 0 and 1: identification;
///   - byte 0, bit 2: more fragments follow;
///   - byte 0, bit 3: the bytes are altered;
///   - byte 0, bits 4 to 7: seconds since the fragment before;
///   - byte 1: offset in units of 8 bytes;
///   - byte 2: length in units of 8 bytes; the last fragment is 3 bytes shorter.
///
/// Checks that each fragment and each datagram is counted once, that the limits hold, and that a reassembled datagram
/// has a correct header. While no fragment is altered, it has to be the original datagram.
pub fn fragments(data: &[u8]) {
    const LIMITS: DefragLimits =
        DefragLimits { datagrams: 3, fragments: 8, payload: 1500, bytes: 2000, age: Duration::from_secs(30) };
    let mut defrag = Defragmenter::new(&LIMITS);
    let (mut unaltered, mut rest, mut time) = (true, data, Time(1 << 60));
    while let Some((&[first, second, third], after)) = rest.split_first_chunk() {
        rest = after;
        let mut packet = Vec::new();
        if first == RAW_PACKET {
            let length = u16::from_be_bytes([second, third]);
            let (bytes, after) = rest.split_at(rest.len().min(usize::from(length)));
            (packet, rest) = (bytes.to_vec(), after);
            // The packet may be a fragment of a generated datagram.
            unaltered = false;
        } else {
            write_fragment(first, second.into(), third.into(), &mut packet);
            unaltered &= first & ALTERED == 0;
            time.0 += u64::from(first >> 4) * 1_000_000_000;
        }
        let before = defrag.stats();
        let (mut completed, mut refused) = (0, 0);
        match defrag.push(&packet, 0, time) {
            Ok(Some(datagram)) => {
                completed = 1;
                check_datagram(datagram, unaltered);
            }
            Ok(None) => {}
            Err(_) => refused = 1,
        }
        let stats = defrag.stats();
        assert!(stats.balanced());
        assert_eq!(stats.fragments, before.fragments + 1);
        assert_eq!(stats.completed, before.completed + completed);
        assert_eq!(stats.refused.iter().sum::<u64>(), before.refused.iter().sum::<u64>() + refused);
        assert!(defrag.buffered_bytes() <= LIMITS.bytes && stats.pending <= LIMITS.datagrams as u64);
        assert!(stats.buffered_bytes <= defrag.buffered_bytes() as u64);
    }
    defrag.expire(Time(u64::MAX));
    let stats = defrag.stats();
    assert!(stats.balanced());
    assert_eq!((stats.pending, stats.buffered_bytes, defrag.buffered_bytes()), (0, 0, 0));
}

/// Appends the IPv4 fragment of a description; `offset` and `len` are in units of 8 bytes.
fn write_fragment(flags: u8, offset: usize, len: usize, packet: &mut Vec<u8>) {
    let more = flags & MORE_FRAGMENTS != 0;
    let len = if more { 8 * len } else { (8 * len).saturating_sub(3) };
    packet.extend([0x45, 0]);
    packet.extend((IPV4_HEADER as u16 + len as u16).to_be_bytes());
    packet.extend([0, flags & 3]);
    packet.extend((u16::from(more) << 13 | offset as u16).to_be_bytes());
    packet.extend([64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend((8 * offset..8 * offset + len).map(|offset| original_byte(offset as u32) ^ (flags & ALTERED)));
}

/// Checks that the header of a reassembled datagram has its length and no fragment offset. If `unaltered`, the payload
/// has to be the original one.
fn check_datagram(datagram: &[u8], unaltered: bool) {
    let field = |offset: usize| usize::from(u16::from_be_bytes([datagram[offset], datagram[offset + 1]]));
    if datagram[0] >> 4 == 4 {
        assert_eq!((field(2), field(6)), (datagram.len(), 0));
    } else {
        assert_eq!(field(4), datagram.len() - 40);
    }
    if unaltered {
        assert!(datagram[IPV4_HEADER..].iter().zip(0..).all(|(byte, offset)| *byte == original_byte(offset)));
    }
}
