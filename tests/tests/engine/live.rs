//! The engine of a running sensor, between two hosts, with a database, attached readers and sinks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::{Namespace, RunningSensor, Wire, require_bpf, require_tools, stats_u64, values};

use super::*;

/// Timeout of every wait. Most waits take milliseconds.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// Returns a lock if the test can run. Tests run one at a time because there are few CPUs.
pub(super) fn exclusive() -> Option<MutexGuard<'static, ()>> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    (require_bpf() && require_tools(&["ip", "ethtool"]))
        .then(|| ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Accepts connections on a port of a host, sends `response` after each read, and closes after the peer.
pub(super) fn listen(host: &Namespace, port: u16, response: &'static [u8]) -> SocketAddr {
    let listener = host.with(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    let address = SocketAddr::new(host.v4(), listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                    if !response.is_empty() && stream.write_all(response).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

/// Opens `number` connections from the client's host, one after another; each sends these bytes and closes with both
/// FINs.
pub(super) fn connect(wire: &Wire, to: SocketAddr, number: usize, bytes: &[u8]) {
    wire.client().with(|| (0..number).for_each(|_| connect_once(to, bytes)));
}

/// Opens one such connection. The calling thread is in the client's namespace.
pub(super) fn connect_once(to: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
}

pub(super) fn signal(sensor: &RunningSensor, signal: Signal) {
    kill(Pid::from_raw(sensor.id().try_into().unwrap()), signal).unwrap();
}

/// Sends SIGTERM, as systemd does, waits for the exit, and returns the events.
pub(super) fn terminate(sensor: RunningSensor) -> Vec<Value> {
    signal(&sensor, Signal::SIGTERM);
    sensor.wait().ok().events()
}

/// Starts a sensor with the folder's configuration on the server's end of a wire.
pub(super) fn start(wire: &Wire, folder: &EngineFolder, options: &[&str]) -> RunningSensor {
    let config = folder.text("sensor.toml");
    RunningSensor::start(wire.server(), &[&["--config", &config, "--http", "off"], options].concat())
}

/// Asserts that no packet of the kernel and no event of a shard was lost.
pub(super) fn assert_nothing_lost(events: &[Value]) {
    let last = stats(events);
    let count = |path: &[&str]| stats_u64(last, path);
    let kernel = |name| count(&["kernel", name]);
    assert_eq!(kernel("seen"), kernel("unselected") + kernel("unparseable") + kernel("selected"), "{last:#}");
    assert_eq!((kernel("selected"), kernel("emitted")), (kernel("emitted"), count(&["shards", "packets"])), "{last:#}");
    assert_eq!(count(&["output", "lines_dropped"]), 0, "{last:#}");
    assert_eq!(count(&["engine", "end_lost"]), 0, "{last:#}");
}

#[test]
fn a_silent_connection_ends_as_idle() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new("[capture]\nidle_timeout = \"1s\"\n"));
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &folder, &[]);
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

/// Many ports, so that connections with the same value are distributed over all shards.
#[test]
fn a_value_is_first_seen_once_across_all_shards() {
    const CONNECTIONS: usize = 300;

    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new(WITHOUT_LEARNING));
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &folder, &["--shards", "4"]);
    let hello = client_hello(Shape::Curl, "a.example");
    // Several threads, so that shards run concurrently.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| connect(&wire, to, CONNECTIONS / 4, &hello));
        }
    });
    sensor.wait_for("every hello", |events| values(events, "ja4").len() == CONNECTIONS);
    let events = terminate(sensor);
    assert_nothing_lost(&events);
    for kind in ["ja4", "ja4t", "ja4ts"] {
        let found = of_kind(&events, kind);
        assert_eq!(found.len(), CONNECTIONS, "{kind}");
        let mut different: Vec<_> = found.iter().map(|event| event["fingerprint"]["value"].as_str().unwrap()).collect();
        different.sort_unstable();
        different.dedup();
        let first_seen_count = found.iter().filter(|event| event["first_seen"] == true).count();
        assert_eq!(first_seen_count, different.len(), "{kind}: {different:?}");
    }
}

