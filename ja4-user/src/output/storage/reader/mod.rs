//! Queries: a read-only handle with a time limit.

mod alerts;
mod connections;
mod diff;
mod filter;
mod fingerprints;
mod follow;
mod saved_state;
mod stored;
pub(crate) mod times;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::unistd::AccessFlags;
use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags, Row, Rows};

use super::StorageError;
use super::schema;
use super::version::VERSION;

pub use self::diff::{Change, DiffOptions, DiffReport, DiffWindow, ValueDifference};
pub use self::filter::HistoryFilter;
pub use self::follow::FollowPosition;
pub use self::stored::{FingerprintWithConnection, StoredAlert, StoredConnection, StoredFingerprint, StoredRun};

/// Time that a reader waits for a lock. A writer in WAL mode does not lock readers out; recovery after a crash does.
const BUSY: Duration = Duration::from_secs(5);

/// Page cache, KiB.
const CACHE: i64 = 64 << 10;

/// Interval at which an overdue query is interrupted again: it may have been between two statements.
const REPEAT: Duration = Duration::from_millis(10);

/// The outcome of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryOutcome {
    /// Rows returned.
    pub rows: u64,
    /// Whether the limit excluded further rows.
    pub more: bool,
}

/// A database that is open for reading.
#[derive(Debug)]
pub struct DatabaseReader {
    database: Connection,
    path: PathBuf,
    limit: Option<Duration>,
}

impl QueryOutcome {
    /// Visits rows up to the limit of the query, which several calls share. `visit` returns `None` for a row that does not
    /// count. Breaks at the limit, or if `visit` breaks.
    fn visit(
        &mut self,
        mut rows: Rows<'_>,
        limit: Option<u64>,
        mut visit: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<ControlFlow<()>>>,
    ) -> rusqlite::Result<ControlFlow<()>> {
        while let Some(row) = rows.next()? {
            if limit.is_some_and(|limit| self.rows >= limit) {
                self.more = true;
                return Ok(ControlFlow::Break(()));
            }
            let Some(flow) = visit(row)? else {
                continue;
            };
            self.rows += 1;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl DatabaseReader {
    /// Opens a database. `limit` is the time limit of each query, output included; `None`: unlimited.
    ///
    /// # Errors
    /// If the file does not exist, is not a database of this program, or has another version.
    pub fn open(path: &Path, limit: Option<Duration>) -> Result<Self, StorageError> {
        let database = open(path)?;
        let failed = |source| schema::explain(path, source);
        database.pragma_update(None, "cache_size", -CACHE).map_err(failed)?;
        database.pragma_update(None, "temp_store", "MEMORY").map_err(failed)?;
        match schema::identify(&database, path)? {
            Some(VERSION) => {}
            Some(found) => return Err(StorageError::Older { path: path.to_owned(), found }),
            None => return Err(StorageError::NotADatabase(path.to_owned())),
        }
        Ok(Self { database, path: path.to_owned(), limit })
    }

    /// Runs `work` in one read transaction within the time limit.
    fn limited<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StorageError> {
        let (done, over) = mpsc::channel::<()>();
        if let Some(limit) = self.limit {
            let query = self.database.get_interrupt_handle();
            let watch = move || watch(&over, limit, &query);
            thread::Builder::new().name("time limit".to_owned()).spawn(watch).map_err(StorageError::Thread)?;
        }
        let result = self.database.unchecked_transaction().and_then(|state| work(&state));
        drop(done);
        result.map_err(|source| match (source.sqlite_error_code(), self.limit) {
            (Some(ErrorCode::OperationInterrupted), Some(limit)) => StorageError::TimedOut(limit),
            _ => schema::explain(&self.path, source),
        })
    }
}

/// Opens a database read-only. If this process cannot create the side files (permissions, a full disk) and no process has
/// the database open, it is opened as immutable.
fn open(path: &Path) -> Result<Connection, StorageError> {
    schema::check_access(path, AccessFlags::R_OK)
        .map_err(|source| StorageError::Open { path: path.to_owned(), source })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let plain = Connection::open_with_flags(path, flags).and_then(|database| {
        database.busy_timeout(BUSY)?;
        database.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(database)
    });
    match plain {
        Ok(database) => Ok(database),
        Err(error) if is_side_file_error(&error) && is_empty(&log_path(path)) => {
            let uri = format!("file:{}?immutable=1", percent_encode(path));
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
                .map_err(|source| schema::explain(path, source))
        }
        Err(error) if is_side_file_error(&error) => Err(StorageError::LeftOpen(path.to_owned())),
        Err(source) => Err(schema::explain(path, source)),
    }
}

/// Whether the error concerns the side files: they cannot be created or recovered.
fn is_side_file_error(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::DiskFull))
}

/// Whether the log is empty or missing.
fn is_empty(log: &Path) -> bool {
    std::fs::metadata(log).map_or(true, |log| log.len() == 0)
}

/// Returns the path of the log.
fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Percent-encodes a path for a URI.
fn percent_encode(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Interrupts the query when the time limit is over, until the work is done.
fn watch(over: &mpsc::Receiver<()>, limit: Duration, query: &InterruptHandle) {
    let mut left = limit;
    while over.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
        query.interrupt();
        left = REPEAT;
    }
}
