//! Settings: sections of the configuration, each key declared once.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};

/// One key of the configuration, for the reference in docs/.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyReference {
    /// The section, such as `builtin.beacon`.
    pub section: String,
    /// The key.
    pub key: String,
    /// The type, such as `duration` or `array of strings`.
    pub value_type: String,
    /// The default in TOML; `None`: the key has none.
    pub default: Option<String>,
    /// The accepted range, such as `from 1 to 64`; `None`: every value of the type.
    pub range: Option<String>,
    /// What the key does.
    pub help: String,
}

/// A type that settings have, or a section of them.
pub trait SettingType {
    /// The type as the reference shows it.
    fn value_type() -> String
    where
        Self: Sized;

    /// The value in TOML; `None`: unset.
    fn to_toml(&self) -> Option<String>;

    /// The keys of a section, with `self` as their defaults; `None`: the type is a value, not a section.
    fn keys(&self, _section: &str) -> Option<Vec<KeyReference>> {
        None
    }

    /// The keys of the elements, if the type is an element of an array of tables.
    fn keys_of_type(_section: &str) -> Vec<KeyReference>
    where
        Self: Sized,
    {
        Vec::new()
    }

    /// Calls `report` with the key and the message of every value out of range, if the type is a section.
    fn check_ranges(&self, _section: &str, _report: &mut dyn FnMut(String, String)) {}
}

/// A setting that may have a range.
pub(crate) trait Ranged {
    /// The type of the range's bounds.
    type Bound: PartialOrd + Display;

    /// The value to check; `None`: unset.
    fn bound(&self) -> Option<&Self::Bound>;
}

impl<T: Ranged> Ranged for Option<T> {
    type Bound = T::Bound;

    fn bound(&self) -> Option<&T::Bound> {
        self.as_ref().and_then(T::bound)
    }
}

/// Returns why a value is out of range.
pub(crate) fn check_range<T: Ranged>(value: &T, range: &impl RangeBounds<T::Bound>) -> Option<String> {
    let value = value.bound()?;
    (!range.contains(value)).then(|| format!("{value} is out of range; expected a value {}", range_text(range)))
}

/// Returns `from 1 to 64` or `of at least 1`.
pub(crate) fn range_text<T: Display>(range: &impl RangeBounds<T>) -> String {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(least), Bound::Included(most)) => format!("from {least} to {most}"),
        (Bound::Included(least), _) => format!("of at least {least}"),
        (_, Bound::Included(most)) => format!("of at most {most}"),
        _ => String::new(),
    }
}

/// Returns the text of the doc comments among stringified attributes, as one paragraph.
pub(crate) fn help_text(attributes: &[&str]) -> String {
    let line = |attribute: &&str| {
        let text = attribute.strip_prefix("doc")?.trim_start().strip_prefix('=')?.trim_start();
        let text = text.trim_start_matches('r').trim_matches('#').strip_prefix('"')?.strip_suffix('"')?;
        Some(text.trim().replace("\\\"", "\"").replace("\\'", "'"))
    };
    attributes.iter().filter_map(line).collect::<Vec<_>>().join(" ")
}

/// Implements [`SettingType`] for types that `Display` formats as TOML, without or with quotes.
macro_rules! documented_type {
    ($($type:ty: $name:expr, |$value:ident| $toml:expr;)*) => {
        $(impl $crate::document::SettingType for $type {
            fn value_type() -> String {
                String::from($name)
            }

            fn to_toml(&self) -> Option<String> {
                let $value = self;
                $toml
            }
        })*
    };
}
pub(crate) use documented_type;

