//! The sending end of the writer's queue: batches of items in, messages of bounded size out.
//!
//! What finds no room is counted: [`WriterStatus::rows_dropped`].

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Sender, TrySendError, bounded};

use super::status::{WriterCounters, WriterStatus};
use super::write_op::WriteOp;
use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};

/// Items of one message. A longer batch is sent as several, so that the queue's length bounds its memory.
///
/// One thread allocates a batch and another frees it. As long as all are of one size, below the 128 KiB from which on
/// glibc goes to the kernel for each, what one leaves is where the next one goes.
pub const MAX_BATCH: usize = 1 << 9;

const _: () = assert!(MAX_BATCH * size_of::<WriteOp>() < 128 << 10);

/// What comes through the queue.
#[derive(Debug)]
pub(super) enum WriterMessage {
    /// Rows.
    Batch(Vec<WriteOp>),
    /// Somebody waits for everything before it. It is told by letting go of this.
    Mark { _told: Sender<()> },
}

/// The sending end of a writer's queue.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    pub(super) sender: Sender<WriterMessage>,
    pub(super) counters: Arc<WriterCounters>,
    pub(super) deadline: ShutdownDeadline,
}

impl WriterHandle {
    /// Hands a batch over without ever waiting. False: some of it found the queue full and is counted.
    pub fn try_send(&self, batch: Vec<WriteOp>) -> bool {
        let mut taken = true;
        for part in parts(batch) {
            let message = self.counted(part);
            if let Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) = self.sender.try_send(message) {
                self.dropped(&lost);
                taken = false;
            }
        }
        taken
    }

    /// Sends a batch and waits for room in the queue. The writer empties its queue even if the database cannot be
    /// written. A shutdown ends the wait: items without room are then counted as lost.
    pub fn send(&self, batch: Vec<WriteOp>) {
        let _waits = self.counters.waits();
        for part in parts(batch) {
            if let Err(lost) = self.deadline.send(ShutdownPhase::Database, &self.sender, self.counted(part)) {
                self.dropped(&lost);
            }
        }
    }

    /// Waits until all that was handed over before is written, or given up: for as long as [`WriterOptions::patience`](super::WriterOptions::patience)
    /// says where the database takes nothing, and no longer than a shutdown may take.
    pub fn wait_written(&self) {
        let _waits = self.counters.waits();
        let (told, reached) = bounded(0);
        if self.deadline.send(ShutdownPhase::Database, &self.sender, WriterMessage::Mark { _told: told }).is_ok() {
            let _reached = self.deadline.wait_closed(ShutdownPhase::Database, &reached);
        }
    }

    /// Makes a message of these items, which count as waiting from now on.
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

    /// What the writer has done up to now.
    #[must_use]
    pub fn status(&self) -> WriterStatus {
        self.counters.status(self.sender.len())
    }
}

/// A batch in parts of at most [`MAX_BATCH`].
fn parts(mut batch: Vec<WriteOp>) -> impl Iterator<Item = Vec<WriteOp>> {
    std::iter::from_fn(move || {
        let rest = batch.split_off(batch.len().min(MAX_BATCH));
        let part = std::mem::replace(&mut batch, rest);
        (!part.is_empty()).then_some(part)
    })
}
