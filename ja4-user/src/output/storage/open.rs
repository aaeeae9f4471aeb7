//! Opening the database for the writer, at the start or later.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior, params};

use super::StorageError;
use super::columns::{self, CLASS_LIMITS, CLASS_LONG, CLASS_OPEN, MAX_FINGERPRINTS, json_list};
use super::lock::{self, DatabaseLock, Inode};
use super::rows::{RowWriter, RowsWritten};
use super::schema;
use super::version::Migrated;
use super::write_op::{SensorRun, WriteOp};
use crate::model::{EndReason, InterfaceNames, Time};

/// Opens the database, at the start and after failures.
#[derive(Debug)]
pub(super) struct DatabaseOpener {
    pub(super) path: PathBuf,
    /// Page cache, KiB.
    pub(super) cache: u32,
    /// The current run.
    pub(super) run: SensorRun,
}

/// A database that is open for writing.
pub(super) struct OpenDatabase {
    pub(super) database: Connection,
    pub(super) rows: RowWriter,
    /// The current run, and its names of interfaces.
    run: i64,
    interfaces: Arc<InterfaceNames>,
    /// The number of names that are stored.
    stored_interfaces: usize,
    /// The log and shared-memory files of SQLite.
    beside: Vec<(PathBuf, Inode)>,
    /// Must outlive the connection: fields are dropped in order of declaration.
    lock: DatabaseLock,
}

impl DatabaseOpener {
    /// Opens or creates the database, migrates it, ends the connections that a killed run left open, and records the run.
    /// `late`: the run may not have had the saved state of the database from its start.
    ///
    /// # Errors
    /// If the file cannot be used, or another process writes to it. The run is not recorded then.
    pub(super) fn open(&self, late: bool) -> Result<(OpenDatabase, Option<Migrated>), StorageError> {
        schema::create(&self.path)?;
        let (lock, mut database, migrated) = lock::open(&self.path, self.cache)?;
        let failed = |source| schema::explain(&self.path, source);
        let (next_id, newest) = recover(&mut database).map_err(failed)?;
        let run = record_run(&database, &self.run).map_err(failed)?;
        // SQLite creates them next to the file itself, even if the path is a link.
        let real = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let beside = ["-wal", "-shm"].into_iter().filter_map(|ending| {
            let mut name = OsString::from(&real);
            name.push(ending);
            let path = PathBuf::from(name);
            Inode::at(&path).map(|inode| (path, inode))
        });
        let beside = beside.collect();
        let opened = OpenDatabase {
            database,
            rows: RowWriter::new(run, next_id, newest, late),
            run,
            interfaces: Arc::clone(&self.run.interfaces),
            stored_interfaces: 0,
            beside,
            lock,
        };
        Ok((opened, migrated))
    }
}

impl OpenDatabase {
    /// Writes operations in one transaction, which is rolled back after an error.
    pub(super) fn write<'a>(&mut self, operations: impl Iterator<Item = &'a WriteOp>) -> rusqlite::Result<RowsWritten> {
        let change = self.database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let written = self.rows.write(&change, operations)?;
        // After the rows, which refer to names that were added before.
        let named = self.interfaces.len();
        if named > self.stored_interfaces {
            let names: Vec<_> = self.interfaces.iter().collect();
            change
                .execute("UPDATE sensor_run SET interfaces = ?2 WHERE id = ?1", params![self.run, json_list(&names)])?;
        }
        change.commit()?;
        self.stored_interfaces = named;
        Ok(written)
    }

    /// Whether the path still leads to the database and to its log: readers open both by name.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.lock.is_at(path) && self.beside.iter().all(|(path, inode)| inode.is_at(path))
    }

    /// Closes a database that its path no longer leads to. A moved file gets all rows. The log file is removed, or
    /// SQLite would apply it to the new file.
    pub(super) fn abandon(self) {
        let Self { database, beside, lock, rows, .. } = self;
        drop(rows);
        // Checkpoints the log into the file, which may no longer have a name.
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

/// Ends the connections that a killed run left open. Returns the next free connection id and the latest time.
fn recover(database: &mut Connection) -> rusqlite::Result<(i64, Time)> {
    let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let [minute, hour, day] = CLASS_LIMITS.map(columns::integer);
    change.execute(
        "UPDATE connection SET state = ?2, \"end\" = newest, duration_class = iif(newest - start <= ?3, 0,
            iif(newest - start <= ?4, 1, iif(newest - start <= ?5, 2, ?6)))
         FROM (SELECT id AS open, max(\"end\", coalesce(
                (SELECT max(time) FROM fingerprint f WHERE f.id >= connection.id * ?7 AND f.id < (connection.id + 1) * ?7),
                \"end\")) AS newest
            FROM connection WHERE duration_class = ?1)
         WHERE id = open",
        params![CLASS_OPEN, EndReason::Open.name(), minute, hour, day, CLASS_LONG, MAX_FINGERPRINTS],
    )?;
    let next_id = change.query_row(
        "SELECT max(coalesce((SELECT max(id) FROM connection), 0),
            coalesce((SELECT max(id) / ?1 FROM fingerprint), 0)) + 1",
        [MAX_FINGERPRINTS],
        |row| row.get(0),
    )?;
    let mut newest = 0;
    for class in 0..=CLASS_LONG {
        let end: Option<i64> =
            change.query_row("SELECT max(\"end\") FROM connection WHERE duration_class = ?1", [class], |row| {
                row.get(0)
            })?;
        newest = newest.max(end.unwrap_or(0));
    }
    change.commit()?;
    Ok((next_id, Time(newest.max(0).unsigned_abs())))
}

/// Records the start of a run. Returns its id.
fn record_run(database: &Connection, run: &SensorRun) -> rusqlite::Result<i64> {
    database.execute(
        "INSERT INTO sensor_run (started, clean, pid, version, sensor, interfaces, files)
         VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6)",
        params![
            columns::time(run.started),
            std::process::id(),
            env!("CARGO_PKG_VERSION"),
            run.sensor,
            "[]",
            json_list(&run.files),
        ],
    )?;
    Ok(database.last_insert_rowid())
}
