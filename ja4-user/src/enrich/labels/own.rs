//! Own files: TOML, a list of `[[entry]]`.
//!
//! ```toml
//! [[entry]]
//! type = "ja4"
//! value = "t13d1516h2_8daaf6152771_e5627efa2ab1"   # or prefix = "t13d1516h2_8daaf6152771_"
//! name = "Chromium"
//! category = "browser"                             # optional
//! confidence = 80                                  # 0 to 100; 80 where it is left out
//! version = "130"                                  # optional: what it was seen on
//! note = "…"                                       # optional
//! ```

use std::fmt::Write;

use super::builder::Entry;
use crate::enrich::document::{Faults, Reader, Row, shown};
use crate::enrich::shape;
use crate::model::Method;

const KEYS: [&str; 8] = ["type", "value", "prefix", "name", "category", "confidence", "version", "note"];

/// The confidence of a row that gives none.
const CONFIDENCE: u8 = 80;

/// All rows, or all that is wrong with them.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, Faults> {
    let (mut reader, rows) = Reader::open(text, "entry", &KEYS);
    let entries = rows.iter().filter_map(|row| entry(&mut reader, row)).collect();
    reader.close().map(|()| entries)
}

/// A row; `None`: the reader knows what is wrong with it.
fn entry(reader: &mut Reader<'_>, row: &Row<'_>) -> Option<Entry> {
    let method = reader.method(row, "type");
    let (value, prefix) = (reader.text(row, "value"), reader.text(row, "prefix"));
    let name = reader.required(row, "name");
    let category = reader.text(row, "category");
    let confidence = reader.confidence(row, "confidence").unwrap_or(CONFIDENCE);
    let (version, note) = (reader.text(row, "version"), reader.text(row, "note"));
    let note = [version, note].into_iter().flatten().map(|(text, _)| text).collect::<Vec<_>>().join("; ");

    let is_prefix = prefix.is_some();
    let (value, at) = match (value, prefix) {
        (Some(value), None) => value,
        (None, Some(prefix)) => prefix,
        (Some(_), Some((_, at))) => {
            reader.fault(at, "value and prefix exclude each other");
            return None;
        }
        (None, None) => {
            if !row.has("value") && !row.has("prefix") {
                reader.fault(row.at, "value or prefix is missing");
            }
            return None;
        }
    };
    let method = method?;
    if value.len() > shape::MAX_VALUE || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        reader.fault(at, format!("'{}' is no {}", shown(&value), method.name()));
        return None;
    }
    // A JA4H without its cookies is a prefix, whatever it is called.
    let is_prefix = is_prefix || shape::is_partial(method, &value);
    if !is_prefix && !shape::fits(method, &value) {
        reader.fault(at, format!("'{}' is no {}", shown(&value), method.name()));
        return None;
    }
    let (name, _) = name?;
    let category = category.map(|(category, _)| category.into());
    let note = Some(note).filter(|note| !note.is_empty());
    Some(Entry { method, value: value.into(), is_prefix, name: name.into(), category, confidence, note })
}

/// Rows as a file that [`read`] reads.
pub(super) fn write<'e>(entries: impl Iterator<Item = &'e Entry>) -> String {
    let mut out = String::new();
    for Entry { method, value, is_prefix, name, category, confidence, note } in entries {
        let key = if *is_prefix { "prefix" } else { "value" };
        let text = |text: &str| toml::Value::from(text).to_string();
        // A String takes whatever is written.
        let _ = write!(
            out,
            "[[entry]]\ntype = \"{}\"\n{key} = {}\nname = {}\n",
            Method::name(*method),
            text(value),
            text(name)
        );
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
