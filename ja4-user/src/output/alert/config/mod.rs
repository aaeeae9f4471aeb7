//! `[[alerts.sink]]`: what a configuration file says of a sink, and what a sink needs.

mod check;
mod secret;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use thiserror::Error;

pub use self::secret::Secret;
pub(super) use super::format::{SyslogContent, SyslogHeader};
use super::rate_limit::AlertRate;
use super::retry::RetryPolicy;
use crate::model::Severity;
use crate::units::Span;

/// One `[[alerts.sink]]` as it stands in the file. A key that its kind has no use for is an error of
/// [`check`](SinkConfig::check).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    /// Where alerts go.
    pub kind: SinkKind,
    /// Its name in statistics. Default: the kind, with a number where that is taken.
    pub name: Option<String>,
    /// The least severity it takes. Default: low.
    #[serde(default, deserialize_with = "severity")]
    pub min_severity: Option<Severity>,
    /// Raw forms of fingerprints too. Default: no.
    pub raw: Option<bool>,
    /// Alerts that may wait. Default: 1024.
    pub queue: Option<u32>,
    /// Alerts per second in the long run; 0: as many as there are. Default: 50.
    pub rate: Option<u32>,
    /// Alerts that may come at once within `rate`. Default: 500.
    pub burst: Option<u32>,
    /// Longest time of one try, `"5s"`. Default: 10s.
    pub timeout: Option<Span>,
    /// Tries after the first. Default: 5.
    pub retries: Option<u32>,
    /// Wait before the first retry; it doubles with each. Default: 500ms.
    pub retry_first: Option<Span>,
    /// Longest wait between two tries. Default: 30s.
    pub retry_longest: Option<Span>,
    /// Longest time from the first try of an alert to its last. Default: 2m.
    pub retry_total: Option<Span>,

    /// Webhook: where to. https, or http to this host.
    pub url: Option<Secret>,
    /// Webhook: `post` (default) or `put`.
    pub method: Option<HttpMethod>,
    /// Webhook: `json` (default) or `slack`.
    pub form: Option<WebhookFormat>,
    /// Webhook: further headers.
    pub headers: Option<BTreeMap<String, Secret>>,
    /// Webhook: key of the header `X-Signature-256`, `sha256=` and the HMAC-SHA256 of the body in hex.
    pub hmac_key: Option<Secret>,
    /// Webhook: a file with that key; a line end at its end is not part of it.
    pub hmac_key_file: Option<PathBuf>,
    /// Webhook: http to other hosts too. Default: no.
    pub allow_http: Option<bool>,

    /// Syslog, CEF: `host:port`.
    pub address: Option<String>,
    /// Syslog, CEF: `udp`, `tcp` or `tls`. Default: udp.
    pub transport: Option<SyslogTransport>,
    /// Syslog, CEF: facility by name, as `local0` (default).
    pub facility: Option<String>,
    /// Syslog: `text` (default) or `cef`.
    pub message: Option<SyslogMessage>,
    /// Syslog: private enterprise number in the name of the structured data. Default: 32473, that of examples
    /// (RFC 5612).
    pub enterprise: Option<u32>,
    /// Syslog, CEF over TLS: the name in the receiver's certificate. Default: the host of `address`.
    pub server_name: Option<String>,
    /// Webhook, TLS: certificates (PEM) that are trusted in place of the public ones.
    pub ca_file: Option<PathBuf>,

    /// File, CEF: file that lines are appended to. It is opened anew where it was moved away.
    pub path: Option<PathBuf>,
}

/// Where alerts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkKind {
    /// An HTTP server.
    Webhook,
    /// A receiver of syslog.
    Syslog,
    /// A receiver of CEF, over syslog or from a file.
    Cef,
    /// A file of JSON lines.
    File,
}

impl SinkKind {
    /// The name in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Syslog => "syslog",
            Self::Cef => "cef",
            Self::File => "file",
        }
    }
}

/// How a webhook is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpMethod {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
}

/// What a webhook gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookFormat {
    /// The `alert` event.
    #[default]
    Json,
    /// A text, in Slack's form.
    Slack,
}

/// What carries syslog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogTransport {
    /// A datagram a message (RFC 5426).
    #[default]
    Udp,
    /// Messages behind their length (RFC 6587, section 3.4.1).
    Tcp,
    /// The same inside TLS (RFC 5425).
    Tls,
}

/// What a message of syslog says behind its structured data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogMessage {
    /// A sentence.
    #[default]
    Text,
    /// CEF.
    Cef,
}

/// A sink that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    pub(super) name: String,
    pub(super) min_severity: Severity,
    pub(super) raw: bool,
    pub(super) queue: usize,
    pub(super) rate: Option<AlertRate>,
    pub(super) retry: RetryPolicy,
    pub(super) timeout: Duration,
    pub(super) target: SinkTarget,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SinkTarget {
    Webhook(WebhookTarget),
    Syslog(SyslogTarget),
    File(FileTarget),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WebhookTarget {
    pub(super) url: Secret,
    /// Host of the URL, for messages: the rest may be a secret.
    pub(super) host: String,
    /// Whether the host is this one.
    pub(super) loopback: bool,
    pub(super) method: HttpMethod,
    pub(super) form: WebhookFormat,
    pub(super) headers: BTreeMap<String, Secret>,
    pub(super) hmac_key: Option<Secret>,
    pub(super) roots: TrustedRoots,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyslogTarget {
    /// `host:port`
    pub(super) address: String,
    pub(super) transport: SyslogTransport,
    pub(super) header: SyslogHeader,
    pub(super) content: SyslogContent,
    pub(super) server_name: String,
    pub(super) roots: TrustedRoots,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileTarget {
    pub(super) path: PathBuf,
    pub(super) cef: bool,
}

/// Certificates that are trusted, DER; `None`: those that browsers trust.
pub(super) type TrustedRoots = Option<Vec<Vec<u8>>>;

impl Sink {
    /// Its name in statistics.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What is wrong with a sink.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct SinkError {
    /// Which one, from 1.
    pub number: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The key.
    pub key: &'static str,
    /// Cause and mend.
    pub reason: String,
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "alerts.sink {}", self.number)?;
        if let Some(name) = &self.name {
            write!(f, " ({})", name.escape_debug())?;
        }
        write!(f, ": {}: {}", self.key, self.reason)
    }
}

fn severity<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Severity>, D::Error> {
    let word = String::deserialize(from)?;
    word.parse().map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests;
