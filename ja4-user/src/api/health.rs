//! `/healthz`: whether the sensor is healthy.
//!
//! The sensor is healthy while every shard and the engine make progress ([`Liveness`](super::Liveness)), the database can be
//! written, and every configured interface is watched. Losses under load are metrics, and no reason for a restart.

use std::time::Duration;

use super::state::SensorSnapshot;
use crate::encode::escape;

/// Time for which a replaced database file is reported after a new one was created, so that a health probe detects it.
pub(crate) const REPLACED: Duration = Duration::from_secs(5);

/// Returns the reasons why the sensor is unhealthy; empty if it is healthy.
#[must_use]
pub(crate) fn reasons(snapshot: &SensorSnapshot) -> Vec<String> {
    let mut reasons = snapshot.liveness.stalled();
    if let Some(status) = &snapshot.storage {
        if status.failing {
            let why = status.last_error.as_deref().unwrap_or("the last transaction failed");
            reasons.push(format!("the database cannot be written: {why}"));
        } else if status.replaced_ago.is_some_and(|ago| ago < REPLACED) {
            reasons.push("the database file was deleted or replaced; a new file was created".to_owned());
        }
    }
    reasons.extend(snapshot.unwatched.iter().map(|interface| format!("interface not watched: {interface}")));
    reasons
}

/// Encodes the body of `/healthz`.
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
    use crate::api::liveness::Liveness;
    use crate::output::storage::WriterStatus;

    fn ages(shards: &[u64], engine: u64) -> SensorSnapshot {
        let shards = shards.iter().copied().map(Duration::from_secs).collect();
        SensorSnapshot {
            liveness: Liveness { shards, engine: Duration::from_secs(engine) },
            ..SensorSnapshot::default()
        }
    }

    fn response(snapshot: &SensorSnapshot) -> String {
        String::from_utf8_lossy(&body(&reasons(snapshot))).into_owned()
    }

    #[test]
    fn a_healthy_sensor_has_no_reasons() {
        let storage =
            Some(WriterStatus { flush_failures: 3, last_error: Some("old".to_owned()), ..WriterStatus::default() });
        for snapshot in [ages(&[0, 5], 5), SensorSnapshot { storage, ..ages(&[1], 1) }] {
            assert_eq!(response(&snapshot), "{\"status\":\"ok\"}\n");
        }
    }

    #[test]
    fn a_replaced_file_is_reported_for_a_while() {
        let after = |seconds| {
            let replaced_ago = Some(Duration::from_secs(seconds));
            let storage = Some(WriterStatus { file_replaced: 1, replaced_ago, ..WriterStatus::default() });
            response(&SensorSnapshot { storage, ..ages(&[0], 0) })
        };
        assert!(after(4).contains("deleted or replaced"), "{}", after(4));
        assert_eq!(after(5), "{\"status\":\"ok\"}\n");
    }

    #[test]
    fn only_a_blocked_thread_is_a_reason_for_a_restart() {
        let storage = Some(WriterStatus { failing: true, ..WriterStatus::default() });
        assert!(SensorSnapshot { storage, ..ages(&[0, 5], 5) }.liveness.stalled().is_empty());
        assert_eq!(ages(&[0, 6], 5).liveness.stalled().len(), 1);
        assert_eq!(ages(&[0, 1], 6).liveness.stalled().len(), 1);
    }

    #[test]
    fn every_reason_is_reported() {
        let storage = Some(WriterStatus {
            failing: true,
            last_error: Some("disk \"full\"".to_owned()),
            ..WriterStatus::default()
        });
        let unwatched = vec!["eth0: there is no such interface".to_owned()];
        let wanted = concat!(
            r#"{"status":"failing","reasons":["shard 1 has made no progress for 6 s","the engine has made no progress for 60 s","#,
            r#""the database cannot be written: disk \"full\"","interface not watched: eth0: there is no such interface"]}"#,
            "\n"
        );
        assert_eq!(response(&SensorSnapshot { storage, unwatched, ..ages(&[0, 6, 1], 60) }), wanted);
    }
}
