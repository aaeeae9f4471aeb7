//! Framings: headers between TCP or UDP and the TLS or DTLS records inside.
//!
//! The first bytes of a direction after its SYN, or of a datagram, identify a framing. A handshake in a framing is
//! selected like the same handshake without it.
//!
//! | framing | source | carries |
//! |---|---|---|
//! | PROXY protocol 1 and 2 | HAProxy, `proxy-protocol.txt`, section 2 | any stream, after one header |
//! | TDS over TCP | [MS-TDS], section 2.2.3.1 | TLS, in packets of type 0x12 and 0x04 |
//! | TURN over UDP and TCP | RFC 8656, sections 11 and 12 | DTLS, in ChannelData and in Send and Data indications |
//! | OpenVPN control channel, over UDP and TCP | OpenVPN, `src/openvpn/ssl_pkt.h` | TLS, without `tls-crypt` |
//! | a length before each datagram, over TCP | RFC 4571, section 2 | DTLS |

use crate::bytes::FrameBytes;
use crate::flow::DirectionState;
use crate::segment::SegmentPayload;
use crate::signature::prefix;

/// Framings: values of [`DirectionState::framing`].
pub mod kind {
    /// No framing. [`crate::stream_select::phase`] defines `mark`.
    pub const NONE: u8 = 0;
    /// TDS. `mark` is the next packet header, which starts a message.
    pub const TDS: u8 = 1;
    /// TDS. `mark` is the next packet header, which continues a message.
    pub const TDS_MESSAGE: u8 = 2;
    /// TURN. `mark` is the next message.
    pub const TURN: u8 = 3;
    /// A length before each datagram (RFC 4571). `mark` is the next length.
    pub const LENGTH: u8 = 4;
    /// A length before each packet of OpenVPN. `mark` is the next length.
    pub const OPENVPN: u8 = 5;
}

/// Flag in a class of [`crate::classify`]: a framing starts, and the other bits are its [`kind`].
pub(crate) const FRAMING: u8 = 0x80;

/// Bytes read at the start of a frame. Every frame with a handshake is at least that long.
pub(crate) const FRAME_START: u32 = 9;

/// The first eight of the twelve signature bytes of PROXY protocol 2 (`proxy-protocol.txt`, section 2.2).
pub(crate) const PROXY_2: u64 = u64::from_be_bytes(*b"\r\n\r\n\0\r\nQ");

/// The first six bytes of the line of PROXY protocol 1 (`proxy-protocol.txt`, section 2.1). The shortest line has 15.
const PROXY_1: u64 = u64::from_be_bytes(*b"\0\0PROXY ");

/// Bytes of a header of PROXY protocol 2 before its addresses.
const PROXY_2_FIXED: u32 = 16;

/// Words of eight bytes in which the end of the line of PROXY protocol 1 is searched. The longest line has 107 bytes
/// (`proxy-protocol.txt`, section 2.1).
const PROXY_1_WORDS: u32 = 14;

/// Moves `mark` past the PROXY protocol header that starts there, if any. Leaves `mark` if the segment does not hold
/// the length of the header.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(crate) fn skip_proxy_header<B: FrameBytes>(frame: &B, direction: &mut DirectionState, segment: &SegmentPayload) {
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

/// Moves `mark`, which is at offset `skip` of the segment, past the line if the line ends in this word of eight bytes.
// A separate function in the kernel: its many paths join where it returns.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn end_line<B: FrameBytes>(frame: &B, direction: &mut DirectionState, segment: &SegmentPayload, skip: u32, word: u32) {
    // The last word ends at the end of the segment.
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

/// Number of bytes up to and including the first line feed of eight; 0 without one. A vertical tab before it counts as
/// a line feed.
#[inline(always)]
const fn line_feed(bytes: u64) -> u32 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let difference = bytes ^ (ONES * b'\n' as u64);
    // The top bit of each byte that is zero.
    let zeros = difference.wrapping_sub(ONES) & !difference & (ONES << 7);
    if zeros == 0 { 0 } else { zeros.leading_zeros() / 8 + 1 }
}

