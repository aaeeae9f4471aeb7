//! When and how often a delivery is retried. No clock is read here.

use std::time::Duration;

/// How often and how long an alert is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetryPolicy {
    /// Tries after the first.
    pub(super) retries: u32,
    /// Wait before the first of them, and the longest.
    pub(super) first: Duration,
    pub(super) longest: Duration,
    /// From the first try to the last.
    pub(super) total: Duration,
}

impl RetryPolicy {
    /// Wait before retry number `retry`, counted from 0: doubled each time, then between half and all
    /// of that, so that sensors which lost their receiver at once do not come back at once.
    pub(super) fn delay(&self, retry: u32, random: u64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(retry).unwrap_or(u32::MAX));
        let half = doubled.min(self.longest) / 2;
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
            let retries = RetryPolicy { retries: 200, first, longest, total: longest };
            let whole = first.saturating_mul(1_u32.checked_shl(retry).unwrap_or(u32::MAX)).min(longest);
            let delay = retries.delay(retry, random);
            prop_assert!(delay >= whole / 2 && delay <= whole, "{delay:?} of {whole:?}");
        }
    }
}
