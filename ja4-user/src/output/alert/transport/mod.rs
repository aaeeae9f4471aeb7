//! Alert transports: webhook, syslog, file and journald.

mod error;
mod journald;
mod stream;
mod syslog;
mod webhook;

use std::path::PathBuf;

pub(super) use self::error::DeliveryError;
pub(super) use self::journald::JournaldClient;
pub(super) use self::syslog::SyslogClient;
pub(super) use self::webhook::WebhookClient;
use crate::output::append_file::AppendFile;

/// A file with a line for each alert.
#[derive(Debug)]
pub(super) struct AlertFile {
    file: AppendFile,
    line: Vec<u8>,
}

impl AlertFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { file: AppendFile::new(path, Vec::new()), line: Vec::new() }
    }

    fn deliver(&mut self, message: &[u8]) -> Result<(), DeliveryError> {
        self.line.clear();
        self.line.extend_from_slice(message);
        self.line.push(b'\n');
        self.file.append(&self.line).map_err(|error| DeliveryError::io(error.reason, &error.source))
    }
}

/// The transport of a sink.
#[derive(Debug)]
pub(super) enum AlertTransport {
    Webhook(Box<WebhookClient>),
    Syslog(Box<SyslogClient>),
    File(AlertFile),
    Journald(JournaldClient),
}

impl AlertTransport {
    /// Delivers one message. The timeout of the sink bounds the duration, except for name resolution.
    pub(super) fn deliver(&mut self, message: &[u8]) -> Result<(), DeliveryError> {
        match self {
            Self::Webhook(client) => client.deliver(message),
            Self::Syslog(client) => client.deliver(message),
            Self::File(file) => file.deliver(message),
            Self::Journald(client) => client.deliver(message),
        }
    }

    /// Reopens a file. The other transports reconnect by themselves.
    pub(super) fn reopen(&mut self) {
        if let Self::File(file) = self {
            file.file.reopen();
        }
    }
}
