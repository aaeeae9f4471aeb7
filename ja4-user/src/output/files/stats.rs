//! The counters of an event file in `stats`.

use crate::model::counter_set;
use crate::output::file_counters::FileCounts;

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
    pub(super) fn new(path: String, counts: FileCounts) -> Self {
        let FileCounts { written, failed, queue_full, last_error } = counts;
        Self { path, lines: written, failed, queue_full, last_error }
    }

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
