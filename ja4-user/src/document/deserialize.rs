//! TOML to types that derive `Deserialize`, with a position for every error.
//!
//! serde stops at the first error. [`read`] therefore skips the wrong key and starts again until nothing is wrong: the
//! result has defaults in place of wrong keys, and all errors are known at once.
//!
//! An enum of newtype variants is a table that its key [`TAG`] selects: `type = "webhook"`.

use std::collections::HashSet;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use super::key_path::KeyPath;
use super::suggestion::{one_of, suggestion};

/// The key that selects the variant of an enum.
pub(super) const TAG: &str = "type";

/// The name under which [`Located`](super::Located) asks for a value with its offset.
pub(super) const LOCATED: &str = "$located";

/// Errors of one table that are searched for.
const MAX_ERRORS: usize = 100;

/// In place of the offset of a key: the table that is read.
const ROOT: usize = usize::MAX;

/// Characters of a text that a message repeats.
const MAX_REPEATED: usize = 60;

/// An error at a byte offset.
#[derive(Debug)]
pub(super) struct ReadError {
    pub(super) at: usize,
    /// The name of the wrong or missing key.
    pub(super) name: String,
    /// The name of the value that was skipped: the key itself, or the table that lacks it.
    pub(super) skipped: String,
    /// `None`: the consequence of an error that is listed already.
    pub(super) message: Option<String>,
}

/// Reads all of a table that can be read, and lists all errors. Offsets of wrong keys and elements are added to
/// `skipped`. `None`: a required key is missing or wrong, or there are too many errors.
pub(super) fn read<T: DeserializeOwned>(
    table: &DeTable<'_>,
    label: &str,
    skipped: &mut HashSet<usize>,
) -> (Option<T>, Vec<ReadError>) {
    let root = KeyPath::Root(label);
    let mut names = HashSet::new();
    let mut errors = Vec::new();
    while errors.len() < MAX_ERRORS {
        let error = match T::deserialize(TableReader { table, path: &root, skipped, tag: None }) {
            Ok(value) => return (Some(value), errors),
            Err(error) => error,
        };
        let Placed { at, skip, name, skipped: skipped_name, message } = error.at(&root, 0, ROOT, "a table");
        // A required key that was wrong is missing after it was skipped.
        let message = names.insert(name.clone()).then_some(message);
        errors.push(ReadError { at, name, skipped: skipped_name, message });
        // The table as a whole cannot be skipped.
        let skip = skip.unwrap_or(ROOT);
        if skip == ROOT || !skipped.insert(skip) {
            break;
        }
    }
    (None, errors)
}

/// The type of a value, with its article.
pub(crate) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// A text of the file as messages repeat it: cut, and with control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_REPEATED).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_REPEATED).is_some() {
        shown.push('…');
    }
    shown
}

/// An error on its way out of the value that it is about.
#[derive(Debug)]
enum TomlError {
    /// In the value that is being read.
    Loose(ErrorKind),
    /// Its position is known.
    Placed(Placed),
}

#[derive(Debug)]
enum ErrorKind {
    /// The message of a type.
    Message(String),
    /// Something else was expected; `found` is `None` if the value has the wrong type.
    Unexpected { expected: String, found: Option<String> },
    /// No such variant.
    UnknownValue { found: String, expected: &'static [&'static str] },
    /// No such key.
    UnknownKey { found: String, expected: &'static [&'static str], tag: Option<String> },
    /// A required key is missing.
    Missing(&'static str),
}

#[derive(Debug)]
struct Placed {
    at: usize,
    /// The offset of the key or element to skip; `None`: the innermost one around the error.
    skip: Option<usize>,
    /// The name of the wrong or missing key.
    name: String,
    /// The name of the value to skip.
    skipped: String,
    message: String,
}

impl TomlError {
    /// Places the error, unless it was placed deeper.
    fn at(self, path: &KeyPath<'_>, at: usize, skip: usize, found: &str) -> Placed {
        let (kind, skip) = match self {
            Self::Placed(placed) => return Placed { skip: placed.skip.or(Some(skip)), ..placed },
            Self::Loose(kind) => (kind, Some(skip)),
        };
        let mut name = path.to_string();
        let skipped = name.clone();
        let message = match kind {
            ErrorKind::Message(message) => format!("{name}: {message}"),
            ErrorKind::Unexpected { expected, found: exactly } => {
                format!("{name}: expected {expected}, found {}", exactly.as_deref().unwrap_or(found))
            }
            ErrorKind::UnknownValue { found, expected } => {
                format!("{name}: unknown value '{}'{}", shown(&found), meant(&found, expected))
            }
            ErrorKind::UnknownKey { found, expected, tag } => {
                let shown = shown(&found);
                let of_type = tag.map_or_else(String::new, |tag| format!(" for type '{tag}'"));
                let message = match name.as_str() {
                    "" => format!("unknown section '{shown}'{}", meant(&found, expected)),
                    name => format!("{name}: unknown key '{shown}'{of_type}{}", meant(&found, expected)),
                };
                name = KeyPath::Key(path, &found).to_string();
                message
            }
            ErrorKind::Missing(key) => {
                let message = format!("{name}: missing key '{key}'");
                name = KeyPath::Key(path, key).to_string();
                message
            }
        };
        Placed { at, skip, name, skipped, message }
    }
}

