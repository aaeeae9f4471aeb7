//! Signals that control a running sensor.

use tokio::signal::unix::{Signal, SignalKind};

use crate::system::shutdown_watch::Shutdown;
use crate::system::signals::listen;

/// SIGHUP, and the shutdown that SIGINT or SIGTERM begins.
pub(super) struct ControlSignals {
    shutdown: Shutdown,
    hangup: Signal,
}

/// A request made by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ControlRequest {
    /// End the run.
    Shutdown,
    /// Read the configuration again.
    Reload,
}

impl ControlSignals {
    /// # Errors
    /// If SIGHUP cannot be handled.
    pub(super) fn new(shutdown: Shutdown) -> anyhow::Result<Self> {
        Ok(Self { shutdown, hangup: listen(SignalKind::hangup())? })
    }

    /// Waits for the next request.
    pub(super) async fn next(&mut self) -> ControlRequest {
        tokio::select! {
            () = self.shutdown.begun() => ControlRequest::Shutdown,
            _ = self.hangup.recv() => ControlRequest::Reload,
        }
    }
}