/// Recognizes the framing of a stream by its first bytes, `len` bytes at `at`. Returns [`FRAMING`] with a [`kind`], or
/// [`prefix::NONE`].
#[inline(always)]
pub(crate) fn recognize<B: FrameBytes>(frame: &B, at: u32, len: u32) -> u8 {
    if len < FRAME_START {
        return if is_header_alone(frame, at, len) { prefix::TOO_SHORT } else { prefix::NONE };
    }
    let (Some(first), Some([ninth])) = (frame.load_far::<8>(at as usize), frame.load_far::<1>(at as usize + 8)) else {
        return prefix::NONE;
    };
    let first = u64::from_be_bytes(first);
    // The status is 0 or 1, the window is 0.
    if first & 0x00fe_0000_0000_00ff == 0 && frame_len(kind::TDS, first, ninth) != 0 {
        return FRAMING | kind::TDS;
    }
    let is_channel = first >> 60 == 4 && (first >> 16) as u16 == 0x16fe;
    if starts_stun(first) || is_channel {
        return FRAMING | kind::TURN;
    }
    // A STUN message that fills a frame of RFC 4571.
    let is_counted_stun = first & 0xfe00_0003_ffff == 0x2112
        && (first >> 48) as u32 == (first >> 16) as u32 % 0x1_0000 + STUN_HEADER
        && ninth == (MAGIC_COOKIE >> 8) as u8;
    if is_counted_stun || matches!(first >> 24 & 0xff_ffff, 0x16_fefd | 0x16_feff) {
        return FRAMING | kind::LENGTH;
    }
    let length = (first >> 48) as u32;
    if length + 2 > len {
        return prefix::NONE;
    }
    match openvpn::classify(frame, at + 2, length) {
        openvpn::CLIENT | openvpn::SERVER | openvpn::RESET_REPLY => FRAMING | kind::OPENVPN,
        _ => prefix::NONE,
    }
}

/// Whether the `len` bytes at `at` may be the header of a frame in a segment of its own: a length of RFC 4571 or
/// OpenVPN, or the header of ChannelData or TDS.
#[inline(always)]
fn is_header_alone<B: FrameBytes>(frame: &B, at: u32, len: u32) -> bool {
    let at = at as usize;
    match len {
        // A DTLS hello takes at least some 60 bytes, and a datagram rarely exceeds an Ethernet frame.
        2 => matches!(frame.load_far::<2>(at), Some([0..=5, _])),
        4 => matches!(frame.load_far::<4>(at), Some([0x40..=0x4f, _, 0..=5, _])),
        8 => matches!(frame.load_far::<8>(at), Some([0x12 | 0x04, 0 | 1, _, _, _, _, _, 0])),
        _ => false,
    }
}

/// Bytes of a STUN header (RFC 8489, section 5).
const STUN_HEADER: u32 = 20;

/// The magic cookie of every STUN message (RFC 8489, section 5).
const MAGIC_COOKIE: u64 = 0x2112_a442;

/// Whether a STUN message starts with these eight bytes: type below 0x0200, a length divisible by four, the cookie.
#[inline(always)]
const fn starts_stun(first: u64) -> bool {
    first & 0xfe00_0003_ffff_ffff == MAGIC_COOKIE
}

/// Whether the first five bytes of a datagram, right-aligned, belong to a DTLS handshake of epoch 0 or to a STUN
/// message.
#[inline(always)]
const fn continues(content: u64) -> bool {
    let byte = content >> 32;
    byte < 2 || (byte >= 20 && byte <= 22 && content & 0xff00_ffff == 0xfe00_0000)
}

/// Packets of the control channel of OpenVPN (`src/openvpn/ssl_pkt.h`).
pub(crate) mod openvpn {
    use crate::bytes::FrameBytes;

