//! Evaluation of threshold rules on the events of the engine.

use std::hash::{BuildHasher, Hash, Hasher};
use std::mem;
use std::sync::Arc;

use arcstr::ArcStr;
use foldhash::quality::RandomState;

use super::condition::RuleCondition;
use super::definition::{RuleDefinition, RuleEvent, RuleMeasure, RuleThreshold};
use super::groups::{GroupLimits, GroupOutcome, RuleGroups};
use super::rule_set::RuleSet;
use super::stats::{RuleEngineStats, RuleStats};
use super::window::{WindowMeasure, WindowSpec};
use crate::detect::allowlist::Allowlist;
use crate::model::field::{Field, FieldValue, Known, Subject, bit};
use crate::model::{AddCounters, Alert, ConnectionRecord, FingerprintRecord, Method, Time};
use crate::units::HumanDuration;

/// The rules in force with their windows.
#[derive(Debug)]
pub struct RuleEngine {
    rules: Vec<RuleState>,
    plan: RulePlan,
    allowlist: Arc<Allowlist>,
    interfaces: Vec<String>,
    limits: GroupLimits,
    hasher: RandomState,
    /// Counters of rules that a reload removed.
    removed: RuleStats,
}

#[derive(Debug)]
struct RuleState {
    definition: Arc<RuleDefinition>,
    /// Conditions, cheap ones first, without those on the fingerprint's method, which the plan has checked.
    checks: Vec<RuleCondition>,
    names: Vec<Arc<str>>,
    shape: WindowSpec,
    cooldown: u64,
    groups: RuleGroups,
    stats: RuleStats,
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
}

impl RuleEngine {
    /// Returns an engine without history.
    #[must_use]
    pub fn new(set: RuleSet, allowlist: Arc<Allowlist>, limits: GroupLimits) -> Self {
        let rules: Vec<_> = set.rules.into_iter().map(|rule| RuleState::new(rule, limits)).collect();
        Self {
            plan: RulePlan::of(&rules),
            rules,
            allowlist,
            interfaces: Vec::new(),
            limits,
            hasher: RandomState::default(),
            removed: RuleStats::default(),
        }
    }

    /// Sets the names of the interfaces, by the index in records.
    pub(crate) fn set_interfaces(&mut self, names: Vec<String>) {
        self.interfaces = names;
    }

    /// Replaces rules and allowlist. Rules of the same name that count the same keep their windows and cooldowns.
    pub fn reload(&mut self, set: RuleSet, allowlist: Arc<Allowlist>) {
        let mut former = mem::take(&mut self.rules);
        for definition in set.rules {
            let mut rule = RuleState::new(definition, self.limits);
            let same = |old: &RuleState| old.definition.name == rule.definition.name;
            if let Some(at) = former.iter().position(same) {
                let old = former.swap_remove(at);
                rule.stats = old.stats();
                if old.definition.counts_like(&rule.definition) {
                    rule.groups = old.groups;
                    rule.stats.evicted -= rule.groups.evicted();
                    rule.stats.restarted -= rule.groups.restarted();
                }
            }
            self.rules.push(rule);
        }
        for old in former {
            self.removed.add(&RuleStats { groups: 0, bytes: 0, ..old.stats() });
        }
        self.plan = RulePlan::of(&self.rules);
        self.allowlist = allowlist;
    }

