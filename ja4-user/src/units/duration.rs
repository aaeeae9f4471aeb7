//! Durations as users write them: `250ms`, `90s`, `5m`, `1h`, `7d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

/// Longest duration: ten years. Its sum with a time of the next centuries is below 2^64 nanoseconds.
const MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// Units, milliseconds, the longest first.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A duration, written as an integer and its unit: `250ms`, `30s`, `5m`, `2h`, `7d`, `4w`. `0` needs no unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    /// The number or the unit is missing.
    #[error("'{}' is not a duration; write an integer and ms, s, m, h, d or w, such as 5m", .0.escape_debug())]
    Form(String),
    /// The duration is longer than ten years.
    #[error("'{}' is longer than ten years", .0.escape_debug())]
    TooLong(String),
}

impl HumanDuration {
    /// Returns a duration in seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Returns a duration in milliseconds.
    #[must_use]
    pub const fn milliseconds(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// Nanoseconds, the unit of event times.
    #[must_use]
    pub fn nanoseconds(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl FromStr for HumanDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        if text == "0" {
            return Ok(Self::default());
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = UNITS.into_iter().find_map(|(name, length)| (name == unit).then_some(length));
        let Some(unit) = unit.filter(|_| digits > 0) else {
            return Err(DurationError::Form(text.to_owned()));
        };
        // There are only digits, so a parse error means that the number is too large.
        let number = number.parse::<u64>().ok();
        let span = number.and_then(|number| number.checked_mul(unit)).map(Duration::from_millis);
        span.filter(|span| *span <= MAX).map(Self).ok_or_else(|| DurationError::TooLong(text.to_owned()))
    }
}

/// Displayed in the largest unit up to days that gives an integer.
impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        if milliseconds == 0 {
            return f.write_str("0s");
        }
        let fits = |(name, length): &(&str, u64)| *name != "w" && milliseconds.is_multiple_of(u128::from(*length));
        match UNITS.into_iter().find(fits) {
            Some((name, length)) => write!(f, "{}{name}", milliseconds / u128::from(length)),
            None => write!(f, "{milliseconds}ms"),
        }
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct DurationVisitor;

        impl de::Visitor<'_> for DurationVisitor {
            type Value = HumanDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"90s\", \"5m\" or \"1h\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                text.parse().map_err(E::custom)
            }
        }

        from.deserialize_str(DurationVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_integers_with_a_unit() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("4w", 2_419_200_000),
            ("0", 0),
        ] {
            assert_eq!(text.parse(), Ok(HumanDuration::milliseconds(milliseconds)), "{text}");
        }
        assert_eq!(
            [120_000, 0, 1500].map(|length| HumanDuration::milliseconds(length).to_string()),
            ["2m", "0s", "1500ms"]
        );
    }

    #[test]
    fn invalid_durations_are_in_the_error() {
        for wrong in ["", "5", "m", "5 m", " 5m", "-5m", "5M", "5 minutes", "1.5h", "5m30s", "00"] {
            let error = wrong.parse::<HumanDuration>().unwrap_err();
            assert_eq!(error, DurationError::Form(wrong.to_owned()), "{error}");
        }
        for long in ["4000d", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(long.parse::<HumanDuration>(), Err(DurationError::TooLong(long.to_owned())));
        }
        assert!(!"\u{1b}[2J".parse::<HumanDuration>().unwrap_err().to_string().contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn displayed_durations_are_parsed_unchanged(milliseconds in 0_u64..300_000_000_000) {
            let span = HumanDuration::milliseconds(milliseconds);
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
