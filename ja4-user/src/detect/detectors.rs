//! The state of all detectors, in parts that are locked separately.
//!
//! What several connections have in common is kept here: first-seen values, the state of the built-in rules, behaviour
//! profiles, the windows of threshold rules, and cooldowns. Each piece of state has a key, such as a value, a client or a
//! group of a rule, and belongs to the part that the hash of its key selects. Threads that evaluate different keys rarely
//! meet at a lock, and events of one key are evaluated one after another.
//!
//! A [`Signal`] asks for one evaluation. A live shard runs the signals of an event at once. A replay runs those of a batch
//! part by part, each part in the order of the packets, so that its results do not depend on the number of threads.

use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::SeedableRandomState;

use super::builtin::{BuiltinEvent, BuiltinOutcome, BuiltinRule, BuiltinRules, BuiltinStats};
use super::content::DetectionContent;
use super::cooldown::{self, CooldownStats, Cooldowns};
use super::first_seen::{FirstSeen, FirstSeenFact, FirstSeenScope, FirstSeenSettings, FirstSeenStats, LearningPeriod};
use super::local_networks::LocalNetworks;
use super::profile::{ProfileRow, ProfileStats, Profiles, profile_hash, profile_hash_of};
use super::rules::{GroupLimits, RuleEngineStats, RuleMatch, RuleMatcher, RuleWindows, stats_of};
use crate::model::{AddCounters, Alert, InterfaceNames, Method, Time};

/// Most parts: several for each thread, so that two threads rarely need the same one.
const MAX_PARTS: usize = 32;

/// Least bound of a table in one part. A table with a smaller bound evicts the least recently used entry of all, not of a
/// part.
const MIN_ENTRIES: usize = 1024;

/// One part of the state.
#[derive(Debug)]
pub(crate) struct Detector {
    pub(crate) first_seen: FirstSeen,
    pub(crate) builtin: BuiltinRules,
    pub(crate) profiles: Profiles,
    pub(crate) windows: RuleWindows,
    pub(crate) cooldowns: Cooldowns,
}

/// One evaluation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Evaluation {
    /// A built-in rule.
    Builtin(BuiltinRule),
    /// The behaviour profile of a fingerprint.
    Profile,
    /// A threshold rule.
    Rule(RuleMatch),
}

/// An evaluation and the part that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signal {
    pub(crate) part: u8,
    pub(crate) evaluation: Evaluation,
}

impl Detector {
    /// Runs an evaluation.
    pub(crate) fn evaluate(
        &mut self,
        evaluation: Evaluation,
        event: &BuiltinEvent<'_>,
        matcher: &RuleMatcher,
    ) -> Option<BuiltinOutcome> {
        let Self { builtin, profiles, windows, cooldowns, .. } = self;
        match evaluation {
            Evaluation::Builtin(rule) => builtin.evaluate(rule, event, cooldowns),
            Evaluation::Profile => {
                let alert = profiles.fingerprint(event.record, event.seen?, event.now, cooldowns)?;
                Some(BuiltinOutcome::Alert(Alert { packet: event.packet, ..alert }))
            }
            Evaluation::Rule(found) => {
                let fired = windows.add(found, event.now)?;
                let at = (event.now, event.packet);
                matcher.alert(found.rule, event.record, event.seen, at, fired).map(BuiltinOutcome::Alert)
            }
        }
    }
}

/// The content that rules are evaluated with, and what is derived from it.
#[derive(Debug)]
pub struct ActiveContent {
    pub(crate) content: DetectionContent,
    pub(crate) matcher: RuleMatcher,
}

/// The state of all detectors.
#[derive(Debug)]
pub(crate) struct Detectors {
    parts: Box<[Mutex<Detector>]>,
    hasher: SeedableRandomState,
    scope: FirstSeenScope,
    learning: Arc<LearningPeriod>,
    locals: LocalNetworks,
}

/// The counters of all parts.
#[derive(Debug, Default)]
pub(crate) struct DetectorStats {
    pub(crate) first_seen: FirstSeenStats,
    pub(crate) builtin: BuiltinStats,
    pub(crate) profiles: ProfileStats,
    pub(crate) rules: RuleEngineStats,
    pub(crate) cooldowns: CooldownStats,
}

impl Detectors {
    /// Returns detectors without history, and their content. `own` is the source of this sensor's profile pairs. The parts
    /// of a replay do not depend on a random number.
    pub(crate) fn new(
        (settings, rule_groups): (&FirstSeenSettings, GroupLimits),
        locals: LocalNetworks,
        learning_since: Option<Time>,
        own: &Arc<str>,
        content: DetectionContent,
        interfaces: Arc<InterfaceNames>,
        is_replay: bool,
    ) -> (Self, ActiveContent) {
        let hasher = if is_replay { SeedableRandomState::fixed() } else { SeedableRandomState::random() };
        let least = settings.max_values.min(settings.max_host_values).min(content.profiles.max_keys);
        let parts = (least / MIN_ENTRIES).clamp(1, MAX_PARTS);
        let learning = Arc::new(LearningPeriod::new(settings.learning, learning_since));
        let scope = FirstSeenScope::new(settings, locals.clone());
        let limits = rule_groups.part(parts);
        let part = |_| {
            let allowlist = || Arc::clone(&content.allowlist);
            let own = Arc::clone(own);
            Mutex::new(Detector {
                first_seen: FirstSeen::part(settings, scope.clone(), Arc::clone(&learning), parts),
                builtin: BuiltinRules::part(content.builtin.clone(), allowlist(), parts),
                profiles: Profiles::part(&content.profiles, locals.clone(), own, allowlist(), parts),
                windows: RuleWindows::new(&content.rules, limits),
                cooldowns: Cooldowns::new(cooldown::MAX_COOLDOWNS.div_ceil(parts)),
            })
        };
        let parts = (0..parts).map(part).collect();
        let matcher = RuleMatcher::new(&content.rules, Arc::clone(&content.allowlist), interfaces, hasher.clone());
        (Self { parts, hasher, scope, learning, locals }, ActiveContent { content, matcher })
    }

