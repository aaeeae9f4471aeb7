//! The one reader of hostile bytes.

use thiserror::Error;

/// Why bytes from the wire were refused. Small and `Copy`, so that it can be counted by reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("{}", self.as_str())]
#[repr(u8)]
pub enum WireError {
    /// A field of fixed size lies past the end of its region.
    Truncated,
    /// A stated length runs over the region that holds it, or is not one its field may have.
    BadLength,
    /// Bytes are left where the region had to be used up.
    TrailingBytes,
    /// A stated length is above the bound this sensor keeps.
    TooLong,
    /// A list of 16-bit values has an odd number of bytes.
    OddList,
    /// A record's first byte is no TLS content type.
    ContentType,
    /// A record's version is not 3.x.
    RecordVersion,
    /// A fixed value that the format demands is not there.
    Magic,
    /// A field has a value that its format forbids.
    Value,
    /// A form of the format that this sensor does not read.
    Unsupported,
    /// More items than the bound this sensor keeps.
    TooMany,
    /// Ciphertext that its key does not open.
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

    /// The reason's name in counters: lower case, words joined by `_`.
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

    /// The reason's place in [`ALL`](Self::ALL), for an array of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A reader over a region of bytes, big-endian, that never reads past its end.
///
/// A failed read leaves the position where it was.
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

    /// Bytes not read yet.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// True when the region is used up.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes all that is left.
    #[inline]
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// Demands that the region is used up.
    ///
    /// # Errors
    /// [`WireError::TrailingBytes`] when it is not.
    #[inline]
    pub const fn finish(self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::TrailingBytes) }
    }

    /// Takes `n` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer are left; so for all the fixed-size reads below.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes `N` bytes as an array.
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

    /// Reads a one-byte length and gives a reader over the region it announces.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when the length itself is missing, [`WireError::BadLength`] when it
    /// runs over what is left; so for the two below.
    #[inline]
    pub fn region_u8(&mut self) -> Result<Self, WireError> {
        let mut ahead = *self;
        let length = usize::from(ahead.u8()?);
        self.region(ahead, length)
    }

    /// Reads a two-byte length and gives a reader over the region it announces.
    ///
    /// # Errors
    /// As [`region_u8`](Self::region_u8).
    #[inline]
    pub fn region_u16(&mut self) -> Result<Self, WireError> {
        let mut ahead = *self;
        let length = usize::from(ahead.u16()?);
        self.region(ahead, length)
    }

    /// Reads a three-byte length and gives a reader over the region it announces.
    ///
    /// # Errors
    /// As [`region_u8`](Self::region_u8).
    #[inline]
    pub fn region_u24(&mut self) -> Result<Self, WireError> {
        let mut ahead = *self;
        let length = ahead.u24()? as usize;
        self.region(ahead, length)
    }

    /// Splits `length` bytes off `ahead`, and only then moves this reader behind them.
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
    fn a_refused_read_moves_nothing() {
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
