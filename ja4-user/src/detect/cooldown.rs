//! Cooldowns: one alert per rule and group for a while.

use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use foldhash::quality::RandomState;

use super::time_ranges::MAX_SHARD_SKEW;
use crate::model::bounded_lru_map::BoundedLruMap;
use crate::model::{Time, counter_set};

/// Tracked groups of all rules, some 80 bytes each. Beyond that, the group that fired longest ago is evicted and may fire
/// again before its cooldown ends.
pub(crate) const MAX_COOLDOWNS: usize = 100_000;

/// The groups that fired recently.
///
/// A rule and a group are stored as a keyed hash of 128 bits. An attacker does not know the key and cannot construct a
/// group that suppresses the alert of another one.
#[derive(Debug)]
pub struct Cooldowns {
    active: BoundedLruMap<[u64; 2], Cooldown>,
    seeds: [RandomState; 2],
    suppressed: u64,
    unnamed: u64,
}

#[derive(Debug)]
struct Cooldown {
    until: Time,
    /// Firings suppressed since the last alert.
    suppressed: u64,
}

counter_set! {
    /// Counters of [`Cooldowns`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CooldownStats as cooldown: AddCounters {
        /// Groups of built-in rules in a cooldown.
        gauge groups,
        /// Cooldown groups evicted.
        counter evicted,
        /// Firings suppressed by a cooldown.
        counter suppressed,
        /// Suppressed firings that no alert reports.
        ///
        /// Their group was evicted.
        counter unnamed,
    }
}

impl Cooldowns {
    /// Returns cooldowns of at most `max` groups, usually `MAX_COOLDOWNS`.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let seeds = [RandomState::default(), RandomState::default()];
        Self { active: BoundedLruMap::new(max), seeds, suppressed: 0, unnamed: 0 }
    }

    /// Returns `None` if a firing of a rule for a group is suppressed, else the number of firings suppressed since the
    /// group's last alert. A cooldown begins with an alert; suppressed firings do not extend it.
    pub fn check(&mut self, rule: &str, group: &impl Hash, now: Time, cooldown: Duration) -> Option<u64> {
        let [one, two] = &self.seeds;
        let key = [one.hash_one((rule, group)), two.hash_one((rule, group))];
        let length = u64::try_from(cooldown.as_nanos()).unwrap_or(u64::MAX);
        let until = Time(now.0.saturating_add(length));
        if let Some(cooling) = self.active.get_mut(&key) {
            // Shards are not synchronised, so an event may be a little older than the start of the cooldown. A clock that
            // was set back must not suppress a rule for longer than its cooldown.
            let skew = MAX_SHARD_SKEW.min(length);
            if now < cooling.until && cooling.until.0 - now.0 <= length.saturating_add(skew) {
                cooling.suppressed += 1;
                self.suppressed += 1;
                return None;
            }
            let suppressed = cooling.suppressed;
            *cooling = Cooldown { until, suppressed: 0 };
            return Some(suppressed);
        }
        if let Some((_, evicted)) = self.active.insert(key, Cooldown { until, suppressed: 0 }) {
            self.unnamed += evicted.suppressed;
        }
        Some(0)
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> CooldownStats {
        CooldownStats {
            groups: self.active.len() as u64,
            evicted: self.active.evicted(),
            suppressed: self.suppressed,
            unnamed: self.unnamed,
        }
    }
}

impl Default for Cooldowns {
    fn default() -> Self {
        Self::new(MAX_COOLDOWNS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Time {
        Time(seconds * 1_000_000_000)
    }

    #[test]
    fn one_alert_per_cooldown_and_the_next_counts_the_suppressed_firings() {
        let mut cooldowns = Cooldowns::default();
        assert_eq!(cooldowns.check("scan", &"a", at(1000), MINUTE), Some(0));
        for second in 1001..1060 {
            assert_eq!(cooldowns.check("scan", &"a", at(second), MINUTE), None);
        }
        assert_eq!(cooldowns.check("scan", &"a", at(1060), MINUTE), Some(59));
        assert_eq!(cooldowns.check("scan", &"a", at(2000), MINUTE), Some(0));
        assert_eq!(cooldowns.stats().suppressed, 59);
    }

    #[test]
    fn groups_and_rules_have_separate_cooldowns() {
        let mut cooldowns = Cooldowns::default();
        for (rule, group) in [("scan", "a"), ("scan", "b"), ("beacon", "a")] {
            assert_eq!(cooldowns.check(rule, &group, at(1), MINUTE), Some(0));
        }
        assert_eq!(cooldowns.check("scan", &"b", at(2), MINUTE), None);
        assert_eq!(cooldowns.check("scan", &"b", at(2), Duration::ZERO), Some(1));
    }

    #[test]
    fn late_events_are_in_the_same_cooldown() {
        let mut cooldowns = Cooldowns::default();
        let just_before = Time(at(1000).0 - 1_000_000);
        assert_eq!(cooldowns.check("scan", &"a", at(1000), MINUTE), Some(0));
        assert_eq!(cooldowns.check("scan", &"a", just_before, MINUTE), None);
        assert_eq!(cooldowns.check("scan", &"a", at(1059), MINUTE), None);
        assert_eq!(cooldowns.check("scan", &"a", at(1060), MINUTE), Some(2));
        assert_eq!(cooldowns.check("scan", &"a", just_before, Duration::ZERO), Some(0));
        assert_eq!(cooldowns.check("scan", &"a", Time(just_before.0 - 1), Duration::ZERO), Some(0));
    }

    #[test]
    fn a_clock_set_back_suppresses_no_rule() {
        let mut cooldowns = Cooldowns::default();
        assert_eq!(cooldowns.check("scan", &1, at(9000), MINUTE), Some(0));
        assert_eq!(cooldowns.check("scan", &1, at(100), MINUTE), Some(0));
        assert_eq!(cooldowns.check("scan", &1, at(101), MINUTE), None);
    }

    #[test]
    fn groups_are_bounded_and_evictions_counted() {
        let mut cooldowns = Cooldowns::new(2);
        cooldowns.check("scan", &1, at(1), MINUTE);
        cooldowns.check("scan", &1, at(2), MINUTE);
        cooldowns.check("scan", &2, at(2), MINUTE);
        cooldowns.check("scan", &3, at(2), MINUTE);
        let stats = cooldowns.stats();
        assert_eq!((stats.groups, stats.evicted, stats.suppressed, stats.unnamed), (2, 1, 1, 1));
    }
}
