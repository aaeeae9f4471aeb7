//! What the writer has done, for statistics and alerts.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::write_op::WriteOp;
use crate::model::CounterGroup;

/// Counters of a writer, as they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriterStatus {
    /// Connections that were written with their end.
    pub connections: u64,
    /// Fingerprints.
    pub fingerprints: u64,
    /// Alerts.
    pub alerts: u64,
    /// Rows of first-seen and profiles.
    pub knowledge: u64,
    /// Transactions.
    pub commits: u64,
    /// Transactions that failed, each try of its own.
    pub flush_failures: u64,
    /// Items that were given up because the database could not take them.
    pub rows_lost: u64,
    /// Items that found the queue full.
    pub rows_dropped: u64,
    /// Of both, those of what is known ([`WriteOp::is_saved_state`]): who knows it may hand it over again.
    pub knowledge_lost: u64,
    /// Connections that retention has removed.
    pub expired_connections: u64,
    /// Fingerprints that retention has removed.
    pub expired_fingerprints: u64,
    /// Alerts that retention has removed.
    pub expired_alerts: u64,
    /// Batches that wait.
    pub queued: u64,
    /// Items received that are neither stored nor lost yet.
    pub rows_waiting: u64,
    /// How often the file was deleted or replaced while it was open.
    pub file_replaced: u64,
    /// Time since that happened last, if it ever did.
    pub replaced_ago: Option<Duration>,
    /// Whether the newest transaction has failed.
    pub failing: bool,
    /// Why the newest of those that failed did.
    pub last_error: Option<String>,
}

impl WriterStatus {
    /// Items that were not stored.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.rows_lost + self.rows_dropped
    }

    /// The same in words, with the newest error: `12 rows were lost: database or disk is full`.
    #[must_use]
    pub fn loss(&self) -> String {
        let why = self.last_error.as_deref().unwrap_or("there were more than it could take");
        format!("{} rows were lost: {why}", self.lost())
    }

    /// As a group of a `stats` event.
    #[must_use]
    pub fn group(&self) -> CounterGroup {
        let Self {
            connections, fingerprints, alerts, knowledge, commits, flush_failures, rows_lost, rows_dropped, ..
        } = self;
        let Self {
            expired_connections,
            expired_fingerprints,
            expired_alerts,
            queued,
            file_replaced,
            failing,
            last_error,
            ..
        } = self;
        let mut group = CounterGroup::default();
        group
            .count("connections", *connections)
            .count("fingerprints", *fingerprints)
            .count("alerts", *alerts)
            .count("knowledge", *knowledge)
            .count("commits", *commits)
            .count("flush_failures", *flush_failures)
            .count("rows_lost", *rows_lost)
            .count("rows_dropped", *rows_dropped)
            .count("expired_connections", *expired_connections)
            .count("expired_fingerprints", *expired_fingerprints)
            .count("expired_alerts", *expired_alerts)
            .count("queued", *queued)
            .count("file_replaced", *file_replaced)
            .count("failing", u64::from(*failing));
        if let Some(error) = last_error.as_ref().filter(|_| *failing) {
            group.text("error", error.clone());
        }
        group
    }
}

/// The same, as the writer counts.
#[derive(Debug, Default)]
pub(super) struct WriterCounters {
    pub(super) connections: AtomicU64,
    pub(super) fingerprints: AtomicU64,
    pub(super) alerts: AtomicU64,
    pub(super) knowledge: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) flush_failures: AtomicU64,
    rows_lost: AtomicU64,
    pub(super) rows_dropped: AtomicU64,
    knowledge_lost: AtomicU64,
    /// Items in the queue, and those of the transaction under way.
    rows_waiting: AtomicU64,
    /// Locked while waiting items are counted as lost, so that none is counted twice.
    losing: Mutex<()>,
    pub(super) expired_connections: AtomicU64,
    pub(super) expired_fingerprints: AtomicU64,
    pub(super) expired_alerts: AtomicU64,
    /// Who waits for the writer.
    waiting: AtomicUsize,
    file_replaced: AtomicU64,
    replaced_at: Mutex<Option<Instant>>,
    failing: AtomicBool,
    last_error: Mutex<Option<String>>,
}

impl WriterCounters {
    /// A transaction has failed.
    pub(super) fn failed(&self, why: String) {
        self.flush_failures.fetch_add(1, Relaxed);
        self.fails(why);
    }

    /// Nothing could be written, if there were anything.
    pub(super) fn fails(&self, why: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.failing.store(true, Relaxed);
    }

    /// The file was deleted or replaced.
    pub(super) fn replaced(&self, path: &Path) {
        self.file_replaced.fetch_add(1, Relaxed);
        *self.replaced_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.fails(format!("{} was deleted or replaced", path.display()));
    }

    /// A new file was created without the saved state, and no thread waited to be notified.
    pub(super) fn knowledge_missing(&self) {
        self.knowledge_lost.fetch_add(1, Relaxed);
    }

    pub(super) fn works(&self) {
        self.failing.store(false, Relaxed);
    }

    /// Counts items that go into the queue.
    pub(super) fn enqueued(&self, items: u64) {
        self.rows_waiting.fetch_add(items, Relaxed);
    }

    /// Counts waiting items that are stored or lost.
    pub(super) fn dequeued(&self, items: u64) {
        self.rows_waiting.fetch_sub(items, Relaxed);
    }

    /// Counts waiting items as lost.
    pub(super) fn give_up<'a>(&self, lost: impl Iterator<Item = &'a WriteOp> + Clone) {
        let items = lost.clone().count() as u64;
        self.not_stored(lost);
        let _alone = self.losing.lock().unwrap_or_else(PoisonError::into_inner);
        self.rows_lost.fetch_add(items, Relaxed);
        self.dequeued(items);
    }

    /// These items are not stored, whatever was counted for it.
    pub(super) fn not_stored<'a>(&self, lost: impl Iterator<Item = &'a WriteOp>) {
        self.knowledge_lost.fetch_add(lost.filter(|item| item.is_saved_state()).count() as u64, Relaxed);
    }

    /// Somebody waits for the writer as long as it is held.
    pub(super) fn waits(&self) -> Waits<'_> {
        self.waiting.fetch_add(1, Relaxed);
        Waits(&self.waiting)
    }

    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    pub(super) fn status(&self, queued: usize) -> WriterStatus {
        let Self { connections, fingerprints, alerts, knowledge, commits, .. } = self;
        let _alone = self.losing.lock().unwrap_or_else(PoisonError::into_inner);
        WriterStatus {
            connections: connections.load(Relaxed),
            fingerprints: fingerprints.load(Relaxed),
            alerts: alerts.load(Relaxed),
            knowledge: knowledge.load(Relaxed),
            commits: commits.load(Relaxed),
            flush_failures: self.flush_failures.load(Relaxed),
            rows_lost: self.rows_lost.load(Relaxed),
            rows_dropped: self.rows_dropped.load(Relaxed),
            knowledge_lost: self.knowledge_lost.load(Relaxed),
            expired_connections: self.expired_connections.load(Relaxed),
            expired_fingerprints: self.expired_fingerprints.load(Relaxed),
            expired_alerts: self.expired_alerts.load(Relaxed),
            queued: queued as u64,
            rows_waiting: self.rows_waiting.load(Relaxed),
            file_replaced: self.file_replaced.load(Relaxed),
            replaced_ago: self.replaced_at.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed()),
            failing: self.failing.load(Relaxed),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Somebody waits.
pub(super) struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
