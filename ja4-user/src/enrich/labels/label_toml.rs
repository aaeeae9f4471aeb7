//! Label files in TOML: a list of `[[entry]]`.
//!
//! ```toml
//! [[entry]]
//! type = "ja4"
//! value = "t13d1516h2_8daaf6152771_e5627efa2ab1"   # or prefix = "t13d1516h2_8daaf6152771_"
//! name = "Chromium"
//! category = "browser"                             # optional
//! confidence = 80                                  # 0 to 100; default: 80
//! version = "130"                                  # optional: the version that was seen
//! note = "…"                                       # optional
//! ```

use std::fmt::Write;
use std::path::Path;

use serde::Deserialize;

use super::label_entry::LabelEntry;
use crate::document::{Diagnostics, Document, Located, TableHeader, TomlTable, shown};
use crate::enrich::file_values::{Confidence, PlainText};
use crate::model::method_set::MethodName;

/// The confidence of a row without one.
const CONFIDENCE: u8 = 80;

/// A table `[[entry]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryTable {
    #[serde(rename = "type")]
    method: Option<MethodName>,
    value: Option<Located<PlainText>>,
    prefix: Option<Located<PlainText>>,
    name: Option<PlainText>,
    category: Option<PlainText>,
    confidence: Option<Confidence>,
    version: Option<PlainText>,
    note: Option<PlainText>,
}

/// Reads all rows of a text.
pub(super) fn read(path: &Path, text: &str) -> Result<Vec<LabelEntry>, Diagnostics> {
    let (mut document, root) = Document::parse(path, text);
    let mut entries = Vec::new();
    if let Some(root) = root {
        document.only_lists(root.get_ref(), &["entry"]);
        let label = |_: &TomlTable<'_>, number| format!("entry {number}");
        document.for_each_table(root.get_ref(), "entry", label, |document, header, table| {
            entries.extend(entry(document, &header, table));
        });
    }
    let diagnostics = document.finish();
    if diagnostics.is_empty() { Ok(entries) } else { Err(Diagnostics(diagnostics)) }
}

fn entry(document: &mut Document<'_>, header: &TableHeader, table: EntryTable) -> Option<LabelEntry> {
    let EntryTable { method, value, prefix, name, category, confidence, version, note } = table;
    let label = &header.label;
    let method = document.required(method, "type", header);
    let name = document.required(name, "name", header);
    let is_prefix = prefix.is_some();
    let value = match (value, prefix) {
        (Some(_), Some(prefix)) => {
            document.error(prefix.at, format!("{label}: 'value' and 'prefix' exclude each other"));
            return None;
        }
        (None, None) => {
            if !header.is_wrong("value") && !header.is_wrong("prefix") {
                document.error(header.at, format!("{label}: missing key 'value' or 'prefix'"));
            }
            return None;
        }
        (value, prefix) => value.or(prefix)?,
    };
    let (Located { value: PlainText(value), at }, MethodName(method)) = (value, method?);
    // A JA4H without its cookies is a prefix.
    let is_prefix = is_prefix || method.matches_partially(&value);
    let is_printable = value.len() <= ja4::MAX_VALUE && value.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_printable || (!is_prefix && !method.matches(&value)) {
        document.error(at, format!("{label}: '{}' is not a {} value", shown(&value), method.name()));
        return None;
    }
    let notes: Vec<_> = [version, note].into_iter().flatten().map(|PlainText(text)| text).collect();
    Some(LabelEntry {
        method,
        value: value.into(),
        is_prefix,
        name: name?.0.into(),
        category: category.map(|PlainText(category)| category.into()),
        confidence: confidence.map_or(CONFIDENCE, |Confidence(confidence)| confidence),
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    })
}

/// Returns rows as a file that [`read`] reads.
pub(super) fn write<'e>(entries: impl Iterator<Item = &'e LabelEntry>) -> String {
    let mut out = String::new();
    for LabelEntry { method, value, is_prefix, name, category, confidence, note } in entries {
        let key = if *is_prefix { "prefix" } else { "value" };
        let text = |text: &str| toml::Value::from(text).to_string();
        let method = method.name();
        // Writing to a String does not fail.
        let _ = write!(out, "[[entry]]\ntype = \"{method}\"\n{key} = {}\nname = {}\n", text(value), text(name));
        if let Some(category) = category {
            let _ = writeln!(out, "category = {}", text(category));
        }
        let _ = writeln!(out, "confidence = {confidence}");
        if let Some(note) = note {
            let _ = writeln!(out, "note = {}", text(note));
        }
        out.push('\n');
    }
    out
}
