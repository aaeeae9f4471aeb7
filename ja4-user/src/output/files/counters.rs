//! The counters of an event file.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::counter_set;

/// The counters of an event file, shared with its thread.
#[derive(Debug)]
pub(super) struct EventFileCounters {
    path: String,
    written: AtomicU64,
    failed: AtomicU64,
    dropped: Arc<AtomicU64>,
    /// Lines that are being written.
    writing: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl EventFileCounters {
    pub(super) fn new(path: String) -> Self {
        Self {
            path,
            written: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: Arc::default(),
            writing: AtomicU64::new(0),
            last_error: Mutex::default(),
        }
    }

    /// The counter of lines that the full queue rejected.
    pub(super) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Begins to write lines.
    pub(super) fn begin(&self, lines: u64) {
        self.writing.store(lines, Ordering::Release);
    }

    /// Counts the lines that were to be written: `written` of them were.
    pub(super) fn end(&self, written: u64, error: Option<String>) {
        let lines = self.writing.swap(0, Ordering::AcqRel);
        self.written.fetch_add(written, Ordering::Relaxed);
        self.failed.fetch_add(lines.saturating_sub(written), Ordering::Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Counts lines as lost that wait or are being written: their reader blocks.
    pub(super) fn abandon(&self, waiting: u64) {
        self.failed.fetch_add(waiting + self.writing.swap(0, Ordering::AcqRel), Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> EventFileStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EventFileStats {
            path: self.path.clone(),
            lines: read(&self.written),
            failed: read(&self.failed),
            queue_full: read(&self.dropped),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

counter_set! {
    /// Counters of an event file.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct EventFileStats as event_file {
        /// Its path.
        hidden path: String,
        /// Lines written to an event file.
        counter lines,
        /// Lines lost because an event file could not be written.
        counter failed,
        /// Lines dropped because the queue of an event file was full.
        counter queue_full,
        /// Whether the last write to an event file failed.
        gauge failing: bool = is_failing,
        text error = error,
        /// The last error; `None` once later lines were written.
        hidden last_error: Option<String>,
    }
}

impl EventFileStats {
    const fn is_failing(&self) -> bool {
        self.last_error.is_some()
    }

    fn error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Lines that were lost.
    pub(crate) const fn lost(&self) -> u64 {
        self.failed + self.queue_full
    }
}
