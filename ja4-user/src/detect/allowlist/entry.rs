//! One entry of an allowlist.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;

use ipnet::IpNet;

use crate::model::Method;
use crate::model::glob;

/// The rule that an entry must name to suppress its alerts.
pub(crate) const KNOWN_BAD: &str = "known_bad";

/// An entry and the number of alerts that it suppressed.
#[derive(Debug)]
pub(super) struct AllowlistEntry {
    pub(super) scope: EntryScope,
    pub(super) suppressed: AtomicU64,
}

/// What an entry covers, for which rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct EntryScope {
    pub(super) target: EntryTarget,
    /// The rules; `None`: every rule but `known_bad`.
    pub(super) rules: Option<Vec<Box<str>>>,
}

/// What an entry covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum EntryTarget {
    /// Fingerprints of a method; `None`: of any.
    Fingerprint { method: Option<Method>, pattern: Box<str> },
    /// Connections with an end in a network; without a side, with either end.
    Network { net: IpNet, side: Option<NetworkSide> },
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum NetworkSide {
    /// The client.
    Source,
    /// The server.
    Destination,
}

impl AllowlistEntry {
    pub(super) fn new(target: EntryTarget, rules: Option<Vec<Box<str>>>) -> Self {
        Self { scope: EntryScope { target, rules }, suppressed: AtomicU64::new(0) }
    }

    /// Whether the entry is for a rule.
    pub(super) fn is_for(&self, rule: &str) -> bool {
        match &self.scope.rules {
            None => rule != KNOWN_BAD,
            Some(rules) => rules.iter().any(|name| **name == *rule),
        }
    }

    /// Whether the entry covers a fingerprint.
    pub(super) fn covers(&self, method: Method, value: &str) -> bool {
        matches!(&self.scope.target, EntryTarget::Fingerprint { method: own, pattern }
            if own.is_none_or(|own| own == method) && glob::matches(pattern, value))
    }

    /// Whether the entry covers addresses at this end.
    pub(super) fn is_at(&self, side: NetworkSide) -> bool {
        matches!(&self.scope.target, EntryTarget::Network { side: own, .. } if own.is_none_or(|own| own == side))
    }
}

/// The name in statistics.
impl fmt::Display for AllowlistEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope.target {
            EntryTarget::Fingerprint { method, pattern } => {
                write!(f, "{} {pattern}", method.map_or("*", Method::name))?
            }
            EntryTarget::Network { net, side: None } => write!(f, "network {net} (either)")?,
            EntryTarget::Network { net, side: Some(NetworkSide::Source) } => write!(f, "network {net}")?,
            EntryTarget::Network { net, side: Some(NetworkSide::Destination) } => {
                write!(f, "network {net} (destination)")?
            }
        }
        self.scope.rules.as_ref().map_or(Ok(()), |rules| write!(f, " for {}", rules.join(", ")))
    }
}

/// Returns the first `length` bits of an address.
pub(super) fn network_key(address: IpAddr, length: u8) -> u128 {
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    bits.checked_shr(u32::from(width - length.min(width))).unwrap_or_default()
}
