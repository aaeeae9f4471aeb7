//! A database file that is deleted, moved or replaced while the sensor writes it.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tests::process::until;
use tests::{RunningSensor, Sensor, Wire, events, log, require_bpf, require_tools, stats_u64};

use crate::sensor::{LONG_AGO, connect, last_stats, replay, syns};
use crate::unavailable::health;
use crate::{assert_intact, query_number};

const SOON: Duration = Duration::from_secs(20);

/// Time limit for detecting the replacement. Detection takes one to two seconds; the rest is margin for a busy
/// machine.
const DETECTION: Duration = Duration::from_secs(4);

fn count(path: &Path, table: &str) -> i64 {
    query_number(path, &format!("SELECT count(*) FROM {table}"))
}

/// Alerts that report a replaced file.
fn reports(sensor: &RunningSensor) -> usize {
    let events = sensor.events();
    let alerts = events::of_type(&events, "alert").into_iter();
    alerts.filter(|event| event["alert"]["signature"] == "the database file was deleted or replaced").count()
}

#[test]
fn a_live_sensor_detects_a_deleted_or_replaced_file_and_creates_a_new_one() {
    if !require_bpf() || !require_tools(&["ip", "ethtool"]) {
        return;
    }
    let root = TempDir::new().unwrap();
    let folder = root.path().join("state");
    fs::create_dir(&folder).unwrap();
    let database = folder.join("history.db");
    let wire = Wire::new();
    let host = wire.server();
    let options = ["--stats-interval", "1", "--http", "127.0.0.1:0", "--db", database.to_str().unwrap()];
    let sensor = RunningSensor::start(host, &options);
    let address = || log::http_address(&sensor.stderr());
    assert!(until(SOON, || address().is_some()));
    let address: SocketAddr = address().unwrap();
    let health = || health(host, address);
    connect(wire.client(), host, 5);
    let ended = "connection WHERE state NOTNULL";
    assert!(until(SOON, || count(&database, ended) == 5), "{}", sensor.stderr());
    let known = count(&database, "first_seen");
    let learning = query_number(&database, "SELECT learning_since FROM sensor");
    assert!(known > 0 && learning > 0);

    // The database, its log and its lock file are deleted.
    for name in ["history.db", "history.db-wal", "history.db-shm", "history.db.lock"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    assert!(until(DETECTION, || health().contains(" 503 ")), "{}\n{}", health(), sensor.stderr());
    assert!(health().contains("deleted or replaced"), "{}", health());
    assert!(until(DETECTION, || reports(&sensor) == 1), "{}", sensor.stdout());
    // The saved state is written to the new file before any new event.
    assert!(until(SOON, || database.exists() && count(&database, "sqlite_schema") > 0));
    assert!(until(SOON, || count(&database, "first_seen") == known), "{}", sensor.stderr());
    assert_eq!(query_number(&database, "SELECT learning_since FROM sensor"), learning);
    connect(wire.client(), host, 3);
    assert!(until(SOON, || count(&database, ended) == 3), "{}", sensor.stderr());
    assert!(until(SOON, || health().contains(" 200 ")), "{}", health());

    // The database is renamed, and another database is moved to its path.
    let moved = folder.join("moved.db");
    replay(&syns(root.path(), "other.pcap", 0..10, LONG_AGO), &root.path().join("other.db")).ok();
    let other = count(&root.path().join("other.db"), "first_seen");
    fs::rename(&database, &moved).unwrap();
    fs::rename(root.path().join("other.db"), &database).unwrap();
    assert!(until(DETECTION, || health().contains(" 503 ")), "{}\n{}", health(), sensor.stderr());
    connect(wire.client(), host, 2);
    assert!(until(SOON, || count(&database, "connection WHERE state = 'fin' OR state = 'rst'") == 2));
    assert!(until(SOON, || count(&database, "first_seen") >= other + known), "{}", sensor.stderr());
    assert_eq!(count(&moved, ended), 3, "the moved file is incomplete");
    assert_intact(&moved);
    assert_intact(&database);
    assert!(until(SOON, || health().contains(" 200 ")), "{}", health());

    // The folder is renamed, and restored later.
    fs::rename(&folder, root.path().join("gone")).unwrap();
    assert!(until(DETECTION, || health().contains(" 503 ")), "{}\n{}", health(), sensor.stderr());
    connect(wire.client(), host, 4);
    assert!(!folder.exists());
    fs::create_dir(&folder).unwrap();
    assert!(until(SOON, || database.exists() && count(&database, "sqlite_schema") > 0), "{}", sensor.stderr());
    assert!(until(SOON, || count(&database, ended) == 4), "{}", sensor.stderr());
    // Values of the replacement file are too old to be kept for long.
    assert!(until(SOON, || count(&database, "first_seen") >= known), "{}", sensor.stderr());

    assert_eq!(reports(&sensor), 3);
    let events = sensor.stop().ok().events();
    let storage = |name| stats_u64(last_stats(&events).unwrap(), &["storage", name]);
    assert_eq!((storage("file_replaced"), storage("rows_lost"), storage("rows_dropped")), (3, 0, 0));
    assert_eq!(count(&database, "sensor_run WHERE clean"), 1);
    assert_intact(&database);
}

/// Connections in each half of the capture.
const HALF: u32 = 200;

/// Replays a capture and calls `interrupt` after the first half is stored.
fn replay_around(folder: &Path, database: &Path, interrupt: impl FnOnce()) {
    let capture = fs::read(syns(folder, "many.pcap", 0..2 * HALF, LONG_AGO)).unwrap();
    let arguments = ["replay", "--shards", "1", "--db", database.to_str().unwrap(), "-"];
    let mut command = Sensor::new().command(&arguments);
    let mut sensor = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = tests::process::collect(sensor.stdout.take().unwrap());
    let mut stdin = sensor.stdin.take().unwrap();
    // The pcap file header is 24 bytes, and all records have the same size.
    let (head, tail) = capture.split_at(24 + (capture.len() - 24) / 2);
    stdin.write_all(head).unwrap();
    let created = || database.exists() && count(database, "sqlite_schema") > 0;
    assert!(until(SOON, || created() && count(database, "fingerprint") == i64::from(HALF)));
    interrupt();
    stdin.write_all(tail).unwrap();
    drop(stdin);
    assert!(sensor.wait().unwrap().success());
    let events = events::parse(std::str::from_utf8(&stdout.join().unwrap()).unwrap());
    let storage = |name| stats_u64(last_stats(&events).unwrap(), &["storage", name]);
    assert_eq!((storage("file_replaced"), storage("rows_lost")), (1, 0));
    assert_intact(database);
}

/// Writes pending when the file disappeared go to the new file.
#[test]
fn a_replay_continues_in_a_new_file() {
    let folder = TempDir::new().unwrap();
    let [database, first] = ["history.db", "first.db"].map(|name| folder.path().join(name));
    replay_around(folder.path(), &database, || fs::rename(&database, &first).unwrap());
    assert!(count(&first, "fingerprint") >= i64::from(HALF));
    // Connections end with the capture, and a stored connection then has all its fingerprints.
    assert_eq!(count(&database, "connection WHERE state = 'open'"), i64::from(2 * HALF));
    assert_eq!(count(&database, "fingerprint"), i64::from(2 * HALF));
    assert_eq!(count(&database, "first_seen"), i64::from(2 * 2 * HALF));
}

/// Readers would find neither the rows in an unlinked log nor those written after them.
#[test]
fn no_row_is_lost_when_the_log_is_deleted() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("history.db");
    replay_around(folder.path(), &database, || fs::remove_file(folder.path().join("history.db-wal")).unwrap());
    let addresses = "(SELECT DISTINCT src_ip, src_port FROM connection)";
    assert_eq!(count(&database, addresses), i64::from(2 * HALF));
}
