//! A sink with validated settings.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::secret::Secret;
use super::settings::{HttpMethod, SyslogTransport, WebhookFormat};
use crate::model::Severity;
use crate::output::alert::format::{SyslogContent, SyslogHeader};
use crate::output::alert::rate_limit::AlertRate;
use crate::output::alert::retry::RetryPolicy;
use crate::system::tls::TrustedRoots;

/// A sink that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    pub(in crate::output::alert) name: String,
    pub(in crate::output::alert) min_severity: Severity,
    pub(in crate::output::alert) raw: bool,
    pub(in crate::output::alert) queue: usize,
    pub(in crate::output::alert) rate: Option<AlertRate>,
    pub(in crate::output::alert) retry: RetryPolicy,
    pub(in crate::output::alert) timeout: Duration,
    pub(in crate::output::alert) target: SinkTarget,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::output::alert) enum SinkTarget {
    Webhook(WebhookTarget),
    Syslog(SyslogTarget),
    File(FileTarget),
    /// The socket.
    Journald(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::output::alert) struct WebhookTarget {
    pub(in crate::output::alert) url: Secret,
    /// The host of the URL, for messages: the rest may be a secret.
    pub(in crate::output::alert) host: String,
    /// Whether the host is this host.
    pub(in crate::output::alert) loopback: bool,
    pub(in crate::output::alert) method: HttpMethod,
    pub(in crate::output::alert) format: WebhookFormat,
    pub(in crate::output::alert) headers: BTreeMap<String, Secret>,
    pub(in crate::output::alert) hmac_key: Option<Secret>,
    /// Empty without TLS.
    pub(in crate::output::alert) roots: TrustedRoots,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::output::alert) struct SyslogTarget {
    /// `host:port`
    pub(in crate::output::alert) address: String,
    pub(in crate::output::alert) transport: SyslogTransport,
    pub(in crate::output::alert) header: SyslogHeader,
    pub(in crate::output::alert) content: SyslogContent,
    pub(in crate::output::alert) server_name: String,
    /// Empty without TLS.
    pub(in crate::output::alert) roots: TrustedRoots,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::output::alert) struct FileTarget {
    pub(in crate::output::alert) path: PathBuf,
    pub(in crate::output::alert) cef: bool,
}

impl Sink {
    /// The name in statistics.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// An invalid setting of a sink.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct SinkError {
    /// The number of the sink, from 1.
    pub number: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The key.
    pub key: String,
    /// The cause and the fix.
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
