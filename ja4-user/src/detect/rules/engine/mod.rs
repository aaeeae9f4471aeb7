//! Evaluation of rules over what the engine's thread sees.

use std::hash::{BuildHasher, Hash, Hasher};
use std::mem;
use std::sync::Arc;

use arcstr::ArcStr;
use foldhash::quality::RandomState;

use super::Condition;
use super::definition::{Definition, Measure, On, Threshold};
use super::groups::{Bounds, Groups, Outcome};
use super::set::RuleSet;
use super::window::{Measured, Shape};
use crate::detect::Allow;
use crate::model::field::{Field, Known, Subject, Value, bit};
use crate::model::{Alert, ConnectionRecord, FingerprintRecord, Method, Time};
use crate::units::Span;

/// The rules in force, with their windows.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    plan: Plan,
    allow: Arc<Allow>,
    interfaces: Vec<String>,
    bounds: Bounds,
    hasher: RandomState,
    /// Counts of rules that are gone.
    gone: RuleStats,
}

/// What a rule has done, or all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleStats {
    /// Connections or fingerprints that its conditions held for.
    pub matched: u64,
    /// Those of them that lacked a value to group by or to count the different ones of.
    pub ungrouped: u64,
    /// Those of them that the allowlist left out.
    pub allowed: u64,
    /// Those of them that came too late for their window.
    pub late: u64,
    /// Groups that began anew as the clock was set back.
    pub restarted: u64,
    /// Alerts.
    pub fired: u64,
    /// Firings that a cooldown kept back.
    pub suppressed: u64,
    /// Groups that had to go for want of room while their window or cooldown lasted.
    pub evicted: u64,
    /// Groups that are there.
    pub groups: u64,
    /// Bytes that they take.
    pub bytes: u64,
}

/// What all rules have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rules in force.
    pub rules: u64,
    /// The sum over all rules, those that are gone included.
    pub total: RuleStats,
}

#[derive(Debug)]
struct Rule {
    definition: Arc<Definition>,
    /// Conditions, cheap ones first; of the fingerprint's method only what the plan does not say already.
    checks: Vec<Condition>,
    names: Vec<Arc<str>>,
    shape: Shape,
    cooldown: u64,
    groups: Groups,
    stats: RuleStats,
}

/// Which rules look at what, as indices.
#[derive(Debug, Default)]
struct Plan {
    /// By method.
    fingerprint: [Vec<usize>; Method::ALL.len()],
    /// Connections at their start.
    start: Vec<usize>,
    /// Connections as soon as they have a fingerprint of each of these sets.
    with: Vec<(usize, Vec<u16>)>,
    /// Connections at their end.
    end: Vec<usize>,
}

impl Rules {
    /// Rules without any history.
    #[must_use]
    pub fn new(set: RuleSet, allow: Arc<Allow>, bounds: Bounds) -> Self {
        let rules: Vec<_> = set.rules.into_iter().map(Rule::new).collect();
        Self {
            plan: Plan::of(&rules),
            rules,
            allow,
            interfaces: Vec::new(),
            bounds,
            hasher: RandomState::default(),
            gone: RuleStats::default(),
        }
    }

    /// Names of the interfaces, by the index that records have.
    pub fn set_interfaces(&mut self, names: Vec<String>) {
        self.interfaces = names;
    }

    /// Takes other rules and another allowlist. Rules of the same name that count the same keep their windows and
    /// cooldowns.
    pub fn reload(&mut self, set: RuleSet, allow: Arc<Allow>) {
        let mut former = mem::take(&mut self.rules);
        for definition in set.rules {
            let mut rule = Rule::new(definition);
            let same = |old: &Rule| old.definition.name == rule.definition.name;
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
            self.gone.add(&RuleStats { groups: 0, bytes: 0, ..old.stats() });
        }
        self.plan = Plan::of(&self.rules);
        self.allow = allow;
    }

