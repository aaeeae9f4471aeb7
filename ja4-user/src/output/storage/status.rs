//! The counters of the writer.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::write_op::WriteOp;
use crate::model::{LabelledMetric, counter_set};
use crate::units::Counted;

/// Rows written, by table.
const ROWS_WRITTEN: LabelledMetric =
    LabelledMetric { label: "table", metric: "storage_rows_written", help: "Rows written to the database." };

counter_set! {
    /// Current counters of the writer.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct WriterStatus as storage {
        /// Ended connections written.
        counter connections in ROWS_WRITTEN,
        /// Fingerprints written.
        counter fingerprints in ROWS_WRITTEN,
        /// Alerts written.
        counter alerts in ROWS_WRITTEN,
        /// Rows of first-seen values and profiles written.
        counter knowledge in ROWS_WRITTEN,
        /// Transactions committed.
        counter commits,
        /// Failed transactions, including retries.
        counter flush_failures,
        /// Rows lost because the database could not be written.
        counter rows_lost,
        /// Rows dropped because the queue was full.
        counter rows_dropped,
        /// Lost and dropped operations on saved state (`WriteOp::is_saved_state`), which can be sent again.
        hidden saved_state_lost: u64,
        /// Connections deleted by retention.
        counter expired_connections as storage_connections_expired,
        /// Fingerprints deleted by retention.
        counter expired_fingerprints as storage_fingerprints_expired,
        /// Alerts deleted by retention.
        counter expired_alerts as storage_alerts_expired,
        /// Batches in the queue of the writer.
        gauge queued as storage_queued_batches,
        /// Operations that are neither written nor lost yet.
        hidden rows_waiting: u64,
        /// Times the open database file was deleted or replaced.
        counter file_replaced,
        /// Time since the file was last replaced.
        hidden replaced_ago: Option<Duration>,
        /// Whether the last transaction failed.
        gauge failing: bool,
        text error = error,
        /// The error of the last failed transaction.
        hidden last_error: Option<String>,
    }
}

impl WriterStatus {
    /// Returns the number of operations that were not written.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.rows_lost + self.rows_dropped
    }

    /// Describes the lost rows with the last error: `12 rows lost: database or disk is full`.
    #[must_use]
    pub fn loss(&self) -> String {
        let why = self.last_error.as_deref().unwrap_or("the queue was full");
        format!("{} lost: {why}", Counted(self.lost(), "row"))
    }

    /// The error, until a transaction succeeds.
    fn error(&self) -> Option<&str> {
        self.last_error.as_deref().filter(|_| self.failing)
    }
}

/// The counters, shared with the thread of the writer.
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
    saved_state_lost: AtomicU64,
    /// Operations in the queue and in the current transaction.
    rows_waiting: AtomicU64,
    /// Locked while waiting operations are counted as lost, so that none is counted twice.
    losing: Mutex<()>,
    pub(super) expired_connections: AtomicU64,
    pub(super) expired_fingerprints: AtomicU64,
    pub(super) expired_alerts: AtomicU64,
    /// Number of threads that wait for the writer.
    waiting: AtomicUsize,
    file_replaced: AtomicU64,
    replaced_at: Mutex<Option<Instant>>,
    failing: AtomicBool,
    last_error: Mutex<Option<String>>,
}

impl WriterCounters {
    /// Counts a failed transaction.
    pub(super) fn failed(&self, why: String) {
        self.flush_failures.fetch_add(1, Relaxed);
        self.set_failing(why);
    }

    /// Records that the database cannot be written.
    pub(super) fn set_failing(&self, why: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.failing.store(true, Relaxed);
    }

    /// Records that the file was deleted or replaced.
    pub(super) fn replaced(&self, path: &Path) {
        self.file_replaced.fetch_add(1, Relaxed);
        *self.replaced_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.set_failing(format!("{} was deleted or replaced", path.display()));
    }

    /// Records that a new file lacks the saved state, and no receiver was notified.
    pub(super) fn saved_state_missing(&self) {
        self.saved_state_lost.fetch_add(1, Relaxed);
    }

    pub(super) fn set_working(&self) {
        self.failing.store(false, Relaxed);
    }

    /// Counts enqueued operations.
    pub(super) fn enqueued(&self, items: u64) {
        self.rows_waiting.fetch_add(items, Relaxed);
    }

    /// Counts operations that are written or lost.
    pub(super) fn dequeued(&self, items: u64) {
        self.rows_waiting.fetch_sub(items, Relaxed);
    }

    /// Counts waiting operations as lost.
    pub(super) fn count_lost<'a>(&self, lost: impl Iterator<Item = &'a WriteOp> + Clone) {
        let items = lost.clone().count() as u64;
        self.not_stored(lost);
        let _locked = self.losing.lock().unwrap_or_else(PoisonError::into_inner);
        self.rows_lost.fetch_add(items, Relaxed);
        self.dequeued(items);
    }

    /// Counts operations on saved state that were not written.
    pub(super) fn not_stored<'a>(&self, lost: impl Iterator<Item = &'a WriteOp>) {
        self.saved_state_lost.fetch_add(lost.filter(|item| item.is_saved_state()).count() as u64, Relaxed);
    }

    /// Registers a waiting thread while the guard is held.
    pub(super) fn waits(&self) -> WaitGuard<'_> {
        self.waiting.fetch_add(1, Relaxed);
        WaitGuard(&self.waiting)
    }

    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    pub(super) fn status(&self, queued: usize) -> WriterStatus {
        let Self { connections, fingerprints, alerts, knowledge, commits, .. } = self;
        let _locked = self.losing.lock().unwrap_or_else(PoisonError::into_inner);
        WriterStatus {
            connections: connections.load(Relaxed),
            fingerprints: fingerprints.load(Relaxed),
            alerts: alerts.load(Relaxed),
            knowledge: knowledge.load(Relaxed),
            commits: commits.load(Relaxed),
            flush_failures: self.flush_failures.load(Relaxed),
            rows_lost: self.rows_lost.load(Relaxed),
            rows_dropped: self.rows_dropped.load(Relaxed),
            saved_state_lost: self.saved_state_lost.load(Relaxed),
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

/// Registers a thread that waits for the writer.
pub(super) struct WaitGuard<'a>(&'a AtomicUsize);

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
