//! `ja4sensor run` on a real interface in a real kernel, between real programs, with tcpdump as the witness.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::generate::{self, Kind};
use tests::hello::{self, Shape};
use tests::netns::Layout;
use tests::peers::{self, Chain, Key, Nginx};
use tests::process::until;
use tests::random::SplitMix64;
use tests::tape::Tape;
use tests::{
    LiveSensor, Namespace, Sensor, Wire, assert_same_fingerprints, events, fingerprints, require_bpf, require_tools,
    stats_u64, values,
};

const TOOLS: [&str; 7] = ["ip", "ethtool", "ss", "tc", "tcpdump", "openssl", "curl"];
/// tcpdump's clock is read further up or down the stack than the sensor's: microseconds apart, and as long as it pleases
/// the scheduler of a busy machine. What is left to see is a latency that is wrong altogether.
const CLOCKS: Duration = Duration::from_secs(1);

/// The test may run, and runs alone: latencies are compared, and there are few CPUs. `None` if it may not.
fn alone() -> Option<MutexGuard<'static, ()>> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    (require_bpf() && require_tools(&TOOLS)).then(|| ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Curl and openssl against nginx and openssl: TLS 1.2 and 1.3, both address families, a hello in two segments,
/// and a post-quantum one whose first segment is a single byte.
fn traffic(wire: &Wire) {
    let chain = Chain::new(Key::Rsa);
    let (client, server) = (wire.client(), wire.server());
    let nginx = require_tools(&["nginx"]).then(|| Nginx::start(server, 443, &chain));
    let _openssl = peers::openssl_server(server, 8443, &chain, &[]);
    let hello = hello::records(&Shape::PostQuantum.client_hello(peers::NAME, &mut SplitMix64::new(9)), usize::MAX);
    let protocols = peers::many_protocols();
    for address in [server.v4(), server.v6()] {
        let web = if nginx.is_some() { 443 } else { 8443 };
        peers::curl(client, address, web, &["--tls-max", "1.2"]);
        peers::curl(client, address, web, &["--tlsv1.3"]);
        peers::openssl_client(client, address, 8443, &["-tls1_2"]);
        peers::openssl_client(client, address, 8443, &["-tls1_3", "-alpn", &protocols]);
        let pieces = [&hello[..1], &hello[1..1300], &hello[1300..]];
        peers::send_pieces(client, server, (address, 9443).into(), &pieces, Duration::from_millis(5));
    }
}

/// Connections that `traffic` makes.
const CONNECTIONS: usize = 10;

/// The sensor on the interface of `host` prints what a replay of the recording of that interface prints.
fn live_equals_replay(wire: &Wire, host: &Namespace, options: &[&str]) -> Vec<Value> {
    let tape = Tape::start(host);
    let sensor = LiveSensor::start(host, options);
    traffic(wire);
    // stop() of the tape lets the last packets settle; the sensor sees them meanwhile.
    let recording = tape.stop();
    let live = sensor.stop().ok().events();
    let replayed = Sensor::new().replay(recording.file());

    assert_same_fingerprints(&live, &replayed, CLOCKS);
    for kind in ["ja4", "ja4t", "ja4ts", "ja4l", "ja4ls"] {
        assert_eq!(values(&live, kind).len(), CONNECTIONS, "{kind}");
    }
    assert_eq!(values(&live, "ja4s").len(), CONNECTIONS - 2, "the post-quantum client had no TLS server");
    let post_quantum = values(&live, "ja4").into_iter().filter(|value| *value == Shape::PostQuantum.ja4()).count();
    assert_eq!(post_quantum, 2);
    live
}

/// The fingerprints of one side came by one hook.
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

mod live_output_equals_replay {
    use super::*;

    fn at_the_server(hook: &str) {
        let Some(_alone) = alone() else { return };
        let wire = Wire::new();
        let events = live_equals_replay(&wire, wire.server(), &["--hook", hook]);
        assert_directions(&events, "ingress", "egress");
        for event in fingerprints(&events) {
            assert_eq!(event["in_iface"], wire.server().interface(), "{event}");
            assert!(event.get("pcap_cnt").is_none(), "there is no file: {event}");
        }
        assert!(!wire.server().has_programs());
    }

