//! How the bytes of an alert reach their receiver.

mod file;
mod stream;
mod syslog;
mod tls;
mod webhook;

use std::fmt::Display;
use std::io;
use std::time::Duration;

pub(super) use self::file::LogFile;
pub(super) use self::syslog::SyslogClient;
pub(super) use self::webhook::HttpClient;

/// Why an alert has not arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: String,
    /// Whether another try may go better.
    pub(super) retry: bool,
    /// How long the receiver asks to be left alone.
    pub(super) after: Option<Duration>,
}

impl Fault {
    /// It may go better the next time.
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry: true, after: None }
    }

    /// It will not go better.
    pub(super) fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry: false, after: None }
    }

    /// It failed at `what` with an error of the system's.
    pub(super) fn io(what: impl Display, error: &io::Error) -> Self {
        // What a time limit of a socket says is no text for people.
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::passing(format!("{what}: took too long")),
            _ => Self::passing(format!("{what}: {error}")),
        }
    }
}

/// One of the ways.
#[derive(Debug)]
pub(super) enum Way {
    Webhook(Box<HttpClient>),
    Syslog(Box<SyslogClient>),
    File(LogFile),
}

impl Way {
    /// Hands over one message; what that takes is bounded by the sink's time limit, looking up a name
    /// excepted.
    pub(super) fn deliver(&mut self, message: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Webhook(client) => client.deliver(message),
            Self::Syslog(client) => client.deliver(message),
            Self::File(file) => file.deliver(message),
        }
    }

    /// Opens a file anew; others know by themselves.
    pub(super) fn reopen(&mut self) {
        if let Self::File(file) = self {
            file.reopen();
        }
    }
}
