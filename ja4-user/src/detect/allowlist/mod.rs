//! The allowlist: suppressed alerts, and overrides of rules.
//!
//! ```toml
//! [[fingerprint]]
//! type = "ja4"                      # a method, or "*"
//! match = "t13d1516h2_8daaf6152771_*"   # exact, or with *
//! note = "the backup agent"
//! rules = ["new_ja4_burst"]         # default: every rule but known_bad
//!
//! [[network]]
//! cidr = "10.9.0.0/24"              # a network or an address
//! side = "source"                   # source (the client, default) | destination | either
//! rules = ["port_scan"]
//!
//! [[override]]
//! rule = "port_scan"
//! enabled = true                    # also if the configuration has disabled it
//! severity = "low"
//! threshold = 500
//! ```
//!
//! Threshold rules do not count events that an entry covers; other rules raise no alert about them. Known-bad alerts are
//! suppressed only by an entry with `known_bad` in its `rules`. An entry for fingerprints covers a fingerprint, never a
//! whole connection.

mod entry;
mod parse;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use self::entry::KNOWN_BAD;
use self::entry::{AllowlistEntry, EntryScope, EntryTarget, NetworkSide, network_key};
use self::parse::ParsedAllowlist;
pub use self::parse::RuleOverride;
pub(super) use self::parse::RuleReference;
use crate::document::Diagnostics;
use crate::model::glob::STAR;
use crate::model::{ConnectionRecord, Method};

/// Entries with counters of their own in the statistics: each is a metric.
const MAX_LISTED: usize = 64;

/// An allowlist. All detectors share it; its counters are atomic.
#[derive(Debug, Default)]
pub struct Allowlist {
    entries: Vec<AllowlistEntry>,
    overrides: Vec<RuleOverride>,
    /// Indices of entries by value, for fingerprints without `*`.
    exact: HashMap<Box<str>, Vec<usize>>,
    /// Indices of entries for fingerprints with `*`.
    patterns: Vec<usize>,
    /// Networks, the longest prefix first: the narrowest of several entries is counted.
    networks: Vec<NetworksByPrefix>,
    /// The rules that entries name.
    references: Vec<RuleReference>,
    suppressed: AtomicU64,
}

/// Networks with prefixes of one length.
#[derive(Debug)]
struct NetworksByPrefix {
    v6: bool,
    length: u8,
    /// Indices of entries by the bits of the prefix.
    entries: HashMap<u128, Vec<usize>>,
}

impl Allowlist {
    /// Reads allowlist files.
    ///
    /// # Errors
    ///
    /// All errors of all files.
    pub fn load(files: &[PathBuf]) -> Result<Self, Diagnostics> {
        parse::load(files).map(Self::index)
    }