    fn at_the_client(hook: &str) {
        let Some(_alone) = alone() else { return };
        let wire = Wire::new();
        let events = live_equals_replay(&wire, wire.client(), &["--hook", hook]);
        assert_directions(&events, "egress", "ingress");
        assert!(!wire.client().has_programs());
    }

    #[test]
    fn native_at_the_server() {
        at_the_server("native");
    }

    #[test]
    fn generic_at_the_server() {
        at_the_server("generic");
    }

    #[test]
    fn tc_at_the_server() {
        at_the_server("tc");
    }

    #[test]
    fn native_at_the_client() {
        at_the_client("native");
    }

    #[test]
    fn generic_at_the_client() {
        at_the_client("generic");
    }

    #[test]
    fn tc_at_the_client() {
        at_the_client("tc");
    }

    fn tagged(vlan: &[u16]) {
        let Some(_alone) = alone() else { return };
        let wire = Wire::with(Layout { vlan, offloads: false });
        let events = live_equals_replay(&wire, wire.server(), &[]);
        for event in fingerprints(&events) {
            assert_eq!(event["vlan"], serde_json::json!(vlan), "{event}");
        }
    }

    #[test]
    fn vlan() {
        tagged(&[100]);
    }

    #[test]
    fn two_vlans() {
        tagged(&[100, 7]);
    }

    #[test]
    fn frames_as_large_as_offloads_make_them() {
        let Some(_alone) = alone() else { return };
        let wire = Wire::with(Layout { vlan: &[], offloads: true });
        live_equals_replay(&wire, wire.server(), &[]);
        live_equals_replay(&wire, wire.client(), &["--hook", "tc"]);
    }
}

#[test]
fn only_the_direction_asked_for_is_seen() {
    let Some(_alone) = alone() else { return };
    for (direction, seen, unseen) in [("ingress", "ja4", "ja4s"), ("egress", "ja4s", "ja4")] {
        let (wire, chain) = (Wire::new(), Chain::new(Key::Ec));
        let _server = peers::openssl_server(wire.server(), 443, &chain, &[]);
        let sensor = LiveSensor::start(wire.server(), &["--direction", direction]);
        peers::openssl_client(wire.client(), wire.server().v4(), 443, &[]);
        let events = sensor.stop().ok().events();
        assert_eq!((values(&events, seen).len(), values(&events, unseen).len()), (1, 0), "{direction}");
    }
}

#[test]
fn loopback_gives_each_fingerprint_once() {
    let Some(_alone) = alone() else { return };
    let (wire, chain) = (Wire::new(), Chain::new(Key::Ec));
    let host = wire.server();
    let _server = peers::openssl_server(host, 443, &chain, &[]);
    let sensor = LiveSensor::start_on(Some(host), &["lo"], &[]);
    peers::openssl_client(host, Ipv4Addr::LOCALHOST.into(), 443, &[]);
    let events = sensor.stop().ok().events();
    for kind in ["ja4", "ja4s", "ja4t", "ja4ts"] {
        assert_eq!(values(&events, kind).len(), 1, "{kind}");
    }
}

#[test]
fn a_fingerprint_is_printed_while_the_connection_lives() {
    let Some(_alone) = alone() else { return };
    let (wire, chain) = (Wire::new(), Chain::new(Key::Ec));
    let _server = peers::openssl_server(wire.server(), 443, &chain, &[]);
    let sensor = LiveSensor::start(wire.server(), &[]);
    peers::openssl_client(wire.client(), wire.server().v4(), 443, &[]);
    sensor.wait_for("ja4", |events| values(events, "ja4").len() == 1);
    sensor.stop().ok();
}

mod nothing_stays_attached {
    use super::*;

    fn after(hook: &str, end: impl FnOnce(LiveSensor)) {
        let Some(_alone) = alone() else { return };
        let wire = Wire::new();
        let host = wire.server();
        assert!(!host.has_programs());
        let sensor = LiveSensor::start(host, &["--hook", hook]);
        assert!(host.has_programs(), "the check itself sees what is attached");
        end(sensor);
        // The kernel detaches when it has torn the process down, which may be a moment after its end was seen.
        assert!(until(Duration::from_secs(2), || !host.has_programs()), "{}", host.run(&["ip", "-d", "link"]).stdout());
    }

