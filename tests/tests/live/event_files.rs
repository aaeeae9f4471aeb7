//! `[[output.files]]` of a running sensor: rotation, sockets, a full disk.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tests::process::until;
use tests::small_disk::SmallDisk;

use super::*;

/// Longest wait for a line.
const SOON: Duration = Duration::from_secs(20);

/// Starts a sensor at the server's end of the wire, with this `[output]`.
fn start(wire: &Wire, folder: &Path, output: &str) -> RunningSensor {
    let config = folder.join("ja4sensor.toml");
    fs::write(&config, format!("[output]\nstdout = false\n{output}")).unwrap();
    RunningSensor::start(wire.server(), &["--config", config.to_str().unwrap()])
}

/// Sends a SYN to a port that nothing listens on: one JA4T.
fn connect(wire: &Wire) {
    let port = "443";
    let address = wire.server().v4().to_string();
    let _refused = wire.client().run(&["curl", "--silent", "--max-time", "5", &format!("http://{address}:{port}/")]);
}

/// JA4T lines of a file.
fn fingerprints_in(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a whole line"));
    lines.filter(|line| line["fingerprint"]["type"] == "ja4t").count()
}

#[test]
fn a_rotated_file_is_created_again_with_and_without_a_signal() {
    if !require_tools(&["curl"]) {
        return;
    }
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), TempDir::new().unwrap());
    let path = folder.path().join("events.json");
    let sensor = start(&wire, folder.path(), "[[output.files]]\npath = \"events.json\"");
    let moved = |number: u32| folder.path().join(format!("events.json.{number}"));
    let wait_for_one = || {
        connect(&wire);
        assert!(until(SOON, || fingerprints_in(&path) == 1), "{}", sensor.stderr());
    };
    wait_for_one();
    fs::rename(&path, moved(1)).unwrap();
    wait_for_one();
    fs::rename(&path, moved(2)).unwrap();
    kill(Pid::from_raw(sensor.id().cast_signed()), Signal::SIGHUP).unwrap();
    wait_for_one();
    fs::remove_file(&path).unwrap();
    wait_for_one();
    let outcome = sensor.stop().ok();
    assert_eq!(outcome.stdout(), "");
    assert_eq!([1, 2].map(|number| fingerprints_in(&moved(number))), [1, 1]);
    let last = fs::read_to_string(&path).unwrap();
    let stats: Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    let counters = &stats["stats"]["files"][path.to_str().unwrap()];
    assert_eq!((&counters["failed"], &counters["queue_full"]), (&0.into(), &0.into()), "{stats}");
}

#[test]
fn a_full_disk_loses_lines_of_its_file_alone_and_is_reported_once() {
    if !require_tools(&["curl", "mount", "umount"]) {
        return;
    }
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder, disk) = (Wire::new(), TempDir::new().unwrap(), SmallDisk::new("64k"));
    let (full, other) = (disk.path().join("events.json"), folder.path().join("other.json"));
    let path = full.display();
    let output = format!("[[output.files]]\npath = \"{path}\"\n[[output.files]]\npath = \"other.json\"");
    let sensor = start(&wire, folder.path(), &output);
    disk.fill();
    connect(&wire);
    let failing = format!("event file {} cannot deliver: cannot append to", full.display());
    let is_reported = until(SOON, || sensor.stderr().contains(&failing));
    connect(&wire);
    let other_has_both = until(SOON, || fingerprints_in(&other) == 2);
    disk.free();
    connect(&wire);
    let again = format!("event file {} delivers again after", full.display());
    let is_again = until(SOON, || sensor.stderr().contains(&again));
    let outcome = sensor.stop().ok();
    let fingerprints = fingerprints_in(&full);

    assert!(is_reported && other_has_both && is_again, "{is_reported} {other_has_both} {}", outcome.stderr());
    assert_eq!(outcome.stderr().matches(&failing).count(), 1, "{}", outcome.stderr());
    assert_eq!(fingerprints, 1);
    let text = fs::read_to_string(&other).unwrap();
    let stats: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let files = &stats["stats"]["files"];
    let failed = files[full.to_str().unwrap()]["failed"].as_u64().unwrap();
    let written = files[other.to_str().unwrap()]["lines"].as_u64().unwrap();
    assert_eq!(files[full.to_str().unwrap()]["lines"].as_u64().unwrap() + failed, written, "{files}");
    assert!(outcome.stderr().contains(&format!("lost {failed} line")), "{}", outcome.stderr());
}

#[test]
fn sockets_get_the_lines_and_are_connected_to_again() {
    if !require_tools(&["curl"]) {
        return;
    }
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), TempDir::new().unwrap());
    let [stream, datagrams, syslog] = ["stream", "dgram", "log"].map(|name| folder.path().join(name));
    let file = |path: &str, filetype: &str| {
        format!("[[output.files]]\npath = \"{path}\"\nfiletype = \"{filetype}\"\ntypes = [\"ja4t\"]\n")
    };
    let output = [file("stream", "unix_stream"), file("dgram", "unix_dgram"), file("log", "syslog")].concat();
    let sensor = start(&wire, folder.path(), &output);
    connect(&wire);
    // Nothing listens yet.
    assert!(until(SOON, || sensor.stderr().matches("cannot deliver").count() == 3), "{}", sensor.stderr());

    let listener = UnixListener::bind(&stream).unwrap();
    let [datagrams, syslog] = [datagrams, syslog].map(|path| {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket
    });
    connect(&wire);
    let is_ja4t = |line: &[u8]| serde_json::from_slice::<Value>(line).unwrap()["fingerprint"]["type"] == "ja4t";
    let read_line = thread::spawn(move || {
        let mut line = String::new();
        BufReader::new(listener.accept().unwrap().0).read_line(&mut line).unwrap();
        line
    });
    assert!(is_ja4t(read_line.join().unwrap().as_bytes()));
    let mut message = [0; 65_536];
    let length = datagrams.recv(&mut message).unwrap();
    assert!(is_ja4t(&message[..length]));
    let length = syslog.recv(&mut message).unwrap();
    assert!(is_ja4t(message[..length].strip_prefix(b"<134>ja4sensor: ").unwrap()));
    let outcome = sensor.stop().ok();
    assert_eq!(outcome.stderr().matches("lost 1 line").count(), 3, "{}", outcome.stderr());
}
