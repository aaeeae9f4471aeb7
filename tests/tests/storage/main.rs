//! History database: committed rows survive any failure, and queries return correct rows.
mod answers;
mod knowledge;
mod migration;
mod replaced;
mod replayed;
mod retention;
mod samples;
mod sensor;
mod storms;
mod trouble;
mod unavailable;

use std::path::Path;

use rusqlite::Connection;

/// Returns the number that a query with one row and one column yields.
fn ask(database: &Path, query: &str) -> i64 {
    one(&open(database), query)
}

/// Fails if SQLite finds anything wrong with the file.
fn check(database: &Path) {
    intact(&open(database));
}

fn open(database: &Path) -> Connection {
    let database = Connection::open(database).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    database
}

fn one(database: &Connection, query: &str) -> i64 {
    database.query_row(query, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{query}: {error}"))
}

fn intact(database: &Connection) {
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}
