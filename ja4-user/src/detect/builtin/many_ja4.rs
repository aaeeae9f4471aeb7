//! Rule `many_ja4`: one host shows many JA4 values, because they are randomised or sprayed.
//!
//! JA4 sorts ciphers and extensions, so a client that shuffles them has one value. False positives: hosts with many
//! clients, such as a proxy, a NAT gateway or the operator's own scanner; the allowlist suppresses them.

use std::net::IpAddr;

use super::rule_settings::rule_settings;
use super::timed_set::TimedSet;
use crate::detect::time_ranges::WINDOW;
use crate::model::Time;
use crate::model::bounded_lru_map::BoundedLruMap;
use crate::units::HumanDuration;

/// Tracked hosts: 100 bytes for a host with a few values, 2 KiB for one with a full set.
const MAX_HOSTS: usize = 50_000;

/// Tracked values of a host.
pub(super) const MAX_VALUES: u32 = 128;

rule_settings! {
    /// Section `[builtin.many_ja4]`: one host shows many JA4 values.
    ManyJa4Settings(Medium, 3600) {
        /// Largest number of different JA4 values of a host within the window that raises no alert.
        pub threshold: u32 = 20, in 1..=MAX_VALUES - 1;
        /// Time in which the values are counted.
        pub window: HumanDuration = HumanDuration::seconds(600), in WINDOW;
    }
}

/// The JA4 values of each host.
#[derive(Debug)]
pub(super) struct ManyJa4Tracker {
    hosts: BoundedLruMap<IpAddr, TimedSet>,
}

impl ManyJa4Tracker {
    /// Returns a tracker without history for one of `parts` equal parts of all keys.
    pub(super) fn new(parts: usize) -> Self {
        Self { hosts: BoundedLruMap::new(MAX_HOSTS.div_ceil(parts)) }
    }

    /// Records a value of a host, given as a keyed hash. Returns the number of values if it exceeds the threshold.
    pub(super) fn observe(&mut self, settings: &ManyJa4Settings, host: IpAddr, value: u64, now: Time) -> Option<usize> {
        let values = self.hosts.entry(host, TimedSet::default);
        let window = settings.window.nanoseconds();
        let is_new = values.insert(value, now, window, MAX_VALUES as usize);
        if !is_new || values.len() <= settings.threshold as usize {
            return None;
        }
        let number = values.count_since(now, window);
        (number > settings.threshold as usize).then_some(number)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.hosts.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::builtin::testing::at;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn more_values_than_the_threshold_within_the_window_fire() {
        let (settings, mut tracker) = (ManyJa4Settings::default(), ManyJa4Tracker::new(1));
        for value in 0..20 {
            assert_eq!(tracker.observe(&settings, HOST, value, at(value)), None);
            assert_eq!(tracker.observe(&settings, HOST, value, at(value)), None);
        }
        assert_eq!(tracker.observe(&settings, HOST, 20, at(20)), Some(21));
        assert_eq!(tracker.observe(&settings, HOST, 20, at(21)), None, "a known value");
        assert_eq!(tracker.observe(&settings, HOST, 21, at(22)), Some(22));
    }

    #[test]
    fn values_from_before_the_window_are_new_again() {
        let (settings, mut tracker) = (ManyJa4Settings::default(), ManyJa4Tracker::new(1));
        // One value in 15 minutes does not fire; all of them within a minute do, again two hours later.
        for value in 0..30 {
            assert_eq!(tracker.observe(&settings, HOST, value, at(value * 900)), None);
        }
        for begin in [30_000, 37_200] {
            let fired: Vec<_> =
                (0..30).filter_map(|value| tracker.observe(&settings, HOST, value, at(begin + value))).collect();
            assert_eq!(fired, [21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
        }
    }

    #[test]
    fn values_spread_over_a_longer_time_do_not_fire() {
        let (settings, mut tracker) = (ManyJa4Settings::default(), ManyJa4Tracker::new(1));
        for value in 0..1000 {
            assert_eq!(tracker.observe(&settings, HOST, value, at(value * 31)), None, "{value}");
        }
    }

    #[test]
    fn values_and_hosts_are_bounded() {
        let (settings, mut tracker) = (ManyJa4Settings::default(), ManyJa4Tracker::new(1));
        let fired: Vec<_> = (0..10_000).filter_map(|value| tracker.observe(&settings, HOST, value, at(1))).collect();
        assert_eq!((fired.first(), fired.last()), (Some(&21), Some(&128)));
        for host in 0..60_000_u32 {
            tracker.observe(&settings, IpAddr::from(host.to_be_bytes()), 1, at(1));
        }
        assert_eq!(tracker.evicted(), 10_001);
    }
}
