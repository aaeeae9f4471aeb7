//! `[[alerts.sink]]`: settings, checked sinks, and the check between them.

mod check;
mod secret;
mod settings;
mod sink;
#[cfg(test)]
mod tests;

pub use self::check::check_sinks;
pub use self::secret::Secret;
pub use self::settings::{
    AlertsSettings, CefSettings, FileSettings, HttpMethod, JournaldSettings, SinkSettings, SyslogMessage,
    SyslogSettings, SyslogTransport, WebhookFormat, WebhookSettings,
};
pub use self::sink::{Sink, SinkError};
pub(super) use self::sink::{SinkTarget, SyslogTarget, WebhookTarget};
