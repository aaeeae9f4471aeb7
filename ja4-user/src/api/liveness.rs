//! How long ago each thread reported its counters.

use std::time::Duration;

/// Counters are told every second; a thread that has told none for so long hangs.
const FRESH: Duration = Duration::from_secs(5);

/// How long ago threads told their counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Liveness {
    /// By shard.
    pub shards: Vec<Duration>,
    /// The engine.
    pub engine: Duration,
}

impl Liveness {
    /// Who hangs, a sentence each; nothing: all go on. A service manager starts the sensor anew for these reasons only.
    #[must_use]
    pub fn stalled(&self) -> Vec<String> {
        let stale = |age: &Duration| *age > FRESH;
        let shards = self.shards.iter().enumerate().filter(|(_, age)| stale(age));
        let mut reasons: Vec<_> =
            shards.map(|(shard, age)| format!("shard {shard} has told nothing for {} s", age.as_secs())).collect();
        if stale(&self.engine) {
            reasons.push(format!("the engine has told nothing for {} s", self.engine.as_secs()));
        }
        reasons
    }
}
