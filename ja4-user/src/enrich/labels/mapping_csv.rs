//! Label files in the layout of the public ja4plus-mapping.csv: Application, Library, Device and OS name the owner, a column
//! for each method has the value, and Notes is for people.
//!
//! The first line names the columns, in any order and case. Columns of methods that the public table lacks are read too;
//! unknown columns are ignored.
//!
//! - A JA4H of two or three sections, of which the table has many, is a prefix of lower confidence.
//! - `ja4tscan` has values of an active scanner, which never completes a handshake. They have the syntax of JA4TS, and a
//!   sensor that observes such a scan emits the same values. They are read as JA4TS values of lower confidence, since the
//!   server answers differently to the TCP options of other clients. A window scale of `0` is written `00`, as in JA4TS.
//! - The `ja4t` of a row with a note that begins with `JA4TS` is read as both, since the table has no column for JA4TS.

use std::path::Path;
use std::sync::Arc;

use super::csv_reader::{CsvReader, CsvRecord, SkippedRow};
use super::label_entry::{ImportedLabels, LabelEntry};
use crate::document::{Diagnostic, Position, shown};
use crate::enrich::file_values::PlainText;
use crate::model::Method;

/// Skipped rows that are listed; all are counted.
const MAX_LISTED: usize = 20;

/// The table has no confidence: a published value, which other software may share.
const COMPLETE: u8 = 75;

/// A partial value, or a value of a scanner.
const INCOMPLETE: u8 = 50;

/// The content of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CsvColumn {
    /// Part of the name, by the index in [`NAMES`].
    Name(usize),
    Value(Method),
    Scan,
    Notes,
    Other,
}

/// Columns of names. The first column with a name gives the row's category.
const NAMES: [(&str, &str); 4] =
    [("application", "application"), ("library", "library"), ("device", "device"), ("os", "os")];

/// Reads the rows of a file.
///
/// # Errors
/// The first line does not name columns of names and of values.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<(Vec<LabelEntry>, ImportedLabels), &'static str> {
    const HEADER: &str = "has no header; expected a first line such as \
                          Application,Library,Device,OS,ja4,ja4s,ja4h,ja4x,ja4t,ja4tscan,Notes";
    let mut records = CsvReader::new(bytes);
    let Some(Ok(header)) = records.next() else {
        return Err(HEADER);
    };
    let columns: Vec<CsvColumn> = header.fields.iter().map(|name| column(name)).collect();
    let has = |is: fn(&CsvColumn) -> bool| columns.iter().any(is);
    if !has(|column| matches!(column, CsvColumn::Name(_)))
        || !has(|column| matches!(column, CsvColumn::Value(_) | CsvColumn::Scan))
    {
        return Err(HEADER);
    }

    let (mut entries, mut imported) = (Vec::new(), ImportedLabels::default());
    for record in records {
        let read = record.and_then(|record| {
            let line = record.line;
            row(&record, &columns, &mut entries).map_err(|reason| SkippedRow { line, reason })
        });
        if let Err(SkippedRow { line, reason }) = read {
            imported.skipped += 1;
            if imported.skipped <= MAX_LISTED {
                let (path, position) = (path.into(), Some(Position { line, column: 1 }));
                imported.warnings.push(Diagnostic { path, position, message: format!("row skipped: {reason}") });
            }
        }
    }
    if imported.skipped > MAX_LISTED {
        let message = format!("{} more rows skipped", imported.skipped - MAX_LISTED);
        imported.warnings.push(Diagnostic::of_file(path, message));
    }
    Ok((entries, imported))
}

fn column(name: &str) -> CsvColumn {
    let name = name.trim().to_ascii_lowercase();
    if let Some(index) = NAMES.iter().position(|(column, _)| *column == name) {
        return CsvColumn::Name(index);
    }
    match name.as_str() {
        "ja4tscan" => CsvColumn::Scan,
        "notes" | "note" => CsvColumn::Notes,
        _ => name.parse().map_or(CsvColumn::Other, CsvColumn::Value),
    }
}

/// Appends the entries of a row, all or none.
fn row(record: &CsvRecord<'_>, columns: &[CsvColumn], entries: &mut Vec<LabelEntry>) -> Result<(), String> {
    if record.fields.len() != columns.len() {
        return Err(format!("has {} fields, expected {}", record.fields.len(), columns.len()));
    }
    let cells = || columns.iter().copied().zip(record.fields.iter().map(|field| field.trim()));
    let cells = || cells().filter(|(_, text)| !text.is_empty());

    let mut names: Vec<(usize, &str)> = cells()
        .filter_map(|(column, text)| if let CsvColumn::Name(index) = column { Some((index, text)) } else { None })
        .collect();
    names.sort_by_key(|(index, _)| *index);
    let name = name(&names)?;
    let category = names.first().and_then(|(index, _)| NAMES.get(*index)).map(|(_, category)| Arc::from(*category));
    let note = cells().find(|(column, _)| *column == CsvColumn::Notes).map(|(_, text)| text);

    let mut found = Vec::new();
    for (column, text) in cells() {
        match column {
            CsvColumn::Value(method) => {
                found.push(value(method, text, COMPLETE)?);
                if method == Method::Ja4t && note.is_some_and(|note| note.starts_with("JA4TS")) {
                    found.push(value(Method::Ja4ts, text, COMPLETE)?);
                }
            }
            CsvColumn::Scan => found.push(value(Method::Ja4ts, &as_printed(text), INCOMPLETE)?),
            CsvColumn::Name(_) | CsvColumn::Notes | CsvColumn::Other => {}
        }
    }
    if found.is_empty() {
        return Err("has no fingerprint".to_owned());
    }
    // A row with an unusable note is read without it.
    let note = note.filter(|note| PlainText::error(note).is_none());
    entries.extend(found.into_iter().map(|(method, value, is_prefix, confidence)| LabelEntry {
        method,
        value,
        is_prefix,
        name: Arc::clone(&name),
        category: category.clone(),
        confidence,
        note: note.map(str::to_owned),
    }));
    Ok(())
}

/// Returns `Sliver Agent (GoLang)`: the first name, and the others in parentheses.
fn name(names: &[(usize, &str)]) -> Result<Arc<str>, String> {
    let Some(((_, first), others)) = names.split_first() else {
        return Err("has no name".to_owned());
    };
    let name = if others.is_empty() {
        (*first).to_owned()
    } else {
        format!("{first} ({})", others.iter().map(|(_, text)| *text).collect::<Vec<_>>().join(", "))
    };
    PlainText::error(&name).map_or_else(|| Ok(name.as_str().into()), |error| Err(format!("its name {error}")))
}

fn value(method: Method, text: &str, confidence: u8) -> Result<(Method, Box<str>, bool, u8), String> {
    if method.matches(text) {
        Ok((method, text.into(), false, confidence))
    } else if method.matches_partially(text) {
        Ok((method, text.into(), true, confidence.min(INCOMPLETE)))
    } else {
        Err(format!("'{}' is not a {} value", shown(text), method.name()))
    }
}

/// Returns a value of the scanner in the syntax of JA4TS.
fn as_printed(text: &str) -> String {
    let sections = text.split('_').enumerate();
    sections.map(|(section, text)| if section == 3 && text == "0" { "00" } else { text }).collect::<Vec<_>>().join("_")
}
