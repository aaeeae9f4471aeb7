//! A database that is unavailable when the sensor starts: the sensor runs, reports it, and opens the database later.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tests::process::until;
use tests::{Namespace, RunningSensor, Sensor, Wire, log, require_bpf, require_root, require_tools, stats_u64};

use crate::failures::on_a_small_disk;
use crate::sensor::{LONG_AGO, connect, last_stats, replay, syns};
use crate::{assert_intact, open, query_number};

const SOON: Duration = Duration::from_secs(20);

/// Asserts that a replay outputs all fingerprints and reports that rows were lost.
fn assert_reports_lost_rows(capture: &Path, database: &Path) {
    let (capture, database) = (capture.to_str().unwrap(), database.to_str().unwrap());
    let outcome = Sensor::new().run(&["replay", "--db", database, capture]).status(1);
    let events = outcome.stderr_has("lost: ").stderr_has_one_line().events();
    assert_eq!(tests::fingerprints(&events).len(), 10);
    let alerts = tests::events::of_type(&events, "alert");
    assert!(alerts.iter().any(|event| event["alert"]["ja4sensor"]["rule"] == "storage_failure"), "{alerts:?}");
    let storage = |name| stats_u64(last_stats(&events).unwrap(), &["storage", name]);
    assert!(storage("rows_lost") > 0 && storage("flush_failures") > 0);
}

#[test]
fn a_replay_to_a_full_or_read_only_disk_outputs_all_fingerprints() {
    if !require_root() {
        return;
    }
    on_a_small_disk(8, |folder| {
        let captures = TempDir::new().unwrap();
        let capture = syns(captures.path(), "some.pcap", 0..10, LONG_AGO);
        let known = folder.join("known.db");
        replay(&capture, &known).ok();
        let stored = || query_number(&known, "SELECT count(*) FROM fingerprint");
        assert_eq!(stored(), 10);

        fs::write(folder.join("filler"), vec![0; 9 << 20]).unwrap_err();
        assert_reports_lost_rows(&capture, &folder.join("new.db"));
        fs::remove_file(folder.join("filler")).unwrap();

        let mount_point = folder.to_str().unwrap();
        let remount =
            |option: &str| assert!(Command::new("mount").args(["-o", option, mount_point]).status().unwrap().success());
        remount("remount,ro");
        assert_reports_lost_rows(&capture, &known);
        remount("remount,rw");
        // No committed row is lost, and the next run stores all rows.
        assert_eq!(stored(), 10);
        replay(&capture, &known).ok();
        assert_eq!(stored(), 20);
        assert_intact(&known);
    });
}

#[test]
fn a_replay_to_a_locked_database_outputs_all_fingerprints() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("history.db");
    let capture = syns(folder.path(), "some.pcap", 0..10, LONG_AGO);
    replay(&capture, &database).ok();
    let other = open(&database);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_reports_lost_rows(&capture, &database);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(query_number(&database, "SELECT count(*) FROM fingerprint"), 10);
    assert_eq!(query_number(&database, "SELECT count(*) FROM sensor_run"), 1);
    assert_intact(&database);
}

#[test]
fn a_missing_folder_is_reported_before_the_replay_starts() {
    let folder = TempDir::new().unwrap();
    let capture = syns(folder.path(), "some.pcap", 0..10, LONG_AGO);
    let outcome = replay(&capture, &folder.path().join("no/such/history.db")).status(1);
    assert_eq!(outcome.stderr_has("no such file").stderr_has_one_line().stdout(), "");
}

/// Returns the response of `/healthz`.
pub(crate) fn health(host: &Namespace, address: SocketAddr) -> String {
    let mut stream = host.with(|| TcpStream::connect(address).unwrap());
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn a_sensor_started_on_a_full_disk_runs_and_opens_the_database_once_space_is_free() {
    if !require_bpf() || !require_tools(&["ip", "ethtool"]) {
        return;
    }
    on_a_small_disk(8, |folder| {
        let wire = Wire::new();
        let host = wire.server();
        let database = folder.join("history.db");
        fs::write(folder.join("filler"), vec![0; 9 << 20]).unwrap_err();
        let options = ["--stats-interval", "1", "--http", "127.0.0.1:0", "--db", database.to_str().unwrap()];
        let sensor = RunningSensor::start(host, &options);
        let stderr = sensor.stderr();
        let warnings = stderr
            .lines()
            .filter(|line| line.contains("history.db") && line.contains("counts lost rows and retries"))
            .count();
        assert_eq!(warnings, 1, "{stderr}");
        let mut address = None;
        assert!(until(SOON, || {
            address = log::http_address(&sensor.stderr());
            address.is_some()
        }));
        let address = address.unwrap();
        let response = health(host, address);
        assert!(response.contains(" 503 ") && response.contains("history"), "{response}");

        connect(wire.client(), host, 5);
        sensor.wait_for("fingerprints and an alert", |events| {
            tests::values(events, "ja4t").len() >= 5
                && tests::events::of_type(events, "alert")
                    .iter()
                    .any(|event| event["alert"]["ja4sensor"]["rule"] == "storage_failure")
        });

        fs::remove_file(folder.join("filler")).unwrap();
        assert!(until(SOON, || health(host, address).contains(" 200 ")), "{}", health(host, address));
        connect(wire.client(), host, 5);
        let events = sensor.stop().ok().events();
        let last = last_stats(&events).unwrap();
        let storage = |name| stats_u64(last, &["storage", name]);
        assert!(storage("flush_failures") > 0, "{last:#}");
        // Queued rows were not lost: the queue had capacity for them.
        assert_eq!((storage("rows_lost"), storage("rows_dropped"), storage("failing")), (0, 0, 0), "{last:#}");
        let ended = "SELECT count(*) FROM connection WHERE state NOTNULL";
        assert_eq!(query_number(&database, ended) as u64, storage("connections"));
        assert!(query_number(&database, ended) >= 10);
        assert_eq!(query_number(&database, "SELECT count(*) FROM sensor_run WHERE clean"), 1);
        assert_intact(&database);
    });
}
