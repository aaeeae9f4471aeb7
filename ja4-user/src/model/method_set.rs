//! Fingerprint methods and severities as settings.

use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, de};

use crate::document::documented_type;
use crate::model::{Method, Severity};

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
        let names = Vec::<MethodName>::deserialize(from)?;
        Ok(names.iter().fold(Self::default(), |set, name| Self(set.0 | Self::of(&[name.0]).0)))
    }
}

/// The names of all methods.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| Method::ALL.map(Method::name).into());

/// A method, written as its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodName(pub Method);

impl MethodName {
    /// Returns the method of a name.
    ///
    /// # Errors
    /// The name is unknown.
    pub fn parse<E: de::Error>(name: &str) -> Result<Self, E> {
        name.parse().map(Self).map_err(|_| E::unknown_variant(name, &NAMES))
    }
}

impl<'de> Deserialize<'de> for MethodName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?)
    }
}

impl<'de> Deserialize<'de> for Severity {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

documented_type! {
    Severity: "low, medium, high or critical", |value| Some(format!("\"{value}\""));
    Methods: "array of methods", |value| {
        let names = Method::ALL.into_iter().filter(|&method| value.has(method));
        Some(format!("[{}]", names.map(|method| format!("\"{}\"", method.name())).collect::<Vec<_>>().join(", ")))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_listed_by_name() {
        let read = |list: &str| serde_json::from_str::<Methods>(list);
        let both = read(r#"["ja4","ja4ssh"]"#).unwrap();
        assert!(both.has(Method::Ja4) && both.has(Method::Ja4ssh) && !both.has(Method::Ja4s));
        assert_eq!(crate::document::SettingType::to_toml(&both).as_deref(), Some(r#"["ja4", "ja4ssh"]"#));
        assert!(read(r#"["ja5"]"#).unwrap_err().to_string().contains("unknown variant `ja5`"));
    }
}
