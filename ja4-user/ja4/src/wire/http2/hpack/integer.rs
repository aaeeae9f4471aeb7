//! Integers (RFC 7541, section 5.1).

use crate::wire::{Cursor, WireError};

/// Most bytes after the prefix: enough for 28 bits, which suffice for all lengths and indexes.
const MAX_BYTES: u32 = 4;

/// Reads an integer with a prefix of `bits` bits, at most 8, in `first`, which was already read.
///
/// # Errors
/// [`WireError::Truncated`] at the region's end, [`WireError::TooLong`] above 28 bits and the prefix.
pub(super) fn integer(first: u8, bits: u32, cursor: &mut Cursor<'_>) -> Result<u32, WireError> {
    let most = (1 << bits) - 1;
    let mut value = u32::from(first) & most;
    if value < most {
        return Ok(value);
    }
    for place in 0..MAX_BYTES {
        let byte = cursor.u8()?;
        // At most 2^28 - 1, and the prefix.
        value += u32::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(WireError::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], bits: u32) -> Result<u32, WireError> {
        let mut cursor = Cursor::new(bytes);
        let value = integer(cursor.u8()?, bits, &mut cursor)?;
        cursor.finish().map(|()| value)
    }

    #[test]
    fn examples_of_rfc_7541_appendix_c_1() {
        assert_eq!(read(&[0b1110_1010], 5), Ok(10));
        assert_eq!(read(&[0b1111_1111, 0b1001_1010, 0b0000_1010], 5), Ok(1337));
        assert_eq!(read(&[42], 8), Ok(42));
    }

    #[test]
    fn an_integer_ends_within_bounds() {
        assert_eq!(read(&[0x7f, 0xff, 0xff, 0xff, 0x7f], 7), Ok(127 + (1 << 28) - 1));
        assert_eq!(read(&[0x7f, 0xff, 0xff, 0xff, 0xff, 0], 7), Err(WireError::TooLong));
        assert_eq!(read(&[0x7f, 0x80, 0x80, 0x80, 0], 7), Ok(127));
        assert_eq!(read(&[0x7f, 0x80], 7), Err(WireError::Truncated));
    }
}
