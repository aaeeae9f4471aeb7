//! Settings of the database.

use std::path::PathBuf;

use super::{Retention, WriterOptions};
use crate::document::settings;
use crate::units::{ByteSize, HumanDuration};

/// Shortest history: shorter retention would delete rows before they are read.
pub(crate) const MIN_AGE: HumanDuration = HumanDuration::seconds(60);

/// Smallest history; an empty database has some 100 KiB.
pub(crate) const MIN_SIZE: ByteSize = ByteSize(1 << 20);

settings! {
    /// Section `[storage]`: the database.
    #[derive(Eq)]
    pub struct StorageSettings {
        /// The database; default: nothing is stored.
        pub path: Option<PathBuf> = None;
        /// Age after which connections and alerts are deleted; default: never.
        pub max_age: Option<HumanDuration> = None, in MIN_AGE..;
        /// Largest size of the database; default: unlimited.
        pub max_size: Option<ByteSize> = None, in MIN_SIZE..;
        /// Longest time that rows are collected for one transaction.
        pub flush_after: HumanDuration = HumanDuration(WriterOptions::default().flush_after),
            in HumanDuration::milliseconds(1)..=HumanDuration::seconds(60);
    }
}

impl StorageSettings {
    /// Returns the options of a writer.
    #[must_use]
    pub fn options(&self) -> WriterOptions {
        let retention =
            Retention { max_age: self.max_age.map(|age| age.0), max_bytes: self.max_size.map(|size| size.0) };
        WriterOptions { flush_after: self.flush_after.0, retention, ..WriterOptions::default() }
    }
}
