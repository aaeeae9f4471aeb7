//! The counters of the packet file in `stats`.

use crate::model::counter_set;
use crate::output::file_counters::FileCounts;

counter_set! {
    /// Counters of the packet file.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct PacketFileStats as packet_file {
        /// Its path.
        hidden path: String,
        /// Packets written to the packet file.
        counter packets,
        /// Packets that are missing in the packet file because it could not be written.
        counter failed,
        /// Packets that are missing in the packet file because its queue was full.
        counter queue_full,
        /// Packet files closed: at their largest size, or found at the start.
        counter closed_files,
        /// Whether the last write to the packet file failed.
        gauge failing: bool = is_failing,
        text error = error,
        /// The last error; `None` once later packets were written.
        hidden last_error: Option<String>,
    }
}

impl PacketFileStats {
    pub(super) fn new(path: String, counts: FileCounts, closed_files: u64) -> Self {
        let FileCounts { written, failed, queue_full, last_error } = counts;
        Self { path, packets: written, failed, queue_full, closed_files, last_error }
    }

    const fn is_failing(&self) -> bool {
        self.last_error.is_some()
    }

    fn error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Packets that are missing.
    pub(crate) const fn lost(&self) -> u64 {
        self.failed + self.queue_full
    }
}
