//! One writer a database.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::StorageError;
use super::schema::{self, Migrated};

/// A lock on `FILE.lock`, by flock(2): the kernel gives it back when the process ends, however it ends. It
/// holds the process id of who has it. The database itself must not be opened in this process but by SQLite:
/// closing it would give back the locks of SQLite (fcntl(2), advisory record locking), see
/// [`schema::may`].
#[derive(Debug)]
pub(super) struct Lock {
    _held: File,
    side: PathBuf,
    /// The side file was not there before.
    made: bool,
}

/// Opens a database to write to it, and nobody else does.
///
/// # Errors
/// Those of [`Lock::take`] and [`schema::open`].
pub(super) fn open(path: &Path, cache: u32) -> Result<(Lock, Connection, Option<Migrated>), StorageError> {
    let lock = Lock::take(path)?;
    match schema::open(path, cache) {
        Ok((database, migrated)) => Ok((lock, database, migrated)),
        Err(error) => {
            if matches!(error, StorageError::NotADatabase(_) | StorageError::Foreign(_)) {
                lock.withdraw();
            }
            Err(error)
        }
    }
}

impl Lock {
    /// Takes the lock of a database that exists.
    ///
    /// # Errors
    /// If another process has it, or the side file cannot be written.
    fn take(database: &Path) -> Result<Self, StorageError> {
        let side = side_file(database);
        let made = !side.exists();
        let unusable = |source| StorageError::Open { path: side.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(schema::MODE)
            .open(&side)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // More than a process id does not belong there.
                let _read = file.take(32).read_to_string(&mut text);
                return Err(StorageError::InUse { path: database.to_owned(), pid: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        // A full disk has no room for the id; the lock holds all the same.
        let _written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _held: file, side, made })
    }

    /// Gives the lock of a file back that turns out to be no database of ours: nothing stays beside it.
    fn withdraw(self) {
        if self.made {
            // Who has opened it meanwhile finds the same as we did.
            let _removed = fs::remove_file(&self.side);
        }
    }
}

/// Beside the file itself, whatever link leads to it.
fn side_file(database: &Path) -> PathBuf {
    let real = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    let mut name = OsString::from(real);
    name.push(".lock");
    name.into()
}
