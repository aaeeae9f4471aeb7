//! The database of a running sensor.

use std::net::TcpStream;

use rusqlite::Connection;
use tests::{Wire, stats_u64, values};

use super::live::{assert_nothing_lost, connect, exclusive, listen, start, terminate};
use super::*;

#[test]
fn the_database_has_every_connection_after_shutdown() {
    const CONNECTIONS: usize = 50;

    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) =
        (Wire::new(), EngineFolder::new("[storage]\npath = \"history.db\"\n[output]\nsensor = \"web1\"\n"));
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &folder, &[]);
    connect(&wire, to, CONNECTIONS, &client_hello(Shape::Curl, "a.example"));
    let _open = wire.client().with(|| TcpStream::connect(to).unwrap());
    sensor.wait_for("the last", |events| values(events, "ja4ts").len() == CONNECTIONS + 1);
    let events = terminate(sensor);
    assert_nothing_lost(&events);
    let rows = folder.rows(&["query", "connections", "--format", "json"], &["--limit", "0"]);
    assert_eq!(rows.len(), CONNECTIONS + 1);
    let in_state = |state| rows.iter().filter(|row| row["connection"]["state"] == state).count();
    assert_eq!((in_state("fin"), in_state("open")), (CONNECTIONS, 1), "{rows:#?}");
    let reported = connections(&events);
    for row in &rows {
        let line =
            reported.iter().find(|line| line["flow_id"] == row["flow_id"]).unwrap_or_else(|| panic!("no line: {row}"));
        for at in [
            "/src_ip",
            "/src_port",
            "/connection",
            "/tls",
            "/app",
            "/primary",
            "/mss",
            "/hops",
            "/sensor",
            "/in_iface",
            "/ja4",
        ] {
            assert_eq!(row.pointer(at), line.pointer(at), "{at}");
        }
    }
    let fingerprints = folder.rows(&["query", "fingerprints", "--format", "json"], &["--limit", "0"]);
    assert_eq!(fingerprints.len(), tests::fingerprints(&events).len());
}

#[test]
fn bulk_data_filtered_in_the_kernel_is_counted() {
    const BYTES: usize = 48 << 20;

    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new("[storage]\npath = \"history.db\"\n"));
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &folder, &[]);
    connect(&wire, to, 1, &vec![b'x'; BYTES]);
    sensor.wait_for("the end", |events| !connections(events).is_empty());
    let events = terminate(sensor);
    assert_nothing_lost(&events);
    let [row] = &folder.rows(&["query", "connections", "--format", "json"], &[])[..] else { panic!("not one row") };
    let count = |name: &str| row["connection"][name].as_u64().unwrap();
    assert!(count("bytes_toserver") > BYTES as u64, "{row:#}");
    assert!(count("pkts_toserver") > (BYTES / 1500) as u64, "{row:#}");
    assert!(count("pkts_toclient") > 0);
    let last = stats(&events);
    let selected = stats_u64(last, &["kernel", "selected"]);
    assert!(selected < 100, "{selected} packets came to userspace");
}

#[test]
fn a_second_sensor_on_the_same_database_is_refused() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new(""));
    let database = folder.text("history.db");
    let first = start(&wire, &folder, &["--db", &database]);
    let binary = Sensor::new().binary().to_str().unwrap().to_owned();
    let second =
        wire.client().run(&[&binary, "run", "-i", wire.client().interface(), "--http", "off", "--db", &database]);
    let pid = first.id().to_string();
    second.status(1).stderr_has("history.db: another sensor writes to it").stderr_has(&pid).stderr_has_one_line();
    assert!(!wire.client().has_programs());
    terminate(first);
    // The lock is released.
    let third = start(&wire, &folder, &["--db", &database]);
    terminate(third);
    assert_eq!(query_number(&folder.path("history.db"), "SELECT count(*) FROM sensor_run"), 2);
}

