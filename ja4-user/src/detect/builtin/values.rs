//! Different things seen in a time, few of them.

use crate::detect::OUT_OF_STEP;
use crate::model::Time;

/// Keyed hashes, each with its last time.
#[derive(Debug, Default)]
pub(super) struct Values(Vec<(u64, Time)>);

impl Values {
    /// Takes note of one; of more than `max`, the one seen longest ago goes. Whether it is new to the window: not seen
    /// within the last `window` nanoseconds.
    pub(super) fn see(&mut self, value: u64, now: Time, window: u64, max: usize) -> bool {
        if let Some((_, last)) = self.0.iter_mut().find(|(held, _)| *held == value) {
            let was_wrong = last.0.saturating_sub(now.0) >= OUT_OF_STEP;
            let new = was_wrong || now.0.saturating_sub(last.0) >= window;
            *last = if was_wrong { now } else { now.max(*last) };
            return new;
        }
        if self.0.len() < max {
            self.0.push((value, now));
        } else if let Some(oldest) = self.0.iter_mut().min_by_key(|(_, last)| *last) {
            *oldest = (value, now);
        }
        true
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many were seen within the last `window` nanoseconds.
    pub(super) fn since(&self, now: Time, window: u64) -> usize {
        let within = |last: Time| now.0.saturating_sub(last.0) < window && last.0.saturating_sub(now.0) < OUT_OF_STEP;
        self.0.iter().filter(|(_, last)| within(*last)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_time_stamp_makes_no_value_old_or_new_for_long() {
        let (at, window) = (|minute: u64| Time(minute * 60_000_000_000), 600_000_000_000);
        let mut values = Values::default();
        assert!(values.see(1, at(1000), window, 8));
        // As much as shards are out of step.
        assert!(!values.see(1, Time(at(1000).0 - 1), window, 8));
        assert_eq!(values.since(Time(at(1000).0 - 1), window), 1);
        // The clock was wrong before.
        assert_eq!(values.since(at(10), window), 0);
        assert!(values.see(1, at(10), window, 8));
        assert!(!values.see(1, at(11), window, 8));
        assert_eq!(values.since(at(11), window), 1);
    }
}
