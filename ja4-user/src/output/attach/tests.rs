use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use ::tests::process::until;
use serde_json::Value;

use super::registry::MAX_READERS;
use super::*;
use crate::model::{ConnectionSelection, EngineQuery, QueryAnswer};

/// The system's Python: other installations may be inaccessible to another user.
const PYTHON: &str = "/usr/bin/python3";

const SOON: Duration = Duration::from_secs(10);

fn lines(from: usize, to: usize) -> Bytes {
    (from..to).map(|number| format!("{{\"n\":{number}}}\n")).collect::<String>().into()
}

fn attach(server: &AttachServer, path: &Path) -> UnixStream {
    let before = server.stats().readers;
    let stream = UnixStream::connect(path).unwrap();
    assert!(until(SOON, || server.stats().readers > before), "no reader was accepted");
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

#[test]
fn every_reader_receives_every_line_and_the_socket_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attach");
    let server = AttachServer::start(&path, None).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!server.has_readers());
    let readers = [attach(&server, &path), attach(&server, &path)];
    server.broadcast(&lines(0, 3));
    server.broadcast(&lines(3, 5));
    drop(server);
    for mut reader in readers {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text.as_bytes(), &lines(0, 5)[..]);
    }
    assert!(!path.exists(), "the socket is still there");
}

#[test]
fn a_slow_reader_receives_the_number_of_lost_lines_and_others_lose_none() {
    const LINES: usize = 200_000;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attach");
    let server = AttachServer::start(&path, None).unwrap();
    let slow = attach(&server, &path);
    let quick = BufReader::new(attach(&server, &path));
    let quick = thread::spawn(move || quick.lines().map_while(Result::ok).count());
    let mut longest = Duration::ZERO;
    for number in (0..LINES).step_by(50) {
        let before = Instant::now();
        server.broadcast(&lines(number, number + 50));
        longest = longest.max(before.elapsed());
        // The fast reader keeps up with this rate.
        thread::sleep(Duration::from_micros(200));
    }
    assert!(server.stats().lost > 0, "{:?}", server.stats());
    assert!(longest < Duration::from_millis(150), "a broadcast took {longest:?}");

    let (mut seen, mut reported, mut next) = (0, 0, 0);
    for line in BufReader::new(slow).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if line["event_type"] == "lost" {
            reported += line["lost"].as_u64().unwrap();
        } else {
            assert_eq!(line["n"].as_u64().unwrap(), seen + reported, "a loss is reported at its position");
            seen += 1;
            next = seen;
        }
        if seen + reported == LINES as u64 {
            break;
        }
    }
    assert!(reported > 0 && next > 0);
    let lost = server.stats().lost;
    drop(server);
    let quick = quick.join().unwrap();
    assert_eq!(reported + (LINES - quick) as u64, lost + u64::from(quick < LINES));
}

#[test]
fn disconnected_readers_free_their_slots_and_a_reader_too_many_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attach");
    let server = AttachServer::start(&path, None).unwrap();
    let mut readers: Vec<_> = (0..MAX_READERS).map(|_| attach(&server, &path)).collect();
    let mut text = String::new();
    UnixStream::connect(&path).unwrap().read_to_string(&mut text).unwrap();
    let rejected: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(rejected["event_type"], "refused");
    assert_eq!((server.stats().readers, server.stats().refused), (MAX_READERS as u64, 1));
    // Disconnected readers are detected even if no line is sent.
    readers.truncate(1);
    assert!(until(SOON, || server.stats().readers == 1), "{:?}", server.stats());
    let _again = attach(&server, &path);
}

/// Answers a query for connections with as many rows, one for rules with a reason, and others not.
fn rows(query: &ViewQuery) -> Result<QueryAnswer, ViewError> {
    let row = |number| Bytes::from(format!("{{\"n\":{number},\"pad\":\"{}\"}}\n", "x".repeat(500)));
    match query {
        ViewQuery::Engine(EngineQuery::Connections(ConnectionSelection { rows, .. })) => {
            Ok(QueryAnswer { rows: (0..rows.most).map(row).collect(), matched: 5000, is_partial: false })
        }
        ViewQuery::Engine(EngineQuery::Rules) => Err(ViewError::Refused("no rules today".to_owned())),
        _ => Err(ViewError::Busy),
    }
}

