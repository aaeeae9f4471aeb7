//! Runs that end by themselves.

use super::*;

#[test]
fn a_run_ends_after_its_time_as_at_a_signal() {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let host = wire.server();
    let sensor = RunningSensor::start(host, &["--duration", "1s", "--stats-interval", "0", "--verbose"]);
    let outcome = sensor.wait().ok();
    assert_eq!(events::of_type(&outcome.events(), "stats").len(), 1, "the last statistics");
    assert!(!host.has_programs());
    let log = outcome.stderr();
    for step in ["loading BPF programs", "attached", "detached", "shards and engine have ended"] {
        assert!(log.contains(step), "{step} is not in\n{log}");
    }
    for line in log.lines() {
        let level = line.split_ascii_whitespace().nth(1).unwrap_or_default();
        assert!(["ERROR", "WARN", "INFO", "DEBUG"].contains(&level), "{line}");
    }
}

#[test]
fn a_run_ends_after_a_number_of_packets() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, chain) = (Wire::new(), Chain::new(KeyType::Ec));
    let _server = peers::openssl_server(wire.server(), 443, &chain, &[]);
    let host = wire.server();
    let sensor = RunningSensor::start(host, &["--count", "20", "--stats-interval", "0"]);
    let mut connections = 0;
    while host.has_programs() && connections < 30 {
        peers::openssl_client(wire.client(), host.v4(), 443, &[]);
        connections += 1;
    }
    let events = sensor.wait().ok().events();
    assert!(connections > 1 && !values(&events, "ja4").is_empty(), "{connections}");
    let stats = *events::of_type(&events, "stats").last().unwrap();
    assert!(stats_u64(stats, &["shards", "packets"]) >= 20, "{stats:#}");
    Sensor::new().run(&["run", "-i", "lo", "--count", "0"]).status(2).stderr_has("--count");
    Sensor::new().run(&["run", "-i", "lo", "--duration", "0"]).status(2).stderr_has("--duration");
}
