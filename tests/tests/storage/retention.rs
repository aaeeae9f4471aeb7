//! Retention by age and by size.

use std::fs;
use std::time::Duration;

use ja4_user::detect::first_seen::FirstSeenFact;
use ja4_user::model::{Method, Severity, Time};
use ja4_user::output::storage::{FirstSeenRow, Retention, WriteOp, Writer, WriterHandle, WriterOptions};
use tempfile::TempDir;
use tests::process::until;

use crate::samples::{BASE_TIME, SECOND, alert, ended, fast_options, fingerprint, run};
use crate::{assert_intact, query_number};

const DAY: u64 = 86_400 * SECOND;

/// Query for the bytes in use.
const USED: &str =
    "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";

fn start(path: &std::path::Path, retention: Retention) -> (WriterHandle, Writer) {
    Writer::start(path, WriterOptions { retention, ..fast_options() }, &run()).unwrap()
}

#[test]
fn rows_beyond_the_age_limit_are_deleted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    // Age is measured in capture time, not wall-clock time: 9 days with a connection each hour, and one that stays
    // open.
    let (handle, writer) =
        start(&path, Retention { max_age: Some(Duration::from_secs(7 * 86_400 + 600)), max_bytes: None });
    let first = BASE_TIME - 400 * DAY;
    let known = |value: &str| {
        let (method, value, time) = (Method::Ja4, value.into(), Time(first));
        let fact = FirstSeenFact { method, value, host: None, first: time, last: time, count: 1 };
        WriteOp::FirstSeen(FirstSeenRow { fact, approved: true })
    };
    handle.send(vec![fingerprint(5000, "goes on", first), known("value 3")]);
    for hour in 0..9 * 24 {
        let time = first + hour * 3_600 * SECOND;
        let items = vec![
            fingerprint(hour, &format!("value {hour}"), time),
            fingerprint(hour, "everywhere", time),
            ended(hour, time, time + SECOND),
            alert(hour, Severity::Low, time),
        ];
        handle.send(items);
    }
    // The newest connection ended one second after the hour, 215 hours after the first; 47 connections ended more than
    // ten minutes and 168 hours before it.
    let expired = 47;
    let remaining = 9 * 24 - expired;
    let done = || {
        let status = handle.status();
        status.expired_connections == expired
            && status.expired_fingerprints == 2 * expired
            && status.expired_alerts == expired
    };
    assert!(until(Duration::from_secs(20), done), "{:?}", handle.status());
    // Unreferenced values are deleted later.
    let values = "SELECT count(*) FROM fingerprint_value";
    let expected = remaining as i64 + 3;
    assert!(
        until(Duration::from_secs(20), || query_number(&path, values) == expected),
        "{} values",
        query_number(&path, values)
    );
    // A deleted value can be inserted again.
    handle.send(vec![fingerprint(6000, "value 1", first + 8 * DAY)]);
    let status = writer.finish();
    assert_eq!((status.flush_failures, status.rows_lost, status.rows_dropped), (0, 0, 0));
    assert_eq!(query_number(&path, "SELECT count(*) FROM connection"), remaining as i64 + 2);
    let without_value = "SELECT count(*) FROM fingerprint WHERE value NOT IN (SELECT id FROM fingerprint_value)";
    assert_eq!(query_number(&path, without_value), 0);
    assert_eq!(query_number(&path, "SELECT count(*) FROM fingerprint_value WHERE value = 'value 1'"), 1);
    assert_intact(&path);
}

#[test]
fn a_file_over_its_size_limit_shrinks_to_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let max_bytes = 2 << 20;
    let (handle, writer) = start(&path, Retention { max_age: None, max_bytes: Some(max_bytes) });
    for batch in 0..400 {
        let mut items = Vec::new();
        for number in batch * 100..(batch + 1) * 100 {
            let time = BASE_TIME + number * SECOND;
            items.push(fingerprint(number, "one", time));
            items.push(fingerprint(number, &format!("unique {number}"), time));
            items.push(ended(number, time, time));
        }
        handle.send(items);
    }
    assert!(until(Duration::from_secs(60), || {
        let status = handle.status();
        status.connections == 40_000 && query_number(&path, USED) <= max_bytes as i64
    }));
    let status = writer.finish();
    assert_eq!((status.rows_lost, status.rows_dropped), (0, 0));
    assert!(status.expired_connections > 10_000, "{status:?}");
    let left = query_number(&path, "SELECT count(*) FROM connection");
    assert_eq!(left as u64 + status.expired_connections, 40_000);
    assert!(left > 1000, "{left} connections left");
    // The oldest connections were deleted.
    assert_eq!(
        query_number(&path, "SELECT min(start) FROM connection") as u64,
        BASE_TIME + (40_000 - left as u64) * SECOND
    );
    assert_intact(&path);
    let size = fs::metadata(&path).unwrap().len();
    assert!(size < 2 * max_bytes, "{size} bytes");
}

