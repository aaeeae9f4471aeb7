//! The engine: connections, labels, first-seen, rules and profiles, checked by the sensor's output.
mod attached;
mod builtin;
mod connections;
mod fields;
mod first_seen;
mod history;
mod labels;
mod live;
mod profiles;
mod reload;
mod rules;
mod stalls;
mod thresholds;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::conversation::TcpConversation;
use tests::hello::{self, Shape};
use tests::hello_builder::HelloMessageBuilder;
use tests::packets::{self, TimedFrame};
use tests::random::SplitMix64;
use tests::{Outcome, Sensor, events};

/// Configuration without a learning period and without alerts on new values alone.
const WITHOUT_LEARNING: &str = "[first_seen]\nlearning = \"0\"\n[builtin.first_seen]\nenabled = false\n";

const CLIENT: &str = "10.0.0.1";
const SERVER: &str = "192.0.2.1";

/// A temporary folder with a configuration and the files it names.
struct EngineFolder(TempDir);

impl EngineFolder {
    fn new(config: &str) -> Self {
        Self(TempDir::new().unwrap()).with("sensor.toml", config)
    }

    fn with(self, name: &str, text: &str) -> Self {
        fs::write(self.path(name), text).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Replays these packets with the configuration.
    fn run(&self, packets: &[TimedFrame], options: &[&str]) -> Outcome {
        let capture = packets::capture_file(self.0.path(), "capture.pcap", packets);
        let config = self.path("sensor.toml");
        let mut arguments = vec![OsStr::new("replay"), OsStr::new("--config"), config.as_os_str()];
        arguments.extend(options.iter().map(OsStr::new));
        arguments.push(capture.as_os_str());
        Sensor::new().run(&arguments)
    }

    /// Replays these packets and returns the events.
    fn replay(&self, packets: &[TimedFrame], options: &[&str]) -> Vec<Value> {
        self.run(packets, options).ok().events()
    }

    /// Returns the rows that a command prints about the database `history.db` in the folder.
    fn rows(&self, command: &[&str], options: &[&str]) -> Vec<Value> {
        let database = self.text("history.db");
        let arguments = [command, &["--db", &database], options].concat();
        let outcome = Sensor::new().run(&arguments).ok();
        outcome.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Replays these packets with this configuration; returns the events.
fn replay(config: &str, packets: &[TimedFrame]) -> Vec<Value> {
    EngineFolder::new(config).replay(packets, &[])
}

/// Returns a duration in milliseconds.
const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Returns a conversation that starts at this time.
fn conversation(client: &str, server: &str, at: Duration) -> TcpConversation {
    let mut conversation = TcpConversation::between(client, server);
    conversation.at(at);
    conversation
}

/// Returns the TLS records of a ClientHello.
fn client_hello(shape: Shape, name: &str) -> Vec<u8> {
    hello::records(&shape.client_hello(name, &mut SplitMix64::new(5)), usize::MAX)
}

fn server_flight() -> Vec<u8> {
    hello::server_flight_13(&mut SplitMix64::new(6), 64)
}

/// Returns a ClientHello with this SNI, and with a fingerprint that is unique to the number.
fn odd_hello(number: u16, name: &str) -> Vec<u8> {
    let entry = [&[0][..], &(name.len() as u16).to_be_bytes(), name.as_bytes()].concat();
    let list = [&(entry.len() as u16).to_be_bytes()[..], &entry].concat();
    // The private-use cipher suites differ.
    let suites = [0x1301, 0xff00 | (number & 0xff), 0xfe00 | (number >> 8)];
    let hello = HelloMessageBuilder::new(0x0303, &suites).extension(0, &list).versions(&[0x0304, 0x0303]);
    hello::records(&hello.client(), usize::MAX)
}

/// Returns a complete TLS connection with this ClientHello.
fn tls(client: &str, server: &str, at: Duration, hello: &[u8]) -> TcpConversation {
    let mut conversation = conversation(client, server, at);
    conversation.handshake().client(hello).server(&server_flight()).close();
    conversation
}

/// Returns all packets of these conversations, in time order.
fn merged_packets<'a>(conversations: impl IntoIterator<Item = &'a TcpConversation>) -> Vec<TimedFrame> {
    in_time_order(conversations.into_iter().flat_map(|conversation| conversation.packets().to_vec()).collect())
}

fn in_time_order(mut packets: Vec<TimedFrame>) -> Vec<TimedFrame> {
    packets.sort_by_key(|packet| packet.time);
    packets
}

fn connections(events: &[Value]) -> Vec<&Value> {
    events::of_type(events, "connection")
}

/// Returns the only connection of a client's port.
fn of_port(events: &[Value], port: u16) -> &Value {
    let found: Vec<_> = connections(events).into_iter().filter(|event| event["src_port"] == port).collect();
    assert_eq!(found.len(), 1, "port {port}: {found:#?}");
    found[0]
}

/// Returns the alerts of a rule.
fn alerts<'a>(events: &'a [Value], rule: &str) -> Vec<&'a Value> {
    events::of_type(events, "alert").into_iter().filter(|event| details(event)["rule"] == rule).collect()
}

/// Returns the fields of an alert that are not part of EVE.
fn details(alert: &Value) -> &Value {
    &alert["alert"]["ja4sensor"]
}

/// Returns the only alert of a rule.
fn single_alert<'a>(events: &'a [Value], rule: &str) -> &'a Value {
    let found = alerts(events, rule);
    assert_eq!(found.len(), 1, "{rule}: {found:#?}");
    found[0]
}

/// Asserts that the reason of an alert contains all of these.
fn assert_reason(alert: &Value, parts: &[&str]) {
    let reason = details(alert)["reason"].as_str().unwrap_or_else(|| panic!("no reason: {alert}"));
    for part in parts {
        assert!(reason.contains(part), "no {part:?} in {reason:?}");
    }
}

/// Returns the last `stats` event.
fn stats(events: &[Value]) -> &Value {
    events::of_type(events, "stats").last().expect("the last stats event")
}

/// Returns the fingerprint events of one type.
fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    tests::fingerprints(events).into_iter().filter(|event| event["fingerprint"]["type"] == kind).collect()
}

/// Returns the number that a query with one row and one column yields.
fn query_number(database: &Path, query: &str) -> i64 {
    let database = rusqlite::Connection::open(database).unwrap();
    database.query_row(query, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{query}: {error}"))
}
