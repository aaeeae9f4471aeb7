//! The database as the sensor writes it: every lost row is reported.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::packets::{Envelope, SYN, TcpSegment, TimedFrame, capture_file};
use tests::process::until;
use tests::{
    Namespace, Outcome, RunningSensor, Sensor, Wire, optional_python, require_bpf, require_root, require_tools,
    stats_u64,
};

use crate::failures::on_a_small_disk;
use crate::samples::SECOND;
use crate::{assert_intact, query_number};

const SOON: Duration = Duration::from_secs(20);

/// 2023-11-14T22:13:20Z
pub(crate) const LONG_AGO: u64 = 1_700_000_000 * SECOND;
/// 2100-01-01T00:00:00Z
const FUTURE: u64 = 4_102_444_800 * SECOND;

/// Returns a SYN with a client address and options that no other number yields.
pub(crate) fn syn(number: u32, time: u64) -> TimedFrame {
    let [_, a, b, c] = number.to_be_bytes();
    let mss = 536 + (number / 60_000) as u16;
    let [high, low] = mss.to_be_bytes();
    let mut frame = Vec::new();
    let segment = TcpSegment {
        from: SocketAddr::from((Ipv4Addr::new(10, a, b, c), 40_000)),
        to: SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 443)),
        ttl: 64,
        seq: number,
        ack: 0,
        flags: SYN,
        window: (number % 60_000) as u16 + 1,
        options: &[2, 4, high, low],
        payload: &[],
    };
    segment.write(&Envelope::default(), &mut frame);
    TimedFrame { time: Duration::from_nanos(time), frame }
}

/// Writes a capture of these SYNs, one millisecond apart.
pub(crate) fn syns(folder: &Path, name: &str, numbers: std::ops::Range<u32>, start: u64) -> PathBuf {
    let packets: Vec<_> = numbers.map(|number| syn(number, start + u64::from(number) * 1_000_000)).collect();
    capture_file(folder, name, &packets)
}

pub(crate) fn replay(capture: &Path, database: &Path) -> Outcome {
    let (capture, database) = (capture.to_str().unwrap(), database.to_str().unwrap());
    Sensor::new().run(&["replay", "--types", "alert,stats", "--db", database, capture])
}

pub(crate) fn last_stats(events: &[Value]) -> Option<&Value> {
    events.iter().rfind(|event| event["event_type"] == "stats")
}

/// Returns the number of fingerprints that the sensor reports as committed.
fn committed(sensor: &RunningSensor) -> u64 {
    let events = sensor.events();
    last_stats(&events).map_or(0, |stats| stats_u64(stats, &["storage", "fingerprints"]))
}

/// Opens TCP connections from one host to the other end of its wire.
pub(crate) fn connect(from: &Namespace, to: &Namespace, count: usize) {
    let address: IpAddr = to.v4();
    let listener = to.with(|| TcpListener::bind((address, 0)).unwrap());
    let server = listener.local_addr().unwrap();
    for _ in 0..count {
        let stream = from.with(|| TcpStream::connect(server).unwrap());
        drop((listener.accept().unwrap(), stream));
    }
}

/// Returns whether another process holds the lock with which SQLite marks a database as in use
/// (<https://www.sqlite.org/fileformat2.html#the_lock_byte_page>, the shared range).
fn is_locked(database: &Path) -> bool {
    let file = fs::File::open(database).unwrap();
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0x4000_0002,
        l_len: 510,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GETLK(&mut lock)).unwrap();
    i32::from(lock.l_type) == libc::F_RDLCK
}

