//! The payload of one segment: its signature, the TLS records in it, the end of an HTTP header block.

use crate::bytes::FrameBytes;
use crate::signature::{self, ALERT, ALERT_WARNING, MAX_RECORD, RECORD_HEADER, SHORTEST, SignatureStage, StreamStart};

/// The payload of one segment.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct SegmentPayload {
    /// Sequence number of the first payload byte.
    pub seq: u32,
    /// Offset of the payload in the frame.
    pub at: u32,
    /// Length of the payload, bytes.
    pub len: u32,
    /// Result of reading the payload as text; see [`crate::text`].
    pub text: u8,
}

/// Matches the start of a segment against the signature table.
#[inline(always)]
pub fn stream_start<B: SignatureStage>(frame: &B, segment: &SegmentPayload) -> StreamStart {
    let Some(first) = first_eight(frame, segment) else {
        return StreamStart::None;
    };
    match signature::binary(first) {
        Some(start) => start,
        None => B::text(first),
    }
}

/// The first eight bytes of a segment, in network byte order. Returns `None` if the segment is shorter than
/// [`SHORTEST`].
#[inline(always)]
pub(crate) fn first_eight<B: FrameBytes>(frame: &B, segment: &SegmentPayload) -> Option<u64> {
    // Bytes after a shorter payload are padding or an Ethernet trailer.
    if segment.len < SHORTEST {
        return None;
    }
    frame.load_far::<8>(segment.at as usize).map(u64::from_be_bytes)
}

/// TLS content types (RFC 8446, section 5.1).
mod content {
    pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(super) const APPLICATION_DATA: u8 = 23;
}

/// Bytes of a ChangeCipherSpec record.
const CHANGE_CIPHER_SPEC: u32 = RECORD_HEADER + 1;

/// Bytes of an alert record.
const ALERT_RECORD: u32 = RECORD_HEADER + 2;

/// Whether a segment starts with a record that follows the handshake messages of its flight.
#[inline(always)]
pub(crate) fn starts_past_handshake<B: FrameBytes>(frame: &B, segment: &SegmentPayload) -> bool {
    if segment.len <= RECORD_HEADER {
        return false;
    }
    match frame.load_far::<5>(segment.at as usize) {
        Some([content::CHANGE_CIPHER_SPEC, 3, 0..=4, 0, 1]) => true,
        Some([content::APPLICATION_DATA, 3, 0..=4, hi, lo]) => u32::from(u16::from_be_bytes([hi, lo])) <= MAX_RECORD,
        _ => false,
    }
}

/// Length, with its header, of the record at offset `done` if it is not a handshake record and the handshake continues
/// after it. Returns 0 for any other record.
#[inline(always)]
pub(crate) fn interleaved_record_len<B: FrameBytes>(
    frame: &B,
    segment: &SegmentPayload,
    content: u8,
    done: u32,
) -> u32 {
    let at = (segment.at + done) as usize;
    let left = segment.len - done;
    match content {
        // After a HelloRetryRequest, the client sends its second ClientHello after this record (RFC 8446, appendix D.4),
        // possibly in the next segment.
        content::CHANGE_CIPHER_SPEC if left == CHANGE_CIPHER_SPEC => match frame.load_far::<5>(at) {
            Some([_, 3, 0..=4, 0, 1]) => CHANGE_CIPHER_SPEC,
            _ => 0,
        },
        content::CHANGE_CIPHER_SPEC if left >= CHANGE_CIPHER_SPEC + SHORTEST => {
            let next = frame.load_far::<8>(at + CHANGE_CIPHER_SPEC as usize);
            match next.map(|first| signature::tls_hello(u64::from_be_bytes(first))) {
                Some(StreamStart::ClientHello | StreamStart::ServerHello) => CHANGE_CIPHER_SPEC,
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

/// Whether a segment ends with an empty line, which ends a header block (RFC 9112, section 2).
#[inline(always)]
pub(crate) fn ends_header_block<B: FrameBytes>(frame: &B, segment: &SegmentPayload) -> bool {
    if segment.len < 4 {
        return false;
    }
    let last = frame.load_far::<4>((segment.at + segment.len - 4) as usize);
    matches!(last, Some([_, b'\n', b'\r', b'\n'] | [_, _, b'\n', b'\n']))
}
