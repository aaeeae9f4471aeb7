//! The counters of a thread that writes to a file, or to a socket in place of one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts what a thread writes: lines, or packets. Shared with the thread.
#[derive(Debug, Default)]
pub(super) struct FileCounters {
    written: AtomicU64,
    failed: AtomicU64,
    dropped: Arc<AtomicU64>,
    /// What is being written.
    writing: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// The values of [`FileCounters`].
#[derive(Debug)]
pub(super) struct FileCounts {
    pub(super) written: u64,
    pub(super) failed: u64,
    pub(super) queue_full: u64,
    pub(super) last_error: Option<String>,
}

impl FileCounters {
    /// The counter of what the full queue rejected.
    pub(super) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Begins to write a number of lines or packets.
    pub(super) fn begin(&self, count: u64) {
        self.writing.store(count, Ordering::Release);
    }

    /// Counts those that were to be written: `written` of them were.
    pub(super) fn end(&self, written: u64, error: Option<String>) {
        let count = self.writing.swap(0, Ordering::AcqRel);
        self.written.fetch_add(written, Ordering::Relaxed);
        self.failed.fetch_add(count.saturating_sub(written), Ordering::Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Counts as lost those that wait or are being written: the write blocks.
    pub(super) fn abandon(&self, waiting: u64) {
        self.failed.fetch_add(waiting + self.writing.swap(0, Ordering::AcqRel), Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> FileCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FileCounts {
            written: read(&self.written),
            failed: read(&self.failed),
            queue_full: read(&self.dropped),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
