//! Saved state is bounded on disk as it is in memory.

use std::path::Path;

use ja4_user::detect::first_seen::FirstSeenFact;
use ja4_user::detect::profile::{PairKind, ProfileRow};
use ja4_user::model::{Method, Time};
use ja4_user::output::storage::{DatabaseReader, FirstSeenRow, SavedStateLimits, WriteOp, Writer};
use ja4_user::runtime::engine::SavedState;
use tempfile::TempDir;

use crate::samples::{NOON, prompt, run};
use crate::{ask, check};

const BOUNDS: SavedStateLimits = SavedStateLimits { values: 10, host_values: 20, profile_keys: 5, profile_values: 4 };

fn first_seen(number: u64, host: Option<[u8; 4]>) -> WriteOp {
    let (first, last) = (Time(NOON), Time(NOON + number));
    let value = format!("value {number}").into();
    let fact = FirstSeenFact { method: Method::Ja4, value, host: host.map(Into::into), first, last, count: 1 };
    WriteOp::FirstSeen(FirstSeenRow { fact, approved: false })
}

fn pair(source: &str, anchor: u64, companion: u64, count: u64) -> WriteOp {
    WriteOp::Profile(ProfileRow {
        source: source.into(),
        pair: PairKind::HostJa4,
        key: format!("10.0.0.{anchor}").into(),
        value: format!("companion {companion}").into(),
        count,
        first: Time(NOON),
        last: Time(NOON + anchor),
    })
}

/// Writes 100 network-wide values and 100 host values; 10 profile keys with 10 values each, reported by two sensors,
/// one of them with the maximum count.
fn write(path: &Path, last: Option<WriteOp>) {
    let (handle, writer) = Writer::start(path, prompt(), &run()).unwrap();
    let mut items = Vec::new();
    for number in 0..100 {
        items.push(first_seen(number, None));
        items.push(first_seen(number, Some([10, 0, 0, 1])));
    }
    for anchor in 0..10 {
        for companion in 0..10 {
            items.push(pair("here", anchor, companion, 1 + companion));
            items.push(pair("there", anchor, companion, if companion == 0 { i64::MAX as u64 } else { 1 }));
        }
    }
    items.extend(last);
    handle.send(items);
    handle.wait_written();
    let status = writer.finish();
    assert_eq!((status.lost(), status.saved_state_lost), (0, 0), "{status:?}");
}

#[test]
fn what_is_of_no_use_to_a_sensor_goes() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    write(&path, Some(WriteOp::TrimSavedState(BOUNDS)));
    check(&path);
    assert_eq!(ask(&path, "SELECT count(*) FROM first_seen WHERE length(host) = 0"), 10);
    assert_eq!(ask(&path, "SELECT count(*) FROM first_seen WHERE length(host) > 0"), 20);
    assert_eq!(ask(&path, &format!("SELECT min(last) - {NOON} FROM first_seen WHERE length(host) = 0")), 90);
    assert_eq!(ask(&path, "SELECT count(DISTINCT key) FROM profile"), 5);
    assert_eq!(ask(&path, &format!("SELECT min(last) - {NOON} FROM profile")), 5);
    // Of each profile key, the four values with the highest counts of both sensors.
    assert_eq!(ask(&path, "SELECT count(*) FROM profile"), 5 * 4 * 2);
    let kept = "'companion 0', 'companion 7', 'companion 8', 'companion 9'";
    assert_eq!(ask(&path, &format!("SELECT count(*) FROM profile WHERE value NOT IN ({kept})")), 0);
}

#[test]
fn a_sensor_that_starts_reads_what_it_has_room_for() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    write(&path, None);
    let memory = SavedState::read(&DatabaseReader::open(&path, None).unwrap(), &BOUNDS).unwrap();
    let last = |of_host: bool| {
        let rows = memory.first_seen.iter().filter(|row| row.host.is_some() == of_host);
        rows.map(|row| row.last.0 - NOON).collect::<Vec<_>>()
    };
    // Rows are ordered by last use, so that the most recent one is evicted last.
    assert_eq!(last(false), (90..100).collect::<Vec<_>>());
    assert_eq!(last(true), (80..100).collect::<Vec<_>>());
    assert_eq!(memory.profiles.len(), 20);
    assert!(memory.profiles.iter().all(|row| row.last == Time(NOON + 9)));
}
