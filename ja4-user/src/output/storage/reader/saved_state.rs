//! Saved state: first-seen values, profiles and runs.

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::DatabaseReader;
use super::stored::{Columns, StoredRun, strings};
use crate::detect::profile::{self, PairKind};
use crate::model::Time;
use crate::output::storage::first_seen_filter::FirstSeenFilter;
use crate::output::storage::trim::limit;
use crate::output::storage::{FirstSeenRow, SavedStateLimits, StorageError};

/// Columns and tables of [`first_seen`].
const FIRST_SEEN: &str = "v.method, v.value, s.host, s.first, s.last, s.count, s.approved
    FROM first_seen s JOIN fingerprint_value v ON v.id = s.value";

/// Reads a first-seen row. Returns `None` for an unknown method.
fn first_seen(row: &Row<'_>) -> rusqlite::Result<Option<FirstSeenRow>> {
    let mut of = Columns::from(row, 0);
    let (method, value, host) = (of.method()?, of.text()?, of.address()?);
    let (first, last, count, approved) = (of.time()?, of.time()?, of.count()?, of.flag()?);
    let known = method.zip(value);
    Ok(known.map(|(method, value)| FirstSeenRow { method, value: value.into(), host, first, last, count, approved }))
}

impl DatabaseReader {
    /// Returns the first-seen values that match a filter, most recently seen first.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub fn first_seen(&self, which: &FirstSeenFilter) -> Result<Vec<FirstSeenRow>, StorageError> {
        let condition = which.condition();
        let select = format!("SELECT {FIRST_SEEN} WHERE {} ORDER BY s.last DESC", condition.text);
        let all = self.collect(&select, condition.values, first_seen)?;
        Ok(all.into_iter().flatten().collect())
    }

    /// Returns the latest first-seen values within these limits: network-wide values, then those of hosts, each most
    /// recently seen last.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub(crate) fn newest_first_seen(&self, bounds: &SavedStateLimits) -> Result<Vec<FirstSeenRow>, StorageError> {
        let mut all = Vec::new();
        for (of_host, most) in [(false, bounds.values), (true, bounds.host_values)] {
            let select = format!(
                "SELECT {FIRST_SEEN} WHERE (length(s.host) > 0) = {} ORDER BY s.last DESC LIMIT {}",
                u8::from(of_host),
                limit(most)
            );
            let newest = self.collect(&select, Vec::new(), first_seen)?;
            all.extend(newest.into_iter().rev().flatten());
        }
        Ok(all)
    }

    /// Returns all profile pairs, least recently seen first.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub fn profiles(&self) -> Result<Vec<profile::ProfileRow>, StorageError> {
        self.newest_profiles(usize::MAX)
    }

    /// Returns the latest `most` profile pairs, least recently seen first.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub(crate) fn newest_profiles(&self, most: usize) -> Result<Vec<profile::ProfileRow>, StorageError> {
        let all = self.collect(
            "SELECT source, pair, key, value, count, first, last FROM profile ORDER BY last DESC LIMIT ?1",
            vec![limit(most).into()],
            |row| {
                let mut of = Columns::from(row, 0);
                let mut word = || of.text().map(Option::unwrap_or_default);
                let (source, pair, key, value) = (word()?, word()?, word()?, word()?);
                let (count, first, last) = (of.count()?, of.time()?, of.time()?);
                // Pairs of a kind of a newer version are skipped.
                Ok(PairKind::named(&pair).map(|pair| profile::ProfileRow {
                    source: source.into(),
                    pair,
                    key: key.into(),
                    value: value.into(),
                    count,
                    first,
                    last,
                }))
            },
        )?;
        Ok(all.into_iter().rev().flatten().collect())
    }

    /// Returns the id of the database and the start of the learning period.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub fn sensor(&self) -> Result<(String, Option<Time>), StorageError> {
        self.limited(|database| {
            database.query_row("SELECT id, learning_since FROM sensor", [], |row| {
                let mut of = Columns::from(row, 0);
                Ok((of.text()?.unwrap_or_default(), of.number()?.map(Time)))
            })
        })
    }

    /// Returns all runs in order.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub fn runs(&self) -> Result<Vec<StoredRun>, StorageError> {
        self.collect(
            "SELECT id, started, ended, clean, version, sensor, interfaces, files, counters FROM sensor_run ORDER BY id",
            Vec::new(),
            |row| {
                let mut of = Columns::from(row, 0);
                let (id, started, ended, clean) = (of.id()?.unwrap_or(0), of.time()?, of.number()?, of.flag()?);
                let (version, sensor) = (of.text()?.unwrap_or_default(), of.text()?);
                let (interfaces, files, counters) = (of.text()?, of.text()?, of.text()?);
                let list = |text: Option<String>| text.map(|text| strings(&text)).unwrap_or_default();
                Ok(StoredRun {
                    id,
                    started,
                    ended: ended.map(Time),
                    clean,
                    version,
                    sensor,
                    interfaces: list(interfaces),
                    files: list(files),
                    counters,
                })
            },
        )
    }

    /// Returns the rows that could not be migrated: table, reason, content.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub fn unmigrated(&self) -> Result<Vec<[String; 3]>, StorageError> {
        self.collect("SELECT source, reason, content FROM unmigrated ORDER BY id", Vec::new(), |row| {
            let mut of = Columns::from(row, 0);
            let mut word = || of.text().map(Option::unwrap_or_default);
            Ok([word()?, word()?, word()?])
        })
    }

    fn collect<T>(
        &self,
        select: &str,
        values: Vec<Value>,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StorageError> {
        self.limited(|database| database.prepare(select)?.query_map(params_from_iter(values), read)?.collect())
    }
}
