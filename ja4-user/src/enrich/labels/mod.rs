//! The local database: whose a value is.
//!
//! It is made of rows (a method, a value or a prefix, a name, a confidence) from several files, in whatever order. All rows
//! that a value has are its owners: those of the value itself and those of every prefix that it begins with. The
//! label names every owner, the surest first, joined with ` / `. Its confidence is that of the surest owner divided by the
//! number of owners: two applications at 80 that share a value leave 40 for either. A name that several rows give
//! is one owner, with its highest confidence.

mod builder;
mod csv;
mod mapping;
mod own;

use std::path::PathBuf;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use thiserror::Error;

pub use self::builder::{Builder, Imported, Summary};
pub use self::csv::BadRow;
use super::document::Faults;
use super::prefixes::Prefixes;
use crate::model::{Label, Method};

/// Largest file that is read, bytes. The public table is 5 kB; this is room for a million rows.
pub const MAX_FILE: u64 = 128 << 20;

/// Rows of all files together: what a million labels take is some 200 MB.
pub const MAX_ROWS: usize = 1_000_000;

/// Owners that a label names; of more it says how many. All of them count for its confidence.
pub const MAX_NAMED: usize = 8;

/// Between the names of owners.
pub(crate) const BETWEEN: &str = " / ";

/// Why a file gives no rows at all.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is larger than [`MAX_FILE`].
    #[error("{} is larger than {} MiB", path.display(), MAX_FILE >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Its name does not say what it is.
    #[error("{}: a database is a .csv file (the layout of ja4plus-mapping.csv) or a .toml file with [[entry]]", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// It is not text.
    #[error("{} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Its rows are wrong; none was taken.
    #[error("{}: {faults}", path.display())]
    Faults {
        /// The file.
        path: PathBuf,
        /// All that is wrong.
        faults: Faults,
    },
    /// Its first line names no column that a database can be made of.
    #[error("{}: {reason}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: &'static str,
    },
    /// There are too many rows.
    #[error("{}: with it there are more than {MAX_ROWS} rows", path.display())]
    TooMany {
        /// The file that was one too many.
        path: PathBuf,
    },
}

/// Labels of values. Immutable: a new one takes its place.
#[derive(Clone, Debug, Default)]
pub struct Database {
    /// By the number of the method.
    tables: [Table; Method::ALL.len()],
}

/// The labels of one method.
#[derive(Clone, Debug, Default)]
struct Table {
    exact: HashMap<Box<str>, Arc<Label>, RandomState>,
    prefixes: Prefixes<Arc<Label>>,
}

impl Database {
    /// The shipped table alone.
    #[must_use]
    pub fn builtin() -> Self {
        Builder::with_builtin().build()
    }

    /// The label of a value: all its owners.
    #[inline]
    #[must_use]
    pub fn lookup(&self, method: Method, value: &str) -> Option<Arc<Label>> {
        let table = self.tables.get(method as usize)?;
        // The label of a value counts the prefixes that it begins with, that of a prefix the shorter ones.
        table.exact.get(value).or_else(|| table.prefixes.of(value).next()).map(Arc::clone)
    }

    /// Labelled values and labelled prefixes of a method.
    #[must_use]
    pub fn len(&self, method: Method) -> (usize, usize) {
        let table = self.tables.get(method as usize);
        table.map_or((0, 0), |table| (table.exact.len(), table.prefixes.len()))
    }
}

#[cfg(test)]
mod tests;
