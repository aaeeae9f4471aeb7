//! Behaviour profiles: which companions an anchor is usually seen with.
//!
//! A host has a few clients and one way to open TCP, a client gets few answers, a server name has few kinds of
//! certificates. A companion never seen for an anchor that was observed often enough is told, with low severity.
//!
//! Counts of other sensors are kept by their source, and merged by the larger count of each: seeding twice with
//! one database changes nothing.

mod anchor;
mod row;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;
use serde::{Deserialize, Serialize};

use self::anchor::{Anchor, Key, KeyRef};
pub use self::row::{Pair, Row, export, import};
use super::Allow;
use super::bounded::Bounded;
use super::cooldown::Cooldowns;
use super::local::Locals;
use crate::model::{Alert, ConnectionRecord, FingerprintRecord, Method, Severity, Time};
use crate::units::Span;

/// Sensors whose counts are kept apart. More than a site has; rows of further ones are counted and left out.
const MAX_SOURCES: usize = 256;

/// Rows of anchors that had to go before they were stored; past it they are counted as lost.
const MAX_WAITING: usize = 50_000;

/// The rule's name.
pub const RULE: &str = "unusual_pair";

/// What it looks for, in words.
pub const DESCRIPTION: &str = "a pair that was never seen breaks a habit";

/// What is learned, and when it is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether pairs are learned and told.
    pub enabled: bool,
    /// How much an alert matters.
    #[serde(with = "crate::model::method_set::severity")]
    pub severity: Severity,
    /// How long one alert stands for all further ones of its anchor.
    pub cooldown: Span,
    /// Observations of an anchor from which on a new companion is told.
    pub observations: u64,
    /// Most anchors, some 300 bytes each and 120 for every companion.
    pub max_anchors: usize,
    /// Most companions of an anchor. Those seen least go first.
    pub max_companions: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            severity: Severity::Low,
            cooldown: Span::seconds(600),
            observations: 50,
            max_anchors: 100_000,
            max_companions: 64,
        }
    }
}

/// Counters of [`Profiles`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfileStats {
    /// Anchors held.
    pub anchors: u64,
    /// Companions held, of all anchors.
    pub companions: u64,
    /// Anchors that had to go for others.
    pub evicted_anchors: u64,
    /// Companions that had to go for others.
    pub evicted_companions: u64,
    /// Rows left out as they came from too many sources.
    pub refused: u64,
    /// Rows that went before storage took them.
    pub unsaved: u64,
    /// Companions never seen before for an anchor observed often enough, before cooldown.
    pub unusual: u64,
}

/// What was unusual about a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusual {
    /// How often the anchor was observed before.
    pub observations: u64,
    /// With how many companions.
    pub companions: usize,
}

/// The pairs that were seen.
#[derive(Debug)]
pub struct Profiles {
    settings: Settings,
    /// What is left in peace; asked before a pair is known and a cooldown begins.
    allow: Arc<Allow>,
    locals: Locals,
    /// Ids of sources; the first is this sensor's own.
    sources: Vec<Arc<str>>,
    anchors: Bounded<Key, Anchor>,
    /// Anchors with rows that storage does not have, each once; some may be gone.
    dirty: VecDeque<Key>,
    waiting: VecDeque<Row>,
    rule: Arc<str>,
    description: ArcStr,
    stats: ProfileStats,
}

impl Profiles {
    /// Nothing seen yet. `own` is the id under which this sensor's counts are stored: one of its database, drawn
    /// when it is made. Where networks are local, only hosts in them are anchors.
    #[must_use]
    pub fn new(settings: &Settings, locals: Locals, own: Arc<str>, allow: Arc<Allow>) -> Self {
        Self {
            anchors: Bounded::new(settings.max_anchors),
            settings: settings.clone(),
            allow,
            locals,
            sources: vec![own],
            dirty: VecDeque::new(),
            waiting: VecDeque::new(),
            rule: RULE.into(),
            description: DESCRIPTION.into(),
            stats: ProfileStats::default(),
        }
    }

    /// The settings in force.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Other thresholds and another allowlist from now on; what was seen stays.
    pub fn reload(&mut self, settings: &Settings, allow: Arc<Allow>) {
        let max_anchors = self.settings.max_anchors;
        self.settings = Settings { max_anchors, ..settings.clone() };
        self.allow = allow;
    }

