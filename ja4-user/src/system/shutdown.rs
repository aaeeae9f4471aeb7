//! The deadlines of a shutdown.
//!
//! The process ends within ten seconds of the signal, whichever component blocks. All components share one
//! [`ShutdownDeadline`]: each [`ShutdownPhase`] ends a fixed time after the signal, so a component that blocks takes no
//! time from the phases after its own. What a component has not written when its phase ends is lost, and counted.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender};

/// Interval at which a thread that waits checks whether the shutdown has begun.
const CHECK: Duration = Duration::from_millis(100);

/// The phases of a shutdown, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownPhase {
    /// The signal: a replay no longer waits for room in the queue of a sink.
    Signal,
    /// The shards close their connections, and lines are written to standard output.
    Output,
    /// Alerts are delivered to their sinks, and shards close their connections if there is a database.
    Sinks,
    /// Rows are written to the database, last the end of the run.
    Database,
    /// The last `stats` event is written to standard output.
    LastLine,
    /// The process ends.
    Process,
}

impl ShutdownPhase {
    /// Time from the signal to the end of the phase.
    #[must_use]
    pub const fn limit(self) -> Duration {
        match self {
            Self::Signal => Duration::ZERO,
            Self::Output => Duration::from_secs(3),
            Self::Sinks => Duration::from_secs(5),
            Self::Database => Duration::from_millis(6500),
            Self::LastLine => Duration::from_secs(8),
            Self::Process => Duration::from_secs(9),
        }
    }
}

/// The deadlines of a shutdown. Clones share them: the first [`begin`](Self::begin) sets them.
#[derive(Clone, Debug, Default)]
pub struct ShutdownDeadline {
    began: Arc<OnceLock<Instant>>,
}

impl ShutdownDeadline {
    /// Begins the shutdown, unless it has begun.
    pub fn begin(&self) {
        self.began.get_or_init(Instant::now);
    }

    /// The time at which a phase ends; `None`: the shutdown has not begun.
    #[must_use]
    pub fn at(&self, phase: ShutdownPhase) -> Option<Instant> {
        self.began.get().map(|began| *began + phase.limit())
    }

    /// Whether a phase is over.
    #[must_use]
    pub(crate) fn has_passed(&self, phase: ShutdownPhase) -> bool {
        self.at(phase).is_some_and(|at| Instant::now() >= at)
    }

    /// `limit`, or the rest of the phase if that is less.
    #[must_use]
    pub fn at_most(&self, phase: ShutdownPhase, limit: Duration) -> Duration {
        self.at(phase).map_or(limit, |at| at.saturating_duration_since(Instant::now()).min(limit))
    }

    /// Sends a message, and waits for room until the phase is over.
    ///
    /// # Errors
    /// The message, if it was not sent: the phase is over, or the receiver was dropped.
    pub fn send<T>(&self, phase: ShutdownPhase, to: &Sender<T>, message: T) -> Result<(), T> {
        self.send_until(phase, None, to, message)
    }

    /// The same, and at `until` at the latest.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub(crate) fn send_until<T>(
        &self,
        phase: ShutdownPhase,
        until: Option<Instant>,
        to: &Sender<T>,
        mut message: T,
    ) -> Result<(), T> {
        loop {
            let left = until.map_or(CHECK, |until| until.saturating_duration_since(Instant::now()).min(CHECK));
            match to.send_timeout(message, self.at_most(phase, left)) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Timeout(back)) => {
                    if self.has_passed(phase) || until.is_some_and(|until| Instant::now() >= until) {
                        return Err(back);
                    }
                    message = back;
                }
                Err(SendTimeoutError::Disconnected(back)) => return Err(back),
            }
        }
    }

    /// Waits for a message until the phase is over. `None`: no message came, or the sender was dropped.
    #[must_use]
    pub(crate) fn receive<T>(&self, phase: ShutdownPhase, from: &Receiver<T>) -> Option<T> {
        loop {
            match from.recv_timeout(self.at_most(phase, CHECK)) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Timeout) if !self.has_passed(phase) => {}
                Err(_) => return None,
            }
        }
    }

    /// Waits until the sender of a channel is dropped, or the phase is over. Returns whether it was dropped.
    #[must_use]
    pub(crate) fn wait_closed(&self, phase: ShutdownPhase, from: &Receiver<()>) -> bool {
        loop {
            match from.recv_timeout(self.at_most(phase, CHECK)) {
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) if self.has_passed(phase) => return false,
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;

    /// A shutdown that began this long ago.
    fn begun(ago: Duration) -> ShutdownDeadline {
        let deadline = ShutdownDeadline::default();
        deadline.began.set(Instant::now().checked_sub(ago).unwrap_or_else(Instant::now)).ok();
        deadline
    }

    #[test]
    fn phases_end_one_after_the_other_and_within_ten_seconds() {
        use ShutdownPhase::{Database, LastLine, Output, Process, Signal, Sinks};
        assert!([Signal, Output, Sinks, Database, LastLine, Process].is_sorted_by_key(|phase| phase.limit()));
        assert!(Process.limit() < Duration::from_secs(10));
    }

    #[test]
    fn a_full_queue_is_waited_for_until_the_phase_is_over() {
        let (sender, receiver) = bounded(1);
        let none = ShutdownDeadline::default();
        assert_eq!(none.send(ShutdownPhase::Output, &sender, 1), Ok(()));
        assert_eq!(none.send_until(ShutdownPhase::Output, Some(Instant::now()), &sender, 2), Err(2));
        let late = begun(ShutdownPhase::Output.limit());
        assert_eq!(late.send(ShutdownPhase::Output, &sender, 2), Err(2));
        // There is room: the message is sent even after the phase.
        assert_eq!(late.receive(ShutdownPhase::Output, &receiver), Some(1));
        assert_eq!(late.send(ShutdownPhase::Output, &sender, 3), Ok(()));
        let soon = begun(ShutdownPhase::Output.limit().saturating_sub(Duration::from_millis(150)));
        assert_eq!(soon.send(ShutdownPhase::Output, &sender, 4), Err(4));
        drop(receiver);
        assert_eq!(none.send(ShutdownPhase::Output, &sender, 5), Err(5));
    }

    #[test]
    fn a_dropped_sender_is_distinguished_from_a_timeout() {
        let (sender, receiver) = bounded::<()>(0);
        let late = begun(ShutdownPhase::Database.limit());
        assert!(!late.wait_closed(ShutdownPhase::Database, &receiver));
        assert_eq!(late.receive(ShutdownPhase::Database, &receiver), None);
        drop(sender);
        assert!(late.wait_closed(ShutdownPhase::Database, &receiver));
    }
}
