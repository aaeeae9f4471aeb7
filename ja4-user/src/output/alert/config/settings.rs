//! `[[alerts.sink]]`: the settings of a sink, by its type.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::secret::Secret;
use crate::document::{KeyReference, SettingType, documented_type, settings};
use crate::model::Severity;
use crate::system::tls::TlsSettings;
use crate::units::HumanDuration;

/// The accepted delays between two attempts: with them no alert waits for longer than an hour.
const DELAY: std::ops::RangeInclusive<HumanDuration> = HumanDuration::milliseconds(1)..=HumanDuration::seconds(3600);

/// The settings that sinks of every type have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommonSinkSettings {
    pub(super) name: Option<String>,
    pub(super) min_severity: Severity,
    pub(super) raw: bool,
    pub(super) queue: u32,
    pub(super) rate: u32,
    pub(super) burst: u32,
    pub(super) timeout: HumanDuration,
    pub(super) retries: u32,
    pub(super) retry_initial: HumanDuration,
    pub(super) retry_max_delay: HumanDuration,
    pub(super) retry_deadline: HumanDuration,
}

/// Declares the settings of one type of sink: the common ones and its own.
macro_rules! sink_settings {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* }) => {
        settings! {
            $(#[$meta])*
            #[derive(Eq)]
            pub struct $name {
                /// Name of the sink in statistics; default: its type, with a number if the name is taken.
                pub name: Option<String> = None;
                /// Least severity of the alerts that are sent.
                pub min_severity: Severity = Severity::Low;
                /// Whether raw forms of fingerprints are sent too.
                pub raw: bool = false;
                /// Alerts that may wait; an alert takes about a kilobyte.
                pub queue: u32 = 1024, in 1..=65_536;
                /// Alerts per second in the long run; 0: no limit.
                pub rate: u32 = 50;
                /// Alerts that may be sent at once within `rate`.
                pub burst: u32 = 500, in 1..=1_000_000;
                /// Time limit of one attempt.
                pub timeout: HumanDuration = HumanDuration::seconds(10),
                    in HumanDuration::milliseconds(10)..=HumanDuration::seconds(60);
                /// Attempts after the first.
                pub retries: u32 = 5, in 0..=100;
                /// Delay before the first retry; it doubles with each retry.
                pub retry_initial: HumanDuration = HumanDuration::milliseconds(500), in DELAY;
                /// Longest delay between two attempts.
                pub retry_max_delay: HumanDuration = HumanDuration::seconds(30), in DELAY;
                /// Time from the first attempt of an alert after which it is not retried.
                pub retry_deadline: HumanDuration = HumanDuration::seconds(120), in DELAY;
                $($own)*
            }
        }

        impl $name {
            pub(super) fn common(&self) -> CommonSinkSettings {
                let Self { min_severity, raw, queue, rate, burst, timeout, retries, .. } = *self;
                let Self { retry_initial, retry_max_delay, retry_deadline, .. } = *self;
                let name = self.name.clone();
                CommonSinkSettings {
                    name,
                    min_severity,
                    raw,
                    queue,
                    rate,
                    burst,
                    timeout,
                    retries,
                    retry_initial,
                    retry_max_delay,
                    retry_deadline,
                }
            }
        }
    };
}

sink_settings! {
    /// `type = "webhook"`: an HTTP server.
    WebhookSettings {
        /// URL of the receiver, required: https, or http to this host. Redirects are not followed.
        pub url: Option<Secret> = None;
        /// HTTP method.
        pub method: HttpMethod = HttpMethod::Post;
        /// Format of the body.
        pub format: WebhookFormat = WebhookFormat::Json;
        /// Further headers.
        pub headers: BTreeMap<String, Secret> = BTreeMap::new();
        /// Key of the header `X-Signature-256`: `sha256=` and the HMAC-SHA256 of the body in hex.
        pub hmac_key: Option<Secret> = None;
        /// File with that key; a line end at its end is not part of the key.
        pub hmac_key_file: Option<PathBuf> = None;
        /// Whether http to other hosts is accepted.
        pub allow_http: bool = false;
        /// Certificates that are trusted.
        pub tls: TlsSettings = TlsSettings::default();
    }
}

sink_settings! {
    /// `type = "syslog"`: a syslog receiver.
    SyslogSettings {
        /// Address of the receiver, required: `host:port`.
        pub address: Option<String> = None;
        /// Transport.
        pub transport: SyslogTransport = SyslogTransport::Udp;
        /// Facility.
        pub facility: String = DEFAULT_FACILITY.to_owned();
        /// Content of the message after its structured data.
        pub message: SyslogMessage = SyslogMessage::Text;
        /// Private enterprise number in the name of the structured data; the default is that of examples (RFC 5612).
        pub enterprise: u32 = 32_473;
        /// Name in the receiver's certificate, over TLS; default: the host of `address`.
        pub server_name: Option<String> = None;
        /// Certificates that are trusted, over TLS.
        pub tls: TlsSettings = TlsSettings::default();
    }
}

