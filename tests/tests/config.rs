//! Configuration files: parsing, checks and error messages.
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tests::conversation::TcpConversation;
use tests::hello::{self, Shape};
use tests::random::SplitMix64;
use tests::{Outcome, Sensor, bpf, log, process, require_tools};

/// Exit status: the command line or the configuration is invalid.
const USAGE: i32 = 2;
/// Exit status: a capability is missing.
const PRIVILEGE: i32 = 3;

/// Asserts that a check finds no error; a missing capability of the test's user is accepted.
fn assert_valid(outcome: Outcome) -> Outcome {
    if bpf::is_allowed() { outcome.ok() } else { outcome.status(PRIVILEGE) }
}

/// A temporary folder with configuration files.
struct ConfigFolder(TempDir);

impl ConfigFolder {
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

    /// Checks a valid configuration.
    fn check_valid(&self) -> Outcome {
        assert_valid(self.check())
    }

    /// Replays one TLS conversation and returns the outcome.
    fn replay(&self, arguments: &[&str]) -> Outcome {
        let mut random = SplitMix64::new(11);
        let hello = hello::records(&Shape::Curl.client_hello("example.org", &mut random), usize::MAX);
        let flight = hello::server_flight_13(&mut random, 64);
        let mut conversation = TcpConversation::new();
        let capture = conversation.handshake().client(&hello).server(&flight).close().save(self.0.path(), "tls.pcap");
        self.run(&[&["replay", capture.to_str().unwrap()], arguments].concat())
    }

    /// Returns the lines of stderr without the folder and the program name.
    fn lines(&self, outcome: &Outcome) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        let text = outcome.stderr().replace(&folder, "");
        text.lines().map(|line| log::message(line).to_owned()).collect()
    }
}

#[test]
fn the_example_is_valid() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/ja4sensor.toml");
    let outcome = Sensor::new().run(&[OsStr::new("check"), OsStr::new("--config"), example.as_os_str()]);
    assert_valid(outcome).stdout_has("kernel ").stdout_has("ja4sensor.toml: valid");
}

#[test]
fn an_unknown_key_is_reported_with_its_line_and_a_suggestion() {
    let folder = ConfigFolder::new("[capture]\nhook = \"auto\"\nmax_conections = 10\n");
    let outcome = folder.check().status(USAGE).stderr_has_one_line();
    assert_eq!(
        folder.lines(&outcome),
        ["sensor.toml:3:1: capture: unknown key 'max_conections'; did you mean 'max_connections'?"]
    );
}

#[test]
fn run_and_replay_reject_what_check_rejects() {
    let folder = ConfigFolder::new("[output]\nformat = \"xml\"\n[rules]\nfiles = [\"mine.toml\"]\n");
    let expected = [
        "sensor.toml:2:10: output.format: unknown value 'xml': expected json, eve, csv or table",
        "sensor.toml:4:10: rules.files: mine.toml: cannot open the file: No such file or directory (os error 2)",
    ];
    for outcome in [folder.check(), folder.run(&["run", "-i", "lo"]), folder.replay(&[])] {
        let outcome = outcome.status(USAGE);
        assert_eq!((folder.lines(&outcome), outcome.stdout()), (expected.map(str::to_owned).to_vec(), ""));
    }
}

#[test]
fn all_errors_are_reported_at_once() {
    let folder = ConfigFolder::new(
        "[capture]\ninterfaces = [\"ja4-none\"]\nshards = 0\n[storage]\npath = \"no/history.db\"\n\
         [[alerts.sink]]\ntype = \"webhook\"\nurl = \"http://hooks.example/\"\n[lookup]\nknown_bad = \"bad.toml\"\n",
    )
    .with("bad.toml", "[[pattern]]\n");
    let outcome = folder.check().status(USAGE);
    let lines = folder.lines(&outcome);
    for expected in [
        "sensor.toml:2:15: capture.interfaces 1: cannot find interface \"ja4-none\"; expected one of ",
        "sensor.toml:3:1: capture.shards: 0 is out of range; expected a value from 1 to 64",
        "sensor.toml:5:1: storage.path: there is no directory no; create it, or name another file",
        "sensor.toml:8:1: alerts.sink 1: url: is http to another host",
        "bad.toml:1:1: pattern 1: missing key 'type'",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected}\nis not in {lines:#?}");
    }
}

