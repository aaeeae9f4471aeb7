//! What the reassembly of a direction needs of the parser of its protocol.

use std::fmt::Debug;

use ja4_common::signature::{self, StreamStart};

/// The parser of one direction's byte stream.
///
/// The methods about gaps have defaults for a protocol that needs all bytes in order, as TLS. HTTP/1 does not: after a gap, parsing continues with the next request.
pub(crate) trait StreamParser: Debug {
    /// Memory of the incomplete message, bytes.
    fn buffered(&self) -> usize;

    /// Whether a message is incomplete.
    fn is_incomplete(&self) -> bool {
        self.buffered() > 0
    }

    /// Whether missing bytes have to arrive before a message can be complete: not within a body, nor in a stream that is
    /// not parsed.
    fn needs_missing_bytes(&self) -> bool {
        true
    }

    /// Whether the stream is not parsed, because its protocol was not recognized or has ended.
    fn is_unrecognized(&self) -> bool {
        false
    }

    /// The first bytes of a stream, while they are too few to recognize its protocol.
    fn undecided_prefix(&self) -> &[u8] {
        &[]
    }

    /// Whether a segment that begins with `start` begins the next message of this stream.
    fn is_next_message(&self, _start: StreamStart) -> bool {
        false
    }

    /// Whether parsing can continue after a gap, see [`resync`](Self::resync).
    fn can_resync(&self) -> bool {
        false
    }

    /// Bytes that are left of a body of known length, if one is being skipped.
    fn body_left(&self) -> Option<u64> {
        None
    }

    /// Skips bytes of a body. Returns false if the body may not be that long.
    fn skip_body(&mut self, _bytes: u64) -> bool {
        false
    }

    /// Accepts a gap of `bytes`: skips them in a body, and continues with the next message otherwise.
    fn skip(&mut self, _bytes: u64) {}

    /// Drops the incomplete message, and continues with the next one.
    fn resync(&mut self) {}

    /// The filter has left out the bytes before a segment that begins with `start`, `ahead` bytes after the last one.
    /// Returns whether the stream continues with that segment.
    fn restart(&mut self, start: StreamStart, ahead: i32) -> bool;
}

/// The protocol that a segment begins, as the filter recognizes it.
pub(crate) fn classify(payload: &[u8]) -> StreamStart {
    match payload.first_chunk() {
        Some(first) if payload.len() >= signature::SHORTEST as usize => signature::classify(u64::from_be_bytes(*first)),
        _ => StreamStart::None,
    }
}
