//! The HTTP server with a simulated engine.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, bounded};
use serde_json::Value as Json;
use tokio::sync::{mpsc, oneshot};

use super::metrics::MetricTable;
use super::*;
use crate::model::{ConnectionSelection, CounterGroup, EngineQuery, QueryAnswer};
use crate::runtime::sensor_stats::declarations;

/// The token of the server.
const TOKEN: &str = "correct-horse-battery";

/// A running server with a simulated engine.
struct TestServer {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// The behaviour of the simulated engine.
#[derive(Clone, Copy)]
enum EngineBehavior {
    /// Replies to each query.
    Answers,
    /// Never replies.
    Hangs,
    /// Rejects queries: its queue is full.
    Full,
}

fn answer(queue: &Receiver<(EngineQuery, oneshot::Sender<QueryAnswer>)>) {
    for (query, answer) in queue {
        let lines = match query {
            EngineQuery::Connections(ConnectionSelection { rows, .. }) => (0..rows.most)
                .map(|at| Bytes::from(format!("{{\"at\":{at},\"pad\":\"{}\"}}\n", "x".repeat(500))))
                .collect(),
            EngineQuery::Alerts { most, .. } => vec![Bytes::from(format!("{{\"most\":{most}}}\n"))],
            _ => Vec::new(),
        };
        answer.send(QueryAnswer { matched: lines.len(), rows: lines, is_partial: false }).ok();
    }
}

impl TestServer {
    fn new(engine: EngineBehavior, snapshot: SensorSnapshot) -> Self {
        let server = HttpServer::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
        let server = server.with_hosts(vec!["sensor.example".to_owned()]).with_token(&file).unwrap();
        let address = server.address().unwrap();
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            let (messages, queue) = bounded(if matches!(engine, EngineBehavior::Full) { 0 } else { 16 });
            let client: EngineClient = Arc::new(move |query, answer| {
                messages.try_send((query, answer)).map_err(|error| QueryError::from_queue(error.is_full()))
            });
            let (control, mut questions) = mpsc::channel(MAX_REQUESTS);
            let state = ApiState::new(client, control, MetricTable::new(declarations()));
            let engine = thread::spawn(move || match engine {
                EngineBehavior::Answers => answer(&queue),
                // The loop ends when all senders are dropped.
                EngineBehavior::Hangs => {
                    let held: Vec<_> = queue.iter().collect();
                    drop(held);
                }
                EngineBehavior::Full => thread::sleep(Duration::from_secs(1)),
            });
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let serving = tokio::spawn(server.serve(state, async {
                    ended.await.ok();
                }));
                while let Some(question) = questions.recv().await {
                    question.send(snapshot.clone()).ok();
                }
                serving.await.unwrap().unwrap();
            });
            // The engine ends when all senders are dropped.
            engine.join().unwrap();
        });
        Self { address, end: Some(end), thread: Some(thread) }
    }

    fn ask(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        String::from_utf8(answer).unwrap()
    }

    /// Status and body.
    fn get(&self, path: &str) -> (u16, Json) {
        let answer = self.ask(with_token(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-type: application/json\r\n"), "{head}");
        assert!(!head.to_lowercase().contains("access-control"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        assert_eq!(length.parse(), Ok(body.len()), "{head}");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }

    fn stop(mut self) {
        drop(self.end.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Adds the token to a request.
fn with_token(request: &str) -> String {
    request.replacen("\r\n\r\n", &format!("\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"), 1)
}

fn snapshot() -> SensorSnapshot {
    let mut first_seen = CounterGroup::default();
    first_seen.count("learning_left_s", 60).count("values", 2);
    let mut engine = CounterGroup::default();
    engine.group("first_seen", first_seen);
    let mut stats = CounterGroup::default();
    stats.count("uptime_ms", 1).group("engine", engine);
    SensorSnapshot { stats, ..SensorSnapshot::default() }
}

#[test]
fn every_path_has_a_response() {
    let stage = TestServer::new(EngineBehavior::Answers, snapshot());
    let get = |path| stage.get(path);
    assert_eq!(get("/healthz"), (200, serde_json::json!({"status": "ok"})));
    let (status, connections) = get("/api/v1/connections");
    assert_eq!((status, connections["connections"].as_array().unwrap().len()), (200, 100));
    let (status, connections) = get("/api/v1/connections?limit=1000&host=10.0.0.1");
    let list = connections["connections"].as_array().unwrap();
    assert_eq!((status, list.len(), &list[999]["at"]), (200, 1000, &Json::from(999)));
    assert_eq!(get("/api/v1/alerts?limit=7"), (200, serde_json::json!({"alerts": [{"most": 7}]})));
    assert_eq!(get("/api/v1/rules"), (200, serde_json::json!({"rules": []})));
    let first_seen = serde_json::json!({"learning_left_s": 60, "values": 2});
    assert_eq!(get("/api/v1/first-seen"), (200, serde_json::json!({"learning": true, "first_seen": first_seen})));
    let stats = serde_json::json!({"uptime_ms": 1, "engine": {"first_seen": first_seen}});
    assert_eq!(get("/api/v1/stats"), (200, serde_json::json!({"stats": stats})));
    let metrics = stage.ask(b"GET /metrics?any=1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{metrics}");
    assert!(metrics.contains("\nja4sensor_uptime_seconds 0.001\n"), "{metrics}");
    stage.stop();
}

#[test]
fn errors_are_json() {
    let stage = TestServer::new(EngineBehavior::Answers, snapshot());
    for path in ["/", "/metrics/", "/api/v1/", "/api/v1/stat", "/%22%3Cscript%3E"] {
        let (status, body) = stage.get(path);
        assert_eq!(status, 404, "{path}");
        assert!(body["error"].as_str().unwrap().starts_with("unknown path '/"), "{body}");
    }
    for path in ["/api/v1/connections?limit=x", "/api/v1/alerts?host=::1", "/api/v1/stats?limit=1", "/api/v1/rules?a"] {
        let (status, body) = stage.get(path);
        assert_eq!((status, body["error"].is_string()), (400, true), "{path}: {body}");
    }
    for request in [
        "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody",
        "DELETE /api/v1/alerts HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "OPTIONS /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let answer = stage.ask(with_token(request).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{answer}");
        assert_eq!(answer.matches("allow: GET, HEAD\r\n").count(), 1, "{answer}");
        assert_eq!(answer.to_lowercase().matches("\r\nallow:").count(), 1, "{answer}");
        assert!(answer.contains("{\"error\":\""), "{answer}");
    }
    stage.stop();
}

#[test]
fn requests_for_another_host_are_rejected() {
    let stage = TestServer::new(EngineBehavior::Answers, snapshot());
    for (request, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: evil.example:9418\r\n\r\n", 421),
        ("GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        ("POST /nothing HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n", 421),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 421),
        ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:9418\r\n\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nHost: Sensor.Example\r\n\r\n", 200),
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
    ] {
        let answer = stage.ask(request.as_bytes());
        let got = answer.split(' ').nth(1).unwrap();
        assert_eq!(got, status.to_string(), "{request}{answer}");
        assert_eq!(answer.contains("unknown host"), status == 421, "{answer}");
    }
    stage.stop();
}

#[test]
fn head_has_the_length_and_no_body() {
    let stage = TestServer::new(EngineBehavior::Answers, snapshot());
    for (path, status) in [("/metrics", 200), ("/api/v1/connections?limit=3", 200), ("/nothing", 404)] {
        let answer = stage.ask(with_token(&format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.ends_with("\r\n\r\n") && answer.contains("content-length: "), "{answer}");
    }
    stage.stop();
}

#[test]
fn a_query_without_a_reply_times_out_after_two_seconds() {
    for (engine, said) in [(EngineBehavior::Hangs, "no reply within 2 s"), (EngineBehavior::Full, "queue is full")] {
        let stage = TestServer::new(engine, snapshot());
        let before = Instant::now();
        let (status, body) = stage.get("/api/v1/alerts");
        assert_eq!(status, 503);
        assert!(body["error"].as_str().unwrap().contains(said), "{body}");
        assert!(before.elapsed() < Duration::from_secs(4));
        assert_eq!(stage.get("/healthz").0, 200, "the rest goes on");
        stage.stop();
    }
}

#[test]
fn a_blocked_shard_is_unhealthy() {
    let stage = TestServer::new(
        EngineBehavior::Answers,
        SensorSnapshot {
            liveness: Liveness { shards: vec![Duration::from_secs(9)], ..Default::default() },
            ..snapshot()
        },
    );
    let reasons = serde_json::json!(["shard 0 has made no progress for 9 s"]);
    assert_eq!(stage.get("/healthz"), (503, serde_json::json!({"status": "failing", "reasons": reasons})));
    stage.stop();
}

#[test]
fn garbage_and_oversized_heads_are_rejected() {
    let stage = TestServer::new(EngineBehavior::Answers, snapshot());
    // Bytes that are not HTTP may get any response, or none.
    stage.ask(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert!(stage.ask(b"nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let long = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &vec![b'a'; MAX_HEAD + 1000]].concat();
    let answer = stage.ask(&long);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
    assert!(stage.ask(many.as_bytes()).starts_with("HTTP/1.1 431 "));
    assert_eq!(stage.get("/healthz").0, 200);
    stage.stop();
}

#[test]
fn stalled_clients_are_evicted() {
    let stage = TestServer::new(EngineBehavior::Answers, snapshot());
    let mut stalled: Vec<_> = (0..MAX_CONNECTIONS).map(|_| TcpStream::connect(stage.address).unwrap()).collect();
    stalled.iter_mut().for_each(|stream| stream.write_all(b"GET /metrics HTT").unwrap());
    let before = Instant::now();
    assert_eq!(stage.get("/healthz").0, 200, "after the stalled clients were evicted");
    assert!(before.elapsed() < HEAD_TIME + Duration::from_secs(3), "{:?}", before.elapsed());
    drop(stalled);
    stage.stop();
}

#[test]
fn a_connection_carries_one_request_and_may_be_half_closed() {
    let stage = TestServer::new(EngineBehavior::Answers, snapshot());
    let mut stream = TcpStream::connect(stage.address).unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok();
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    stage.stop();
}

#[test]
fn shutdown_does_not_wait_for_clients() {
    let stage = TestServer::new(EngineBehavior::Hangs, snapshot());
    let mut waiting = TcpStream::connect(stage.address).unwrap();
    waiting.write_all(with_token("GET /api/v1/alerts HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    let _silent = TcpStream::connect(stage.address).unwrap();
    thread::sleep(Duration::from_millis(100));
    let before = Instant::now();
    stage.stop();
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
}

#[test]
fn a_port_in_use_is_reported_with_the_fix() {
    let first = HttpServer::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = first.address().unwrap();
    let error = HttpServer::bind(address).unwrap_err();
    let wanted = format!(
        "cannot serve HTTP on {address}: another process listens there; name another port, or stop that process"
    );
    assert_eq!(error.to_string(), wanted);
    let error = HttpServer::bind("192.0.2.1:80".parse().unwrap()).unwrap_err();
    assert!(matches!(error, HttpError::NotHere(_)), "{error}");
}
