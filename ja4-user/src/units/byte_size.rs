//! Sizes as users write them: `64KiB`, `512MiB`, `2GiB`, or bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

/// Units, bytes, the largest first.
const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A size in bytes, written as an integer and its unit, or as an integer: `512MiB`, `65536`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ByteSizeError {
    /// The number is missing, or the unit is unknown.
    #[error("'{}' is not a size; write an integer and KiB, MiB, GiB or TiB, such as 512MiB, or bytes", .0.escape_debug())]
    Form(String),
    /// The size exceeds 64 bits.
    #[error("'{}' is too large", .0.escape_debug())]
    TooLarge(String),
}

impl ByteSize {
    /// The size of memory, bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = match unit {
            "" => Some(1),
            unit => UNITS.into_iter().find_map(|(name, size)| (name == unit).then_some(size)),
        };
        let Some(unit) = unit.filter(|_| digits > 0) else {
            return Err(ByteSizeError::Form(text.to_owned()));
        };
        // There are only digits, so a parse error means that the number is too large.
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        bytes.map(Self).ok_or_else(|| ByteSizeError::TooLarge(text.to_owned()))
    }
}

/// Displayed in the largest unit that gives an integer.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.into_iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size)) {
            Some((name, size)) => write!(f, "{}{name}", self.0 / size),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ByteSizeVisitor;

        impl de::Visitor<'_> for ByteSizeVisitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"512MiB\", or a number of bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                let unsigned = u64::try_from(bytes).map(ByteSize);
                unsigned.map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
            }
        }

        from.deserialize_any(ByteSizeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_integers_with_a_unit_or_bytes() {
        for (text, bytes) in [("64KiB", 65_536), ("512MiB", 512 << 20), ("2GiB", 2 << 30), ("1TiB", 1 << 40)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
        assert_eq!(["0", "1000", "7B"].map(str::parse), [Ok(ByteSize(0)), Ok(ByteSize(1000)), Ok(ByteSize(7))]);
        assert_eq!([0, 1000, 1536].map(|bytes| ByteSize(bytes).to_string()), ["0B", "1000B", "1536B"]);
    }

    #[test]
    fn invalid_sizes_are_in_the_error() {
        for wrong in ["", "MiB", "2 GiB", "2GB", "2g", "-1", "1.5GiB", "512mib"] {
            assert_eq!(wrong.parse::<ByteSize>(), Err(ByteSizeError::Form(wrong.to_owned())));
        }
        for large in ["99999999999999999999", "99999999TiB"] {
            assert_eq!(large.parse::<ByteSize>(), Err(ByteSizeError::TooLarge(large.to_owned())));
        }
    }

    #[test]
    fn sizes_are_strings_or_integers() {
        let read = |text: &str| serde_json::from_str::<ByteSize>(text);
        assert_eq!((read("\"1MiB\"").unwrap(), read("4096").unwrap()), (ByteSize(1 << 20), ByteSize(4096)));
        assert!(read("-1").is_err() && read("true").unwrap_err().to_string().contains("a size such as"));
    }
}
