//! TOML as serde reads it, with errors that know where they belong.
//!
//! serde ends at the first error. [`read`] therefore notes it, leaves its key out and begins again, until nothing is
//! wrong any more: what comes of it has defaults in the place of wrong keys, so that the rest can be checked too.

use std::collections::HashSet;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::document::{suggestion, type_name};

/// Errors of one file that are looked for.
const MAX_ERRORS: usize = 100;

/// Something wrong, at an offset of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    /// Where the key or element begins that was left out for it.
    pub(super) left_out: usize,
    /// `None`: it only follows from another.
    pub(super) message: Option<String>,
}

/// All of a table that can be read, and all that cannot. `None`: there is too much of the latter.
pub(super) fn read<T: DeserializeOwned>(table: &DeTable<'_>) -> (Option<T>, Vec<Fault>) {
    let mut left_out = HashSet::new();
    let mut names = HashSet::new();
    let mut faults = Vec::new();
    while faults.len() < MAX_ERRORS {
        let table = Table { table, path: Path::default(), left_out: &left_out };
        let error = match T::deserialize(table) {
            Ok(value) => return (Some(value), faults),
            Err(error) => error,
        };
        let Place { at, key, name, message } = error.at(&Path::default(), 0, 0, "a table");
        // A key that has to be there, and was wrong, is missing once it was left out.
        let message = names.insert(name).then_some(message);
        faults.push(Fault { at, left_out: key, message });
        if !left_out.insert(key) {
            break;
        }
    }
    (None, faults)
}

/// The name of a value in messages: `capture.shards`, `alerts.sink 2: kind`.
#[derive(Clone, Debug, Default)]
pub(super) struct Path {
    text: String,
    is_element: bool,
}

impl Path {
    /// A key of this table.
    pub(super) fn key(&self, key: &str) -> Self {
        let text = match self.text.as_str() {
            "" => key.to_owned(),
            text if self.is_element => format!("{text}: {key}"),
            text => format!("{text}.{key}"),
        };
        Self { text, is_element: false }
    }

    /// An element of this list, from 1.
    pub(super) fn element(&self, number: usize) -> Self {
        Self { text: format!("{} {number}", self.text), is_element: true }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// What went wrong.
#[derive(Debug)]
enum Error {
    /// Somewhere in the value that is being read.
    Loose(Kind),
    /// The place is known.
    Placed(Place),
}

#[derive(Debug)]
enum Kind {
    /// A type's own words.
    Words(String),
    /// Something else was expected; `found` is `None` where it is the type that is wrong.
    Unexpected { expected: String, found: Option<String> },
    /// No variant of that name.
    Variant { found: String, variants: &'static [&'static str] },
    /// No key of that name.
    Key { found: String, keys: &'static [&'static str] },
    /// A key that has to be there.
    Missing(&'static str),
}

#[derive(Debug)]
struct Place {
    /// Where it stands.
    at: usize,
    /// Where the key begins that has to be left out.
    key: usize,
    /// The name of what is wrong or missing.
    name: String,
    message: String,
}

impl Error {
    /// The error at this place, unless a place was found deeper.
    fn at(self, path: &Path, at: usize, key: usize, found: &str) -> Place {
        let name = &path.text;
        let wrong = match &self {
            Self::Loose(Kind::Missing(key)) => path.key(key).into_text(),
            Self::Loose(Kind::Key { found, .. }) => path.key(found).into_text(),
            _ => name.clone(),
        };
        let message = match self {
            Self::Placed(place) => return place,
            Self::Loose(Kind::Words(words)) => format!("{name}: {words}"),
            Self::Loose(Kind::Unexpected { expected, found: exactly }) => {
                format!("{name} must be {expected}, not {}", exactly.as_deref().unwrap_or(found))
            }
            Self::Loose(Kind::Variant { found, variants }) => {
                let near = suggestion(&found, variants.iter().copied());
                format!("{name} must be one of {}, not {found:?}{near}", variants.join(", "))
            }
            Self::Loose(Kind::Key { found, keys }) => {
                let near = suggestion(&found, keys.iter().copied());
                let near = if near.is_empty() { format!("; there are {}", keys.join(", ")) } else { near };
                match name.as_str() {
                    "" => format!("there is no section {found:?}{near}"),
                    name => format!("{name} has no key {found:?}{near}"),
                }
            }
            Self::Loose(Kind::Missing(key)) => format!("{name}: '{key}' is missing"),
        };
        Place { at, key, name: wrong, message }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(words: T) -> Self {
        Self::Loose(Kind::Words(words.to_string()))
    }

    fn invalid_type(_found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = match expected.to_string().as_str() {
            "a string" | "path string" => "a text".to_owned(),
            "a boolean" => "true or false".to_owned(),
            "a sequence" => "a list".to_owned(),
            "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number".to_owned(),
            "f64" => "a number".to_owned(),
            "a map" => "a table".to_owned(),
            words if words.starts_with("struct ") => "a table".to_owned(),
            words if words.starts_with("enum ") => "a text".to_owned(),
            words if words.starts_with("a nonzero") => "a whole number that is not 0".to_owned(),
            words => words.to_owned(),
        };
        Self::Loose(Kind::Unexpected { expected, found: None })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let most = |most: u64| format!("a whole number from 0 to {most}");
        let expected = match expected.to_string().as_str() {
            "u8" => most(u8::MAX.into()),
            "u16" => most(u16::MAX.into()),
            "u32" => most(u32::MAX.into()),
            "u64" | "usize" => "a whole number that is not negative".to_owned(),
            "a nonzero u16" => format!("a whole number from 1 to {}", u16::MAX),
            words => words.to_owned(),
        };
        let found = match found {
            Unexpected::Signed(number) => number.to_string(),
            Unexpected::Unsigned(number) => number.to_string(),
            found => found.to_string(),
        };
        Self::Loose(Kind::Unexpected { expected, found: Some(found) })
    }

    fn unknown_variant(found: &str, variants: &'static [&'static str]) -> Self {
        Self::Loose(Kind::Variant { found: found.to_owned(), variants })
    }

