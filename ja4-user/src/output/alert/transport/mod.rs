//! How the bytes of an alert reach their receiver.

mod error;
mod file;
mod stream;
mod syslog;
mod tls;
mod webhook;

pub(super) use self::error::DeliveryError;
pub(super) use self::file::AlertFile;
pub(super) use self::syslog::SyslogClient;
pub(super) use self::webhook::WebhookClient;

/// One of the ways.
#[derive(Debug)]
pub(super) enum AlertTransport {
    Webhook(Box<WebhookClient>),
    Syslog(Box<SyslogClient>),
    File(AlertFile),
}

impl AlertTransport {
    /// Hands over one message; what that takes is bounded by the sink's time limit, looking up a name
    /// excepted.
    pub(super) fn deliver(&mut self, message: &[u8]) -> Result<(), DeliveryError> {
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
