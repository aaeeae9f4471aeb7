//! Parts of SQL statements.

use rusqlite::types::Value;

/// A condition and what it compares with, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Sql {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

impl Sql {
    /// Appends text whose `?` are these values, in order.
    pub(super) fn add(&mut self, text: &str, values: impl IntoIterator<Item = Value>) -> &mut Self {
        self.text.push_str(text);
        self.values.extend(values);
        self
    }
}

/// A column that is a text, or is like it where that has a `*`.
pub(super) fn like(column: &str, wanted: &str, sql: &mut Sql) {
    if wanted.contains('*') {
        // What else means something to GLOB stands for itself.
        let glob = wanted.replace('[', "[[]").replace('?', "[?]");
        sql.add(&format!("{column} GLOB ?"), [glob.into()]);
    } else {
        sql.add(&format!("{column} = ?"), [wanted.to_owned().into()]);
    }
}
