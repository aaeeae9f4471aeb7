//! History: what the writer has committed is there whatever happens to it, and what people ask of it is true.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod answers;
mod migration;
mod retention;
mod samples;
mod storms;
mod trouble;

use std::path::Path;

use rusqlite::Connection;

/// A number that a query of one row and column gives.
fn ask(database: &Path, query: &str) -> i64 {
    let database = Connection::open(database).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    database.query_row(query, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// Fails if SQLite finds anything wrong with the file.
fn check(database: &Path) {
    let database = Connection::open(database).unwrap();
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}
