//! The value of a field.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;

use crate::model::{FingerprintRecord, Method, Time, VlanTags};

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// Not known.
    Absent,
    /// An address.
    Ip(IpAddr),
    /// A number; a larger one than fits is the largest that does. Of a duration: nanoseconds.
    Number(i64),
    /// A number that is written in hexadecimal, with four digits.
    Hex(u16),
    /// A QUIC version.
    QuicVersion(u32),
    /// A time, nanoseconds.
    Timestamp(Time),
    /// A time of a certificate, seconds since 1970.
    UtcDate(i64),
    /// VLAN tags, at least one.
    Tags(VlanTags),
    /// `true` or `false`.
    Bool(bool),
    /// A text. It may come from the wire.
    Text(&'a str),
    /// Texts, at least one. They may come from the wire.
    Texts(&'a [ArcStr]),
    /// Names and their values, at least one. They may come from the wire.
    Pairs(&'a [(Arc<str>, Arc<str>)]),
    /// Every value of a method.
    MethodValues(MethodValues<'a>),
}

/// The values of one method among the fingerprints of a connection, in their order; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodValues<'a> {
    history: &'a [FingerprintRecord],
    method: Method,
}

impl<'a> MethodValues<'a> {
    /// Returns those of a method, if there are any.
    #[inline]
    pub(super) fn of(history: &'a [FingerprintRecord], method: Method) -> Option<Self> {
        let first = history.iter().position(|seen| seen.method == method)?;
        Some(Self { history: history.get(first..)?, method })
    }

    /// Returns the values.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        self.history.iter().filter(move |seen| seen.method == self.method).map(|seen| &*seen.value.text)
    }
}

impl FieldValue<'_> {
    /// The value as rules compare it: times are whole seconds.
    #[must_use]
    #[inline]
    pub(crate) fn comparable(self) -> Self {
        match self {
            Self::Hex(number) => Self::Number(number.into()),
            Self::QuicVersion(version) => Self::Number(version.into()),
            Self::Timestamp(time) => Self::number(time.0 / 1_000_000_000),
            Self::UtcDate(seconds) => Self::Number(seconds),
            other => other,
        }
    }

    /// A number of any size.
    #[must_use]
    pub fn number(number: impl TryInto<i64>) -> Self {
        Self::Number(number.try_into().unwrap_or(i64::MAX))
    }
}

/// Values that are different hash different bytes: texts end with a byte that is no UTF-8.
impl Hash for FieldValue<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match *self {
            Self::Absent => state.write_u8(0),
            Self::Ip(IpAddr::V4(address)) => state.write_u64(u64::from(address.to_bits()) | 1 << 40),
            Self::Ip(IpAddr::V6(address)) => {
                state.write_u8(6);
                state.write_u128(address.to_bits());
            }
            Self::Number(number) | Self::UtcDate(number) => state.write_u64(number.cast_unsigned()),
            Self::Hex(number) => state.write_u64(number.into()),
            Self::QuicVersion(version) => state.write_u64(version.into()),
            Self::Timestamp(time) => state.write_u64(time.0 / 1_000_000_000),
            Self::Tags(tags) => tags.hash(state),
            Self::Bool(value) => state.write_u8(u8::from(value)),
            Self::Text(text) => text.hash(state),
            Self::Texts(texts) => texts.hash(state),
            Self::Pairs(pairs) => pairs.hash(state),
            Self::MethodValues(values) => values.iter().for_each(|value| value.hash(state)),
        }
    }
}

/// Formats the value as in an alert: lists joined with commas, and an empty string for an absent value. Text from the wire
/// is not escaped.
impl fmt::Display for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.comparable() {
            Self::Absent => Ok(()),
            Self::Ip(address) => address.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Tags(tags) => list(tags.iter(), f),
            Self::Bool(value) => value.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Texts(texts) => list(texts.iter(), f),
            Self::Pairs(pairs) => pairs.iter().try_for_each(|(name, value)| write!(f, "{name}={value} ")),
            Self::MethodValues(values) => list(values.iter(), f),
            Self::Hex(_) | Self::QuicVersion(_) | Self::Timestamp(_) | Self::UtcDate(_) => Ok(()),
        }
    }
}

fn list(texts: impl Iterator<Item = impl fmt::Display>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, text) in texts.enumerate() {
        let comma = if place > 0 { "," } else { "" };
        write!(f, "{comma}{text}")?;
    }
    Ok(())
}