    /// Evaluates rules at one point of a connection's life; alerts go to `out`.
    ///
    /// The caller comes here with every connection
    /// - when its record is made (`event` is `None`, `record.ended` too),
    /// - with each fingerprint, once that is labelled and in the record's history (`event`),
    /// - when it has ended (`event` is `None`, `record.ended` is not).
    ///
    /// A connection that is first heard of by its end comes at both of its ends. `now` is the time that counts
    /// for windows and cooldowns, and the alert's. `packet` is the number of the packet in a replay.
    ///
    /// Connections that are all told at once because the capture ends should come in the order of their last
    /// packet with that as `now`: else they would all fall into one window.
    pub fn evaluate(
        &mut self,
        record: &ConnectionRecord,
        event: Option<&FingerprintRecord>,
        now: Time,
        packet: Option<u64>,
        out: &mut Vec<Alert>,
    ) {
        let Self { rules, plan, allow, interfaces, bounds, hasher, .. } = self;
        let subject = Subject { record, event, interfaces };
        let connection = Subject { event: None, ..subject };
        let mut scene = Scene { allow, hasher, most: bounds.groups, now, packet, grown: false, out };
        let mut run = |at: &usize, subject: &Subject<'_>| {
            if let Some(rule) = rules.get_mut(*at) {
                rule.observe(subject, &mut scene);
            }
        };
        match event {
            Some(seen) => {
                let interested = plan.fingerprint.get(seen.method as usize);
                interested.into_iter().flatten().for_each(|at| run(at, &subject));
                if seen.count == 1 && !plan.with.is_empty() {
                    let earlier = record.history.iter().filter(|other| other.method != seen.method || other.count > 1);
                    let before = earlier.fold(0, |bits, seen| bits | bit(seen.method));
                    let after = before | bit(seen.method);
                    let complete = |sets: &[u16], bits| sets.iter().all(|set| set & bits != 0);
                    let ripe = plan.with.iter().filter(|(_, sets)| !complete(sets, before) && complete(sets, after));
                    ripe.for_each(|(at, _)| run(at, &connection));
                }
            }
            None if record.ended.is_none() => plan.start.iter().for_each(|at| run(at, &connection)),
            None => {
                plan.end.iter().for_each(|at| run(at, &connection));
                if !plan.with.is_empty() {
                    let had = record.history.iter().fold(0, |bits, seen| bits | bit(seen.method));
                    let left = plan.with.iter().filter(|(_, sets)| sets.iter().any(|set| set & had == 0));
                    left.for_each(|(at, _)| run(at, &connection));
                }
            }
        }
        if scene.grown {
            self.keep_within_bounds(now);
        }
    }

    /// Lets the rule that takes most give groups back, while all together take too much: a flood of groups in one
    /// rule costs no other rule its windows.
    fn keep_within_bounds(&mut self, now: Time) {
        while self.rules.iter().map(|rule| rule.groups.bytes()).sum::<usize>() > self.bounds.bytes {
            let largest = self.rules.iter_mut().max_by_key(|rule| rule.groups.bytes());
            if !largest.is_some_and(|rule| rule.groups.evict(&rule.shape, now.0)) {
                break;
            }
        }
    }

    /// What all rules have done.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut total = self.gone;
        self.rules.iter().for_each(|rule| total.add(&rule.stats()));
        Stats { rules: self.rules.len() as u64, total }
    }

    /// What each rule has done.
    pub fn rule_stats(&self) -> impl Iterator<Item = (&Definition, RuleStats)> {
        self.rules.iter().map(|rule| (&*rule.definition, rule.stats()))
    }
}

/// What a rule's evaluation needs besides the rule.
struct Scene<'a> {
    allow: &'a Allow,
    hasher: &'a RandomState,
    most: usize,
    now: Time,
    packet: Option<u64>,
    /// Some rule took more memory.
    grown: bool,
    out: &'a mut Vec<Alert>,
}

