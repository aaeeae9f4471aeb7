//! End-to-end tests of `ja4sensor replay`: its output for a capture, and the order of the output.
mod associations;
mod attributes;
mod capture_files;
mod carriers;
mod cleartext_dialogues;
mod conformance;
mod determinism;
mod dhcp_values;
mod eve;
mod event_files;
mod filters;
mod framings;
mod handshakes;
mod headers;
mod hello_values;
mod hostile;
mod http_streams;
mod http_values;
mod incomplete_messages;
mod ja3;
mod many_connections;
mod output;
mod packet_file;
mod quic_connections;
mod reassembly;
mod ssh_banners;
mod streams;
mod tcp_values;
mod timing;
mod two_interfaces;
mod udp_lengths;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::conversation::{JA4L, JA4LS, JA4T, JA4TS, TcpConversation};
use tests::generate::{self, CaptureKind};
use tests::hello::{self, JA4S_12, JA4S_13, Shape};
use tests::packets::{self, Envelope, Extension, PcapWriter, TimedFrame};
use tests::random::SplitMix64;
use tests::{Outcome, Sensor, events, fingerprints, privilege, process, require_tools, values};

/// Sends the end of a conversation.
type SendEnd = fn(&mut TcpConversation);

/// Returns a `ClientHello` for `example.org` in one record.
fn client_hello(shape: Shape) -> Vec<u8> {
    hello::records(&shape.client_hello("example.org", &mut SplitMix64::new(5)), usize::MAX)
}

/// Returns the first flight of a TLS 1.3 server.
fn server_flight() -> Vec<u8> {
    hello::server_flight_13(&mut SplitMix64::new(6), 64)
}

fn run(conversation: &TcpConversation, options: &[&str]) -> Outcome {
    let folder = TempDir::new().unwrap();
    let file = conversation.save(folder.path(), "talk.pcap");
    let mut arguments = vec![OsStr::new("replay")];
    arguments.extend(options.iter().map(OsStr::new));
    arguments.push(file.as_os_str());
    Sensor::new().run(&arguments).ok()
}

/// Returns the events of these packets, replayed with these options.
fn replay_packets(packets: &[TimedFrame], options: &[&str]) -> Vec<Value> {
    let folder = TempDir::new().unwrap();
    let file = packets::capture_file(folder.path(), "packets.pcap", packets);
    let mut arguments = vec![OsStr::new("replay")];
    arguments.extend(options.iter().map(OsStr::new));
    arguments.push(file.as_os_str());
    Sensor::new().run(&arguments).ok().events()
}

/// Replays one connection per item, one second apart, each with its own client port. Returns all events.
fn replay_each<T>(items: impl IntoIterator<Item = T>, mut send: impl FnMut(&mut TcpConversation, T)) -> Vec<Value> {
    let mut packets = Vec::new();
    for (number, item) in items.into_iter().enumerate() {
        let mut conversation = TcpConversation::between(&format!("10.0.0.1:{}", 40_000 + number), "10.0.0.2:443");
        conversation.at(Duration::from_secs(number as u64));
        send(&mut conversation, item);
        packets.extend_from_slice(conversation.packets());
    }
    replay_packets(&packets, &[])
}

/// Returns the events of this conversation.
fn replay(conversation: &TcpConversation) -> Vec<Value> {
    run(conversation, &[]).events()
}

fn generated(folder: &Path, kind: CaptureKind, scale: f64) -> PathBuf {
    let path = folder.join(kind.name());
    generate::write(kind, scale, 1, &mut File::create(&path).unwrap()).unwrap();
    path
}

/// Returns a connection with TCP handshake, a browser's hello, a TLS 1.3 server's flight and both FINs.
fn plain() -> TcpConversation {
    let mut conversation = TcpConversation::new();
    conversation.handshake().client(&client_hello(Shape::Browser));
    conversation.wait(Duration::from_millis(30)).server(&server_flight()).close();
    conversation
}

/// Returns type and value of every fingerprint, in output order.
fn types_and_values(events: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pair = |event: &&Value| (text(&event["fingerprint"]["type"]), text(&event["fingerprint"]["value"]));
    fingerprints(events).iter().map(pair).collect()
}

/// Asserts that the fingerprints of these events are these types and values, each exactly this often, in any order.
fn assert_types_and_values<'a>(
    events: &[Value],
    expected: impl IntoIterator<Item = &'a (&'a str, &'a str)>,
    context: &str,
) {
    let mut printed = types_and_values(events);
    printed.sort();
    let owned = |(kind, value): &(&str, &str)| ((*kind).to_owned(), (*value).to_owned());
    let mut expected: Vec<_> = expected.into_iter().map(owned).collect();
    expected.sort();
    assert_eq!(printed, expected, "{context}");
}

/// Returns the only fingerprint event of this type.
fn only<'a>(events: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<_> = fingerprints(events).into_iter().filter(|event| event["fingerprint"]["type"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}: {found:#?}");
    found[0]
}
