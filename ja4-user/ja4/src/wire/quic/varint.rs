//! Variable-length integers (RFC 9000, section 16).

use crate::wire::{Cursor, WireError};

/// Reads an integer of 1, 2, 4 or 8 bytes, according to the top two bits of its first byte.
///
/// # Errors
/// [`WireError::Truncated`] if it is incomplete.
#[inline]
pub(super) fn varint(cursor: &mut Cursor<'_>) -> Result<u64, WireError> {
    let mut ahead = *cursor;
    let first = ahead.u8()?;
    let value = u64::from(first & 0x3f);
    let rest = ahead.take((1 << (first >> 6)) - 1)?;
    *cursor = ahead;
    Ok(rest.iter().fold(value, |value, &byte| value << 8 | u64::from(byte)))
}

/// Reads a length; one that does not fit `usize` becomes the maximum.
///
/// # Errors
/// As [`varint`].
#[inline]
pub(super) fn length(cursor: &mut Cursor<'_>) -> Result<usize, WireError> {
    varint(cursor).map(|length| usize::try_from(length).unwrap_or(usize::MAX))
}

/// Reads a length, then this many bytes.
///
/// # Errors
/// As [`varint`]; [`WireError::BadLength`] if the length exceeds the remaining bytes.
#[inline]
pub(super) fn prefixed<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], WireError> {
    let mut ahead = *cursor;
    let length = length(&mut ahead)?;
    let bytes = ahead.take(length).map_err(|_| WireError::BadLength)?;
    *cursor = ahead;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_9000_are_parsed() {
        // RFC 9000, appendix A.1.
        let table: [(&[u8], u64); 5] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (bytes, value) in table {
            let mut cursor = Cursor::new(bytes);
            assert_eq!(varint(&mut cursor), Ok(value));
            assert!(cursor.is_empty());
            let mut cut = Cursor::new(&bytes[..bytes.len() - 1]);
            assert_eq!(varint(&mut cut), Err(WireError::Truncated));
            assert_eq!(cut.remaining(), bytes.len() - 1);
        }
    }

    #[test]
    fn a_length_beyond_the_region_is_rejected() {
        assert_eq!(prefixed(&mut Cursor::new(&[2, 8, 9, 1])), Ok(&[8, 9][..]));
        assert_eq!(prefixed(&mut Cursor::new(&[2, 8])), Err(WireError::BadLength));
        assert_eq!(prefixed(&mut Cursor::new(&[0xff; 8])), Err(WireError::BadLength));
    }
}
