//! Several sinks: queues, rates, severities, reloads, shutdown.

use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::json;
use tests::process::until;

use super::server::{Reply, Server, status};
use super::{SOON, alert, assert_balanced, parse_sinks, start_sinks, stats_when_idle};

const FOREVER: Duration = Duration::from_secs(3600);

#[test]
fn a_stalled_sink_delays_no_other_sink() {
    const ALERTS: u64 = 20_000;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts");
    let server = Server::start(|_| Reply::Stall(FOREVER));
    let sinks = start_sinks(json!([
        {"type": "webhook", "url": server.url("http"), "timeout": "60s", "queue": 10, "rate": 0},
        {"type": "file", "path": path, "queue": 65_536, "rate": 0},
    ]));
    let alert = alert("x");
    sinks.send(&alert);
    assert!(until(SOON, || !server.requests().is_empty()), "the first alert is not in transit");
    let before = Instant::now();
    for _ in 1..ALERTS {
        sinks.send(&alert);
    }
    let sending = before.elapsed();
    assert!(until(SOON, || sinks.stats()[1].sent == ALERTS), "{:#?}", sinks.stats());
    assert!(sending < Duration::from_secs(2), "sending took {sending:?}");
    let stalled = sinks.stats()[0].clone();
    assert_balanced(&stalled);
    assert_eq!((stalled.waiting, stalled.queue_full), (11, ALERTS - 11));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count() as u64, ALERTS);

    let before = Instant::now();
    let last = sinks.stop(Duration::from_millis(300));
    assert!(before.elapsed() < Duration::from_secs(1), "shutdown took {:?}", before.elapsed());
    assert_eq!((last[0].waiting, last[0].abandoned), (0, 11));
    last.iter().for_each(assert_balanced);
}

/// A replay waits for its sinks for a limited time, and no sink delays another.
#[test]
fn a_replay_waits_for_stalled_sinks_once_and_delays_no_other_sink() {
    const MAX_WAIT: Duration = Duration::from_secs(1);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts");
    let server = Server::start(|_| Reply::Stall(FOREVER));
    let stalled = |name: &str| json!({"type": "webhook", "name": name, "url": server.url("http"), "timeout": "60s", "queue": 2, "rate": 0});
    let sinks = start_sinks(
        json!([stalled("first"), stalled("second"), {"type": "file", "name": "file", "path": path, "rate": 0}]),
    );
    let before = Instant::now();
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for _ in 0..20 {
                sinks.send_waiting(&alert("x"), MAX_WAIT);
            }
        });
        assert!(until(MAX_WAIT / 2, || sinks.stats()[2].sent >= 4), "the file sink is delayed: {:#?}", sinks.stats());
        sender.join().unwrap();
    });
    let took = before.elapsed();
    assert!(took >= MAX_WAIT && took < MAX_WAIT * 2, "{took:?}");
    assert!(until(SOON, || sinks.stats()[2].sent == 20), "{:#?}", sinks.stats());
    for stalled in &sinks.stats()[..2] {
        assert_balanced(stalled);
        assert_eq!((stalled.waiting, stalled.queue_full), (3, 17));
    }

    let before = Instant::now();
    sinks.stop(MAX_WAIT).iter().for_each(assert_balanced);
    assert!(before.elapsed() < MAX_WAIT * 2, "shutdown took {:?}", before.elapsed());
}

#[test]
fn a_replay_loses_no_alert_when_a_sink_is_slow() {
    let server = Server::start(|_| {
        thread::sleep(Duration::from_millis(100));
        status("200 OK")
    });
    let sinks = start_sinks(json!([{"type": "webhook", "url": server.url("http"), "queue": 1, "rate": 0}]));
    for _ in 0..20 {
        sinks.send_waiting(&alert("x"), Duration::from_millis(500));
    }
    assert_eq!(stats_when_idle(&sinks).sent, 20);
}

#[test]
fn queued_alerts_are_delivered_at_shutdown() {
    let server = Server::start(|number| if number == 0 { status("503 Busy") } else { status("200 OK") });
    let sinks =
        start_sinks(json!([{"type": "webhook", "url": server.url("http"), "retry_initial": "300ms", "rate": 0}]));
    for _ in 0..50 {
        sinks.send(&alert("x"));
    }
    assert!(until(SOON, || !server.requests().is_empty()));
    let last = sinks.stop(SOON);
    assert_eq!((last[0].sent, last[0].abandoned), (50, 0), "{last:?}");
    assert_balanced(&last[0]);
}

#[test]
fn each_sink_has_its_own_severity_and_rate_limits() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let sinks = start_sinks(json!([
        {"type": "file", "name": "critical", "path": path("a"), "min_severity": "critical"},
        {"type": "file", "name": "high", "path": path("b"), "min_severity": "high", "rate": 1, "burst": 5},
        {"type": "file", "name": "all", "path": path("c")},
    ]));
    for _ in 0..20 {
        sinks.send(&alert("x"));
    }
    stats_when_idle(&sinks);
    let stats = sinks.stats();
    assert_eq!((stats[0].below_severity, stats[0].sent), (20, 0));
    assert_eq!((stats[1].sent, stats[1].rate_limited), (5, 15));
    assert_eq!(stats[2].sent, 20);
    assert_eq!(fs::read_to_string(path("b")).unwrap().lines().count(), 5);
    assert!(!path("a").exists());
}

#[test]
fn a_reload_keeps_unchanged_sinks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts");
    let stalled = Server::start(|_| Reply::Stall(FOREVER));
    let kept = json!({"type": "webhook", "name": "kept", "url": stalled.url("http"), "timeout": "60s"});
    let file = json!({"type": "file", "name": "file", "path": path});
    let sinks = start_sinks(json!([kept, file, {"type": "file", "name": "gone", "path": folder.path().join("gone")}]));
    for _ in 0..5 {
        sinks.send(&alert("x"));
    }
    assert!(until(SOON, || sinks.stats()[1].sent == 5 && sinks.stats()[2].sent == 5));

    let new_path = folder.path().join("elsewhere");
    let changed = json!({"type": "file", "name": "file", "path": new_path});
    sinks.reload(parse_sinks(json!([changed, kept]))).unwrap();
    sinks.send(&alert("x"));
    assert!(until(SOON, || sinks.stats()[0].sent == 6), "{:#?}", sinks.stats());
    let stats = sinks.stats();
    assert_eq!((&*stats[1].name, stats[1].waiting), ("kept", 6));
    assert_eq!(stats.len(), 2);
    assert_eq!(fs::read_to_string(&new_path).unwrap().lines().count(), 1);
    assert_eq!(stalled.requests().len(), 1, "its alert was sent again");
}
