//! The engine of a running sensor: between two hosts, with a database, readers and sinks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::process::until;
use tests::{LiveSensor, Namespace, Wire, require_bpf, require_tools, stats_u64, values};

use super::*;

/// Longest time that anything here may take. Most of it takes milliseconds.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// The test may run, and runs alone: there are few CPUs.
pub(super) fn alone() -> Option<MutexGuard<'static, ()>> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    (require_bpf() && require_tools(&["ip", "ethtool"]))
        .then(|| ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Takes connections on a port of a host, answers whatever is read, and closes after the other end.
pub(super) fn listen(host: &Namespace, port: u16, answer: &'static [u8]) -> SocketAddr {
    let listener = host.with(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    let address = SocketAddr::new(host.v4(), listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                    if !answer.is_empty() && stream.write_all(answer).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

/// So many connections of the client's host, one after the other, each with these bytes and both FINs.
pub(super) fn connect(wire: &Wire, to: SocketAddr, number: usize, bytes: &[u8]) {
    wire.client().with(|| (0..number).for_each(|_| visit(to, bytes)));
}

/// One of them. The calling thread belongs to the client's host.
pub(super) fn visit(to: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
}

pub(super) fn signal(sensor: &LiveSensor, signal: Signal) {
    kill(Pid::from_raw(sensor.id().try_into().unwrap()), signal).unwrap();
}

/// SIGTERM, as from systemd, and the end.
pub(super) fn terminate(sensor: LiveSensor) -> Vec<Value> {
    signal(&sensor, Signal::SIGTERM);
    sensor.wait().ok().events()
}

/// A sensor on the server's end of a wire that runs by the site's configuration.
pub(super) fn start(wire: &Wire, site: &Site, options: &[&str]) -> LiveSensor {
    let config = site.text("sensor.toml");
    LiveSensor::start(wire.server(), &[&["--config", &config, "--http", "off"], options].concat())
}

/// Nothing that the kernel saw is missing, and nothing that a shard told.
pub(super) fn assert_nothing_lost(events: &[Value]) {
    let last = stats(events);
    let count = |path: &[&str]| stats_u64(last, path);
    let kernel = |name| count(&["kernel", name]);
    assert_eq!(kernel("seen"), kernel("unselected") + kernel("unparseable") + kernel("selected"), "{last:#}");
    assert_eq!((kernel("selected"), kernel("emitted")), (kernel("emitted"), count(&["shards", "packets"])), "{last:#}");
    for dropped in ["lines_dropped", "observations_dropped"] {
        assert_eq!(count(&["output", dropped]), 0, "{last:#}");
    }
    assert_eq!(count(&["engine", "unended"]), 0, "{last:#}");
}

#[test]
fn a_connection_that_falls_silent_ends_as_idle() {
    let Some(_alone) = alone() else { return };
    let (wire, site) = (Wire::new(), Site::new("[capture]\nidle_timeout = \"1s\"\n"));
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &site, &[]);
    let mut stream = wire.client().with(|| TcpStream::connect(to).unwrap());
    stream.write_all(&client_hello(Shape::Curl, "a.example")).unwrap();
    sensor.wait_for("idle connection", |events| {
        connections(events).iter().any(|event| event["connection"]["state"] == "idle")
    });
    drop(stream);
    let events = terminate(sensor);
    let connection = connections(&events)[0];
    assert_eq!(connection["tls"]["sni"], "a.example");
    assert_eq!(connection["app"]["name"], "curl");
}

/// Many ports, so that connections of one value land in all shards.
#[test]
fn a_value_is_first_seen_once_whichever_shard_sees_it() {
    const CONNECTIONS: usize = 300;

    let Some(_alone) = alone() else { return };
    let (wire, site) = (Wire::new(), Site::new(NEW));
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &site, &["--shards", "4"]);
    let hello = client_hello(Shape::Curl, "a.example");
    // Several at a time, so that shards are at work at once.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| connect(&wire, to, CONNECTIONS / 4, &hello));
        }
    });
    sensor.wait_for("every hello", |events| values(events, "ja4").len() == CONNECTIONS);
    let events = terminate(sensor);
    assert_nothing_lost(&events);
    for kind in ["ja4", "ja4t", "ja4ts"] {
        let told = of_kind(&events, kind);
        assert_eq!(told.len(), CONNECTIONS, "{kind}");
        let mut different: Vec<_> = told.iter().map(|event| event["fingerprint"]["value"].as_str().unwrap()).collect();
        different.sort_unstable();
        different.dedup();
        let firsts = told.iter().filter(|event| event["first_seen"] == true).count();
        assert_eq!(firsts, different.len(), "{kind}: {different:?}");
    }
}

