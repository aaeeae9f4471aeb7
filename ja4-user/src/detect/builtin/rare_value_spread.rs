//! Rule `rare_value_spread`: a rare value spreads over hosts.
//!
//! A value is rare for a day after the network first saw it, unless that was in the learning period or the value has a
//! label. False positive: a new version of a program that is rolled out to many hosts.

use super::rule_settings::rule_settings;
use super::timed_set::TimedSet;
use crate::detect::time_ranges::WINDOW;
use crate::model::Time;
use crate::model::bounded_lru_map::BoundedLruMap;
use crate::units::HumanDuration;

/// Tracked values, up to 1.2 KiB each; only rare values are tracked.
const MAX_VALUES: usize = 20_000;

/// Tracked hosts of a value.
const MAX_HOSTS: u32 = 64;

/// Longest time for which a value is rare.
const MAX_RARE: HumanDuration = HumanDuration::seconds(366 * 86_400);

rule_settings! {
    /// Section `[builtin.rare_value_spread]`: a rare value spreads over hosts.
    RareValueSpreadSettings(Medium, 86400) {
        /// Number of clients with the value that raises an alert.
        pub hosts: u32 = 5, in 2..=MAX_HOSTS;
        /// Time in which the clients are counted.
        pub window: HumanDuration = HumanDuration::seconds(3600), in WINDOW;
        /// How long a value is rare after it was first seen.
        pub rare_for: HumanDuration = HumanDuration::seconds(86400), in HumanDuration::seconds(1)..=MAX_RARE;
    }
}

/// The hosts of each rare value.
#[derive(Debug)]
pub(super) struct RareValueSpreadTracker {
    values: BoundedLruMap<u64, ValueHosts>,
}

#[derive(Debug, Default)]
struct ValueHosts {
    hosts: TimedSet,
    has_fired: bool,
}

impl RareValueSpreadTracker {
    /// Returns a tracker without history for one of `parts` equal parts of all keys.
    pub(super) fn new(parts: usize) -> Self {
        Self { values: BoundedLruMap::new(MAX_VALUES.div_ceil(parts)) }
    }

    /// Records a client of a value that was first seen at `since`. Value and client are keyed hashes. Returns the number
    /// of hosts if it reaches the threshold; once per value, and not for a client that the allowlist suppresses.
    pub(super) fn observe(
        &mut self,
        settings: &RareValueSpreadSettings,
        value: u64,
        client: u64,
        since: Time,
        now: Time,
        is_allowlisted: impl FnOnce() -> bool,
    ) -> Option<usize> {
        if now.0.saturating_sub(since.0) >= settings.rare_for.nanoseconds() {
            return None;
        }
        let ValueHosts { hosts, has_fired } = self.values.entry(value, ValueHosts::default);
        let (threshold, window) = (settings.hosts as usize, settings.window.nanoseconds());
        if !hosts.insert(client, now, window, MAX_HOSTS as usize) || *has_fired || hosts.len() < threshold {
            return None;
        }
        let number = hosts.count_since(now, window);
        if number < threshold || is_allowlisted() {
            return None;
        }
        *has_fired = true;
        Some(number)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.values.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::builtin::testing::at;

    #[test]
    fn a_new_value_on_five_hosts_fires_once() {
        let (settings, mut tracker) = (RareValueSpreadSettings::default(), RareValueSpreadTracker::new(1));
        let mut observe = |client, second| tracker.observe(&settings, 7, client, at(0), at(second), || false);
        for client in 0..4 {
            assert_eq!((observe(client, 1), observe(client, 2)), (None, None));
        }
        assert_eq!(observe(4, 3), Some(5));
        assert_eq!(observe(5, 4), None);
    }

    #[test]
    fn a_slow_spread_and_an_old_value_do_not_fire() {
        let (settings, mut tracker) = (RareValueSpreadSettings::default(), RareValueSpreadTracker::new(1));
        for client in 0..20 {
            assert_eq!(tracker.observe(&settings, 7, client, at(0), at(client * 1000), || false), None);
            assert_eq!(tracker.observe(&settings, 8, client, at(0), at(86_400 + client), || false), None);
        }
    }

    #[test]
    fn hosts_from_before_the_window_count_when_they_show_the_value_again() {
        let (settings, mut tracker) = (RareValueSpreadSettings::default(), RareValueSpreadTracker::new(1));
        let mut observe = |client, second| tracker.observe(&settings, 7, client, at(0), at(second), || false);
        for client in 0..6 {
            assert_eq!(observe(client, client * 3700), None);
        }
        // The last client was seen within the hour.
        let fired: Vec<_> = (0..6).filter_map(|client| observe(client, 21_000 + client)).collect();
        assert_eq!(fired, [5]);
    }

    #[test]
    fn a_client_on_the_allowlist_does_not_suppress_other_clients() {
        let (settings, mut tracker) = (RareValueSpreadSettings::default(), RareValueSpreadTracker::new(1));
        let mut observe = |client: u64| tracker.observe(&settings, 7, client, at(0), at(client), || client == 4);
        assert_eq!((0..6).map(&mut observe).collect::<Vec<_>>(), [None, None, None, None, None, Some(6)]);
    }
}