#[test]
fn invalid_database_and_socket_paths_are_reported_by_check() {
    let long = "s".repeat(120);
    for (section, expected) in [
        ("[storage]\npath = \"\"\n", "sensor.toml:2:1: storage.path: is empty; name a file, or remove the key"),
        (
            "[storage]\npath = \"bad.toml\"\n",
            "sensor.toml:2:1: storage.path: cannot open database bad.toml: the file is not a database",
        ),
        ("[attach]\nsocket = \"\"\n", "sensor.toml:2:1: attach.socket: is empty; name a file, or remove the key"),
        ("[attach]\nsocket = \"bad.toml\"\n", "sensor.toml:2:1: attach.socket: bad.toml exists and is not a socket"),
        (&format!("[attach]\nsocket = \"{long}\"\n"), "sensor.toml:2:1: attach.socket: has "),
    ] {
        let folder = ConfigFolder::new(section).with("bad.toml", "no database, and no socket");
        let outcome = folder.check().status(USAGE);
        let lines = folder.lines(&outcome);
        assert!(lines.len() == 1 && lines[0].starts_with(expected), "{expected}\nis not {lines:#?}");
    }
}

#[test]
fn a_missing_or_broken_file_is_reported_in_one_line() {
    let missing = Sensor::new().run(&["check", "--config", "/nowhere/sensor.toml"]);
    missing.status(USAGE).stderr_has("/nowhere/sensor.toml: cannot open the file: No such file").stderr_has_one_line();
    Sensor::new().run(&["check", "--config", "/"]).status(USAGE).stderr_has("directory").stderr_has_one_line();
    ConfigFolder::new("[capture\n")
        .check()
        .status(USAGE)
        .stderr_has("sensor.toml:1:")
        .stderr_has("not TOML")
        .stderr_has_one_line();
}

#[test]
fn flags_override_the_file_and_the_file_overrides_defaults() {
    let folder = ConfigFolder::new("[output]\nformat = \"csv\"\ntypes = [\"ja4\"]\nsensor = \"file\"\nraw = true\n");
    let from_file = folder.replay(&[]).ok();
    assert!(from_file.stdout().starts_with("timestamp,"), "{}", from_file.stdout());
    let events = folder.replay(&["--format", "json"]).ok().events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["sensor"], &events[0]["fingerprint"]["type"]), (&"file".into(), &"ja4".into()));
    assert!(events[0]["fingerprint"].get("raw").is_some());
    let events = folder.replay(&["--format", "json", "--sensor", "flag", "--types", "ja4s"]).ok().events();
    assert_eq!((&events[0]["sensor"], &events[0]["fingerprint"]["type"]), (&"flag".into(), &"ja4s".into()));
}

#[test]
fn paths_are_relative_to_the_folder_of_the_file() {
    let folder = ConfigFolder::new(
        "[lookup]\ndatabases = [\"own.toml\"]\n[rules]\nfiles = [\"rules.toml\"]\n[storage]\npath = \"history.db\"\n\
         [[alerts.sink]]\ntype = \"webhook\"\nurl = \"https://hooks.example/\"\nhmac_key_file = \"key\"\n",
    )
    .with("own.toml", "[[entry]]\ntype = \"ja4\"\nvalue = \"t13d0101h2_000000000000_000000000000\"\nname = \"x\"\n")
    .with(
        "rules.toml",
        "[[rule]]\nname = \"port_scan\"\ndescription = \"x\"\nseverity = \"low\"\non = \"connection\"\n\
         group_by = [\"src_ip\"]\nmeasure = \"count\"\nthreshold = { op = \"gt\", value = 5 }\nwindow = \"1m\"\n",
    )
    .with("key", "secret\n");
    let outcome = folder.check_valid().stdout_has("sensor.toml: valid");
    let lines = folder.lines(&outcome);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("warning: rules.toml:2:8: rule 'port_scan' replaces the built-in rule"), "{lines:?}");
    assert!(!folder.path("history.db").exists(), "check writes nothing");
}

