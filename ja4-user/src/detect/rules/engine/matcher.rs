//! Matching of rules: which rules an event of a connection matches, and the group that each of them counts it in.
//!
//! Matching needs one connection alone; counting, in [`RuleWindows`](super::RuleWindows), needs all of a group.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arcstr::ArcStr;
use foldhash::quality::SeedableRandomState;

use super::super::condition::RuleCondition;
use super::super::definition::{RuleDefinition, RuleEvent, RuleMeasure, RuleThreshold};
use super::super::rule_set::RuleSet;
use super::super::stats::RuleStats;
use super::super::window::WindowMeasure;
use crate::detect::allowlist::Allowlist;
use crate::model::field::{Field, FieldValue, Known, Subject, bit};
use crate::model::{AddCounters, Alert, ConnectionRecord, FingerprintRecord, InterfaceNames, Method, Time};
use crate::units::HumanDuration;

/// The rules in force, without their windows.
#[derive(Debug)]
pub struct RuleMatcher {
    rules: Vec<MatcherRule>,
    plan: RulePlan,
    allowlist: Arc<Allowlist>,
    interfaces: Arc<InterfaceNames>,
    hasher: SeedableRandomState,
    /// Counters of rules that a reload removed.
    removed: RuleStats,
}

#[derive(Debug)]
struct MatcherRule {
    definition: Arc<RuleDefinition>,
    /// Conditions, cheap ones first, without those on the fingerprint's method, which the plan has checked.
    checks: Vec<RuleCondition>,
    names: Vec<Arc<str>>,
    counters: Arc<MatchCounters>,
}

/// Matches that no window counts. They are rare.
#[derive(Debug, Default)]
struct MatchCounters {
    ungrouped: AtomicU64,
    allowlisted: AtomicU64,
}

/// A match: an event that a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleMatch {
    /// Index of the rule.
    pub rule: u16,
    /// Hash of the group.
    pub group: u64,
    /// Hash of the value that is counted; 0 if events are counted.
    pub counted: u64,
}

/// The indices of the rules to evaluate for each kind of event.
#[derive(Debug, Default)]
struct RulePlan {
    /// By method.
    fingerprint: [Vec<usize>; Method::ALL.len()],
    /// At the start of a connection.
    start: Vec<usize>,
    /// As soon as a connection has a fingerprint of each of these sets of methods.
    with: Vec<(usize, Vec<u16>)>,
    /// At the end of a connection.
    end: Vec<usize>,
    /// At the end of a connection, if they are about its alerts: these are known after all other rules were evaluated.
    alerts: Vec<usize>,
}

impl RuleMatcher {
    /// Returns a matcher of these rules. `interfaces` are names by the index in records.
    #[must_use]
    pub fn new(
        set: &RuleSet,
        allowlist: Arc<Allowlist>,
        interfaces: Arc<InterfaceNames>,
        hasher: SeedableRandomState,
    ) -> Self {
        let rules: Vec<_> = set.rules.iter().map(MatcherRule::new).collect();
        Self { plan: RulePlan::of(&rules), rules, allowlist, interfaces, hasher, removed: RuleStats::default() }
    }

    /// Returns a matcher of other rules. Groups have the same hashes, and rules of the same name keep their counters.
    #[must_use]
    pub fn reloaded(&self, set: &RuleSet, allowlist: Arc<Allowlist>) -> Self {
        let mut next = Self::new(set, allowlist, Arc::clone(&self.interfaces), self.hasher.clone());
        next.removed = self.removed;
        for old in &self.rules {
            match next.rules.iter_mut().find(|rule| rule.definition.name == old.definition.name) {
                Some(rule) => rule.counters = Arc::clone(&old.counters),
                None => next.removed.add(&old.stats()),
            }
        }
        next
    }

    /// Whether a rule is about the alerts of a connection: see [`Self::alert_matches`].
    #[must_use]
    pub fn has_alert_rules(&self) -> bool {
        !self.plan.alerts.is_empty()
    }

    /// Calls `found` for each rule that counts a connection when it starts.
    pub fn start_matches(&self, record: &ConnectionRecord, mut found: impl FnMut(RuleMatch)) {
        let subject = Subject::of_record(record, None, Some(&self.interfaces));
        self.plan.start.iter().filter_map(|at| self.one(*at, &subject, record)).for_each(&mut found);
    }