#[test]
fn history_holds_every_connection_after_the_end() {
    const CONNECTIONS: usize = 50;

    let Some(_alone) = alone() else { return };
    let (wire, site) = (Wire::new(), Site::new("[storage]\npath = \"history.db\"\n[output]\nsensor = \"web1\"\n"));
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &site, &[]);
    connect(&wire, to, CONNECTIONS, &client_hello(Shape::Curl, "a.example"));
    let _open = wire.client().with(|| TcpStream::connect(to).unwrap());
    sensor.wait_for("the last", |events| values(events, "ja4ts").len() == CONNECTIONS + 1);
    let events = terminate(sensor);
    assert_nothing_lost(&events);
    let rows = site.rows(&["query", "connections", "--format", "json"], &["--limit", "0"]);
    assert_eq!(rows.len(), CONNECTIONS + 1);
    let in_state = |state| rows.iter().filter(|row| row["connection"]["state"] == state).count();
    assert_eq!((in_state("fin"), in_state("open")), (CONNECTIONS, 1), "{rows:#?}");
    let told = connections(&events);
    for row in &rows {
        let line =
            told.iter().find(|line| line["flow_id"] == row["flow_id"]).unwrap_or_else(|| panic!("no line: {row}"));
        for at in
            ["/src_ip", "/src_port", "/connection", "/tls", "/app", "/primary", "/mss", "/hops", "/sensor", "/in_iface"]
        {
            assert_eq!(row.pointer(at), line.pointer(at), "{at}");
        }
    }
    let fingerprints = site.rows(&["query", "fingerprints", "--format", "json"], &["--limit", "0"]);
    assert_eq!(fingerprints.len(), tests::fingerprints(&events).len());
}

#[test]
fn bulk_counts_though_it_stays_in_the_kernel() {
    const BYTES: usize = 48 << 20;

    let Some(_alone) = alone() else { return };
    let (wire, site) = (Wire::new(), Site::new("[storage]\npath = \"history.db\"\n"));
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &site, &[]);
    connect(&wire, to, 1, &vec![b'x'; BYTES]);
    sensor.wait_for("the end", |events| !connections(events).is_empty());
    let events = terminate(sensor);
    assert_nothing_lost(&events);
    let [row] = &site.rows(&["query", "connections", "--format", "json"], &[])[..] else { panic!("not one row") };
    let count = |name: &str| row["connection"][name].as_u64().unwrap();
    assert!(count("bytes_toserver") > BYTES as u64, "{row:#}");
    assert!(count("pkts_toserver") > (BYTES / 1500) as u64, "{row:#}");
    assert!(count("pkts_toclient") > 0);
    let last = stats(&events);
    let selected = stats_u64(last, &["kernel", "selected"]);
    assert!(selected < 100, "{selected} packets came to userspace");
}

#[test]
fn two_sensors_on_one_database_are_one_too_many() {
    let Some(_alone) = alone() else { return };
    let (wire, site) = (Wire::new(), Site::new(""));
    let database = site.text("history.db");
    let first = start(&wire, &site, &["--db", &database]);
    let binary = Sensor::new().binary().to_str().unwrap().to_owned();
    let second =
        wire.client().run(&[&binary, "run", "-i", wire.client().interface(), "--http", "off", "--db", &database]);
    let pid = first.id().to_string();
    second.status(1).says("history.db is written by another ja4sensor").says(&pid).in_one_line();
    assert!(!wire.client().has_programs());
    terminate(first);
    // It is free again.
    let third = start(&wire, &site, &["--db", &database]);
    terminate(third);
    assert_eq!(ask(&site.path("history.db"), "SELECT count(*) FROM run"), 2);
}

#[test]
fn systemd_is_told_ready_alive_and_stopping() {
    let Some(_alone) = alone() else { return };
    let (wire, site) = (Wire::new(), Site::new(""));
    let socket = UnixDatagram::bind(site.path("notify")).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let hear = || {
        let mut message = [0; 512];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).trim_end().to_owned()
    };
    let mut command = Sensor::new().command(&["run", "-i", wire.server().interface(), "--http", "off"]);
    command.env("NOTIFY_SOCKET", site.path("notify")).env("WATCHDOG_USEC", "400000").env_remove("WATCHDOG_PID");
    let sensor = LiveSensor::spawn(wire.server().enter(&command));
    assert_eq!(hear(), "READY=1");
    assert!(wire.server().has_programs(), "ready is when packets are seen");
    let before = std::time::Instant::now();
    for _ in 0..5 {
        assert_eq!(hear(), "WATCHDOG=1");
    }
    assert!(before.elapsed() < SOON / 4, "twice in 400 ms is wanted: {:?}", before.elapsed());
    signal(&sensor, Signal::SIGTERM);
    assert!(std::iter::repeat_with(hear).take(20).any(|heard| heard == "STOPPING=1"));
    sensor.wait().ok();
}

