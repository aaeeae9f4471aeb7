//! `check`: findings about the kernel, the interfaces and the machine.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;
use tests::{Namespace, Outcome, RunningSensor, Sensor, Wire, require_bpf, require_tools};

/// Runs `check` in the network namespace of a host, with output in JSON.
fn check(host: &Namespace, options: &[&str]) -> (Outcome, Value) {
    let arguments = [&["check", "-i", host.interface(), "--format", "json"], options].concat();
    let output = host.enter(&Sensor::new().command(&arguments));
    let outcome = Outcome::new(tests::process::run(output, &[], tests::process::LIMIT));
    let report = serde_json::from_str(outcome.stdout()).unwrap_or_else(|error| panic!("{error}: {outcome}"));
    (outcome, report)
}

/// Returns the findings of one check.
fn findings<'a>(report: &'a Value, check: &str) -> Vec<&'a Value> {
    report["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check).collect()
}

fn can_run() -> bool {
    require_bpf() && require_tools(&["ip"])
}

#[test]
fn programs_of_other_processes_are_named() {
    if !can_run() {
        return;
    }
    let wire = Wire::new();
    let host = wire.server();
    let (outcome, report) = check(host, &[]);
    outcome.ok();
    assert_eq!(report["ready"], true);
    assert_eq!(findings(&report, "interface.xdp_program"), Vec::<&Value>::new());
    let sensor = RunningSensor::start(host, &["--hook", "generic", "--http", "off"]);
    let (outcome, report) = check(host, &[]);
    outcome.ok();
    let [xdp] = findings(&report, "interface.xdp_program")[..] else { panic!("{report:#}") };
    assert_eq!((&xdp["status"], &xdp["interface"]), (&"warning".into(), &host.interface().into()));
    let message = xdp["message"].as_str().unwrap();
    assert!(message.contains("generic") && message.contains("ja4_xdp"), "{message}");
    assert!(xdp["fix"].as_str().unwrap().contains("--hook tc"), "{xdp}");
    let [tc] = findings(&report, "interface.tc_programs")[..] else { panic!("{report:#}") };
    assert!(tc["message"].as_str().unwrap().contains("egress (program "), "{tc}");
    sensor.stop().ok();
}

#[test]
fn the_fix_of_a_finding_works() {
    if !can_run() {
        return;
    }
    let wire = Wire::new();
    let host = wire.server();
    host.ip(&["link", "set", "dev", host.interface(), "down"]);
    let (outcome, report) = check(host, &[]);
    outcome.ok();
    let [down] = findings(&report, "interface.state")[..] else { panic!("{report:#}") };
    let fix: Vec<&str> = down["fix"].as_str().unwrap().split(' ').collect();
    host.run(&fix).ok();
    assert_eq!(findings(&check(host, &[]).1, "interface.state"), Vec::<&Value>::new());
}

#[test]
fn an_error_is_a_finding_and_sets_the_exit_status() {
    if !can_run() {
        return;
    }
    let wire = Wire::new();
    let host = wire.server();
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("sensor.toml");
    fs::write(&config, "[capture]\nhook = \"generic\"\n[http]\nlisten = \"192.0.2.1:9418\"\n").unwrap();
    let sensor = RunningSensor::start(host, &["--hook", "generic", "--http", "off"]);
    let (outcome, report) = check(host, &["--config", config.to_str().unwrap()]);
    outcome.status(1).stderr_has("another XDP program is attached");
    assert_eq!(report["ready"], false);
    for check in ["interface.attach", "http.listen"] {
        let [error] = findings(&report, check)[..] else { panic!("{report:#}") };
        assert_eq!(error["status"], "error", "{error}");
    }
    sensor.stop().ok();
}

#[test]
fn a_database_is_checked_for_space() {
    if !can_run() {
        return;
    }
    let wire = Wire::new();
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("sensor.toml");
    let disk = |size: &str| {
        fs::write(&config, format!("[storage]\npath = \"history.db\"\nmax_size = \"{size}\"\n")).unwrap();
        let (outcome, report) = check(wire.server(), &["--config", config.to_str().unwrap()]);
        outcome.ok();
        findings(&report, "storage.disk")[0]["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(disk("16MiB"), "ok");
    assert_eq!(disk("8000000GiB"), "warning");
}

#[test]
fn the_text_has_one_line_for_a_finding() {
    let outcome = Sensor::new().run(&["check", "-i", "lo"]);
    assert!(matches!(outcome.code(), Some(0 | 3)), "{outcome}");
    for line in ["ok       kernel.btf: BTF at ", " lo: ", "machine.memory_plan: memory: at most", "configuration: "] {
        assert!(outcome.stdout().contains(line), "{line:?} is not in {outcome}");
    }
}
