//! A small set of hashes with the time at which each was last seen.

use crate::detect::time_ranges::MAX_SHARD_SKEW;
use crate::model::Time;

/// Keyed hashes and their last times.
#[derive(Debug, Default)]
pub(super) struct TimedSet(Vec<(u64, Time)>);

impl TimedSet {
    /// Inserts a hash, evicting the one seen longest ago from a set of `max`. Returns whether the hash was not seen
    /// within the last `window` nanoseconds.
    pub(super) fn insert(&mut self, value: u64, now: Time, window: u64, max: usize) -> bool {
        if let Some((_, last)) = self.0.iter_mut().find(|(held, _)| *held == value) {
            let was_ahead = last.0.saturating_sub(now.0) >= MAX_SHARD_SKEW;
            let is_new = was_ahead || now.0.saturating_sub(last.0) >= window;
            *last = if was_ahead { now } else { now.max(*last) };
            return is_new;
        }
        if self.0.len() < max {
            self.0.push((value, now));
        } else if let Some(oldest) = self.0.iter_mut().min_by_key(|(_, last)| *last) {
            *oldest = (value, now);
        }
        true
    }

    /// The number of hashes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The number of hashes seen within the last `window` nanoseconds.
    pub(super) fn count_since(&self, now: Time, window: u64) -> usize {
        let within =
            |last: Time| now.0.saturating_sub(last.0) < window && last.0.saturating_sub(now.0) < MAX_SHARD_SKEW;
        self.0.iter().filter(|(_, last)| within(*last)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_timestamp_has_no_lasting_effect() {
        let (at, window) = (|minute: u64| Time(minute * 60_000_000_000), 600_000_000_000);
        let mut set = TimedSet::default();
        assert!(set.insert(1, at(1000), window, 8));
        // As late as shards are out of step.
        assert!(!set.insert(1, Time(at(1000).0 - 1), window, 8));
        assert_eq!(set.count_since(Time(at(1000).0 - 1), window), 1);
        // The earlier timestamp was wrong.
        assert_eq!(set.count_since(at(10), window), 0);
        assert!(set.insert(1, at(10), window, 8));
        assert!(!set.insert(1, at(11), window, 8));
        assert_eq!(set.count_since(at(11), window), 1);
    }
}
