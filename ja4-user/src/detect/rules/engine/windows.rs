//! The windows of rules: how many events each group has.

use std::mem;
use std::sync::Arc;

use super::super::definition::RuleDefinition;
use super::super::groups::{GroupLimits, GroupOutcome, RuleGroups};
use super::super::rule_set::RuleSet;
use super::super::stats::RuleStats;
use super::super::window::{WindowMeasure, WindowSpec};
use super::matcher::RuleMatch;
use crate::model::{AddCounters, Time};

/// The groups of all rules, or a part of the groups.
#[derive(Debug)]
pub struct RuleWindows {
    rules: Vec<RuleState>,
    limits: GroupLimits,
    /// Counters of rules that a reload removed.
    removed: RuleStats,
}

#[derive(Debug)]
struct RuleState {
    definition: Arc<RuleDefinition>,
    shape: WindowSpec,
    cooldown: u64,
    groups: RuleGroups,
    stats: RuleStats,
}

impl RuleWindows {
    /// Returns rules without groups.
    #[must_use]
    pub fn new(set: &RuleSet, limits: GroupLimits) -> Self {
        let rules = set.rules.iter().map(|rule| RuleState::new(rule, limits)).collect();
        Self { rules, limits, removed: RuleStats::default() }
    }

    /// Replaces the rules. Rules of the same name that count the same keep their windows and cooldowns.
    pub fn reload(&mut self, set: &RuleSet) {
        let mut former = mem::take(&mut self.rules);
        for definition in &set.rules {
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
    }

    /// Counts a match. Returns what was measured and the number of firings that the cooldown suppressed before, if the rule
    /// fires.
    ///
    /// At the end of a capture, open connections should be passed in the order of their last packets with those times as
    /// `now`; else all of them would be in one window.
    pub(crate) fn add(&mut self, found: RuleMatch, now: Time) -> Option<(WindowMeasure, u64)> {
        let rule = self.rules.get_mut(usize::from(found.rule))?;
        rule.stats.matched += 1;
        let before = rule.groups.bytes();
        let outcome = rule.groups.add(&rule.shape, rule.cooldown, found.group, (now.0, found.counted));
        let fires = match outcome {
            GroupOutcome::Below => None,
            GroupOutcome::Late => {
                rule.stats.late += 1;
                None
            }
            GroupOutcome::Suppressed => {
                rule.stats.suppressed += 1;
                None
            }
            GroupOutcome::Fires { measured, suppressed } => {
                rule.stats.fired += 1;
                Some((measured, suppressed))
            }
        };
        if rule.groups.bytes() > before {
            self.enforce_limits(now);
        }
        fires
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

    /// The counters of each rule in force.
    pub(crate) fn stats(&self) -> impl Iterator<Item = RuleStats> {
        self.rules.iter().map(RuleState::stats)
    }

    /// The sum of the counters of rules that a reload removed.
    pub(crate) const fn removed(&self) -> &RuleStats {
        &self.removed
    }
}

impl RuleState {
    fn new(definition: &Arc<RuleDefinition>, limits: GroupLimits) -> Self {
        Self {
            shape: WindowSpec::new(
                definition.window,
                definition.mode,
                definition.measure,
                definition.threshold.needed(),
            ),
            cooldown: u64::try_from(definition.cooldown.as_nanos()).unwrap_or(u64::MAX),
            groups: RuleGroups::new(limits.groups),
            stats: RuleStats::default(),
            definition: Arc::clone(definition),
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
}
