//! A TOML file whose every error is gathered with its place.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::{Issue, MAX_FILE, parse_duration, suggestion};

/// A value and where it stands.
type Value<'a> = Spanned<DeValue<'a>>;

/// The text of a file and what was found wrong with it so far.
#[derive(Debug)]
pub(in crate::anomaly) struct Document<'a> {
    path: Arc<Path>,
    text: &'a str,
    issues: Vec<Issue>,
}

impl<'a> Document<'a> {
    /// Reads a whole file as text; at most [`MAX_FILE`].
    pub(in crate::anomaly) fn read(path: &Path) -> Result<String, Issue> {
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
    pub(in crate::anomaly) fn parse(path: &Path, text: &'a str) -> (Self, Option<Spanned<DeTable<'a>>>) {
        let mut document = Self { path: path.into(), text, issues: Vec::new() };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            document.issue(error.span().unwrap_or_default(), format!("not TOML: {}", error.message()));
        }
        (document, errors.is_empty().then_some(table))
    }

    /// Adds an issue at a place.
    pub(in crate::anomaly) fn issue(&mut self, span: Range<usize>, message: impl Into<String>) {
        let place = Some(self.place(span.start));
        self.issues.push(Issue { path: Arc::clone(&self.path), place, message: message.into() });
    }

    /// What was found, in the order of the text.
    pub(in crate::anomaly) fn finish(mut self) -> Vec<Issue> {
        self.issues.sort_by_key(|issue| issue.place);
        self.issues.dedup();
        self.issues
    }

    /// The file as it was named.
    pub(in crate::anomaly) fn path(&self) -> Arc<Path> {
        Arc::clone(&self.path)
    }

    /// Line and column of an offset, from 1.
    pub(in crate::anomaly) fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.bytes().filter(|byte| *byte == b'\n').count() + 1, line.chars().count() + 1)
    }

    /// Every key of a table has to be one of `keys`.
    pub(in crate::anomaly) fn only(&mut self, table: &DeTable<'_>, keys: &[&str], what: &str) {
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
    pub(in crate::anomaly) fn required<'t>(
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
    pub(in crate::anomaly) fn expected(&mut self, value: &Value<'_>, what: &str, expected: &str) {
        let found = type_name(value.get_ref());
        self.issue(value.span(), format!("{what} must be {expected}, not {found}"));
    }

    /// A text.
    pub(in crate::anomaly) fn text<'t>(&mut self, value: &'t Value<'a>, what: &str) -> Option<&'t str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.expected(value, what, "a text");
        }
        text
    }

    /// A whole number.
    pub(in crate::anomaly) fn integer(&mut self, value: &Value<'_>, what: &str) -> Option<i64> {
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
    pub(in crate::anomaly) fn boolean(&mut self, value: &Value<'_>, what: &str) -> Option<bool> {
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.expected(value, what, "true or false");
        }
        boolean
    }

    /// A list.
    pub(in crate::anomaly) fn list<'t>(&mut self, value: &'t Value<'a>, what: &str) -> Option<&'t DeArray<'a>> {
        let list = value.get_ref().as_array();
        if list.is_none() {
            self.expected(value, what, "a list");
        }
        list
    }

    /// A table.
    pub(in crate::anomaly) fn table<'t>(&mut self, value: &'t Value<'a>, what: &str) -> Option<&'t DeTable<'a>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.expected(value, what, "a table");
        }
        table
    }

    /// One of a few words.
    pub(in crate::anomaly) fn word<'t>(
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

    /// A duration within bounds.
    pub(in crate::anomaly) fn duration(
        &mut self,
        value: &Value<'_>,
        what: &str,
        (least, most): (Duration, Duration),
    ) -> Option<Duration> {
        let Some(text) = value.get_ref().as_str() else {
            self.expected(value, what, "a duration such as \"90s\", \"5m\" or \"1h\"");
            return None;
        };
        let Some(duration) = parse_duration(text) else {
            self.issue(
                value.span(),
                format!("{what} must be a duration such as \"90s\", \"5m\" or \"1h\", not {text:?}"),
            );
            return None;
        };
        if duration < least || duration > most {
            let [least, most] = [least, most].map(super::write_duration);
            self.issue(value.span(), format!("{what} must be from {least} to {most}, not {text}"));
            return None;
        }
        Some(duration)
    }
}

/// What a value is, with its article.
pub(in crate::anomaly) fn type_name(value: &DeValue<'_>) -> &'static str {
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
