//! Configuration files, as a user meets them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::conversation::TcpConversation;
use tests::hello::{self, Shape};
use tests::random::SplitMix64;
use tests::{Outcome, Sensor};

/// The command line, or the configuration, is wrong.
const USAGE: i32 = 2;

/// A folder with files in it.
struct Site(TempDir);

impl Site {
    fn new(config: &str) -> Self {
        Self(TempDir::new().unwrap()).with("sensor.toml", config)
    }

    fn with(self, name: &str, text: &str) -> Self {
        fs::write(self.path(name), text).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let config = self.path("sensor.toml");
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        Sensor::new().run(&[&arguments[..], &[OsStr::new("--config"), config.as_os_str()]].concat())
    }

    fn check(&self) -> Outcome {
        self.run(&["check"])
    }

    /// What a replay of one conversation with TLS prints.
    fn replay(&self, arguments: &[&str]) -> Outcome {
        let mut random = SplitMix64::new(11);
        let hello = hello::records(&Shape::Curl.client_hello("example.org", &mut random), usize::MAX);
        let flight = hello::server_flight_13(&mut random, 64);
        let mut conversation = TcpConversation::new();
        let capture = conversation.handshake().client(&hello).server(&flight).close().save(self.0.path(), "tls.pcap");
        self.run(&[&["replay", capture.to_str().unwrap()], arguments].concat())
    }

    /// Standard error by lines, without the folder and the name of the program.
    fn lines(&self, outcome: &Outcome) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        let text = outcome.stderr().replace(&folder, "");
        text.lines().map(|line| line.strip_prefix("ja4sensor: ").unwrap_or(line).to_owned()).collect()
    }
}

#[test]
fn the_example_is_in_order() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/ja4sensor.toml");
    let outcome = Sensor::new().run(&[OsStr::new("check"), OsStr::new("--config"), example.as_os_str()]).ok();
    outcome.has("kernel ").has("ja4sensor.toml: in order");
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_one_that_was_meant() {
    let site = Site::new("[capture]\nhook = \"auto\"\nmax_conections = 10\n");
    let outcome = site.check().status(USAGE).in_one_line();
    assert_eq!(
        site.lines(&outcome),
        ["sensor.toml:3:1: capture has no key \"max_conections\"; did you mean \"max_connections\"?"]
    );
}

#[test]
fn run_and_replay_refuse_what_check_refuses() {
    let site = Site::new("[output]\nformat = \"xml\"\n[rules]\nfiles = [\"mine.toml\"]\n");
    let expected = [
        "sensor.toml:2:10: output.format must be one of json, csv, table, not \"xml\"",
        "mine.toml: can't be opened: No such file or directory (os error 2)",
    ];
    for outcome in [site.check(), site.run(&["run", "-i", "lo"]), site.replay(&[])] {
        let outcome = outcome.status(USAGE);
        assert_eq!((site.lines(&outcome), outcome.stdout()), (expected.map(str::to_owned).to_vec(), ""));
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let site = Site::new(
        "[capture]\ninterfaces = [\"ja4-none\"]\nshards = 0\n[storage]\npath = \"no/history.db\"\n\
         [[alerts.sink]]\nkind = \"webhook\"\nurl = \"http://hooks.example/\"\n[lookup]\nknown_bad = \"bad.toml\"\n",
    )
    .with("bad.toml", "[[pattern]]\n");
    let outcome = site.check().status(USAGE);
    let lines = site.lines(&outcome);
    for expected in [
        "sensor.toml:2:15: capture.interfaces: no interface \"ja4-none\"; there are: ",
        "sensor.toml:3:1: capture.shards is 0; it must be from 1 to 64",
        "sensor.toml:5:1: storage.path: there is no folder no; make it, or name another",
        "sensor.toml:8:1: alerts.sink 1: url: is http to another host",
        "bad.toml:1:1: type is missing",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected}\nis not in {lines:#?}");
    }
}

#[test]
fn a_missing_or_broken_file_is_told_in_one_line() {
    let missing = Sensor::new().run(&["check", "--config", "/nowhere/sensor.toml"]);
    missing.status(USAGE).says("/nowhere/sensor.toml: can't be opened: No such file").in_one_line();
    Sensor::new().run(&["check", "--config", "/"]).status(USAGE).says("directory").in_one_line();
    Site::new("[capture\n").check().status(USAGE).says("sensor.toml:1:").says("not TOML").in_one_line();
}

#[test]
fn flags_beat_the_file_and_the_file_beats_defaults() {
    let site = Site::new("[output]\nformat = \"csv\"\ntypes = [\"ja4\"]\nsensor = \"file\"\nraw = true\n");
    let from_file = site.replay(&[]).ok();
    assert!(from_file.stdout().starts_with("timestamp,"), "{}", from_file.stdout());
    let events = site.replay(&["--format", "json"]).ok().events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["sensor"], &events[0]["fingerprint"]["type"]), (&"file".into(), &"ja4".into()));
    assert!(events[0]["fingerprint"].get("raw").is_some());
    let events = site.replay(&["--format", "json", "--sensor", "flag", "--types", "ja4s"]).ok().events();
    assert_eq!((&events[0]["sensor"], &events[0]["fingerprint"]["type"]), (&"flag".into(), &"ja4s".into()));
}