/// Another process locks the database: fingerprints continue, an alert reports it, and no row is missing afterwards.
#[test]
fn a_locked_database_raises_an_alert_and_loses_no_row() {
    const CONNECTIONS: usize = 20;

    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new("[storage]\npath = \"history.db\"\n"));
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &folder, &[]);
    let hello = client_hello(Shape::Curl, "a.example");
    connect(&wire, to, CONNECTIONS, &hello);
    sensor.wait_for("the first", |events| connections(events).len() == CONNECTIONS);
    let other = Connection::open(folder.path("history.db")).unwrap();
    other.busy_timeout(Duration::from_secs(5)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    connect(&wire, to, CONNECTIONS, &hello);
    sensor.wait_for("an alert", |events| !alerts(events, "storage_failure").is_empty());
    connect(&wire, to, CONNECTIONS, &hello);
    sensor.wait_for("the rest", |events| connections(events).len() == 3 * CONNECTIONS);
    other.execute_batch("ROLLBACK").unwrap();
    let events = terminate(sensor);
    assert_nothing_lost(&events);
    let alert = single_alert(&events, "storage_failure");
    assert_reason(alert, &["locked"]);
    let storage = |name| stats_u64(stats(&events), &["storage", name]);
    assert!(storage("flush_failures") > 0);
    assert_eq!((storage("rows_lost"), storage("rows_dropped")), (0, 0));
    let rows = query_number(&folder.path("history.db"), "SELECT count(*) FROM connection WHERE state = 'fin'");
    assert_eq!(rows, 3 * CONNECTIONS as i64);
}

/// The database is unreadable at the start. Once it can be opened, its saved state is restored and counts continue.
#[test]
fn the_saved_state_is_restored_once_the_database_can_be_opened() {
    let Some(_exclusive) = exclusive() else { return };
    let settings = "[storage]\npath = \"history.db\"\n[first_seen]\nlearning = \"0\"\n";
    let (wire, folder) = (Wire::new(), EngineFolder::new(settings));
    let to = listen(wire.server(), 0, b"");
    let (before, meanwhile) = (client_hello(Shape::Curl, "a.example"), client_hello(Shape::Go, "a.example"));
    let sensor = start(&wire, &folder, &[]);
    connect(&wire, to, 1, &before);
    sensor.wait_for("a connection", |events| connections(events).len() == 1);
    assert_eq!(of_kind(&terminate(sensor), "ja4")[0]["first_seen"], true);

    let other = Connection::open(folder.path("history.db")).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE").unwrap();
    let sensor = start(&wire, &folder, &["--stats-interval", "1s"]);
    assert!(sensor.stderr().contains("counts lost rows and retries"), "{}", sensor.stderr());
    connect(&wire, to, 1, &meanwhile);
    sensor.wait_for("a connection", |events| connections(events).len() == 1);
    let known_values = |events: &[Value]| {
        let last =
            events::of_type(events, "stats").last().map(|last| stats_u64(last, &["engine", "first_seen", "values"]));
        last.unwrap_or(0)
    };
    let without_saved_state = known_values(&sensor.events());
    drop(other);
    sensor.wait_for("the saved state", |events| {
        known_values(events) > without_saved_state && sensor.stderr().contains("its saved state is restored")
    });
    connect(&wire, to, 1, &before);
    sensor.wait_for("another connection", |events| connections(events).len() == 2);
    let events = terminate(sensor);
    let new: Vec<_> = of_kind(&events, "ja4").iter().map(|event| event["first_seen"] == true).collect();
    assert_eq!(new, [true, false]);
    assert_nothing_lost(&events);
    for (shape, count) in [(Shape::Curl, 2), (Shape::Go, 1)] {
        let list = folder.rows(&["first-seen", "list", "--format", "json"], &["--value", shape.ja4()]);
        assert_eq!(list[0]["count"], count, "{list:#?}");
    }
}