    /// Calls `found` for each rule that counts a later event of a connection.
    ///
    /// The caller calls it
    /// - for each fingerprint, once it is labelled and in the record's history (`event`),
    /// - when the connection has ended (`event` is `None`).
    pub fn matches(
        &self,
        record: &ConnectionRecord,
        event: Option<&FingerprintRecord>,
        mut found: impl FnMut(RuleMatch),
    ) {
        let plan = &self.plan;
        let subject = Subject::of_record(record, event, Some(&self.interfaces));
        let connection = Subject { seen: None, ..subject };
        let mut run = |at: usize, subject: &Subject<'_>| {
            if let Some(one) = self.one(at, subject, record) {
                found(one);
            }
        };
        match event {
            Some(seen) => {
                let rules_of_method = plan.fingerprint.get(seen.method as usize);
                rules_of_method.into_iter().flatten().for_each(|at| run(*at, &subject));
                if seen.count() == 1 && !plan.with.is_empty() {
                    let earlier =
                        record.history.iter().filter(|other| other.method != seen.method || other.count() > 1);
                    let before = earlier.fold(0, |bits, seen| bits | bit(seen.method));
                    let after = before | bit(seen.method);
                    let complete = |sets: &[u16], bits| sets.iter().all(|set| set & bits != 0);
                    let due = plan.with.iter().filter(|(_, sets)| !complete(sets, before) && complete(sets, after));
                    due.for_each(|(at, _)| run(*at, &connection));
                }
            }
            None => {
                plan.end.iter().for_each(|at| run(*at, &connection));
                if !plan.with.is_empty() {
                    let had = record.history.iter().fold(0, |bits, seen| bits | bit(seen.method));
                    let remaining = plan.with.iter().filter(|(_, sets)| sets.iter().any(|set| set & had == 0));
                    remaining.for_each(|(at, _)| run(*at, &connection));
                }
            }
        }
    }

    /// Calls `found` for each rule about alerts that counts a connection. It has ended, and its alerts are in the record.
    pub fn alert_matches(&self, record: &ConnectionRecord, found: impl FnMut(RuleMatch)) {
        let subject = Subject::of_record(record, None, Some(&self.interfaces));
        self.plan.alerts.iter().filter_map(|at| self.one(*at, &subject, record)).for_each(found);
    }

    /// Returns the match of a rule, if it counts the event.
    fn one(&self, at: usize, subject: &Subject<'_>, record: &ConnectionRecord) -> Option<RuleMatch> {
        let rule = self.rules.get(at)?;
        if !rule.checks.iter().all(|check| check.holds(&check.field.get(subject))) {
            return None;
        }
        let fingerprint = subject.seen.map(|seen| (seen.method, &*seen.value.text));
        if self.allowlist.suppresses(&rule.definition.name, record, fingerprint) {
            rule.counters.allowlisted.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let found =
            rule.group(subject, &self.hasher).map(|(group, counted)| RuleMatch { rule: at as u16, group, counted });
        if found.is_none() {
            rule.counters.ungrouped.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    /// Returns the alert of a rule that fired on a match.
    #[cold]
    pub(crate) fn alert(
        &self,
        rule: u16,
        record: &ConnectionRecord,
        event: Option<&FingerprintRecord>,
        (now, packet): (Time, Option<u64>),
        (measured, suppressed): (WindowMeasure, u64),
    ) -> Option<Alert> {
        let rule = self.rules.get(usize::from(rule))?;
        let RuleDefinition { name, sid, description, severity, group_by, on, .. } = &*rule.definition;
        let event = event.filter(|_| *on == RuleEvent::Fingerprint);
        let subject = &Subject::of_record(record, event, Some(&self.interfaces));
        let text = |field: &Field| Arc::from(field.get(subject).to_string());
        Some(Alert {
            time: now,
            packet,
            rule: Arc::clone(name),
            sid: *sid,
            description: ArcStr::clone(description),
            severity: *severity,
            group: rule.names.iter().cloned().zip(group_by.iter().map(text)).collect(),
            reason: rule.reason(subject, measured),
            flow: Some(record.identity),
            interface: Some(record.interface),
            fingerprint: event.map(|seen| (seen.method, ArcStr::clone(&seen.value.text))),
            category: None,
            confidence: None,
            suppressed,
        })
    }

    /// The rules.
    pub(crate) fn definitions(&self) -> impl Iterator<Item = &RuleDefinition> {
        self.rules.iter().map(|rule| &*rule.definition)
    }

    /// The rules, each with the counters of matches that no window counts.
    pub(crate) fn counted(&self) -> impl Iterator<Item = (&RuleDefinition, RuleStats)> {
        self.rules.iter().map(|rule| (&*rule.definition, rule.stats()))
    }

    /// The sum of these counters of rules that a reload removed.
    pub(crate) const fn removed(&self) -> &RuleStats {
        &self.removed
    }
}

impl MatcherRule {
    fn new(definition: &Arc<RuleDefinition>) -> Self {
        let mut checks = definition.conditions.clone();
        if definition.on == RuleEvent::Fingerprint {
            checks.retain(|condition| condition.field != Field::FingerprintType);
        }
        checks.sort_by_key(RuleCondition::cost);
        Self {
            checks,
            names: definition.group_by.iter().map(|field| field.name().into()).collect(),
            definition: Arc::clone(definition),
            counters: Arc::default(),
        }
    }

    fn stats(&self) -> RuleStats {
        let MatchCounters { ungrouped, allowlisted } = &*self.counters;
        let [ungrouped, allowlisted] = [ungrouped, allowlisted].map(|counter| counter.load(Ordering::Relaxed));
        RuleStats { matched: ungrouped + allowlisted, ungrouped, allowlisted, ..RuleStats::default() }
    }

    /// Returns hashes of the group and of the value that is counted; `None`: a field has no value.
    fn group(&self, subject: &Subject<'_>, hasher: &SeedableRandomState) -> Option<(u64, u64)> {
        let mut group = hasher.build_hasher();
        for field in &self.definition.group_by {
            match field.get(subject) {
                FieldValue::Absent => return None,
                value => value.hash(&mut group),
            }
        }
        let counted = match self.definition.measure {
            RuleMeasure::Count => 0,
            RuleMeasure::CountDistinct(field) => match field.get(subject) {
                FieldValue::Absent => return None,
                value => hasher.hash_one(value),
            },
        };
        Some((group.finish(), counted))
    }

    /// Returns the measure and the threshold: `21 different dest_ip within 5m (threshold: more than 20), the last 10.0.0.21`.
    /// Text from the wire is last, as it may be long.
    fn reason(&self, subject: &Subject<'_>, measured: WindowMeasure) -> String {
        let RuleDefinition { on, measure, threshold, window, .. } = &*self.definition;
        let number = match measured {
            WindowMeasure::Below => String::new(),
            WindowMeasure::Exactly(number) => number.to_string(),
            WindowMeasure::AtLeast(number) => format!("at least {number}"),
        };
        let counted = match (measure, on) {
            (RuleMeasure::Count, RuleEvent::Connection) => "connections".to_owned(),
            (RuleMeasure::Count, RuleEvent::Fingerprint) => "fingerprints".to_owned(),
            (RuleMeasure::CountDistinct(field), _) => format!("different {}", field.name()),
        };
        let last = match measure {
            RuleMeasure::Count => String::new(),
            RuleMeasure::CountDistinct(field) => format!(", the last {}", field.get(subject)),
        };
        let threshold = match threshold {
            RuleThreshold::MoreThan(number) => format!("more than {number}"),
            RuleThreshold::AtLeast(number) => format!("at least {number}"),
        };
        format!("{number} {counted} within {} (threshold: {threshold}){last}", HumanDuration(*window))
    }
}

impl RulePlan {
    fn of(rules: &[MatcherRule]) -> Self {
        let mut plan = Self::default();
        for (at, MatcherRule { definition, .. }) in rules.iter().enumerate() {
            match definition.on {
                RuleEvent::Fingerprint => {
                    for (method, list) in Method::ALL.into_iter().zip(&mut plan.fingerprint) {
                        let name = FieldValue::Text(method.name());
                        let mut of_type =
                            definition.conditions.iter().filter(|condition| condition.field == Field::FingerprintType);
                        if of_type.all(|condition| condition.holds(&name)) {
                            list.push(at);
                        }
                    }
                }
                RuleEvent::Connection => match required_methods(definition) {
                    None if definition.fields().any(|field| field == Field::Alerts) => plan.alerts.push(at),
                    None => plan.end.push(at),
                    Some(sets) if sets.is_empty() => plan.start.push(at),
                    Some(sets) => plan.with.push((at, sets)),
                },
            }
        }
        plan
    }
}

/// Returns the sets of methods of each of which a connection must have a fingerprint before a rule can count it; `None`: the
/// connection must have ended.
fn required_methods(definition: &RuleDefinition) -> Option<Vec<u16>> {
    let mut sets = Vec::new();
    for field in definition.fields() {
        match field.known() {
            Known::Start => {}
            Known::With(methods) => sets.push(methods),
            Known::End | Known::Fingerprint => return None,
        }
    }
    sets.sort_unstable();
    sets.dedup();
    Some(sets)
}
