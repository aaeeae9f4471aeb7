//! Retention: deletes old rows in small steps between two transactions.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Row, Transaction, TransactionBehavior};

use super::columns::{CLASS_LONG, MAX_FINGERPRINTS, integer};
use super::status::WriterCounters;
use crate::model::Time;

/// Connections and alerts deleted in one step, about ten milliseconds.
const STEP: i64 = 256;

/// Values checked in one step.
const SWEEP: i64 = 1024;

/// Free pages kept for new rows; further free pages are returned to the file system.
const SPARE_PAGES: i64 = 128;

/// Pages returned in one step.
const VACUUM: i64 = 512;

/// Percentage of the size limit that is freed beyond the limit, so that not every batch deletes.
const SPARE: u64 = 5;

/// Lifetime of the measured size of saved state: the measurement takes some time.
const MEASURE_INTERVAL: Duration = Duration::from_secs(60);

/// Limits of the history. `None`: unlimited.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// Maximum age of the end of a connection, or of an alert, relative to the latest event that is not in the future. Open
    /// connections are kept.
    pub max_age: Option<Duration>,
    /// Maximum size of the database without its log. First-seen values and profiles have their own limits and are kept; if
    /// they leave less than half of the size, the history still gets half of it.
    pub max_bytes: Option<u64>,
}

/// The state of retention.
#[derive(Debug)]
pub(super) struct RetentionJob {
    limits: Retention,
    /// The size limit that was exceeded, until enough is freed.
    shrinking: Option<u64>,
    /// Bytes of saved state, and when they were measured.
    saved_state: Option<(u64, Instant)>,
    /// Whether rows were deleted since the last sweep over the values.
    deleted: bool,
    /// Id of the last value that the current sweep checked.
    swept: Option<i64>,
}

/// Rows deleted in a step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RetentionStep {
    connections: u64,
    fingerprints: u64,
    alerts: u64,
    /// Deleted values.
    pub(super) values: u64,
}

impl RetentionJob {
    pub(super) fn new(limits: Retention) -> Self {
        Self { limits, shrinking: None, saved_state: None, deleted: false, swept: None }
    }

    /// Deletes rows while there are any to delete and `may_continue` permits. Returns whether values were deleted, which
    /// invalidates cached ids.
    ///
    /// # Errors
    /// If SQLite fails; earlier deletions are kept.
    pub(super) fn work(
        &mut self,
        database: &mut Connection,
        now: Time,
        counters: &WriterCounters,
        may_continue: impl Fn(Duration) -> bool,
    ) -> rusqlite::Result<bool> {
        if self.limits.max_age.is_none() && self.limits.max_bytes.is_none() {
            return Ok(false);
        }
        let start = Instant::now();
        let mut values_deleted = false;
        loop {
            let step = self.step(database, now)?;
            counters.expired_connections.fetch_add(step.connections, Relaxed);
            counters.expired_fingerprints.fetch_add(step.fingerprints, Relaxed);
            counters.expired_alerts.fetch_add(step.alerts, Relaxed);
            values_deleted |= step.values > 0;
            let idle = step.connections == 0 && step.alerts == 0;
            self.deleted |= !idle;
            let released = release_pages(database)?;
            if (idle && !released) || !may_continue(start.elapsed()) {
                break;
            }
        }
        Ok(values_deleted)
    }

    /// Deletes all expired rows and unreferenced values and returns all free pages, at the end of a replay, while
    /// `may_continue` permits.
    ///
    /// # Errors
    /// As for [`RetentionJob::work`].
    pub(super) fn complete(
        &mut self,
        database: &mut Connection,
        now: Time,
        counters: &WriterCounters,
        may_continue: impl Fn() -> bool,
    ) -> rusqlite::Result<()> {
        self.work(database, now, counters, |_| may_continue())?;
        while (self.deleted || self.swept.is_some()) && may_continue() {
            self.work(database, now, counters, |_| may_continue())?;
        }
        Ok(())
    }

    /// Runs one small transaction.
    fn step(&mut self, database: &mut Connection, now: Time) -> rusqlite::Result<RetentionStep> {
        let mut deleted = RetentionStep::default();
        let is_too_large = self.is_too_large(database)?;
        let cutoff = self.limits.max_age.and_then(|age| {
            let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
            now.0.checked_sub(age).map(integer)
        });
        let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(cutoff) = cutoff {
            expire(&change, cutoff, &mut deleted)?;
        }
        if is_too_large && deleted.connections == 0 && deleted.alerts == 0 {
            expire(&change, i64::MAX, &mut deleted)?;
        }
        deleted.values = self.sweep(&change)?;
        change.commit()?;
        Ok(deleted)
    }

    fn is_too_large(&mut self, database: &Connection) -> rusqlite::Result<bool> {
        let Some(max_bytes) = self.limits.max_bytes else {
            return Ok(false);
        };
        let used = (pragma(database, "page_count")? - pragma(database, "freelist_count")?).max(0).unsigned_abs()
            * pragma(database, "page_size")?.unsigned_abs();
        let limit = |saved_state: u64| max_bytes.max(saved_state + max_bytes / 2);
        self.shrinking = match self.shrinking {
            Some(limit) => Some(limit).filter(|limit| used > limit - max_bytes / 100 * SPARE),
            None if used <= max_bytes => None,
            None if self
                .saved_state
                .is_some_and(|(bytes, when)| when.elapsed() < MEASURE_INTERVAL && used <= limit(bytes)) =>
            {
                None
            }
            None => {
                let (bytes, _) = self.saved_state.insert((saved_state_bytes(database)?, Instant::now()));
                Some(limit(*bytes)).filter(|limit| used > *limit)
            }
        };
        Ok(self.shrinking.is_some())
    }

