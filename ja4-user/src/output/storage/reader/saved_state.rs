//! Saved state: first-seen values, profiles and runs.

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::DatabaseReader;
use super::stored::{ColumnReader, StoredRun, strings};
use crate::detect::first_seen::FirstSeenFact;
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
    let mut columns = ColumnReader::from(row, 0);
    let (method, value, host) = (columns.method()?, columns.text()?, columns.address()?);
    let (first, last, count, approved) = (columns.time()?, columns.time()?, columns.count()?, columns.flag()?);
    Ok(method.zip(value).map(|(method, value)| {
        let fact = FirstSeenFact { method, value: value.into(), host, first, last, count };
        FirstSeenRow { fact, approved }
    }))
}

impl DatabaseReader {
    /// Returns the first-seen values that match a filter, most recently seen first.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub fn first_seen(&self, filter: &FirstSeenFilter) -> Result<Vec<FirstSeenRow>, StorageError> {
        let condition = filter.condition();
        let select = format!("SELECT {FIRST_SEEN} WHERE {} ORDER BY s.last DESC", condition.text);
        let rows = self.collect(&select, condition.values, first_seen)?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Returns the latest first-seen values within these limits: network-wide values, then those of hosts, each most
    /// recently seen last.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub(crate) fn newest_first_seen(&self, limits: &SavedStateLimits) -> Result<Vec<FirstSeenRow>, StorageError> {
        let mut all = Vec::new();
        for (is_of_host, max) in [(false, limits.values), (true, limits.host_values)] {
            let select = format!(
                "SELECT {FIRST_SEEN} WHERE (length(s.host) > 0) = {} ORDER BY s.last DESC LIMIT {}",
                u8::from(is_of_host),
                limit(max)
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

    /// Returns the latest `max` profile pairs, least recently seen first.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub(crate) fn newest_profiles(&self, max: usize) -> Result<Vec<profile::ProfileRow>, StorageError> {
        let rows = self.collect(
            "SELECT source, pair, key, value, count, first, last FROM profile ORDER BY last DESC LIMIT ?1",
            vec![limit(max).into()],
            |row| {
                let mut columns = ColumnReader::from(row, 0);
                let mut text = || columns.text().map(Option::unwrap_or_default);
                let (source, pair, key, value) = (text()?, text()?, text()?, text()?);
                let (count, first, last) = (columns.count()?, columns.time()?, columns.time()?);
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
        Ok(rows.into_iter().rev().flatten().collect())
    }

    /// Returns the id of the database and the start of the learning period.
    ///
    /// # Errors
    /// If the time limit is exceeded, or the file is damaged.
    pub fn sensor(&self) -> Result<(String, Option<Time>), StorageError> {
        self.limited(|database| {
            database.query_row("SELECT id, learning_since FROM sensor", [], |row| {
                let mut columns = ColumnReader::from(row, 0);
                Ok((columns.text()?.unwrap_or_default(), columns.number()?.map(Time)))
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
                let mut columns = ColumnReader::from(row, 0);
                let (id, started, ended, clean) = (columns.id()?.unwrap_or(0), columns.time()?, columns.number()?, columns.flag()?);
                let (version, sensor) = (columns.text()?.unwrap_or_default(), columns.text()?);
                let (interfaces, files, counters) = (columns.text()?, columns.text()?, columns.text()?);
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
            let mut columns = ColumnReader::from(row, 0);
            let mut text = || columns.text().map(Option::unwrap_or_default);
            Ok([text()?, text()?, text()?])
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
