//! A database that rejects writes: the disk is full, the file is read-only, or another process holds a lock.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use ja4_user::output::storage::{Retention, StorageError, WriteOp, Writer, WriterHandle, WriterOptions, WriterStatus};
use ja4_user::system::shutdown::ShutdownDeadline;
use nix::sched::{CloneFlags, unshare};
use rusqlite::Connection;
use tempfile::TempDir;
use tests::process::until;
use tests::{Sensor, require_root};

use crate::samples::{BASE_TIME, end, ended, fast_options, fingerprint, run};
use crate::{assert_intact, query_number};

const SOON: Duration = Duration::from_secs(20);

/// Returns the three write operations of a connection with two fingerprints.
fn operations(number: u64) -> Vec<WriteOp> {
    let time = BASE_TIME + number;
    vec![
        fingerprint(number, "one", time),
        fingerprint(number, &format!("value {number}"), time),
        ended(number, BASE_TIME, time),
    ]
}

/// Sends the operations without blocking, as a live sensor does.
fn send(handle: &WriterHandle, number: u64) -> bool {
    handle.try_send(operations(number))
}

/// Asserts that every operation was written or is counted as lost, and that the written ones are in the file.
fn assert_accounted(path: &Path, sent: u64, status: &WriterStatus) {
    let written = status.connections + status.fingerprints;
    assert_eq!(3 * sent, written + status.rows_lost + status.rows_dropped, "{status:?}");
    assert_eq!(query_number(path, "SELECT count(*) FROM fingerprint") as u64, status.fingerprints);
    assert_eq!(query_number(path, "SELECT count(*) FROM connection WHERE state = 'fin'") as u64, status.connections);
    assert_intact(path);
}

