//! One TOML file and the diagnostics about it.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::deserialize::{self, LOCATED};
use super::diagnostic::{Diagnostic, Position};
use super::key_path::KeyPath;
use super::suggestion::{one_of, suggestion};

/// A table of a file.
pub(crate) type TomlTable<'a> = DeTable<'a>;

/// The text of a file and the diagnostics found in it so far.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    path: Arc<Path>,
    text: &'a str,
    diagnostics: Vec<Diagnostic>,
    skipped: HashSet<usize>,
    /// Diagnostics beyond [`MAX_DIAGNOSTICS`].
    more: usize,
}

/// A value and the byte offset at which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) at: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pair<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Pair<T> {
            type Value = Located<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value and its offset")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut pair: A) -> Result<Self::Value, A::Error> {
                let missing = || serde::de::Error::custom("has no offset");
                let at = pair.next_element()?.ok_or_else(missing)?;
                let value = pair.next_element()?.ok_or_else(missing)?;
                Ok(Located { value, at })
            }
        }

        from.deserialize_tuple_struct(LOCATED, 2, Pair(std::marker::PhantomData))
    }
}

/// One table of an array of tables.
#[derive(Debug)]
pub(crate) struct TableHeader {
    /// The name of the table in messages, such as `rule "a"`.
    pub(crate) label: String,
    /// The byte offset at which the table begins.
    pub(crate) at: usize,
    /// Names of keys that were reported as wrong: their absence is no error of its own.
    wrong: Vec<String>,
}

impl TableHeader {
    /// Whether any key of the table was reported as wrong.
    pub(crate) fn has_errors(&self) -> bool {
        !self.wrong.is_empty()
    }

    /// Whether a key of the table was reported as wrong.
    pub(crate) fn is_wrong(&self, key: &str) -> bool {
        self.has_errors() && self.wrong.contains(&KeyPath::Key(&KeyPath::Root(&self.label), key).to_string())
    }
}

impl<'a> Document<'a> {
    /// Reads a file of at most `max` bytes as text.
    pub(crate) fn read_text(path: &Path, max: u64) -> Result<String, Diagnostic> {
        let bytes = Self::read_bytes(path, max)?;
        String::from_utf8(bytes).map_err(|_| Diagnostic::of_file(path, "is not UTF-8 text"))
    }

    /// Reads a file of at most `max` bytes.
    pub(crate) fn read_bytes(path: &Path, max: u64) -> Result<Vec<u8>, Diagnostic> {
        let failed = |action: &str, error| Diagnostic::of_file(path, format!("cannot {action} the file: {error}"));
        let file = File::open(path).map_err(|error| failed("open", error))?;
        let mut bytes = Vec::new();
        file.take(max + 1).read_to_end(&mut bytes).map_err(|error| failed("read", error))?;
        if bytes.len() as u64 > max {
            let max = if max < 1 << 20 { format!("{} KiB", max >> 10) } else { format!("{} MiB", max >> 20) };
            return Err(Diagnostic::of_file(path, format!("is larger than {max}; split it")));
        }
        Ok(bytes)
    }

