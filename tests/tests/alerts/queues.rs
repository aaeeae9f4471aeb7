//! Several sinks: queues, rates, severities, reloads, shutdown.

use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::json;
use tests::process::until;

use super::server::{Reply, Server, status};
use super::{SOON, alert, assert_law, checked, settled, start};

const FOREVER: Duration = Duration::from_secs(3600);

#[test]
fn a_dead_sink_slows_nobody() {
    const ALERTS: u64 = 20_000;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts");
    let server = Server::start(|_| Reply::Stall(FOREVER));
    let sinks = start(json!([
        {"type": "webhook", "url": server.url("http"), "timeout": "60s", "queue": 10, "rate": 0},
        {"type": "file", "path": path, "queue": 65_536, "rate": 0},
    ]));
    let alert = alert("x");
    sinks.send(&alert);
    assert!(until(SOON, || !server.requests().is_empty()), "the first is on its way");
    let before = Instant::now();
    for _ in 1..ALERTS {
        sinks.send(&alert);
    }
    let sending = before.elapsed();
    assert!(until(SOON, || sinks.stats()[1].sent == ALERTS), "{:#?}", sinks.stats());
    assert!(sending < Duration::from_secs(2), "sending took {sending:?}");
    let dead = sinks.stats()[0].clone();
    assert_law(&dead);
    assert_eq!((dead.waiting, dead.queue_full), (11, ALERTS - 11));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count() as u64, ALERTS);

    let before = Instant::now();
    let last = sinks.stop(Duration::from_millis(300));
    assert!(before.elapsed() < Duration::from_secs(1), "the end took {:?}", before.elapsed());
    assert_eq!((last[0].waiting, last[0].abandoned), (0, 11));
    last.iter().for_each(assert_law);
}

/// A replay waits for its sinks for a limited time, and no sink delays another.
#[test]
fn a_replay_waits_once_for_a_dead_sink_and_no_other_waits_with_it() {
    const PATIENCE: Duration = Duration::from_secs(1);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts");
    let server = Server::start(|_| Reply::Stall(FOREVER));
    let dead = |name: &str| json!({"type": "webhook", "name": name, "url": server.url("http"), "timeout": "60s", "queue": 2, "rate": 0});
    let sinks =
        start(json!([dead("first"), dead("second"), {"type": "file", "name": "file", "path": path, "rate": 0}]));
    let before = Instant::now();
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for _ in 0..20 {
                sinks.send_waiting(&alert("x"), PATIENCE);
            }
        });
        assert!(until(PATIENCE / 2, || sinks.stats()[2].sent >= 4), "the file waits too: {:#?}", sinks.stats());
        sender.join().unwrap();
    });
    let took = before.elapsed();
    assert!(took >= PATIENCE && took < PATIENCE * 2, "{took:?}");
    assert!(until(SOON, || sinks.stats()[2].sent == 20), "{:#?}", sinks.stats());
    for dead in &sinks.stats()[..2] {
        assert_law(dead);
        assert_eq!((dead.waiting, dead.queue_full), (3, 17));
    }

    let before = Instant::now();
    sinks.stop(PATIENCE).iter().for_each(assert_law);
    assert!(before.elapsed() < PATIENCE * 2, "the end took {:?}", before.elapsed());
}

#[test]
fn a_replay_loses_nothing_to_a_slow_sink() {
    let server = Server::start(|_| {
        thread::sleep(Duration::from_millis(100));
        status("200 OK")
    });
    let sinks = start(json!([{"type": "webhook", "url": server.url("http"), "queue": 1, "rate": 0}]));
    for _ in 0..20 {
        sinks.send_waiting(&alert("x"), Duration::from_millis(500));
    }
    assert_eq!(settled(&sinks).sent, 20);
}

#[test]
fn the_end_lets_go_what_still_can() {
    let server = Server::start(|number| if number == 0 { status("503 Busy") } else { status("200 OK") });
    let sinks = start(json!([{"type": "webhook", "url": server.url("http"), "retry_initial": "300ms", "rate": 0}]));
    for _ in 0..50 {
        sinks.send(&alert("x"));
    }
    assert!(until(SOON, || !server.requests().is_empty()));
    let last = sinks.stop(SOON);
    assert_eq!((last[0].sent, last[0].abandoned), (50, 0), "{last:?}");
    assert_law(&last[0]);
}

#[test]
fn severities_and_rates_are_each_sink_s_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let sinks = start(json!([
        {"type": "file", "name": "critical", "path": path("a"), "min_severity": "critical"},
        {"type": "file", "name": "high", "path": path("b"), "min_severity": "high", "rate": 1, "burst": 5},
        {"type": "file", "name": "all", "path": path("c")},
    ]));
    for _ in 0..20 {
        sinks.send(&alert("x"));
    }
    settled(&sinks);
    let stats = sinks.stats();
    assert_eq!((stats[0].below_severity, stats[0].sent), (20, 0));
    assert_eq!((stats[1].sent, stats[1].rate_limited), (5, 15));
    assert_eq!(stats[2].sent, 20);
    assert_eq!(fs::read_to_string(path("b")).unwrap().lines().count(), 5);
    assert!(!path("a").exists());
}

#[test]
fn a_reload_keeps_what_has_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts");
    let stalled = Server::start(|_| Reply::Stall(FOREVER));
    let kept = json!({"type": "webhook", "name": "kept", "url": stalled.url("http"), "timeout": "60s"});
    let file = json!({"type": "file", "name": "file", "path": path});
    let sinks = start(json!([kept, file, {"type": "file", "name": "gone", "path": folder.path().join("gone")}]));
    for _ in 0..5 {
        sinks.send(&alert("x"));
    }
    assert!(until(SOON, || sinks.stats()[1].sent == 5 && sinks.stats()[2].sent == 5));

    let moved = folder.path().join("elsewhere");
    let changed = json!({"type": "file", "name": "file", "path": moved});
    sinks.reload(checked(json!([changed, kept]))).unwrap();
    sinks.send(&alert("x"));
    assert!(until(SOON, || sinks.stats()[0].sent == 6), "{:#?}", sinks.stats());
    let stats = sinks.stats();
    assert_eq!((&*stats[1].name, stats[1].waiting), ("kept", 6));
    assert_eq!(stats.len(), 2);
    assert_eq!(fs::read_to_string(&moved).unwrap().lines().count(), 1);
    assert_eq!(stalled.requests().len(), 1, "its alert was not sent anew");
}
