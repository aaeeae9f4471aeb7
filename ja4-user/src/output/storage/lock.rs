//! The lock that permits one writer per database.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::sys::stat::{major, minor};
use rusqlite::Connection;

use super::StorageError;
use super::schema;
use super::version::Migrated;

/// The lock of the writer: flock(2) on the database file and on `FILE.lock`, which contains the process id. The kernel
/// releases both when the process ends.
///
/// SQLite's own locks are lost when the process closes any descriptor of the file (fcntl(2), advisory record locking). So
/// this value must outlive the connection, and only SQLite may open the file in this process; see [`schema::check_access`].
#[derive(Debug)]
pub(super) struct DatabaseLock {
    database: InodeLock,
    _held: File,
    side: PathBuf,
    /// This process created the lock file.
    is_created: bool,
}

/// Device and inode of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    /// Returns the id of the file at a path; `None` if there is no file.
    pub(super) fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::of)
    }

    /// Whether a path leads to this file. Errors other than a missing file are ignored.
    pub(super) fn is_at(self, path: &Path) -> bool {
        match fs::metadata(path) {
            Ok(file) => Self::of(&file) == self,
            Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }

    fn of(file: &Metadata) -> Self {
        Self { device: file.dev(), number: file.ino() }
    }

    /// Returns the process that holds a flock(2) lock on the file, from proc_locks(5).
    fn locked_by(self) -> Option<u32> {
        let file = format!("{:02x}:{:02x}:{}", major(self.device), minor(self.device), self.number);
        let holder = |line: &str| {
            let mut fields = line.split_whitespace().skip(1);
            let is_held = fields.next() == Some("FLOCK");
            let pid = fields.nth(2)?.parse().ok().filter(|pid| *pid > 0);
            pid.filter(|_| is_held && fields.next() == Some(&file))
        };
        fs::read_to_string("/proc/locks").ok()?.lines().find_map(holder)
    }
}

/// The databases that this process has locked. They must not be opened again: closing them would release SQLite's locks.
static LOCKED: Mutex<Vec<Inode>> = Mutex::new(Vec::new());

/// A lock on a database file.
#[derive(Debug)]
struct InodeLock {
    inode: Inode,
    _file: File,
}

impl InodeLock {
    /// Locks a file that exists.
    ///
    /// # Errors
    /// If another writer has locked the file, or it cannot be opened. A file system without locks is not an error.
    fn take(path: &Path) -> Result<Self, StorageError> {
        let unusable = |source| StorageError::Open { path: path.to_owned(), source };
        let in_use = |pid| StorageError::InUse { path: path.to_owned(), pid };
        let mut locked = LOCKED.lock().unwrap_or_else(PoisonError::into_inner);
        let inode = Inode::of(&fs::metadata(path).map_err(unusable)?);
        if locked.contains(&inode) {
            return Err(in_use(Some(std::process::id())));
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(unusable)?;
        if Inode::of(&file.metadata().map_err(unusable)?) != inode {
            // The file was replaced in between. This process may have locked it before, so it stays open.
            std::mem::forget(file);
            return Err(unusable(io::ErrorKind::ResourceBusy.into()));
        }
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(in_use(inode.locked_by()));
        }
        locked.push(inode);
        Ok(Self { inode, _file: file })
    }
}

impl Drop for InodeLock {
    fn drop(&mut self) {
        LOCKED.lock().unwrap_or_else(PoisonError::into_inner).retain(|inode| *inode != self.inode);
    }
}

/// Opens a database for exclusive writing.
///
/// # Errors
/// Those of [`DatabaseLock::take`] and [`schema::open`].
pub(super) fn open(path: &Path, cache: u32) -> Result<(DatabaseLock, Connection, Option<Migrated>), StorageError> {
    let lock = DatabaseLock::take(path)?;
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

/// Checks that no other process writes to a database.
///
/// # Errors
/// [`StorageError::InUse`], or that the file or the one beside it cannot be opened.
pub(crate) fn check_unused(path: &Path) -> Result<(), StorageError> {
    if path.exists() {
        DatabaseLock::take(path)?.withdraw();
    }
    Ok(())
}

impl DatabaseLock {
    /// Takes the lock of an existing database.
    ///
    /// # Errors
    /// If another process has the lock, or the lock file cannot be written.
    fn take(database: &Path) -> Result<Self, StorageError> {
        let side = side_file(database);
        let is_created = !side.exists();
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
                // The file contains only a process id.
                let _read = file.take(32).read_to_string(&mut text);
                return Err(StorageError::InUse { path: database.to_owned(), pid: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        // Another hard link of the same file has another lock file.
        let locked = InodeLock::take(database).inspect_err(|_| {
            if is_created {
                let _removed = fs::remove_file(&side);
            }
        })?;
        // On a full disk, the id cannot be written; the lock is held regardless.
        let _written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { database: locked, _held: file, side, is_created })
    }

    /// Whether a path still leads to the database.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.database.inode.is_at(path)
    }

    /// Releases the lock of a file that is not a database of this program, and removes the lock file.
    fn withdraw(self) {
        if self.is_created {
            // A process that opened it meanwhile finds the same.
            let _removed = fs::remove_file(&self.side);
        }
    }
}

/// Returns the path of the lock file, next to the file itself even if the path is a link.
fn side_file(database: &Path) -> PathBuf {
    let real = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    let mut name = OsString::from(real);
    name.push(".lock");
    name.into()
}
