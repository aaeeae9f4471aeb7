//! Errors of the database.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::ErrorCode;
use thiserror::Error;

use super::version::VERSION;

/// An error of the database.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The file does not exist or cannot be opened.
    #[error("cannot open database {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not an SQLite database.
    #[error("cannot open database {}: the file is not a database; name another file", .0.display())]
    NotADatabase(PathBuf),
    /// A database of another program.
    #[error("cannot open database {}: the file is a database of another program; name another file", .0.display())]
    Foreign(PathBuf),
    /// A database of a newer version of this program.
    #[error("cannot open database {}: schema version {found} is newer than {VERSION}; use a newer ja4sensor", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// A database of an older version, which a reader must not migrate.
    #[error(
        "cannot read database {}: schema version {found} is outdated; migrate it to version {VERSION} with `ja4sensor run` or \
         `replay` and --db {}",
        path.display(),
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// Another process writes to it.
    #[error("cannot open database {}: another sensor writes to it ({}); stop that sensor, or name another file", path.display(), holder(*pid))]
    InUse {
        /// The file.
        path: PathBuf,
        /// The process id, if known.
        pid: Option<u32>,
    },
    /// The file cannot be written.
    #[error("cannot write database {}: file or directory is read-only for this user; change its mode or owner", .0.display())]
    ReadOnly(PathBuf),
    /// A killed sensor left its log, which this user cannot recover.
    #[error("cannot read database {}: a killed sensor left its log; query it once as its owner, or start a sensor with it", .0.display())]
    LeftOpen(PathBuf),
    /// The migration failed; the file is unchanged.
    #[error("cannot migrate database {} from schema version {from} to {VERSION}; it is unchanged", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Its version.
        from: i64,
        /// The cause.
        source: rusqlite::Error,
    },
    /// A query exceeded its time limit.
    #[error("cannot finish the query: it took longer than {} s; narrow its filters, or raise --timeout", .0.as_secs_f64())]
    TimedOut(Duration),
    /// An error of SQLite.
    #[error("cannot access database {}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: rusqlite::Error,
    },
    /// The thread cannot be started.
    #[error("cannot start the database thread")]
    Thread(#[source] io::Error),
}

impl StorageError {
    /// Whether the error may be temporary: the disk is full, the file is locked or read-only.
    #[must_use]
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::ReadOnly(_) => true,
            Self::Open { source, .. } => !matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
            ),
            Self::Sqlite { source, .. } | Self::Migrate { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(
                    ErrorCode::DiskFull
                        | ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::CannotOpen
                        | ErrorCode::ReadOnly
                        | ErrorCode::SystemIoFailure
                )
            ),
            _ => false,
        }
    }

    /// Whether the file can never be used.
    #[must_use]
    pub(crate) const fn is_permanent(&self) -> bool {
        matches!(self, Self::NotADatabase(_) | Self::Foreign(_) | Self::Newer { .. })
    }

    /// Returns the error and its cause on one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        match self.source() {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "process id unknown".to_owned(), |pid| format!("process {pid}"))
}