/// Kills the sensor repeatedly, within less than the interval at which first-seen counts are saved.
#[test]
fn first_seen_values_and_the_start_of_the_learning_period_survive_a_kill() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new(WITHOUT_LEARNING));
    let database = folder.path("history.db");
    let to = listen(wire.server(), 0, b"");
    let hello = client_hello(Shape::Curl, "a.example");
    let learning_since_query = "SELECT coalesce(max(learning_since), 0) FROM sensor";
    let mut learning_since = 0;
    for run in 0..3 {
        let sensor = start(&wire, &folder, &["--db", database.to_str().unwrap()]);
        connect(&wire, to, 1, &hello);
        let stored = "SELECT count(*) FROM fingerprint f JOIN fingerprint_value v ON v.id = f.value WHERE v.value = ?1";
        let stored = || {
            let database = rusqlite::Connection::open(&database).unwrap();
            database.query_row(stored, [Shape::Curl.ja4()], |row| row.get::<_, i64>(0)).unwrap()
        };
        sensor.wait_for("the hello in the database", |_| stored() == run + 1);
        let events = sensor.kill().events();
        let new = of_kind(&events, "ja4").iter().filter(|event| event["first_seen"] == true).count();
        assert_eq!(new, usize::from(run == 0), "run {run}");
        let since = query_number(&database, learning_since_query);
        assert!(since > 0 && (run == 0 || since == learning_since), "run {run}: {since}, {learning_since} before");
        learning_since = since;
    }
}

#[test]
fn systemd_receives_ready_watchdog_and_stopping() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new(""));
    let socket = UnixDatagram::bind(folder.path("notify")).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let receive = || {
        let mut message = [0; 512];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).trim_end().to_owned()
    };
    let mut command = Sensor::new().command(&["run", "-i", wire.server().interface(), "--http", "off"]);
    command.env("NOTIFY_SOCKET", folder.path("notify")).env("WATCHDOG_USEC", "400000").env_remove("WATCHDOG_PID");
    let sensor = RunningSensor::spawn(wire.server().enter(&command));
    assert_eq!(receive(), "READY=1");
    assert!(wire.server().has_programs(), "no program is attached at READY=1");
    let before = std::time::Instant::now();
    for _ in 0..5 {
        assert_eq!(receive(), "WATCHDOG=1");
    }
    assert!(before.elapsed() < SOON / 4, "slower than twice in 400 ms: {:?}", before.elapsed());
    signal(&sensor, Signal::SIGTERM);
    assert!(std::iter::repeat_with(receive).take(20).any(|message| message == "STOPPING=1"));
    sensor.wait().ok();
}

#[test]
fn a_view_has_the_connections_with_most_packets() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new("[attach]\nsocket = \"attach\"\n"));
    let to = listen(wire.server(), 80, b"HTTP/1.1 204 No Content\r\n\r\n");
    let sensor = start(&wire, &folder, &["--shards", "2"]);
    let mut reader = UnixStream::connect(folder.path("attach")).unwrap();
    reader.set_read_timeout(Some(SOON)).unwrap();
    // The first connection has the most requests, and the last one is the newest.
    let requests = [30, 20, 10, 1];
    let clients = requests.map(|count| {
        let mut stream = wire.client().with(|| TcpStream::connect(to).unwrap());
        stream.set_read_timeout(Some(SOON)).unwrap();
        for _ in 0..count {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
            assert!(stream.read(&mut [0; 256]).unwrap() > 0);
        }
        stream
    });
    let ports = clients.each_ref().map(|stream| Value::from(stream.local_addr().unwrap().port()));
    let mut view = |request: &str, expected: &[Value]| {
        reader.write_all(request.as_bytes()).unwrap();
        let mut shown = Vec::new();
        for line in BufReader::new(reader.try_clone().unwrap()).lines().take(80) {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let rows = line["rows"].as_array().cloned().unwrap_or_default();
            shown = rows.iter().map(|row| row["src_port"].clone()).collect::<Vec<_>>();
            if shown == expected {
                return;
            }
        }
        panic!("{request}: {shown:?}, not {expected:?}");
    };
    view("{\"view\":\"connections\",\"sort\":\"packets\",\"rows\":2,\"interval_ms\":100}\n", &ports[..2]);
    let by_age = [3, 2, 1, 0].map(|place: usize| ports[place].clone());
    view("{\"view\":\"connections\",\"interval_ms\":100}\n", &by_age);
    view("{\"view\":\"connections\",\"filter\":\"host:192.0.2.99\",\"interval_ms\":100}\n", &[]);
    let newest = format!("dport:80 and sport:{} and open", ports[3]);
    view(&format!("{{\"view\":\"connections\",\"filter\":\"{newest}\",\"interval_ms\":100}}\n"), &ports[3..]);
    view("{\"view\":\"connections\",\"skip\":1,\"rows\":2,\"descending\":false,\"interval_ms\":100}\n", &ports[1..3]);
    drop(clients);
    // Connections that have ended are still there.
    view("{\"view\":\"connections\",\"filter\":\"not open\",\"sort\":\"packets\",\"interval_ms\":100}\n", &ports);
    let events = terminate(sensor);
    assert_nothing_lost(&events);
}

