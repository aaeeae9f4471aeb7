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
use crate::{assert_connection_intact, number, open, query_number};

/// Number of kills, unless `JA4_TEST_KILLS` sets another.
const KILLS: u64 = 200;
/// Kills per file: keeps the file to be checked small.
const KILLS_PER_FILE: u64 = 20;

/// SYNs sent per replay, at most: more than the sensor processes before it is killed.
const SYNS: u32 = 20_000;

/// Returns the id of the next connection row.
fn next(database: &Connection) -> i64 {
    number(database, "SELECT coalesce(max(id), 0) + 1 FROM connection")
}

/// Returns the number of fingerprints of this and later connections.
fn stored(database: &Connection, from: i64) -> i64 {
    number(database, &format!("SELECT count(*) FROM fingerprint WHERE id >= {from} * 1048576"))
}

#[test]
fn no_committed_row_is_lost_when_the_sensor_is_killed() {
    let mut random = SplitMix64::new(200);
    let captures = TempDir::new().unwrap();
    let capture = fs::read(syns(captures.path(), "many.pcap", 0..SYNS, LONG_AGO)).unwrap();
    let small = syns(captures.path(), "one.pcap", 0..1, LONG_AGO);
    let kills = env::var("JA4_TEST_KILLS").map_or(KILLS, |number| number.parse().unwrap());
    let (mut max_rows, mut interrupted) = (0, 0);
    for _ in 0..kills / KILLS_PER_FILE {
        let folder = TempDir::new().unwrap();
        let database = folder.path().join("history.db");
        // The database must exist before the first kill, so that a reader can open it.
        replay(&small, &database).ok();
        for kill in 1..=KILLS_PER_FILE {
            let reader = open(&database);
            let from = next(&reader);
            let committed = replay_and_kill(
                &capture,
                &reader,
                from,
                Duration::from_micros(random.between(500, 20_000)),
                folder.path(),
            );
            drop(reader);
            let reopened = open(&database);
            assert_connection_intact(&reopened);
            let present = stored(&reopened, from);
            assert!(present >= committed, "kill {kill}: {committed} were committed, {present} are stored");
            // Connections are numbered in packet order: the stored ones have no gap, and each fingerprint has its
            // connection.
            let last =
                number(&reopened, &format!("SELECT max(id) / 1048576 FROM fingerprint WHERE id >= {from} * 1048576"));
            assert_eq!(last - from + 1, present, "kill {kill}");
            let hosts = format!("SELECT count(DISTINCT src_ip) FROM connection WHERE id BETWEEN {from} AND {last}");
            assert_eq!(number(&reopened, &hosts), present, "kill {kill}");
            max_rows = max_rows.max(present);
            interrupted += u64::from(present < i64::from(SYNS));
        }
        // The next run closes all open connections.
        replay(&small, &database).ok();
        assert_eq!(query_number(&database, "SELECT count(*) FROM connection WHERE state IS NULL"), 0);
        assert_eq!(query_number(&database, "SELECT count(*) FROM sensor_run"), KILLS_PER_FILE as i64 + 2);
        assert_eq!(query_number(&database, "SELECT count(*) FROM sensor_run WHERE clean"), 2);
    }
    assert!(
        max_rows > 500 && interrupted > kills / 2,
        "too few writes: {max_rows} rows at most, {interrupted} replays were interrupted"
    );
}

/// Starts a replay and kills it some time after its first commit. Returns the number of fingerprints that another
/// process saw committed.
fn replay_and_kill(capture: &[u8], reader: &Connection, from: i64, time: Duration, folder: &Path) -> i64 {
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
        assert!(first, "the replay wrote nothing");
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