    fn unknown_field(found: &str, keys: &'static [&'static str]) -> Self {
        Self::Loose(Kind::Key { found: found.to_owned(), keys })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::Loose(Kind::Missing(key))
    }
}

/// A value to be read.
struct Value<'t, 'a> {
    value: &'t DeValue<'a>,
    path: Path,
    left_out: &'t HashSet<usize>,
}

impl<'de> de::Deserializer<'de> for Value<'_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(number) => {
                let (digits, radix) = (number.as_str(), number.radix());
                if let Ok(number) = i64::from_str_radix(digits, radix) {
                    return visitor.visit_i64(number);
                }
                let number = u64::from_str_radix(digits, radix).map_err(|_| {
                    let (expected, found) = ("a number that 64 bits hold".to_owned(), Some(number.to_string()));
                    Error::Loose(Kind::Unexpected { expected, found })
                })?;
                visitor.visit_u64(number)
            }
            DeValue::Float(number) => {
                let number = number.as_str().parse().map_err(|_| de::Error::custom("is no number"))?;
                visitor.visit_f64(number)
            }
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            DeValue::Datetime(_) => Err(de::Error::invalid_type(Unexpected::Other("a date"), &visitor)),
            DeValue::Array(list) => {
                visitor.visit_seq(Elements { list, next: 0, path: self.path, left_out: self.left_out })
            }
            DeValue::Table(table) => Table { table, path: self.path, left_out: self.left_out }.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// A list, too, would do for a derived struct.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
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
    ) -> Result<V::Value, Error> {
        match self.value {
            DeValue::String(text) => visitor.visit_enum(StrDeserializer::new(text)),
            _ => Err(de::Error::invalid_type(Unexpected::Other("no text"), &visitor)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

/// A table to be read.
struct Table<'t, 'a> {
    table: &'t DeTable<'a>,
    path: Path,
    left_out: &'t HashSet<usize>,
}

impl<'de> de::Deserializer<'de> for Table<'_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left_out = self.left_out;
        let entries = self.table.iter().filter(|(key, _)| !left_out.contains(&key.span().start));
        visitor.visit_map(Entries { entries, value: None, path: self.path, left_out })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

type Entry<'t, 'a> = (&'t Spanned<toml::de::DeString<'a>>, &'t Spanned<DeValue<'a>>);

/// Keys and values of a table.
struct Entries<'t, 'a, I> {
    entries: I,
    /// The one whose key was read.
    value: Option<Entry<'t, 'a>>,
    path: Path,
    left_out: &'t HashSet<usize>,
}

impl<'de, 't, 'a, I: Iterator<Item = Entry<'t, 'a>>> de::MapAccess<'de> for Entries<'t, 'a, I> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.value = self.entries.next();
        let Some((key, _)) = self.value else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, Error> = key.get_ref().as_ref().into_deserializer();
        let at = key.span().start;
        seed.deserialize(name).map(Some).map_err(|error| Error::Placed(error.at(&self.path, at, at, "a key")))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((key, value)) = self.value.take() else {
            return Err(de::Error::custom("has no value"));
        };
        let path = self.path.key(key.get_ref());
        let inner = Value { value: value.get_ref(), path: path.clone(), left_out: self.left_out };
        seed.deserialize(inner).map_err(|error| {
            Error::Placed(error.at(&path, value.span().start, key.span().start, type_name(value.get_ref())))
        })
    }
}

/// Elements of a list.
struct Elements<'t, 'a> {
    list: &'t DeArray<'a>,
    next: usize,
    path: Path,
    left_out: &'t HashSet<usize>,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, '_> {
    type Error = Error;

    fn next_element_seed<E: DeserializeSeed<'de>>(&mut self, seed: E) -> Result<Option<E::Value>, Error> {
        while let Some(element) = self.list.get(self.next) {
            self.next += 1;
            let at = element.span().start;
            if self.left_out.contains(&at) {
                continue;
            }
            let path = self.path.element(self.next);
            let inner = Value { value: element.get_ref(), path: path.clone(), left_out: self.left_out };
            let read = seed.deserialize(inner);
            return read
                .map(Some)
                .map_err(|error| Error::Placed(error.at(&path, at, at, type_name(element.get_ref()))));
        }
        Ok(None)
    }
}
