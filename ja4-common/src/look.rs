//! What the bytes of a segment say: what they begin, whether a header block ends with them, whether the
//! handshake is over before them.

use crate::Bytes;
use crate::begin::{self, ALERT, ALERT_WARNING, Begin, HANDSHAKE, MAX_RECORD, RECORD_HEADER, SHORTEST};
use crate::framing::{self, PROXY_2};
use crate::text;

/// Payload of one segment and where it stands.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Segment {
    /// Sequence number of the first payload byte.
    pub seq: u32,
    /// Offset of the payload in the frame.
    pub at: u32,
    /// Length of the payload, bytes.
    pub len: u32,
    /// How the payload reads as text, see [`crate::text`].
    pub text: u8,
}

/// What a segment begins with.
#[inline(always)]
pub fn begins<B: Bytes>(frame: &B, segment: &Segment) -> Begin {
    let Some(first) = first_eight(frame, segment) else {
        return Begin::Nothing;
    };
    match begin::binary(first) {
        Some(begin) => begin,
        None => B::text(first),
    }
}

/// The first eight bytes of a segment, in network byte order; `None` where it is too short to begin anything.
#[inline(always)]
fn first_eight<B: Bytes>(frame: &B, segment: &Segment) -> Option<u64> {
    // What lies behind a shorter payload is not the stream's: an Ethernet trailer, or padding.
    if segment.len < SHORTEST {
        return None;
    }
    frame.load_far::<8>(segment.at as usize).map(u64::from_be_bytes)
}

// What bytes begin with, as numbers: each [`Begin`], and more.
pub(crate) const NOTHING: u8 = Begin::Nothing as u8;
pub(crate) const HTTP1: u8 = Begin::Http1 as u8;
pub(crate) const HTTP2: u8 = Begin::Http2 as u8;
pub(crate) const SSH: u8 = Begin::Ssh as u8;
/// The bytes are too few to tell.
pub(crate) const TOO_FEW: u8 = 0x40;
/// They are too few, and of a TLS handshake record.
pub(crate) const HALF_A_HEADER: u8 = 0x41;
/// They are too few: the letter S alone.
pub(crate) const LETTER_S: u8 = 0x42;
/// They are too few: two letters S and what follows them.
pub(crate) const LETTERS_SS: u8 = 0x43;
/// A header of the PROXY protocol.
pub(crate) const PROXY: u8 = 0x44;
/// Lines of text, behind which an SSH identification string begins.
pub(crate) const TEXT_SSH: u8 = 0x46;

/// TLS content types (RFC 8446, section 5.1).
mod content {
    pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(super) const APPLICATION_DATA: u8 = 23;
}

/// Bytes of a ChangeCipherSpec record.
const CHANGE_CIPHER_SPEC: u32 = RECORD_HEADER + 1;

/// Bytes of an alert record.
const ALERT_RECORD: u32 = RECORD_HEADER + 2;

/// What the bytes of a segment behind `skip` begin with: a `Begin`, `TOO_FEW`, `HALF_A_HEADER`, `LETTER_S`,
/// `LETTERS_SS`, `PROXY`, `TEXT_SSH`, or a framing (`framing::recognize`); the last seven only for a stream's
/// `first` bytes.
#[inline(always)]
pub fn look<B: Bytes>(frame: &B, segment: &Segment, skip: u32, first: bool) -> u8 {
    // Text is classified inline: a call would add a frame to the kernel's stack.
    let found = match first {
        true => first_bytes(frame, segment, skip),
        false => first_eight(frame, segment).map_or(NOTHING, |first| begin::begin(first) as u8),
    };
    if first && found == NOTHING {
        return framing::recognize(frame, segment.at + skip, segment.len - skip);
    }
    found
}

/// `found`, corrected by what reading the segment as text has shown.
#[inline(always)]
fn with_text(found: u8, segment: &Segment) -> u8 {
    match (found, segment.text) {
        (NOTHING | HTTP1, text::SSH) => TEXT_SSH,
        (HTTP1, text::LINES) => NOTHING,
        (found, _) => found,
    }
}

/// What the in-order first bytes of a stream are, which lie `skip` bytes behind the segment's first.
#[inline(always)]
fn first_bytes<B: Bytes>(frame: &B, segment: &Segment, skip: u32) -> u8 {
    let (at, len) = (segment.at + skip, segment.len - skip);
    let Some([first]) = frame.load_far::<1>(at as usize) else {
        return NOTHING;
    };
    if matches!(first, b'\r' | b'\n') {
        if first == b'\r' && is_proxy_2(frame, at, len) {
            return PROXY;
        }
        // An empty line before the request line (RFC 9112, section 2.2), which a bare LF may end.
        return match frame.load_far::<4>(at as usize) {
            Some([b'\r', b'\n', c, d] | [b'\n', c, d, _])
                if len > RECORD_HEADER && c.is_ascii_uppercase() && d.is_ascii_uppercase() =>
            {
                with_text(Begin::Http1 as u8, segment)
            }
            _ => with_text(NOTHING, segment),
        };
    }
    if first != HANDSHAKE && first != ALERT && !first.is_ascii_uppercase() {
        return with_text(NOTHING, segment);
    }
    if len >= 8
        && let Some(eight) = frame.load_far::<8>(at as usize)
    {
        let begin = begin::begin(u64::from_be_bytes(eight));
        if begin != Begin::Nothing {
            return begin as u8;
        }
    }
    if len <= RECORD_HEADER {
        return few_bytes(frame, at, len, first);
    }
    match frame.load_far::<6>(at as usize) {
        // A first record that holds less than a handshake header.
        Some([HANDSHAKE, 3, 0..=4, hi, lo, 1 | 2])
            if (1..=MAX_RECORD).contains(&u32::from(u16::from_be_bytes([hi, lo]))) =>
        {
            Begin::ClientHello as u8
        }
        Some([ALERT, 3, 0..=4, 0, 2, ALERT_WARNING]) => Begin::ServerHello as u8,
        // Cut within the eight bytes that would tell.
        Some([b'S', b'S', b'H', b'-', ..]) if len < 8 => Begin::Ssh as u8,
        Some([b'P', b'R', b'I', b' ', ..]) if len < 8 => Begin::Http2 as u8,
        Some([b'P', b'R', b'O', b'X', b'Y', b' ']) => PROXY,
        Some([a, b, c, d, ..]) if begin::may_be_method([a, b, c, d]) => with_text(HTTP1, segment),
        _ => with_text(NOTHING, segment),
    }
}

