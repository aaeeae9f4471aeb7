//! Words of the configuration that several settings share.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::event::Method;

/// Longest time that a setting can name: ten years. Sums of it and a time of the next centuries stay below 2^64
/// nanoseconds.
const MAX_SPAN: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// A length of time, written as a whole number and its unit: `30s`, `5m`, `2h`, `7d`; also `250ms`. `0` needs no
/// unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Nanoseconds, as event times are counted.
    #[must_use]
    pub fn nanoseconds(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no length of time; write a number and ms, s, m, h or d, such as 5m");
        let text = text.trim();
        if text == "0" {
            return Ok(Self::default());
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let milliseconds = match unit.trim_start() {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let span = number.checked_mul(milliseconds).map(Duration::from_millis);
        match span {
            Some(span) if span <= MAX_SPAN => Ok(Self(span)),
            _ => Err(format!("'{text}' is too long; ten years are the most")),
        }
    }
}

/// The largest unit that gives a whole number.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        let units = [(86_400_000_u128, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
        match units.into_iter().find(|(length, _)| milliseconds > 0 && milliseconds.is_multiple_of(*length)) {
            Some((length, unit)) => write!(f, "{}{unit}", milliseconds / length),
            None if milliseconds == 0 => f.write_str("0s"),
            None => write!(f, "{milliseconds}ms"),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A set of fingerprint methods, written as a list of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Methods(u16);

impl Methods {
    /// These methods.
    #[must_use]
    pub const fn of(methods: &[Method]) -> Self {
        let mut set = 0;
        let mut rest = methods;
        while let [method, more @ ..] = rest {
            set |= 1 << *method as u16;
            rest = more;
        }
        Self(set)
    }

    /// Whether a method is among them.
    #[inline]
    #[must_use]
    pub const fn has(self, method: Method) -> bool {
        self.0 & (1 << method as u16) != 0
    }
}

impl<'de> Deserialize<'de> for Methods {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(from)?;
        words.iter().try_fold(Self::default(), |set, word| {
            let method = method(word).map_err(de::Error::custom)?;
            Ok(Self(set.0 | Self::of(&[method]).0))
        })
    }
}

impl Serialize for Methods {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(Method::ALL.into_iter().filter(|&method| self.has(method)).map(Method::name))
    }
}

/// The method of a name, or what to say of a word that is none.
///
/// # Errors
/// Names the word and all methods.
pub fn method(word: &str) -> Result<Method, String> {
    let found = Method::ALL.into_iter().find(|method| method.name() == word);
    found.ok_or_else(|| format!("'{word}' is no method; there are {}", Method::ALL.map(Method::name).join(", ")))
}

/// For `#[serde(with = "severity")]`: a [`Severity`](crate::engine::alert::Severity) by its name.
pub mod severity {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::engine::alert::Severity;

    /// Reads the name.
    ///
    /// # Errors
    /// What is no severity.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Severity, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }

    /// Writes the name.
    ///
    /// # Errors
    /// The serialiser's.
    pub fn serialize<S: Serializer>(severity: &Severity, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(severity.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_of_time_are_numbers_with_a_unit() {
        let read = |text: &str| text.parse::<Span>().unwrap().0.as_millis();
        assert_eq!((read("250ms"), read("30s"), read("5m")), (250, 30_000, 300_000));
        assert_eq!((read("2h"), read("7 d"), read("0")), (7_200_000, 604_800_000, 0));
        for wrong in ["", "5", "m", "-5m", "5 minutes", "1.5h", "99999999999999999999s", "4000d"] {
            let said = wrong.parse::<Span>().unwrap_err();
            assert!(said.contains(wrong), "{said}");
        }
    }

    proptest! {
        #[test]
        fn a_length_of_time_is_read_as_it_is_written(milliseconds in 0_u64..300_000_000_000) {
            let span = Span(Duration::from_millis(milliseconds));
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }
    }

    #[test]
    fn methods_are_listed_by_name() {
        let read = |list: &str| serde_json::from_str::<Methods>(list);
        let both = read(r#"["ja4","ja4ssh"]"#).unwrap();
        assert!(both.has(Method::Ja4) && both.has(Method::Ja4ssh) && !both.has(Method::Ja4s));
        assert_eq!(serde_json::to_string(&both).unwrap(), r#"["ja4","ja4ssh"]"#);
        assert!(read(r#"["ja5"]"#).unwrap_err().to_string().contains("'ja5' is no method; there are ja4,"));
    }
}
