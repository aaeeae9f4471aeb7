//! One entry of an allowlist.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;

use ipnet::IpNet;

use super::KNOWN_BAD;
use crate::model::Method;

/// An entry and how often it has suppressed something.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) scope: Scope,
    pub(super) suppressed: AtomicU64,
}

/// What an entry covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) what: What,
    /// For which rules; `None`: for every rule but known bad.
    pub(super) rules: Option<Vec<Box<str>>>,
}

/// Whom an entry covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// Fingerprints of a method, or of any.
    Fingerprint { method: Option<Method>, pattern: Box<str> },
    /// Connections with an end in a network.
    Network { net: IpNet, side: Option<Side> },
}

/// An end of a connection; none: either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    /// The client.
    Source,
    /// The server.
    Destination,
}

impl Entry {
    pub(super) fn new(what: What, rules: Option<Vec<Box<str>>>) -> Self {
        Self { scope: Scope { what, rules }, suppressed: AtomicU64::new(0) }
    }

    /// Whether the entry speaks of a rule.
    pub(super) fn is_for(&self, rule: &str) -> bool {
        match &self.scope.rules {
            None => rule != KNOWN_BAD,
            Some(rules) => rules.iter().any(|name| **name == *rule),
        }
    }

    /// Whether the entry covers a fingerprint.
    pub(super) fn takes(&self, method: Method, value: &str) -> bool {
        matches!(&self.scope.what, What::Fingerprint { method: own, pattern }
            if own.is_none_or(|own| own == method) && matches(pattern, value))
    }

    /// Whether the entry covers an address at this end.
    pub(super) fn is_at(&self, side: Side) -> bool {
        matches!(&self.scope.what, What::Network { side: own, .. } if own.is_none_or(|own| own == side))
    }
}

/// As statistics name it.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope.what {
            What::Fingerprint { method, pattern } => write!(f, "{} {pattern}", method.map_or("*", Method::name))?,
            What::Network { net, side: None } => write!(f, "network {net} (either)")?,
            What::Network { net, side: Some(Side::Source) } => write!(f, "network {net}")?,
            What::Network { net, side: Some(Side::Destination) } => write!(f, "network {net} (destination)")?,
        }
        self.scope.rules.as_ref().map_or(Ok(()), |rules| write!(f, " for {}", rules.join(", ")))
    }
}

/// The first `length` bits of an address.
pub(super) fn network_key(address: IpAddr, length: u8) -> u128 {
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    bits.checked_shr(u32::from(width - length.min(width))).unwrap_or_default()
}

/// Whether a text is what a pattern says, in which `*` stands for any text. Linear in both: the first place
/// where a part fits is as good as any.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match text.find(part) {
            Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    text.ends_with(last)
}
