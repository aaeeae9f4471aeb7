//! Handshakes, counters and memory while a flood exceeds what the sensor can process.

use std::thread;
use std::time::Instant;

use nix::sys::signal::Signal;
use tests::Outcome;
use tests::cgroup::ControlGroup;
use tests::flood::{FloodKind, RunningFlood, tls_handshakes};
use tests::privilege::skipped;

use super::counters::assert_conserved;
use super::*;

/// Handshakes during a flood.
const HANDSHAKES: usize = 200;

/// Handshakes after a flood.
const LATER: usize = 20;

/// Ports of the server during a flood and after it.
const PORTS: [u16; 2] = [443, 8443];

/// Different packets of a flood.
const FLOWS: u32 = 20_000;

/// A small ring, so that a flood fills it although the sensor reads it.
const OPTIONS: [&str; 6] = ["--shards", "2", "--ring-size", "1024", "--types", "ja4,ja4s,ja4t,ja4ts,ja4l,ja4ls,stats"];

/// Returns the events of the hosts of the wire, without those of the flood, and the statistics.
fn events_of_hosts(outcome: &Outcome, wire: &Wire) -> Vec<Value> {
    let client = format!("\"{}\"", wire.client().v4());
    let is_relevant = |line: &&str| line.contains(&client) || line.contains(r#""event_type":"stats""#);
    let lines: Vec<_> = outcome.stdout().lines().filter(is_relevant).collect();
    events::parse(&(lines.join("\n") + "\n"))
}

/// Asserts both conservation laws, the second one for each class of records. Returns the last statistics.
fn assert_balanced(events: &[Value]) -> &Value {
    let stats = assert_conserved(events);
    let selected = stats["stats"]["kernel"]["selected_by"].as_object().unwrap();
    for class in selected.keys() {
        let count = |counter: &str| stats_u64(stats, &["kernel", counter, class]);
        let lost = count("ring_full_by") + count("rate_limited_by");
        assert_eq!(count("selected_by"), count("emitted_by") + lost, "{class}: {stats}");
    }
    stats
}

/// Returns the number of fingerprints of a method of connections to a port.
fn count_of(events: &[Value], method: &str, port: u16) -> usize {
    let is_counted = |event: &&Value| {
        event["fingerprint"]["type"] == method && (event["dest_port"] == port || event["src_port"] == port)
    };
    fingerprints(events).into_iter().filter(is_counted).count()
}

/// Runs handshakes during a flood and asserts that each is fingerprinted, that every packet is counted, and that handshakes
/// after the flood have all fingerprints.
fn handshakes_survive(kind: FloodKind) {
    let Some(_exclusive) = exclusive() else { return };
    if !require_tools(&["tcpreplay"]) {
        return;
    }
    let wire = Wire::new();
    let sensor = RunningSensor::start(wire.server(), &OPTIONS);
    let flood = RunningFlood::start(wire.client(), kind, FLOWS);
    tls_handshakes(&wire, PORTS[0], HANDSHAKES);
    drop(flood);
    // The sensor recovers within a second.
    thread::sleep(Duration::from_secs(1));
    tls_handshakes(&wire, PORTS[1], LATER);
    let events = events_of_hosts(&sensor.stop().ok(), &wire);
    let stats = assert_balanced(&events);
    assert!(stats_u64(stats, &["kernel", "selected_by", kind.class()]) > HANDSHAKES as u64 * 10, "{stats}");
    for method in ["ja4", "ja4s"] {
        assert_eq!(count_of(&events, method, PORTS[0]), HANDSHAKES, "{method}: {stats}");
    }
    for method in ["ja4", "ja4s", "ja4t", "ja4ts", "ja4l", "ja4ls"] {
        assert_eq!(count_of(&events, method, PORTS[1]), LATER, "{method} after the flood: {stats}");
    }
}

#[test]
fn handshakes_survive_a_syn_flood() {
    handshakes_survive(FloodKind::Syn);
}

#[test]
fn handshakes_survive_a_flood_of_hellos() {
    handshakes_survive(FloodKind::Hello);
}

#[test]
fn handshakes_survive_a_flood_of_quic_initials() {
    handshakes_survive(FloodKind::QuicInitial);
}

#[test]
fn handshakes_survive_a_flood_of_fragments() {
    handshakes_survive(FloodKind::Fragment);
}

#[test]
fn handshakes_survive_a_flood_of_nested_tunnels() {
    handshakes_survive(FloodKind::Nested);
}

#[test]
fn a_sigterm_during_a_flood_ends_the_sensor_within_its_deadline() {
    /// Time that systemd and container runtimes allow at least, with room for a busy machine.
    const DEADLINE: Duration = Duration::from_secs(5);
    let Some(_exclusive) = exclusive() else { return };
    if !require_tools(&["tcpreplay"]) {
        return;
    }
    for kind in [FloodKind::Syn, FloodKind::Hello] {
        let wire = Wire::new();
        let sensor = RunningSensor::start(wire.server(), &["--shards", "2"]);
        let _flood = RunningFlood::start(wire.client(), kind, 200_000);
        thread::sleep(Duration::from_secs(2));
        let start = Instant::now();
        let outcome = sensor.end(Signal::SIGTERM).ok();
        let elapsed = start.elapsed();
        assert!(elapsed < DEADLINE, "{kind:?}: {elapsed:?}");
        assert_balanced(&events_of_hosts(&outcome, &wire));
    }
}

#[test]
fn with_128_mib_of_memory_the_sensor_survives_a_syn_flood() {
    /// Within this time, a sensor with the default bounds exceeds 128 MiB.
    const DURATION: Duration = Duration::from_secs(8);
    let Some(_exclusive) = exclusive() else { return };
    if !require_tools(&["tcpreplay", "nsenter"]) {
        return;
    }
    let Some(group) = ControlGroup::with_memory(128 << 20) else {
        skipped("a memory controller");
        return;
    };
    let wire = Wire::new();
    let host = wire.server();
    let sensor = Sensor::new();
    let options = ["run", "-i", host.interface(), "--http", "off", "--shards", "2"];
    let mut sensor = RunningSensor::spawn(group.enter(&host.enter_network(&sensor.command(&options))));
    sensor.wait_attached(1);
    let flood = RunningFlood::start(wire.client(), FloodKind::Syn, 200_000);
    thread::sleep(DURATION);
    tls_handshakes(&wire, PORTS[0], LATER);
    drop(flood);
    let events = events_of_hosts(&sensor.stop().ok(), &wire);
    let stats = assert_balanced(&events);
    assert!(stats_u64(stats, &["shards", "opened"]) > 10_000, "{stats}");
    for method in ["ja4", "ja4s"] {
        assert_eq!(count_of(&events, method, PORTS[0]), LATER, "{method}: {stats}");
    }
}