#[test]
fn readers_do_not_affect_the_database_of_a_live_sensor() {
    if !require_bpf() || !require_tools(&["ip", "ethtool"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let wire = Wire::new();
    let sensor = RunningSensor::start(
        wire.server(),
        &["--http", "off", "--types", "stats", "--stats-interval", "1", "--db", path.to_str().unwrap()],
    );
    connect(wire.client(), wire.server(), 5);
    assert!(until(SOON, || committed(&sensor) >= 10), "{}", sensor.stdout());

    assert!(is_locked(&path), "the database is not marked as in use");
    // Many SQLite versions, though not the newest, delete the log when no other process seems to have the file open.
    if let Some(python) = optional_python("sqlite3") {
        let mut reader = Command::new(python);
        let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
            print(c.execute('SELECT count(*) FROM fingerprint').fetchone()[0]); c.close()";
        let read = reader.args(["-c", script]).arg(&path).output().unwrap();
        let read: u64 = String::from_utf8(read.stdout).unwrap().trim().parse().unwrap();
        assert!(read >= 10, "{read}");
    }
    Sensor::new().run(&["query", "--db", path.to_str().unwrap()]).ok();
    let before = committed(&sensor);
    connect(wire.client(), wire.server(), 5);
    assert!(until(SOON, || committed(&sensor) >= before + 10), "{}", sensor.stdout());

    let before_kill = committed(&sensor);
    assert!(folder.path().join("history.db-wal").exists(), "the log was deleted");
    drop(sensor.kill());
    assert_intact(&path);
    let stored = query_number(&path, "SELECT count(*) FROM fingerprint") as u64;
    assert!(stored >= before_kill, "{before_kill} were committed, {stored} are stored");
}

#[test]
fn all_saved_state_is_stored_at_the_end() {
    const MANY: u32 = 150_000;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let capture = syns(folder.path(), "many.pcap", 0..MANY, LONG_AGO);
    let events = replay(&capture, &path).ok().events();
    let stats = last_stats(&events).unwrap();
    assert_eq!(stats_u64(stats, &["engine", "first_seen", "values"]), u64::from(MANY));
    assert_eq!(stats_u64(stats, &["engine", "first_seen", "host_values"]), u64::from(MANY));
    assert_eq!(stats_u64(stats, &["storage", "rows_lost"]), 0);
    assert_eq!(query_number(&path, "SELECT count(*) FROM first_seen"), 2 * i64::from(MANY));
    // Profiles of as many hosts as the limit allows.
    let pairs = stats_u64(stats, &["engine", "profiles", "values"]);
    assert!(query_number(&path, "SELECT count(*) FROM profile") as u64 >= pairs);
    assert_eq!(pairs, 100_000);
}

#[test]
fn one_sensor_writes_to_a_database_under_any_of_its_names() {
    const FIRST: u32 = 100;

    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let database = path("history.db");
    let capture = fs::read(syns(folder.path(), "some.pcap", 0..FIRST, LONG_AGO)).unwrap();
    let other = syns(folder.path(), "other.pcap", 0..10, LONG_AGO);
    let arguments = ["replay", "--shards", "1", "--types", "stats", "--db", database.to_str().unwrap(), "-"];
    let mut command = Sensor::new().command(&arguments);
    let mut sensor = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = sensor.stdin.take().unwrap();
    // The split is inside a record; the rest follows later.
    let (head, tail) = capture.split_at(capture.len() / 2 + 7);
    stdin.write_all(head).unwrap();
    let created = || database.exists() && query_number(&database, "SELECT count(*) FROM sqlite_schema") > 0;
    assert!(until(SOON, || created() && query_number(&database, "SELECT count(*) FROM fingerprint") > 0));

    std::os::unix::fs::symlink(&database, path("link.db")).unwrap();
    fs::hard_link(&database, path("hard.db")).unwrap();
    fs::create_dir(path("elsewhere")).unwrap();
    fs::hard_link(&database, path("elsewhere/history.db")).unwrap();
    let holder = format!("another sensor writes to it (process {})", sensor.id());
    for name in ["history.db", "link.db", "hard.db", "elsewhere/history.db"] {
        let ended_with_names = path(name);
        let refused = replay(&other, &ended_with_names)
            .status(1)
            .stderr_has("cannot open database")
            .stderr_has(&holder)
            .stderr_has_one_line();
        assert_eq!(refused.stdout(), "");
        let delete = ["first-seen", "delete", "--all", "--db", ended_with_names.to_str().unwrap()];
        Sensor::new().run(&delete).status(1).stderr_has(&holder).stderr_has_one_line();
    }

    stdin.write_all(tail).unwrap();
    drop(stdin);
    assert!(sensor.wait().unwrap().success());
    assert_eq!(query_number(&database, "SELECT count(*) FROM fingerprint"), i64::from(FIRST));
    assert_intact(&database);
    // The writer has finished, so another sensor may write to the file.
    replay(&other, &path("link.db")).ok();
}

#[test]
fn a_packet_with_a_future_time_expires_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let early = syns(folder.path(), "early.pcap", 0..10, LONG_AGO);
    replay(&early, &path).ok();
    assert_eq!(query_number(&path, "SELECT count(*) FROM first_seen"), 20);

    let packets = [syn(100, LONG_AGO + SECOND), syn(101, FUTURE), syn(102, LONG_AGO + 2 * SECOND)];
    let mixed = capture_file(folder.path(), "strange.pcap", &packets);
    let events = replay(&mixed, &path).ok().events();
    assert_eq!(stats_u64(last_stats(&events).unwrap(), &["engine", "first_seen", "expired"]), 0);
    assert_eq!(query_number(&path, "SELECT count(*) FROM first_seen"), 26);
    // The next run keeps the values too.
    let events = replay(&early, &path).ok().events();
    assert_eq!(stats_u64(last_stats(&events).unwrap(), &["engine", "first_seen", "values"]), 13);
    assert_eq!(query_number(&path, "SELECT count(*) FROM first_seen"), 26);
}

#[test]
fn a_replay_that_lost_rows_reports_it() {
    if !require_root() {
        return;
    }
    on_a_small_disk(8, |folder| {
        let path = folder.join("history.db");
        let captures = TempDir::new().unwrap();
        let capture = syns(captures.path(), "some.pcap", 0..5000, LONG_AGO);
        // Enough space to start a run, but not to store its results.
        replay(&syns(captures.path(), "one.pcap", 0..1, LONG_AGO), &path).ok();
        let filler = fs::File::create(folder.join("filler")).unwrap();
        let space = nix::sys::statvfs::statvfs(folder).unwrap();
        let free = space.blocks_free() * space.fragment_size();
        nix::fcntl::posix_fallocate(&filler, 0, (free - (400 << 10)) as i64).unwrap();

        let outcome = replay(&capture, &path).status(1).stderr_has("lost: ").stderr_has_one_line();
        let events = outcome.events();
        let alerts: Vec<_> = events.iter().filter(|event| event["event_type"] == "alert").collect();
        assert!(
            alerts.iter().any(|event| event["alert"]["signature"].to_string().contains("database")),
            "{alerts:?}\n{outcome}"
        );
        assert!(stats_u64(last_stats(&events).unwrap(), &["storage", "rows_lost"]) > 0);

        fs::remove_file(folder.join("filler")).unwrap();
        assert_intact(&path);
        replay(&syns(captures.path(), "one.pcap", 0..1, LONG_AGO), &path).ok();
    });
}

#[test]
fn a_replay_does_not_shorten_the_learning_period_of_a_live_sensor() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let capture = syns(folder.path(), "some.pcap", 0..10, LONG_AGO);
    replay(&capture, &path).ok();
    assert_eq!(query_number(&path, "SELECT count(*) FROM sensor WHERE learning_since IS NULL"), 1);
    assert_eq!(query_number(&path, "SELECT count(*) FROM first_seen WHERE approved"), 20);
    // The next capture continues the learning period of the first.
    let later = syns(folder.path(), "later.pcap", 100..110, LONG_AGO + 8 * 24 * 3600 * SECOND);
    let events = replay(&later, &path).ok().events();
    assert_eq!(stats_u64(last_stats(&events).unwrap(), &["engine", "first_seen", "first"]), 10);

    if !require_bpf() || !require_tools(&["ip", "ethtool"]) {
        return;
    }
    let wire = Wire::new();
    let options = ["--http", "off", "--stats-interval", "1", "--db", path.to_str().unwrap()];
    let sensor = RunningSensor::start(wire.server(), &options);
    connect(wire.client(), wire.server(), 1);
    assert!(until(SOON, || committed(&sensor) >= 1), "{}", sensor.stdout());
    let events = sensor.stop().ok().events();
    let stats = last_stats(&events).unwrap();
    assert_eq!(stats_u64(stats, &["engine", "first_seen", "first"]), 0, "the sensor is not in its learning period");
    assert!(stats_u64(stats, &["engine", "first_seen", "learning_left_s"]) > 6 * 24 * 3600);
    let young = "SELECT count(*) FROM sensor WHERE learning_since > (SELECT max(started) - 1 FROM sensor_run)";
    assert_eq!(query_number(&path, young), 1);

    // Captures older than the live sensor do not extend the learning period indefinitely.
    let events = replay(&syns(folder.path(), "week.pcap", 0..10, LONG_AGO), &path).ok().events();
    assert_eq!(
        stats_u64(last_stats(&events).unwrap(), &["engine", "first_seen", "first"]),
        0,
        "known values count as first seen"
    );
    let mut week = vec![syn(200, LONG_AGO)];
    week.extend((201..205).map(|number| syn(number, LONG_AGO + 8 * 24 * 3600 * SECOND)));
    let events = replay(&capture_file(folder.path(), "long.pcap", &week), &path).ok().events();
    assert_eq!(stats_u64(last_stats(&events).unwrap(), &["engine", "first_seen", "first"]), 4);
    assert_eq!(query_number(&path, young), 0, "a replay restarted the learning period");
    assert_eq!(query_number(&path, "SELECT count(*) FROM sensor WHERE learning_since IS NULL"), 0);
}

#[test]
fn no_file_is_created_beside_a_file_that_is_not_a_database() {
    let folder = TempDir::new().unwrap();
    let capture = syns(folder.path(), "some.pcap", 0..10, LONG_AGO);
    let text = folder.path().join("hostname");
    fs::write(&text, "this is the name of a host, and no database at all\n".repeat(40)).unwrap();
    let foreign = folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        .unwrap();
    for path in [&text, &foreign] {
        let before = fs::read(path).unwrap();
        replay(&capture, path).status(1).stderr_has("name another file").stderr_has_one_line();
        assert_eq!(fs::read(path).unwrap(), before);
    }
    replay(&capture, folder.path()).status(1).stderr_has("directory").stderr_has_one_line();
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["foreign.db", "hostname", "some.pcap"]);
}
