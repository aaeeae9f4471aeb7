//! What rules leave in peace, and what a site changes of them.
//!
//! ```toml
//! [[fingerprint]]
//! type = "ja4"                      # a method, or "*"
//! match = "t13d1516h2_8daaf6152771_*"   # exact, or with *
//! note = "the backup agent"
//! rules = ["new_ja4_burst"]         # only for these; left out: for every rule but known_bad
//!
//! [[network]]
//! cidr = "10.9.0.0/24"              # a network or an address
//! side = "source"                   # source (the client, if left out) | destination | either
//! rules = ["port_scan"]
//!
//! [[override]]
//! rule = "port_scan"
//! enabled = true                    # also where the configuration has switched it off
//! severity = "low"
//! threshold = 500
//! ```
//!
//! Threshold rules do not count what an entry covers; other rules raise no alert about it. Known-bad values
//! are left in peace only by an entry whose `rules` names `known_bad`. An entry for fingerprints covers a
//! fingerprint, never a connection as a whole.

mod entry;
mod parse;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::document::{Document, Report};
use crate::model::{ConnectionRecord, Method, Severity};
use entry::{Entry, Scope, Side, network_key};

/// The rule that an entry has to name to leave something in peace.
pub const KNOWN_BAD: &str = "known_bad";

/// Most entries of all files.
pub const MAX_ENTRIES: usize = 16_384;

/// Entries whose counts are shown: each is a metric of its own.
pub const MAX_SHOWN: usize = 64;

/// An allowlist. It is shared by all that raise alerts; its counters grow behind a shared reference.
#[derive(Debug, Default)]
pub struct Allow {
    entries: Vec<Entry>,
    overrides: Vec<Override>,
    /// Fingerprints without `*`: entries by value.
    exact: HashMap<Box<str>, Vec<usize>>,
    /// Fingerprints with `*`.
    patterns: Vec<usize>,
    /// Networks, the longest prefix first: of several entries the narrowest counts.
    networks: Vec<Prefixes>,
    /// Rules that entries name, and where.
    named: Vec<Named>,
    suppressed: AtomicU64,
}

/// Networks whose prefixes are of one length.
#[derive(Debug)]
struct Prefixes {
    v6: bool,
    length: u8,
    /// Entries by the prefix's bits.
    entries: HashMap<u128, Vec<usize>>,
}

/// A rule that an entry names.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) rule: Box<str>,
    pub(super) path: Arc<Path>,
    pub(super) place: (usize, usize),
}

/// What a site changes of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Name of the rule.
    pub rule: Box<str>,
    /// Whether the rule is in force; `None`: as the configuration says.
    pub enabled: Option<bool>,
    /// Another severity.
    pub severity: Option<Severity>,
    /// Another threshold.
    pub threshold: Option<u32>,
    /// The file it stands in.
    pub path: Arc<Path>,
    /// Line and column.
    pub place: (usize, usize),
}

impl Allow {
    /// Reads allowlists.
    ///
    /// # Errors
    ///
    /// All that is wrong in all files.
    pub fn load(files: &[PathBuf]) -> Result<Self, Report> {
        let (mut issues, mut texts) = (Vec::new(), Vec::new());
        for file in files {
            match Document::read(file) {
                Ok(text) => texts.push((file.as_path(), text)),
                Err(issue) => issues.push(issue),
            }
        }
        let texts: Vec<_> = texts.iter().map(|(path, text)| (*path, text.as_str())).collect();
        parse::read(&texts, issues)
    }