    /// Deletes some unreferenced values.
    fn sweep(&mut self, change: &Transaction<'_>) -> rusqlite::Result<u64> {
        let from = match self.swept {
            Some(from) => from,
            None if self.deleted => {
                self.deleted = false;
                0
            }
            None => return Ok(0),
        };
        let to: Option<i64> = change.query_row(
            "SELECT max(id) FROM (SELECT id FROM fingerprint_value WHERE id > ?1 ORDER BY id LIMIT ?2)",
            [from, SWEEP],
            |row| row.get(0),
        )?;
        self.swept = to;
        let Some(to) = to else {
            return Ok(0);
        };
        let deleted = change.execute(
            "DELETE FROM fingerprint_value WHERE id > ?1 AND id <= ?2
                AND NOT EXISTS (SELECT 1 FROM fingerprint WHERE fingerprint.value = fingerprint_value.id)
                AND NOT EXISTS (SELECT 1 FROM first_seen WHERE first_seen.value = fingerprint_value.id)",
            [from, to],
        )?;
        Ok(deleted as u64)
    }
}

/// A row to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ExpiredRow {
    Connection(i64),
    Alert(i64),
}

/// Deletes connections that ended before `cutoff`, with their fingerprints, and earlier alerts, oldest first.
fn expire(change: &Transaction<'_>, cutoff: i64, deleted: &mut RetentionStep) -> rusqlite::Result<()> {
    let mut oldest: Vec<(i64, ExpiredRow)> = Vec::new();
    let mut connections = change.prepare_cached(
        "SELECT \"end\", id FROM connection WHERE duration_class = ?1 AND \"end\" < ?2 ORDER BY \"end\" LIMIT ?3",
    )?;
    for class in 0..=CLASS_LONG {
        for row in connections.query_map([class, cutoff, STEP], time_and_row(ExpiredRow::Connection))? {
            oldest.push(row?);
        }
    }
    let mut alerts = change.prepare_cached("SELECT time, id FROM alert WHERE time < ?1 ORDER BY time LIMIT ?2")?;
    for row in alerts.query_map([cutoff, STEP], time_and_row(ExpiredRow::Alert))? {
        oldest.push(row?);
    }
    oldest.sort_unstable();
    let mut fingerprints = change.prepare_cached("DELETE FROM fingerprint WHERE id >= ?1 AND id < ?2")?;
    let mut connection = change.prepare_cached("DELETE FROM connection WHERE id = ?1")?;
    let mut alert = change.prepare_cached("DELETE FROM alert WHERE id = ?1")?;
    for (_, row) in oldest.into_iter().take(STEP as usize) {
        match row {
            ExpiredRow::Connection(id) => {
                deleted.fingerprints +=
                    fingerprints.execute([id * MAX_FINGERPRINTS, (id + 1) * MAX_FINGERPRINTS])? as u64;
                deleted.connections += connection.execute([id])? as u64;
            }
            ExpiredRow::Alert(id) => deleted.alerts += alert.execute([id])? as u64,
        }
    }
    Ok(())
}

/// Reads a time and an id of a row.
fn time_and_row(row_of: fn(i64) -> ExpiredRow) -> impl Fn(&Row<'_>) -> rusqlite::Result<(i64, ExpiredRow)> {
    move |row| Ok((row.get(0)?, row_of(row.get(1)?)))
}

/// Returns the bytes of saved state, which retention does not delete: first-seen values and profiles.
fn saved_state_bytes(database: &Connection) -> rusqlite::Result<u64> {
    let bytes: i64 = database.query_row(
        "SELECT coalesce(sum(iif(name IN ('first_seen', 'profile'), pgsize,
            pgsize * (SELECT count(DISTINCT value) FROM first_seen) / (SELECT max(1, count(*)) FROM fingerprint_value))), 0)
         FROM dbstat
         WHERE aggregate = TRUE AND name IN ('first_seen', 'profile', 'fingerprint_value', 'sqlite_autoindex_fingerprint_value_1')",
        [],
        |row| row.get(0),
    )?;
    Ok(bytes.max(0).unsigned_abs())
}

/// Returns some free pages to the file system. Returns false if there were none.
fn release_pages(database: &Connection) -> rusqlite::Result<bool> {
    let free = pragma(database, "freelist_count")?;
    if free <= SPARE_PAGES {
        return Ok(false);
    }
    let mut vacuum = database.prepare(&format!("PRAGMA incremental_vacuum({VACUUM})"))?;
    let mut pages = vacuum.query([])?;
    // One row per page.
    while pages.next()?.is_some() {}
    Ok(pragma(database, "freelist_count")? < free)
}

fn pragma(database: &Connection, name: &str) -> rusqlite::Result<i64> {
    database.pragma_query_value(None, name, |row| row.get(0))
}