#[test]
fn views_sum_up_connections_and_join_them_with_the_database() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) =
        (Wire::new(), EngineFolder::new("[attach]\nsocket = \"attach\"\n[storage]\nflush_after = \"100ms\"\n"));
    let to = listen(wire.server(), 80, b"HTTP/1.1 204 No Content\r\n\r\n");
    let sensor = start(&wire, &folder, &["--shards", "2", "--db", &folder.path("history.db").display().to_string()]);
    let mut writer = UnixStream::connect(folder.path("attach")).unwrap();
    writer.set_read_timeout(Some(SOON)).unwrap();
    let request = |name: &str| {
        let mut stream = wire.client().with(|| TcpStream::connect(to).unwrap());
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: {name}\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 256]).unwrap() > 0);
        stream
    };
    drop((request("a.example"), request("a.example")));
    let open = request("b.example");
    let mut lines = BufReader::new(writer.try_clone().unwrap()).lines();
    // Waits for rows that are as expected.
    let mut view = |request: &str, is_expected: &dyn Fn(&Value) -> bool| {
        writeln!(writer, "{request}").unwrap();
        let mut last = Value::Null;
        for _ in 0..60 {
            last = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            if is_expected(&last) {
                return last;
            }
        }
        panic!("{request}: {last:#}");
    };
    let (client, server) = (wire.client().v4().to_string(), wire.server().v4().to_string());
    let hosts = view(r#"{"view":"hosts","interval_ms":100}"#, &|line| line["rows"][0]["connections"] == 3);
    assert_eq!((&hosts["rows"][0]["ip"], &hosts["matched"]), (&client.clone().into(), &1.into()));
    assert_eq!(hosts["rows"][0]["stacks"][0]["type"], "ja4h");
    let values = view(r#"{"view":"values","sort":"type","descending":false,"interval_ms":100}"#, &|line| {
        line["rows"].as_array().is_some_and(|rows| rows.iter().any(|row| row["connections"] == 3))
    });
    let ja4h = values["rows"].as_array().unwrap().iter().find(|row| row["type"] == "ja4h").unwrap();
    assert_eq!((&ja4h["connections"], &ja4h["hosts"]), (&3.into(), &1.into()));
    let summary = view(r#"{"view":"summary","interval_ms":100}"#, &|line| {
        line["rows"][0]["connections"] == serde_json::json!({"open": 1, "recent": 2})
    });
    let summary = &summary["rows"][0];
    assert_eq!((&summary["talkers"][0]["ip"], &summary["alerts"]["high"]), (&client.clone().into(), &0.into()));
    assert!(summary["stats"]["kernel"]["seen"].as_u64().is_some_and(|seen| seen > 0), "{summary:#}");

    // The two that have ended are in the database too, the open one is not; each is shown once.
    let names = |line: &Value| -> Vec<String> {
        let rows = line["rows"].as_array().into_iter().flatten();
        rows.map(|row| format!("{} {}", row["http"]["hostname"], row["connection"]["state"] == "open")).collect()
    };
    let expected = [r#""a.example" false"#, r#""a.example" false"#, r#""b.example" true"#];
    view(r#"{"view":"history","since":"1h","sort":"sni","descending":false,"interval_ms":200}"#, &|line| {
        names(line) == expected
    });
    view(r#"{"view":"history","filter":"sni:b*","since":"1h","interval_ms":200}"#, &|line| {
        names(line) == expected[2..]
    });
    view(r#"{"view":"history","until":"1h","interval_ms":200}"#, &|line| names(line).is_empty());
    view(r#"{"view":"diff","before":["2h","1h"],"after":["1h","now"],"interval_ms":200}"#, &|line| {
        let rows = line["rows"].as_array().into_iter().flatten();
        rows.filter(|row| row["change"] == "new" && row["type"] == "ja4h" && row["first"] == 0).count() == 1
    });
    let detail = view(
        &format!(r#"{{"view":"connections","filter":"dst:{server} open","rows":1,"interval_ms":100}}"#),
        &|line| line["matched"] == 1,
    );
    let flow = &detail["rows"][0]["flow_id"];
    let detail = view(&format!(r#"{{"view":"connection","flow_id":{flow},"interval_ms":100}}"#), &|line| {
        line["view"] == "connection"
    });
    let fingerprints = detail["rows"][0]["fingerprints"].as_array().unwrap();
    assert!(fingerprints.iter().any(|seen| seen["type"] == "ja4h" && seen["value"].is_string()), "{detail:#}");
    view(r#"{"view":"connections","filter":"nwe"}"#, &|line| line["event_type"] == "refused");
    drop(open);
    assert_nothing_lost(&terminate(sensor));
}

#[test]
fn an_attached_reader_gets_the_first_and_the_newest_value_of_a_long_connection() {
    const REQUESTS: usize = 40;

    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new("[attach]\nsocket = \"attach\"\n"));
    let to = listen(wire.server(), 80, b"HTTP/1.1 204 No Content\r\n\r\n");
    let sensor = start(&wire, &folder, &[]);
    let reader = UnixStream::connect(folder.path("attach")).unwrap();
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
    let listed: Vec<_> =
        last["fingerprints"].as_array().unwrap().iter().filter(|entry| entry["type"] == "ja4h").collect();
    assert!((2..=16).contains(&listed.len()), "{last:#}");
    assert_eq!((&listed[0]["count"], &listed[listed.len() - 1]["count"]), (&1.into(), &REQUESTS.into()));
    for entry in listed {
        let printed =
            of_kind(&events, "ja4h").into_iter().find(|event| event["fingerprint"]["count"] == entry["count"]);
        let printed = printed.unwrap();
        assert_eq!((&printed["timestamp"], &printed["fingerprint"]["value"]), (&entry["timestamp"], &entry["value"]));
    }
}

#[test]
fn the_alert_about_new_values_is_raised_while_the_connection_is_silent() {
    let Some(_exclusive) = exclusive() else { return };
    let (wire, folder) = (Wire::new(), EngineFolder::new("[first_seen]\nlearning = \"0\"\n"));
    let to = listen(wire.server(), 0, b"");
    let sensor = start(&wire, &folder, &[]);
    let mut stream = wire.client().with(|| TcpStream::connect(to).unwrap());
    stream.write_all(&client_hello(Shape::Curl, "a.example")).unwrap();
    let of_port = |event: &&Value| event["dest_port"] == to.port();
    sensor.wait_for("the alert", |events| alerts(events, "first_seen").iter().any(of_port));
    drop(stream);
    let events = terminate(sensor);
    let raised: Vec<_> = alerts(&events, "first_seen").into_iter().filter(of_port).collect();
    assert_reason(raised[0], &["ja4t ", Shape::Curl.ja4()]);
    let with_ja4 = raised.iter().filter(|alert| alert.to_string().contains(Shape::Curl.ja4())).count();
    assert_eq!(with_ja4, 1, "{raised:#?}");
}