#[test]
fn a_reader_sees_the_first_value_and_the_newest_of_a_long_connection() {
    const REQUESTS: usize = 40;

    let Some(_alone) = alone() else { return };
    let (wire, site) = (Wire::new(), Site::new("[attach]\nsocket = \"attach\"\n"));
    let to = listen(wire.server(), 80, b"HTTP/1.1 204 No Content\r\n\r\n");
    let sensor = start(&wire, &site, &[]);
    let reader = UnixStream::connect(site.path("attach")).unwrap();
    reader.set_read_timeout(Some(SOON)).unwrap();
    thread::sleep(ms(100));
    let mut stream = wire.client().with(|| TcpStream::connect(to).unwrap());
    stream.set_read_timeout(Some(SOON)).unwrap();
    for number in 0..REQUESTS {
        let fields: String = (0..=number).map(|field| format!("X-{field}: 1\r\n")).collect();
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n").as_bytes()).unwrap();
        assert!(stream.read(&mut [0; 256]).unwrap() > 0);
    }
    drop(stream);
    let mut last = Value::Null;
    for line in BufReader::new(reader).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if line["event_type"] == "connection" && line["dest_port"] == 80 {
            last = line;
            if last["connection"]["state"] != "open" {
                break;
            }
        }
    }
    let events = terminate(sensor);
    assert_eq!(values(&events, "ja4h").len(), REQUESTS);
    let kept: Vec<_> = last["fingerprints"].as_array().unwrap().iter().filter(|seen| seen["type"] == "ja4h").collect();
    assert!((2..=16).contains(&kept.len()), "{last:#}");
    assert_eq!((&kept[0]["count"], &kept[kept.len() - 1]["count"]), (&1.into(), &REQUESTS.into()));
    for seen in kept {
        let told = of_kind(&events, "ja4h").into_iter().find(|event| event["fingerprint"]["count"] == seen["count"]);
        let told = told.unwrap();
        assert_eq!((&told["timestamp"], &told["fingerprint"]["value"]), (&seen["timestamp"], &seen["value"]));
    }
}

/// A reader that never reads, a sink that never answers.
#[test]
fn nobody_who_stalls_stops_fingerprints() {
    const CONNECTIONS: usize = 400;

    let Some(_alone) = alone() else { return };
    let wire = Wire::new();
    let stalled = wire.server().with(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let port = stalled.local_addr().unwrap().port();
    let site = Site::new(&format!(
        "[attach]\nsocket = \"attach\"\n[rules]\nfiles = [\"rules.toml\"]\n[[alerts.sink]]\nkind = \"webhook\"\n\
         url = \"http://127.0.0.1:{port}/\"\ntimeout = \"30s\"\nqueue = 5\nrate = 0\n"
    ))
    .with(
        "rules.toml",
        "[[rule]]\nname = \"each\"\non = \"connection\"\ngroup_by = [\"src_port\"]\nwindow = \"1m\"\n\
         where = [{ field = \"dst_port\", op = \"ne\", value = 22 }]\nthreshold = { op = \"gte\", value = 1 }\n",
    );
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &site, &[]);
    let blocked = UnixStream::connect(site.path("attach")).unwrap();
    connect(&wire, to, CONNECTIONS, &client_hello(Shape::Curl, "a.example"));
    sensor.wait_for("every connection", |events| {
        connections(events).iter().filter(|event| event["dest_port"] == to.port()).count() == CONNECTIONS
    });
    let before = std::time::Instant::now();
    let events = terminate(sensor);
    assert!(before.elapsed() < Duration::from_secs(12), "the end took {:?}", before.elapsed());
    drop((blocked, stalled));
    assert_nothing_lost(&events);
    assert_eq!(of_kind(&events, "ja4").iter().filter(|event| event["dest_port"] == to.port()).count(), CONNECTIONS);
    let told = alerts(&events, "each").into_iter().filter(|alert| alert["dest_port"] == to.port()).count();
    assert_eq!(told, CONNECTIONS);
    let sink = &stats(&events)["stats"]["sinks"]["webhook"];
    let count = |name: &str| sink[name].as_u64().unwrap_or_else(|| panic!("no {name} in {sink:#}"));
    assert_eq!(count("sent"), 0);
    assert!(count("queue_full") > 0, "{sink:#}");
}

/// One who hears late what has come, and one who comes late.
#[test]
fn readers_come_and_go() {
    let Some(_alone) = alone() else { return };
    let (wire, site) = (Wire::new(), Site::new("[attach]\nsocket = \"attach\"\n"));
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &site, &[]);
    let hear = |reader: UnixStream| {
        reader.set_read_timeout(Some(SOON)).unwrap();
        BufReader::new(reader).lines().map_while(Result::ok).find(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["event_type"] == "connection" && line["connection"]["state"] == "fin"
        })
    };
    for _ in 0..3 {
        let readers = [(); 2].map(|()| UnixStream::connect(site.path("attach")).unwrap());
        thread::sleep(ms(100));
        connect(&wire, to, 1, &client_hello(Shape::Curl, "a.example"));
        let heard = readers.map(hear);
        assert!(heard[0].is_some() && heard[0] == heard[1], "{heard:?}");
    }
    assert!(until(SOON, || connections(&sensor.events()).len() == 3));
    assert_nothing_lost(&terminate(sensor));
}
