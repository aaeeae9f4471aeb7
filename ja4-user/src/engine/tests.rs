//! What is known survives a history that fails for a while.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;

use rusqlite::Connection;

use super::*;
use crate::anomaly::profile::Pair;
use crate::event::Method;
use crate::storage::{Options, Run, Writer};

const NOON: Time = Time(1_795_417_200_000_000_000);

fn begin(path: &Path) -> (Engine, Writer) {
    let run = Run { started: NOON, sensor: None, interfaces: Vec::new(), files: Vec::new() };
    let options = Options {
        queue: 1,
        flush_after: Duration::from_millis(1),
        patience: Duration::from_millis(100),
        ..Options::default()
    };
    let (handle, writer) = Writer::start(path, options, &run).unwrap();
    let context = Arc::new(Context::default());
    let settings = Settings { connections: 16, ..Settings::default() };
    let outlets = Outlets::new(&context, false).with_storage(handle);
    (Engine::new(&settings, Knowledge::default(), Memory::default(), None, &context, outlets), writer)
}

fn count(path: &Path, what: &str) -> i64 {
    let database = Connection::open(path).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

fn see(engine: &mut Engine, values: Range<u64>) {
    for number in values {
        let value = number.to_string();
        engine.firsts.check(Method::Ja4, &value, None, NOON);
        engine.profiles.observe(Pair::HostJa4, "10.0.0.1", &value, NOON, |_| false);
    }
}

#[test]
fn what_storage_has_lost_is_stored_again() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (mut engine, writer) = begin(&path);
    see(&mut engine, 0..10);
    engine.save();
    engine.outlets.settle();
    assert_eq!((count(&path, "first_seen"), count(&path, "profile")), (10, 10));
    assert_eq!(count(&path, "sensor WHERE learning_since IS NULL"), 0);

    // Somebody else holds the database for longer than there is patience.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("UPDATE sensor SET learning_since = NULL; BEGIN IMMEDIATE").unwrap();
    engine.learning_stored = None;
    see(&mut engine, 10..20);
    engine.save();
    engine.outlets.settle();
    assert_eq!(engine.outlets.knowledge_lost(), 21);
    // As long as nothing can be written nothing more is risked.
    see(&mut engine, 20..30);
    engine.save();
    engine.outlets.settle();
    assert_eq!(engine.outlets.knowledge_lost(), 21);
    other.execute_batch("ROLLBACK").unwrap();

    let mut out = Vec::new();
    engine.finish(|lines| out.append(lines));
    assert_eq!((count(&path, "first_seen"), count(&path, "profile")), (30, 30));
    assert_eq!(count(&path, "sensor WHERE learning_since IS NULL"), 0);
    let told = String::from_utf8(out).unwrap();
    assert!(told.contains("21 rows were lost: database is locked"), "{told}");
    assert_eq!(writer.finish().lost(), 21);
}

#[test]
fn nothing_is_lost_at_the_end_for_want_of_room_in_a_queue() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (mut engine, writer) = begin(&path);
    see(&mut engine, 0..150_000);
    let mut out = Vec::new();
    engine.finish(|lines| out.append(lines));
    assert_eq!(count(&path, "first_seen"), 150_000);
    assert_eq!(writer.finish().lost(), 0);
    assert_eq!(String::from_utf8(out).unwrap(), "");
}