#[test]
fn paths_begin_at_the_folder_of_the_file() {
    let site = Site::new(
        "[lookup]\ndatabases = [\"own.toml\"]\n[rules]\nfiles = [\"rules.toml\"]\n[storage]\npath = \"history.db\"\n\
         [[alerts.sink]]\nkind = \"webhook\"\nurl = \"https://hooks.example/\"\nhmac_key_file = \"key\"\n",
    )
    .with("own.toml", "[[entry]]\ntype = \"ja4\"\nvalue = \"t13d0101h2_000000000000_000000000000\"\nname = \"x\"\n")
    .with(
        "rules.toml",
        "[[rule]]\nname = \"port_scan\"\ndescription = \"x\"\nseverity = \"low\"\non = \"connection\"\n\
         group_by = [\"src_ip\"]\nmeasure = \"count\"\nthreshold = { op = \"gt\", value = 5 }\nwindow = \"1m\"\n",
    )
    .with("key", "secret\n");
    let outcome = site.check().ok().has("sensor.toml: in order");
    let lines = site.lines(&outcome);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("warning: rules.toml:2:8: rule \"port_scan\" takes the place of"), "{lines:?}");
    assert!(!site.path("history.db").exists(), "check writes nothing");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_told() {
    let site = Site::new("[storage]\npath = \"locked/history.db\"\n");
    let folder = site.path("locked");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o555)).unwrap();
    if fs::write(folder.join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write anywhere");
        return;
    }
    site.check().status(USAGE).says("storage.path: cannot write to").says("Permission denied").in_one_line();
}

#[test]
fn run_without_an_interface_says_where_to_name_one() {
    Sensor::new().run(&["run"]).status(USAGE).says("-i").says("capture.interfaces").in_one_line();
    Site::new("").run(&["run"]).status(USAGE).says("capture.interfaces").in_one_line();
    let named = Site::new("[capture]\ninterfaces = [\"ja4-none\"]\n");
    named.run(&["run"]).status(USAGE).says("no interface \"ja4-none\"").in_one_line();
    named.run(&["run", "-i", "ja4-other"]).status(USAGE).says("no interface \"ja4-other\"").in_one_line();
}

#[test]
fn times_on_the_command_line_have_units_or_are_seconds() {
    for wrong in [["--idle-timeout", "soon"], ["--idle-timeout", "2d"], ["--stats-interval", "5 m"]] {
        Sensor::new().run(&[&["run", "-i", "ja4-none"], &wrong[..]].concat()).status(USAGE).says(wrong[0]);
    }
    let good = ["run", "-i", "ja4-none", "--idle-timeout", "2m", "--stats-interval", "0"];
    Sensor::new().run(&good).status(USAGE).says("no interface");
}

#[test]
fn help_names_the_defaults() {
    let run = Sensor::new().run(&["run", "--help"]).ok();
    for default in ["[default: auto]", "[default: both]", "[default: 8192]", "[default: 262144]", "[default: json]"] {
        assert!(run.stdout().contains(default), "{default} is not in\n{}", run.stdout());
    }
}
