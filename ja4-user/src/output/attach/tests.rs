use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use ::tests::process::until;
use serde_json::Value;

use super::registry::MAX_READERS;
use super::*;

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
    let server = AttachServer::start(&path).unwrap();
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
    let server = AttachServer::start(&path).unwrap();
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
    let server = AttachServer::start(&path).unwrap();
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

#[test]
fn another_user_is_rejected() {
    if !::tests::require_root() || !::tests::require_tools(&["setpriv", PYTHON]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("attach");
    let server = AttachServer::start(&path).unwrap();
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
    let server = AttachServer::start(&path).unwrap();
    let error = AttachServer::start(&path).unwrap_err();
    assert!(matches!(error, AttachSocketError::InUse(_)), "{error}");
    assert!(attach(&server, &path).peer_addr().is_ok());

    // The socket of another process at the path stays.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(server);
    assert!(path.exists());
    drop(other);

    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    let error = AttachServer::start(&file).unwrap_err();
    assert!(matches!(error, AttachSocketError::NotASocket(_)), "{error}");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    let nowhere = AttachServer::start(&folder.path().join("no/such")).unwrap_err();
    assert!(matches!(nowhere, AttachSocketError::Io { .. }), "{nowhere}");
}