/// Runs `work` in a thread with its own mount namespace, on a small tmpfs.
pub(crate) fn on_a_small_disk(megabytes: u32, work: impl FnOnce(&Path) + Send + 'static) {
    let thread = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let folder = TempDir::new().unwrap();
        let mount = |arguments: &[&str]| {
            let mounted = Command::new("mount").args(arguments).status().unwrap();
            assert!(mounted.success(), "mount {arguments:?}");
        };
        let mount_point = folder.path().to_str().unwrap();
        mount(&["--make-rprivate", "/"]);
        mount(&["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs", mount_point]);
        work(folder.path());
        let unmounted = Command::new("umount").arg(mount_point).status().unwrap();
        assert!(unmounted.success(), "{mount_point} is still in use");
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn on_a_full_disk_lost_rows_are_counted_and_senders_do_not_wait() {
    if !require_root() {
        return;
    }
    on_a_small_disk(24, |folder| {
        let path = folder.join("history.db");
        let (handle, writer) = Writer::start(&path, WriterOptions { queue: 64, ..fast_options() }, &run()).unwrap();
        let mut sent = 0;
        let send_many = |sent: &mut u64, count: u64| {
            let mut slowest = Duration::ZERO;
            for _ in 0..count {
                let start = Instant::now();
                send(&handle, *sent);
                slowest = slowest.max(start.elapsed());
                *sent += 1;
                thread::sleep(Duration::from_micros(100));
            }
            slowest
        };
        while sent < 1000 {
            handle.send(operations(sent));
            sent += 1;
        }
        assert!(until(SOON, || handle.status().connections == 1000), "{:?}", handle.status());

        // Fill the disk.
        fs::write(folder.join("filler"), vec![0; 24 << 20]).unwrap_err();
        let mut slowest = Duration::ZERO;
        assert!(until(SOON, || {
            slowest = slowest.max(send_many(&mut sent, 500));
            let status = handle.status();
            status.failing && status.rows_lost > 0
        }));
        let full = handle.status();
        assert!(full.flush_failures > 0 && full.last_error.is_some(), "{full:?}");
        let error = full.last_error.unwrap();
        assert!(error.contains("full") || error.contains("I/O"), "{error}");
        assert!(slowest < Duration::from_secs(1), "a sender waited {slowest:?}");

        // Free the disk space.
        fs::remove_file(folder.join("filler")).unwrap();
        assert!(until(SOON, || {
            send_many(&mut sent, 100);
            !handle.status().failing
        }));
        let before = handle.status().connections;
        send_many(&mut sent, 100);
        assert!(until(SOON, || handle.status().connections >= before + 100));
        let status = writer.finish();
        assert!(status.rows_lost > 0 && !status.failing, "{status:?}");
        assert_accounted(&path, sent, &status);
        // All rows written before the disk was full are present.
        assert_eq!(query_number(&path, "SELECT count(*) FROM connection WHERE flow_id < 1000"), 1000);
    });
}

#[test]
fn a_run_ends_in_time_with_a_full_disk() {
    if !require_root() {
        return;
    }
    on_a_small_disk(8, |folder| {
        let path = folder.join("history.db");
        let options =
            WriterOptions { retry_limit: Duration::from_millis(300), senders_wait: true, queue: 2, ..fast_options() };
        let (handle, writer) = Writer::start(&path, options, &run()).unwrap();
        fs::write(folder.join("filler"), vec![0; 8 << 20]).unwrap_err();
        let start = Instant::now();
        // A replay blocks until the queue has capacity.
        let sent = 3000;
        for number in 0..sent {
            handle.send(operations(number));
        }
        handle.send(vec![end()]);
        let status = writer.finish();
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert!(status.rows_lost > 0, "{status:?}");
        fs::remove_file(folder.join("filler")).unwrap();
        assert_intact(&path);
    });
}

/// Each transaction of a backlog takes at least one second until the disk reports that it is full.
#[test]
fn a_shutdown_ends_in_time_with_a_backlog_and_a_full_disk() {
    if !require_root() {
        return;
    }
    on_a_small_disk(24, |folder| {
        let path = folder.join("history.db");
        let deadline = ShutdownDeadline::default();
        let options = WriterOptions { queue: 4096, ..WriterOptions::default() };
        let (handle, writer) = Writer::start_until(&path, options, &run(), deadline.clone()).unwrap();
        fs::write(folder.join("filler"), vec![0; 24 << 20]).unwrap_err();
        let batch: Vec<_> = (0..170).flat_map(operations).collect();
        let sent = 3000;
        for _ in 0..sent {
            assert!(handle.try_send(batch.clone()), "the queue is full");
        }
        deadline.begin();
        let start = Instant::now();
        handle.send(vec![end()]);
        let status = writer.finish();
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        let written = status.connections + status.fingerprints;
        assert_eq!(written + status.lost(), sent * batch.len() as u64 + 1, "{status:?}");
        assert!(status.lost() > 0 && status.last_error.is_some(), "{status:?}");
        fs::remove_file(folder.join("filler")).unwrap();
    });
}

#[test]
fn a_read_only_file_is_written_once_it_is_writable() {
    if !require_root() {
        return;
    }
    on_a_small_disk(8, |folder| {
        let path = folder.join("history.db");
        let (handle, writer) = Writer::start(&path, fast_options(), &run()).unwrap();
        send(&handle, 1);
        let _status = writer.finish();
        let mount_point = folder.to_str().unwrap();
        let remount =
            |option: &str| assert!(Command::new("mount").args(["-o", option, mount_point]).status().unwrap().success());
        remount("remount,ro");
        let started: Vec<_> = ["history.db", "new.db"]
            .map(|name| Writer::start(&folder.join(name), fast_options(), &run()).unwrap())
            .into_iter()
            .collect();
        for (number, (handle, writer)) in (2..).zip(&started) {
            let error = writer.open_error.as_ref().expect("the file is read-only").one_line();
            assert!(error.to_lowercase().contains("read-only"), "{error}");
            assert!(handle.status().failing, "{:?}", handle.status());
            assert!(send(handle, number), "the queue is full");
        }
        // Reading still works.
        let path = path.to_str().unwrap();
        Sensor::new().run(&["query", "--db", path, "--format", "json"]).ok().stdout_has(r#""flow_id":1"#);
        Sensor::new()
            .run(&["first-seen", "delete", "--all", "--db", path])
            .status(1)
            .stderr_has("read-only")
            .stderr_has_one_line();
        remount("remount,rw");
        for (handle, writer) in started {
            assert!(until(SOON, || handle.status().connections == 1), "{:?}", handle.status());
            let status = writer.finish();
            assert_eq!((status.rows_lost, status.failing), (0, false), "{status:?}");
        }
        assert_eq!(query_number(path.as_ref(), "SELECT count(*) FROM connection"), 2);
    });
}

#[test]
fn the_writer_waits_for_a_lock_of_another_process() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (handle, writer) = Writer::start(&path, fast_options(), &run()).unwrap();
    send(&handle, 0);
    assert!(until(SOON, || handle.status().connections == 1));

    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for number in 1..=50 {
        assert!(send(&handle, number));
    }
    assert!(until(SOON, || handle.status().failing));
    assert!(handle.status().last_error.unwrap().contains("locked"));
    other.execute_batch("ROLLBACK").unwrap();

    assert!(until(SOON, || handle.status().connections == 51), "{:?}", handle.status());
    let status = writer.finish();
    assert_eq!((status.rows_lost, status.rows_dropped), (0, 0));
    assert_accounted(&path, 51, &status);
}

#[test]
fn a_second_writer_is_refused_with_the_process_id_of_the_first() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (_handle, writer) = Writer::start(&path, fast_options(), &run()).unwrap();

    // Also through another path to the same file.
    let (link, hard) = (folder.path().join("link.db"), folder.path().join("hard.db"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    fs::hard_link(&path, &hard).unwrap();
    for name in [&path, &link, &hard] {
        match Writer::start(name, fast_options(), &run()).map(drop) {
            Err(StorageError::InUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        Sensor::new()
            .run(&["first-seen", "delete", "--all", "--db", name.to_str().unwrap()])
            .status(1)
            .stderr_has(&format!("process {}", std::process::id()))
            .stderr_has_one_line();
    }
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let file = format!(":{} ", fs::metadata(&path).unwrap().ino());
    let own = std::process::id().to_string();
    let is_own =
        |line: &&str| line.contains("POSIX") && line.contains(&file) && line.split(' ').any(|word| word == own);
    assert!(
        locks.lines().any(|line| is_own(&line)),
        "the first writer has lost SQLite's locks:
{locks}"
    );
    let _status = writer.finish();
    let again: PathBuf = link;
    let _status = Writer::start(&again, fast_options(), &run()).unwrap().1.finish();
}

/// No rows are pending, so no write would show that the database works again.
#[test]
fn a_lock_that_affects_only_retention_is_cleared_when_it_is_released() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let retention = Retention { max_age: Some(Duration::from_secs(3600)), max_bytes: None };
    let (handle, writer) = Writer::start(&path, WriterOptions { retention, ..fast_options() }, &run()).unwrap();
    let other = Connection::open(&path).unwrap();
    for _ in 0..2 {
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert!(until(SOON, || handle.status().failing));
        other.execute_batch("ROLLBACK").unwrap();
        assert!(until(SOON, || !handle.status().failing), "{:?}", handle.status());
    }
    assert_eq!(writer.finish().lost(), 0);
}
