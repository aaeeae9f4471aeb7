//! Framings: what lies between TCP or UDP and the TLS or DTLS records inside.
//!
//! A framing is recognized by the first bytes of a direction whose SYN was seen, or of a datagram. What it
//! carries is selected like the same handshake without it.
//!
//! | framing | source | carries |
//! |---|---|---|
//! | PROXY protocol 1 and 2 | HAProxy, `proxy-protocol.txt`, section 2 | any stream, behind one header |
//! | TDS | [MS-TDS], section 2.2.3.1 | TLS, in packets of type 0x12 and 0x04 |

use crate::Bytes;
use crate::flow::Direction;
use crate::look::{NOTHING, Segment};

/// What [`Direction::framing`] means.
pub mod kind {
    /// No framing: `mark` is as [`crate::hunger::phase`] says.
    pub const NONE: u8 = 0;
    /// TDS. `mark` is the next packet header, with which a message begins.
    pub const TDS: u8 = 1;
    /// TDS. `mark` is the next packet header, which is within a message.
    pub const TDS_MESSAGE: u8 = 2;
}

/// What a stream begins with, as a number of [`crate::look`]: this and a [`kind`].
pub(crate) const FRAMING: u8 = 0x80;

/// Bytes of a frame that are looked at: no frame with a handshake in it is shorter.
pub(crate) const FRAME_START: u32 = 9;

/// The first eight of the twelve bytes of signature of PROXY protocol 2 (`proxy-protocol.txt`, section 2.2).
pub(crate) const PROXY_2: u64 = u64::from_be_bytes(*b"\r\n\r\n\0\r\nQ");

/// The first six bytes of the line of PROXY protocol 1 (`proxy-protocol.txt`, section 2.1). The shortest line has 15.
const PROXY_1: u64 = u64::from_be_bytes(*b"\0\0PROXY ");

/// Bytes of a header of PROXY protocol 2 before its addresses.
const PROXY_2_FIXED: u32 = 16;

/// Words of eight bytes that are searched for the end of the line of PROXY protocol 1. The longest line has 107
/// bytes (`proxy-protocol.txt`, section 2.1).
const PROXY_1_WORDS: u32 = 14;

/// Moves `mark` behind the PROXY protocol header that begins there, if one does. `mark` stays where it is if the
/// segment does not hold enough of the header to know its length.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(crate) fn skip_proxy_header<B: Bytes>(frame: &B, direction: &mut Direction, segment: &Segment) {
    let skip = direction.mark.wrapping_sub(segment.seq);
    if skip >= segment.len || segment.len - skip < PROXY_2_FIXED - 1 {
        return;
    }
    let (at, len) = (segment.at + skip, segment.len - skip);
    let Some(first) = frame.load_far::<8>(at as usize) else {
        return;
    };
    let first = u64::from_be_bytes(first);
    if first == PROXY_2 {
        if let Some([b'U', b'I', b'T', b'\n', 0x20 | 0x21, _, hi, lo]) = frame.load_far::<8>((at + 8) as usize)
            && len >= PROXY_2_FIXED
        {
            let addresses = u32::from(u16::from_be_bytes([hi, lo]));
            direction.mark = direction.mark.wrapping_add(PROXY_2_FIXED + addresses);
        }
        return;
    }
    if first >> 16 != PROXY_1 {
        return;
    }
    for word in 1..PROXY_1_WORDS {
        end_line(frame, direction, segment, skip, word);
        if direction.mark.wrapping_sub(segment.seq) != skip {
            return;
        }
    }
}

/// Moves `mark`, which is at `skip` of the segment, behind the line that ends in this word of eight bytes, if one does.
// A function of its own in the kernel: its many paths end where it returns.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn end_line<B: Bytes>(frame: &B, direction: &mut Direction, segment: &Segment, skip: u32, word: u32) {
    // The last word ends with the segment.
    let last = segment.len.wrapping_sub(8);
    let offset = skip.wrapping_add(word * 8);
    let offset = if offset > last { last } else { offset };
    if let Some(bytes) = frame.load_far::<8>(segment.at.wrapping_add(offset) as usize) {
        let found = line_feed(u64::from_be_bytes(bytes));
        if found != 0 {
            direction.mark = segment.seq.wrapping_add(offset + found);
        }
    }
}

/// Bytes up to the first line feed of eight and including it; 0 if there is none. A vertical tab before it counts
/// as a line feed.
#[inline(always)]
const fn line_feed(bytes: u64) -> u32 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let difference = bytes ^ (ONES * b'\n' as u64);
    // The top bit of each byte that is zero.
    let zeros = difference.wrapping_sub(ONES) & !difference & (ONES << 7);
    if zeros == 0 { 0 } else { zeros.leading_zeros() / 8 + 1 }
}

/// What the first bytes of a stream, which are `len` at `at`, say of its framing: [`FRAMING`] and a [`kind`], or
/// [`NOTHING`].
#[inline(always)]
pub(crate) fn recognize<B: Bytes>(frame: &B, at: u32, len: u32) -> u8 {
    if len < FRAME_START {
        return NOTHING;
    }
    let (Some(first), Some([ninth])) = (frame.load_far::<8>(at as usize), frame.load_far::<1>(at as usize + 8)) else {
        return NOTHING;
    };
    let first = u64::from_be_bytes(first);
    // The status is 0 or 1, the window 0.
    if first & 0x00fe_0000_0000_00ff == 0 && frame_len(kind::TDS, first, ninth) != 0 {
        return FRAMING | kind::TDS;
    }
    NOTHING
}

/// Length of the frame that begins with these nine bytes; 0 if the handshake is over before it.
#[inline(always)]
pub(crate) fn frame_len(framing: u8, first: u64, ninth: u8) -> u32 {
    match framing {
        kind::TDS | kind::TDS_MESSAGE => {
            let length = (first >> 32) as u32 & 0xffff;
            // PRELOGIN; tabular result.
            let carries = matches!((first >> 56) as u8, 0x12 | 0x04) && length >= FRAME_START;
            // The options of PRELOGIN; records of the handshake.
            let begins = framing == kind::TDS_MESSAGE || matches!(ninth, 0 | 20..=22);
            if carries && begins { length } else { 0 }
        }
        _ => 0,
    }
}

/// The framing behind a frame that begins with these bytes.
#[inline(always)]
pub(crate) fn behind_frame(framing: u8, first: u64) -> u8 {
    match framing {
        kind::TDS | kind::TDS_MESSAGE if first >> 48 & 1 == 0 => kind::TDS_MESSAGE,
        kind::TDS | kind::TDS_MESSAGE => kind::TDS,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_feed_counts() {
        for (bytes, expected) in [(b"TCP4 10.", 0), (b"\nabcdefg", 1), (b"abcdefg\n", 8), (b"ab\r\ncd\n\n", 4)] {
            assert_eq!(line_feed(u64::from_be_bytes(*bytes)), expected);
        }
    }
}
