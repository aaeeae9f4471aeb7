//! A database as the writer opens it: at the start, or later, where it could not be had then.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior, params};

use super::StorageError;
use super::columns::{self, EACH, SPAN_LONG, SPAN_OPEN, SPANS};
use super::lock::{self, DatabaseLock, Inode};
use super::rows::{RowWriter, RowsWritten, json_list};
use super::schema;
use super::version::Migrated;
use super::write_op::{SensorRun, WriteOp};
use crate::model::{EndReason, Time};

/// What is to be opened.
#[derive(Debug)]
pub(super) struct DatabaseOpener {
    pub(super) path: PathBuf,
    /// Memory for pages, KiB.
    pub(super) cache: u32,
    /// The run that writes.
    pub(super) run: SensorRun,
}

/// A database that is written to.
pub(super) struct OpenDatabase {
    pub(super) database: Connection,
    pub(super) rows: RowWriter,
    /// Files beside it that SQLite has made.
    beside: Vec<(PathBuf, Inode)>,
    /// Must outlive the connection: fields are dropped in order of declaration.
    lock: DatabaseLock,
}

impl DatabaseOpener {
    /// Opens or makes the database, brings it up to date, closes what a killed run has left open, and notes the run.
    /// `late`: what the database knows may not have been known to the run from its start.
    ///
    /// # Errors
    /// If the file cannot be used, or another process writes to it. The run is not noted then.
    pub(super) fn open(&self, late: bool) -> Result<(OpenDatabase, Option<Migrated>), StorageError> {
        schema::create(&self.path)?;
        let (lock, mut database, migrated) = lock::open(&self.path, self.cache)?;
        let failed = |source| schema::explain(&self.path, source);
        let (next, newest) = recover(&mut database).map_err(failed)?;
        let run = begin(&database, &self.run).map_err(failed)?;
        // SQLite puts them beside the file itself, whatever link leads to it.
        let real = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let beside = ["-wal", "-shm"].into_iter().filter_map(|ending| {
            let mut name = OsString::from(&real);
            name.push(ending);
            let path = PathBuf::from(name);
            Inode::at(&path).map(|inode| (path, inode))
        });
        let beside = beside.collect();
        Ok((OpenDatabase { database, rows: RowWriter::new(run, next, newest, late), beside, lock }, migrated))
    }
}

impl OpenDatabase {
    /// Writes items in a transaction. One that is dropped rolls back.
    pub(super) fn write<'a>(&mut self, items: impl Iterator<Item = &'a WriteOp>) -> rusqlite::Result<RowsWritten> {
        let change = self.database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let written = self.rows.write(&change, items)?;
        change.commit()?;
        Ok(written)
    }

    /// Whether the path still leads to the database, and its log is beside it: readers open both by their names.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.lock.is_at(path) && self.beside.iter().all(|(path, inode)| inode.is_at(path))
    }

    /// Closes a database that its path no longer leads to. A file that was moved away has all rows. No log file stays
    /// at the path, or SQLite would apply it to the file that is there now.
    pub(super) fn abandon(self) {
        let Self { database, beside, lock, rows } = self;
        drop(rows);
        // Writes the log to the file, which may no longer have a name.
        let _written = database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        drop(database);
        for (path, inode) in beside {
            if Inode::at(&path) == Some(inode) {
                let _removed = fs::remove_file(&path);
            }
        }
        drop(lock);
    }
}

/// Closes what a killed run has left open. The next free number of a connection, and the newest time.
fn recover(database: &mut Connection) -> rusqlite::Result<(i64, Time)> {
    let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let [minute, hour, day] = SPANS.map(columns::integer);
    change.execute(
        "UPDATE connection SET ended = ?2, last = newest, span = iif(newest - start <= ?3, 0,
            iif(newest - start <= ?4, 1, iif(newest - start <= ?5, 2, ?6)))
         FROM (SELECT id AS open, max(last, coalesce(
                (SELECT max(time) FROM fingerprint f WHERE f.id >= connection.id * ?7 AND f.id < (connection.id + 1) * ?7),
                last)) AS newest
            FROM connection WHERE span = ?1)
         WHERE id = open",
        params![SPAN_OPEN, EndReason::Open.name(), minute, hour, day, SPAN_LONG, EACH],
    )?;
    let next = change.query_row(
        "SELECT max(coalesce((SELECT max(id) FROM connection), 0),
            coalesce((SELECT max(id) / ?1 FROM fingerprint), 0)) + 1",
        [EACH],
        |row| row.get(0),
    )?;
    let mut newest = 0;
    for span in 0..=SPAN_LONG {
        let of_span: Option<i64> =
            change.query_row("SELECT max(last) FROM connection WHERE span = ?1", [span], |row| row.get(0))?;
        newest = newest.max(of_span.unwrap_or(0));
    }
    change.commit()?;
    Ok((next, Time(newest.max(0).unsigned_abs())))
}

/// Notes that a run has begun; its number.
fn begin(database: &Connection, run: &SensorRun) -> rusqlite::Result<i64> {
    database.execute(
        "INSERT INTO sensor_run (started, clean, pid, version, sensor, interfaces, files)
         VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6)",
        params![
            columns::time(run.started),
            std::process::id(),
            env!("CARGO_PKG_VERSION"),
            run.sensor,
            json_list(&run.interfaces),
            json_list(&run.files),
        ],
    )?;
    Ok(database.last_insert_rowid())
}