    #[test]
    fn after_an_interrupt() {
        for hook in ["native", "generic", "tc"] {
            after(hook, |sensor| drop(sensor.stop().ok()));
        }
    }

    #[test]
    fn after_a_kill() {
        for hook in ["native", "generic", "tc"] {
            after(hook, |sensor| drop(sensor.kill()));
        }
    }
}

mod an_interface_that_vanishes {
    use super::*;

    #[test]
    fn ends_the_sensor_when_it_was_the_last() {
        let Some(_alone) = alone() else { return };
        let wire = Wire::new();
        let sensor = LiveSensor::start(wire.server(), &[]);
        wire.server().run(&["ip", "link", "del", wire.server().interface()]).ok();
        sensor.wait().status(1).says(wire.server().interface());
    }

    #[test]
    fn leaves_the_others() {
        let Some(_alone) = alone() else { return };
        let (wire, chain) = (Wire::new(), Chain::new(Key::Ec));
        let host = wire.server();
        let _server = peers::openssl_server(host, 443, &chain, &[]);
        let sensor = LiveSensor::start_on(Some(host), &[host.interface(), "lo"], &[]);
        let said = sensor.stderr().len();
        host.run(&["ip", "link", "del", host.interface()]).ok();
        let told = until(Duration::from_secs(10), || sensor.stderr()[said..].contains(host.interface()));
        assert!(told, "it says that {} is gone:\n{}", host.interface(), sensor.stderr());
        peers::openssl_client(host, IpAddr::V4(Ipv4Addr::LOCALHOST), 443, &[]);
        assert_eq!(values(&sensor.stop().ok().events(), "ja4").len(), 1);
    }
}

mod the_books {
    use super::*;

    /// The names of the counters in a `stats` event. Everything below reads them through here.
    const SEEN: &[&str] = &["kernel", "seen"];
    const UNSELECTED: &[&str] = &["kernel", "unselected"];
    const UNPARSEABLE: &[&str] = &["kernel", "unparseable"];
    const SELECTED: &[&str] = &["kernel", "selected"];
    const EMITTED: &[&str] = &["kernel", "emitted"];
    const RING_FULL: &[&str] = &["kernel", "ring_full"];
    const GOVERNED: &[&str] = &["kernel", "governed"];
    const TAKEN: &[&str] = &["shards", "packets"];

    fn assert_conserved(events: &[Value]) -> &Value {
        let last = *events::of_type(events, "stats").last().expect("the last figures");
        let count = |path| stats_u64(last, path);
        assert_eq!(count(SEEN), count(UNSELECTED) + count(UNPARSEABLE) + count(SELECTED), "{last:#}");
        assert_eq!(count(SELECTED), count(EMITTED) + count(RING_FULL) + count(GOVERNED), "{last:#}");
        assert_eq!(count(EMITTED), count(TAKEN), "{last:#}");
        last
    }

    #[test]
    fn balance_after_real_traffic() {
        let Some(_alone) = alone() else { return };
        let wire = Wire::new();
        let sensor = LiveSensor::start(wire.server(), &[]);
        traffic(&wire);
        let events = sensor.stop().ok().events();
        let last = assert_conserved(&events);
        assert_eq!(
            (stats_u64(last, RING_FULL), stats_u64(last, GOVERNED)),
            (0, 0),
            "this little traffic loses nothing"
        );
        assert!(stats_u64(last, UNSELECTED) > 0, "bulk stays in the kernel");
    }

    #[test]
    fn balance_under_a_burst_as_fast_as_it_goes() {
        let Some(_alone) = alone() else { return };
        if !require_tools(&["tcpreplay"]) {
            return;
        }
        let wire = Wire::new();
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("dense.pcap");
        let written = generate::write(Kind::Dense, 0.5, 1, &mut File::create(&file).unwrap()).unwrap();
        let sensor = LiveSensor::start(wire.server(), &[]);
        let interface = wire.client().interface();
        wire.client().run(&["tcpreplay", "--topspeed", "-q", "-i", interface, file.to_str().unwrap()]).ok();
        let events = sensor.stop().ok().events();
        let last = assert_conserved(&events);
        assert!(stats_u64(last, SEEN) >= written.packets, "{last:#}");
        assert!(stats_u64(last, SELECTED) > 0, "{last:#}");
    }
}
