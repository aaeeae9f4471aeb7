//! Over a capture file.

use std::time::Duration;

use tests::conversation::TcpConversation;
use tests::hello::{self, Shape};
use tests::packets::{self, TimedFrame};
use tests::random::SplitMix64;

use super::*;

/// A TLS connection of a program, in seconds after the start of the capture.
fn visit_of(shape: Shape, client: &str, name: &str, second: u64) -> Vec<TimedFrame> {
    let hello = hello::records(&shape.client_hello(name, &mut SplitMix64::new(5)), usize::MAX);
    let mut conversation = TcpConversation::between(client, "192.0.2.1:443");
    conversation.at(Duration::from_secs(second));
    let flight = hello::server_flight_13(&mut SplitMix64::new(6), 64);
    conversation.handshake().client(&hello).server(&flight).close();
    conversation.packets().to_vec()
}

#[test]
fn a_capture_file_has_every_view() {
    if !require_tools(&["tmux", "pgrep"]) {
        return;
    }
    let folder = TopFolder::new();
    let packets = [
        visit_of(Shape::Go, "10.0.0.9:40000", "go.example.org", 0),
        visit_of(Shape::Curl, "10.0.0.1:50000", NAME, 100),
    ];
    packets::capture_file(folder.0.path(), "capture.pcap", &packets.concat());
    let terminal = folder.terminal(120, 50);
    terminal.run(&[&binary(), "top", "--config", "sensor.toml", "capture.pcap"]);
    let screen = terminal.wait_for("connections 1–2 of 2");
    let line = |screen: &str, texts: &[&str]| screen.lines().any(|line| texts.iter().all(|text| line.contains(text)));
    // The newest first.
    assert!(line(&screen, &["B!*", "10.0.0.1", "192.0.2.1:443", NAME, "curl", CURL]), "{screen}");
    assert!(line(&screen, &["10.0.0.9", "go.example.org"]), "{screen}");

    terminal.write("/host:10.0.0.9 or colour:red");
    terminal.wait_for("unknown key 'colour'");
    terminal.press(&["C-u"]);
    terminal.write("app:curl bad");
    terminal.press(&["Enter"]);
    terminal.wait_for("connections 1–1 of 1  by last↓  / app:curl bad");
    terminal.press(&["Enter"]);
    terminal.wait_for("a test program");
    terminal.wait_until("raw form", |screen| line(screen, &["raw", "t13d3112h2_"]));
    terminal.press(&["q", "2"]);
    terminal.wait_until("summary", |screen| line(screen, &["10.0.0.9"]) && line(screen, &["known_bad"]));
    terminal.press(&["3"]);
    terminal.wait_until("alert", |screen| line(screen, &["known_bad", "10.0.0.1", "192.0.2.1:443"]));
    terminal.press(&["4"]);
    terminal.wait_until("host", |screen| line(screen, &["10.0.0.1", "curl"]));
    terminal.press(&["5"]);
    terminal.wait_until("value", |screen| line(screen, &[CURL, "curl", "a test program"]));
    terminal.press(&["6"]);
    terminal.wait_for("connections 1–2 of 2  t: ");
    terminal.press(&["t", "C-u"]);
    terminal.write("10s..now");
    terminal.press(&["Enter"]);
    terminal.wait_for("connections 1–1 of 1  t: 10s..now");
    terminal.press(&["7"]);
    terminal.wait_until("new value", |screen| line(screen, &["new", CURL, "curl"]));
    terminal.press(&["e", "C-u"]);
    terminal.write("changes.csv");
    terminal.press(&["Enter"]);
    terminal.wait_for("rows to changes.csv");
    let exported = fs::read_to_string(folder.path("changes.csv")).unwrap();
    assert!(exported.starts_with("change,type,value,before,after,label\n"), "{exported}");
    assert!(exported.contains(CURL), "{exported}");

    // The terminal is restored after a signal.
    terminal.resize(40, 10);
    terminal.wait_for("7 Diff");
    let program = terminal.program().to_string();
    std::process::Command::new("kill").arg(&program).status().unwrap();
    terminal.wait_for_shell();
}

#[test]
fn a_file_that_is_no_capture_is_one_error() {
    if !require_tools(&["tmux", "pgrep"]) {
        return;
    }
    let folder = TopFolder::new();
    let terminal = folder.terminal(160, 24);
    terminal.run(&[&binary(), "top", "bad.toml"]);
    terminal.wait_for("bad.toml: the replay failed");
    terminal.wait_for_shell();
}
