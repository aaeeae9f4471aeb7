//! Different things seen in a time, few of them.

use crate::event::Time;

/// Keyed hashes, each with its last time.
#[derive(Debug, Default)]
pub(super) struct Values(Vec<(u64, Time)>);

impl Values {
    /// Takes note of one; of more than `max`, the one seen longest ago goes. Whether it is new to the window: not seen
    /// within the last `window` nanoseconds.
    pub(super) fn see(&mut self, value: u64, now: Time, window: u64, max: usize) -> bool {
        if let Some((_, last)) = self.0.iter_mut().find(|(held, _)| *held == value) {
            let new = now.0.saturating_sub(last.0) >= window;
            *last = now.max(*last);
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
        self.0.iter().filter(|(_, last)| now.0.saturating_sub(last.0) < window).count()
    }
}
