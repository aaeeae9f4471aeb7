//! What is too old, or too much, goes: a little at a time, between two batches.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Row, Transaction, TransactionBehavior};

use super::columns::{EACH, SPAN_LONG, integer};
use super::status::WriterCounters;
use crate::model::Time;

/// Connections and alerts of one step: some ten milliseconds.
const STEP: i64 = 256;

/// Values looked at in one step.
const SWEEP: i64 = 1024;

/// Free pages that are kept for new rows; the rest goes back to the file system.
const SPARE_PAGES: i64 = 128;

/// Pages that go back in one step.
const VACUUM: i64 = 512;

/// Share of the permitted size that is free once enough was deleted, in percent: not to delete after every batch.
const SPARE: u64 = 5;

/// How long it holds what part of the database is what is known: to look takes a moment.
const KNOWN: Duration = Duration::from_secs(60);

/// How long, and how much, history is kept. `None`: for ever, and all of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// Age of a connection's end, or of an alert, against the newest event, but never against the future.
    /// A connection that goes on keeps what it has.
    pub max_age: Option<Duration>,
    /// Bytes of the database without its log. First-seen and profiles have bounds of their own and stay; where they
    /// leave less than half of it, the history keeps a half beside them.
    pub max_bytes: Option<u64>,
}

/// Retention under way.
#[derive(Debug)]
pub(super) struct RetentionJob {
    limits: Retention,
    /// The limit that the size is above, and not yet well below.
    shrinking: Option<u64>,
    /// Bytes that are known, and when they were looked for.
    known: Option<(u64, Instant)>,
    /// Whether rows were deleted that no sweep over the values has followed yet.
    deleted: bool,
    /// Values up to this one were looked at.
    swept: Option<i64>,
}

/// What a step has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RetentionStep {
    connections: u64,
    fingerprints: u64,
    alerts: u64,
    /// Numbers of values have become free.
    pub(super) values: u64,
}

impl RetentionJob {
    pub(super) fn new(limits: Retention) -> Self {
        Self { limits, shrinking: None, known: None, deleted: false, swept: None }
    }

    /// Deletes for as long as it is let, and there is something to delete. True if values were removed, so that
    /// nobody may rely on their numbers.
    ///
    /// # Errors
    /// Where SQLite says no; what was deleted before stays deleted.
    pub(super) fn work(
        &mut self,
        database: &mut Connection,
        now: Time,
        counters: &WriterCounters,
        may_go_on: impl Fn(Duration) -> bool,
    ) -> rusqlite::Result<bool> {
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
            let given = give_back(database)?;
            if (idle && !given) || !may_go_on(begun.elapsed()) {
                break;
            }
        }
        Ok(values_gone)
    }

    /// Deletes all that is to go, with the values that nothing refers to any more, and gives all the room back: at the
    /// end of a run, if nothing waits for it and as long as it `may_go_on`.
    ///
    /// # Errors
    /// As for [`RetentionJob::work`].
    pub(super) fn complete(
        &mut self,
        database: &mut Connection,
        now: Time,
        counters: &WriterCounters,
        may_go_on: impl Fn() -> bool,
    ) -> rusqlite::Result<()> {
        self.work(database, now, counters, |_| may_go_on())?;
        while (self.deleted || self.swept.is_some()) && may_go_on() {
            self.work(database, now, counters, |_| may_go_on())?;
        }
        Ok(())
    }

    /// One small transaction.
    fn step(&mut self, database: &mut Connection, now: Time) -> rusqlite::Result<RetentionStep> {
        let mut done = RetentionStep::default();
        let too_large = self.too_large(database)?;
        let cutoff = self.limits.max_age.and_then(|age| {
            let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
            now.0.checked_sub(age).map(integer)
        });
        let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(cutoff) = cutoff {
            expire(&change, cutoff, &mut done)?;
        }
        if too_large && done.connections == 0 && done.alerts == 0 {
            expire(&change, i64::MAX, &mut done)?;
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
        let limit = |known: u64| most.max(known + most / 2);
        self.shrinking = match self.shrinking {
            Some(limit) => Some(limit).filter(|limit| used > limit - most / 100 * SPARE),
            None if used <= most => None,
            None if self.known.is_some_and(|(known, when)| when.elapsed() < KNOWN && used <= limit(known)) => None,
            None => {
                let (known, _) = self.known.insert((known(database)?, Instant::now()));
                Some(limit(*known)).filter(|limit| used > *limit)
            }
        };
        Ok(self.shrinking.is_some())
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

/// What can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ExpiredRow {
    Connection(i64),
    Alert(i64),
}

/// Deletes connections that ended before `cutoff`, with their fingerprints, and alerts from before it: of both
/// together the oldest first.
fn expire(change: &Transaction<'_>, cutoff: i64, done: &mut RetentionStep) -> rusqlite::Result<()> {
    let mut oldest: Vec<(i64, ExpiredRow)> = Vec::new();
    let mut connections = change
        .prepare_cached("SELECT last, id FROM connection WHERE span = ?1 AND last < ?2 ORDER BY last LIMIT ?3")?;
    for span in 0..=SPAN_LONG {
        for row in connections.query_map([span, cutoff, STEP], dated(ExpiredRow::Connection))? {
            oldest.push(row?);
        }
    }
    let mut alerts = change.prepare_cached("SELECT time, id FROM alert WHERE time < ?1 ORDER BY time LIMIT ?2")?;
    for row in alerts.query_map([cutoff, STEP], dated(ExpiredRow::Alert))? {
        oldest.push(row?);
    }
    oldest.sort_unstable();
    let mut fingerprints = change.prepare_cached("DELETE FROM fingerprint WHERE id >= ?1 AND id < ?2")?;
    let mut connection = change.prepare_cached("DELETE FROM connection WHERE id = ?1")?;
    let mut alert = change.prepare_cached("DELETE FROM alert WHERE id = ?1")?;
    for (_, old) in oldest.into_iter().take(STEP as usize) {
        match old {
            ExpiredRow::Connection(id) => {
                done.fingerprints += fingerprints.execute([id * EACH, (id + 1) * EACH])? as u64;
                done.connections += connection.execute([id])? as u64;
            }
            ExpiredRow::Alert(id) => done.alerts += alert.execute([id])? as u64,
        }
    }
    Ok(())
}

/// Reads a time and a number.
fn dated(what: fn(i64) -> ExpiredRow) -> impl Fn(&Row<'_>) -> rusqlite::Result<(i64, ExpiredRow)> {
    move |row| Ok((row.get(0)?, what(row.get(1)?)))
}

/// Bytes of what is known, which no age and no size removes: first-seen with its values, and profiles.
fn known(database: &Connection) -> rusqlite::Result<u64> {
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

/// Gives free pages back to the file system, some at a time. False: there was none to give.
fn give_back(database: &Connection) -> rusqlite::Result<bool> {
    let free = number(database, "freelist_count")?;
    if free <= SPARE_PAGES {
        return Ok(false);
    }
    let mut vacuum = database.prepare(&format!("PRAGMA incremental_vacuum({VACUUM})"))?;
    let mut pages = vacuum.query([])?;
    // A row a page.
    while pages.next()?.is_some() {}
    Ok(number(database, "freelist_count")? < free)
}

fn number(database: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    database.pragma_query_value(None, pragma, |row| row.get(0))
}
