//! The rate limit of a sink, a token bucket. No clock is read here.

use std::time::Instant;

/// The rate limit of a sink: alerts per second, and the burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AlertRate {
    pub(super) per_second: u32,
    pub(super) burst: u32,
}

/// A token bucket.
#[derive(Debug)]
pub(super) struct AlertLimiter {
    rate: AlertRate,
    /// Tokens in units of [`TOKEN`], so that no fraction is lost.
    filled: u128,
    at: Instant,
}

/// Units of a token: nanoseconds per second. Each nanosecond adds `per_second` units.
const TOKEN: u128 = 1_000_000_000;

impl AlertLimiter {
    pub(super) fn new(rate: AlertRate, now: Instant) -> Self {
        Self { rate, filled: u128::from(rate.burst) * TOKEN, at: now }
    }

    /// Takes a token. Returns false if there is none.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_nanos();
        self.at = now;
        let filled = self.filled.saturating_add(passed.saturating_mul(self.rate.per_second.into()));
        self.filled = filled.min(u128::from(self.rate.burst) * TOKEN);
        match self.filled.checked_sub(TOKEN) {
            Some(left) => {
                self.filled = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_permits_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = AlertLimiter::new(AlertRate { per_second: 3, burst: 5 }, start);
        let took =
            |bucket: &mut AlertLimiter, at| (0..100).filter(|_| bucket.take(start + Duration::from_millis(at))).count();
        assert_eq!(took(&mut bucket, 0), 5);
        assert_eq!(took(&mut bucket, 333), 0);
        assert_eq!(took(&mut bucket, 334), 1);
        assert_eq!(took(&mut bucket, 1_334), 3);
        assert_eq!(took(&mut bucket, 3_600_000), 5);
    }

    proptest! {
        #[test]
        fn a_bucket_never_exceeds_its_rate(
            per_second in 1_u32..1000,
            burst in 1_u32..1000,
            steps in prop::collection::vec(0_u64..50_000_000, 1..400),
        ) {
            let start = Instant::now();
            let mut bucket = AlertLimiter::new(AlertRate { per_second, burst }, start);
            let (mut now, mut given) = (start, 0_u128);
            for step in steps {
                now += Duration::from_nanos(step);
                given += u128::from(bucket.take(now));
            }
            let most = u128::from(burst) * TOKEN + (now - start).as_nanos() * u128::from(per_second);
            prop_assert!(given * TOKEN <= most);
        }
    }
}
