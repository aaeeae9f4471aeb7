//! Sinks of a running sensor and of a replay.

use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use std::{fs, thread};

use tests::conversation::TcpConversation;
use tests::hello::{self, Shape};
use tests::random::SplitMix64;
use tests::{RunningSensor, Sensor, Wire, events, packets, require_bpf, require_tools, stats_u64};

use super::server::{Reply, Server, status};

/// Returns a configuration with an alert for each first-seen value and a webhook sink before a file sink.
fn configuration(url: &str, queue: u32) -> String {
    format!(
        "[first_seen]\nlearning = \"0s\"\n[[alerts.sink]]\ntype = \"webhook\"\nname = \"hook\"\nurl = \"{url}\"\n\
         queue = {queue}\ntimeout = \"60s\"\nrate = 0\n[[alerts.sink]]\ntype = \"file\"\npath = \"alerts.json\"\nrate = 0\n"
    )
}

#[test]
fn at_shutdown_the_sensor_waits_for_its_sinks() {
    if !(require_bpf() && require_tools(&["ip", "ethtool"])) {
        return;
    }
    let wire = Wire::new();
    let host = wire.server();
    let server = host.with(|| {
        Server::start(|_| {
            thread::sleep(Duration::from_secs(1));
            status("200 OK")
        })
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sensor.toml");
    fs::write(&path, configuration(&server.url("http"), 100)).unwrap();
    let sensor = RunningSensor::start(host, &["--config", path.to_str().unwrap(), "--http", "off"]);
    let listener = host.with(|| TcpListener::bind((host.v4(), 0)).unwrap());
    let to = listener.local_addr().unwrap();
    let _client = wire.client().with(|| TcpStream::connect(to).unwrap());
    sensor.wait_for("alert", |events| !events::of_type(events, "alert").is_empty());
    let events = sensor.stop().ok().events();
    let last = *events::of_type(&events, "stats").last().unwrap();
    let count = |name: &str| stats_u64(last, &["sinks", "hook", name]);
    assert!(count("sent") > 0 && count("sent") == count("offered"), "{last:#}");
}

#[test]
fn a_stalled_sink_delays_a_replay_for_a_limited_time() {
    let server = Server::start(|_| Reply::Stall(Duration::from_secs(3600)));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("sensor.toml");
    fs::write(&config, configuration(&server.url("http"), 1)).unwrap();
    let mut random = SplitMix64::new(3);
    let mut packets = Vec::new();
    // Each connection has its own JA4 and raises an alert.
    for (number, shape) in (0..).zip(Shape::ALL) {
        let hello = hello::records(&shape.client_hello("example.org", &mut random), usize::MAX);
        let flight = hello::server_flight_13(&mut random, 64);
        let mut conversation = TcpConversation::between(&format!("10.0.0.1:{}", 50_000 + number), "10.0.0.2:443");
        conversation.at(Duration::from_secs(10 * number));
        packets.extend_from_slice(conversation.handshake().client(&hello).server(&flight).close().packets());
    }
    let capture = packets::capture_file(folder.path(), "tls.pcap", &packets);
    let before = Instant::now();
    let arguments = [OsStr::new("replay"), capture.as_os_str(), OsStr::new("--config"), config.as_os_str()];
    let events = Sensor::new().run(&arguments).ok().events();
    // The replay waits ten seconds once, and five seconds at the end.
    assert!(before.elapsed() < Duration::from_secs(18), "{:?}", before.elapsed());
    let alerts = events::of_type(&events, "alert").len();
    assert!(alerts >= 4, "the alerts exceed the capacity of queue and transport: {alerts}");
    let written = fs::read_to_string(folder.path().join("alerts.json")).unwrap();
    assert_eq!(written.lines().count(), alerts);
    let last = *events::of_type(&events, "stats").last().unwrap();
    let count = |name: &str| stats_u64(last, &["sinks", "hook", name]);
    assert_eq!((count("queue_full"), count("abandoned")), (alerts as u64 - 2, 2), "{last:#}");
}