/// Returns `; did you mean 'hook'?`, or `: expected a, b or c` if no word is near.
fn meant(found: &str, expected: &[&str]) -> String {
    match suggestion(found, expected.iter().copied()) {
        near if near.is_empty() => format!(": expected {}", one_of(expected)),
        near => near,
    }
}

impl fmt::Display for TomlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for TomlError {}

impl de::Error for TomlError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Loose(ErrorKind::Message(message.to_string()))
    }

    fn invalid_type(_found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = match expected.to_string().as_str() {
            "path string" => "a string".to_owned(),
            "a sequence" => "an array".to_owned(),
            "u8" | "u16" | "u32" | "u64" | "usize" | "i64" => "an integer".to_owned(),
            "f64" => "a number".to_owned(),
            "a map" => "a table".to_owned(),
            expected if expected.starts_with("struct ") => "a table".to_owned(),
            expected if expected.starts_with("enum ") => "a string".to_owned(),
            expected if expected.starts_with("a nonzero") => "an integer other than 0".to_owned(),
            expected => expected.to_owned(),
        };
        Self::Loose(ErrorKind::Unexpected { expected, found: None })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let up_to = |most: u64| format!("an integer from 0 to {most}");
        let expected = match expected.to_string().as_str() {
            "u8" => up_to(u8::MAX.into()),
            "u16" => up_to(u16::MAX.into()),
            "u32" => up_to(u32::MAX.into()),
            "u64" | "usize" => "an integer of at least 0".to_owned(),
            "a nonzero u16" => format!("an integer from 1 to {}", u16::MAX),
            expected => expected.to_owned(),
        };
        let found = match found {
            Unexpected::Signed(number) => number.to_string(),
            Unexpected::Unsigned(number) => number.to_string(),
            found => found.to_string(),
        };
        Self::Loose(ErrorKind::Unexpected { expected, found: Some(found) })
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        Self::Loose(ErrorKind::UnknownValue { found: found.to_owned(), expected })
    }

    fn unknown_field(found: &str, expected: &'static [&'static str]) -> Self {
        Self::Loose(ErrorKind::UnknownKey { found: found.to_owned(), expected, tag: None })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::Loose(ErrorKind::Missing(key))
    }
}

/// A value to read.
struct ValueReader<'t, 'a> {
    value: &'t DeValue<'a>,
    at: usize,
    path: &'t KeyPath<'t>,
    skipped: &'t HashSet<usize>,
}