/// Many more alerts than connections: the oldest of both are deleted, and at the end of a replay the database is
/// within its size limit.
#[test]
fn alerts_and_connections_are_deleted_by_age() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let max_bytes = 1 << 20;
    let retention = Retention { max_age: None, max_bytes: Some(max_bytes) };
    let options = WriterOptions { retention, senders_wait: true, ..fast_options() };
    let (handle, writer) = Writer::start(&path, options, &run()).unwrap();
    let (connections, alerts_each) = (2_000_u64, 10);
    for number in 0..connections {
        let time = BASE_TIME + number * SECOND;
        let mut items = vec![fingerprint(number, "one", time), ended(number, time, time)];
        items.extend((0..alerts_each).map(|_| alert(number, Severity::Low, time)));
        handle.send(items);
    }
    let status = writer.finish();
    assert_eq!((status.rows_lost, status.rows_dropped), (0, 0));
    assert!(query_number(&path, USED) <= max_bytes as i64, "{} bytes", query_number(&path, USED));
    let left = query_number(&path, "SELECT count(*) FROM connection");
    assert!((100..connections as i64).contains(&left), "{left} connections are left");
    let (connection, alert) = ("SELECT min(\"end\") FROM connection", "SELECT min(time) FROM alert");
    let apart = (query_number(&path, connection) - query_number(&path, alert)).unsigned_abs();
    // At most one second apart: a deletion step may end between a connection and its alerts.
    assert!(apart <= SECOND, "the oldest connection and the oldest alert are {} s apart", apart / SECOND);
    assert_intact(&path);
}

/// The saved state alone exceeds the size limit; deleting connections would not help.
#[test]
fn saved_state_does_not_displace_all_connections() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let max_bytes = 1 << 20;
    let retention = Retention { max_age: None, max_bytes: Some(max_bytes) };
    let options = WriterOptions { retention, senders_wait: true, ..fast_options() };
    let (handle, writer) = Writer::start(&path, options, &run()).unwrap();
    let known = |number: u64| {
        let (method, value, time) = (Method::Ja4, format!("known value {number:08}").into(), Time(BASE_TIME));
        let fact = FirstSeenFact { method, value, host: None, first: time, last: time, count: 1 };
        WriteOp::FirstSeen(FirstSeenRow { fact, approved: true })
    };
    handle.send((0..100_000).map(known).collect());
    for number in 0..20_000 {
        let time = BASE_TIME + number * SECOND;
        handle.send(vec![fingerprint(number, "one", time), ended(number, time, time)]);
    }
    let status = writer.finish();
    let left = query_number(&path, "SELECT count(*) FROM connection");
    assert_eq!(left as u64 + status.expired_connections, 20_000);
    let history = "SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE AND name IN ('connection', 'fingerprint',
        'fingerprint_by_value', 'connection_by_end')";
    let bytes = query_number(&path, history) as u64;
    assert!((max_bytes / 4..max_bytes * 2 / 3).contains(&bytes), "{bytes} bytes of history, {left} connections");
    assert_eq!(query_number(&path, "SELECT count(*) FROM first_seen"), 100_000);
    assert_intact(&path);
}

/// Without events, time advances by the clock.
#[test]
fn rows_expire_without_new_events() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (handle, writer) = start(&path, Retention { max_age: Some(Duration::from_secs(2)), max_bytes: None });
    handle.send(vec![fingerprint(1, "one", BASE_TIME), ended(1, BASE_TIME, BASE_TIME)]);
    assert!(until(Duration::from_secs(20), || handle.status().connections == 1));
    assert!(until(Duration::from_secs(20), || handle.status().expired_connections == 1), "{:?}", handle.status());
    assert_eq!(writer.finish().lost(), 0);
}
