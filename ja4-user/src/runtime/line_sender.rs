//! The queue of standard output, as the threads of a live run use it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use crossbeam_channel::{Sender, TrySendError};

use crate::runtime::run_state::RunState;
use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};

/// Bytes of lines that wait in a thread while the queue is full: the queue holds a bounded number of chunks of any size.
const MAX_BUFFERED: usize = 1 << 20;

/// Sends finished lines to the writer. A full queue delays nothing: lines wait in the sender's buffer, and are dropped and
/// counted beyond a bound.
#[derive(Clone, Debug)]
pub struct LineSender {
    lines: Sender<Bytes>,
    shared: Arc<RunState>,
    pub(super) deadline: ShutdownDeadline,
}

impl LineSender {
    /// Returns a sender for a queue.
    #[must_use]
    pub const fn new(lines: Sender<Bytes>, shared: Arc<RunState>, deadline: ShutdownDeadline) -> Self {
        Self { lines, shared, deadline }
    }

    /// Sends lines without waiting. What the queue has no room for stays in the buffer, up to a bound.
    pub(super) fn send(&self, lines: &mut Vec<u8>) {
        if lines.is_empty() {
            return;
        }
        let room = lines.len();
        let chunk = std::mem::replace(lines, Vec::with_capacity(room)).into();
        match self.lines.try_send(chunk) {
            Ok(()) => {}
            // The reader pauses.
            Err(TrySendError::Full(chunk)) if chunk.len() < MAX_BUFFERED => *lines = chunk.into(),
            Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) => self.lose(&lost),
        }
    }

    /// Sends the last lines. They wait for room until the shutdown's deadline.
    pub(super) fn finish(&self, lines: &mut Vec<u8>) {
        if lines.is_empty() {
            return;
        }
        let chunk = std::mem::take(lines).into();
        if let Err(lost) = self.deadline.send(ShutdownPhase::Output, &self.lines, chunk) {
            self.lose(&lost);
        }
    }

    fn lose(&self, lost: &[u8]) {
        let lines = memchr::memchr_iter(b'\n', lost).count() as u64;
        self.shared.lines_dropped.fetch_add(lines, Ordering::Relaxed);
    }
}
