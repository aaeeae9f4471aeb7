//! The version of the schema, and the outcome of a migration.

use std::fmt;

use crate::units::Counted;

/// Version of the schema that this program writes; `PRAGMA user_version` of the file.
pub const VERSION: i64 = 3;

/// The outcome of a migration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// The previous version.
    pub from: i64,
    /// Migrated rows.
    pub rows: u64,
    /// Rows that could not be migrated, now in the table `unmigrated`.
    pub set_aside: u64,
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, rows, set_aside } = self;
        write!(f, "migrated from schema version {from}: {}, {set_aside} set aside", Counted(*rows, "row"))
    }
}

/// The changes of a command.
#[derive(Clone, Copy, Debug)]
pub struct Changed {
    /// Changed rows.
    pub rows: u64,
    /// The migration of an older file, if any.
    pub migrated: Option<Migrated>,
}
