//! The reader that all parsers use.

use thiserror::Error;

/// The reason why bytes from the wire were rejected. Small and `Copy`, so that errors can be counted by reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("{}", self.as_str())]
#[repr(u8)]
pub enum WireError {
    /// A field of fixed size extends past the end of its region.
    Truncated,
    /// A length field exceeds its region, or is invalid for its field.
    BadLength,
    /// Bytes follow the last field of a region.
    TrailingBytes,
    /// A length exceeds the limit of this crate.
    TooLong,
    /// A list of 16-bit values has an odd number of bytes.
    OddList,
    /// The first byte of a record is not a TLS content type.
    ContentType,
    /// A record's version is not 3.x.
    RecordVersion,
    /// A required constant is missing.
    Magic,
    /// A field has an invalid value.
    Value,
    /// A variant of the format that this crate does not support.
    Unsupported,
    /// The number of items exceeds the limit of this crate.
    TooMany,
    /// Ciphertext that the key does not decrypt.
    Unauthenticated,
}

impl WireError {
    /// Every reason, in the order of [`index`](Self::index).
    pub const ALL: [Self; 12] = [
        Self::Truncated,
        Self::BadLength,
        Self::TrailingBytes,
        Self::TooLong,
        Self::OddList,
        Self::ContentType,
        Self::RecordVersion,
        Self::Magic,
        Self::Value,
        Self::Unsupported,
        Self::TooMany,
        Self::Unauthenticated,
    ];

    /// The reason's name in counters, in snake_case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::BadLength => "bad_length",
            Self::TrailingBytes => "trailing_bytes",
            Self::TooLong => "too_long",
            Self::OddList => "odd_list",
            Self::ContentType => "content_type",
            Self::RecordVersion => "record_version",
            Self::Magic => "magic",
            Self::Value => "value",
            Self::Unsupported => "unsupported",
            Self::TooMany => "too_many",
            Self::Unauthenticated => "unauthenticated",
        }
    }

    /// The reason's index in [`ALL`](Self::ALL), for an array of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A big-endian reader of a region of bytes. It never reads past the end of the region.
///
/// A failed read does not move it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A reader at the start of `region`.
    #[must_use]
    pub const fn new(region: &'a [u8]) -> Self {
        Self { rest: region }
    }

    /// The number of unread bytes.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether all bytes were read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The unread bytes.
    #[inline]
    pub(crate) const fn as_bytes(self) -> &'a [u8] {
        self.rest
    }

    /// Reads all remaining bytes.
    #[inline]
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// Checks that all bytes were read.
    ///
    /// # Errors
    /// [`WireError::TrailingBytes`] if bytes remain.
    #[inline]
    pub const fn finish(self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::TrailingBytes) }
    }

    /// Reads `n` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] if fewer remain.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads `N` bytes as an array.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    #[inline]
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|&[byte]| byte)
    }

    /// Reads two bytes.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    #[inline]
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// Reads three bytes.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    #[inline]
    pub fn u24(&mut self) -> Result<u32, WireError> {
        self.array().map(|&[high, middle, low]| u32::from_be_bytes([0, high, middle, low]))
    }

    /// Reads four bytes.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    #[inline]
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// Reads a one-byte length, and returns a reader of the region of this length.
    ///
    /// # Errors
    /// [`WireError::Truncated`] if the length is incomplete, [`WireError::BadLength`] if it exceeds the remaining
    /// bytes.
    #[inline]
    pub fn region_u8(&mut self) -> Result<Self, WireError> {
        let mut ahead = *self;
        let length = usize::from(ahead.u8()?);
        self.region(ahead, length)
    }

    /// Reads a two-byte length, and returns a reader of the region of this length.
    ///
    /// # Errors
    /// As [`region_u8`](Self::region_u8).
    #[inline]
    pub fn region_u16(&mut self) -> Result<Self, WireError> {
        let mut ahead = *self;
        let length = usize::from(ahead.u16()?);
        self.region(ahead, length)
    }

    /// Reads a three-byte length, and returns a reader of the region of this length.
    ///
    /// # Errors
    /// As [`region_u8`](Self::region_u8).
    #[inline]
    pub fn region_u24(&mut self) -> Result<Self, WireError> {
        let mut ahead = *self;
        let length = ahead.u24()? as usize;
        self.region(ahead, length)
    }

    /// Splits `length` bytes off `ahead`, and moves this reader after them if it succeeds.
    #[inline]
    fn region(&mut self, mut ahead: Self, length: usize) -> Result<Self, WireError> {
        let region = ahead.take(length).map_err(|_| WireError::BadLength)?;
        *self = ahead;
        Ok(Self::new(region))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_big_endian_and_in_order() {
        let mut cursor = Cursor::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(cursor.u8().unwrap(), 0x01);
        assert_eq!(cursor.u16().unwrap(), 0x0203);
        assert_eq!(cursor.u24().unwrap(), 0x0004_0506);
        assert_eq!(cursor.u32().unwrap(), 0x0708_090a);
        assert_eq!(cursor.finish(), Ok(()));
    }

    #[test]
    fn a_region_ends_where_its_length_says() {
        let mut cursor = Cursor::new(&[0, 2, 7, 8, 9]);
        let mut region = cursor.region_u16().unwrap();
        assert_eq!(region.rest(), [7, 8]);
        assert_eq!(cursor.finish(), Err(WireError::TrailingBytes));
        assert_eq!(cursor.take(1).unwrap(), [9]);
    }

    #[test]
    fn a_failed_read_does_not_move_the_reader() {
        let mut cursor = Cursor::new(&[0, 0, 9, 1]);
        assert_eq!(cursor.region_u24(), Err(WireError::BadLength));
        assert_eq!(cursor.take(5), Err(WireError::Truncated));
        assert_eq!(cursor.remaining(), 4);
        assert_eq!(Cursor::new(&[1]).region_u16(), Err(WireError::Truncated));
        assert_eq!(Cursor::new(&[1]).region_u8(), Err(WireError::BadLength));
    }

    #[test]
    fn every_reason_has_its_own_counter() {
        for (index, reason) in WireError::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert_eq!(WireError::ALL.iter().filter(|other| other.as_str() == reason.as_str()).count(), 1);
        }
    }
}
