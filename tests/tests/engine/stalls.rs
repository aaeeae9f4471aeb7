//! Stalled consumers of the engine's output do not block it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread;

use nix::sys::signal::Signal;
use tests::process::{self, until};
use tests::{Wire, require_tools, stats_u64};

use super::live::{SOON, assert_nothing_lost, connect, exclusive, listen, start, terminate};
use super::*;

/// An attached reader that never reads and a sink that never responds.
#[test]
fn stalled_readers_and_sinks_do_not_stop_fingerprints() {
    const CONNECTIONS: usize = 400;

    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let stalled = wire.server().with(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let port = stalled.local_addr().unwrap().port();
    let folder = EngineFolder::new(&format!(
        "[attach]\nsocket = \"attach\"\n[rules]\nfiles = [\"rules.toml\"]\n[[alerts.sink]]\ntype = \"webhook\"\n\
         url = \"http://127.0.0.1:{port}/\"\ntimeout = \"30s\"\nqueue = 5\nrate = 0\n"
    ))
    .with(
        "rules.toml",
        "[[rule]]\nname = \"each\"\non = \"connection\"\ngroup_by = [\"src_port\"]\nwindow = \"1m\"\n\
         where = [{ field = \"dest_port\", op = \"ne\", value = 22 }]\nthreshold = { op = \"gte\", value = 1 }\n",
    );
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &folder, &[]);
    let blocked = UnixStream::connect(folder.path("attach")).unwrap();
    connect(&wire, to, CONNECTIONS, &client_hello(Shape::Curl, "a.example"));
    sensor.wait_for("every connection", |events| {
        connections(events).iter().filter(|event| event["dest_port"] == to.port()).count() == CONNECTIONS
    });
    let before = std::time::Instant::now();
    let events = terminate(sensor);
    assert!(before.elapsed() < Duration::from_secs(12), "shutdown took {:?}", before.elapsed());
    drop((blocked, stalled));
    assert_nothing_lost(&events);
    assert_eq!(of_kind(&events, "ja4").iter().filter(|event| event["dest_port"] == to.port()).count(), CONNECTIONS);
    let raised = alerts(&events, "each").into_iter().filter(|alert| alert["dest_port"] == to.port()).count();
    assert_eq!(raised, CONNECTIONS);
    let sink = &stats(&events)["stats"]["sinks"]["webhook"];
    let count = |name: &str| sink[name].as_u64().unwrap_or_else(|| panic!("no {name} in {sink:#}"));
    assert_eq!(count("sent"), 0);
    assert!(count("queue_full") > 0, "{sink:#}");
}

/// One reader that reads late and one that attaches late.
#[test]
fn readers_attach_and_detach_at_any_time() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new("[attach]\nsocket = \"attach\"\n"));
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &folder, &[]);
    let read_connection = |reader: UnixStream| {
        reader.set_read_timeout(Some(SOON)).unwrap();
        BufReader::new(reader).lines().map_while(Result::ok).find(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["event_type"] == "connection" && line["connection"]["state"] == "fin"
        })
    };
    for _ in 0..3 {
        let readers = [(); 2].map(|()| UnixStream::connect(folder.path("attach")).unwrap());
        thread::sleep(ms(100));
        connect(&wire, to, 1, &client_hello(Shape::Curl, "a.example"));
        let lines = readers.map(read_connection);
        assert!(lines[0].is_some() && lines[0] == lines[1], "{lines:?}");
    }
    assert!(until(SOON, || connections(&sensor.events()).len() == 3));
    assert_nothing_lost(&terminate(sensor));
}

/// Stdout waits for its reader; the database does not.
#[test]
fn a_paused_reader_of_stdout_does_not_delay_the_database() {
    const CONNECTIONS: usize = 300;

    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new(""));
    let database = folder.text("history.db");
    let to = listen(wire.server(), 0, b"");
    let interface = wire.server().interface();
    let command = Sensor::new().command(&["run", "-i", interface, "--http", "off", "--db", &database]);
    let stderr = folder.path("stderr");
    let mut child = wire
        .server()
        .enter(&command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&stderr).unwrap())
        .spawn()
        .unwrap();
    let attached = until(SOON, || fs::read_to_string(&stderr).unwrap().contains("attached"));
    assert!(attached, "{}", fs::read_to_string(&stderr).unwrap());
    connect(&wire, to, CONNECTIONS, &client_hello(Shape::Curl, "a.example"));
    wait_until_stored(&database, CONNECTIONS);

    process::send(&child, Signal::SIGTERM);
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert!(child.wait().unwrap().success(), "{}", fs::read_to_string(&stderr).unwrap());
    let events = events::parse(&printed);
    assert_nothing_lost(&events);
    assert!(printed.len() > 4 * (64 << 10), "less than a pipe holds: {}", printed.len());
    assert_eq!(connections(&events).len(), CONNECTIONS);
    assert_eq!(stats_u64(stats(&events), &["storage", "connections"]), CONNECTIONS as u64);
}