impl<'de> de::Deserializer<'de> for ValueReader<'_, '_> {
    type Error = TomlError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TomlError> {
        let Self { value, path, skipped, .. } = self;
        match value {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(number) => {
                let (digits, radix) = (number.as_str(), number.radix());
                if let Ok(number) = i64::from_str_radix(digits, radix) {
                    return visitor.visit_i64(number);
                }
                let number = u64::from_str_radix(digits, radix).map_err(|_| {
                    let (expected, found) = ("an integer of 64 bits".to_owned(), Some(number.to_string()));
                    TomlError::Loose(ErrorKind::Unexpected { expected, found })
                })?;
                visitor.visit_u64(number)
            }
            DeValue::Float(number) => {
                let number = number.as_str().parse().map_err(|_| de::Error::custom("is not a number"))?;
                visitor.visit_f64(number)
            }
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            DeValue::Datetime(_) => Err(de::Error::invalid_type(Unexpected::Other("a date"), &visitor)),
            DeValue::Array(list) => visitor.visit_seq(Elements { list, next: 0, path, skipped }),
            DeValue::Table(table) => TableReader { table, path, skipped, tag: None }.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TomlError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, TomlError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, TomlError> {
        if name == LOCATED {
            return visitor.visit_seq(LocatedValue { at: Some(self.at), value: Some(self) });
        }
        self.deserialize_any(visitor)
    }

    /// A derived struct would accept an array too.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TomlError> {
        match self.value {
            DeValue::Table(_) => self.deserialize_any(visitor),
            _ => Err(de::Error::invalid_type(Unexpected::Other("no table"), &visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TomlError> {
        let Self { value, path, skipped, .. } = self;
        match value {
            DeValue::String(text) => visitor.visit_enum(StrDeserializer::new(text)),
            DeValue::Table(table) => visitor.visit_enum(Tagged { table, path, skipped }),
            _ => Err(de::Error::invalid_type(Unexpected::Other("no string"), &visitor)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        map identifier ignored_any
    }
}

/// The offset of a value, then the value.
struct LocatedValue<'t, 'a> {
    at: Option<usize>,
    value: Option<ValueReader<'t, 'a>>,
}

impl<'de> de::SeqAccess<'de> for LocatedValue<'_, '_> {
    type Error = TomlError;

    fn next_element_seed<E: DeserializeSeed<'de>>(&mut self, seed: E) -> Result<Option<E::Value>, TomlError> {
        if let Some(at) = self.at.take() {
            return seed.deserialize(at.into_deserializer()).map(Some);
        }
        self.value.take().map(|value| seed.deserialize(value)).transpose()
    }
}

/// A table that its key [`TAG`] makes a variant of an enum.
struct Tagged<'t, 'a> {
    table: &'t DeTable<'a>,
    path: &'t KeyPath<'t>,
    skipped: &'t HashSet<usize>,
}

impl<'de, 't, 'a> de::EnumAccess<'de> for Tagged<'t, 'a> {
    type Error = TomlError;
    type Variant = TableReader<'t, 'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), TomlError> {
        let Self { table, path, skipped } = self;
        let tag = table.get(TAG).ok_or_else(|| de::Error::missing_field(TAG))?;
        let tag_path = KeyPath::Key(path, TAG);
        // A wrong tag makes the whole table unreadable: the table is skipped, not the key.
        let placed = |error: TomlError| {
            let placed = error.at(&tag_path, tag.span().start, 0, type_name(tag.get_ref()));
            TomlError::Placed(Placed { skip: None, ..placed })
        };
        let Some(name) = tag.get_ref().as_str() else {
            return Err(placed(de::Error::invalid_type(Unexpected::Other("no string"), &"a string")));
        };
        let identifier: StrDeserializer<'_, TomlError> = name.into_deserializer();
        let variant = seed.deserialize(identifier).map_err(placed)?;
        Ok((variant, TableReader { table, path, skipped, tag: Some(name) }))
    }
}

impl<'de> de::VariantAccess<'de> for TableReader<'_, '_> {
    type Error = TomlError;

    fn unit_variant(self) -> Result<(), TomlError> {
        Err(de::Error::invalid_type(Unexpected::Map, &"a string"))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, TomlError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, TomlError> {
        Err(de::Error::invalid_type(Unexpected::Map, &visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, TomlError> {
        de::Deserializer::deserialize_any(self, visitor)
    }
}

/// A table to read.
struct TableReader<'t, 'a> {
    table: &'t DeTable<'a>,
    path: &'t KeyPath<'t>,
    skipped: &'t HashSet<usize>,
    /// The value of the key [`TAG`], which is then no key of the struct.
    tag: Option<&'t str>,
}

impl<'de> de::Deserializer<'de> for TableReader<'_, '_> {
    type Error = TomlError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TomlError> {
        let Self { table, path, skipped, tag } = self;
        let is_read = |key: &Spanned<DeString<'_>>| !skipped.contains(&key.span().start);
        let entries = table.iter().filter(|(key, _)| is_read(key) && (tag.is_none() || key.get_ref() != TAG));
        visitor.visit_map(Entries { entries, value: None, path, skipped, tag })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

type KeyValue<'t, 'a> = (&'t Spanned<DeString<'a>>, &'t Spanned<DeValue<'a>>);

/// The keys and values of a table.
struct Entries<'t, 'a, I> {
    entries: I,
    /// The value of the entry, after its key was read.
    value: Option<KeyValue<'t, 'a>>,
    path: &'t KeyPath<'t>,
    skipped: &'t HashSet<usize>,
    tag: Option<&'t str>,
}

impl<'de, 't, 'a, I: Iterator<Item = KeyValue<'t, 'a>>> de::MapAccess<'de> for Entries<'t, 'a, I> {
    type Error = TomlError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TomlError> {
        self.value = self.entries.next();
        let Some((key, _)) = self.value else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, TomlError> = key.get_ref().as_ref().into_deserializer();
        let at = key.span().start;
        seed.deserialize(name).map(Some).map_err(|mut error| {
            if let TomlError::Loose(ErrorKind::UnknownKey { tag, .. }) = &mut error {
                *tag = self.tag.map(str::to_owned);
            }
            TomlError::Placed(error.at(self.path, at, at, "a key"))
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, TomlError> {
        let Some((key, value)) = self.value.take() else {
            return Err(de::Error::custom("has no value"));
        };
        let path = KeyPath::Key(self.path, key.get_ref());
        let at = value.span().start;
        let inner = ValueReader { value: value.get_ref(), at, path: &path, skipped: self.skipped };
        seed.deserialize(inner)
            .map_err(|error| TomlError::Placed(error.at(&path, at, key.span().start, type_name(value.get_ref()))))
    }
}

/// The elements of an array.
struct Elements<'t, 'a> {
    list: &'t DeArray<'a>,
    next: usize,
    path: &'t KeyPath<'t>,
    skipped: &'t HashSet<usize>,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, '_> {
    type Error = TomlError;

    fn next_element_seed<E: DeserializeSeed<'de>>(&mut self, seed: E) -> Result<Option<E::Value>, TomlError> {
        while let Some(element) = self.list.get(self.next) {
            self.next += 1;
            let at = element.span().start;
            if self.skipped.contains(&at) {
                continue;
            }
            let path = KeyPath::Element(self.path, self.next);
            let inner = ValueReader { value: element.get_ref(), at, path: &path, skipped: self.skipped };
            return seed
                .deserialize(inner)
                .map(Some)
                .map_err(|error| TomlError::Placed(error.at(&path, at, at, type_name(element.get_ref()))));
        }
        Ok(None)
    }
}
