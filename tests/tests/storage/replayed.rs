//! The database of a replay: complete even if stdout is closed, and within its size limit.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tests::Sensor;
use tests::packets::{Envelope, SYN, TcpSegment, TimedFrame, capture_file};
use tests::process::{self, until};

use crate::samples::SECOND;
use crate::sensor::{LONG_AGO, replay, syns};
use crate::{assert_intact, query_number};

const SOON: Duration = Duration::from_secs(30);

/// Number of connections with more output than the pipe and all buffers hold.
const MANY: u32 = 5000;

fn spawn(arguments: &[&str], stdin: Stdio, stdout: Stdio) -> Child {
    let mut command = Sensor::new().command(arguments);
    command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the process; returns its exit status and its stderr.
fn wait_for_exit(mut child: Child) -> (i32, String) {
    let status = process::wait(&mut child, SOON).expect("the replay ends");
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (status.code().expect("the replay exits without a signal"), stderr)
}

/// Asserts that every connection of the capture is stored and that the run ended cleanly.
fn assert_complete(database: &Path, connections: u32) {
    assert_eq!(query_number(database, "SELECT count(*) FROM fingerprint"), i64::from(connections));
    assert_eq!(query_number(database, "SELECT count(*) FROM connection WHERE state = 'open'"), i64::from(connections));
    assert_eq!(query_number(database, "SELECT count(*) FROM sensor_run WHERE clean AND counters NOTNULL"), 1);
    assert!(query_number(database, "SELECT count(*) FROM first_seen") > 0);
    assert_intact(database);
}

#[test]
fn a_closed_output_does_not_affect_the_database() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("history.db");
    let capture = syns(folder.path(), "many.pcap", 0..MANY, LONG_AGO);
    let (database, capture) = (database.to_str().unwrap(), capture.to_str().unwrap());
    for threads in ["1", "3"] {
        let arguments = ["replay", "--shards", threads, "--db", database, capture];
        let mut child = spawn(&arguments, Stdio::null(), Stdio::piped());
        // Closes the pipe as `head` does.
        drop(child.stdout.take());
        assert_eq!(wait_for_exit(child), (0, String::new()));
        assert_complete(database.as_ref(), MANY);
        fs::remove_file(database).unwrap();
    }
    // Without a database or sinks, a closed stdout ends the replay.
    let mut child = spawn(&["replay", "-"], Stdio::piped(), Stdio::piped());
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let bytes = fs::read(capture).unwrap();
    // Standard input never reaches end of file.
    let _closed = stdin.write_all(&bytes);
    assert_eq!(wait_for_exit(child), (0, String::new()));
}

#[test]
fn a_failed_output_is_reported_and_the_database_is_complete() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("history.db");
    let capture = syns(folder.path(), "many.pcap", 0..MANY, LONG_AGO);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let arguments = ["replay", "--db", database.to_str().unwrap(), capture.to_str().unwrap()];
    let (status, stderr) = wait_for_exit(spawn(&arguments, Stdio::null(), full.into()));
    assert_eq!((status, stderr.lines().count()), (1, 1), "{stderr}");
    assert!(stderr.contains("cannot write the output"), "{stderr}");
    assert_complete(&database, MANY);
}

#[test]
fn a_signal_ends_a_replay_and_all_packets_read_are_stored() {
    let folder = TempDir::new().unwrap();
    let capture = fs::read(syns(folder.path(), "many.pcap", 0..MANY, LONG_AGO)).unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let database = folder.path().join(signal.as_str());
        // One shard, so that all connections are processed before more input arrives.
        let arguments = ["replay", "--shards", "1", "--db", database.to_str().unwrap(), "-"];
        let mut child = spawn(&arguments, Stdio::piped(), Stdio::null());
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&capture).unwrap();
        // No further input, but the pipe stays open.
        let stored = || database.exists() && query_number(&database, "SELECT count(*) FROM sqlite_schema") > 0;
        let all = || query_number(&database, "SELECT count(*) FROM fingerprint") == i64::from(MANY);
        assert!(until(SOON, || stored() && all()));
        process::send(&child, signal);
        let (status, stderr) = wait_for_exit(child);
        assert_eq!((status, stderr.lines().count()), (130, 1), "{stderr}");
        assert!(stderr.contains("interrupted; results up to this point were written"), "{stderr}");
        assert_complete(&database, MANY);
    }
}

