//! Words of the configuration that several settings share.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::Method;
use crate::units::Span;

/// From which to which time a rule may count together.
pub(crate) const WINDOW: (Span, Span) = (Span::milliseconds(1), Span::seconds(7 * 86_400));

/// How long a group may be quiet. Without any quiet time, every firing would be an alert.
pub(crate) const COOLDOWN: (Span, Span) = (Span::seconds(1), WINDOW.1);

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

/// For `#[serde(with = "severity")]`: a [`Severity`](crate::model::Severity) by its name.
pub mod severity {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::model::Severity;

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
    use super::*;

    #[test]
    fn methods_are_listed_by_name() {
        let read = |list: &str| serde_json::from_str::<Methods>(list);
        let both = read(r#"["ja4","ja4ssh"]"#).unwrap();
        assert!(both.has(Method::Ja4) && both.has(Method::Ja4ssh) && !both.has(Method::Ja4s));
        assert_eq!(serde_json::to_string(&both).unwrap(), r#"["ja4","ja4ssh"]"#);
        assert!(read(r#"["ja5"]"#).unwrap_err().to_string().contains("'ja5' is no method; there are ja4,"));
    }
}
