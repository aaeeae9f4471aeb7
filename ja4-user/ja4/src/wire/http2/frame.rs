//! Frames: their header, and the padding and priority of a HEADERS frame
//! (RFC 9113, sections 4.1 and 6.2).

use crate::wire::{Cursor, WireError};

/// The bytes that a client sends first (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame's type (RFC 9113, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameType(pub(super) u8);

impl FrameType {
    /// HEADERS
    pub(super) const HEADERS: Self = Self(0x1);
    /// CONTINUATION
    pub(super) const CONTINUATION: Self = Self(0x9);
}

/// Flags of HEADERS and CONTINUATION.
pub(super) mod flag {
    /// The field block ends with this frame.
    pub(in super::super) const END_HEADERS: u8 = 0x4;
    /// The payload begins with the length of the padding at its end.
    pub(in super::super) const PADDED: u8 = 0x8;
    /// Five bytes of priority precede the fragment.
    pub(in super::super) const PRIORITY: u8 = 0x20;
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Bytes of payload, below 2^24.
    pub(super) length: u32,
    pub(super) kind: FrameType,
    pub(super) flags: u8,
    /// Stream identifier without the reserved bit.
    pub(super) stream: u32,
}

impl FrameHeader {
    /// Bytes of a frame header.
    pub(super) const LEN: usize = 9;

    /// Parses a frame header.
    ///
    /// # Errors
    /// [`WireError::Truncated`] if bytes are missing.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        let (length, kind, flags) = (cursor.u24()?, FrameType(cursor.u8()?), cursor.u8()?);
        Ok(Self { length, kind, flags, stream: cursor.u32()? & 0x7fff_ffff })
    }
}

/// The field block fragment in the payload of a HEADERS frame.
///
/// # Errors
/// [`WireError::Truncated`] if the payload is too short for its flags, [`WireError::BadLength`] if the padding exceeds
/// the payload.
pub(super) fn fragment(payload: &[u8], flags: u8) -> Result<&[u8], WireError> {
    let mut cursor = Cursor::new(payload);
    let padding = if flags & flag::PADDED == 0 { 0 } else { usize::from(cursor.u8()?) };
    if flags & flag::PRIORITY != 0 {
        cursor.take(5)?;
    }
    let length = cursor.remaining().checked_sub(padding).ok_or(WireError::BadLength)?;
    cursor.take(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragment_is_between_priority_and_padding() {
        let payload = [2, 0x80, 0, 0, 3, 200, 0x82, 0x84, 0, 0];
        assert_eq!(fragment(&payload, flag::PADDED | flag::PRIORITY), Ok(&[0x82, 0x84][..]));
        assert_eq!(fragment(&payload, 0), Ok(&payload[..]));
        assert_eq!(fragment(&[9, 1, 2, 3], flag::PADDED), Err(WireError::BadLength));
        assert_eq!(fragment(&[3, 1, 2, 3], flag::PADDED), Ok(&[][..]));
        assert_eq!(fragment(&[1, 2, 3, 4], flag::PRIORITY), Err(WireError::Truncated));
    }

    #[test]
    fn the_reserved_bit_is_not_part_of_the_stream() {
        let header = FrameHeader::parse(&mut Cursor::new(&[0, 0x40, 1, 9, 4, 0x80, 0, 1, 7])).ok();
        let expected = FrameHeader { length: 0x4001, kind: FrameType::CONTINUATION, flags: 4, stream: 0x107 };
        assert_eq!(header, Some(expected));
    }
}