sink_settings! {
    /// `type = "cef"`: a CEF receiver, by syslog or by file.
    CefSettings {
        /// Address of the receiver: `host:port`; or `path`.
        pub address: Option<String> = None;
        /// Transport; default: udp.
        pub transport: Option<SyslogTransport> = None;
        /// Facility; default: local0.
        pub facility: Option<String> = None;
        /// Name in the receiver's certificate, over TLS; default: the host of `address`.
        pub server_name: Option<String> = None;
        /// Certificates that are trusted, over TLS.
        pub tls: TlsSettings = TlsSettings::default();
        /// File that lines are appended to, in place of `address`; reopened after it was moved away.
        pub path: Option<PathBuf> = None;
    }
}

sink_settings! {
    /// `type = "file"`: a file of JSON lines.
    FileSettings {
        /// File that lines are appended to, required; reopened after it was moved away.
        pub path: Option<PathBuf> = None;
    }
}

sink_settings! {
    /// `type = "journald"`: the journal of systemd.
    JournaldSettings {
        /// Socket of the native protocol; default: /run/systemd/journal/socket.
        pub socket: Option<PathBuf> = None;
    }
}

/// The facility of syslog messages without another one.
pub(super) const DEFAULT_FACILITY: &str = "local0";

/// Declares the types of sinks: variant, settings, name in the configuration, and the settings that are paths.
macro_rules! sink_types {
    ($($(#[$meta:meta])* $variant:ident($settings:ty) $name:literal, paths: $($($path:ident).+)*;)*) => {
        /// One `[[alerts.sink]]`; its key `type` selects the variant.
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum SinkSettings {
            $($(#[$meta])* $variant($settings),)*
        }

        impl SinkSettings {
            /// The type, as in the configuration.
            #[must_use]
            pub(crate) const fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }

            /// The settings that every type has.
            pub(super) fn common(&self) -> CommonSinkSettings {
                match self {
                    $(Self::$variant(sink) => sink.common(),)*
                }
            }

            /// The settings of the type.
            pub(super) fn section(&self) -> &dyn SettingsSection {
                match self {
                    $(Self::$variant(sink) => sink,)*
                }
            }

            /// The paths among the settings.
            pub(crate) fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
                let paths = match self {
                    $(Self::$variant(sink) => vec![$(&mut sink.$($path).+),*],)*
                };
                paths.into_iter().flatten()
            }
        }

        /// The keys of every type.
        impl SettingType for SinkSettings {
            fn value_type() -> String {
                String::from("table")
            }

            fn to_toml(&self) -> Option<String> {
                None
            }

            fn keys_of_type(section: &str) -> Vec<KeyReference> {
                [$(<$settings>::default().keys(&format!("{section} (type = \"{}\")", $name))),*].into_iter().flatten().flatten().collect()
            }
        }
    };
}

sink_types! {
    /// An HTTP server.
    Webhook(WebhookSettings) "webhook", paths: hmac_key_file tls.ca;
    /// A syslog receiver.
    Syslog(SyslogSettings) "syslog", paths: tls.ca;
    /// A CEF receiver, by syslog or by file.
    Cef(CefSettings) "cef", paths: tls.ca path;
    /// A file of JSON lines.
    File(FileSettings) "file", paths: path;
    /// The journal of systemd.
    Journald(JournaldSettings) "journald", paths: socket;
}

/// The ranges of a section, whatever its type.
pub(super) trait SettingsSection {
    /// Calls `report` with the key and the message of every value out of range.
    fn report_ranges(&self, report: &mut dyn FnMut(String, String));
}

impl<T: SettingType> SettingsSection for T {
    fn report_ranges(&self, report: &mut dyn FnMut(String, String)) {
        self.check_ranges("", report);
    }
}

settings! {
    /// Section `[alerts]`: where alerts are sent besides the output.
    #[derive(Eq)]
    pub struct AlertsSettings {
        /// One `[[alerts.sink]]` per sink.
        pub sink: Vec<SinkSettings> = Vec::new();
    }
}

/// The HTTP method of a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpMethod {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
}

/// The format of a webhook's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookFormat {
    /// The `alert` event.
    #[default]
    Json,
    /// A text in Slack's format.
    Slack,
}

/// The transport of syslog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogTransport {
    /// One datagram per message (RFC 5426).
    #[default]
    Udp,
    /// Messages with an octet count (RFC 6587, section 3.4.1).
    Tcp,
    /// The same over TLS (RFC 5425).
    Tls,
}

/// The content of a syslog message after its structured data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogMessage {
    /// A sentence.
    #[default]
    Text,
    /// CEF.
    Cef,
}

documented_type! {
    Secret: "string", |_value| None;
    BTreeMap<String, Secret>: "table of strings", |_value| None;
    HttpMethod: "post or put", |value| Some(format!("\"{value:?}\"").to_lowercase());
    WebhookFormat: "json or slack", |value| Some(format!("\"{value:?}\"").to_lowercase());
    SyslogTransport: "udp, tcp or tls", |value| Some(format!("\"{value:?}\"").to_lowercase());
    SyslogMessage: "text or cef", |value| Some(format!("\"{value:?}\"").to_lowercase());
}
