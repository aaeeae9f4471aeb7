//! SIGINT and SIGTERM.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit status of a process that a signal ends early: 128 plus the number of SIGINT, the convention of shells.
pub(crate) const INTERRUPTED: u8 = 130;

/// Receives SIGINT and SIGTERM.
pub(crate) struct TerminationSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl TerminationSignals {
    /// # Errors
    /// If the signals cannot be handled.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next of the two signals.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Registers a handler.
///
/// # Errors
/// If the system refuses the handler.
pub(crate) fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot handle signals")
}