#[test]
fn a_directory_without_write_permission_is_reported() {
    let folder = ConfigFolder::new("[storage]\npath = \"locked/history.db\"\n");
    let locked = folder.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, Permissions::from_mode(0o555)).unwrap();
    let mut outcome = folder.check();
    if fs::write(locked.join("probe"), "").is_ok() {
        // Root can write anywhere because of a capability, so `setpriv` drops it.
        if !require_tools(&["setpriv"]) {
            return;
        }
        let mut check = Command::new("setpriv");
        check.args(["--inh-caps=-dac_override", "--bounding-set=-dac_override"]).arg(Sensor::new().binary());
        check.args(["check", "--config"]).arg(folder.path("sensor.toml"));
        outcome = Outcome::new(process::run(check, &[], process::LIMIT));
    }
    outcome
        .status(USAGE)
        .stderr_has("storage.path: cannot write to")
        .stderr_has("Permission denied")
        .stderr_has_one_line();
}

#[test]
fn run_without_an_interface_names_the_flag_and_the_key() {
    Sensor::new().run(&["run"]).status(USAGE).stderr_has("-i").stderr_has("capture.interfaces").stderr_has_one_line();
    ConfigFolder::new("").run(&["run"]).status(USAGE).stderr_has("capture.interfaces").stderr_has_one_line();
    let named = ConfigFolder::new("[capture]\ninterfaces = [\"ja4-none\"]\n");
    named.run(&["run"]).status(USAGE).stderr_has("cannot find interface \"ja4-none\"").stderr_has_one_line();
    named
        .run(&["run", "-i", "ja4-other"])
        .status(USAGE)
        .stderr_has("cannot find interface \"ja4-other\"")
        .stderr_has_one_line();
}

#[test]
fn durations_on_the_command_line_have_units_or_are_seconds() {
    for wrong in [["--idle-timeout", "soon"], ["--idle-timeout", "2d"], ["--stats-interval", "5 m"]] {
        Sensor::new().run(&[&["run", "-i", "ja4-none"], &wrong[..]].concat()).status(USAGE).stderr_has(wrong[0]);
    }
    let good = ["run", "-i", "ja4-none", "--idle-timeout", "2m", "--stats-interval", "0"];
    Sensor::new().run(&good).status(USAGE).stderr_has("cannot find interface");
}

#[test]
fn help_contains_the_defaults() {
    let run = Sensor::new().run(&["run", "--help"]).ok();
    for default in ["[default: auto]", "[default: both]", "[default: 8192]", "[default: 262144]", "[default: json]"] {
        assert!(run.stdout().contains(default), "{default} is not in\n{}", run.stdout());
    }
}

#[test]
fn a_missing_file_is_reported_at_the_key_that_names_it() {
    let folder = ConfigFolder::new(
        "[lookup]\ndatabases = [\"good.toml\", \"none.csv\"]\nknown_bad = \".\"\n\
         [allowlist]\nfiles = [\"none.toml\"]\n[rules]\nfiles = [\n  \"broken.toml\",\n  \"none.toml\",\n]\n",
    )
    .with("good.toml", "")
    .with("broken.toml", "rule = 1\n");
    let lines = folder.lines(&folder.check().status(USAGE));
    for expected in [
        "sensor.toml:2:27: lookup.databases: none.csv: cannot open the file: ",
        "sensor.toml:3:1: lookup.known_bad: ",
        "sensor.toml:5:10: allowlist.files: none.toml: cannot open the file: No such file",
        "broken.toml:1:",
        "sensor.toml:9:3: rules.files: none.toml: cannot open the file: No such file",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected}\nis not in {lines:#?}");
    }
}

#[test]
fn a_sink_of_unknown_type_hides_no_error_of_other_sinks() {
    let folder = ConfigFolder::new(
        "[[alerts.sink]]\ntype = \"pager\"\n[[alerts.sink]]\ntype = \"webhook\"\nurl = \"http://hooks.example/\"\n\
         [[alerts.sink]]\ntype = \"file\"\nqueue = 0\npath = \"alerts\"\n",
    );
    let outcome = folder.check().status(USAGE);
    let lines = folder.lines(&outcome);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(
        lines[0].starts_with("sensor.toml:2:8: alerts.sink 1: type: unknown value 'pager': expected webhook, "),
        "{lines:#?}"
    );
    assert!(lines[1].starts_with("sensor.toml:5:1: alerts.sink 2: url: is http to another host"), "{lines:#?}");
    assert!(lines[2].starts_with("sensor.toml:8:1: alerts.sink 3: queue"), "{lines:#?}");
}

