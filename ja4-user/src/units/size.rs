//! Amounts of memory and of disk: `64KiB`, `512MiB`, `2GiB`, or bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Units, bytes, the largest first.
const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Bytes, written as a whole number and its unit, or as a bare number: `512MiB`, `65536`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// What is no size.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SizeError {
    /// It has no number, or no unit that is known.
    #[error("'{}' is no size; write a number and KiB, MiB, GiB or TiB, such as 512MiB, or bytes", .0.escape_debug())]
    Form(String),
    /// 64 bits do not hold it.
    #[error("'{}' is too large", .0.escape_debug())]
    TooLarge(String),
}

impl Size {
    /// Bytes, for what is counted in memory.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = match unit {
            "" => Some(1),
            unit => UNITS.into_iter().find_map(|(name, size)| (name == unit).then_some(size)),
        };
        let Some(unit) = unit.filter(|_| digits > 0) else {
            return Err(SizeError::Form(text.to_owned()));
        };
        // Digits alone: what is no number is too large.
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        bytes.map(Self).ok_or_else(|| SizeError::TooLarge(text.to_owned()))
    }
}

/// The largest unit that gives a whole number.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.into_iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size)) {
            Some((name, size)) => write!(f, "{}{name}", self.0 / size),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"512MiB\", or a number of bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
                let unsigned = u64::try_from(bytes).map(Size);
                unsigned.map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
            }
        }

        from.deserialize_any(Visitor)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_a_unit_or_bytes() {
        for (text, bytes) in [("64KiB", 65_536), ("512MiB", 512 << 20), ("2GiB", 2 << 30), ("1TiB", 1 << 40)] {
            assert_eq!(text.parse(), Ok(Size(bytes)));
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(["0", "1000", "7B"].map(str::parse), [Ok(Size(0)), Ok(Size(1000)), Ok(Size(7))]);
        assert_eq!([0, 1000, 1536].map(|bytes| Size(bytes).to_string()), ["0B", "1000B", "1536B"]);
    }

    #[test]
    fn what_is_none_is_shown() {
        for wrong in ["", "MiB", "2 GiB", "2GB", "2g", "-1", "1.5GiB", "512mib"] {
            assert_eq!(wrong.parse::<Size>(), Err(SizeError::Form(wrong.to_owned())));
        }
        for large in ["99999999999999999999", "99999999TiB"] {
            assert_eq!(large.parse::<Size>(), Err(SizeError::TooLarge(large.to_owned())));
        }
    }

    #[test]
    fn a_file_has_them_as_texts_or_numbers() {
        let read = |text: &str| serde_json::from_str::<Size>(text);
        assert_eq!((read("\"1MiB\"").unwrap(), read("4096").unwrap()), (Size(1 << 20), Size(4096)));
        assert!(read("-1").is_err() && read("true").unwrap_err().to_string().contains("a size such as"));
    }
}
