//! What is too old, or too much, goes: a little at a time, between two batches.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::columns::{EACH, SPAN_LONG, integer};
use super::status::Counters;
use crate::event::Time;

/// Connections and alerts of one step: some ten milliseconds.
const STEP: i64 = 256;

/// Values looked at in one step.
const SWEEP: i64 = 1024;

/// Time for steps after a batch. What is left over waits for the next one.
const PATIENCE: Duration = Duration::from_millis(50);

/// Free pages that are kept for new rows; the rest goes back to the file system.
const SPARE_PAGES: i64 = 128;

/// Pages that go back in one step.
const VACUUM: i64 = 512;

/// Share of the permitted size at which it is enough, in percent: not to delete after every batch.
const ENOUGH: u64 = 95;

/// How long, and how much, history is kept. `None`: for ever, and all of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// Age of a connection's end, or of an alert, against the newest event, but never against the future.
    /// A connection that goes on keeps what it has.
    pub max_age: Option<Duration>,
    /// Bytes of the database without its log. First-seen and profiles have bounds of their own and stay.
    pub max_bytes: Option<u64>,
}

/// Retention under way.
#[derive(Debug)]
pub(super) struct Keeper {
    limits: Retention,
    /// Whether the size is above its limit, and not yet well below.
    shrinking: bool,
    /// Whether rows were deleted that no sweep over the values has followed yet.
    deleted: bool,
    /// Values up to this one were looked at.
    swept: Option<i64>,
}

/// What a step has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    connections: u64,
    fingerprints: u64,
    alerts: u64,
    /// Numbers of values have become free.
    pub(super) values: u64,
}

impl Keeper {
    pub(super) fn new(limits: Retention) -> Self {
        Self { limits, shrinking: false, deleted: false, swept: None }
    }

    /// Deletes for a while. True if values were removed, so that nobody may rely on their numbers.
    ///
    /// # Errors
    /// Where SQLite says no; what was deleted before stays deleted.
    pub(super) fn work(&mut self, database: &mut Connection, now: Time, counters: &Counters) -> rusqlite::Result<bool> {
        if self.limits.max_age.is_none() && self.limits.max_bytes.is_none() {
            return Ok(false);
        }
        let begun = Instant::now();
        let mut values_gone = false;
        loop {
            let step = self.step(database, now)?;
            counters.expired_connections.fetch_add(step.connections, Relaxed);
            counters.expired_fingerprints.fetch_add(step.fingerprints, Relaxed);
            counters.expired_alerts.fetch_add(step.alerts, Relaxed);
            values_gone |= step.values > 0;
            let idle = step.connections == 0 && step.alerts == 0;
            self.deleted |= !idle;
            if idle || begun.elapsed() >= PATIENCE {
                break;
            }
        }
        give_back(database)?;
        Ok(values_gone)
    }

    /// One small transaction.
    fn step(&mut self, database: &mut Connection, now: Time) -> rusqlite::Result<Step> {
        let mut done = Step::default();
        let too_large = self.too_large(database)?;
        let cutoff = self.limits.max_age.and_then(|age| {
            let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
            now.0.checked_sub(age).map(integer)
        });
        let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(cutoff) = cutoff {
            connections(&change, cutoff, &mut done)?;
            alerts(&change, cutoff, &mut done)?;
        }
        if too_large && done.connections == 0 {
            // Whatever it is that ended first.
            connections(&change, i64::MAX, &mut done)?;
            if done.connections == 0 {
                alerts(&change, i64::MAX, &mut done)?;
            }
        }
        done.values = self.sweep(&change)?;
        change.commit()?;
        Ok(done)
    }

    fn too_large(&mut self, database: &Connection) -> rusqlite::Result<bool> {
        let Some(most) = self.limits.max_bytes else {
            return Ok(false);
        };
        let used = (number(database, "page_count")? - number(database, "freelist_count")?).max(0).unsigned_abs()
            * number(database, "page_size")?.unsigned_abs();
        let enough = if self.shrinking { most / 100 * ENOUGH } else { most };
        self.shrinking = used > enough;
        Ok(self.shrinking)
    }

    /// Removes some of the values that nothing refers to any more.
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
        let gone = change.execute(
            "DELETE FROM fingerprint_value WHERE id > ?1 AND id <= ?2
                AND NOT EXISTS (SELECT 1 FROM fingerprint WHERE fingerprint.value = fingerprint_value.id)
                AND NOT EXISTS (SELECT 1 FROM first_seen WHERE first_seen.value = fingerprint_value.id)",
            [from, to],
        )?;
        Ok(gone as u64)
    }
}

/// Deletes connections that ended before `cutoff`, those that ended first before others, and their fingerprints.
fn connections(change: &Transaction<'_>, cutoff: i64, done: &mut Step) -> rusqlite::Result<()> {
    let mut oldest = Vec::new();
    let mut select = change
        .prepare_cached("SELECT last, id FROM connection WHERE span = ?1 AND last < ?2 ORDER BY last LIMIT ?3")?;
    for span in 0..=SPAN_LONG {
        let rows = select.query_map([span, cutoff, STEP], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        for row in rows {
            oldest.push(row?);
        }
    }
    oldest.sort_unstable();
    let mut fingerprints = change.prepare_cached("DELETE FROM fingerprint WHERE id >= ?1 AND id < ?2")?;
    let mut connection = change.prepare_cached("DELETE FROM connection WHERE id = ?1")?;
    for (_, id) in oldest.into_iter().take(STEP as usize) {
        done.fingerprints += fingerprints.execute([id * EACH, (id + 1) * EACH])? as u64;
        done.connections += connection.execute([id])? as u64;
    }
    Ok(())
}

/// Deletes alerts from before `cutoff`, the oldest first.
fn alerts(change: &Transaction<'_>, cutoff: i64, done: &mut Step) -> rusqlite::Result<()> {
    let mut delete = change.prepare_cached(
        "DELETE FROM alert WHERE id IN (SELECT id FROM alert WHERE time < ?1 ORDER BY time LIMIT ?2)",
    )?;
    done.alerts += delete.execute(params![cutoff, STEP])? as u64;
    Ok(())
}

/// Gives free pages back to the file system, some at a time.
fn give_back(database: &Connection) -> rusqlite::Result<()> {
    if number(database, "freelist_count")? > SPARE_PAGES {
        let mut vacuum = database.prepare(&format!("PRAGMA incremental_vacuum({VACUUM})"))?;
        let mut pages = vacuum.query([])?;
        // A row a page.
        while pages.next()?.is_some() {}
    }
    Ok(())
}

fn number(database: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    database.pragma_query_value(None, pragma, |row| row.get(0))
}
