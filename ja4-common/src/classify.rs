//! Classifies the start of a segment: by the signature table, and, for the first bytes of a stream, also by prefixes that
//! are shorter than a signature, by text and by framing.

use crate::bytes::{FrameBytes, SliceFrame};
use crate::framing::{self, PROXY_2};
use crate::segment::{SegmentPayload, first_eight};
use crate::signature::{self, ALERT, ALERT_WARNING, HANDSHAKE, MAX_RECORD, RECORD_HEADER, StreamStart, prefix};
use crate::text;

/// The step of classification that the kernel programs call as a global function.
pub trait ClassifyStage: FrameBytes + Sized {
    /// Calls [`classify`].
    #[inline(always)]
    fn classify(&self, segment: &SegmentPayload, skip: u32, first: bool) -> u8 {
        classify(self, segment, skip, first)
    }
}

impl ClassifyStage for SliceFrame<'_> {}

/// Classifies the bytes of a segment after the first `skip`. Returns the number of a [`StreamStart`]; for the `first`
/// bytes of a stream, also a number of `prefix` or of a framing (`framing::recognize`).
#[inline(always)]
pub fn classify<B: FrameBytes>(frame: &B, segment: &SegmentPayload, skip: u32, first: bool) -> u8 {
    // Text is classified inline: a call would add a frame to the stack in the kernel.
    let found = match first {
        true => first_bytes(frame, segment, skip),
        false => first_eight(frame, segment).map_or(prefix::NONE, |first| signature::classify(first) as u8),
    };
    if first && found == prefix::NONE {
        return framing::recognize(frame, segment.at + skip, segment.len - skip);
    }
    found
}

/// Corrects the class `found` by the result of [`text::read`].
#[inline(always)]
fn with_text(found: u8, segment: &SegmentPayload) -> u8 {
    match (found, segment.text) {
        (prefix::NONE | prefix::HTTP1, text::SSH) => prefix::TEXT_SSH,
        (prefix::HTTP1, text::LINES) => prefix::NONE,
        (found, _) => found,
    }
}

/// Classifies the first bytes of a stream, which are `skip` bytes into the segment.
#[inline(always)]
fn first_bytes<B: FrameBytes>(frame: &B, segment: &SegmentPayload, skip: u32) -> u8 {
    let (at, len) = (segment.at + skip, segment.len - skip);
    let Some([first]) = frame.load_far::<1>(at as usize) else {
        return prefix::NONE;
    };
    if matches!(first, b'\r' | b'\n') {
        if first == b'\r' && is_proxy_2(frame, at, len) {
            return prefix::PROXY;
        }
        // An empty line before the request line (RFC 9112, section 2.2). A bare LF may end it.
        return match frame.load_far::<4>(at as usize) {
            Some([b'\r', b'\n', c, d] | [b'\n', c, d, _])
                if len > RECORD_HEADER && c.is_ascii_uppercase() && d.is_ascii_uppercase() =>
            {
                with_text(StreamStart::Http1 as u8, segment)
            }
            _ => with_text(prefix::NONE, segment),
        };
    }
    if first != HANDSHAKE && first != ALERT && !first.is_ascii_uppercase() {
        return with_text(prefix::NONE, segment);
    }
    if len >= 8
        && let Some(eight) = frame.load_far::<8>(at as usize)
    {
        let start = signature::classify(u64::from_be_bytes(eight));
        if start != StreamStart::None {
            return start as u8;
        }
    }
    if len <= RECORD_HEADER {
        return few_bytes(frame, at, len, first);
    }
    match frame.load_far::<6>(at as usize) {
        // The first record is shorter than a handshake header.
        Some([HANDSHAKE, 3, 0..=4, hi, lo, 1 | 2])
            if (1..=MAX_RECORD).contains(&u32::from(u16::from_be_bytes([hi, lo]))) =>
        {
            StreamStart::ClientHello as u8
        }
        Some([ALERT, 3, 0..=4, 0, 2, ALERT_WARNING]) => StreamStart::ServerHello as u8,
        // The segment ends within the signature.
        Some([b'S', b'S', b'H', b'-', ..]) if len < 8 => StreamStart::Ssh as u8,
        Some([b'P', b'R', b'I', b' ', ..]) if len < 8 => StreamStart::Http2 as u8,
        Some([b'P', b'R', b'O', b'X', b'Y', b' ']) => prefix::PROXY,
        Some([a, b, c, d, ..]) if signature::may_be_method([a, b, c, d]) => with_text(prefix::HTTP1, segment),
        _ => with_text(prefix::NONE, segment),
    }
}

/// Whether the bytes, which start with a carriage return, may be a PROXY protocol 2 header. Fewer than five bytes may
/// also be empty lines before a request.
#[inline(always)]
fn is_proxy_2<B: FrameBytes>(frame: &B, at: u32, len: u32) -> bool {
    let at = at as usize;
    match len {
        0 | 1 => true,
        2 | 3 => matches!(frame.load_far::<2>(at), Some([b'\r', b'\n'])),
        4 => matches!(frame.load_far::<4>(at), Some([b'\r', b'\n', b'\r', b'\n'])),
        5..8 => matches!(frame.load_far::<5>(at), Some([b'\r', b'\n', b'\r', b'\n', 0])),
        _ => matches!(frame.load_far::<8>(at), Some(first) if u64::from_be_bytes(first) == PROXY_2),
    }
}

/// Classifies first bytes that are shorter than a record header.
#[inline(always)]
fn few_bytes<B: FrameBytes>(frame: &B, at: u32, len: u32, first: u8) -> u8 {
    match first {
        HANDSHAKE => prefix::PARTIAL_RECORD,
        b'S' if len == 1 => prefix::S,
        b'S' if is_byte_s(frame, at + 1) => prefix::SS,
        _ => prefix::TOO_SHORT,
    }
}

/// Whether the byte at an offset is the letter S.
#[inline(always)]
pub(crate) fn is_byte_s<B: FrameBytes>(frame: &B, at: u32) -> bool {
    matches!(frame.load_far::<1>(at as usize), Some([b'S']))
}
