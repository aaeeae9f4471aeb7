//! File sinks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};
use tests::process::until;

use super::{HOSTILE, SOON, alert, assert_balanced, start_sinks, stats_when_idle};

#[test]
fn a_moved_file_is_reopened() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("alerts"), folder.path().join("alerts.1"));
    let sinks = start_sinks(json!([{"type": "file", "path": path}]));
    sinks.send(&alert(HOSTILE));
    assert_eq!(stats_when_idle(&sinks).sent, 1);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
    fs::rename(&path, &moved).unwrap();
    sinks.send(&alert("second"));
    stats_when_idle(&sinks);
    fs::remove_file(&path).unwrap();
    sinks.send(&alert("third"));
    assert_eq!(stats_when_idle(&sinks).sent, 3);
    for (path, reason) in [(moved, HOSTILE), (path, "third")] {
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 1);
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["alert"]["ja4sensor"]["reason"], reason);
    }
}

#[test]
fn a_cef_sink_writes_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cef");
    let sinks = start_sinks(json!([{"type": "cef", "path": path}]));
    sinks.send(&alert(HOSTILE));
    stats_when_idle(&sinks);
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(text.starts_with("CEF:0|ja4sensor|ja4sensor|"), "{text}");
}

#[test]
fn on_a_full_disk_alerts_count_as_failed_and_no_line_is_incomplete() {
    if !tests::require_root() || !tests::require_tools(&["mount", "umount"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mount = |program: &str, arguments: &[&str]| {
        assert!(Command::new(program).args(arguments).arg(folder.path()).status().unwrap().success());
    };
    mount("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs"]);
    let path = folder.path().join("alerts");
    let sinks = start_sinks(json!([{"type": "file", "path": path, "retries": 1, "retry_initial": "1ms", "rate": 0}]));
    // Lines long enough that the disk becomes full in the middle of one.
    for number in 0..30 {
        sinks.send(&alert(&format!("{number} {}", "x".repeat(3000))));
    }
    let stats = stats_when_idle(&sinks);
    let full = fs::read_to_string(&path).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    sinks.send(&alert("after"));
    let delivered_again = until(SOON, || sinks.stats()[0].sent == stats.sent + 1);
    let after = fs::read_to_string(&path).unwrap();
    sinks.stop(SOON).iter().for_each(assert_balanced);
    mount("umount", &[]);

    assert!(stats.failed > 0 && stats.sent > 0, "{stats:?}");
    assert_eq!(full.lines().count() as u64, stats.sent);
    for line in full.lines().chain(after.lines()) {
        assert!(serde_json::from_str::<Value>(line).unwrap().is_object());
    }
    assert!(delivered_again && after.contains("after"), "{after}");
    assert!(stats.last_error.unwrap().contains("No space left"));
}
