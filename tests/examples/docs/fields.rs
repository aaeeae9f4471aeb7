//! The fields of the output, from the field table.

use std::fmt::Write as _;

use anyhow::Result;
use ja4_user::model::field::{Field, FieldKind, place};

/// Returns a table with one row per field.
pub(super) fn fields() -> Result<String> {
    let mut page =
        String::from("\n| field | type | events | rules | SQL column | meaning |\n|---|---|---|---|---|---|\n");
    for field in Field::ALL {
        let row = field.row();
        let events = [(place::FINGERPRINT, "fingerprint"), (place::CONNECTION, "connection"), (place::ALERT, "alert")];
        let events: Vec<_> = events.into_iter().filter(|(of, _)| field.is_in(*of)).map(|(_, name)| name).collect();
        let rules = if field.is_in(place::RULE) { "yes" } else { "" };
        let column = match (field.is_in(place::COLUMN), field.is_in(place::ATTRIBUTES)) {
            (true, _) => format!("`{}`", row.column()),
            (false, true) => "in `attributes`".to_owned(),
            (false, false) => String::new(),
        };
        let (name, kind, about) = (row.name, kind(row.kind), row.about.replace('|', "\\|"));
        writeln!(page, "| `{name}` | {kind} | {} | {rules} | {column} | {about} |", events.join(", "))?;
    }
    Ok(page)
}

/// Returns the type of a field's values in JSON.
fn kind(kind: FieldKind) -> String {
    match kind {
        FieldKind::Ip => "address".to_owned(),
        FieldKind::Number => "number".to_owned(),
        FieldKind::Time | FieldKind::Date => "time".to_owned(),
        FieldKind::Duration => "duration".to_owned(),
        FieldKind::Text => "text".to_owned(),
        FieldKind::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        FieldKind::Bool => "`true`, or absent".to_owned(),
    }
}
