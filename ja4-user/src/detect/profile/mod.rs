//! Behaviour profiles: the values that a profile key is usually seen with.
//!
//! A host has a few clients and one TCP stack, a client gets few answers, and a server name has few kinds of certificates.
//! A value that was never seen with a key that was observed often enough raises an alert of low severity.
//!
//! Counts of other sensors are stored by their source and merged by the larger count of each: importing a database twice
//! changes nothing.

mod profile_values;
mod row;

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;

use self::profile_values::{Profile, ProfileId, ProfileIdRef};
pub use self::row::{PairKind, ProfileRow, export, import};
use super::allowlist::Allowlist;
use super::cooldown::Cooldowns;
use super::local_networks::LocalNetworks;
use super::time_ranges::COOLDOWN;
use crate::document::settings;
use crate::model::bounded_lru_map::BoundedLruMap;
use crate::model::{Alert, ConnectionRecord, FingerprintRecord, Method, Severity, Time, counter_set};
use crate::units::HumanDuration;

/// Sensors with separate counts. Rows of further sensors are counted and ignored.
const MAX_SOURCES: usize = 256;

/// Rows of evicted profiles that are not stored yet, of all parts together; further rows are counted as lost.
const MAX_EVICTED_ROWS: usize = 50_000;

/// The name of the rule.
pub const RULE: &str = "unusual_pair";

/// The description in alerts.
pub(crate) const DESCRIPTION: &str = "a pair of values was never seen before";

settings! {
    /// Section `[profiles]`: which pairs of values are learned, and when an unusual pair raises an alert.
    pub struct ProfileSettings {
        /// Whether pairs are learned and unusual ones raise alerts.
        pub enabled: bool = true;
        /// Severity of the alerts.
        pub severity: Severity = Severity::Low;
        /// How long further alerts of the same profile key are suppressed after an alert.
        pub cooldown: HumanDuration = HumanDuration::seconds(600), in COOLDOWN;
        /// Observations of a profile key before a new value raises an alert.
        pub observations: u64 = 50, in 1..;
        /// Tracked profile keys, some 300 bytes each and 120 for every value.
        pub max_keys: usize = 100_000, in 1..=1 << 26;
        /// Tracked values of a profile key; the value seen least is evicted first.
        pub max_values: usize = 64, in 1..=1 << 16;
    }
}

counter_set! {
    /// Counters of [`Profiles`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ProfileStats as profile: AddCounters {
        /// Keys of behaviour profiles.
        gauge keys,
        /// Values of behaviour profiles.
        gauge values,
        /// Profile keys evicted.
        counter evicted_keys as profile_keys_evicted,
        /// Profile values evicted.
        counter evicted_values as profile_values_evicted,
        /// Profile rows rejected because of too many sources.
        counter refused,
        /// Profile rows evicted before they were stored.
        counter persist_lost,
        /// Unusual pairs.
        ///
        /// Before the cooldown.
        counter unusual,
    }
}

/// The history of the key of an unusual pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnusualPair {
    /// Earlier observations of the key.
    pub observations: u64,
    /// Values that the key was observed with.
    pub values: usize,
}

/// Returns a hash of the profile that a fingerprint concerns, if any.
pub(crate) fn profile_hash(
    settings: &ProfileSettings,
    local: &LocalNetworks,
    record: &ConnectionRecord,
    seen: &FingerprintRecord,
    hasher: &impl BuildHasher,
) -> Option<u64> {
    pair_of(settings, local, record, seen, &mut [0; MAX_ADDRESS]).map(|(pair, key)| profile_hash_of(pair, key, hasher))
}

/// Returns the hash of a profile.
pub(crate) fn profile_hash_of(pair: PairKind, key: &str, hasher: &impl BuildHasher) -> u64 {
    hasher.hash_one((pair, key))
}

