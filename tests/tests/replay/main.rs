//! `ja4sensor replay` as its user sees it: what it prints for a capture, and in which order.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod conformance;
mod contract;
mod determinism;
mod handshakes;
mod headers;
mod reassembly;
mod streams;
mod timing;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tests::conversation::{JA4L, JA4LS, JA4T, JA4TS, TcpConversation};
use tests::generate::{self, Kind};
use tests::hello::{self, JA4S_12, JA4S_13, Shape};
use tests::packets::{Envelope, Extension};
use tests::random::SplitMix64;
use tests::{Outcome, Sensor, events, fingerprints, privilege, process, require_tools, values};

/// A ClientHello for `example.org` in one record.
fn client_hello(shape: Shape) -> Vec<u8> {
    hello::records(&shape.client_hello("example.org", &mut SplitMix64::new(5)), usize::MAX)
}

/// What a TLS 1.3 server answers.
fn server_flight() -> Vec<u8> {
    hello::server_flight_13(&mut SplitMix64::new(6), 64)
}

fn run(talk: &TcpConversation, options: &[&str]) -> Outcome {
    let folder = TempDir::new().unwrap();
    let file = talk.save(folder.path(), "talk.pcap");
    let mut arguments = vec![OsStr::new("replay")];
    arguments.extend(options.iter().map(OsStr::new));
    arguments.push(file.as_os_str());
    Sensor::new().run(&arguments).ok()
}

/// The events of this conversation.
fn replay(talk: &TcpConversation) -> Vec<Value> {
    run(talk, &[]).events()
}

/// Handshake, a browser's hello, the server's, both FINs.
fn plain() -> TcpConversation {
    let mut talk = TcpConversation::new();
    talk.handshake().client(&client_hello(Shape::Browser));
    talk.wait(Duration::from_millis(30)).server(&server_flight()).close();
    talk
}

/// The one fingerprint event of this type.
fn only<'a>(events: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<_> = fingerprints(events).into_iter().filter(|event| event["fingerprint"]["type"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}: {found:#?}");
    found[0]
}