/// Whether the bytes, the first of which is a carriage return, are the start of a PROXY protocol 2 header. Fewer than
/// five bytes may also be empty lines before a request.
#[inline(always)]
fn is_proxy_2<B: Bytes>(frame: &B, at: u32, len: u32) -> bool {
    let at = at as usize;
    match len {
        0 | 1 => true,
        2 | 3 => matches!(frame.load_far::<2>(at), Some([b'\r', b'\n'])),
        4 => matches!(frame.load_far::<4>(at), Some([b'\r', b'\n', b'\r', b'\n'])),
        5..8 => matches!(frame.load_far::<5>(at), Some([b'\r', b'\n', b'\r', b'\n', 0])),
        _ => matches!(frame.load_far::<8>(at), Some(first) if u64::from_be_bytes(first) == PROXY_2),
    }
}

/// What first bytes are that fill no record header, the `first` of which may begin something.
#[inline(always)]
fn few_bytes<B: Bytes>(frame: &B, at: u32, len: u32, first: u8) -> u8 {
    match first {
        HANDSHAKE => HALF_A_HEADER,
        b'S' if len == 1 => LETTER_S,
        b'S' if is_letter_s(frame, at + 1) => LETTERS_SS,
        _ => TOO_FEW,
    }
}

/// Whether the letter S lies there.
#[inline(always)]
pub(crate) fn is_letter_s<B: Bytes>(frame: &B, at: u32) -> bool {
    matches!(frame.load_far::<1>(at as usize), Some([b'S']))
}

/// Whether a segment begins with a record that no handshake message can precede in its flight.
#[inline(always)]
pub(crate) fn begins_past_handshake<B: Bytes>(frame: &B, segment: &Segment) -> bool {
    if segment.len <= RECORD_HEADER {
        return false;
    }
    match frame.load_far::<5>(segment.at as usize) {
        Some([content::CHANGE_CIPHER_SPEC, 3, 0..=4, 0, 1]) => true,
        Some([content::APPLICATION_DATA, 3, 0..=4, hi, lo]) => u32::from(u16::from_be_bytes([hi, lo])) <= MAX_RECORD,
        _ => false,
    }
}

/// Length of the record at `done` of a segment, header included, where the handshake goes on behind it and
/// its content is none; 0: it is no such record.
#[inline(always)]
pub(crate) fn interlude<B: Bytes>(frame: &B, segment: &Segment, content: u8, done: u32) -> u32 {
    let at = (segment.at + done) as usize;
    let left = segment.len - done;
    match content {
        // After a HelloRetryRequest the client sends a second hello behind it (RFC 8446, D.4), maybe in the
        // next segment.
        content::CHANGE_CIPHER_SPEC if left == CHANGE_CIPHER_SPEC => match frame.load_far::<5>(at) {
            Some([_, 3, 0..=4, 0, 1]) => CHANGE_CIPHER_SPEC,
            _ => 0,
        },
        content::CHANGE_CIPHER_SPEC if left >= CHANGE_CIPHER_SPEC + SHORTEST => {
            let behind = frame.load_far::<8>(at + CHANGE_CIPHER_SPEC as usize);
            match behind.map(|first| begin::hello(u64::from_be_bytes(first))) {
                Some(Begin::ClientHello | Begin::ServerHello) => CHANGE_CIPHER_SPEC,
                _ => 0,
            }
        }
        ALERT if left >= ALERT_RECORD => match frame.load_far::<6>(at) {
            Some([_, 3, 0..=4, 0, 2, ALERT_WARNING]) => ALERT_RECORD,
            _ => 0,
        },
        _ => 0,
    }
}

/// Whether a segment ends with an empty line, as a request without a body does (RFC 9112, section 2).
#[inline(always)]
pub(crate) fn ends_block<B: Bytes>(frame: &B, segment: &Segment) -> bool {
    if segment.len < 4 {
        return false;
    }
    let last = frame.load_far::<4>((segment.at + segment.len - 4) as usize);
    matches!(last, Some([_, b'\n', b'\r', b'\n'] | [_, _, b'\n', b'\n']))
}
