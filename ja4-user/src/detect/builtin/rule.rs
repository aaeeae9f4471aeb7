//! Names of the built-in rules.

/// A built-in rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BuiltinRule {
    /// A fingerprint matches a known-bad pattern.
    KnownBad,
    /// A fingerprint is seen for the first time.
    FirstSeen,
    /// A path shows a tunnel for the first time.
    NewTunnel,
    /// A client's fingerprints contradict its User-Agent.
    UserAgentMismatch,
    /// One host shows many JA4 values.
    ManyJa4,
    /// A rare value spreads over hosts.
    RareValueSpread,
    /// The shape of a certificate chain was never seen for a server name.
    NewChain,
    /// A value is sent to one destination at regular intervals.
    Beacon,
}

impl BuiltinRule {
    /// All rules.
    pub const ALL: [Self; 8] = [
        Self::KnownBad,
        Self::FirstSeen,
        Self::NewTunnel,
        Self::UserAgentMismatch,
        Self::ManyJa4,
        Self::RareValueSpread,
        Self::NewChain,
        Self::Beacon,
    ];

    /// The name in alerts and configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KnownBad => "known_bad",
            Self::FirstSeen => "first_seen",
            Self::NewTunnel => "new_tunnel",
            Self::UserAgentMismatch => "user_agent_mismatch",
            Self::ManyJa4 => "many_ja4",
            Self::RareValueSpread => "rare_value_spread",
            Self::NewChain => "new_chain",
            Self::Beacon => "beacon",
        }
    }

    /// Returns the rule of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// The description in alerts.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::KnownBad => "a fingerprint is known to be bad",
            Self::FirstSeen => "a fingerprint was never seen before",
            Self::NewTunnel => "a path shows a tunnel for the first time",
            Self::UserAgentMismatch => "a client's fingerprints contradict its User-Agent",
            Self::ManyJa4 => "one host shows many JA4 fingerprints",
            Self::RareValueSpread => "a rare fingerprint spreads over hosts",
            Self::NewChain => "a certificate chain has a shape that was never seen for this server name",
            Self::Beacon => "a fingerprint is sent to one destination at regular intervals",
        }
    }
}
