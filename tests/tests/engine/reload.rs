//! SIGHUP under load: changed settings apply, unchanged state is retained, and an invalid configuration changes
//! nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use nix::sys::signal::Signal;
use tests::process::until;
use tests::{RunningSensor, Wire, log, stats_u64, values};

use super::live::{SOON, assert_nothing_lost, connect, connect_once, exclusive, listen, signal, start, terminate};
use super::*;

/// Rule that fires on more than nine connections to port 7001; never changed.
const KEPT: &str = "[[rule]]\nname = \"kept\"\non = \"connection\"\nwindow = \"1h\"\ncooldown = \"1h\"\n\
                    where = [{ field = \"dest_port\", op = \"eq\", value = 7001 }]\nthreshold = { op = \"gt\", value = 9 }\n";

/// Rule that fires once on each of the ports 7002 to 7009.
const ADDED: &str = "[[rule]]\nname = \"added\"\non = \"connection\"\nwindow = \"1h\"\ncooldown = \"1h\"\n\
                     group_by = [\"dest_port\"]\nthreshold = { op = \"gte\", value = 1 }\n\
                     where = [{ field = \"dest_port\", op = \"gte\", value = 7002 }, { field = \"dest_port\", op = \"lte\", value = 7009 }]\n";

/// Sends SIGHUP; returns the sensor's stderr output.
fn reload(sensor: &RunningSensor) -> String {
    let before = sensor.stderr().len();
    signal(sensor, Signal::SIGHUP);
    let logged = || sensor.stderr()[before..].to_owned();
    let reported = until(SOON, || {
        logged().contains("configuration reloaded\n") || logged().contains("configuration not reloaded")
    });
    assert!(reported, "{}", sensor.stderr());
    logged()
}

#[test]
fn a_reload_under_load_applies_each_file_and_loses_no_event() {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let folder = EngineFolder::new(
        "[rules]\nfiles = [\"rules.toml\"]\n[allowlist]\nfiles = [\"allow.toml\"]\n[lookup]\nknown_bad = \"bad.toml\"\n\
         databases = [\"mine.toml\"]\n",
    )
    .with("rules.toml", KEPT)
    .with("allow.toml", "")
    .with("bad.toml", "")
    .with("mine.toml", "");
    let write = |name: &str, text: &str| fs::write(folder.path(name), text).unwrap();
    let hello = odd_hello(1, "a.example");
    let load = listen(wire.server(), 7000, b"");
    let ports: Vec<_> = (7001..7006).map(|port| listen(wire.server(), port, b"")).collect();
    let sensor = start(&wire, &folder, &[]);

    let (done, opened) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        // A failed test must not wait forever for this thread.
        struct StopOnDrop<'a>(&'a AtomicBool);
        impl Drop for StopOnDrop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = StopOnDrop(&done);
        scope.spawn(|| {
            wire.client().with(|| {
                // A port stays in TIME_WAIT for a minute after its connection; the range must cover the connections of
                // that time.
                fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65535").unwrap();
                while !done.load(Ordering::Relaxed) {
                    connect_once(load, &hello);
                    thread::sleep(Duration::from_millis(1));
                    opened.fetch_add(1, Ordering::Relaxed);
                }
            });
        });
        let to = |port: usize, number| {
            connect(&wire, ports[port - 1], number, &hello);
            opened.fetch_add(number, Ordering::Relaxed);
        };
        let fired = |rule: &str| alerts(&sensor.events(), rule).len();
        let assert_fired = |rule: &str, number: usize| {
            assert!(until(SOON, || fired(rule) == number), "{rule}: {} of {number}\n{}", fired(rule), sensor.stderr());
        };
        // Waits until new connections are output, so that all earlier ones have been processed.
        let wait_for_load = || {
            let before = connections(&sensor.events()).len();
            assert!(until(SOON, || connections(&sensor.events()).len() > before + 5));
        };

        to(1, 6);
        to(2, 1);
        wait_for_load();
        // Adds a rule; the unchanged rule keeps its counts.
        write("rules.toml", &(KEPT.to_owned() + ADDED));
        assert!(!reload(&sensor).contains("warning"));
        to(2, 1);
        assert_fired("added", 1);
        to(1, 3);
        wait_for_load();
        assert_eq!(fired("kept"), 0, "nine connections do not exceed the threshold");
        to(1, 1);
        assert_fired("kept", 1);

        // An invalid file is reported; the active rules stay.
        write("rules.toml", &KEPT.replace("window = \"1h\"", "window = \"soon\""));
        let logged = reload(&sensor);
        assert!(
            logged.contains("rules.toml:4:") && logged.contains("soon") && !logged.contains("configuration reloaded"),
            "{logged}"
        );
        to(3, 1);
        assert_fired("added", 2);
        write("rules.toml", &(KEPT.to_owned() + ADDED));

        // Allowlist.
        write("allow.toml", &format!("[[network]]\ncidr = \"{}\"\nrules = [\"added\"]\n", wire.client().v4()));
        reload(&sensor);
        to(4, 1);
        wait_for_load();
        assert_eq!(fired("added"), 2, "the allowlisted client raised an alert");
        write("allow.toml", "");
        reload(&sensor);
        to(4, 1);
        assert_fired("added", 3);

        // A known-bad list, and then an invalid one.
        assert_eq!(fired("known_bad"), 0);
        write(
            "bad.toml",
            "[[pattern]]\ntype = \"ja4\"\nmatch = \"t13*\"\ncategory = \"c2\"\nconfidence = 90\nnote = \"x\"\n",
        );
        let value = values(&sensor.events(), "ja4")[0].to_owned();
        let labelled =
            || of_kind(&sensor.events(), "ja4").iter().filter(|event| event["label"]["name"] == "Ours").count();
        assert_eq!(labelled(), 0);
        write("mine.toml", &format!("[[entry]]\ntype = \"ja4\"\nvalue = \"{value}\"\nname = \"Ours\"\n"));
        reload(&sensor);
        assert_fired("known_bad", 1);
        assert!(until(SOON, || labelled() > 0));
        write("bad.toml", "[[pattern]]\ntype = \"ja5\"\n");
        let logged = reload(&sensor);
        assert!(logged.contains("bad.toml:2:8") && logged.contains("ja5"), "{logged}");
        let before = sensor.events().len();
        to(5, 1);
        wait_for_load();
        let bad = sensor.events()[before..].iter().filter(|event| event["known_bad"]["category"] == "c2").count();
        assert!(bad > 0, "the active list was dropped");
    });
    let opened = opened.load(Ordering::Relaxed);
    assert!(
        until(SOON, || connections(&sensor.events()).len() >= opened),
        "{} of {opened}",
        connections(&sensor.events()).len()
    );
    let events = terminate(sensor);
    assert_nothing_lost(&events);
    assert_eq!(
        (connections(&events).len(), values(&events, "ja4").len(), values(&events, "ja4t").len()),
        (opened, opened, opened)
    );
    assert_eq!(stats_u64(stats(&events), &["engine", "reloads"]), 4);
    assert_eq!(stats_u64(stats(&events), &["engine", "allowlisted"]), 1);
}

