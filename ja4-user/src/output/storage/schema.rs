//! The schema: application id, version, and migrations from older versions.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::unistd::AccessFlags;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::version::{Migrated, VERSION};
use super::{StorageError, migrate};

/// `JA4s`: `PRAGMA application_id` of the file, which identifies the file to file(1) and this program.
pub(crate) const APPLICATION_ID: i64 = 0x4a41_3473;

/// Mode of a new file: only its owner reads it. SQLite gives `-wal` and `-shm` the same mode.
pub(super) const MODE: u32 = 0o600;

/// The schema of [`VERSION`].
const CURRENT: &str = include_str!("schema/v3.sql");

/// Time that a statement waits for a lock of another process. The writer then handles its queue and retries.
const BUSY: Duration = Duration::from_millis(250);

/// Page size in bytes. Half as many pages are filled and split as with 4 KiB, which saves a tenth of the time of a row.
const PAGE: u32 = 8192;

/// Pages of the log before a checkpoint: few, so that the log stays small; enough, so that a page that changes with every
/// commit is written once for many commits.
const CHECKPOINT_PAGES: u32 = 4096;

/// Creates the file, if it does not exist. To SQLite, an empty file is an empty database.
///
/// # Errors
/// If it cannot be created or written.
pub(super) fn create(path: &Path) -> Result<(), StorageError> {
    let result = match check_access(path, AccessFlags::R_OK | AccessFlags::W_OK) {
        // The file is new, so closing it loses no lock.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenOptions::new().append(true).create(true).mode(MODE).open(path).map(drop)
        }
        result => result,
    };
    match result {
        Ok(()) => Ok(()),
        Err(error) if is_read_only(&error) => Err(StorageError::ReadOnly(path.to_owned())),
        Err(source) => Err(StorageError::Open { path: path.to_owned(), source }),
    }
}

/// Checks access to a file without opening it: closing a descriptor would release every lock that SQLite holds on the file
/// in this process (fcntl(2), advisory record locking).
pub(super) fn check_access(path: &Path, access: AccessFlags) -> io::Result<()> {
    nix::unistd::eaccess(path, access)?;
    if path.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(()) }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Opens a database for writing, creates its tables if it is empty, and migrates it to [`VERSION`].
///
/// `cache` is the size of the page cache in KiB.
///
/// # Errors
/// If it cannot be read or written, is not a database of this program, or has a newer version.
pub(super) fn open(path: &Path, cache: u32) -> Result<(Connection, Option<Migrated>), StorageError> {
    let failed = |source| explain(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut database = Connection::open_with_flags(path, flags).map_err(failed)?;
    database.busy_timeout(BUSY).map_err(failed)?;
    if database.is_readonly("main").map_err(failed)? {
        return Err(StorageError::ReadOnly(path.to_owned()));
    }
    let found = identify(&database, path)?;
    // Only before the first table is created; later VACUUM alone changes it.
    if found.is_none() {
        database.pragma_update(None, "page_size", PAGE).map_err(failed)?;
        database.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
    }
    database.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    // The log is synced at a checkpoint, not at each commit: a commit survives a crash of the process. A power loss may
    // lose the newest commits, never an older one before a newer one.
    database.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    database.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(failed)?;
    database.pragma_update(None, "temp_store", "MEMORY").map_err(failed)?;
    // A negative number is in KiB, a positive one in pages.
    database.pragma_update(None, "cache_size", -i64::from(cache)).map_err(failed)?;
    let migrated = match found {
        None => {
            create_tables(&mut database).map_err(failed)?;
            None
        }
        Some(VERSION) => None,
        Some(from) => Some(migrate(&mut database, path, from)?),
    };
    Ok((database, migrated))
}

/// Returns the version of a database; `None`: it is empty.
///
/// # Errors
/// If it is not a database, belongs to another program, or has an unknown version.
pub(super) fn identify(database: &Connection, path: &Path) -> Result<Option<i64>, StorageError> {
    let failed = |source| explain(path, source);
    let number = |name| database.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed);
    let (id, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = database.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    match (id, version, tables) {
        (0, 0, 0) => Ok(None),
        (APPLICATION_ID, 1..=VERSION, _) => Ok(Some(version)),
        (APPLICATION_ID, found, _) if found > VERSION => Err(StorageError::Newer { path: path.to_owned(), found }),
        _ => Err(StorageError::Foreign(path.to_owned())),
    }
}

/// Creates all tables in one transaction: a crash leaves an empty database.
fn create_tables(database: &mut Connection) -> rusqlite::Result<()> {
    let change = database.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    change.execute_batch(CURRENT)?;
    change.pragma_update(None, "application_id", APPLICATION_ID)?;
    change.pragma_update(None, "user_version", VERSION)?;
    change.commit()
}

/// Migrates in one transaction: the file has its old version or this one.
fn migrate(database: &mut Connection, path: &Path, from: i64) -> Result<Migrated, StorageError> {
    let failed = |source| StorageError::Migrate { path: path.to_owned(), from, source };
    let mut migrated = Migrated { from, ..Migrated::default() };
    let change = database.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(failed)?;
    match from {
        1 => migrate::from_v1(&change, CURRENT, &mut migrated).map_err(failed)?,
        2 => migrate::from_v2(&change).map_err(failed)?,
        _ => return Err(StorageError::Foreign(path.to_owned())),
    }
    change.pragma_update(None, "user_version", VERSION).map_err(failed)?;
    change.commit().map_err(failed)?;
    // Enables incremental vacuum. VACUUM needs space for a second copy; a failure does no harm.
    if from == 1 {
        let _vacuumed =
            database.pragma_update(None, "auto_vacuum", "INCREMENTAL").and_then(|()| database.execute_batch("VACUUM"));
    }
    Ok(migrated)
}

/// Converts an error of SQLite to one that names the file and the cause.
pub(super) fn explain(path: &Path, source: rusqlite::Error) -> StorageError {
    let owned = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StorageError::NotADatabase(owned),
        Some(ErrorCode::ReadOnly) => StorageError::ReadOnly(owned),
        Some(ErrorCode::CannotOpen) => match check_access(path, AccessFlags::R_OK) {
            Err(source) => StorageError::Open { path: owned, source },
            // The file can be read, but SQLite cannot create the side files.
            Ok(()) => StorageError::ReadOnly(owned),
        },
        _ => StorageError::Sqlite { path: owned, source },
    }
}