    /// Reads an allowlist from a text.
    ///
    /// # Errors
    ///
    /// All that is wrong in it.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Report> {
        parse::read(&[(path, text)], Vec::new())
    }

    /// Whether an entry leaves this connection, or one of these fingerprints of it, in peace for a rule. It is counted
    /// if so: to ask is to suppress.
    pub fn covers<'v>(
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
        let found = found.or_else(|| self.network(rule, client, Side::Source));
        let Some(entry) = found.or_else(|| self.network(rule, server, Side::Destination)) else {
            return false;
        };
        entry.suppressed.fetch_add(1, Ordering::Relaxed);
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn fingerprint(&self, rule: &str, method: Method, value: &str) -> Option<&Entry> {
        let exact = self.exact.get(value).into_iter().flatten().chain(&self.patterns);
        exact.filter_map(|at| self.entries.get(*at)).find(|entry| entry.is_for(rule) && entry.takes(method, value))
    }

    fn network(&self, rule: &str, address: IpAddr, side: Side) -> Option<&Entry> {
        let family = self.networks.iter().filter(|prefixes| prefixes.v6 == address.is_ipv6());
        let found = family.filter_map(|prefixes| prefixes.entries.get(&network_key(address, prefixes.length)));
        let mut entries = found.flatten().filter_map(|at| self.entries.get(*at));
        entries.find(|entry| entry.is_for(rule) && entry.is_at(side))
    }

    /// Rules that entries name.
    pub(super) fn named(&self) -> &[Named] {
        &self.named
    }

    /// What is changed of rules.
    pub fn overrides(&self) -> impl Iterator<Item = &Override> {
        self.overrides.iter()
    }

    /// What is changed of a rule.
    #[must_use]
    pub fn override_of(&self, rule: &str) -> Option<&Override> {
        self.overrides.iter().find(|change| *change.rule == *rule)
    }

    /// How often an entry has suppressed something, for each entry: `ja4 t13d…`, `network 10.0.0.0/8`.
    pub fn counts(&self) -> impl Iterator<Item = (String, u64)> {
        self.entries.iter().map(|entry| (entry.to_string(), entry.suppressed.load(Ordering::Relaxed)))
    }

    /// The same for those that statistics show: at most [`MAX_SHOWN`], those that suppress most, in the order of the
    /// files; entries that say the same together. Last, where there are more, `others`.
    #[must_use]
    pub fn shown(&self) -> Vec<(String, u64)> {
        let mut counts: Vec<_> =
            self.entries.iter().map(|entry| entry.suppressed.load(Ordering::Relaxed)).enumerate().collect();
        // Stable: of those that have suppressed nothing, the first.
        counts.sort_by_key(|(_, count)| Reverse(*count));
        let others = counts.split_off(counts.len().min(MAX_SHOWN));
        counts.sort_unstable();
        let mut shown: Vec<(String, u64)> = Vec::with_capacity(counts.len() + 1);
        for (at, count) in counts {
            let Some(name) = self.entries.get(at).map(Entry::to_string) else {
                continue;
            };
            match shown.iter_mut().find(|(other, _)| *other == name) {
                Some((_, sum)) => *sum += count,
                None => shown.push((name, count)),
            }
        }
        if !others.is_empty() {
            shown.push(("others".to_owned(), others.iter().map(|(_, count)| count).sum()));
        }
        shown
    }

    /// How often anything was suppressed.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.suppressed.load(Ordering::Relaxed)
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is left in peace and nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.overrides.is_empty()
    }

    /// Takes over the counters of an allowlist that this one follows: of all, and of entries that stand in both.
    #[must_use]
    pub fn following(self, former: &Self) -> Self {
        self.suppressed.store(former.suppressed(), Ordering::Relaxed);
        let counts: HashMap<&Scope, u64> =
            former.entries.iter().map(|entry| (&entry.scope, entry.suppressed.load(Ordering::Relaxed))).collect();
        for entry in &self.entries {
            entry.suppressed.store(counts.get(&entry.scope).copied().unwrap_or_default(), Ordering::Relaxed);
        }
        self
    }

    fn index(mut self) -> Self {
        let mut networks: HashMap<(bool, u8), HashMap<u128, Vec<usize>>> = HashMap::new();
        for (at, entry) in self.entries.iter().enumerate() {
            match &entry.scope.what {
                entry::What::Fingerprint { pattern, .. } if pattern.contains('*') => self.patterns.push(at),
                entry::What::Fingerprint { pattern, .. } => self.exact.entry(pattern.clone()).or_default().push(at),
                entry::What::Network { net, .. } => {
                    let (address, length) = (net.network(), net.prefix_len());
                    let map = networks.entry((address.is_ipv6(), length)).or_default();
                    map.entry(network_key(address, length)).or_default().push(at);
                }
            }
        }
        let prefixes = networks.into_iter().map(|((v6, length), entries)| Prefixes { v6, length, entries });
        self.networks = prefixes.collect();
        self.networks.sort_by_key(|prefixes| (prefixes.v6, Reverse(prefixes.length)));
        self
    }
}

#[cfg(test)]
mod tests;
