//! What rules have found.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arcstr::ArcStr;

use crate::model::{FlowIdentity, Method, Time};

/// Name of the rule that a history fires which cannot be written.
pub const STORAGE_FAILURE: &str = "storage_failure";

/// How much an alert matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth a look some day.
    Low,
    /// Worth a look.
    Medium,
    /// Worth a look today.
    High,
    /// Worth a look now.
    Critical,
}

impl Severity {
    /// Every severity, least first.
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

    /// As Suricata numbers it: 1 is the worst.
    #[must_use]
    pub const fn eve(self) -> u8 {
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

/// What a rule has found. It stands for all that the rule found of its group until the cooldown ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// When the rule fired: time of the packet, or of the end of the connection.
    pub time: Time,
    /// In a replay, the number of the packet.
    pub packet: Option<u64>,
    /// Name of the rule, `known_bad`, `port_scan`; a stable word.
    pub rule: Arc<str>,
    /// What the rule looks for, in words.
    pub description: ArcStr,
    /// How much it matters.
    pub severity: Severity,
    /// What the rule groups by, and the group's values: `src_ip` `10.0.0.1`. Values come from the wire.
    pub group: Vec<(Arc<str>, Arc<str>)>,
    /// Why, in words: the threshold and the measured value, or what was matched. It may hold text of the wire.
    pub reason: String,
    /// The connection that made it fire, where one did.
    pub flow: Option<FlowIdentity>,
    /// Index into the run's list of interface names, where a connection made it fire.
    pub interface: Option<u32>,
    /// The fingerprint that made it fire, where one did.
    pub fingerprint: Option<(Method, ArcStr)>,
    /// A category such as `c2`, where the rule knows one.
    pub category: Option<Arc<str>>,
    /// How sure it is, 0 to 100, where that is known.
    pub confidence: Option<u8>,
    /// Firings of the same rule and group that the previous alert's cooldown kept back.
    pub suppressed: u64,
}
