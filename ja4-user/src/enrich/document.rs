//! TOML files that are lists of tables, with everything that is wrong in them and where.

use std::fmt;
use std::ops::Range;

use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::shape;
use crate::model::Method;

/// Faults that are told of one file: more are not read, and would fill a log.
const MAX_FAULTS: usize = 32;

/// Longest text of one field, bytes: a name, a note.
pub(super) const MAX_TEXT: usize = 512;

/// What is wrong at one place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Character of the line, from 1.
    pub column: usize,
    /// What is wrong, and what should be there.
    pub message: String,
}

/// All that is wrong in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
pub struct Faults {
    /// At most 32, in the order they stand in the file.
    pub faults: Vec<Fault>,
    /// How many there are beside those.
    pub more: usize,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Fault { line, column, message }) in self.faults.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}line {line}, column {column}: {message}")?;
        }
        if self.more > 0 { write!(f, "; and {} more", self.more) } else { Ok(()) }
    }
}

/// A file under way, and what was found wrong in it so far.
pub(super) struct Reader<'t> {
    text: &'t str,
    wrong: Vec<(usize, String)>,
    more: usize,
}

/// One table of the list.
pub(super) struct Row<'t> {
    /// Where it begins.
    pub(super) at: usize,
    table: DeTable<'t>,
}

impl<'t> Reader<'t> {
    /// The tables of `[[list]]`, the only thing that the file may hold; `keys` are all that such a table may have.
    pub(super) fn open(text: &'t str, list: &str, keys: &[&str]) -> (Self, Vec<Row<'t>>) {
        let mut reader = Self { text, wrong: Vec::new(), more: 0 };
        let mut rows = Vec::new();
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            reader.fault(error.span().map_or(0, |span| span.start), error.message());
        }
        // What a broken file seems to hold is guesswork.
        if !errors.is_empty() {
            return (reader, rows);
        }
        for (key, value) in document.into_inner() {
            let span = value.span();
            match value.into_inner() {
                DeValue::Array(array) if key.get_ref() == list => {
                    for value in array {
                        reader.row(value, list, keys, &mut rows);
                    }
                }
                _ if key.get_ref() == list => reader.fault(span.start, format!("write [[{list}]] for each of them")),
                _ => reader.fault(
                    key.span().start,
                    format!("'{}' is unknown; the file holds [[{list}]] and nothing else", shown(key.get_ref())),
                ),
            }
        }
        (reader, rows)
    }

    fn row(&mut self, value: Spanned<DeValue<'t>>, list: &str, keys: &[&str], rows: &mut Vec<Row<'t>>) {
        let span = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            return self.fault(span.start, format!("write [[{list}]] for each of them"));
        };
        for key in table.keys().filter(|key| !keys.contains(&key.get_ref().as_ref())) {
            let message = format!("'{}' is unknown; there are {}", shown(key.get_ref()), keys.join(", "));
            self.fault(key.span().start, message);
        }
        rows.push(Row { at: span.start, table });
    }

    /// Notes what is wrong at an offset.
    pub(super) fn fault(&mut self, at: usize, message: impl Into<String>) {
        if self.wrong.len() < MAX_FAULTS {
            self.wrong.push((at, message.into()));
        } else {
            self.more += 1;
        }
    }

    /// A text that may be absent, and where it stands.
    pub(super) fn text(&mut self, row: &Row<'_>, key: &str) -> Option<(String, usize)> {
        let (value, span) = row.field(key)?;
        let Some(text) = value.as_str() else {
            self.fault(span.start, format!("{key} is a text in quotes"));
            return None;
        };
        match complaint(text) {
            Some(complaint) => {
                self.fault(span.start, format!("{key} {complaint}"));
                None
            }
            None => Some((text.to_owned(), span.start)),
        }
    }

    /// A text that has to be there, and where it stands.
    pub(super) fn required(&mut self, row: &Row<'_>, key: &str) -> Option<(String, usize)> {
        if !row.has(key) {
            self.fault(row.at, format!("{key} is missing"));
        }
        self.text(row, key)
    }

    /// A method, which has to be there.
    pub(super) fn method(&mut self, row: &Row<'_>, key: &str) -> Option<Method> {
        let (name, at) = self.required(row, key)?;
        let method = shape::method(&name);
        if method.is_none() {
            let names = Method::ALL.map(Method::name).join(", ");
            self.fault(at, format!("'{}' is no {key}; there are {names}", shown(&name)));
        }
        method
    }

    /// A confidence, 0 to 100.
    pub(super) fn confidence(&mut self, row: &Row<'_>, key: &str) -> Option<u8> {
        let (value, span) = row.field(key)?;
        let number = value.as_integer().and_then(|integer| u8::from_str_radix(integer.as_str(), integer.radix()).ok());
        let confidence = number.filter(|number| *number <= 100);
        if confidence.is_none() {
            self.fault(span.start, format!("{key} is a whole number from 0 to 100"));
        }
        confidence
    }

    /// What is wrong, if anything is.
    pub(super) fn close(self) -> Result<(), Faults> {
        let Self { text, mut wrong, more } = self;
        if wrong.is_empty() {
            return Ok(());
        }
        wrong.sort_by_key(|(at, _)| *at);
        let faults = wrong.into_iter().map(|(at, message)| {
            let (line, column) = position(text, at);
            Fault { line, column, message }
        });
        Err(Faults { faults: faults.collect(), more })
    }
}

impl<'t> Row<'t> {
    /// Whether the key is there, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.field(key).is_some()
    }

    fn field(&self, key: &str) -> Option<(&DeValue<'t>, Range<usize>)> {
        let (_, value) = self.table.iter().find(|(name, _)| name.get_ref() == key)?;
        Some((value.get_ref(), value.span()))
    }
}

/// Why a text cannot be a field: it is shown in terminals and logs, where nothing of it may steer.
pub(super) fn complaint(text: &str) -> Option<&'static str> {
    if text.trim().is_empty() {
        Some("is empty")
    } else if text.len() > MAX_TEXT {
        Some("is longer than 512 bytes")
    } else if text.chars().any(steers) {
        Some("holds control characters")
    } else {
        None
    }
}

/// Whether a character does something other than to appear: controls, and those that turn the direction of text.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}')
}

/// A piece of a file in a message: not all of it, and nothing that steers.
pub(super) fn shown(text: &str) -> String {
    const ENOUGH: usize = 60;
    let mut shown: String = text.chars().take(ENOUGH).flat_map(char::escape_debug).collect();
    if text.chars().nth(ENOUGH).is_some() {
        shown.push('…');
    }
    shown
}

/// Line and character of an offset, both from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}
