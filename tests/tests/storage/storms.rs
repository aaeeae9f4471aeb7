//! A writer that is killed in the middle of its work, again and again.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use ja4_user::storage::{Reader, Writer};
use tempfile::TempDir;
use tests::random::SplitMix64;

use crate::samples::{NOON, ended, fingerprint, prompt, run};
use crate::{ask, intact, one, open};

/// Names the database to the child.
const DATABASE: &str = "JA4_STORM_DATABASE";
/// Names the storm to the child.
const STORM: &str = "JA4_STORM";
/// What the child says before a number of committed fingerprints.
const COMMITTED: &str = "COMMITTED ";

/// Storms in all.
const STORMS: u64 = 200;
/// Storms on one file: what a check goes through stays small.
const STORMS_A_FILE: u64 = 20;

/// Fingerprints of a batch.
const BATCH: u64 = 120;

/// Not a test: the process that is killed. It writes numbered fingerprints, and says how many are committed.
#[test]
#[ignore = "the child of kill_9_in_the_middle_of_write_storms"]
fn child() {
    let Some(database) = std::env::var_os(DATABASE).map(PathBuf::from) else {
        return;
    };
    let storm: u64 = std::env::var(STORM).unwrap().parse().unwrap();
    let (handle, _writer) = Writer::start(&database, prompt(), &run()).unwrap();
    let said = handle.clone();
    thread::spawn(move || {
        let mut last = 0;
        loop {
            let committed = said.status().fingerprints;
            if committed != last {
                // Past the harness, which would hold it back.
                writeln!(std::io::stdout(), "{COMMITTED}{committed}").unwrap();
                last = committed;
            }
            thread::yield_now();
        }
    });
    for batch in 0.. {
        let mut items = Vec::new();
        for number in batch * BATCH..(batch + 1) * BATCH {
            let flow = (storm << 32) | (number / 3);
            items.push(fingerprint(flow, &format!("s{storm}_{number}"), NOON + number));
            if number % 6 == 5 {
                items.push(ended(flow, NOON, NOON + number));
            }
        }
        handle.send(items);
    }
}

#[test]
fn kill_9_in_the_middle_of_write_storms() {
    let mut random = SplitMix64::new(200);
    let mut most = 0;
    for file in 0..STORMS / STORMS_A_FILE {
        let folder = TempDir::new().unwrap();
        let database = folder.path().join("history.db");
        for storm in file * STORMS_A_FILE..(file + 1) * STORMS_A_FILE {
            let promised = rage(&database, storm, Duration::from_micros(random.between(500, 30_000)));
            let reopened = open(&database);
            intact(&reopened);
            let of_storm = |what: &str| {
                let query = format!(
                    "SELECT {what} FROM fingerprint f JOIN fingerprint_value v ON v.id = f.value WHERE v.value GLOB 's{storm}_*'"
                );
                u64::try_from(one(&reopened, &query)).unwrap()
            };
            let there = of_storm("count(*)");
            assert!(there >= promised, "storm {storm}: {promised} committed, {there} there");
            // The first ones without a gap, each with its connection.
            assert_eq!(of_storm("max(CAST(substr(v.value, instr(v.value, '_') + 1) AS INTEGER)) + 1"), there);
            let orphans = "SELECT count(*) FROM fingerprint WHERE id / 1048576 NOT IN (SELECT id FROM connection)";
            assert_eq!(one(&reopened, orphans), 0);
            most = most.max(there);
        }
        // Whoever comes next finds everything closed.
        let (_, writer) = Writer::start(&database, prompt(), &run()).unwrap();
        let _status = writer.finish();
        assert_eq!(ask(&database, "SELECT count(*) FROM connection WHERE ended IS NULL"), 0);
        assert!(ask(&database, "SELECT count(*) FROM connection WHERE ended = 'open'") > 0);
        let runs = Reader::open(&database, None).unwrap().runs().unwrap();
        assert_eq!(runs.len() as u64, STORMS_A_FILE + 1);
        assert!(runs.iter().all(|run| !run.clean));
    }
    assert!(most > 10 * BATCH, "no storm was one: {most} rows at most");
}

/// Lets a child write, and kills it some time after its first commit. How many fingerprints it said were committed.
fn rage(database: &std::path::Path, storm: u64, time: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "storms::child", "--ignored", "--nocapture", "--test-threads=1"]);
    child.env(DATABASE, database).env(STORM, storm.to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = child.spawn().unwrap();
    let mut committed = 0;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let number = |line: &str| line.split_once(COMMITTED).and_then(|(_, number)| number.parse::<u64>().ok());
    committed = lines.by_ref().find_map(|line| number(&line)).unwrap_or(committed);
    assert!(committed > 0, "the child wrote nothing");
    thread::sleep(time);
    child.kill().unwrap();
    // What it said before it died.
    for line in lines {
        // The last line may be cut, but then its number is a smaller one.
        committed = committed.max(number(&line).unwrap_or(0));
    }
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    committed
}
