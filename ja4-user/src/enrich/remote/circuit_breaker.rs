//! A circuit breaker: stops requests to a peer that fails.

use std::time::{Duration, Instant};

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests are sent.
    Closed,
    /// No requests are sent until the reset time is over.
    Open,
    /// One request probes the peer.
    HalfOpen,
}

/// Opens after a number of consecutive failures. After the reset time it admits one request: success closes it, failure
/// opens it again.
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    limit: u32,
    reset: Duration,
    failures: u32,
    state: BreakerState,
    /// The end of the reset time, while it is open.
    until: Option<Instant>,
    opened: u64,
}

impl CircuitBreaker {
    /// Returns a closed breaker that `limit` consecutive failures, at least 1, open for `reset`.
    #[must_use]
    pub fn new(limit: u32, reset: Duration) -> Self {
        Self { limit: limit.max(1), reset, failures: 0, state: BreakerState::Closed, until: None, opened: 0 }
    }

    /// Whether a request may be sent now. Each request is followed by [`Self::succeeded`] or [`Self::failed`].
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        match self.state {
            BreakerState::Closed => true,
            BreakerState::HalfOpen => false,
            BreakerState::Open => {
                let over = self.until.is_none_or(|until| now >= until);
                if over {
                    self.state = BreakerState::HalfOpen;
                }
                over
            }
        }
    }

    /// Records a success.
    pub(crate) fn succeeded(&mut self) {
        self.state = BreakerState::Closed;
        self.failures = 0;
        self.until = None;
    }

    /// Records a failure.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.state == BreakerState::HalfOpen || self.failures >= self.limit {
            self.state = BreakerState::Open;
            self.until = Some(now + self.reset);
            self.failures = 0;
            self.opened += 1;
        }
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// How often the breaker opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RESET: Duration = Duration::from_secs(60);

    #[test]
    fn consecutive_failures_open_the_breaker_and_one_probe_closes_it() {
        let (start, mut breaker) = (Instant::now(), CircuitBreaker::new(5, RESET));
        for _ in 0..4 {
            breaker.failed(start);
        }
        breaker.succeeded(); // interrupts the failures
        for _ in 0..4 {
            assert!(breaker.admits(start));
            breaker.failed(start);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.failed(start);
        assert_eq!((breaker.state(), breaker.opened()), (BreakerState::Open, 1));
        assert!(!breaker.admits(start + Duration::from_secs(59)));
        assert!(breaker.admits(start + RESET));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(!breaker.admits(start + RESET)); // one probe only
        breaker.failed(start + RESET);
        assert_eq!((breaker.state(), breaker.opened()), (BreakerState::Open, 2));
        assert!(!breaker.admits(start + RESET + Duration::from_secs(59)));
        assert!(breaker.admits(start + 2 * RESET));
        breaker.succeeded();
        assert!(breaker.state() == BreakerState::Closed && breaker.admits(start + 2 * RESET));
    }

    proptest! {
        /// After five consecutive failures nothing is sent for a minute, then one request at a time.
        #[test]
        fn a_failing_peer_gets_no_requests(steps in prop::collection::vec((0..30_u64, any::<bool>()), 1..300)) {
            let (mut now, mut breaker) = (Instant::now(), CircuitBreaker::new(5, RESET));
            let (mut consecutive, mut open_since) = (0, None);
            for (seconds, answered) in steps {
                now += Duration::from_secs(seconds);
                let expected = open_since.is_none_or(|since| now >= since + RESET);
                prop_assert_eq!(breaker.admits(now), expected);
                if !expected {
                    continue;
                }
                if answered {
                    breaker.succeeded();
                    (consecutive, open_since) = (0, None);
                } else {
                    breaker.failed(now);
                    consecutive += 1;
                    if open_since.is_some() || consecutive >= 5 {
                        (consecutive, open_since) = (0, Some(now));
                    }
                }
                prop_assert_eq!(breaker.state() == BreakerState::Open, open_since.is_some());
            }
        }
    }
}
