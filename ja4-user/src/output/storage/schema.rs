//! What a database looks like: its mark, its version, and the way up from older versions.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::unistd::AccessFlags;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::version::{Migrated, VERSION};
use super::{StorageError, migrate};

/// `JA4s`: `PRAGMA application_id` of the file, by which file(1) and this program know whose it is.
pub(crate) const APPLICATION_ID: i64 = 0x4a41_3473;

/// Mode of a new file: what a network talks about is for its owner. SQLite gives the same to `-wal` and
/// `-shm`.
pub(super) const MODE: u32 = 0o600;

/// The schema of [`VERSION`].
const CURRENT: &str = include_str!("schema/v3.sql");

/// How long a statement waits for a lock that another process holds. What waits longer is tried again by
/// the writer, which meanwhile looks at its queue.
const BUSY: Duration = Duration::from_millis(250);

/// Bytes of a page: half as many are filled and split as of the usual 4 KiB, which is a tenth of the time of
/// a fingerprint.
const PAGE: u32 = 8192;

/// Pages of the log after which they go to the database itself: few enough for the log to
/// stay small, and enough for a page that changes all the time to be written once for many commits.
const CHECKPOINT_PAGES: u32 = 4096;

/// Makes the file if there is none. It is empty then, which SQLite takes for an empty database.
///
/// # Errors
/// If it cannot be made or written to.
pub(super) fn create(path: &Path) -> Result<(), StorageError> {
    let made = match may(path, AccessFlags::R_OK | AccessFlags::W_OK) {
        // Nobody has it open, so there is no lock to be lost by closing it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenOptions::new().append(true).create(true).mode(MODE).open(path).map(drop)
        }
        may => may,
    };
    match made {
        Ok(()) => Ok(()),
        Err(error) if is_read_only(&error) => Err(StorageError::ReadOnly(path.to_owned())),
        Err(source) => Err(StorageError::Open { path: path.to_owned(), source }),
    }
}

/// Whether this process may do that with a file. It is not opened for it: closing it again would give back every
/// lock that SQLite holds on it in this process (fcntl(2), advisory record locking).
pub(super) fn may(path: &Path, what: AccessFlags) -> io::Result<()> {
    nix::unistd::eaccess(path, what)?;
    if path.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(()) }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Opens a database to write to it, makes its tables if it is empty, and brings it up to [`VERSION`].
///
/// `cache` is the memory for its pages, KiB.
///
/// # Errors
/// If it cannot be read or written, is no database of ours, or is of a newer version.
pub(super) fn open(path: &Path, cache: u32) -> Result<(Connection, Option<Migrated>), StorageError> {
    let failed = |source| explain(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut database = Connection::open_with_flags(path, flags).map_err(failed)?;
    database.busy_timeout(BUSY).map_err(failed)?;
    if database.is_readonly("main").map_err(failed)? {
        return Err(StorageError::ReadOnly(path.to_owned()));
    }
    let found = identify(&database, path)?;
    // Before the first table is made; later only VACUUM changes it.
    if found.is_none() {
        database.pragma_update(None, "page_size", PAGE).map_err(failed)?;
        database.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
    }
    database.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    // The log is synced when it goes to the database, not at each commit: a commit outlives the process,
    // and a machine that loses power loses the newest ones, but never the order of them.
    database.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    database.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(failed)?;
    database.pragma_update(None, "temp_store", "MEMORY").map_err(failed)?;
    // Negative: KiB in place of pages.
    database.pragma_update(None, "cache_size", -i64::from(cache)).map_err(failed)?;
    let migrated = match found {
        None => {
            make(&mut database).map_err(failed)?;
            None
        }
        Some(VERSION) => None,
        Some(from) => Some(climb(&mut database, path, from)?),
    };
    Ok((database, migrated))
}

/// The version of a database of ours; `None`: it is empty.
///
/// # Errors
/// If it is no database, somebody else's, or of a version that is not known.
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

/// All tables in one transaction: a process that dies meanwhile leaves an empty database.
fn make(database: &mut Connection) -> rusqlite::Result<()> {
    let change = database.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    change.execute_batch(CURRENT)?;
    change.pragma_update(None, "application_id", APPLICATION_ID)?;
    change.pragma_update(None, "user_version", VERSION)?;
    change.commit()
}

/// One step for each version, all in one transaction: a file is of its old version, or of this one.
fn climb(database: &mut Connection, path: &Path, from: i64) -> Result<Migrated, StorageError> {
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
    // Gives pages back one by one from now on. Needs room for a second copy, and can do without.
    if from == 1 {
        let _vacuumed =
            database.pragma_update(None, "auto_vacuum", "INCREMENTAL").and_then(|()| database.execute_batch("VACUUM"));
    }
    Ok(migrated)
}

/// What SQLite's word means to who has named the file.
pub(super) fn explain(path: &Path, source: rusqlite::Error) -> StorageError {
    let owned = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StorageError::NotADatabase(owned),
        Some(ErrorCode::ReadOnly) => StorageError::ReadOnly(owned),
        Some(ErrorCode::CannotOpen) => match may(path, AccessFlags::R_OK) {
            Err(source) => StorageError::Open { path: owned, source },
            // The file can be read; what SQLite wants to make beside it cannot be made.
            Ok(()) => StorageError::ReadOnly(owned),
        },
        _ => StorageError::Sqlite { path: owned, source },
    }
}