/// Stdout is not read in any case; in the second case a sink does not respond, in the third the database is locked.
#[test]
fn one_signal_ends_a_replay_with_blocked_outputs() {
    let folder = TempDir::new().unwrap();
    let capture = syns(folder.path(), "many.pcap", 0..MANY, LONG_AGO);
    let stalled = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let sink = format!(
        "[first_seen]\nlearning = \"0\"\n[[alerts.sink]]\ntype = \"webhook\"\nurl = \"http://{}/\"\n\
         timeout = \"60s\"\nqueue = 1\nrate = 0\n",
        stalled.local_addr().unwrap()
    );
    let blocked = |name: &str, config: &str, locked: bool| {
        let path = |ending: &str| folder.path().join(format!("{name}.{ending}"));
        let (database, file) = (path("db"), path("toml"));
        fs::write(&file, config).unwrap();
        let other = locked.then(|| {
            replay(&syns(folder.path(), "one.pcap", 0..1, LONG_AGO), &database).ok();
            let other = crate::open(&database);
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            other
        });
        let (config, path) = (file.to_str().unwrap(), database.to_str().unwrap());
        let arguments = ["replay", "--config", config, "--db", path, capture.to_str().unwrap()];
        let mut child = spawn(&arguments, Stdio::null(), Stdio::piped());
        // Wait until the output exceeds the capacity of the pipe.
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(child.try_wait().unwrap(), None, "{name}: the replay ended although its output is blocked");
        let sent = Instant::now();
        process::send(&child, Signal::SIGTERM);
        let output = child.stdout.take();
        let (status, stderr) = wait_for_exit(child);
        drop(output);
        assert!(sent.elapsed() < Duration::from_secs(10), "{name}: {:?}\n{stderr}", sent.elapsed());
        assert!([1, 130].contains(&status), "{name}: {status}\n{stderr}");
        assert!(stderr.contains("cannot write the output") && stderr.contains("lines lost"), "{name}: {stderr}");
        match other {
            Some(other) => {
                assert!(stderr.contains("lost: "), "{stderr}");
                other.execute_batch("ROLLBACK").unwrap();
            }
            None => assert_eq!(
                query_number(&database, "SELECT count(*) FROM sensor_run WHERE clean"),
                1,
                "{name}: {stderr}"
            ),
        }
        assert_intact(&database);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| blocked("output", "", false));
        scope.spawn(|| blocked("sink", &sink, false));
        scope.spawn(|| blocked("database", "", true));
    });
}

/// Returns the SYN of one of 400 connections of one of 100 hosts. All SYNs have the same options.
fn identical_syn(number: u32, time: u64) -> TimedFrame {
    let mut frame = Vec::new();
    let segment = TcpSegment {
        from: SocketAddr::from(([10, 0, 0, (number % 100) as u8], 1000 + (number / 100) as u16)),
        to: SocketAddr::from(([192, 0, 2, 1], 443)),
        ttl: 64,
        seq: number,
        ack: 0,
        flags: SYN,
        window: 64_240,
        options: &[2, 4, 5, 180],
        payload: &[],
    };
    segment.write(&Envelope::default(), &mut frame);
    TimedFrame { time: Duration::from_nanos(time), frame }
}

/// Query for the bytes in use.
const USED: &str =
    "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";

#[test]
fn a_replay_keeps_the_database_within_its_limits() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("history.db");
    let config = folder.path().join("sensor.toml");
    let run = |config_text: &str, capture: &Path| {
        fs::write(&config, config_text).unwrap();
        let (config, database) = (config.to_str().unwrap(), database.to_str().unwrap());
        let arguments = ["replay", "--config", config, "--types", "stats", "--db", database, capture.to_str().unwrap()];
        Sensor::new().run(&arguments).ok();
    };
    // 100 hosts share one value. The first-seen state has its own limits and is not deleted.
    let packets: Vec<_> =
        (0..40_000).map(|number| identical_syn(number, LONG_AGO + u64::from(number) * 1_000_000)).collect();
    run("[storage]\nmax_size = \"2MiB\"\n", &capture_file(folder.path(), "many.pcap", &packets));
    let (used, size) = (query_number(&database, USED), fs::metadata(&database).unwrap().len());
    assert!(used <= 2 << 20 && size <= 4 << 20, "{used} bytes of {size} are in use");
    let left = query_number(&database, "SELECT count(*) FROM connection");
    assert!((1000..40_000).contains(&left), "{left} connections are left");
    let oldest = LONG_AGO as i64 + (40_000 - left) * 1_000_000;
    assert_eq!(query_number(&database, "SELECT min(start) FROM connection"), oldest, "not the oldest were deleted");

    // By age: no connection older than one minute before the newest packet remains.
    let late = [identical_syn(1, LONG_AGO + 50 * SECOND), identical_syn(2, LONG_AGO + 105 * SECOND)];
    run("[storage]\nmax_age = \"1m\"\n", &capture_file(folder.path(), "late.pcap", &late));
    assert_eq!(query_number(&database, "SELECT count(*) FROM connection"), 2);
    assert_eq!(query_number(&database, "SELECT min(start) FROM connection"), (LONG_AGO + 50 * SECOND) as i64);
    assert_intact(&database);
}

#[test]
fn a_user_with_read_permission_can_query() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if !tests::require_root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("history.db");
    let capture = syns(folder.path(), "some.pcap", 0..10, LONG_AGO);
    replay(&capture, &database).ok();
    let binary = folder.path().join("ja4sensor");
    process::copy_program(Sensor::new().binary(), &binary);
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(folder.path(), 0o755);
    mode(&database, 0o644);
    let query = || {
        let mut command = Command::new(&binary);
        command.args(["query", "--format", "json", "--db"]).arg(&database).uid(65_534).gid(65_534);
        tests::Outcome::new(process::run(command, &[], SOON))
    };
    assert_eq!(query().ok().stdout().lines().count(), 10);

    // Only a process with write permission can recover the log of a killed sensor; the error must not claim that a
    // sensor is writing.
    let other = crate::open(&database);
    other
        .execute_batch("PRAGMA wal_autocheckpoint = 0; DELETE FROM alert; UPDATE sensor SET learning_since = 1")
        .unwrap();
    let log = |name: &str| folder.path().join(name);
    fs::copy(log("history.db-wal"), log("kept")).unwrap();
    drop(other);
    fs::rename(log("kept"), log("history.db-wal")).unwrap();
    mode(&log("history.db-wal"), 0o644);
    let refused = query().status(1).stderr_has("a killed sensor left its log").stderr_has_one_line();
    assert!(!refused.stderr().contains("written to"), "{refused}");
    Sensor::new().run(&["query", "--db", database.to_str().unwrap()]).ok();
}
