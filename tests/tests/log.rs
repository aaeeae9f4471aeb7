//! The log of `run` and `replay` on standard error and in the journal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tests::process::{self, LIMIT, Spawned, until};
use tests::{Outcome, Sensor, log, require_root, require_tools};

/// Exit status: the capture cannot be read.
const UNREADABLE: i32 = 1;

/// A configuration that causes a warning.
const WARNING: &str = "[http]\nlisten = '0.0.0.0:9418'\n";

/// The arguments of a replay that logs a warning and an error.
fn replay(folder: &TempDir, options: &[&str]) -> Vec<String> {
    let config = folder.path().join("sensor.toml");
    fs::write(&config, WARNING).unwrap();
    let (config, missing) = (config.to_str().unwrap(), "missing.pcap");
    [&["replay", missing, "--config", config], options].concat().into_iter().map(str::to_owned).collect()
}

/// Whether the text is a time in UTC, with microseconds.
fn is_time(text: &str) -> bool {
    let example = "2026-12-01T03:40:00.123456Z";
    let fits = |(is, expected): (char, char)| is == expected || (is.is_ascii_digit() && expected.is_ascii_digit());
    text.len() == example.len() && text.chars().zip(example.chars()).all(fits)
}

fn logged(options: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    Sensor::new().run(&replay(&folder, options)).status(UNREADABLE).stderr()
}

#[test]
fn every_line_has_time_and_level() {
    let log = logged(&[]);
    let [warning, error] = &log.lines().collect::<Vec<_>>()[..] else { panic!("{log}") };
    for (line, level, message) in [(warning, "WARN", "is not a loopback address"), (error, "ERROR", "missing.pcap")] {
        let mut words = line.split_ascii_whitespace();
        assert!(is_time(words.next().unwrap()), "{line}");
        assert_eq!(words.next(), Some(level), "{line}");
        assert!(log::message(line).contains(message), "{line}");
        assert!(!line.contains('\u{1b}'), "{line:?}: no terminal, no color");
    }
    assert!(logged(&["--color", "always"]).contains('\u{1b}'));
}

#[test]
fn a_quiet_log_has_errors_only() {
    let log = logged(&["--quiet"]);
    assert!(log.lines().count() == 1 && log.contains("missing.pcap"), "{log}");
    Sensor::new().run(&["replay", "x.pcap", "--quiet", "--verbose"]).status(2).stderr_has("--verbose");
}

#[test]
fn a_json_log_has_one_object_a_line() {
    let log = logged(&["--log-format", "json"]);
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let levels: Vec<_> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["WARN", "ERROR"], "{log}");
    assert!(lines[1]["message"].as_str().unwrap().contains("missing.pcap"), "{log}");
    assert!(is_time(lines[1]["timestamp"].as_str().unwrap()), "{log}");
}

/// systemd-journald in a mount namespace, with a folder as its `/run`. It is not in PATH.
const JOURNALD: &str =
    "mount --bind \"$1\" /run && mkdir -p /run/systemd/journal && exec /lib/systemd/systemd-journald";

/// Returns the entries of ja4sensor: priority and message.
fn entries(run: &Path) -> Vec<(String, String)> {
    let mut journalctl = Command::new("journalctl");
    journalctl.args(["--output", "json", "--identifier", "ja4sensor", "--directory"]).arg(run.join("log/journal"));
    let text = String::from_utf8(journalctl.output().unwrap().stdout).unwrap();
    let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    entries.map(|entry| (text(&entry, "PRIORITY"), text(&entry, "MESSAGE"))).collect()
}

#[test]
fn a_log_in_the_journal_has_priorities() {
    if !require_root() || !require_tools(&["unshare", "nsenter", "mount", "journalctl"]) {
        return;
    }
    let (run, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", JOURNALD, "sh"]).arg(run.path());
    let mut journald = Spawned::start(unshare);
    let socket: PathBuf = run.path().join("systemd/journal/socket");
    journald.wait_until("journald listens", |_| socket.exists());
    let mut sensor = Command::new("nsenter");
    sensor.args(["--mount", "--target", &journald.id().to_string(), "--"]).arg(Sensor::new().binary());
    sensor.args(replay(&folder, &["--log-format", "journald"]));
    let outcome = Outcome::new(process::run(sensor, &[], LIMIT)).status(UNREADABLE);
    assert_eq!(outcome.stderr(), "", "{outcome}");
    assert!(until(LIMIT, || entries(run.path()).len() >= 2), "{:?}", entries(run.path()));
    let entries = entries(run.path());
    // Priorities of syslog: 4 is a warning, 3 an error.
    let priorities: Vec<_> = entries.iter().map(|(priority, _)| priority.as_str()).collect();
    assert_eq!(priorities, ["4", "3"], "{entries:?}");
    assert!(entries[1].1.contains("missing.pcap"), "{entries:?}");
    journald.stop(Signal::SIGTERM);
}

#[test]
fn a_missing_journal_is_reported_in_plain_text() {
    if !require_root() || !require_tools(&["unshare", "mount"]) {
        return;
    }
    let (run, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let script = "mount --bind \"$1\" /run && shift && exec \"$@\"";
    let mut sensor = Command::new("unshare");
    sensor.args(["--mount", "sh", "-c", script, "sh"]).arg(run.path()).arg(Sensor::new().binary());
    sensor.args(replay(&folder, &["--log-format", "journald"]));
    let outcome = Outcome::new(process::run(sensor, &[], LIMIT)).status(3);
    outcome.stderr_has("cannot log to journald").stderr_has("--log-format text").stderr_has_one_line();
}
