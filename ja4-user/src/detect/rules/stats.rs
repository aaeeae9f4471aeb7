//! The counters of threshold rules.

use std::sync::Arc;

use serde::Serialize;

use crate::model::{CounterDeclarations, CounterGroup, CounterKind, CounterSet, counter_set};

counter_set! {
    /// Counters of one rule, or of all.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct RuleStats as rule: AddCounters {
        /// Events that match a rule.
        #[sum = "Events that match a rule, over all rules."]
        counter matched,
        /// Matches without a value to group by.
        ///
        /// Or without a value for `count_distinct`.
        counter ungrouped,
        /// Matches suppressed by an allowlist.
        counter allowlisted,
        /// Matches too late for their window.
        counter late,
        /// Groups of a rule reset because the clock went back.
        #[sum = "Groups of all rules reset because the clock went back."]
        counter restarted,
        /// Alerts of a rule.
        #[sum = "Alerts of all rules."]
        counter fired,
        /// Firings of a rule suppressed by its cooldown.
        #[sum = "Firings of all rules suppressed by a cooldown."]
        counter suppressed,
        /// Groups of a rule evicted.
        ///
        /// During their window or cooldown.
        #[sum = "Groups of all rules evicted."]
        counter evicted,
        /// Groups of a rule.
        #[sum = "Groups of all rules."]
        gauge groups,
        /// Bytes of the groups of a rule.
        #[sum = "Bytes of the groups of all rules."]
        gauge bytes,
    }
}

/// Counters of all rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleEngineStats {
    /// Rules in force.
    pub rules: u64,
    /// The sum of all rules, removed rules included.
    pub total: RuleStats,
    /// Each rule in force.
    pub by_rule: Vec<(Arc<str>, RuleStats)>,
}

impl CounterSet for RuleEngineStats {
    fn declare(to: &mut CounterDeclarations) {
        to.add(CounterKind::Gauge, "rules", "rules", "Active threshold rules.");
        to.sum::<RuleStats>("rules");
        to.group("by_rule", |to| to.group("{rule}", RuleStats::declare));
    }

    fn write(&self, to: &mut CounterGroup) {
        to.count("rules", self.rules);
        self.total.write(to);
        let mut by_rule = CounterGroup::default();
        for (name, stats) in &self.by_rule {
            by_rule.group(name.to_string(), stats.group());
        }
        to.group("by_rule", by_rule);
    }
}