    /// Evaluates the rules on an event of a connection; alerts are appended to `out`.
    ///
    /// The caller calls it for every connection
    /// - when its record is created (`event` and `record.ended` are `None`),
    /// - for each fingerprint, once it is labelled and in the record's history (`event`),
    /// - when it has ended (`event` is `None`, `record.ended` is not).
    ///
    /// If a connection's first event is its end, it gets both calls. `now` is the time of windows, cooldowns and the alert.
    /// `packet` is the packet number in a replay.
    ///
    /// At the end of a capture, open connections should be passed in the order of their last packets with those times as
    /// `now`; else all of them would be in one window.
    pub fn evaluate(
        &mut self,
        record: &ConnectionRecord,
        event: Option<&FingerprintRecord>,
        now: Time,
        packet: Option<u64>,
        out: &mut Vec<Alert>,
    ) {
        let Self { rules, plan, allowlist, interfaces, hasher, .. } = self;
        let subject = Subject::of_record(record, event, interfaces);
        let connection = Subject { seen: None, ..subject };
        let mut context = RuleContext { record, allowlist, hasher, now, packet, grown: false, out };
        let mut run = |at: &usize, subject: &Subject<'_>| {
            if let Some(rule) = rules.get_mut(*at) {
                rule.observe(subject, &mut context);
            }
        };
        match event {
            Some(seen) => {
                let rules_of_method = plan.fingerprint.get(seen.method as usize);
                rules_of_method.into_iter().flatten().for_each(|at| run(at, &subject));
                if seen.count == 1 && !plan.with.is_empty() {
                    let earlier = record.history.iter().filter(|other| other.method != seen.method || other.count > 1);
                    let before = earlier.fold(0, |bits, seen| bits | bit(seen.method));
                    let after = before | bit(seen.method);
                    let complete = |sets: &[u16], bits| sets.iter().all(|set| set & bits != 0);
                    let due = plan.with.iter().filter(|(_, sets)| !complete(sets, before) && complete(sets, after));
                    due.for_each(|(at, _)| run(at, &connection));
                }
            }
            None if record.ended.is_none() => plan.start.iter().for_each(|at| run(at, &connection)),
            None => {
                plan.end.iter().for_each(|at| run(at, &connection));
                if !plan.with.is_empty() {
                    let had = record.history.iter().fold(0, |bits, seen| bits | bit(seen.method));
                    let remaining = plan.with.iter().filter(|(_, sets)| sets.iter().any(|set| set & had == 0));
                    remaining.for_each(|(at, _)| run(at, &connection));
                }
            }
        }
        if context.grown {
            self.enforce_limits(now);
        }
    }

    /// Evicts groups of the rule with the most memory until all rules are within the limit, so that a flood of groups of
    /// one rule evicts no windows of other rules.
    fn enforce_limits(&mut self, now: Time) {
        while self.rules.iter().map(|rule| rule.groups.bytes()).sum::<usize>() > self.limits.bytes {
            let largest = self.rules.iter_mut().max_by_key(|rule| rule.groups.bytes());
            if !largest.is_some_and(|rule| rule.groups.evict(&rule.shape, now.0)) {
                break;
            }
        }
    }

    /// The counters of all rules.
    #[must_use]
    pub fn stats(&self) -> RuleEngineStats {
        let mut total = self.removed;
        self.rules.iter().for_each(|rule| total.add(&rule.stats()));
        let by_rule = self.rule_stats().map(|(rule, stats)| (Arc::clone(&rule.name), stats)).collect();
        RuleEngineStats { rules: self.rules.len() as u64, total, by_rule }
    }

    /// The counters of each rule.
    pub(crate) fn rule_stats(&self) -> impl Iterator<Item = (&RuleDefinition, RuleStats)> {
        self.rules.iter().map(|rule| (&*rule.definition, rule.stats()))
    }
}

/// The event that a rule is evaluated on, and where its alert goes.
struct RuleContext<'a> {
    record: &'a ConnectionRecord,
    allowlist: &'a Allowlist,
    hasher: &'a RandomState,
    now: Time,
    packet: Option<u64>,
    /// A rule uses more memory than before.
    grown: bool,
    out: &'a mut Vec<Alert>,
}

