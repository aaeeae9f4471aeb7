//! One writer a database.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::StorageError;

/// A lock on `FILE.lock`, by flock(2): the kernel gives it back when the process ends, however it ends. It
/// holds the process id of who has it. The database itself must not be opened a second time in this
/// process: closing that would give back the locks of SQLite (fcntl(2), advisory record locking).
#[derive(Debug)]
pub(super) struct Lock {
    _held: File,
}

impl Lock {
    /// Takes the lock of a database that exists.
    ///
    /// # Errors
    /// If another process has it, or the side file cannot be written.
    pub(super) fn take(database: &Path) -> Result<Self, StorageError> {
        let side = side_file(database);
        let unusable = |source| StorageError::Open { path: side.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(super::schema::MODE)
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
        Ok(Self { _held: file })
    }
}

/// Beside the file itself, whatever link leads to it.
fn side_file(database: &Path) -> PathBuf {
    let real = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    let mut name = OsString::from(real);
    name.push(".lock");
    name.into()
}
