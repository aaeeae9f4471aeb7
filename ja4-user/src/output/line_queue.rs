//! The queue of a thread that writes lines, as the threads of a run use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crossbeam_channel::{Sender, TrySendError};

use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};

/// Bytes of lines that wait in a thread while the queue is full: the queue holds a bounded number of chunks of any size.
const MAX_BUFFERED: usize = 1 << 20;

/// Sends finished lines to their writer. A full queue delays nothing: lines wait in the sender's buffer, and are dropped and
/// counted beyond a bound.
#[derive(Clone, Debug)]
pub struct LineQueue {
    lines: Sender<Bytes>,
    dropped: Arc<AtomicU64>,
    pub(crate) deadline: ShutdownDeadline,
}

impl LineQueue {
    /// Returns the sending end of a queue. Lines that it drops are counted in `dropped`.
    #[must_use]
    pub const fn new(lines: Sender<Bytes>, dropped: Arc<AtomicU64>, deadline: ShutdownDeadline) -> Self {
        Self { lines, dropped, deadline }
    }

    /// Sends lines without waiting. What the queue has no room for stays in the buffer, up to a bound.
    pub(crate) fn send(&self, lines: &mut Vec<u8>) {
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

    /// Sends lines, and waits for room until a phase of the shutdown is over.
    pub(crate) fn send_waiting(&self, phase: ShutdownPhase, lines: &mut Vec<u8>) {
        if lines.is_empty() {
            return;
        }
        let chunk = std::mem::take(lines).into();
        if let Err(lost) = self.deadline.send(phase, &self.lines, chunk) {
            self.lose(&lost);
        }
    }

    fn lose(&self, lost: &[u8]) {
        self.dropped.fetch_add(count_lines(lost), Ordering::Relaxed);
    }
}

/// Counts the lines of a text.
pub(crate) fn count_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}
