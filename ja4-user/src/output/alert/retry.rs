//! When and how often a delivery is retried. No clock is read here.

use std::time::Duration;

/// The retry policy of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetryPolicy {
    /// Most retries.
    pub(super) retries: u32,
    /// Delay before the first retry, and the longest delay.
    pub(super) initial: Duration,
    pub(super) max_delay: Duration,
    /// Longest time from the first attempt to the last.
    pub(super) deadline: Duration,
}

impl RetryPolicy {
    /// Returns the delay before retry number `retry`, counted from 0. The delay doubles with each retry; a random part of up
    /// to one half is subtracted, so that sensors do not retry in step.
    pub(super) fn delay(&self, retry: u32, random: u64) -> Duration {
        let doubled = self.initial.saturating_mul(1_u32.checked_shl(retry).unwrap_or(u32::MAX));
        let half = doubled.min(self.max_delay) / 2;
        let part = u32::try_from(random >> 32).unwrap_or(u32::MAX);
        half + half.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn delays_double_within_their_bounds(retry in 0_u32..200, random: u64, first in 1_u64..5_000, longest in 1_u64..60_000) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            let retries = RetryPolicy { retries: 200, initial: first, max_delay: longest, deadline: longest };
            let whole = first.saturating_mul(1_u32.checked_shl(retry).unwrap_or(u32::MAX)).min(longest);
            let delay = retries.delay(retry, random);
            prop_assert!(delay >= whole / 2 && delay <= whole, "{delay:?} of {whole:?}");
        }
    }
}