/// Declares a section: each key once, with its help (the doc comment), type, default and range.
///
/// ```ignore
/// settings! {
///     /// Section `[capture]`.
///     pub struct CaptureSettings {
///         /// Worker shards; unset: one per CPU.
///         pub shards: Option<u32> = None, in 1..=64;
///     }
/// }
/// ```
macro_rules! settings {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$attribute:meta])* pub $field:ident: $type:ty = $default:expr $(, in $range:expr)?;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$attribute])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::document::SettingType for $name {
            fn value_type() -> String {
                String::from("table")
            }

            fn to_toml(&self) -> Option<String> {
                None
            }

            fn keys(&self, section: &str) -> Option<Vec<$crate::document::KeyReference>> {
                let mut keys = Vec::new();
                $({
                    let inner = if section.is_empty() {
                        String::from(stringify!($field))
                    } else {
                        format!("{section}.{}", stringify!($field))
                    };
                    match $crate::document::SettingType::keys(&self.$field, &inner) {
                        Some(inner) => keys.extend(inner),
                        None => {
                            #[allow(unused_mut, unused_assignments, reason = "not every key has a range")]
                            let mut range = None;
                            $(range = Some($crate::document::range_text(&$range));)?
                            keys.push($crate::document::KeyReference {
                                section: String::from(section),
                                key: String::from(stringify!($field)),
                                value_type: <$type as $crate::document::SettingType>::value_type(),
                                default: $crate::document::SettingType::to_toml(&self.$field),
                                range,
                                help: $crate::document::help_text(&[$(stringify!($attribute)),*]),
                            });
                        }
                    }
                })*
                Some(keys)
            }

            fn keys_of_type(section: &str) -> Vec<$crate::document::KeyReference> {
                $crate::document::SettingType::keys(&Self::default(), section).unwrap_or_default()
            }

            fn check_ranges(&self, section: &str, report: &mut dyn FnMut(String, String)) {
                let inner = |field: &str| match section {
                    "" => String::from(field),
                    section => format!("{section}.{field}"),
                };
                $(
                    $crate::document::SettingType::check_ranges(&self.$field, &inner(stringify!($field)), report);
                    $(if let Some(message) = $crate::document::check_range(&self.$field, &$range) {
                        report(inner(stringify!($field)), message);
                    })?
                )*
            }
        }
    };
}
pub(crate) use settings;

macro_rules! ranged {
    ($($type:ty: $name:literal, |$value:ident| $toml:expr;)*) => {
        $(impl Ranged for $type {
            type Bound = Self;

            fn bound(&self) -> Option<&Self> {
                Some(self)
            }
        })*
        documented_type! { $($type: $name, |$value| $toml;)* }
    };
}

ranged! {
    u8: "integer", |value| Some(value.to_string());
    u32: "integer", |value| Some(value.to_string());
    u64: "integer", |value| Some(value.to_string());
    usize: "integer", |value| Some(value.to_string());
    f64: "number", |value| Some(value.to_string());
    crate::units::HumanDuration: "duration", |value| Some(format!("\"{value}\""));
    crate::units::ByteSize: "size", |value| Some(format!("\"{value}\""));
}

documented_type! {
    bool: "boolean", |value| Some(value.to_string());
    std::num::NonZeroU16: "integer", |value| Some(value.to_string());
    String: "string", |value| Some(format!("{value:?}"));
    std::path::PathBuf: "path", |value| Some(format!("{:?}", value.display().to_string()));
}

impl<T: SettingType> SettingType for Option<T> {
    fn value_type() -> String {
        T::value_type()
    }

    fn to_toml(&self) -> Option<String> {
        self.as_ref().and_then(T::to_toml)
    }
}

impl<T: SettingType> SettingType for Vec<T> {
    fn value_type() -> String {
        format!("array of {}s", T::value_type())
    }

    fn to_toml(&self) -> Option<String> {
        let elements: Vec<_> = self.iter().filter_map(T::to_toml).collect();
        Some(format!("[{}]", elements.join(", ")))
    }

    fn keys(&self, section: &str) -> Option<Vec<KeyReference>> {
        Some(T::keys_of_type(section)).filter(|keys| !keys.is_empty())
    }
}
