//! The sending end of the writer's queue. It splits batches into messages of bounded size.
//!
//! Operations that a full queue rejects are counted: [`WriterStatus::rows_dropped`].

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Sender, TrySendError, bounded};

use super::status::{WriterCounters, WriterStatus};
use super::write_op::WriteOp;
use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};

/// Operations of one message. A longer batch is split, so that the length of the queue bounds its memory.
///
/// One thread allocates a batch and another frees it. All batches have the same size, below the 128 KiB from which on glibc
/// maps each allocation, so that freed memory is reused.
pub(crate) const MAX_BATCH: usize = 1 << 9;

const _: () = assert!(MAX_BATCH * size_of::<WriteOp>() < 128 << 10);

/// A message to the writer.
#[derive(Debug)]
pub(super) enum WriterMessage {
    /// Operations.
    Batch(Vec<WriteOp>),
    /// Dropped when everything before it is written or dropped; a sender waits for that.
    Barrier { _done: Sender<()> },
}

/// The sending end of a writer's queue.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    pub(super) sender: Sender<WriterMessage>,
    pub(super) counters: Arc<WriterCounters>,
    pub(super) deadline: ShutdownDeadline,
}

impl WriterHandle {
    /// Enqueues a batch without waiting. Returns false if the queue was full and operations were dropped and counted.
    pub fn try_send(&self, batch: Vec<WriteOp>) -> bool {
        let mut is_complete = true;
        for part in parts(batch) {
            let message = self.counted(part);
            if let Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) = self.sender.try_send(message) {
                self.dropped(&lost);
                is_complete = false;
            }
        }
        is_complete
    }

    /// Enqueues a batch and waits for room in the queue. The writer empties its queue even if the database cannot be
    /// written. A shutdown ends the wait: the rest is dropped and counted.
    pub fn send(&self, batch: Vec<WriteOp>) {
        let _waits = self.counters.waits();
        for part in parts(batch) {
            if let Err(lost) = self.deadline.send(ShutdownPhase::Database, &self.sender, self.counted(part)) {
                self.dropped(&lost);
            }
        }
    }

    /// Waits until all earlier operations are written or dropped. If the database fails, the wait is limited by
    /// [`WriterOptions::retry_limit`](super::WriterOptions::retry_limit) and by the deadline of a shutdown.
    pub fn wait_written(&self) {
        let _waits = self.counters.waits();
        let (done, reached) = bounded(0);
        if self.deadline.send(ShutdownPhase::Database, &self.sender, WriterMessage::Barrier { _done: done }).is_ok() {
            let _reached = self.deadline.wait_closed(ShutdownPhase::Database, &reached);
        }
    }

    /// Whether the shutdown leaves no more time for rows.
    pub(crate) fn is_over(&self) -> bool {
        self.deadline.has_passed(ShutdownPhase::Database)
    }

    /// Creates a message and counts its operations as waiting.
    fn counted(&self, part: Vec<WriteOp>) -> WriterMessage {
        self.counters.enqueued(part.len() as u64);
        WriterMessage::Batch(part)
    }

    fn dropped(&self, lost: &WriterMessage) {
        if let WriterMessage::Batch(lost) = lost {
            self.counters.dequeued(lost.len() as u64);
            self.counters.rows_dropped.fetch_add(lost.len() as u64, Ordering::Relaxed);
            self.counters.not_stored(lost.iter());
        }
    }

    /// Returns the counters of the writer.
    #[must_use]
    pub fn status(&self) -> WriterStatus {
        self.counters.status(self.sender.len())
    }
}

/// Splits a batch into parts of at most [`MAX_BATCH`]. No part keeps the memory of the whole batch.
fn parts(batch: Vec<WriteOp>) -> impl Iterator<Item = Vec<WriteOp>> {
    let mut rest = batch.into_iter();
    std::iter::from_fn(move || {
        let part: Vec<_> = rest.by_ref().take(MAX_BATCH).collect();
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;

    #[test]
    fn parts_of_a_long_batch_have_only_their_own_memory() {
        let times = 0..2 * MAX_BATCH as u64 + 1;
        let parts: Vec<_> = parts(times.clone().map(|time| WriteOp::LearningSince(Time(time))).collect()).collect();
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_BATCH, MAX_BATCH, 1]);
        assert!(parts.iter().all(|part| part.capacity() <= MAX_BATCH));
        let mut expected = times;
        let is_next =
            |row: &WriteOp| matches!(row, WriteOp::LearningSince(Time(time)) if Some(*time) == expected.next());
        assert!(parts.iter().flatten().all(is_next));
    }
}
