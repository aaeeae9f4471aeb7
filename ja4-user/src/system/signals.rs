//! What the process is told from outside.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::shutdown_watch::Shutdown;

/// Exit status of who was ended by a signal before the end: 128 and the number of SIGINT, as shells have it.
pub(crate) const ENDED: u8 = 130;

/// SIGHUP, and the shutdown that SIGINT or SIGTERM begins.
pub(crate) struct Signals {
    shutdown: Shutdown,
    hangup: Signal,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The run is to end.
    End,
    /// The configuration is to be read again.
    Reload,
}

impl Signals {
    pub(crate) fn new(shutdown: Shutdown) -> anyhow::Result<Self> {
        Ok(Self { shutdown, hangup: on(SignalKind::hangup())? })
    }

    /// The next of any.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            () = self.shutdown.begun() => Wish::End,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }
}

/// SIGINT and SIGTERM.
pub(crate) struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { interrupt: on(SignalKind::interrupt())?, terminate: on(SignalKind::terminate())? })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn on(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot handle signals")
}
