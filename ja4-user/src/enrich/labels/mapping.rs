//! The layout of the public ja4plus-mapping.csv: Application, Library, Device and OS say who, a column for each
//! method says by what, Notes is for people.
//!
//! The first line names the columns, in any order and case; a column for any other method is read alike, one that
//! nobody knows is left out. What the table does not say itself:
//!
//! - A JA4H of two or three sections, of which the table has many, is a prefix, and less sure.
//! - `ja4tscan` holds values of an active scanner that never answers. They have the form of a JA4TS, and a
//!   sensor that watches such a scan prints just them, so they are values of JA4TS, and less sure: to another
//!   client's options the same server answers otherwise. A window scale of `0` is written `00`, as JA4TS prints it.
//! - The `ja4t` of a row whose note begins with `JA4TS` is both: the table has no column for JA4TS.

use std::sync::Arc;

use super::builder::{Entry, Imported};
use super::csv::{BadRow, Record, Records};
use crate::enrich::document::{complaint, shown};
use crate::enrich::shape;
use crate::model::Method;

/// Bad rows that are told of one file; all are counted.
const MAX_TOLD: usize = 20;

/// The table gives no confidence: a published value, which other software may share.
const WHOLE: u8 = 75;

/// A value that leaves sections out, or was taken by other means.
const LESS: u8 = 50;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    /// Part of the name; the category of a row that begins with it.
    Who(usize),
    Value(Method),
    Scan,
    Notes,
    Other,
}

/// Columns that say who, and the category of what is named by them first.
const WHO: [(&str, &str); 4] =
    [("application", "application"), ("library", "library"), ("device", "device"), ("os", "os")];

/// The rows of a file.
///
/// # Errors
/// If its first line does not say which columns say who, and by what.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Entry>, Imported), &'static str> {
    const HEADER: &str = "its first line names no columns; it should be like \
                          Application,Library,Device,OS,ja4,ja4s,ja4h,ja4x,ja4t,ja4tscan,Notes";
    let mut records = Records::new(bytes);
    let Some(Ok(header)) = records.next() else {
        return Err(HEADER);
    };
    let columns: Vec<Column> = header.fields.iter().map(|name| column(name)).collect();
    let has = |wanted: fn(&Column) -> bool| columns.iter().any(wanted);
    if !has(|column| matches!(column, Column::Who(_)))
        || !has(|column| matches!(column, Column::Value(_) | Column::Scan))
    {
        return Err(HEADER);
    }

    let (mut entries, mut imported) = (Vec::new(), Imported::default());
    for record in records {
        let read = record.and_then(|record| {
            let line = record.line;
            row(&record, &columns, &mut entries).map_err(|reason| BadRow { line, reason })
        });
        if let Err(bad) = read {
            imported.bad += 1;
            if imported.bad_rows.len() < MAX_TOLD {
                imported.bad_rows.push(bad);
            }
        }
    }
    Ok((entries, imported))
}

fn column(name: &str) -> Column {
    let name = name.trim().to_ascii_lowercase();
    if let Some(who) = WHO.iter().position(|(column, _)| *column == name) {
        return Column::Who(who);
    }
    match name.as_str() {
        "ja4tscan" => Column::Scan,
        "notes" | "note" => Column::Notes,
        _ => shape::method(&name).map_or(Column::Other, Column::Value),
    }
}

/// Adds what a row says, all of it or nothing.
fn row(record: &Record<'_>, columns: &[Column], entries: &mut Vec<Entry>) -> Result<(), String> {
    if record.fields.len() != columns.len() {
        return Err(format!("has {} fields in place of {}", record.fields.len(), columns.len()));
    }
    let cells = || columns.iter().copied().zip(record.fields.iter().map(|field| field.trim()));
    let cells = || cells().filter(|(_, text)| !text.is_empty());

    let mut who: Vec<(usize, &str)> = cells()
        .filter_map(|(column, text)| if let Column::Who(who) = column { Some((who, text)) } else { None })
        .collect();
    who.sort_by_key(|(who, _)| *who);
    let name = name(&who)?;
    let category = who.first().and_then(|(who, _)| WHO.get(*who)).map(|(_, category)| Arc::from(*category));
    let note = cells().find(|(column, _)| *column == Column::Notes).map(|(_, text)| text);

    let mut found = Vec::new();
    for (column, text) in cells() {
        match column {
            Column::Value(method) => {
                found.push(value(method, text, WHOLE)?);
                if method == Method::Ja4t && note.is_some_and(|note| note.starts_with("JA4TS")) {
                    found.push(value(Method::Ja4ts, text, WHOLE)?);
                }
            }
            Column::Scan => found.push(value(Method::Ja4ts, &as_printed(text), LESS)?),
            Column::Who(_) | Column::Notes | Column::Other => {}
        }
    }
    if found.is_empty() {
        return Err("has no fingerprint".to_owned());
    }
    // A note that cannot be kept is no reason to lose the row.
    let note = note.filter(|note| complaint(note).is_none());
    entries.extend(found.into_iter().map(|(method, value, is_prefix, confidence)| Entry {
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

/// `Sliver Agent (GoLang)`: the first of the columns, and what the others say of it.
fn name(who: &[(usize, &str)]) -> Result<Arc<str>, String> {
    let Some(((_, first), others)) = who.split_first() else {
        return Err("names nobody".to_owned());
    };
    let name = if others.is_empty() {
        (*first).to_owned()
    } else {
        format!("{first} ({})", others.iter().map(|(_, text)| *text).collect::<Vec<_>>().join(", "))
    };
    complaint(&name).map_or_else(|| Ok(name.as_str().into()), |complaint| Err(format!("its name {complaint}")))
}

fn value(method: Method, text: &str, confidence: u8) -> Result<(Method, Box<str>, bool, u8), String> {
    if shape::fits(method, text) {
        Ok((method, text.into(), false, confidence))
    } else if shape::is_partial(method, text) {
        Ok((method, text.into(), true, confidence.min(LESS)))
    } else {
        Err(format!("'{}' is no {}", shown(text), method.name()))
    }
}

/// A scanner's value as JA4TS prints it.
fn as_printed(text: &str) -> String {
    let sections = text.split('_').enumerate();
    sections.map(|(place, text)| if place == 3 && text == "0" { "00" } else { text }).collect::<Vec<_>>().join("_")
}