    /// Not a packet of the control channel.
    pub(crate) const NOTHING: u8 = 0;
    /// A client's hard reset, or a packet with its ClientHello.
    pub(crate) const CLIENT: u8 = 1;
    /// A packet with a ServerHello.
    pub(crate) const SERVER: u8 = 2;
    /// Another packet of the control channel.
    pub(crate) const CONTROL: u8 = 3;
    /// A server's hard reset. Over UDP it starts no flow, because many other protocols use its first byte.
    pub(crate) const RESET_REPLY: u8 = 4;

    /// First bytes of packets with key 0: opcode in the upper five bits, key ID in the lower three.
    const CLIENT_RESET: u8 = 7 << 3;
    const SERVER_RESET: u8 = 8 << 3;
    const CONTROL_0: u8 = 4 << 3;

    /// Bytes of a hard reset: opcode, session ID, number of acknowledgments (0), packet ID.
    const SHORTEST: u32 = 14;

    /// The same with four acknowledgments, the session ID of the peer, and SHA-512 digest, packet ID and time of
    /// `tls-auth`.
    const LONGEST_RESET: u32 = SHORTEST + 4 * 4 + 8 + 64 + 8;

    /// Longest packet of the control channel (`TLS_CHANNEL_BUF_SIZE`).
    const LONGEST: u32 = 2048;

    /// Most acknowledgments in one packet (`RELIABLE_ACK_SIZE`).
    const MAX_ACKS: u8 = 8;

    /// The bytes for which [`may_begin`] returns true, as a bit set.
    pub(crate) const FIRST_BYTES: u64 = 1 << CLIENT_RESET | 1 << CONTROL_0;

    /// Whether a packet with this first byte may start a flow.
    #[inline(always)]
    pub(crate) const fn may_begin(first: u8) -> bool {
        first == CLIENT_RESET || first == CONTROL_0
    }

    /// Whether a packet with this first byte belongs to the control channel: a soft reset or the TLS stream with any
    /// key, or a hard reset.
    #[inline(always)]
    pub(crate) const fn is_control(first: u8) -> bool {
        matches!(first >> 3, 3 | 4) || matches!(first, CLIENT_RESET | SERVER_RESET)
    }

    /// Whether a frame of a TCP stream with this first byte belongs to the control channel, acknowledgments included.
    #[inline(always)]
    pub(crate) const fn continues(first: u8) -> bool {
        matches!(first >> 3, 3..=5 | 7 | 8)
    }

    /// Classifies the packet of `len` bytes at `at`.
    #[inline(always)]
    pub(crate) fn classify<B: FrameBytes>(frame: &B, at: u32, len: u32) -> u8 {
        if !(SHORTEST..=LONGEST).contains(&len) {
            return NOTHING;
        }
        let (Some([first]), Some([acks])) = (frame.load_far::<1>(at as usize), frame.load_far::<1>(at as usize + 9))
        else {
            return NOTHING;
        };
        if !is_control(first) {
            return NOTHING;
        }
        if matches!(first, CLIENT_RESET | SERVER_RESET) {
            // A reset ends with its packet ID, which is 0. `tls-crypt` encrypts it.
            return match frame.load_far::<4>((at + len - 4) as usize) {
                Some([0, 0, 0, 0]) if len <= LONGEST_RESET && first == CLIENT_RESET => CLIENT,
                Some([0, 0, 0, 0]) if len <= LONGEST_RESET => RESET_REPLY,
                _ => NOTHING,
            };
        }
        // Start of the TLS stream without `tls-auth`: after acknowledgments, the session ID of the peer, and the
        // packet ID.
        let payload = SHORTEST + 4 * u32::from(acks) + if acks == 0 { 0 } else { 8 };
        if first != CONTROL_0 || acks > MAX_ACKS || len < payload + 6 {
            return CONTROL;
        }
        match frame.load_far::<6>((at + payload) as usize) {
            Some([22, 3, 0..=4, _, _, 1]) => CLIENT,
            Some([22, 3, 0..=4, _, _, 2]) => SERVER,
            _ => CONTROL,
        }
    }
}

