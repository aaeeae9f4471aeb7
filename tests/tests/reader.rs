//! Live output: a slow reader, a closed reader, and a second signal while the output is blocked.
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tests::generate::{self, CaptureKind};
use tests::{Namespace, Sensor, Wire, events, process, require_bpf, require_tools, stats_u64};

/// Timeout with margin for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

fn exclusive() -> Option<MutexGuard<'static, ()>> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    (require_bpf() && require_tools(&["ip", "tcpreplay"]))
        .then(|| ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Starts the sensor on the host's interface and waits until it is attached; its stdout is a pipe that is not read.
fn start_unread(host: &Namespace) -> Child {
    let run = Sensor::new().command(&["run", "-i", host.interface(), "--stats-interval", "0"]);
    let mut child = host.enter(&run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("attached"), "{line}");
    child
}

/// Writes a capture of `scale` times 100,000 connections.
fn dense_capture(scale: f64) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("dense.pcap");
    generate::write(CaptureKind::Dense, scale, 1, &mut File::create(&file).unwrap()).unwrap();
    (folder, file)
}

fn send_capture(wire: &Wire, file: &std::path::Path) {
    let interface = wire.client().interface();
    wire.client().run(&["tcpreplay", "--topspeed", "-q", "-i", interface, file.to_str().unwrap()]).ok();
}

fn exit_status(child: &mut Child) -> i32 {
    let status = process::wait(child, TIMEOUT).expect("the sensor exits");
    status.code().expect("the sensor exits without a signal")
}

#[test]
fn with_a_slow_reader_dropped_lines_are_counted_and_no_packet_is_lost() {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let (_folder, file) = dense_capture(1.0);
    let mut sensor = start_unread(wire.server());
    send_capture(&wire, &file);
    process::send(&sensor, Signal::SIGINT);
    let mut text = String::new();
    sensor.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(exit_status(&mut sensor), 0);
    let events = events::parse(&text);
    let last = events.last().unwrap();
    assert_eq!(last["event_type"], "stats");
    assert!(stats_u64(last, &["output", "lines_dropped"]) > 0, "{last:#}");
    assert_eq!(stats_u64(last, &["kernel", "emitted"]), stats_u64(last, &["shards", "packets"]), "{last:#}");
}

#[test]
fn a_closed_stdout_ends_the_run_with_status_zero() {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let (_folder, file) = dense_capture(0.01);
    let mut sensor = start_unread(wire.server());
    drop(sensor.stdout.take());
    send_capture(&wire, &file);
    assert_eq!(exit_status(&mut sensor), 0);
    assert!(!wire.server().has_programs());
}

#[test]
fn a_second_signal_ends_the_sensor_at_once() {
    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let (_folder, file) = dense_capture(0.2);
    let mut sensor = start_unread(wire.server());
    send_capture(&wire, &file);
    process::send(&sensor, Signal::SIGTERM);
    // Its output is blocked in the pipe, so the first signal alone cannot end it.
    assert!(process::wait(&mut sensor, Duration::from_secs(2)).is_none());
    let sent = Instant::now();
    process::send(&sensor, Signal::SIGINT);
    assert_eq!(exit_status(&mut sensor), 130);
    assert!(sent.elapsed() < TIMEOUT / 2);
    assert!(!wire.server().has_programs());
}