/// Returns the kind and the key of the pair that a fingerprint completes, if any.
fn pair_of<'a>(
    settings: &ProfileSettings,
    local: &LocalNetworks,
    record: &'a ConnectionRecord,
    seen: &FingerprintRecord,
    text: &'a mut [u8; MAX_ADDRESS],
) -> Option<(PairKind, &'a str)> {
    if !settings.enabled {
        return None;
    }
    match seen.method {
        Method::Ja4 | Method::Ja4t => {
            let host = record.identity.client.0;
            if !local.is_empty() && !local.contains(host) {
                return None;
            }
            let pair = if seen.method == Method::Ja4 { PairKind::HostJa4 } else { PairKind::HostJa4t };
            Some((pair, address(host, text)))
        }
        Method::Ja4s => {
            let client = record.history.iter().rev().find(|client| client.method == Method::Ja4)?;
            Some((PairKind::Ja4Ja4s, &*client.value.text))
        }
        // Further certificates are those of authorities, which change with the server's own.
        Method::Ja4x if seen.count() == 1 => {
            let sni = record.attributes.tls.as_ref().and_then(|tls| tls.sni.as_deref())?;
            Some((PairKind::SniJa4x, sni))
        }
        _ => None,
    }
}

/// The profiles of all keys.
#[derive(Debug)]
pub struct Profiles {
    settings: ProfileSettings,
    /// Checked before an unusual pair is recorded and before a cooldown begins.
    allowlist: Arc<Allowlist>,
    local: LocalNetworks,
    /// Ids of sources; the first is this sensor's own.
    sources: Vec<Arc<str>>,
    profiles: BoundedLruMap<ProfileId, Profile>,
    /// Profiles with rows that changed since they were stored, each once; some may be evicted.
    dirty: VecDeque<ProfileId>,
    /// Rows of evicted profiles that are not stored yet.
    evicted_rows: VecDeque<ProfileRow>,
    /// The number of equal parts of all keys, of which this is one.
    parts: usize,
    rule: Arc<str>,
    description: ArcStr,
    stats: ProfileStats,
}

impl Profiles {
    /// Returns empty profiles. `own` is the id under which this sensor's counts are stored: the id of its database. If
    /// there are local networks, only their hosts are profile keys.
    #[must_use]
    pub fn new(settings: &ProfileSettings, local: LocalNetworks, own: Arc<str>, allowlist: Arc<Allowlist>) -> Self {
        Self::part(settings, local, own, allowlist, 1)
    }

    /// Returns empty profiles for one of `parts` equal parts of all keys.
    pub(crate) fn part(
        settings: &ProfileSettings,
        local: LocalNetworks,
        own: Arc<str>,
        allowlist: Arc<Allowlist>,
        parts: usize,
    ) -> Self {
        Self {
            profiles: BoundedLruMap::new(settings.max_keys.div_ceil(parts)),
            settings: settings.clone(),
            allowlist,
            local,
            sources: vec![own],
            dirty: VecDeque::new(),
            evicted_rows: VecDeque::new(),
            parts,
            rule: RULE.into(),
            description: DESCRIPTION.into(),
            stats: ProfileStats::default(),
        }
    }

    /// The current settings.
    #[must_use]
    pub const fn settings(&self) -> &ProfileSettings {
        &self.settings
    }

    /// Replaces thresholds and allowlist; the profiles are kept.
    pub fn reload(&mut self, settings: &ProfileSettings, allowlist: Arc<Allowlist>) {
        let max_keys = self.settings.max_keys;
        self.settings = ProfileSettings { max_keys, ..settings.clone() };
        self.allowlist = allowlist;
    }

    /// Loads the rows of this sensor's storage, of any source, at start.
    pub fn load(&mut self, rows: impl IntoIterator<Item = ProfileRow>) {
        for row in rows {
            self.merge(row, false);
        }
    }

    /// Restores the rows of this sensor's storage, of any source, after the start of the run. `own` is the id under which
    /// storage has this sensor's counts. The larger count of each pair is used.
    pub(crate) fn restore(&mut self, own: Arc<str>, rows: impl IntoIterator<Item = ProfileRow>) {
        if let Some(first) = self.sources.first_mut() {
            *first = own;
        }
        self.import(rows);
    }