    /// The number of parts.
    pub(crate) const fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The learning period.
    pub(crate) fn learning(&self) -> &LearningPeriod {
        &self.learning
    }

    /// Which sightings are tracked.
    pub(crate) const fn scope(&self) -> &FirstSeenScope {
        &self.scope
    }

    /// Locks a part.
    #[expect(clippy::indexing_slicing, reason = "signals name existing parts")]
    pub(crate) fn part(&self, part: u8) -> MutexGuard<'_, Detector> {
        // A panic ends the run.
        self.parts[usize::from(part)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an evaluation in its part.
    pub(crate) fn evaluate(
        &self,
        signal: Signal,
        event: &BuiltinEvent<'_>,
        matcher: &RuleMatcher,
    ) -> Option<BuiltinOutcome> {
        self.part(signal.part).evaluate(signal.evaluation, event, matcher)
    }

    fn part_of(&self, hash: u64) -> u8 {
        // The high bits: the tables of a part are indexed by other hashes, but group hashes are used in both.
        ((u128::from(hash) * self.parts.len() as u128) >> 64) as u8
    }

    /// The part of a value of the network, or of a host.
    pub(crate) fn value_part(&self, method: Method, value: &str, host: Option<IpAddr>) -> u8 {
        self.part_of(self.hasher.hash_one((method, host, value)))
    }

    /// Calls `found` with each evaluation that a fingerprint or the end of a connection asks for.
    pub(crate) fn signals(&self, active: &ActiveContent, event: &BuiltinEvent<'_>, mut found: impl FnMut(Signal)) {
        let ActiveContent { content, matcher } = active;
        content.builtin.concerned(event, &self.hasher, |rule, hash| {
            found(Signal { part: self.part_of(hash), evaluation: Evaluation::Builtin(rule) });
        });
        if let Some(seen) = event.seen
            && let Some(hash) = profile_hash(&content.profiles, &self.locals, event.record, seen, &self.hasher)
        {
            found(Signal { part: self.part_of(hash), evaluation: Evaluation::Profile });
        }
        matcher.matches(event.record, event.seen, |one| found(self.rule_signal(one)));
    }

    /// The signal of a match of a threshold rule.
    pub(crate) fn rule_signal(&self, found: RuleMatch) -> Signal {
        let part = self.part_of(self.hasher.hash_one((found.rule, found.group)));
        Signal { part, evaluation: Evaluation::Rule(found) }
    }

    /// Calls `act` with each part in turn.
    pub(crate) fn each(&self, mut act: impl FnMut(&mut Detector)) {
        for part in &self.parts {
            act(&mut part.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Replaces rules and settings. Unchanged rules keep their windows and profiles.
    pub(crate) fn reload(&self, content: &DetectionContent) {
        self.each(|part| {
            let allowlist = || Arc::clone(&content.allowlist);
            part.windows.reload(&content.rules);
            part.builtin.reload(content.builtin.clone(), allowlist());
            part.profiles.reload(&content.profiles, allowlist());
        });
    }

    /// Loads stored rows before the first event, best in the order of their last sightings.
    pub(crate) fn load(&self, first_seen: Vec<FirstSeenFact>, profiles: Vec<ProfileRow>) {
        for (part, (first_seen, profiles)) in self.deal(first_seen, profiles) {
            let mut part = self.part(part);
            part.first_seen.load(first_seen);
            part.profiles.load(profiles);
        }
    }

    /// Restores stored rows after the start of the run. `own` is the source of this sensor's profile pairs.
    pub(crate) fn restore(&self, own: &Arc<str>, first_seen: Vec<FirstSeenFact>, profiles: Vec<ProfileRow>) {
        for (part, (first_seen, profiles)) in self.deal(first_seen, profiles) {
            let mut part = self.part(part);
            part.first_seen.restore(first_seen);
            part.profiles.restore(Arc::clone(own), profiles);
        }
    }

    /// Distributes rows over the parts.
    fn deal(
        &self,
        first_seen: Vec<FirstSeenFact>,
        profiles: Vec<ProfileRow>,
    ) -> impl Iterator<Item = (u8, (Vec<FirstSeenFact>, Vec<ProfileRow>))> {
        let mut parts: Vec<(Vec<_>, Vec<_>)> = (0..self.parts.len()).map(|_| Default::default()).collect();
        for row in first_seen {
            let part = self.value_part(row.method, &row.value, row.host);
            if let Some((rows, _)) = parts.get_mut(usize::from(part)) {
                rows.push(row);
            }
        }
        for row in profiles {
            let part = self.part_of(profile_hash_of(row.pair, &row.key, &self.hasher));
            if let Some((_, rows)) = parts.get_mut(usize::from(part)) {
                rows.push(row);
            }
        }
        (0..).zip(parts)
    }

    /// The counters.
    pub(crate) fn stats(&self, active: &ActiveContent, now: Time) -> DetectorStats {
        let mut all = DetectorStats::default();
        self.each(|part| {
            all.first_seen.add(&part.first_seen.stats(now));
            all.builtin.add(&part.builtin.stats());
            all.profiles.add(&part.profiles.stats());
            all.cooldowns.add(&part.cooldowns.stats());
        });
        all.first_seen.learning_left_s = self.learning.left(now).0.as_secs();
        let parts: Vec<_> = self.parts.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner)).collect();
        all.rules = stats_of(&active.matcher, parts.iter().map(|part| &part.windows));
        all
    }
}