impl Rule {
    fn new(definition: Arc<Definition>) -> Self {
        let mut checks = definition.conditions.clone();
        if definition.on == On::Fingerprint {
            checks.retain(|condition| condition.field != Field::Type);
        }
        checks.sort_by_key(Condition::cost);
        Self {
            checks,
            names: definition.group_by.iter().map(|field| field.name().into()).collect(),
            shape: Shape::new(definition.window, definition.mode, definition.measure, definition.threshold.needed()),
            cooldown: u64::try_from(definition.cooldown.as_nanos()).unwrap_or(u64::MAX),
            groups: Groups::default(),
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

    /// Counts what is looked at, if the conditions hold for it.
    fn observe(&mut self, subject: &Subject<'_>, scene: &mut Scene<'_>) {
        if !self.checks.iter().all(|check| check.holds(&check.field.get(subject))) {
            return;
        }
        self.stats.matched += 1;
        let fingerprint = subject.event.map(|seen| (seen.method, &*seen.value));
        if scene.allow.covers(&self.definition.name, subject.record, fingerprint) {
            self.stats.allowed += 1;
            return;
        }
        let Some((group, what)) = self.keys(subject, scene.hasher) else {
            self.stats.ungrouped += 1;
            return;
        };
        let before = self.groups.bytes();
        match self.groups.add(&self.shape, self.cooldown, scene.most, group, (scene.now.0, what)) {
            Outcome::Below => {}
            Outcome::Late => self.stats.late += 1,
            Outcome::Quiet => self.stats.suppressed += 1,
            Outcome::Fires { measured, suppressed } => {
                self.stats.fired += 1;
                scene.out.push(self.alert(subject, scene, measured, suppressed));
            }
        }
        scene.grown |= self.groups.bytes() > before;
    }

    /// Hashes of the group, and of the value whose different ones are counted. `None`: there is none.
    fn keys(&self, subject: &Subject<'_>, hasher: &RandomState) -> Option<(u64, u64)> {
        let mut group = hasher.build_hasher();
        for field in &self.definition.group_by {
            match field.get(subject) {
                Value::Absent => return None,
                value => value.hash(&mut group),
            }
        }
        let what = match self.definition.measure {
            Measure::Count => 0,
            Measure::CountDistinct(field) => match field.get(subject) {
                Value::Absent => return None,
                value => hasher.hash_one(value),
            },
        };
        Some((group.finish(), what))
    }

    #[cold]
    fn alert(&self, subject: &Subject<'_>, scene: &Scene<'_>, measured: Measured, suppressed: u64) -> Alert {
        let Definition { name, description, severity, group_by, .. } = &*self.definition;
        let text = |field: &Field| Arc::from(field.get(subject).to_string());
        let record = subject.record;
        let fingerprint = subject.event.map(|seen| (seen.method, ArcStr::clone(&seen.value)));
        Alert {
            time: scene.now,
            packet: scene.packet,
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

    /// The measured value and the threshold, in words: `21 different dst_ip within 5m (threshold: more than 20), the last
    /// 10.0.0.21`. What is of the wire stands last, as it may be long.
    fn reason(&self, subject: &Subject<'_>, measured: Measured) -> String {
        let Definition { on, measure, threshold, window, .. } = &*self.definition;
        let number = match measured {
            Measured::Below => String::new(),
            Measured::Exactly(number) => number.to_string(),
            Measured::AtLeast(number) => format!("at least {number}"),
        };
        let counted = match (measure, on) {
            (Measure::Count, On::Connection) => "connections".to_owned(),
            (Measure::Count, On::Fingerprint) => "fingerprints".to_owned(),
            (Measure::CountDistinct(field), _) => format!("different {}", field.name()),
        };
        let last = match measure {
            Measure::Count => String::new(),
            Measure::CountDistinct(field) => format!(", the last {}", field.get(subject)),
        };
        let threshold = match threshold {
            Threshold::MoreThan(number) => format!("more than {number}"),
            Threshold::AtLeast(number) => format!("at least {number}"),
        };
        format!("{number} {counted} within {} (threshold: {threshold}){last}", Span(*window))
    }
}

impl Plan {
    fn of(rules: &[Rule]) -> Self {
        let mut plan = Self::default();
        for (at, Rule { definition, .. }) in rules.iter().enumerate() {
            match definition.on {
                On::Fingerprint => {
                    for (method, list) in Method::ALL.into_iter().zip(&mut plan.fingerprint) {
                        let name = Value::Text(method.name());
                        let mut of_type =
                            definition.conditions.iter().filter(|condition| condition.field == Field::Type);
                        if of_type.all(|condition| condition.holds(&name)) {
                            list.push(at);
                        }
                    }
                }
                On::Connection => match ripeness(definition) {
                    None => plan.end.push(at),
                    Some(sets) if sets.is_empty() => plan.start.push(at),
                    Some(sets) => plan.with.push((at, sets)),
                },
            }
        }
        plan
    }
}

/// Sets of methods of each of which a connection must have a fingerprint before a rule can count it. `None`: it
/// must have ended.
fn ripeness(definition: &Definition) -> Option<Vec<u16>> {
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

impl RuleStats {
    fn add(&mut self, other: &Self) {
        let Self { matched, ungrouped, allowed, late, restarted, fired, suppressed, evicted, groups, bytes } = other;
        self.matched += matched;
        self.ungrouped += ungrouped;
        self.allowed += allowed;
        self.late += late;
        self.restarted += restarted;
        self.fired += fired;
        self.suppressed += suppressed;
        self.evicted += evicted;
        self.groups += groups;
        self.bytes += bytes;
    }
}

#[cfg(test)]
mod tests;
