//! Attached to a running sensor.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::{RunningSensor, Wire};

use super::*;

/// Starts a sensor with its default socket, in the folder in place of `/run/ja4sensor`.
fn start(wire: &Wire, folder: &TopFolder) -> RunningSensor {
    let (host, config, db) = (wire.server(), folder.text("sensor.toml"), folder.text("history.db"));
    let mut run = Sensor::new().command(&["run", "-i", host.interface(), "--config", &config, "--db", &db]);
    run.env("RUNTIME_DIRECTORY", folder.0.path());
    let mut sensor = RunningSensor::spawn(host.enter(&run));
    sensor.wait_attached(1);
    sensor
}

/// A line of the screen that has all these texts.
fn has_line(screen: &str, texts: &[&str]) -> bool {
    screen.lines().any(|line| texts.iter().all(|text| line.contains(text)))
}

#[test]
fn a_visit_of_curl_is_found_with_its_alert_and_its_history() {
    if !is_possible() {
        return;
    }
    let (wire, folder) = (Wire::new(), TopFolder::new());
    let sensor = start(&wire, &folder);
    let _server = web_server(&wire);
    let terminal = folder.terminal(120, 30);
    terminal.run(&[&binary(), "top"]);
    terminal.wait_for("pkt/s");
    visit(&wire);
    terminal.wait_until("connection of curl", |screen| has_line(screen, &["10.98.0.1", NAME, "curl", CURL, "B!*"]));

    // In full: every fingerprint, and what fired.
    terminal.press(&["Enter"]);
    let screen = terminal.wait_for("known bad");
    for text in ["Connection ", "10.98.0.2 port 4433", "a test program", "ja4t"] {
        assert!(screen.contains(text), "no {text:?}:\n{screen}");
    }
    terminal.press(&["Down", "y"]);
    terminal.wait_for("copied 10.98.0.1 port");
    assert!(terminal.clipboard().starts_with("10.98.0.1 port "), "{}", terminal.clipboard());

    // What the database has of this client.
    terminal.press(&["i"]);
    let screen = terminal.wait_until("history", |screen| has_line(screen, &["10.98.0.1", "curl", CURL]));
    assert!(screen.contains("/ host:10.98.0.1") && screen.contains("t: 1h..now"), "{screen}");

    terminal.press(&["3"]);
    terminal.wait_until("alert", |screen| has_line(screen, &["known_bad", "10.98.0.1"]));
    terminal.press(&["4"]);
    terminal.wait_until("host", |screen| has_line(screen, &["10.98.0.1", "curl"]));
    terminal.press(&["5"]);
    terminal.wait_until("value", |screen| has_line(screen, &[CURL, "curl", "a test program"]));
    terminal.press(&["2"]);
    terminal.wait_until("talker", |screen| has_line(screen, &["10.98.0.1"]) && screen.contains("known_bad"));
    terminal.press(&["7"]);
    terminal.wait_until("difference", |screen| has_line(screen, &["new", CURL]));

    // The terminal is as before.
    terminal.press(&["q"]);
    terminal.wait_for_shell();
    sensor.stop().ok();
}

#[test]
fn fields_filter_sort_and_export_rows() {
    if !is_possible() {
        return;
    }
    let (wire, folder) = (Wire::new(), TopFolder::new());
    let sensor = start(&wire, &folder);
    let _server = web_server(&wire);
    let terminal = folder.terminal(80, 24);
    terminal.run(&[&binary(), "top"]);
    visit(&wire);
    terminal.wait_until("connection of curl", |screen| has_line(screen, &["10.98.0.1", "curl"]));

    // An error is shown in the line while it is typed, and no letter is a shortcut.
    terminal.write("/app:curl and (q");
    terminal.press(&["Enter"]);
    let screen = terminal.wait_for("filter: app:curl and (q");
    let line = screen.lines().find(|line| line.contains("filter: ")).unwrap();
    assert!(line.trim_end().len() > "filter: app:curl and (q".len(), "no error: {screen}");
    terminal.press(&["C-u"]);
    terminal.write("not app:curl");
    terminal.press(&["Enter"]);
    terminal.wait_for("no row matches the filter");
    terminal.press(&["Escape"]);
    terminal.wait_until("all rows", |screen| has_line(screen, &["10.98.0.1", "curl"]));

    // A column that does not fit has an order too.
    terminal.press(&["s"]);
    terminal.wait_for("by start↓");
    terminal.press(&["s"]);
    terminal.wait_for("CLIENT↑");
    terminal.press(&["?", "NPage"]);
    terminal.wait_for("net:10.0.0.0/8");
    terminal.press(&["q", "l"]);
    terminal.wait_for("kernel.ring_full");
    terminal.press(&["q", "e"]);
    terminal.wait_for("export to .json or .csv: connections.json");
    terminal.press(&["Enter"]);
    terminal.wait_for("exported 1 row to connections.json");
    let exported = fs::read_to_string(folder.path("connections.json")).unwrap();
    let row: serde_json::Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(row["tls"]["sni"], NAME);
    // A file is not replaced.
    terminal.press(&["e", "Enter"]);
    terminal.wait_for("File exists");

    for (width, height) in [(40, 10), (200, 50), (39, 9), (80, 24), (41, 60), (150, 12)].into_iter().cycle().take(60) {
        terminal.resize(width, height);
    }
    terminal.resize(40, 10);
    terminal.wait_until("small view", |screen| has_line(screen, &["10.98.0.1", "10.98.0.2:4433"]));
    terminal.resize(30, 10);
    terminal.wait_for("30×10 is too small");
    terminal.resize(80, 24);
    terminal.wait_for("q quit");
    kill(Pid::from_raw(terminal.program() as i32), Signal::SIGTERM).unwrap();
    terminal.wait_for_shell();
    sensor.stop().ok();
}

#[test]
fn a_sensor_that_starts_again_is_attached_again() {
    if !is_possible() {
        return;
    }
    let (wire, folder) = (Wire::new(), TopFolder::new());
    let sensor = start(&wire, &folder);
    let _server = web_server(&wire);
    let terminal = folder.terminal(100, 24);
    terminal.run(&[&binary(), "top"]);
    terminal.wait_for("no rows yet");
    sensor.kill();
    terminal.wait_for("not attached");
    let sensor = start(&wire, &folder);
    visit(&wire);
    terminal.wait_until("connection of curl", |screen| {
        has_line(screen, &["10.98.0.1", "curl"]) && !screen.contains("not attached")
    });
    terminal.press(&["C-c"]);
    terminal.wait_for_shell();
    sensor.stop().ok();
}
