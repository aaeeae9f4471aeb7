//! Alerts in the journal of a real systemd-journald.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::process::{Spawned, until};
use tests::{require_root, require_tools};

use super::{HOSTILE, SOON, alert, start_sinks, stats_when_idle};

/// systemd-journald in a mount namespace, with a folder as its `/run`. It is not in PATH.
const JOURNALD: &str =
    "mount --bind \"$1\" /run && mkdir -p /run/systemd/journal && exec /lib/systemd/systemd-journald";

/// A journald with a journal of its own.
struct Journald {
    run: TempDir,
    process: Option<Spawned>,
}

impl Journald {
    /// Starts journald; `None` if the test cannot run here.
    fn start() -> Option<Self> {
        if !require_root() || !require_tools(&["unshare", "mount", "journalctl"]) {
            return None;
        }
        let mut journald = Self { run: TempDir::new().unwrap(), process: None };
        journald.run();
        Some(journald)
    }

    fn run(&mut self) {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", JOURNALD, "sh"]).arg(self.run.path());
        let _old = fs::remove_file(self.socket());
        let mut process = Spawned::start(command);
        let socket = self.socket();
        process.wait_until("journald listens", |_| socket.exists());
        self.process = Some(process);
    }

    fn stop(&mut self) {
        self.process.take().unwrap().stop(Signal::SIGTERM);
    }

    fn socket(&self) -> PathBuf {
        self.run.path().join("systemd/journal/socket")
    }

    /// Waits until the journal has `count` alerts and returns the entries.
    fn entries(&self, count: usize) -> Vec<Value> {
        let read = || entries(&self.run.path().join("log/journal"));
        assert!(until(SOON, || read().len() >= count), "{count} entries in {:#?}", read());
        let entries = read();
        assert_eq!(entries.len(), count, "{entries:#?}");
        entries
    }
}

fn entries(folder: &Path) -> Vec<Value> {
    let mut journalctl = Command::new("journalctl");
    let output = journalctl.args(["--output", "json", "--identifier", "ja4sensor", "--directory"]).arg(folder).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_alert_is_one_journal_entry_even_if_its_text_is_hostile() {
    let Some(journald) = Journald::start() else { return };
    let sinks = start_sinks(json!([{"type": "journald", "socket": journald.socket()}]));
    sinks.send(&alert(HOSTILE));
    sinks.send(&alert(&format!("forged\nPRIORITY=0\n{}", "x".repeat(100_000))));
    let stats = stats_when_idle(&sinks);
    assert_eq!((stats.sent, stats.last_error), (2, None));
    let entries = journald.entries(2);
    for entry in &entries {
        let field = |name: &str| entry[name].as_str().unwrap_or_else(|| panic!("{name} in {entry:#}"));
        assert_eq!((field("PRIORITY"), field("JA4_SEVERITY"), field("JA4_SENSOR")), ("3", "high", "sensor-1"));
        assert_eq!((field("JA4_RULE"), field("JA4_CATEGORY")), ("known_bad", "c2"));
        assert_eq!(field("JA4_FINGERPRINT"), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert_eq!(field("JA4_TIMESTAMP"), "2026-11-23T07:00:00.123456789Z");
        assert!(field("MESSAGE").starts_with("high known_bad: "), "{entry:#}");
        assert!(field("MESSAGE").contains(field("JA4_REASON")), "{entry:#}");
    }
    assert!(entries[0]["JA4_REASON"].as_str().unwrap().contains("rule=\"forged\""));
}

#[test]
fn queued_alerts_are_delivered_after_journald_restarts() {
    let Some(mut journald) = Journald::start() else { return };
    let sink = json!([{"type": "journald", "socket": journald.socket(), "retries": 100, "retry_max_delay": "1s"}]);
    let sinks = start_sinks(sink);
    sinks.send(&alert("before"));
    stats_when_idle(&sinks);
    journald.stop();
    sinks.send(&alert("after"));
    assert!(until(SOON, || sinks.stats()[0].retries > 0), "{:#?}", sinks.stats());
    journald.run();
    let stats = stats_when_idle(&sinks);
    assert_eq!((stats.sent, stats.failed), (2, 0));
    let reasons: Vec<_> = journald.entries(2).iter().map(|entry| entry["JA4_REASON"].clone()).collect();
    assert_eq!(reasons, ["before", "after"]);
}

#[test]
fn alerts_that_a_stopped_journald_does_not_accept_count_as_failed() {
    let Some(journald) = Journald::start() else { return };
    let sink = json!([{
        "type": "journald", "socket": journald.socket(), "timeout": "10ms", "retries": 0, "rate": 0, "queue": 65_536,
    }]);
    let sinks = start_sinks(sink);
    let process = journald.process.as_ref().unwrap();
    let process = Pid::from_raw(process.id() as i32);
    kill(process, Signal::SIGSTOP).unwrap();
    let full = |sinks: &ja4_user::output::alert::AlertSinks| sinks.stats()[0].failed >= 3;
    // The kernel queues net.unix.max_dgram_qlen datagrams.
    for _ in 0..20_000 {
        sinks.send(&alert("many"));
        if full(&sinks) {
            break;
        }
        until(std::time::Duration::from_millis(1), || full(&sinks));
    }
    let stats = stats_when_idle(&sinks);
    kill(process, Signal::SIGCONT).unwrap();
    assert!(stats.sent > 0 && stats.failed >= 3, "{stats:#?}");
    assert!(stats.last_error.unwrap().contains("timed out"));
    journald.entries(stats.sent as usize);
}