    /// Imports rows of another sensor's database; changes are marked to be stored.
    pub fn import(&mut self, rows: impl IntoIterator<Item = ProfileRow>) {
        for row in rows {
            self.merge(row, true);
        }
    }

    /// Records the pair that a fingerprint completes. Returns an alert if the pair is unusual.
    pub fn fingerprint(
        &mut self,
        record: &ConnectionRecord,
        seen: &FingerprintRecord,
        now: Time,
        cooldowns: &mut Cooldowns,
    ) -> Option<Alert> {
        let mut text = [0; MAX_ADDRESS];
        let (pair, key) = pair_of(&self.settings, &self.local, record, seen, &mut text)?;
        let is_allowlisted =
            |allowlist: &Allowlist| allowlist.suppresses(RULE, record, Some((seen.method, &*seen.value.text)));
        let unusual = self.observe(pair, key, &seen.value.text, now, is_allowlisted)?;
        let suppressed = cooldowns.check(RULE, &(pair, key), now, self.settings.cooldown.0)?;
        Some(self.alert(pair, key, unusual, record, seen, now, suppressed))
    }

    /// Records a pair. Returns the history of the key if it was observed often enough and never with this value. An
    /// unusual pair that the allowlist suppresses is not recorded, so that it stays unusual for other clients.
    pub fn observe(
        &mut self,
        pair: PairKind,
        key: &str,
        value: &str,
        now: Time,
        is_allowlisted: impl FnOnce(&Allowlist) -> bool,
    ) -> Option<UnusualPair> {
        let id = ProfileIdRef { pair, key };
        let Some((held, known)) = self.profiles.find_mut(&id, |held| id.is(held)) else {
            let id = ProfileId { pair, key: key.into() };
            let mut profile = Profile::default();
            profile.add(value, now);
            profile.dirty = true;
            self.stats.values += 1;
            self.insert(id.clone(), profile);
            self.queue(id);
            return None;
        };
        if !known.dirty {
            known.dirty = true;
            self.dirty.push_back(held.clone());
        }
        if known.count(value, now) {
            return None;
        }
        let unusual = UnusualPair { observations: known.observations, values: known.values.len() };
        let fires = unusual.observations >= self.settings.observations;
        self.stats.unusual += u64::from(fires);
        if fires && is_allowlisted(&self.allowlist) {
            return None;
        }
        if known.values.len() >= self.settings.max_values.max(1) {
            let rows = known.evict(held, &self.sources);
            push_evicted(&mut self.evicted_rows, self.parts, &mut self.stats, rows);
            self.stats.evicted_values += 1;
            self.stats.values -= 1;
        }
        known.add(value, now);
        self.stats.values += 1;
        fires.then_some(unusual)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of an alert")]
    #[cold]
    fn alert(
        &self,
        pair: PairKind,
        key: &str,
        unusual: UnusualPair,
        record: &ConnectionRecord,
        seen: &FingerprintRecord,
        now: Time,
        suppressed: u64,
    ) -> Alert {
        let (key_name, value_name) = pair.words();
        let UnusualPair { observations, values } = unusual;
        Alert {
            time: now,
            packet: None,
            rule: Arc::clone(&self.rule),
            sid: None,
            description: ArcStr::clone(&self.description),
            severity: self.settings.severity,
            group: vec![("pair".into(), pair.name().into()), ("key".into(), key.into())],
            reason: format!(
                "{value_name} {} was never seen for {key_name} {key}, which was observed {observations} times with \
                 {values} other values (threshold: {} observations)",
                seen.value.text, self.settings.observations,
            ),
            flow: Some(record.identity),
            interface: Some(record.interface),
            fingerprint: Some((seen.method, ArcStr::clone(&seen.value.text))),
            category: None,
            confidence: None,
            suppressed,
        }
    }

    /// Returns at most `max` rows that changed since they were stored. The rows of a profile are not split, so there may
    /// be up to `max_values` rows more. Called again while it returns `max`.
    pub(crate) fn drain_dirty(&mut self, max: usize) -> Vec<ProfileRow> {
        let mut rows: Vec<ProfileRow> = self.evicted_rows.drain(..self.evicted_rows.len().min(max)).collect();
        while rows.len() < max
            && let Some(id) = self.dirty.pop_front()
        {
            if let Some(profile) = self.profiles.peek_mut(&id, |held| *held == id) {
                profile.drain(&id, &self.sources, &mut rows);
            }
        }
        rows
    }

    /// Marks every row as changed, because storage may have lost rows.
    pub(crate) fn store_again(&mut self) {
        self.dirty.clear();
        for (id, profile) in self.profiles.iter_mut() {
            profile.mark_dirty();
            self.dirty.push_back(id.clone());
        }
    }

    /// Every row, of every source.
    pub fn rows(&self) -> impl Iterator<Item = ProfileRow> {
        self.profiles.iter().flat_map(|(id, profile)| profile.rows(id, &self.sources))
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> ProfileStats {
        let (keys, evicted_keys) = (self.profiles.len() as u64, self.profiles.evicted());
        ProfileStats { keys, evicted_keys, ..self.stats }
    }

    fn merge(&mut self, row: ProfileRow, dirty: bool) {
        let Some(source) = self.source(&row.source) else {
            self.stats.refused += 1;
            return;
        };
        let id = ProfileId { pair: row.pair, key: Arc::clone(&row.key) };
        if self.profiles.get_mut(&id).is_none() {
            self.insert(id.clone(), Profile::default());
        }
        let Some(profile) = self.profiles.get_mut(&id) else {
            return;
        };
        let known = profile.values.len();
        let changed = profile.merge(&row, source);
        if profile.values.len() > self.settings.max_values.max(1) {
            let rows = profile.evict(&id, &self.sources);
            push_evicted(&mut self.evicted_rows, self.parts, &mut self.stats, rows);
            self.stats.evicted_values += 1;
        } else {
            self.stats.values += (profile.values.len() - known) as u64;
        }
        if !dirty {
            profile.clean();
        } else if changed && !profile.dirty {
            profile.dirty = true;
            self.queue(id);
        }
    }

    /// Returns the index of a source; `None`: there are too many.
    fn source(&mut self, id: &Arc<str>) -> Option<u16> {
        let known = self.sources.iter().position(|known| known == id);
        let index = known.or_else(|| {
            let has_room = self.sources.len() < MAX_SOURCES;
            has_room.then(|| {
                self.sources.push(Arc::clone(id));
                self.sources.len() - 1
            })
        });
        index.and_then(|index| u16::try_from(index).ok())
    }

    fn insert(&mut self, id: ProfileId, profile: Profile) {
        if let Some((id, mut evicted)) = self.profiles.insert(id, profile) {
            self.stats.values -= evicted.values.len() as u64;
            let mut rows = Vec::new();
            evicted.drain(&id, &self.sources, &mut rows);
            push_evicted(&mut self.evicted_rows, self.parts, &mut self.stats, rows);
        }
    }

    fn queue(&mut self, id: ProfileId) {
        self.dirty.push_back(id);
        if self.dirty.len() > 2 * self.settings.max_keys.div_ceil(self.parts) {
            let profiles = &self.profiles;
            self.dirty.retain(|id| profiles.peek(id, |held| held == id).is_some_and(|(_, profile)| profile.dirty));
        }
    }
}

fn push_evicted(evicted: &mut VecDeque<ProfileRow>, parts: usize, stats: &mut ProfileStats, rows: Vec<ProfileRow>) {
    for row in rows {
        if evicted.len() < MAX_EVICTED_ROWS.div_ceil(parts) {
            evicted.push_back(row);
        } else {
            stats.persist_lost += 1;
        }
    }
}

/// Longest text of an address: an IPv6 one with an embedded IPv4 one.
const MAX_ADDRESS: usize = 45;

/// Formats an address without allocating.
fn address(address: IpAddr, text: &mut [u8; MAX_ADDRESS]) -> &str {
    use std::io::Write as _;
    let mut rest = &mut text[..];
    // Every address fits into MAX_ADDRESS bytes.
    let _ = write!(rest, "{address}");
    let left = rest.len();
    text.get(..MAX_ADDRESS - left).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
