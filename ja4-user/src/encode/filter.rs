//! The event types that are printed.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

use crate::model::Method;

/// A choice of event types and fingerprint methods, written as a list with commas:
/// `fingerprint`, `connection`, `alert`, `stats`, and names of methods.
///
/// A method name selects the fingerprints of this method alone, even if `fingerprint` is in the list: `ja4,ja4s` prints
/// these two and nothing else, `ja4,stats` JA4 and the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// A bit for each [`Method`].
    methods: u32,
    connection: bool,
    alert: bool,
    stats: bool,
}

impl Filter {
    /// Every method's bit.
    const EVERY_METHOD: u32 = u32::MAX;

    /// Returns the filter of a run that prints a line for each connection: connections in place of fingerprints.
    #[must_use]
    pub(super) const fn by_connection(self) -> Self {
        Self { methods: 0, connection: self.connection || self.methods != 0, ..self }
    }

    /// Whether fingerprints of this method are printed.
    #[inline]
    #[must_use]
    pub const fn fingerprint(self, method: Method) -> bool {
        self.methods & bit(method) != 0
    }

    /// Whether ends of connections are printed.
    #[must_use]
    pub const fn connection(self) -> bool {
        self.connection
    }

    /// Whether alerts are printed.
    #[must_use]
    pub const fn alert(self) -> bool {
        self.alert
    }

    /// Whether statistics are printed.
    #[must_use]
    pub const fn stats(self) -> bool {
        self.stats
    }
}

/// Everything is printed.
impl Default for Filter {
    fn default() -> Self {
        Self { methods: Self::EVERY_METHOD, connection: true, alert: true, stats: true }
    }
}

/// In a file it is a list of words.
impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(from)?;
        words.join(",").parse().map_err(de::Error::custom)
    }
}

const fn bit(method: Method) -> u32 {
    1 << method as u32
}

/// Values of `event_type`.
pub(super) const FINGERPRINT: &str = "fingerprint";
pub(super) const CONNECTION: &str = "connection";
pub(super) const ALERT: &str = "alert";
pub(super) const STATS: &str = "stats";

/// A word that names neither an event type nor a method.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{word}' is no event type or method; there are {}", words().join(", "))]
pub struct FilterError {
    /// The word.
    pub word: String,
}

/// What a list may hold.
fn words() -> Vec<&'static str> {
    [FINGERPRINT, CONNECTION, ALERT, STATS].into_iter().chain(Method::ALL.map(Method::name)).collect()
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(list: &str) -> Result<Self, FilterError> {
        let mut filter = Self { methods: 0, connection: false, alert: false, stats: false };
        let mut fingerprint = false;
        for word in list.split(',').map(str::trim) {
            match word {
                FINGERPRINT => fingerprint = true,
                CONNECTION => filter.connection = true,
                ALERT => filter.alert = true,
                STATS => filter.stats = true,
                _ => match word.parse().ok() {
                    Some(method) => filter.methods |= bit(method),
                    None => {
                        return Err(FilterError { word: word.to_owned() });
                    }
                },
            }
        }
        if fingerprint && filter.methods == 0 {
            filter.methods = Self::EVERY_METHOD;
        }
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a list lets through: methods, then the other types.
    fn passes(list: &str) -> Vec<&'static str> {
        let filter = list.parse::<Filter>().unwrap();
        let methods = Method::ALL.into_iter().filter(|&method| filter.fingerprint(method));
        let mut passes = methods.map(Method::name).collect::<Vec<_>>();
        passes.extend(filter.connection().then_some("connection"));
        passes.extend(filter.alert().then_some("alert"));
        passes.extend(filter.stats().then_some("stats"));
        passes
    }

    #[test]
    fn lists_mean_what_they_say() {
        let all = Method::ALL.map(Method::name);
        assert_eq!(passes("fingerprint"), all);
        assert_eq!(passes("fingerprint,connection"), [&all[..], &["connection"]].concat());
        assert_eq!(passes("connection,stats"), ["connection", "stats"]);
        assert_eq!(passes("ja4s,ja4"), ["ja4", "ja4s"]);
        assert_eq!(passes("fingerprint, ja4ls"), ["ja4ls"]);
        assert_eq!(passes("ja4t,stats"), ["ja4t", "stats"]);
        assert_eq!(passes("alert"), ["alert"]);
        assert_eq!(passes("connection,alert"), ["connection", "alert"]);
    }

    #[test]
    fn by_connection_replaces_fingerprints() {
        let by_connection = |list: &str| list.parse::<Filter>().unwrap().by_connection();
        assert_eq!(by_connection("ja4,stats"), "connection,stats".parse().unwrap());
        assert_eq!(by_connection("alert"), "alert".parse().unwrap());
    }

    #[test]
    fn without_a_list_everything_passes() {
        let every = words().join(",").parse::<Filter>().unwrap();
        for method in Method::ALL {
            assert!(Filter::default().fingerprint(method) && every.fingerprint(method));
        }
        let filter = Filter::default();
        assert!(filter.connection() && filter.alert() && filter.stats());
        assert!(every.alert());
    }

    #[test]
    fn a_bad_word_is_named_beside_the_good_ones() {
        assert_eq!(
            "ja4,ja5,stats".parse::<Filter>().unwrap_err().to_string(),
            "'ja5' is no event type or method; there are fingerprint, connection, alert, stats, \
             ja4, ja4s, ja4t, ja4ts, ja4l, ja4ls, ja4h, ja4x, ja4ssh, ja4d, ja4d6",
        );
        for list in ["", "ja4,", "JA4"] {
            assert!(list.parse::<Filter>().is_err(), "{list:?}");
        }
    }
}
