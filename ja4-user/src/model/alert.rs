//! Alerts.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use arcstr::ArcStr;

use crate::model::{FlowIdentity, Method, Time};

/// Name of the alert that is raised when the database cannot be written.
pub(crate) const STORAGE_FAILURE: &str = "storage_failure";

/// Severity of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Informational.
    Low,
    /// Unusual.
    Medium,
    /// Suspicious.
    High,
    /// Malicious.
    Critical,
}

impl Severity {
    /// Every severity, the lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name in output and configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Suricata's number: 1 is the highest.
    #[must_use]
    pub(crate) const fn eve(self) -> u8 {
        match self {
            Self::Critical => 1,
            Self::High => 2,
            Self::Medium => 3,
            Self::Low => 4,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|severity| severity.name() == word);
        found.ok_or_else(|| format!("unknown severity '{word}': expected low, medium, high or critical"))
    }
}

/// An alert of a rule and group. The rule raises no other alert of the group until the cooldown ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// When the rule fired: time of the packet, or of the end of the connection.
    pub time: Time,
    /// In a replay, the number of the packet.
    pub packet: Option<u64>,
    /// Name of the rule, `known_bad`, `port_scan`; a stable word.
    pub rule: Arc<str>,
    /// The number that the rule sets, see [`signature_id`](super::signature_id).
    pub sid: Option<NonZeroU32>,
    /// What the rule detects.
    pub description: ArcStr,
    /// Severity.
    pub severity: Severity,
    /// What the rule groups by, and the group's values: `src_ip` `10.0.0.1`. Values come from the wire.
    pub group: Vec<(Arc<str>, Arc<str>)>,
    /// Threshold and measured value, or what matched. It may contain text from the wire.
    pub reason: String,
    /// Connection that triggered it.
    pub flow: Option<FlowIdentity>,
    /// Index of the connection's interface in the run's list of names.
    pub interface: Option<u32>,
    /// Fingerprint that triggered it.
    pub fingerprint: Option<(Method, ArcStr)>,
    /// Category such as `c2`.
    pub category: Option<Arc<str>>,
    /// Confidence, 0 to 100.
    pub confidence: Option<u8>,
    /// Matches of the same rule and group that the cooldown of the previous alert suppressed.
    pub suppressed: u64,
}
