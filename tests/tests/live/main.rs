//! `ja4sensor run` on a real interface of a real kernel, with real programs; tcpdump is the reference.
mod affinity;
mod capture_points;
mod carriers;
mod counters;
mod detaching;
mod end;
mod event_files;
mod every_method;
mod filter;
mod floods;
mod fragments;
mod interface_changes;
mod interfaces;
mod latencies;
mod live_output_equals_replay;
mod packet_file;
mod soak;
mod start;
mod two_sensors;

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::generate::{self, CaptureKind};
use tests::hello::Shape;
use tests::netns::WireLayout;
use tests::peers::{self, Chain, KeyType};
use tests::process::until;
use tests::tcpdump::{Tcpdump, TcpdumpCapture};
use tests::{
    Namespace, RunningSensor, Sensor, Wire, assert_same_fingerprints, events, fingerprints, require_bpf, require_tools,
    scenes, stats_u64, values,
};

const TOOLS: [&str; 7] = ["ip", "ethtool", "ss", "tc", "tcpdump", "openssl", "curl"];
/// Allowed difference of timestamps. tcpdump takes its timestamp at another layer of the stack than the sensor:
/// microseconds apart, or longer when a busy machine delays the thread. `latencies` checks the values.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

/// Returns a lock if the test can run, `None` otherwise. Tests run one at a time because latencies are compared and
/// there are few CPUs.
fn exclusive() -> Option<MutexGuard<'static, ()>> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    (require_bpf() && require_tools(&TOOLS)).then(|| ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Asserts that the sensor's live output on the interface of `host` during `traffic` equals a replay of a recording of
/// that interface. Returns the live events.
fn live_equals_replay_of(host: &Namespace, options: &[&str], traffic: impl FnOnce()) -> Vec<Value> {
    live_and_replay(host, options, traffic).live
}

/// Output of the sensor and recording of tcpdump for the same traffic.
struct LiveAndReplay {
    live: Vec<Value>,
    replayed: Vec<Value>,
    recording: TcpdumpCapture,
}

/// See [`live_equals_replay_of`].
fn live_and_replay(host: &Namespace, options: &[&str], traffic: impl FnOnce()) -> LiveAndReplay {
    live_and_replay_on(host, host.interface(), options, traffic)
}

/// The same on an interface of `host`.
fn live_and_replay_on(host: &Namespace, interface: &str, options: &[&str], traffic: impl FnOnce()) -> LiveAndReplay {
    let tcpdump = Tcpdump::start_on(host, interface);
    let sensor = RunningSensor::start_on(Some(host), &[interface], options);
    traffic();
    // `Tcpdump::stop` waits for the last packets; the sensor receives them meanwhile.
    let recording = tcpdump.stop();
    let live = sensor.stop().ok().events();
    // A replay has no other options of the capture.
    let ports = options.windows(2).filter(|option| option[0].ends_with("-port"));
    let file = recording.file().to_str().expect("temporary names are UTF-8");
    let arguments: Vec<_> = ["replay", file].into_iter().chain(ports.flatten().copied()).collect();
    let replayed = Sensor::new().run(&arguments).ok().events();
    assert_same_fingerprints(&live, &replayed, CLOCK_TOLERANCE);
    LiveAndReplay { live, replayed, recording }
}

/// Does the same for [`scenes::tls`].
fn live_equals_replay(wire: &Wire, host: &Namespace, options: &[&str]) -> Vec<Value> {
    let live = live_equals_replay_of(host, options, || scenes::tls(wire));
    for kind in ["ja4", "ja4t", "ja4ts", "ja4l", "ja4ls"] {
        assert_eq!(values(&live, kind).len(), scenes::TLS_CONNECTIONS, "{kind}");
    }
    assert_eq!(values(&live, "ja4s").len(), scenes::TLS_CONNECTIONS - 2, "the post-quantum client had no TLS server");
    let post_quantum = values(&live, "ja4").into_iter().filter(|value| *value == Shape::PostQuantum.ja4()).count();
    assert_eq!(post_quantum, 2);
    live
}

/// Asserts that all fingerprints of one side come from one hook.
fn assert_directions(events: &[Value], client: &str, server: &str) {
    for event in fingerprints(events) {
        let kind = event["fingerprint"]["type"].as_str().unwrap();
        match kind {
            "ja4" | "ja4t" => assert_eq!(event["direction"], client, "{event}"),
            "ja4s" | "ja4ts" => assert_eq!(event["direction"], server, "{event}"),
            _ => (),
        }
    }
}

#[test]
fn only_the_configured_direction_is_captured() {
    let Some(_exclusive) = exclusive() else { return };
    for (direction, seen, unseen) in [("ingress", "ja4", "ja4s"), ("egress", "ja4s", "ja4")] {
        let (wire, chain) = (Wire::new(), Chain::new(KeyType::Ec));
        let _server = peers::openssl_server(wire.server(), 443, &chain, &[]);
        let sensor = RunningSensor::start(wire.server(), &["--direction", direction]);
        peers::openssl_client(wire.client(), wire.server().v4(), 443, &[]);
        let events = sensor.stop().ok().events();
        assert_eq!((values(&events, seen).len(), values(&events, unseen).len()), (1, 0), "{direction}");
    }
}

#[test]
fn on_loopback_each_fingerprint_is_output_once() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, chain) = (Wire::new(), Chain::new(KeyType::Ec));
    let host = wire.server();
    let _server = peers::openssl_server(host, 443, &chain, &[]);
    let sensor = RunningSensor::start_on(Some(host), &["lo"], &[]);
    peers::openssl_client(host, Ipv4Addr::LOCALHOST.into(), 443, &[]);
    let events = sensor.stop().ok().events();
    for kind in ["ja4", "ja4s", "ja4t", "ja4ts"] {
        assert_eq!(values(&events, kind).len(), 1, "{kind}");
    }
}

#[test]
fn a_fingerprint_is_printed_before_the_sensor_stops() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, chain) = (Wire::new(), Chain::new(KeyType::Ec));
    let _server = peers::openssl_server(wire.server(), 443, &chain, &[]);
    let sensor = RunningSensor::start(wire.server(), &[]);
    peers::openssl_client(wire.client(), wire.server().v4(), 443, &[]);
    sensor.wait_for("ja4", |events| values(events, "ja4").len() == 1);
    sensor.stop().ok();
}