/// A stdout pipe and an attached reader that are never read, a sink and a lookup service that never respond.
#[test]
fn one_sigterm_ends_the_sensor_while_outputs_are_blocked() {
    const CONNECTIONS: usize = 300;

    let Some(_exclusive) = exclusive() else { return };
    let wire = Wire::new();
    let stalled = wire.server().with(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let port = stalled.local_addr().unwrap().port();
    let folder = EngineFolder::new(&format!(
        "[attach]\nsocket = \"attach\"\n[lookup.remote]\nenabled = true\nendpoint = \"http://127.0.0.1:{port}/\"\n\
         timeout = \"60s\"\n[first_seen]\nlearning = \"0\"\n[[alerts.sink]]\ntype = \"webhook\"\nname = \"hook\"\n\
         url = \"http://127.0.0.1:{port}/\"\ntimeout = \"60s\"\nrate = 0\n"
    ));
    let database = folder.text("history.db");
    let to = listen(wire.server(), 0, b"");
    let interface = wire.server().interface();
    let config = folder.text("sensor.toml");
    let run = ["run", "-i", interface, "--http", "off", "--config", &config, "--db", &database];
    let stderr = folder.path("stderr");
    let mut command = wire.server().enter(&Sensor::new().command(&run));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&stderr).unwrap());
    let mut child = command.spawn().unwrap();
    let stderr = || fs::read_to_string(&stderr).unwrap();
    assert!(until(SOON, || stderr().contains("attached")), "{}", stderr());
    let blocked = UnixStream::connect(folder.path("attach")).unwrap();
    connect(&wire, to, CONNECTIONS, &client_hello(Shape::Curl, "a.example"));
    wait_until_stored(&database, CONNECTIONS);

    let sent = std::time::Instant::now();
    process::send(&child, Signal::SIGTERM);
    let ended = process::wait(&mut child, SOON).expect("one signal ends the sensor");
    assert!(sent.elapsed() < Duration::from_secs(10), "{:?}", sent.elapsed());
    assert_eq!(ended.code(), Some(1), "{}", stderr());
    let stderr = stderr();
    assert!(stderr.contains("cannot write the output") && stderr.contains(" lines lost"), "{stderr}");
    // The writer does not wait for the reader of stdout.
    assert_eq!(query_number(Path::new(&database), "SELECT count(*) FROM sensor_run WHERE clean"), 1, "{stderr}");
    assert!(!wire.server().has_programs());
    drop((child, blocked, stalled));
}

/// Waits until the database has this many ended connections.
fn wait_until_stored(database: &str, connections: usize) {
    let stored = || query_number(Path::new(database), "SELECT count(*) FROM connection WHERE state = 'fin'");
    assert!(until(SOON, || stored() == connections as i64), "{} of {connections} are stored", stored());
}

/// Reads to the end; returns the number of lines received and the number reported as lost.
fn read_all(reader: UnixStream) -> (u64, u64) {
    let (mut lines, mut lost) = (0, 0);
    for line in BufReader::new(reader).lines().map_while(Result::ok) {
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["event_type"] == "lost" {
            lost += line["lost"].as_u64().unwrap();
        } else {
            lines += 1;
        }
    }
    (lines, lost)
}

#[test]
fn a_slow_reader_receives_the_number_of_lost_lines() {
    const CONNECTIONS: usize = 3000;

    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new("[attach]\nsocket = \"attach\"\n"));
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &folder, &[]);
    let attach = || UnixStream::connect(folder.path("attach")).unwrap();
    let (slow, fast) = (attach(), attach());
    thread::sleep(ms(300));
    let fast = thread::spawn(move || read_all(fast));
    connect(&wire, to, CONNECTIONS, &client_hello(Shape::Curl, "a.example"));
    sensor.wait_for("every connection", |events| connections(events).len() == CONNECTIONS);
    let slow = thread::spawn(move || read_all(slow));
    let events = terminate(sensor);
    let (slow, fast) = (slow.join().unwrap(), fast.join().unwrap());
    assert!(slow.0 > 0 && slow.1 > 0, "{slow:?}");
    assert!(fast.0 >= CONNECTIONS as u64, "{fast:?}");
    assert_eq!(slow.0 + slow.1, fast.0 + fast.1, "lines are neither received nor counted as lost: {slow:?} {fast:?}");
    assert_eq!(stats_u64(stats(&events), &["attach", "lost"]), slow.1 + fast.1);
    assert_nothing_lost(&events);
}

#[test]
fn only_the_owner_can_use_the_attach_socket() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let Some(_exclusive) = exclusive() else { return };
    if !require_tools(&["python3"]) {
        return;
    }
    let (wire, folder) = (Wire::new(), EngineFolder::new("[attach]\nsocket = \"attach\"\n"));
    let sensor = start(&wire, &folder, &[]);
    let socket = folder.path("attach");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    // File permissions allow every user; the peer's user id is checked all the same.
    for (path, mode) in [(folder.path("."), 0o755), (socket.clone(), 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\ns.settimeout(20)\nprint(len(s.recv(1)))";
    let mut other_user = std::process::Command::new("/usr/bin/python3");
    other_user.args(["-c", script]).arg(&socket).uid(65_534).gid(65_534);
    let outcome = Outcome::new(process::run(other_user, &[], SOON));
    assert_eq!(outcome.ok().stdout().trim(), "0", "the connection received data");
    let events = terminate(sensor);
    let count = |name| stats_u64(stats(&events), &["attach", name]);
    assert_eq!((count("refused"), count("attached")), (1, 0));
}
