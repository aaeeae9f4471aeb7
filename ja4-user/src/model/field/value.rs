//! The value of a field.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use arcstr::ArcStr;

/// What a field holds of one connection or fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing is known.
    Absent,
    /// An address.
    Ip(IpAddr),
    /// A number; what does not fit (2^63 bytes) is the largest that does. Of a duration: nanoseconds.
    Number(i64),
    /// Up to two tags, 0: none; at least one is there.
    Tags([u16; 2]),
    /// `true` or `false`.
    Bool(bool),
    /// A text. It may come from the wire.
    Text(&'a str),
    /// Texts, at least one. They may come from the wire.
    Texts(&'a [ArcStr]),
}

impl Value<'_> {
    /// A number of any size.
    #[must_use]
    pub fn number(number: impl TryInto<i64>) -> Self {
        Self::Number(number.try_into().unwrap_or(i64::MAX))
    }
}

/// Values that are different hash different bytes: texts end with a byte that is no UTF-8.
impl Hash for Value<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Absent => state.write_u8(0),
            Self::Ip(IpAddr::V4(address)) => state.write_u64(u64::from(address.to_bits()) | 1 << 40),
            Self::Ip(IpAddr::V6(address)) => {
                state.write_u8(6);
                state.write_u128(address.to_bits());
            }
            Self::Number(number) => state.write_u64(number.cast_unsigned()),
            Self::Tags([outer, inner]) => state.write_u32(u32::from(*outer) << 16 | u32::from(*inner)),
            Self::Bool(value) => state.write_u8(u8::from(*value)),
            Self::Text(text) => text.hash(state),
            Self::Texts(texts) => texts.hash(state),
        }
    }
}

/// As it stands in an alert: lists joined with commas, nothing for what is absent. Text of the wire is
/// not escaped here.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => Ok(()),
            Self::Ip(address) => address.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Tags([outer, 0]) => outer.fmt(f),
            Self::Tags([outer, inner]) => write!(f, "{outer},{inner}"),
            Self::Bool(value) => value.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Texts(texts) => list(texts, f),
        }
    }
}

fn list(texts: &[impl fmt::Display], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, text) in texts.iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        write!(f, "{comma}{text}")?;
    }
    Ok(())
}