#[test]
fn ports_of_tunnels_are_checked() {
    ConfigFolder::new("[tunnels]\nvxlan_ports = [15000, 15001]\ngeneve_ports = [15002]\n").check_valid();
    for (ports, error) in [
        ("[1, 2, 3]", "sensor.toml:2:1: tunnels.vxlan_ports: has 3 ports; name at most 2"),
        ("[0]", "sensor.toml:2:16: "),
        ("[65536]", "sensor.toml:2:16: "),
        ("[15000, 2152]", "sensor.toml:2:23: tunnels.vxlan_ports 2: port 2152 is that of a tunnel already"),
        ("[15000]\ngeneve_ports = [15000]", "sensor.toml:3:17: tunnels.geneve_ports 1: port 15000 is that of a tunnel"),
    ] {
        let folder = ConfigFolder::new(&format!("[tunnels]\nvxlan_ports = {ports}\n"));
        let outcome = folder.check().status(USAGE).stderr_has_one_line();
        assert!(folder.lines(&outcome)[0].starts_with(error), "{outcome}");
    }
}

#[test]
fn a_filter_is_checked() {
    ConfigFolder::new("[capture]\nfilter = \"tcp port 443 and not net 10.0.0.0/8\"\n").check_valid();
    let folder = ConfigFolder::new("[capture]\nfilter = \"port https\"\n");
    for outcome in [folder.check(), folder.run(&["run", "-i", "lo"])] {
        let outcome = outcome.status(USAGE).stderr_has_one_line();
        let error = "capture.filter: character 6: expected a port number after 'port', found 'https'";
        assert_eq!(folder.lines(&outcome), [format!("sensor.toml:2:10: {error}")]);
    }
}

#[test]
fn accepted_host_names_are_checked() {
    ConfigFolder::new("[http]\nhosts = [\"sensor.example\"]\n").check_valid();
    let folder = ConfigFolder::new("[http]\nhosts = [\"sensor.example\", \"http://x/\"]\n");
    let outcome = folder.check().status(USAGE).stderr_has_one_line();
    assert!(
        folder.lines(&outcome)[0].starts_with("sensor.toml:2:28: http.hosts 2: 'http://x/' is not a host name"),
        "{outcome}"
    );
}

/// Returns a threshold rule that fires on one connection.
fn rule(name: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\ndescription = \"mine\"\nseverity = \"low\"\non = \"fingerprint\"\n\
         group_by = [\"src_ip\"]\nmeasure = \"count\"\nthreshold = {{ op = \"gt\", value = 0 }}\nwindow = \"1m\"\n"
    )
}

/// Returns the rule names and descriptions of the alerts.
fn alerts(outcome: &Outcome) -> Vec<(String, String)> {
    let text = |alert: &Value, key: &str| alert["alert"]["ja4sensor"][key].as_str().unwrap_or_default().to_owned();
    let events = outcome.events();
    let alerts = events.iter().filter(|event| event["event_type"] == "alert");
    alerts.map(|alert| (text(alert, "rule"), text(alert, "description"))).collect()
}

#[test]
fn a_rule_replaces_the_builtin_rule_of_its_name() {
    let config = "[first_seen]\nlearning = \"0s\"\n[rules]\nbuiltin = false\n";
    let before = alerts(&ConfigFolder::new(config).replay(&[]).ok());
    assert!(before.iter().any(|(rule, _)| rule == "first_seen"), "{before:?}");

    let config = format!("{config}files = [\"rules.toml\"]\n");
    let folder = ConfigFolder::new(&config).with("rules.toml", &(rule("first_seen") + &rule("unusual_pair")));
    let checked = folder.check_valid();
    let warnings = folder.lines(&checked);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    let expected = "warning: rules.toml:2:8: rule 'first_seen' replaces the built-in rule of that name";
    assert!(warnings[0].starts_with(expected), "{warnings:?}");
    let outcome = folder.replay(&[]).ok().stderr_has("replaces the built-in rule");
    let fired = alerts(&outcome);
    assert!(!fired.is_empty() && fired.iter().all(|(_, description)| description == "mine"), "{fired:?}");

    // An override applies to the replacing rule.
    let config = format!("{config}[allowlist]\nfiles = [\"allow.toml\"]\n");
    let folder = ConfigFolder::new(&config)
        .with("rules.toml", &rule("first_seen"))
        .with("allow.toml", "[[override]]\nrule = \"first_seen\"\nthreshold = 100\n");
    let outcome = folder.replay(&[]).ok();
    assert_eq!((alerts(&outcome), folder.lines(&outcome).len()), (Vec::new(), 1), "{outcome}");
    let folder = folder.with("allow.toml", "[[override]]\nrule = \"first_seen\"\nenabled = false\n");
    assert_eq!(alerts(&folder.replay(&[]).ok()), []);
}

