//! Why an alert was not delivered.

use std::fmt::Display;
use std::io;
use std::time::Duration;

/// The error of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct DeliveryError {
    pub(in super::super) reason: String,
    /// Whether a retry may succeed.
    pub(in super::super) retry: bool,
    /// Delay that the receiver asks for.
    pub(in super::super) after: Option<Duration>,
}

impl DeliveryError {
    /// Creates a temporary error.
    pub(in super::super) fn temporary(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry: true, after: None }
    }

    /// Creates a permanent error.
    pub(in super::super) fn permanent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry: false, after: None }
    }

    /// Creates a temporary error from an I/O error.
    pub(in super::super) fn io(what: impl Display, error: &io::Error) -> Self {
        // The system's text for a socket timeout is unclear.
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::temporary(format!("{what}: timed out")),
            _ => Self::temporary(format!("{what}: {error}")),
        }
    }
}
