//! How long ago each thread reported its counters.

use std::time::Duration;

/// Time without a report after which a thread counts as blocked. Threads report their counters every second.
const FRESH: Duration = Duration::from_secs(5);

/// Time since each thread last reported its counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Liveness {
    /// Of each shard.
    pub shards: Vec<Duration>,
    /// Of the engine.
    pub engine: Duration,
}

impl Liveness {
    /// Returns a message for each blocked thread. Only these are reasons for a service manager to restart the sensor.
    #[must_use]
    pub fn stalled(&self) -> Vec<String> {
        let stale = |age: &Duration| *age > FRESH;
        let shards = self.shards.iter().enumerate().filter(|(_, age)| stale(age));
        let mut reasons: Vec<_> =
            shards.map(|(shard, age)| format!("shard {shard} has made no progress for {} s", age.as_secs())).collect();
        if stale(&self.engine) {
            reasons.push(format!("the engine has made no progress for {} s", self.engine.as_secs()));
        }
        reasons
    }
}
