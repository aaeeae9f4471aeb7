//! The version of the schema, and the outcome of a migration.

use std::fmt;

/// Version of the schema that this program writes; `PRAGMA user_version` of the file.
pub const VERSION: i64 = 2;

/// What bringing an older file up to date has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// The version it had.
    pub from: i64,
    /// Rows that were carried over.
    pub carried: u64,
    /// Rows that could not be, and stand in the table `unmigrated`.
    pub set_aside: u64,
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, carried, set_aside } = self;
        write!(f, "brought up from version {from}: {carried} rows carried over, {set_aside} set aside")
    }
}

/// What a command has changed in a database.
#[derive(Clone, Copy, Debug)]
pub struct Changed {
    /// Rows that were changed.
    pub rows: u64,
    /// What was found in an older file.
    pub migrated: Option<Migrated>,
}