fn next_line(reader: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[test]
fn a_reader_that_asks_for_a_view_gets_only_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attach");
    let server = AttachServer::start(&path, None).unwrap();
    server.serve_views(Arc::new(rows));
    let mut stream = attach(&server, &path);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    stream.write_all(b"{\"view\":\"clients\"}\n{\"view\":\"connections\",\"rows\":3,").unwrap();
    assert_eq!(next_line(&mut reader)["event_type"], "refused");
    assert!(server.has_readers(), "a refused request changes nothing");
    stream.write_all(b"\"interval_ms\":100}\n").unwrap();
    for _ in 0..3 {
        let snapshot = next_line(&mut reader);
        assert_eq!((&snapshot["view"], snapshot["rows"].as_array().unwrap().len()), (&"connections".into(), 3));
        assert_eq!(snapshot["matched"], 5000);
    }
    assert!(!server.has_readers(), "no event is encoded for it");
    server.broadcast(&lines(0, 1));
    // Another request replaces the view.
    stream.write_all(b"{\"view\":\"connections\",\"rows\":1,\"interval_ms\":100}\n").unwrap();
    let shown = std::iter::from_fn(|| Some(next_line(&mut reader)));
    let changed = shown.take(20).find(|snapshot| snapshot["rows"].as_array().unwrap().len() == 1);
    assert_eq!(changed.unwrap()["lost"], 0);
    // A query that cannot be answered is refused once, and the reader may ask again.
    stream.write_all(b"{\"view\":\"rules\"}\n").unwrap();
    let refused =
        std::iter::from_fn(|| Some(next_line(&mut reader))).take(20).find(|line| line["event_type"] == "refused");
    assert_eq!(refused.unwrap()["reason"], "no rules today");
    // One answer, then nothing.
    stream.write_all(b"{\"view\":\"connections\",\"rows\":2,\"interval_ms\":0}\n").unwrap();
    assert_eq!(next_line(&mut reader)["rows"].as_array().unwrap().len(), 2);
    stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    assert!(reader.read_line(&mut String::new()).is_err());
    drop((stream, reader));
    assert!(until(SOON, || server.stats().readers == 0), "{:?}", server.stats());
}

#[test]
fn a_slow_reader_of_a_view_loses_snapshots() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attach");
    let server = AttachServer::start(&path, None).unwrap();
    server.serve_views(Arc::new(rows));
    let mut stream = attach(&server, &path);
    stream.write_all(b"{\"view\":\"connections\",\"rows\":1000,\"interval_ms\":100}\n").unwrap();
    // A snapshot fills the buffers of the socket: the reader does not read for some intervals.
    thread::sleep(Duration::from_secs(1));
    let mut reader = BufReader::new(stream);
    let lost: u64 = (0..5).map(|_| next_line(&mut reader)["lost"].as_u64().unwrap()).sum();
    assert!(lost > 0, "no snapshot was lost");
    assert!(server.stats().lost_snapshots >= lost, "{:?}", server.stats());
    // A sensor that has no answer loses them, too.
    let before = server.stats().lost_snapshots;
    reader.get_mut().write_all(b"{\"view\":\"alerts\",\"interval_ms\":100}\n").unwrap();
    assert!(until(SOON, || server.stats().lost_snapshots > before + 3));
}

#[test]
fn another_user_is_rejected() {
    if !::tests::require_root() || !::tests::require_tools(&["setpriv", PYTHON]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("attach");
    let server = AttachServer::start(&path, None).unwrap();
    let connect = |path: &Path| {
        let script = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(9); s.connect(sys.argv[1]); print(s.recv(9))";
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups", PYTHON, "-c", script]).arg(path);
        command.output().unwrap()
    };
    let refused = connect(&path);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Permission denied"), "{refused:?}");
    // Even if the mode of the file permits access.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let refused = connect(&path);
    assert_eq!(refused.stdout, b"b''\n", "{refused:?}");
    assert_eq!(server.stats().refused, 1);
    assert_eq!(server.stats().attached, 0);
}

#[test]
fn only_stale_sockets_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attach");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a listener leaves its socket behind");
    let server = AttachServer::start(&path, None).unwrap();
    let error = AttachServer::start(&path, None).unwrap_err();
    assert!(matches!(error, UnixSocketError::InUse(_)), "{error}");
    assert!(attach(&server, &path).peer_addr().is_ok());

    // The socket of another process at the path stays.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(server);
    assert!(path.exists());
    drop(other);

    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    let error = AttachServer::start(&file, None).unwrap_err();
    assert!(matches!(error, UnixSocketError::NotASocket(_)), "{error}");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    let nowhere = AttachServer::start(&folder.path().join("no/such"), None).unwrap_err();
    assert!(matches!(nowhere, UnixSocketError::Io { .. }), "{nowhere}");
}
