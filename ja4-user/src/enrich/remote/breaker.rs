//! Leaves a peer alone that has failed too often.

use std::time::{Duration, Instant};

/// Whether requests are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// They are.
    Closed,
    /// They are not, until the pause is over.
    Open,
    /// One is on its way to see whether the peer is back.
    HalfOpen,
}

/// Counts failures in a row; some number of them opens it. After a pause it lets one request through: success closes it,
/// failure opens it for another pause.
#[derive(Clone, Debug)]
pub struct Breaker {
    limit: u32,
    pause: Duration,
    failures: u32,
    state: State,
    /// When the pause ends, while it is open.
    until: Option<Instant>,
    opened: u64,
}

impl Breaker {
    /// Closed; `limit` failures in a row, at least 1, open it for `pause`.
    #[must_use]
    pub fn new(limit: u32, pause: Duration) -> Self {
        Self { limit: limit.max(1), pause, failures: 0, state: State::Closed, until: None, opened: 0 }
    }

    /// Whether a request may be made now. Each one that is made is followed by [`Self::succeeded`] or
    /// [`Self::failed`].
    pub fn admits(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::HalfOpen => false,
            State::Open => {
                let over = self.until.is_none_or(|until| now >= until);
                if over {
                    self.state = State::HalfOpen;
                }
                over
            }
        }
    }

    /// A request was answered.
    pub fn succeeded(&mut self) {
        self.state = State::Closed;
        self.failures = 0;
        self.until = None;
    }

    /// A request was not.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.state == State::HalfOpen || self.failures >= self.limit {
            self.state = State::Open;
            self.until = Some(now + self.pause);
            self.failures = 0;
            self.opened += 1;
        }
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// How often it opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(60);

    #[test]
    fn five_failures_in_a_row_open_it_and_one_probe_decides() {
        let (start, mut breaker) = (Instant::now(), Breaker::new(5, PAUSE));
        for _ in 0..4 {
            breaker.failed(start);
        }
        breaker.succeeded(); // no longer in a row
        for _ in 0..4 {
            assert!(breaker.admits(start));
            breaker.failed(start);
        }
        assert_eq!(breaker.state(), State::Closed);
        breaker.failed(start);
        assert_eq!((breaker.state(), breaker.opened()), (State::Open, 1));
        assert!(!breaker.admits(start + Duration::from_secs(59)));
        assert!(breaker.admits(start + PAUSE));
        assert_eq!(breaker.state(), State::HalfOpen);
        assert!(!breaker.admits(start + PAUSE)); // one only
        breaker.failed(start + PAUSE);
        assert_eq!((breaker.state(), breaker.opened()), (State::Open, 2));
        assert!(!breaker.admits(start + PAUSE + Duration::from_secs(59)));
        assert!(breaker.admits(start + 2 * PAUSE));
        breaker.succeeded();
        assert!(breaker.state() == State::Closed && breaker.admits(start + 2 * PAUSE));
    }

    proptest! {
        /// Whatever the peer does: after five failures in a row nothing is sent for a minute, then one request at a time.
        #[test]
        fn a_failing_peer_is_left_alone(steps in prop::collection::vec((0..30_u64, any::<bool>()), 1..300)) {
            let (mut now, mut breaker) = (Instant::now(), Breaker::new(5, PAUSE));
            let (mut in_a_row, mut open_since) = (0, None);
            for (seconds, answered) in steps {
                now += Duration::from_secs(seconds);
                let expected = open_since.is_none_or(|since| now >= since + PAUSE);
                prop_assert_eq!(breaker.admits(now), expected);
                if !expected {
                    continue;
                }
                if answered {
                    breaker.succeeded();
                    (in_a_row, open_since) = (0, None);
                } else {
                    breaker.failed(now);
                    in_a_row += 1;
                    if open_since.is_some() || in_a_row >= 5 {
                        (in_a_row, open_since) = (0, Some(now));
                    }
                }
                prop_assert_eq!(breaker.state() == State::Open, open_since.is_some());
            }
        }
    }
}
