//! Clients that stall, send garbage or exceed the connection limit; a port in use; shutdown.

use std::io::ErrorKind;
use std::thread;
use std::time::Instant;

use super::*;

/// Maximum number of concurrent connections of the server.
const AT_ONCE: usize = 256;

#[test]
fn two_hundred_at_once_are_all_answered() {
    let Some(_alone) = alone() else { return };
    let served = Served::start();
    let address = served.address;
    let answers: Vec<Answer> = served.host().with(|| {
        thread::scope(|scope| {
            let clients: Vec<_> = (0..200).map(|_| scope.spawn(move || scrape(address))).collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        })
    });
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.head);
        assert!(answer.body.ends_with("ja4sensor_stats_without_metric 0\n"));
    }
    served.sensor.stop().ok();
}

fn scrape(address: SocketAddr) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    Answer::of(&read(stream))
}

impl Served {
    /// Opens connections that stall: half send an incomplete request, half send nothing.
    fn slow(&self, count: usize) -> Vec<TcpStream> {
        self.host().with(|| {
            let connect = |place: usize| {
                let mut stream = TcpStream::connect(self.address).unwrap();
                if place.is_multiple_of(2) {
                    stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
                }
                stream
            };
            (0..count).map(connect).collect()
        })
    }
}

#[test]
fn who_stalls_holds_up_neither_others_nor_the_sensor() {
    let Some(_alone) = alone() else { return };
    let served = Served::start();
    let mut stalled = served.slow(2 * AT_ONCE);
    let _open = served.open(3);
    // The control plane continues: it emits stats every second.
    let stats = |events: &[Value]| events::of_type(events, "stats").len();
    let before = stats(&served.sensor.events());
    served.sensor.wait_for("stats", |events| stats(events) >= before + 2);
    let asked = Instant::now();
    assert_eq!(served.ask("GET", "/healthz").status, 200);
    assert!(asked.elapsed() < Duration::from_secs(15), "two rounds of stalling ones: {:?}", asked.elapsed());
    // Half of them were evicted for other connections; the rest reach their time limit.
    for stream in stalled.drain(..) {
        assert_eq!(read(stream), "");
    }
    let told = served.json("/api/v1/stats");
    let count = |name| stats_u64(&told, &["http", name]);
    assert!(count("evicted") >= AT_ONCE as u64, "{told:#}");
    assert!(count("evicted") + count("timed_out") + count("broken") >= 2 * AT_ONCE as u64, "{told:#}");
    served.sensor.stop().ok();
}

/// The number of slow connections is below the server's limit, then above it.
#[test]
fn a_health_probe_is_answered_within_a_second_whatever_is_slow() {
    let Some(_alone) = alone() else { return };
    let served = Served::start();
    for slow in [200, 3 * AT_ONCE] {
        let stalled = served.slow(slow);
        for _ in 0..3 {
            let asked = Instant::now();
            assert_eq!(served.ask("GET", "/healthz").status, 200);
            assert!(asked.elapsed() < Duration::from_secs(1), "{slow} are slow: {:?}", asked.elapsed());
        }
        drop(stalled);
    }
    served.sensor.stop().ok();
}

#[test]
fn who_does_not_read_is_cut_off() {
    let Some(_alone) = alone() else { return };
    let served = Served::start();
    let _open = served.open(300);
    served.wait_connections(300);
    let mut deaf: Vec<TcpStream> = (0..8).map(|_| served.connect()).collect();
    for stream in &mut deaf {
        stream.write_all(b"GET /api/v1/connections?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    }
    // Responses that fit into the kernel's buffers are sent at once; the server aborts the others.
    let ended = until(SOON, || stats_u64(&served.json("/api/v1/stats"), &["http", "open"]) <= 1);
    assert!(ended, "{:#}", served.json("/api/v1/stats"));
    assert_eq!(served.ask("GET", "/api/v1/connections").status, 200);
    served.sensor.stop().ok();
}

#[test]
fn garbage_is_refused_and_forgotten() {
    let Some(_alone) = alone() else { return };
    let served = Served::start();
    let noise: Vec<u8> = (0..200_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let requests: [&[u8]; 7] = [
        b"\r\n\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        &noise,
    ];
    for request in requests {
        let mut stream = served.connect();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // The server may close the connection before the request is complete.
        match stream.write_all(request) {
            Err(error) => assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error.kind())),
            Ok(()) => {
                stream.shutdown(std::net::Shutdown::Write).ok();
                let answer = read(stream);
                assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
            }
        }
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(100_000));
    let mut stream = served.connect();
    stream.write_all(long.as_bytes()).ok();
    let answer = read(stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(served.ask("GET", "/healthz").status, 200);
    served.sensor.stop().ok();
}

#[test]
fn a_large_body_that_nobody_wants_is_not_waited_for() {
    let Some(_alone) = alone() else { return };
    let served = Served::start();
    let asked = Instant::now();
    let stalled = served.raw(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nabc");
    assert!(stalled.starts_with("HTTP/1.1 405 "), "{stalled}");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    served.sensor.stop().ok();
}

#[test]
fn the_sensor_ends_soon_whoever_is_connected() {
    let Some(_alone) = alone() else { return };
    let served = Served::start();
    let _open = served.open(2);
    let mut silent: Vec<TcpStream> = (0..AT_ONCE + 10).map(|_| served.connect()).collect();
    silent[0].write_all(b"GET /metrics HT").unwrap();
    thread::sleep(Duration::from_millis(200));
    let Served { sensor, wire, .. } = served;
    let asked = Instant::now();
    let events = sensor.stop().ok().events();
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let last = *events::of_type(&events, "stats").last().unwrap();
    assert!(stats_u64(last, &["http", "accepted"]) >= AT_ONCE as u64, "{last:#}");
    assert!(!wire.server().has_programs());
}

#[test]
fn a_port_that_is_taken_ends_it_before_anything_is_attached() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = Sensor::new().run(&["run", "-i", "lo", "--http", &address]);
    let said = format!(
        "cannot serve HTTP on {address}: another process listens there; name another port, or stop that process"
    );
    ran.status(1).stderr_has_one_line().stderr_has(&said);
    let ran = Sensor::new().run(&["run", "-i", "lo", "--http", "192.0.2.1:9404"]);
    ran.status(2).stderr_has("this host has no such address");
    Sensor::new().run(&["run", "-i", "lo", "--http", "localhost"]).status(2).stderr_has("--http");
}