impl RuleState {
    fn new(definition: Arc<RuleDefinition>, limits: GroupLimits) -> Self {
        let mut checks = definition.conditions.clone();
        if definition.on == RuleEvent::Fingerprint {
            checks.retain(|condition| condition.field != Field::FingerprintType);
        }
        checks.sort_by_key(RuleCondition::cost);
        Self {
            checks,
            names: definition.group_by.iter().map(|field| field.name().into()).collect(),
            shape: WindowSpec::new(
                definition.window,
                definition.mode,
                definition.measure,
                definition.threshold.needed(),
            ),
            cooldown: u64::try_from(definition.cooldown.as_nanos()).unwrap_or(u64::MAX),
            groups: RuleGroups::new(limits.groups),
            stats: RuleStats::default(),
            definition,
        }
    }

    fn stats(&self) -> RuleStats {
        RuleStats {
            evicted: self.stats.evicted + self.groups.evicted(),
            restarted: self.stats.restarted + self.groups.restarted(),
            groups: self.groups.len() as u64,
            bytes: self.groups.bytes() as u64,
            ..self.stats
        }
    }

    /// Counts an event, if the conditions hold.
    fn observe(&mut self, subject: &Subject<'_>, context: &mut RuleContext<'_>) {
        if !self.checks.iter().all(|check| check.holds(&check.field.get(subject))) {
            return;
        }
        self.stats.matched += 1;
        let fingerprint = subject.seen.map(|seen| (seen.method, &*seen.value));
        if context.allowlist.suppresses(&self.definition.name, context.record, fingerprint) {
            self.stats.allowlisted += 1;
            return;
        }
        let Some((group, what)) = self.keys(subject, context.hasher) else {
            self.stats.ungrouped += 1;
            return;
        };
        let before = self.groups.bytes();
        match self.groups.add(&self.shape, self.cooldown, group, (context.now.0, what)) {
            GroupOutcome::Below => {}
            GroupOutcome::Late => self.stats.late += 1,
            GroupOutcome::Suppressed => self.stats.suppressed += 1,
            GroupOutcome::Fires { measured, suppressed } => {
                self.stats.fired += 1;
                context.out.push(self.alert(subject, context, measured, suppressed));
            }
        }
        context.grown |= self.groups.bytes() > before;
    }

    /// Returns hashes of the group and of the value that is counted; `None`: a field has no value.
    fn keys(&self, subject: &Subject<'_>, hasher: &RandomState) -> Option<(u64, u64)> {
        let mut group = hasher.build_hasher();
        for field in &self.definition.group_by {
            match field.get(subject) {
                FieldValue::Absent => return None,
                value => value.hash(&mut group),
            }
        }
        let what = match self.definition.measure {
            RuleMeasure::Count => 0,
            RuleMeasure::CountDistinct(field) => match field.get(subject) {
                FieldValue::Absent => return None,
                value => hasher.hash_one(value),
            },
        };
        Some((group.finish(), what))
    }

    #[cold]
    fn alert(
        &self,
        subject: &Subject<'_>,
        context: &RuleContext<'_>,
        measured: WindowMeasure,
        suppressed: u64,
    ) -> Alert {
        let RuleDefinition { name, description, severity, group_by, .. } = &*self.definition;
        let text = |field: &Field| Arc::from(field.get(subject).to_string());
        let record = context.record;
        let fingerprint = subject.seen.map(|seen| (seen.method, ArcStr::clone(&seen.value)));
        Alert {
            time: context.now,
            packet: context.packet,
            rule: Arc::clone(name),
            description: ArcStr::clone(description),
            severity: *severity,
            group: self.names.iter().cloned().zip(group_by.iter().map(text)).collect(),
            reason: self.reason(subject, measured),
            flow: Some(record.identity),
            interface: Some(record.interface),
            fingerprint,
            category: None,
            confidence: None,
            suppressed,
        }
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
    fn of(rules: &[RuleState]) -> Self {
        let mut plan = Self::default();
        for (at, RuleState { definition, .. }) in rules.iter().enumerate() {
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

#[cfg(test)]
mod tests;
