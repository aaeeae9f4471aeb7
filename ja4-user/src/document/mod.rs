//! TOML files whose every error is gathered with its place.

mod nearest;
mod report;

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

pub(crate) use self::nearest::suggestion;
pub use self::report::{Issue, Report, Warning};
use crate::units::Span;

/// Longest file that is read, bytes: thousands of rules.
pub const MAX_FILE: u64 = 1024 * 1024;

/// A value and where it stands.
type Value<'a> = Spanned<DeValue<'a>>;

/// The text of a file and what was found wrong with it so far.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    path: Arc<Path>,
    text: &'a str,
    issues: Vec<Issue>,
}

impl<'a> Document<'a> {
    /// Reads a whole file as text; at most [`MAX_FILE`].
    pub(crate) fn read(path: &Path) -> Result<String, Issue> {
        let fail = |message| Issue { path: path.into(), place: None, message };
        let file = File::open(path).map_err(|error| fail(format!("can't be opened: {error}")))?;
        let mut bytes = Vec::new();
        let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes);
        read.map_err(|error| fail(format!("can't be read: {error}")))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(fail(format!("is longer than {} KiB; split it", MAX_FILE / 1024)));
        }
        String::from_utf8(bytes).map_err(|_| fail("is not UTF-8 text".to_owned()))
    }

    /// Parses the text. What is no TOML is an issue; then there is no table.
    pub(crate) fn parse(path: &Path, text: &'a str) -> (Self, Option<Spanned<DeTable<'a>>>) {
        let mut document = Self { path: path.into(), text, issues: Vec::new() };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            document.issue(error.span().unwrap_or_default(), format!("not TOML: {}", error.message()));
        }
        (document, errors.is_empty().then_some(table))
    }

    /// Adds an issue at a place.
    pub(crate) fn issue(&mut self, span: Range<usize>, message: impl Into<String>) {
        let place = Some(self.place(span.start));
        self.issues.push(Issue { path: Arc::clone(&self.path), place, message: message.into() });
    }

    /// What was found, in the order of the text.
    pub(crate) fn finish(mut self) -> Vec<Issue> {
        self.issues.sort_by_key(|issue| issue.place);
        self.issues.dedup();
        self.issues
    }

    /// The file as it was named.
    pub(crate) fn path(&self) -> Arc<Path> {
        Arc::clone(&self.path)
    }

    /// Line and column of an offset, from 1.
    pub(crate) fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.bytes().filter(|byte| *byte == b'\n').count() + 1, line.chars().count() + 1)
    }

    /// Every key of a table has to be one of `keys`.
    pub(crate) fn only(&mut self, table: &DeTable<'_>, keys: &[&str], what: &str) {
        for (key, _) in table {
            let name = key.get_ref().as_ref();
            if !keys.contains(&name) {
                let near = suggestion(name, keys.iter().copied());
                let near = if near.is_empty() { format!("; there are {}", keys.join(", ")) } else { near };
                self.issue(key.span(), format!("{what} has no key {name:?}{near}"));
            }
        }
    }

    /// The value of a key that has to be there.
    pub(crate) fn required<'t>(
        &mut self,
        table: &'t DeTable<'a>,
        span: &Range<usize>,
        key: &str,
        what: &str,
    ) -> Option<&'t Value<'a>> {
        let value = table.get(key);
        if value.is_none() {
            self.issue(span.clone(), format!("{what}: '{key}' is missing"));
        }
        value
    }

    /// Adds that a value is of another type than it should be.
    pub(crate) fn expected(&mut self, value: &Value<'_>, what: &str, expected: &str) {
        let found = type_name(value.get_ref());
        self.issue(value.span(), format!("{what} must be {expected}, not {found}"));
    }

    /// A text.
    pub(crate) fn text<'t>(&mut self, value: &'t Value<'a>, what: &str) -> Option<&'t str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.expected(value, what, "a text");
        }
        text
    }

    /// A whole number.
    pub(crate) fn integer(&mut self, value: &Value<'_>, what: &str) -> Option<i64> {
        let Some(number) = value.get_ref().as_integer() else {
            self.expected(value, what, "a whole number");
            return None;
        };
        let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
        if parsed.is_none() {
            self.issue(value.span(), format!("{what} is out of range"));
        }
        parsed
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, value: &Value<'_>, what: &str) -> Option<bool> {
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.expected(value, what, "true or false");
        }
        boolean
    }

    /// A list.
    pub(crate) fn list<'t>(&mut self, value: &'t Value<'a>, what: &str) -> Option<&'t DeArray<'a>> {
        let list = value.get_ref().as_array();
        if list.is_none() {
            self.expected(value, what, "a list");
        }
        list
    }

    /// A table.
    pub(crate) fn table<'t>(&mut self, value: &'t Value<'a>, what: &str) -> Option<&'t DeTable<'a>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.expected(value, what, "a table");
        }
        table
    }

    /// One of a few words.
    pub(crate) fn word<'t>(
        &mut self,
        value: &'t Value<'a>,
        what: &str,
        words: &[&'static str],
    ) -> Option<&'static str> {
        let text = self.text(value, what)?;
        let found = words.iter().copied().find(|word| *word == text);
        if found.is_none() {
            self.issue(value.span(), format!("{what} must be one of {}, not {text:?}", words.join(", ")));
        }
        found
    }

    /// A duration.
    pub(crate) fn duration(&mut self, value: &Value<'_>, what: &str) -> Option<Span> {
        let text = value.get_ref().as_str();
        match text.map(str::parse) {
            Some(Ok(span)) => Some(span),
            Some(Err(error)) => {
                self.issue(value.span(), format!("{what}: {error}"));
                None
            }
            None => {
                self.expected(value, what, "a duration such as \"90s\", \"5m\" or \"1h\"");
                None
            }
        }
    }

    /// A duration within bounds.
    pub(crate) fn duration_within(
        &mut self,
        value: &Value<'_>,
        what: &str,
        (least, most): (Span, Span),
    ) -> Option<Span> {
        let span = self.duration(value, what)?;
        if span < least || span > most {
            self.issue(value.span(), format!("{what} must be from {least} to {most}, not {span}"));
            return None;
        }
        Some(span)
    }
}

/// What a value is, with its article.
pub(crate) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
