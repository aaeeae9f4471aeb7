//! Alert transports: webhook, syslog, file and journald.

mod error;
mod file;
mod journald;
mod stream;
mod syslog;
mod tls;
mod webhook;

pub(super) use self::error::DeliveryError;
pub(super) use self::file::AlertFile;
pub(super) use self::journald::JournaldClient;
pub(super) use self::syslog::SyslogClient;
pub(super) use self::webhook::WebhookClient;

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
            file.reopen();
        }
    }
}
