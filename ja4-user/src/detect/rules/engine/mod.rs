//! Evaluation of threshold rules.

mod matcher;
mod windows;

use std::sync::Arc;

use foldhash::quality::SeedableRandomState;

pub use self::matcher::{RuleMatch, RuleMatcher};
pub use self::windows::RuleWindows;
use super::groups::GroupLimits;
use super::rule_set::RuleSet;
use super::stats::RuleEngineStats;
use crate::detect::allowlist::Allowlist;
use crate::model::{AddCounters, Alert, ConnectionRecord, FingerprintRecord, Time};

/// The rules in force with their windows, for one thread.
#[derive(Debug)]
pub struct RuleEngine {
    matcher: RuleMatcher,
    windows: RuleWindows,
}

impl RuleEngine {
    /// Returns an engine without history.
    #[must_use]
    pub fn new(set: &RuleSet, allowlist: Arc<Allowlist>, limits: GroupLimits) -> Self {
        let matcher = RuleMatcher::new(set, allowlist, Arc::default(), SeedableRandomState::random());
        Self { matcher, windows: RuleWindows::new(set, limits) }
    }

    /// Replaces rules and allowlist. Rules of the same name that count the same keep their windows and cooldowns.
    pub fn reload(&mut self, set: &RuleSet, allowlist: Arc<Allowlist>) {
        self.matcher = self.matcher.reloaded(set, allowlist);
        self.windows.reload(set);
    }

    /// Evaluates the rules on an event of a connection: its start if `event` is `None` and it has not ended, else as
    /// [`RuleMatcher::matches`] does. Alerts are appended to `out`.
    pub fn evaluate(
        &mut self,
        record: &ConnectionRecord,
        event: Option<&FingerprintRecord>,
        now: Time,
        packet: Option<u64>,
        out: &mut Vec<Alert>,
    ) {
        let Self { matcher, windows } = self;
        let mut count = |found: RuleMatch| {
            let fired = windows.add(found, now);
            out.extend(fired.and_then(|fired| matcher.alert(found.rule, record, event, (now, packet), fired)));
        };
        if event.is_none() && record.ended.is_none() {
            return matcher.start_matches(record, count);
        }
        matcher.matches(record, event, &mut count);
        if event.is_none() && record.ended.is_some() {
            matcher.alert_matches(record, count);
        }
    }

    /// The counters of all rules.
    #[must_use]
    pub fn stats(&self) -> RuleEngineStats {
        stats_of(&self.matcher, [&self.windows])
    }
}

/// The counters of rules with windows in several parts.
pub(crate) fn stats_of<'a>(matcher: &RuleMatcher, parts: impl IntoIterator<Item = &'a RuleWindows>) -> RuleEngineStats {
    let (mut rules, mut total): (Vec<_>, _) = (matcher.counted().collect(), *matcher.removed());
    for part in parts {
        total.add(part.removed());
        rules.iter_mut().zip(part.stats()).for_each(|((_, stats), of_part)| stats.add(&of_part));
    }
    rules.iter().for_each(|(_, stats)| total.add(stats));
    let by_rule = rules.iter().map(|(rule, stats)| (Arc::clone(&rule.name), *stats)).collect();
    RuleEngineStats { rules: rules.len() as u64, total, by_rule }
}

#[cfg(test)]
mod tests;
