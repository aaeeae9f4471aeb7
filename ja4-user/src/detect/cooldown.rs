//! One alert per rule and group in a cooldown.

use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use foldhash::quality::RandomState;

use super::OUT_OF_STEP;
use super::bounded::Bounded;
use crate::model::Time;

/// Cooldowns kept for each rule and group: 32 bytes and their place each, some 8 MiB when all are in use. A
/// group beyond them costs the one that fired longest ago its cooldown: it may be told again early.
pub const MAX_COOLDOWNS: usize = 100_000;

/// What fired lately, and how often since.
///
/// Rule and group are kept as a keyed hash of 128 bits; an attacker does not see it, and so cannot aim at a group to
/// keep its alert back.
#[derive(Debug)]
pub struct Cooldowns {
    running: Bounded<[u64; 2], Cooldown>,
    seeds: [RandomState; 2],
    suppressed: u64,
    lost: u64,
}

#[derive(Debug)]
struct Cooldown {
    until: Time,
    /// Firings kept back since it began.
    suppressed: u64,
}

/// Counters of [`Cooldowns`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CooldownStats {
    /// Groups held, in cooldown or lately so.
    pub groups: u64,
    /// Groups let go of for others.
    pub evicted: u64,
    /// Firings kept back.
    pub suppressed: u64,
    /// Of these, those that no alert will name, since their group was let go of.
    pub unnamed: u64,
}

impl Cooldowns {
    /// For at most `max` groups, usually [`MAX_COOLDOWNS`].
    #[must_use]
    pub fn new(max: usize) -> Self {
        let seeds = [RandomState::default(), RandomState::default()];
        Self { running: Bounded::new(max), seeds, suppressed: 0, lost: 0 }
    }

    /// Whether a firing of a rule for a group is to be told: `Some` with the number of firings that the cooldown
    /// before kept back, which the alert stands for as well. The cooldown begins with a firing that is told,
    /// and is not made longer by those that are kept back.
    pub fn check(&mut self, rule: &str, group: &impl Hash, now: Time, cooldown: Duration) -> Option<u64> {
        let [one, two] = &self.seeds;
        let key = [one.hash_one((rule, group)), two.hash_one((rule, group))];
        let length = u64::try_from(cooldown.as_nanos()).unwrap_or(u64::MAX);
        let until = Time(now.0.saturating_add(length));
        if let Some(running) = self.running.get_mut(&key) {
            // Shards are not in step, so what comes may be a little older than what the cooldown began with. A clock that
            // was set back must not keep a rule silent for longer than its cooldown.
            let out_of_step = OUT_OF_STEP.min(length);
            if now < running.until && running.until.0 - now.0 <= length.saturating_add(out_of_step) {
                running.suppressed += 1;
                self.suppressed += 1;
                return None;
            }
            let stands_for = running.suppressed;
            *running = Cooldown { until, suppressed: 0 };
            return Some(stands_for);
        }
        if let Some((_, gone)) = self.running.insert(key, Cooldown { until, suppressed: 0 }) {
            self.lost += gone.suppressed;
        }
        Some(0)
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> CooldownStats {
        CooldownStats {
            groups: self.running.len() as u64,
            evicted: self.running.evicted(),
            suppressed: self.suppressed,
            unnamed: self.lost,
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
    fn one_alert_in_a_cooldown_and_the_next_says_how_many_it_stands_for() {
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
    fn groups_and_rules_cool_down_apart() {
        let mut cooldowns = Cooldowns::default();
        for (rule, group) in [("scan", "a"), ("scan", "b"), ("beacon", "a")] {
            assert_eq!(cooldowns.check(rule, &group, at(1), MINUTE), Some(0));
        }
        assert_eq!(cooldowns.check("scan", &"b", at(2), MINUTE), None);
        assert_eq!(cooldowns.check("scan", &"b", at(2), Duration::ZERO), Some(1));
    }

    #[test]
    fn events_out_of_step_are_of_one_cooldown() {
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
    fn a_clock_set_back_silences_nobody() {
        let mut cooldowns = Cooldowns::default();
        assert_eq!(cooldowns.check("scan", &1, at(9000), MINUTE), Some(0));
        assert_eq!(cooldowns.check("scan", &1, at(100), MINUTE), Some(0));
        assert_eq!(cooldowns.check("scan", &1, at(101), MINUTE), None);
    }

    #[test]
    fn groups_are_bounded_and_what_goes_is_counted() {
        let mut cooldowns = Cooldowns::new(2);
        cooldowns.check("scan", &1, at(1), MINUTE);
        cooldowns.check("scan", &1, at(2), MINUTE);
        cooldowns.check("scan", &2, at(2), MINUTE);
        cooldowns.check("scan", &3, at(2), MINUTE);
        let stats = cooldowns.stats();
        assert_eq!((stats.groups, stats.evicted, stats.suppressed, stats.unnamed), (2, 1, 1, 1));
    }
}
