//! Why a database cannot be used.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::ErrorCode;
use thiserror::Error;

use super::version::VERSION;

/// What is wrong with a database, and what to do about it.
#[derive(Debug, Error)]
pub enum StorageError {
    /// There is no such file, or it cannot be opened.
    #[error("cannot open the database {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no SQLite database.
    #[error("{} is no database; name another file, or a new one", .0.display())]
    NotADatabase(PathBuf),
    /// A database that another program has made.
    #[error("{} is the database of another program; name another file, or a new one", .0.display())]
    Foreign(PathBuf),
    /// A later version of this program has made it.
    #[error("{} has schema version {found}, this ja4sensor knows {VERSION} and older; use a newer one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// An earlier version has made it, and who reads must not change it.
    #[error(
        "{} has schema version {found}; `ja4sensor run` or `replay` with --db {} brings it up to version {VERSION}",
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
    #[error("cannot open database {}: another sensor writes it ({}); stop it, or name another file", path.display(), holder(*pid))]
    InUse {
        /// The file.
        path: PathBuf,
        /// The process, where it can be told.
        pid: Option<u32>,
    },
    /// It may not be written to.
    #[error("{} cannot be written to: file or folder is read-only for this user", .0.display())]
    ReadOnly(PathBuf),
    /// A killed sensor has left its log, and this user cannot take it up.
    #[error("{} was left open by a sensor that was killed; its owner has to query it once, or a sensor to start with it", .0.display())]
    LeftOpen(PathBuf),
    /// An older version could not be brought up to this one; the file is as it was.
    #[error("{} could not be brought from schema version {from} to {VERSION}; it is unchanged", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Its version.
        from: i64,
        /// Why.
        source: rusqlite::Error,
    },
    /// A query took longer than it may.
    #[error("the query took longer than {} s; narrow what it looks at, or raise --timeout", .0.as_secs_f64())]
    TimedOut(Duration),
    /// SQLite says no.
    #[error("database {}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The thread cannot be started.
    #[error("the thread of the database cannot be started")]
    Thread(#[source] io::Error),
}

impl StorageError {
    /// Whether the same file may be had later, without anybody doing anything about its name: the disk is full, somebody
    /// has locked it, it is read-only for now.
    #[must_use]
    pub fn may_pass(&self) -> bool {
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

    /// Whether the file itself is what can never be used.
    #[must_use]
    pub const fn is_of_the_file(&self) -> bool {
        matches!(self, Self::NotADatabase(_) | Self::Foreign(_) | Self::Newer { .. })
    }

    /// All of it in one line.
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