    /// Parses a text as TOML. A syntax error is a diagnostic; then there is no table.
    pub(crate) fn parse(path: &Path, text: &'a str) -> (Self, Option<Spanned<DeTable<'a>>>) {
        let mut document = Self { path: path.into(), text, diagnostics: Vec::new(), skipped: HashSet::new(), more: 0 };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            document.error(error.span().unwrap_or_default().start, format!("not TOML: {}", error.message()));
        }
        (document, errors.is_empty().then_some(table))
    }

    /// Adds an error at a byte offset.
    pub(crate) fn error(&mut self, at: usize, message: impl Into<String>) {
        if self.diagnostics.len() >= MAX_DIAGNOSTICS {
            self.more += 1;
            return;
        }
        let position = Some(self.position(at));
        self.diagnostics.push(Diagnostic { path: Arc::clone(&self.path), position, message: message.into() });
    }

    /// The diagnostics in the order of the text.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.position);
        self.diagnostics.dedup();
        if self.more > 0 {
            self.diagnostics.push(Diagnostic::of_file(&self.path, format!("{} more errors", self.more)));
        }
        self.diagnostics
    }

    /// The file, as the user named it.
    pub(crate) fn path(&self) -> Arc<Path> {
        Arc::clone(&self.path)
    }

    /// Offsets of keys and array elements that were skipped because they are wrong.
    pub(crate) fn skipped(&self) -> &HashSet<usize> {
        &self.skipped
    }

    /// The line and column of a byte offset.
    pub(crate) fn position(&self, at: usize) -> Position {
        let before = self.text.get(..at.min(self.text.len())).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        Position { line: before.bytes().filter(|byte| *byte == b'\n').count() + 1, column: line.chars().count() + 1 }
    }

    /// Reads a table as a type. Every error in it becomes a diagnostic, and its key is skipped, so that the other keys
    /// are read. `None`: there are too many errors.
    pub(crate) fn read<T: DeserializeOwned>(&mut self, table: &DeTable<'_>, label: &str) -> Option<T> {
        self.read_table(table, label, &mut Vec::new())
    }

    fn read_table<T: DeserializeOwned>(
        &mut self,
        table: &DeTable<'_>,
        label: &str,
        wrong: &mut Vec<String>,
    ) -> Option<T> {
        let (value, errors) = deserialize::read(table, label, &mut self.skipped);
        for error in errors {
            if let Some(message) = error.message {
                self.error(error.at, message);
            }
            wrong.extend([error.name, error.skipped]);
        }
        value
    }

    /// Reads every table of `[[list]]` as a type and passes it to `each`. `label` returns the name of a table in messages.
    pub(crate) fn for_each_table<T: DeserializeOwned>(
        &mut self,
        root: &DeTable<'_>,
        list: &str,
        label: impl Fn(&DeTable<'_>, usize) -> String,
        mut each: impl FnMut(&mut Self, TableHeader, T),
    ) {
        let Some(value) = root.get(list) else {
            return;
        };
        let Some(array) = value.get_ref().as_array() else {
            return self
                .error(value.span().start, format!("expected an array of tables; write [[{list}]] before each"));
        };
        for (number, value) in (1..).zip(array.iter()) {
            let at = value.span().start;
            let DeValue::Table(table) = value.get_ref() else {
                let found = deserialize::type_name(value.get_ref());
                self.error(at, format!("{list} {number}: expected a table, found {found}; write [[{list}]] before it"));
                continue;
            };
            let mut header = TableHeader { label: label(table, number), at, wrong: Vec::new() };
            if let Some(table) = self.read_table(table, &header.label, &mut header.wrong) {
                each(self, header, table);
            }
        }
    }

    /// Reports every key of a file of `[[lists]]` that is not one of them.
    pub(crate) fn only_lists(&mut self, root: &DeTable<'_>, lists: &[&str]) {
        for key in root.keys() {
            let name = key.get_ref().as_ref();
            if !lists.contains(&name) {
                let brackets: Vec<_> = lists.iter().map(|list| format!("[[{list}]]")).collect();
                let brackets: Vec<_> = brackets.iter().map(String::as_str).collect();
                let near = match suggestion(name, lists.iter().copied()) {
                    near if near.is_empty() => format!("; expected {}", one_of(&brackets)),
                    near => near,
                };
                self.error(key.span().start, format!("unknown key '{}'{near}", deserialize::shown(name)));
            }
        }
    }

    /// Returns the value of a required key. A missing one is reported at the table, unless its value was reported as
    /// wrong.
    pub(crate) fn required<T>(&mut self, value: Option<T>, key: &str, header: &TableHeader) -> Option<T> {
        if value.is_none() && !header.is_wrong(key) {
            self.error(header.at, format!("{}: missing key '{key}'", header.label));
        }
        value
    }
}

/// Errors of one file that are listed.
const MAX_DIAGNOSTICS: usize = 250;
