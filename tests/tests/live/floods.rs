//! Handshakes and counters while a flood exceeds what the sensor can process.

use tests::flood::{FloodKind, RunningFlood, tls_handshakes};

use super::counters::assert_conserved;
use super::*;

/// Handshakes during a flood.
const HANDSHAKES: usize = 200;

/// Different packets of a flood.
const FLOWS: u32 = 20_000;

/// A small ring, so that a flood fills it although the sensor reads it.
const OPTIONS: [&str; 6] = ["--shards", "2", "--ring-size", "256", "--types", "ja4,ja4s,stats"];

/// Asserts that the second conservation law holds for each class of records.
fn assert_classes_conserved(stats: &Value) {
    let selected = stats["stats"]["kernel"]["selected_by"].as_object().unwrap();
    for class in selected.keys() {
        let count = |counter: &str| stats_u64(stats, &["kernel", counter, class]);
        let lost = count("ring_full_by") + count("rate_limited_by");
        assert_eq!(count("selected_by"), count("emitted_by") + lost, "{class}: {stats:#}");
    }
}

/// Runs handshakes during a flood and asserts that each is fingerprinted and every packet is counted.
fn handshakes_survive(kind: FloodKind) {
    let Some(_exclusive) = exclusive() else { return };
    if !require_tools(&["tcpreplay"]) {
        return;
    }
    let wire = Wire::new();
    let sensor = RunningSensor::start(wire.server(), &OPTIONS);
    let flood = RunningFlood::start(wire.client(), kind, FLOWS);
    tls_handshakes(&wire, HANDSHAKES);
    drop(flood);
    let outcome = sensor.stop().ok();
    let client = format!("\"{}\"", wire.client().v4());
    let is_relevant = |line: &&str| line.contains(&client) || line.contains(r#""event_type":"stats""#);
    let lines: Vec<_> = outcome.stdout().lines().filter(is_relevant).collect();
    let events = events::parse(&(lines.join("\n") + "\n"));
    let stats = assert_conserved(&events);
    assert_classes_conserved(stats);
    assert!(stats_u64(stats, &["kernel", "selected_by", kind.class()]) > HANDSHAKES as u64 * 10, "{stats}");
    for method in ["ja4", "ja4s"] {
        assert_eq!(values(&events, method).len(), HANDSHAKES, "{method}: {stats}");
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
