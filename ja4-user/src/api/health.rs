//! Whether the sensor is well.
//!
//! It is while every shard and the engine have told their counters within [`FRESH`], and the history can be written.
//! What is lost under load is told by `/metrics`, and is no reason to restart anything.

use std::time::Duration;

use super::state::Snapshot;
use crate::encode::escape;

/// Counters are told every second; a thread that has told none for so long hangs.
pub const FRESH: Duration = Duration::from_secs(5);

/// Time for which a replaced database file is reported after a new one was created, so that a probe notices it.
pub const REPLACED: Duration = Duration::from_secs(5);

/// How long ago threads told their counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// By shard.
    pub shards: Vec<Duration>,
    /// The engine.
    pub engine: Duration,
}

impl Pulse {
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

/// What is wrong, a sentence each; nothing: all is well.
#[must_use]
pub fn reasons(snapshot: &Snapshot) -> Vec<String> {
    let mut reasons = snapshot.pulse.stalled();
    if let Some(status) = &snapshot.storage {
        if status.failing {
            let why = status.last_error.as_deref().unwrap_or("the last transaction failed");
            reasons.push(format!("the history cannot be written: {why}"));
        } else if status.replaced_ago.is_some_and(|ago| ago < REPLACED) {
            reasons.push("the database file was deleted or replaced; a new one was begun".to_owned());
        }
    }
    reasons
}

/// The answer of `/healthz`.
pub(super) fn body(reasons: &[String]) -> Vec<u8> {
    if reasons.is_empty() {
        return b"{\"status\":\"ok\"}\n".to_vec();
    }
    let mut body = br#"{"status":"failing","reasons":["#.to_vec();
    for (place, reason) in reasons.iter().enumerate() {
        body.extend_from_slice(if place == 0 { b"\"" } else { b",\"" });
        escape::json(reason, &mut body);
        body.push(b'"');
    }
    body.extend_from_slice(b"]}\n");
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::storage::Status;

    fn ages(shards: &[u64], engine: u64) -> Snapshot {
        let shards = shards.iter().copied().map(Duration::from_secs).collect();
        Snapshot { pulse: Pulse { shards, engine: Duration::from_secs(engine) }, ..Snapshot::default() }
    }

    fn told(snapshot: &Snapshot) -> String {
        String::from_utf8_lossy(&body(&reasons(snapshot))).into_owned()
    }

    #[test]
    fn all_is_well() {
        let storage = Some(Status { flush_failures: 3, last_error: Some("old".to_owned()), ..Status::default() });
        for snapshot in [ages(&[0, 5], 5), Snapshot { storage, ..ages(&[1], 1) }] {
            assert_eq!(told(&snapshot), "{\"status\":\"ok\"}\n");
        }
    }

    #[test]
    fn a_file_that_was_replaced_is_a_reason_for_a_while() {
        let after = |seconds| {
            let replaced_ago = Some(Duration::from_secs(seconds));
            let storage = Some(Status { file_replaced: 1, replaced_ago, ..Status::default() });
            told(&Snapshot { storage, ..ages(&[0], 0) })
        };
        assert!(after(4).contains("deleted or replaced"), "{}", after(4));
        assert_eq!(after(5), "{\"status\":\"ok\"}\n");
    }

    #[test]
    fn only_a_thread_that_hangs_is_a_reason_to_begin_anew() {
        let storage = Some(Status { failing: true, ..Status::default() });
        assert!(Snapshot { storage, ..ages(&[0, 5], 5) }.pulse.stalled().is_empty());
        assert_eq!(ages(&[0, 6], 5).pulse.stalled().len(), 1);
        assert_eq!(ages(&[0, 1], 6).pulse.stalled().len(), 1);
    }

    #[test]
    fn every_reason_is_told() {
        let storage = Some(Status { failing: true, last_error: Some("disk \"full\"".to_owned()), ..Status::default() });
        let wanted = concat!(
            r#"{"status":"failing","reasons":["shard 1 has told nothing for 6 s","the engine has told nothing for 60 s","#,
            r#""the history cannot be written: disk \"full\""]}"#,
            "\n"
        );
        assert_eq!(told(&Snapshot { storage, ..ages(&[0, 6, 1], 60) }), wanted);
    }
}