#[test]
fn a_reload_reports_errors_and_settings_that_need_a_restart() {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let folder = EngineFolder::new("[rules]\nfiles = [\"rules.toml\"]\n").with("rules.toml", ADDED);
    let config = |text: &str| fs::write(folder.path("sensor.toml"), text).unwrap();
    let ports: Vec<_> = (7002..7006).map(|port| listen(wire.server(), port, b"")).collect();
    let sensor = start(&wire, &folder, &[]);
    let assert_fired = |at: usize, number: usize| {
        connect(&wire, ports[at], 1, b"x");
        let fired = || alerts(&sensor.events(), "added").len();
        assert!(until(SOON, || fired() == number), "{} of {number}\n{}", fired(), sensor.stderr());
    };
    assert_fired(0, 1);

    // Adds a sink.
    let sink = "[[alerts.sink]]\ntype = \"file\"\npath = \"alerts.json\"\n";
    config(&format!("[rules]\nfiles = [\"rules.toml\"]\n{sink}"));
    assert_eq!(log::message(&reload(&sensor)), "configuration reloaded\n");
    assert_fired(1, 2);
    let alerts_file = || fs::read_to_string(folder.path("alerts.json")).unwrap_or_default();
    assert!(until(SOON, || alerts_file().contains("\"added\"")), "{}", alerts_file());

    // Settings that need a restart are reported; the others apply.
    config(&format!("[capture]\nidle_timeout = \"9s\"\n[rules]\nfiles = [\"rules.toml\"]\n{sink}"));
    let logged = reload(&sensor);
    assert!(logged.contains("WARN changes of capture take effect at the next start"), "{logged}");

    // All errors are reported and nothing is applied, not even the valid sinks.
    config("[rules]\nfiles = [\"rules.toml\", \"none.toml\"]\n[first_sen]\n");
    let logged = reload(&sensor);
    for part in ["none.toml: cannot open the file", "did you mean", "first_seen", "not reloaded"] {
        assert!(logged.contains(part), "no {part:?} in {logged}");
    }
    assert_fired(2, 3);
    assert!(until(SOON, || alerts_file().matches("\"added\"").count() >= 2), "the sink was removed: {}", alerts_file());

    // After many signals in a row, the last content of the files applies.
    for number in 0..20 {
        config(&format!("[rules]\nfiles = [\"rules.toml\"]\n[builtin.many_ja4]\nthreshold = {}\n", number + 1));
        signal(&sensor, Signal::SIGHUP);
    }
    config("");
    reload(&sensor);
    thread::sleep(ms(500));
    connect(&wire, ports[3], 1, b"x");
    sensor.wait_for("the last connection", |events| connections(events).iter().any(|event| event["dest_port"] == 7005));
    let events = terminate(sensor);
    assert_eq!(alerts(&events, "added").len(), 3, "the removed rule raised an alert");
    assert_nothing_lost(&events);
}

#[test]
fn extra_known_bad_patterns_are_reloaded() {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let folder = EngineFolder::new("[lookup]\nknown_bad_extra = \"extra.toml\"\n").with("extra.toml", "");
    let ports: Vec<_> = (7002..7004).map(|port| listen(wire.server(), port, b"")).collect();
    let hello = odd_hello(1, "a.example");
    let sensor = start(&wire, &folder, &[]);
    connect(&wire, ports[0], 1, &hello);
    sensor.wait_for("a hello", |events| values(events, "ja4").len() == 1);
    let value = values(&sensor.events(), "ja4")[0].to_owned();
    let pattern = format!(
        "[[pattern]]\ntype = \"ja4\"\nmatch = \"{value}\"\ncategory = \"c2\"\nconfidence = 90\nnote = \"seen here\"\n"
    );
    fs::write(folder.path("extra.toml"), pattern).unwrap();
    assert_eq!(log::message(&reload(&sensor)), "configuration reloaded\n");
    connect(&wire, ports[1], 1, &hello);
    sensor.wait_for("the alert", |events| !alerts(events, "known_bad").is_empty());
    let events = terminate(sensor);
    let alert = single_alert(&events, "known_bad");
    assert_eq!(alert["dest_port"], 7003);
    assert_reason(alert, &["seen here"]);
}
