//! Conservation laws of the counters, checked on real traffic.

use super::*;

/// Paths of the counters in a `stats` event, used by all checks below.
const SEEN: &[&str] = &["kernel", "seen"];
const UNSELECTED: &[&str] = &["kernel", "unselected"];
const UNPARSEABLE: &[&str] = &["kernel", "unparseable"];
const SELECTED: &[&str] = &["kernel", "selected"];
const EMITTED: &[&str] = &["kernel", "emitted"];
const RING_FULL: &[&str] = &["kernel", "ring_full"];
const RATE_LIMITED: &[&str] = &["kernel", "rate_limited"];
const RECEIVED: &[&str] = &["shards", "packets"];

pub(super) fn assert_conserved(events: &[Value]) -> &Value {
    let last = *events::of_type(events, "stats").last().expect("the last stats event");
    let count = |path| stats_u64(last, path);
    assert_eq!(count(SEEN), count(UNSELECTED) + count(UNPARSEABLE) + count(SELECTED), "{last:#}");
    assert_eq!(count(SELECTED), count(EMITTED) + count(RING_FULL) + count(RATE_LIMITED), "{last:#}");
    assert_eq!(count(EMITTED), count(RECEIVED), "{last:#}");
    last
}

#[test]
fn counters_balance_after_real_traffic() {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let sensor = RunningSensor::start(wire.server(), &[]);
    scenes::tls(&wire);
    let events = sensor.stop().ok().events();
    let last = assert_conserved(&events);
    assert_eq!(
        (stats_u64(last, RING_FULL), stats_u64(last, RATE_LIMITED)),
        (0, 0),
        "records are lost under a low load"
    );
    assert!(stats_u64(last, UNSELECTED) > 0, "no packet was filtered out in the kernel");
}

#[test]
fn counters_balance_under_a_burst_at_full_speed() {
    let Some(_exclusive) = exclusive() else { return };
    if !require_tools(&["tcpreplay"]) {
        return;
    }
    let wire = Wire::new();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("dense.pcap");
    let written = generate::write(CaptureKind::Dense, 0.5, 1, &mut File::create(&file).unwrap()).unwrap();
    let sensor = RunningSensor::start(wire.server(), &[]);
    let interface = wire.client().interface();
    wire.client().run(&["tcpreplay", "--topspeed", "-q", "-i", interface, file.to_str().unwrap()]).ok();
    let events = sensor.stop().ok().events();
    let last = assert_conserved(&events);
    assert!(stats_u64(last, SEEN) >= written.packets, "{last:#}");
    assert!(stats_u64(last, SELECTED) > 0, "{last:#}");
}