/// Length of the frame that starts with these nine bytes; 0 if the handshake ends before it.
#[inline(always)]
pub(crate) fn frame_len(framing: u8, first: u64, ninth: u8) -> u32 {
    match framing {
        kind::TDS | kind::TDS_MESSAGE => {
            let length = (first >> 32) as u32 & 0xffff;
            // PRELOGIN, or a tabular result.
            let carries = matches!((first >> 56) as u8, 0x12 | 0x04) && length >= FRAME_START;
            // The options of PRELOGIN, or records of the handshake.
            let starts = framing == kind::TDS_MESSAGE || matches!(ninth, 0 | 20..=22);
            if carries && starts { length } else { 0 }
        }
        kind::LENGTH => {
            let length = (first >> 48) as u32;
            if length == 0 || continues(first >> 8 & 0xff_ffff_ffff) { length + 2 } else { 0 }
        }
        kind::OPENVPN if openvpn::continues((first >> 40) as u8) => (first >> 48) as u32 + 2,
        kind::TURN => {
            let length = (first >> 32) as u32 & 0xffff;
            if starts_stun(first) {
                length + STUN_HEADER
            } else if first >> 60 == 4 && continues((first << 8 | ninth as u64) & 0xff_ffff_ffff) {
                // Padded to a multiple of four bytes (RFC 8656, section 12.5).
                length.div_ceil(4) * 4 + 4
            } else {
                0
            }
        }
        _ => 0,
    }
}

/// The framing after a frame that starts with these bytes.
#[inline(always)]
pub(crate) fn framing_after(framing: u8, first: u64) -> u8 {
    match framing {
        kind::TDS | kind::TDS_MESSAGE if first >> 48 & 1 == 0 => kind::TDS_MESSAGE,
        kind::TDS | kind::TDS_MESSAGE => kind::TDS,
        other => other,
    }
}

/// Whether the first eight bytes of a datagram may start a TURN message with DTLS: ChannelData with a handshake
/// record, or a Send or Data indication.
#[inline(always)]
pub(crate) const fn may_carry_dtls(first: u64) -> bool {
    let is_channel = first >> 60 == 4 && matches!((first >> 16) as u16, 0x15fe | 0x16fe);
    is_channel || first & 0xfffe_0000_ffff_ffff == 0x0016_0000_0000_0000 | MAGIC_COOKIE
}

/// Attributes of an indication that are read. A peer address, DONT-FRAGMENT and an ICMP error may precede the data
/// (RFC 8656, sections 11.1 and 11.4).
const MAX_ATTRIBUTES: u32 = 4;

/// The DATA attribute (RFC 8656, section 18).
const DATA: u32 = 0x0013;

/// Moves `at` from the start of a TURN message, with the first bytes `first`, to its data. Sets it to 0 if the message
/// has none.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(crate) fn find_turn_data<B: FrameBytes>(frame: &B, first: u64, at: &mut u32) {
    if first >> 60 == 4 {
        *at += 4;
        return;
    }
    *at += STUN_HEADER;
    for _ in 0..MAX_ATTRIBUTES {
        let attribute = attribute(frame, *at);
        if attribute >> 16 == DATA {
            *at += 4;
            return;
        }
        *at += 4 + (attribute & 0xffff).div_ceil(4) * 4;
    }
    *at = 0;
}

/// Type and length of the attribute at an offset; 0 if the frame is shorter.
// A separate function in the kernel: its paths join where it returns.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn attribute<B: FrameBytes>(frame: &B, at: u32) -> u32 {
    match frame.load_far::<4>(at as usize) {
        Some(bytes) => u32::from_be_bytes(bytes),
        None => 0,
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
