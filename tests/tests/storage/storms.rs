//! The sensor is killed repeatedly while it writes.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rusqlite::Connection;
use tempfile::TempDir;
use tests::Sensor;
use tests::process::until;
use tests::random::SplitMix64;

use crate::sensor::{LONG_AGO, replay, syns};
use crate::{ask, intact, one, open};

/// Number of storms, unless `JA4_TEST_STORMS` sets another.
const STORMS: u64 = 200;
/// Storms per file: keeps the file to be checked small.
const STORMS_A_FILE: u64 = 20;

/// SYNs sent per storm, at most: more than the sensor processes before it is killed.
const SYNS: u32 = 20_000;

/// Returns the id of the next connection row.
fn next(database: &Connection) -> i64 {
    one(database, "SELECT coalesce(max(id), 0) + 1 FROM connection")
}

/// Returns the number of fingerprints of this and later connections.
fn stored(database: &Connection, from: i64) -> i64 {
    one(database, &format!("SELECT count(*) FROM fingerprint WHERE id >= {from} * 1048576"))
}

#[test]
fn kill_9_in_the_middle_of_write_storms() {
    let mut random = SplitMix64::new(200);
    let captures = TempDir::new().unwrap();
    let capture = fs::read(syns(captures.path(), "many.pcap", 0..SYNS, LONG_AGO)).unwrap();
    let small = syns(captures.path(), "one.pcap", 0..1, LONG_AGO);
    let storms = env::var("JA4_TEST_STORMS").map_or(STORMS, |number| number.parse().unwrap());
    let (mut most, mut cut) = (0, 0);
    for _ in 0..storms / STORMS_A_FILE {
        let folder = TempDir::new().unwrap();
        let database = folder.path().join("history.db");
        // The database must exist before the first storm, so that a reader can open it.
        replay(&small, &database).ok();
        for storm in 1..=STORMS_A_FILE {
            let reader = open(&database);
            let from = next(&reader);
            let promised =
                rage(&capture, &reader, from, Duration::from_micros(random.between(500, 20_000)), folder.path());
            drop(reader);
            let reopened = open(&database);
            intact(&reopened);
            let there = stored(&reopened, from);
            assert!(there >= promised, "storm {storm}: {promised} were committed, {there} are there");
            // Connections are numbered in packet order: the stored ones have no gap, and each fingerprint has its
            // connection.
            let last =
                one(&reopened, &format!("SELECT max(id) / 1048576 FROM fingerprint WHERE id >= {from} * 1048576"));
            assert_eq!(last - from + 1, there, "storm {storm}");
            let hosts = format!("SELECT count(DISTINCT src_ip) FROM connection WHERE id BETWEEN {from} AND {last}");
            assert_eq!(one(&reopened, &hosts), there, "storm {storm}");
            most = most.max(there);
            cut += u64::from(there < i64::from(SYNS));
        }
        // The next run closes all open connections.
        replay(&small, &database).ok();
        assert_eq!(ask(&database, "SELECT count(*) FROM connection WHERE state IS NULL"), 0);
        assert_eq!(ask(&database, "SELECT count(*) FROM sensor_run"), STORMS_A_FILE as i64 + 2);
        assert_eq!(ask(&database, "SELECT count(*) FROM sensor_run WHERE clean"), 2);
    }
    assert!(most > 500 && cut > storms / 2, "no storms: {most} rows at most, {cut} were cut");
}

/// Starts a replay and kills it some time after its first commit. Returns the number of fingerprints that another
/// process saw committed.
fn rage(capture: &[u8], reader: &Connection, from: i64, time: Duration, folder: &Path) -> i64 {
    let config = folder.join("sensor.toml");
    fs::write(&config, "[storage]\npath = \"history.db\"\nflush_after = \"2ms\"\n").unwrap();
    let arguments = ["replay", "--shards", "1", "--types", "stats", "--config", config.to_str().unwrap(), "-"];
    let mut sensor = Sensor::new()
        .command(&arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut pipe = sensor.stdin.take().unwrap();
    let mut committed = 0;
    thread::scope(|scope| {
        // The pipe stays open while the sensor runs.
        let feeder = scope.spawn(move || {
            let _killed = pipe.write_all(capture);
            pipe
        });
        let first = until(Duration::from_secs(20), || {
            committed = stored(reader, from);
            committed > 0
        });
        assert!(first, "it wrote nothing");
        let end = Instant::now() + time;
        while Instant::now() < end {
            committed = stored(reader, from);
            thread::yield_now();
        }
        sensor.kill().unwrap();
        drop(feeder.join());
    });
    assert_eq!(sensor.wait().unwrap().signal(), Some(9));
    committed
}
