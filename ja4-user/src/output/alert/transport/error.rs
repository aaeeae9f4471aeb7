//! Why an alert was not delivered.

use std::fmt::Display;
use std::io;
use std::time::Duration;

/// Why an alert has not arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct DeliveryError {
    pub(in super::super) reason: String,
    /// Whether another try may go better.
    pub(in super::super) retry: bool,
    /// How long the receiver asks to be left alone.
    pub(in super::super) after: Option<Duration>,
}

impl DeliveryError {
    /// It may go better the next time.
    pub(in super::super) fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry: true, after: None }
    }

    /// It will not go better.
    pub(in super::super) fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry: false, after: None }
    }

    /// It failed at `what` with an error of the system's.
    pub(in super::super) fn io(what: impl Display, error: &io::Error) -> Self {
        // What a time limit of a socket says is no text for people.
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::passing(format!("{what}: took too long")),
            _ => Self::passing(format!("{what}: {error}")),
        }
    }
}
