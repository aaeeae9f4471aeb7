//! History database: committed rows survive any failure, and queries return correct rows.
mod failures;
mod kills;
mod migration;
mod queries;
mod replaced;
mod replayed;
mod retention;
mod samples;
mod saved_state;
mod sensor;
mod unavailable;

use std::path::Path;

use rusqlite::Connection;

/// Returns the number that a query with one row and one column yields.
fn query_number(database: &Path, query: &str) -> i64 {
    number(&open(database), query)
}

/// Fails if SQLite finds anything wrong with the file.
fn assert_intact(database: &Path) {
    assert_connection_intact(&open(database));
}

fn open(database: &Path) -> Connection {
    let database = Connection::open(database).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    database
}

fn number(database: &Connection, query: &str) -> i64 {
    database.query_row(query, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{query}: {error}"))
}

fn assert_connection_intact(database: &Connection) {
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}