#[test]
fn no_rule_replaces_alerts_about_the_database() {
    let folder = ConfigFolder::new("[rules]\nfiles = [\"rules.toml\"]\n").with("rules.toml", &rule("storage_failure"));
    let outcome = folder.check().status(USAGE).stderr_has_one_line();
    assert!(folder.lines(&outcome)[0].starts_with("rules.toml:2:8: rule 'storage_failure': "), "{outcome}");
}

#[test]
fn suppressed_alerts_are_counted_per_entry() {
    let config = "[first_seen]\nlearning = \"0s\"\n[allowlist]\nfiles = [\"allow.toml\"]\n";
    let allow = "[[network]]\ncidr = \"0.0.0.0/0\"\nrules = [\"first_seen\"]\n[[network]]\ncidr = \"203.0.113.0/24\"\n";
    let events = ConfigFolder::new(config).with("allow.toml", allow).replay(&[]).ok().events();
    let stats = events.iter().rfind(|event| event["event_type"] == "stats").unwrap();
    let engine = &stats["stats"]["engine"];
    let [wide, narrow] = ["network 0.0.0.0/0 for first_seen", "network 203.0.113.0/24"]
        .map(|entry| engine["allowlist"][entry].as_u64().unwrap_or_else(|| panic!("{engine:#}")));
    assert!(wide > 0 && narrow == 0, "{engine:#}");
    assert_eq!(engine["allowlisted"], wide);
}

/// Each rule takes milliseconds to compile.
#[test]
fn too_many_rules_are_rejected_before_compilation() {
    let rule = |number: usize| {
        format!(
            "[[rule]]\nname=\"r{number}\"\non=\"fingerprint\"\nthreshold={{op=\"gte\",value=3}}\nwindow=\"5m\"\n\
             where=[{{field=\"http.http_user_agent\",op=\"regex\",value=\"(?i)a{number}[a-z]{{1,20}}(foo|bar)\"}}]\n"
        )
    };
    let mut folder = ConfigFolder::new("[rules]\nfiles = [\"r0.toml\", \"r1.toml\", \"r2.toml\", \"r3.toml\"]\n");
    for file in 0..4 {
        let rules: String = (file * 2500..(file + 1) * 2500).map(rule).collect();
        folder = folder.with(&format!("r{file}.toml"), &rules);
    }
    let start = Instant::now();
    let outcome = folder.check().status(USAGE).stderr_has_one_line();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(folder.lines(&outcome), ["r3.toml: 10000 rules are too many; at most 256 are supported"]);
}

#[test]
fn a_file_of_certificates_is_checked_at_its_key() {
    let sink = "[[alerts.sink]]\ntype = \"webhook\"\nurl = \"https://hooks.example/\"\n";
    let remote = "[lookup.remote]\nenabled = true\n";
    for (section, line) in [(sink, 4), (remote, 3)] {
        for (file, cause) in [("missing.pem", "cannot read"), ("empty.pem", "contains no PEM certificates")] {
            let folder = ConfigFolder::new(&format!("{section}tls.ca = \"{file}\"\n")).with("empty.pem", "# none\n");
            let outcome = folder.check().status(USAGE);
            let text = outcome.stderr() + outcome.stdout();
            let lines: Vec<_> = text.lines().filter(|line| line.contains(file)).collect();
            let position = format!("sensor.toml:{line}:");
            assert!(matches!(&lines[..], [line] if line.contains(cause) && line.contains(&position)), "{text}");
        }
    }
}
