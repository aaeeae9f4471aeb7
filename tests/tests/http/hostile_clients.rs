//! Clients that stall, send garbage or exceed the connection limit; a port in use; shutdown.

use std::io::ErrorKind;
use std::thread;
use std::time::Instant;

use super::*;

/// Maximum number of concurrent connections of the server.
const MAX_CONNECTIONS: usize = 256;

#[test]
fn two_hundred_concurrent_requests_are_answered() {
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
    let address = served.address;
    let responses: Vec<HttpResponse> = served.host().with(|| {
        thread::scope(|scope| {
            let clients: Vec<_> = (0..200).map(|_| scope.spawn(move || scrape(address))).collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        })
    });
    for response in responses {
        assert_eq!(response.status, 200, "{}", response.head);
        assert!(response.body.ends_with("ja4sensor_stats_without_metric 0\n"));
    }
    served.sensor.stop().ok();
}

fn scrape(address: SocketAddr) -> HttpResponse {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    HttpResponse::of(&read(stream))
}

impl HttpSensor {
    /// Opens connections that stall: half send an incomplete request, half send nothing.
    fn open_stalled(&self, count: usize) -> Vec<TcpStream> {
        self.host().with(|| {
            let connect = |number: usize| {
                let mut stream = TcpStream::connect(self.address).unwrap();
                if number.is_multiple_of(2) {
                    stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
                }
                stream
            };
            (0..count).map(connect).collect()
        })
    }
}

#[test]
fn stalled_clients_delay_neither_other_clients_nor_the_sensor() {
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
    let mut stalled = served.open_stalled(2 * MAX_CONNECTIONS);
    let _open = served.open(3);
    // The control plane continues: it emits stats every second.
    let stats = |events: &[Value]| events::of_type(events, "stats").len();
    let before = stats(&served.sensor.events());
    served.sensor.wait_for("stats", |events| stats(events) >= before + 2);
    let start = Instant::now();
    assert_eq!(served.request("GET", "/healthz").status, 200);
    assert!(start.elapsed() < Duration::from_secs(15), "longer than two rounds of time limits: {:?}", start.elapsed());
    // Half of them were evicted for other connections; the rest reach their time limit.
    for stream in stalled.drain(..) {
        assert_eq!(read(stream), "");
    }
    let last = served.json("/api/v1/stats");
    let count = |name| stats_u64(&last, &["http", name]);
    assert!(count("evicted") >= MAX_CONNECTIONS as u64, "{last:#}");
    assert!(count("evicted") + count("timed_out") + count("broken") >= 2 * MAX_CONNECTIONS as u64, "{last:#}");
    served.sensor.stop().ok();
}

/// The number of slow connections is below the server's limit, then above it.
#[test]
fn a_health_probe_is_answered_within_a_second_in_spite_of_slow_clients() {
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
    for slow in [200, 3 * MAX_CONNECTIONS] {
        let stalled = served.open_stalled(slow);
        for _ in 0..3 {
            let start = Instant::now();
            assert_eq!(served.request("GET", "/healthz").status, 200);
            assert!(start.elapsed() < Duration::from_secs(1), "{slow} are slow: {:?}", start.elapsed());
        }
        drop(stalled);
    }
    served.sensor.stop().ok();
}

#[test]
fn clients_that_do_not_read_are_disconnected() {
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
    let _open = served.open(300);
    served.wait_connections(300);
    let mut unread: Vec<TcpStream> = (0..8).map(|_| served.connect()).collect();
    for stream in &mut unread {
        let request = format!(
            "GET /api/v1/connections?limit=1000 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
    }
    // Responses that fit into the kernel's buffers are sent at once; the server aborts the others.
    let ended = until(SOON, || stats_u64(&served.json("/api/v1/stats"), &["http", "open"]) <= 1);
    assert!(ended, "{:#}", served.json("/api/v1/stats"));
    assert_eq!(served.request("GET", "/api/v1/connections").status, 200);
    served.sensor.stop().ok();
}

#[test]
fn invalid_requests_are_rejected() {
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
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
                let response = read(stream);
                assert!(response.is_empty() || response.starts_with("HTTP/1.1 4"), "{response}");
            }
        }
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(100_000));
    let mut stream = served.connect();
    stream.write_all(long.as_bytes()).ok();
    let response = read(stream);
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 4"), "{response}");
    assert_eq!(served.request("GET", "/healthz").status, 200);
    served.sensor.stop().ok();
}

#[test]
fn a_rejected_request_is_answered_before_its_large_body() {
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
    let start = Instant::now();
    let stalled = served.raw(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nabc");
    assert!(stalled.starts_with("HTTP/1.1 405 "), "{stalled}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    served.sensor.stop().ok();
}

#[test]
fn shutdown_does_not_wait_for_connected_clients() {
    let Some(_exclusive) = exclusive() else { return };
    let served = HttpSensor::start();
    let _open = served.open(2);
    let mut silent: Vec<TcpStream> = (0..MAX_CONNECTIONS + 10).map(|_| served.connect()).collect();
    silent[0].write_all(b"GET /metrics HT").unwrap();
    thread::sleep(Duration::from_millis(200));
    let HttpSensor { sensor, wire, .. } = served;
    let start = Instant::now();
    let events = sensor.stop().ok().events();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let last = *events::of_type(&events, "stats").last().unwrap();
    assert!(stats_u64(last, &["http", "accepted"]) >= MAX_CONNECTIONS as u64, "{last:#}");
    assert!(!wire.server().has_programs());
}

#[test]
fn a_port_in_use_ends_the_sensor_before_it_attaches() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let outcome = Sensor::new().run(&["run", "-i", "lo", "--http", &address]);
    let error = format!(
        "cannot serve HTTP on {address}: another process listens there; name another port, or stop that process"
    );
    outcome.status(1).stderr_has_one_line().stderr_has(&error);
    let outcome = Sensor::new().run(&["run", "-i", "lo", "--http", "192.0.2.1:9404"]);
    outcome.status(2).stderr_has("this host has no such address");
    Sensor::new().run(&["run", "-i", "lo", "--http", "localhost"]).status(2).stderr_has("--http");
    // A port alone is one on 127.0.0.1, where this listener has it.
    let port = address.split_once(':').unwrap().1;
    for port_alone in [port.to_owned(), format!("localhost:{port}")] {
        let outcome = Sensor::new().run(&["run", "-i", "lo", "--http", &port_alone]);
        outcome.status(1).stderr_has_one_line().stderr_has(&error);
    }
}