    /// Reads an allowlist from a text.
    ///
    /// # Errors
    ///
    /// All errors of the text.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Diagnostics> {
        parse::parse(path, text).map(Self::index)
    }

    /// Whether an entry suppresses an alert of a rule about a connection or about one of these fingerprints of it. A
    /// suppressed alert is counted.
    pub fn suppresses<'v>(
        &self,
        rule: &str,
        record: &ConnectionRecord,
        fingerprints: impl IntoIterator<Item = (Method, &'v str)>,
    ) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let mut fingerprints = fingerprints.into_iter();
        let found = fingerprints.find_map(|(method, value)| self.fingerprint(rule, method, value));
        let (client, server) = (record.identity.client.0, record.identity.server.0);
        let found = found.or_else(|| self.network(rule, client, NetworkSide::Source));
        let Some(entry) = found.or_else(|| self.network(rule, server, NetworkSide::Destination)) else {
            return false;
        };
        entry.suppressed.fetch_add(1, Ordering::Relaxed);
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn fingerprint(&self, rule: &str, method: Method, value: &str) -> Option<&AllowlistEntry> {
        let exact = self.exact.get(value).into_iter().flatten().chain(&self.patterns);
        exact.filter_map(|at| self.entries.get(*at)).find(|entry| entry.is_for(rule) && entry.covers(method, value))
    }

    fn network(&self, rule: &str, address: IpAddr, side: NetworkSide) -> Option<&AllowlistEntry> {
        let family = self.networks.iter().filter(|prefixes| prefixes.v6 == address.is_ipv6());
        let found = family.filter_map(|prefixes| prefixes.entries.get(&network_key(address, prefixes.length)));
        let mut entries = found.flatten().filter_map(|at| self.entries.get(*at));
        entries.find(|entry| entry.is_for(rule) && entry.is_at(side))
    }

    /// The rules that entries name.
    pub(super) fn references(&self) -> &[RuleReference] {
        &self.references
    }

    /// The overrides of rules.
    pub(crate) fn overrides(&self) -> impl Iterator<Item = &RuleOverride> {
        self.overrides.iter()
    }

    /// The suppressed alerts of each entry, by names such as `ja4 t13d…` and `network 10.0.0.0/8`.
    pub fn counts(&self) -> impl Iterator<Item = (String, u64)> {
        self.entries.iter().map(|entry| (entry.to_string(), entry.suppressed.load(Ordering::Relaxed)))
    }

    /// The counters that statistics list: at most `MAX_LISTED` entries, those that suppress most, in the order of the
    /// files. Equal entries are summed; the sum of further entries is last, as `others`.
    #[must_use]
    pub(crate) fn listed_counts(&self) -> Vec<(String, u64)> {
        let mut counts: Vec<_> =
            self.entries.iter().map(|entry| entry.suppressed.load(Ordering::Relaxed)).enumerate().collect();
        // A stable sort: the first of the entries that suppressed nothing are listed.
        counts.sort_by_key(|(_, count)| Reverse(*count));
        let others = counts.split_off(counts.len().min(MAX_LISTED));
        counts.sort_unstable();
        let mut listed: Vec<(String, u64)> = Vec::with_capacity(counts.len() + 1);
        for (at, count) in counts {
            let Some(name) = self.entries.get(at).map(AllowlistEntry::to_string) else {
                continue;
            };
            match listed.iter_mut().find(|(other, _)| *other == name) {
                Some((_, sum)) => *sum += count,
                None => listed.push((name, count)),
            }
        }
        if !others.is_empty() {
            listed.push(("others".to_owned(), others.iter().map(|(_, count)| count).sum()));
        }
        listed
    }

    /// Suppressed alerts of all entries.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.suppressed.load(Ordering::Relaxed)
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are neither entries nor overrides.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.overrides.is_empty()
    }

    /// Takes the counters of the allowlist that this one replaces: the total, and those of entries in both.
    #[must_use]
    pub fn following(self, former: &Self) -> Self {
        self.suppressed.store(former.suppressed(), Ordering::Relaxed);
        let counts: HashMap<&EntryScope, u64> =
            former.entries.iter().map(|entry| (&entry.scope, entry.suppressed.load(Ordering::Relaxed))).collect();
        for entry in &self.entries {
            entry.suppressed.store(counts.get(&entry.scope).copied().unwrap_or_default(), Ordering::Relaxed);
        }
        self
    }

    fn index(parsed: ParsedAllowlist) -> Self {
        let ParsedAllowlist { entries, overrides, references } = parsed;
        let (mut exact, mut patterns) = (HashMap::<_, Vec<_>>::new(), Vec::new());
        let mut networks: HashMap<(bool, u8), HashMap<u128, Vec<usize>>> = HashMap::new();
        for (at, entry) in entries.iter().enumerate() {
            match &entry.scope.target {
                EntryTarget::Fingerprint { pattern, .. } if pattern.contains(STAR) => patterns.push(at),
                EntryTarget::Fingerprint { pattern, .. } => exact.entry(pattern.clone()).or_default().push(at),
                EntryTarget::Network { net, .. } => {
                    let (address, length) = (net.network(), net.prefix_len());
                    let by_prefix = networks.entry((address.is_ipv6(), length)).or_default();
                    by_prefix.entry(network_key(address, length)).or_default().push(at);
                }
            }
        }
        let by_length = |((v6, length), entries)| NetworksByPrefix { v6, length, entries };
        let mut networks: Vec<_> = networks.into_iter().map(by_length).collect();
        networks.sort_by_key(|networks| (networks.v6, Reverse(networks.length)));
        Self { entries, overrides, exact, patterns, networks, references, suppressed: AtomicU64::new(0) }
    }
}

#[cfg(test)]
mod tests;
