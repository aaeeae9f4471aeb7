//! Parts of SQL statements.

use rusqlite::types::Value;

/// The text of a statement and its parameters.
#[derive(Debug, Default)]
pub(super) struct Sql {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

impl Sql {
    /// Appends text, and the values of its `?` in order.
    pub(super) fn add(&mut self, text: &str, values: impl IntoIterator<Item = Value>) -> &mut Self {
        self.text.push_str(text);
        self.values.extend(values);
        self
    }
}

/// Appends a comparison of a column with a text, in which `*` matches any text.
pub(super) fn like(column: &str, pattern: &str, sql: &mut Sql) {
    if pattern.contains('*') {
        // Escapes the other special characters of GLOB.
        let glob = pattern.replace('[', "[[]").replace('?', "[?]");
        sql.add(&format!("{column} GLOB ?"), [glob.into()]);
    } else {
        sql.add(&format!("{column} = ?"), [pattern.to_owned().into()]);
    }
}