    /// Takes what this sensor's storage holds, of any source, at start.
    pub fn load(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            self.merge(row, false);
        }
    }

    /// Takes what this sensor's storage holds, of any source, where it could not be had at the start: `own` is the id
    /// under which it has this sensor's counts. Of a pair that has come meanwhile the larger count stays.
    pub fn recall(&mut self, own: Arc<str>, rows: impl IntoIterator<Item = Row>) {
        if let Some(first) = self.sources.first_mut() {
            *first = own;
        }
        self.seed(rows);
    }

    /// Takes rows of another sensor's database; what changes is to be stored.
    pub fn seed(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            self.merge(row, true);
        }
    }

    /// Takes note of the pairs that a fingerprint completes, and tells those that are unusual.
    pub fn fingerprint(
        &mut self,
        record: &ConnectionRecord,
        seen: &FingerprintRecord,
        now: Time,
        cooldowns: &mut Cooldowns,
        out: &mut Vec<Alert>,
    ) {
        if !self.settings.enabled {
            return;
        }
        match seen.method {
            Method::Ja4 => self.host(Pair::HostJa4, record, seen, now, cooldowns, out),
            Method::Ja4t => self.host(Pair::HostJa4t, record, seen, now, cooldowns, out),
            Method::Ja4s => {
                let client = record.history.iter().rev().find(|client| client.method == Method::Ja4);
                if let Some(client) = client
                    && let Some(unusual) = self.see(Pair::Ja4Ja4s, &client.value, record, seen, now)
                {
                    self.tell(Pair::Ja4Ja4s, unusual, &client.value, record, seen, now, cooldowns, out);
                }
            }
            // Further certificates are those of authorities, which change with the server's own.
            Method::Ja4x if seen.count == 1 => {
                let sni = record.attributes.tls.as_ref().and_then(|tls| tls.sni.as_deref());
                if let Some(sni) = sni
                    && let Some(unusual) = self.see(Pair::SniJa4x, sni, record, seen, now)
                {
                    self.tell(Pair::SniJa4x, unusual, sni, record, seen, now, cooldowns, out);
                }
            }
            _ => {}
        }
    }

    fn host(
        &mut self,
        pair: Pair,
        record: &ConnectionRecord,
        seen: &FingerprintRecord,
        now: Time,
        cooldowns: &mut Cooldowns,
        out: &mut Vec<Alert>,
    ) {
        let host = record.identity.client.0;
        if !self.locals.is_empty() && !self.locals.contains(host) {
            return;
        }
        let mut text = [0; MAX_ADDRESS];
        let text = address(host, &mut text);
        if let Some(unusual) = self.see(pair, text, record, seen, now) {
            self.tell(pair, unusual, text, record, seen, now, cooldowns, out);
        }
    }

    /// Takes note of a pair that a fingerprint completes, unless the allowlist keeps it back.
    fn see(
        &mut self,
        pair: Pair,
        anchor: &str,
        record: &ConnectionRecord,
        seen: &FingerprintRecord,
        now: Time,
    ) -> Option<Unusual> {
        let kept_back = |allow: &Allow| allow.covers(RULE, record, Some((seen.method, &*seen.value)));
        self.observe(pair, anchor, &seen.value, now, kept_back)
    }

    /// Takes note of a pair. `Some`: the anchor was observed often enough, and never with this companion. Of one that
    /// `kept_back` leaves in peace no note is taken: it is as unusual for everybody else.
    pub fn observe(
        &mut self,
        pair: Pair,
        anchor: &str,
        companion: &str,
        now: Time,
        kept_back: impl FnOnce(&Allow) -> bool,
    ) -> Option<Unusual> {
        let key = KeyRef { pair, anchor };
        let Some((held, known)) = self.anchors.find_mut(&key, |held| key.is(held)) else {
            let key = Key { pair, anchor: anchor.into() };
            let mut fresh = Anchor::default();
            fresh.add(companion, now);
            fresh.dirty = true;
            self.stats.companions += 1;
            self.insert(key.clone(), fresh);
            self.queue(key);
            return None;
        };
        if !known.dirty {
            known.dirty = true;
            self.dirty.push_back(held.clone());
        }
        if known.again(companion, now) {
            return None;
        }
        let unusual = Unusual { observations: known.observations, companions: known.companions.len() };
        let told = unusual.observations >= self.settings.observations;
        self.stats.unusual += u64::from(told);
        if told && kept_back(&self.allow) {
            return None;
        }
        if known.companions.len() >= self.settings.max_companions.max(1) {
            let rows = known.evict(held, &self.sources);
            wait(&mut self.waiting, &mut self.stats, rows);
            self.stats.evicted_companions += 1;
            self.stats.companions -= 1;
        }
        known.add(companion, now);
        self.stats.companions += 1;
        told.then_some(unusual)
    }

    #[expect(clippy::too_many_arguments, reason = "they are what an alert is made of")]
    fn tell(
        &self,
        pair: Pair,
        unusual: Unusual,
        anchor: &str,
        record: &ConnectionRecord,
        seen: &FingerprintRecord,
        now: Time,
        cooldowns: &mut Cooldowns,
        out: &mut Vec<Alert>,
    ) {
        let Some(suppressed) = cooldowns.check(RULE, &(pair, anchor), now, self.settings.cooldown.0) else {
            return;
        };
        let (host, companion) = pair.words();
        let Unusual { observations, companions } = unusual;
        out.push(Alert {
            time: now,
            packet: seen.packet(),
            rule: Arc::clone(&self.rule),
            description: ArcStr::clone(&self.description),
            severity: self.settings.severity,
            group: vec![("pair".into(), pair.name().into()), ("anchor".into(), anchor.into())],
            reason: format!(
                "{companion} {} was never seen for {host} {anchor}, which was observed {observations} times with {companions} \
                 others; {} observations are enough",
                seen.value, self.settings.observations,
            ),
            flow: Some(record.identity),
            interface: Some(record.interface),
            fingerprint: Some((seen.method, ArcStr::clone(&seen.value))),
            category: None,
            confidence: None,
            suppressed,
        });
    }

    /// Takes at most `max` rows that storage does not have as they are now, but never splits an anchor's: it may
    /// be up to `max_companions` rows more. Called again as long as it fills `max`.
    pub fn drain_dirty(&mut self, max: usize) -> Vec<Row> {
        let mut rows: Vec<Row> = self.waiting.drain(..self.waiting.len().min(max)).collect();
        while rows.len() < max
            && let Some(key) = self.dirty.pop_front()
        {
            if let Some(anchor) = self.anchors.peek_mut(&key, |held| *held == key) {
                anchor.drain(&key, &self.sources, &mut rows);
            }
        }
        rows
    }

    /// Storage may have lost what it was given: [`Self::drain_dirty`] gives all that is held again.
    pub fn store_again(&mut self) {
        self.dirty.clear();
        for (key, anchor) in self.anchors.iter_mut() {
            anchor.soil();
            self.dirty.push_back(key.clone());
        }
    }

    /// Every row held, of every source.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        self.anchors.iter().flat_map(|(key, anchor)| anchor.rows(key, &self.sources))
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> ProfileStats {
        let (anchors, evicted_anchors) = (self.anchors.len() as u64, self.anchors.evicted());
        ProfileStats { anchors, evicted_anchors, ..self.stats }
    }

    fn merge(&mut self, row: Row, dirty: bool) {
        let Some(source) = self.source(&row.source) else {
            self.stats.refused += 1;
            return;
        };
        let key = Key { pair: row.pair, anchor: Arc::clone(&row.anchor) };
        if self.anchors.get_mut(&key).is_none() {
            self.insert(key.clone(), Anchor::default());
        }
        let Some(anchor) = self.anchors.get_mut(&key) else {
            return;
        };
        let known = anchor.companions.len();
        let changed = anchor.merge(&row, source);
        if anchor.companions.len() > self.settings.max_companions.max(1) {
            let rows = anchor.evict(&key, &self.sources);
            wait(&mut self.waiting, &mut self.stats, rows);
            self.stats.evicted_companions += 1;
        } else {
            self.stats.companions += (anchor.companions.len() - known) as u64;
        }
        if !dirty {
            anchor.clean();
        } else if changed && !anchor.dirty {
            anchor.dirty = true;
            self.queue(key);
        }
    }

    fn source(&mut self, id: &Arc<str>) -> Option<u16> {
        let known = self.sources.iter().position(|known| known == id);
        let place = known.or_else(|| {
            let room = self.sources.len() < MAX_SOURCES;
            room.then(|| {
                self.sources.push(Arc::clone(id));
                self.sources.len() - 1
            })
        });
        place.and_then(|place| u16::try_from(place).ok())
    }

    fn insert(&mut self, key: Key, anchor: Anchor) {
        if let Some((key, mut gone)) = self.anchors.insert(key, anchor) {
            self.stats.companions -= gone.companions.len() as u64;
            let mut rows = Vec::new();
            gone.drain(&key, &self.sources, &mut rows);
            wait(&mut self.waiting, &mut self.stats, rows);
        }
    }

    fn queue(&mut self, key: Key) {
        self.dirty.push_back(key);
        if self.dirty.len() > 2 * self.settings.max_anchors {
            let anchors = &self.anchors;
            self.dirty.retain(|key| anchors.peek(key, |held| held == key).is_some_and(|(_, anchor)| anchor.dirty));
        }
    }
}

fn wait(waiting: &mut VecDeque<Row>, stats: &mut ProfileStats, rows: Vec<Row>) {
    for row in rows {
        if waiting.len() < MAX_WAITING {
            waiting.push_back(row);
        } else {
            stats.unsaved += 1;
        }
    }
}

/// Longest text of an address: an IPv6 one with an embedded IPv4 one.
const MAX_ADDRESS: usize = 45;

/// An address as text, without allocation.
fn address(address: IpAddr, text: &mut [u8; MAX_ADDRESS]) -> &str {
    use std::io::Write as _;
    let mut rest = &mut text[..];
    // It fits: both forms are at most MAX_ADDRESS long.
    let _ = write!(rest, "{address}");
    let left = rest.len();
    text.get(..MAX_ADDRESS - left).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
