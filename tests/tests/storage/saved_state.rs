//! Saved state is bounded on disk as it is in memory.

use std::path::Path;

use ja4_user::detect::first_seen::FirstSeenFact;
use ja4_user::detect::profile::{PairKind, ProfileRow};
use ja4_user::model::{Method, Time};
use ja4_user::output::storage::{DatabaseReader, FirstSeenRow, SavedStateLimits, WriteOp, Writer};
use ja4_user::runtime::engine::SavedState;
use tempfile::TempDir;

use crate::samples::{BASE_TIME, fast_options, run};
use crate::{assert_intact, query_number};

const LIMITS: SavedStateLimits = SavedStateLimits { values: 10, host_values: 20, profile_keys: 5, profile_values: 4 };

fn first_seen(number: u64, host: Option<[u8; 4]>) -> WriteOp {
    let (first, last) = (Time(BASE_TIME), Time(BASE_TIME + number));
    let value = format!("value {number}").into();
    let fact = FirstSeenFact { method: Method::Ja4, value, host: host.map(Into::into), first, last, count: 1 };
    WriteOp::FirstSeen(FirstSeenRow { fact, approved: false })
}

fn pair(source: &str, key: u64, value: u64, count: u64) -> WriteOp {
    WriteOp::Profile(ProfileRow {
        source: source.into(),
        pair: PairKind::HostJa4,
        key: format!("10.0.0.{key}").into(),
        value: format!("value {value}").into(),
        count,
        first: Time(BASE_TIME),
        last: Time(BASE_TIME + key),
    })
}

/// Writes 100 network-wide values and 100 host values; 10 profile keys with 10 values each, reported by two sensors,
/// one of them with the maximum count.
fn write(path: &Path, last: Option<WriteOp>) {
    let (handle, writer) = Writer::start(path, fast_options(), &run()).unwrap();
    let mut items = Vec::new();
    for number in 0..100 {
        items.push(first_seen(number, None));
        items.push(first_seen(number, Some([10, 0, 0, 1])));
    }
    for key in 0..10 {
        for value in 0..10 {
            items.push(pair("here", key, value, 1 + value));
            items.push(pair("there", key, value, if value == 0 { i64::MAX as u64 } else { 1 }));
        }
    }
    items.extend(last);
    handle.send(items);
    handle.wait_written();
    let status = writer.finish();
    assert_eq!((status.lost(), status.saved_state_lost), (0, 0), "{status:?}");
}

#[test]
fn saved_state_over_the_limits_is_deleted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    write(&path, Some(WriteOp::TrimSavedState(LIMITS)));
    assert_intact(&path);
    assert_eq!(query_number(&path, "SELECT count(*) FROM first_seen WHERE length(host) = 0"), 10);
    assert_eq!(query_number(&path, "SELECT count(*) FROM first_seen WHERE length(host) > 0"), 20);
    assert_eq!(
        query_number(&path, &format!("SELECT min(last) - {BASE_TIME} FROM first_seen WHERE length(host) = 0")),
        90
    );
    assert_eq!(query_number(&path, "SELECT count(DISTINCT key) FROM profile"), 5);
    assert_eq!(query_number(&path, &format!("SELECT min(last) - {BASE_TIME} FROM profile")), 5);
    // Of each profile key, the four values with the highest counts of both sensors.
    assert_eq!(query_number(&path, "SELECT count(*) FROM profile"), 5 * 4 * 2);
    let kept = "'value 0', 'value 7', 'value 8', 'value 9'";
    assert_eq!(query_number(&path, &format!("SELECT count(*) FROM profile WHERE value NOT IN ({kept})")), 0);
}

#[test]
fn a_starting_sensor_reads_the_saved_state_up_to_its_limits() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    write(&path, None);
    let saved_state = SavedState::read(&DatabaseReader::open(&path, None).unwrap(), &LIMITS).unwrap();
    let last = |of_host: bool| {
        let rows = saved_state.first_seen.iter().filter(|row| row.host.is_some() == of_host);
        rows.map(|row| row.last.0 - BASE_TIME).collect::<Vec<_>>()
    };
    // Rows are ordered by last use, so that the most recent one is evicted last.
    assert_eq!(last(false), (90..100).collect::<Vec<_>>());
    assert_eq!(last(true), (80..100).collect::<Vec<_>>());
    assert_eq!(saved_state.profiles.len(), 20);
    assert!(saved_state.profiles.iter().all(|row| row.last == Time(BASE_TIME + 9)));
}
