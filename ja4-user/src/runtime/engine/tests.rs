//! Saved state survives a failing database; late responses of the remote lookup apply.
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use super::*;
use crate::detect::profile::PairKind;
use crate::enrich::remote;
use crate::model::{Attributes, CommunityId, CowArc, PerSide, TlsAttributes};
use crate::output::storage::{SensorRun, WriteOp, Writer, WriterOptions};

const NOON: Time = Time(1_795_417_200_000_000_000);

fn begin(path: &Path) -> (Engine, Writer) {
    let run = SensorRun { started: NOON, sensor: None, interfaces: Vec::new(), files: Vec::new() };
    let options = WriterOptions {
        queue: 1,
        flush_after: Duration::from_millis(1),
        retry_limit: Duration::from_millis(100),
        ..WriterOptions::default()
    };
    let (handle, writer) = Writer::start(path, options, &run).unwrap();
    let context = Arc::new(EncodeContext::default());
    let settings = EngineSettings { connections: 16, ..EngineSettings::default() };
    let outputs = EngineOutputs::new(&context, false).with_storage(handle);
    (Engine::new(&settings, DetectionContent::default(), SavedState::default(), None, &context, outputs), writer)
}

fn count(path: &Path, what: &str) -> i64 {
    let database = Connection::open(path).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

fn see(engine: &mut Engine, values: Range<u64>) {
    for number in values {
        let value = number.to_string();
        engine.firsts.check(Method::Ja4, &value, None, NOON);
        engine.profiles.observe(PairKind::HostJa4, "10.0.0.1", &value, NOON, |_| false);
    }
}

#[test]
fn lost_rows_of_saved_state_are_stored_again() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (mut engine, writer) = begin(&path);
    see(&mut engine, 0..10);
    engine.persist();
    engine.outputs.wait_written();
    assert_eq!((count(&path, "first_seen"), count(&path, "profile")), (10, 10));
    assert_eq!(count(&path, "sensor WHERE learning_since IS NULL"), 0);

    // Another connection locks the database for longer than the writer retries.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("UPDATE sensor SET learning_since = NULL; BEGIN IMMEDIATE").unwrap();
    engine.learning_stored = None;
    see(&mut engine, 10..20);
    engine.persist();
    engine.outputs.wait_written();
    assert_eq!(engine.outputs.saved_state_lost(), 21);
    // While the database cannot be written, no further rows are sent.
    see(&mut engine, 20..30);
    engine.persist();
    engine.outputs.wait_written();
    assert_eq!(engine.outputs.saved_state_lost(), 21);
    other.execute_batch("ROLLBACK").unwrap();

    let mut out = Vec::new();
    engine.finish(|lines| {
        out.append(lines);
        true
    });
    assert_eq!((count(&path, "first_seen"), count(&path, "profile")), (30, 30));
    assert_eq!(count(&path, "sensor WHERE learning_since IS NULL"), 0);
    let reported = String::from_utf8(out).unwrap();
    assert!(reported.contains("21 rows lost: database is locked"), "{reported}");
    assert_eq!(writer.finish().lost(), 21);
}

#[test]
fn the_end_of_a_run_waits_for_room_in_the_queue() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (mut engine, writer) = begin(&path);
    see(&mut engine, 0..150_000);
    let mut out = Vec::new();
    engine.finish(|lines| {
        out.append(lines);
        true
    });
    assert_eq!(count(&path, "first_seen"), 150_000);
    assert_eq!(writer.finish().lost(), 0);
    assert_eq!(String::from_utf8(out).unwrap(), "");
}

#[test]
fn an_open_connection_is_found_by_its_attributes() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (mut engine, writer) = begin(&path);
    let (client, server) = (([10, 0, 0, 1].into(), 50_000), ([10, 0, 0, 2].into(), 443));
    let community = CommunityId::of(client, server, 6);
    for (id, age) in [(1, 31), (2, 29)] {
        let flow = FlowIdentity { id, community, client, server, proto: 6, vlan: [0; 2] };
        let start = Time(engine.wall.0 - age * 1_000_000_000);
        let record = engine.tracker.enter(&flow, 0, start).record;
        let tls = TlsAttributes { sni: Some("example.org".into()), ..TlsAttributes::default() };
        record.attributes = Attributes { tls: Some(CowArc::new(tls)), ..Attributes::default() }.into();
        record.packets = PerSide { client: 5, server: 6 };
        engine.outputs.store(WriteOp::Fingerprint {
            flow,
            interface: 0,
            seen: FingerprintRecord::example(Method::Ja4, "t13d"),
        });
    }
    engine.persist();
    engine.outputs.wait_written();
    let reported = "connection WHERE flow_id = 1 AND tls_sni = 'example.org' AND state IS NULL AND pkts_toclient = 6";
    assert_eq!((count(&path, reported), count(&path, "connection"), count(&path, "fingerprint")), (1, 2, 2));

    // Later fingerprints belong to the same row, and the end of the connection replaces the row.
    let flow = engine.tracker.get(1).unwrap().identity;
    engine.outputs.store(WriteOp::Fingerprint {
        flow,
        interface: 0,
        seen: FingerprintRecord::example(Method::Ja4h, "ge11"),
    });
    let ended = ConnectionRecord { ended: Some(EndReason::Fin), ..engine.tracker.end(1).unwrap() };
    engine.outputs.ended(ended);
    engine.finish(|_| true);
    assert_eq!((count(&path, reported), count(&path, "connection WHERE state = 'fin'")), (0, 1));
    assert_eq!((count(&path, "connection"), count(&path, "fingerprint")), (2, 3));
    assert_eq!(writer.finish().connections, 2, "each is counted once");
}

/// A remote lookup service that knows one value.
fn knows(value: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut request) = (stream.unwrap(), Vec::new());
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            let path = format!("/{value} ");
            let (status, body) = match String::from_utf8_lossy(&request).contains(&path) {
                true => ("200 OK", "[{\"application\":\"Rawtool\"}]"),
                false => ("404 Not Found", ""),
            };
            let length = body.len();
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
        }
    });
    address
}

#[test]
fn a_late_response_for_any_client_value_names_the_application() {
    const JA4T: &str = "1234_2_1234_9";
    let settings = remote::RemoteSettings {
        enabled: true,
        endpoint: format!("http://{}/", knows(JA4T)),
        methods: crate::model::method_set::Methods::of(&[Method::Ja4, Method::Ja4t]),
        ..remote::RemoteSettings::default()
    };
    let context = Arc::new(EncodeContext::default());
    let outputs = EngineOutputs::new(&context, false);
    let remote = Some(Remote::start(settings).unwrap());
    let settings = EngineSettings { connections: 16, ..EngineSettings::default() };
    let mut engine =
        Engine::new(&settings, DetectionContent::default(), SavedState::default(), remote, &context, outputs);
    let (client, server) = (([10, 0, 0, 1].into(), 50_000), ([10, 0, 0, 2].into(), 443));
    let community = CommunityId::of(client, server, 6);
    let flow = FlowIdentity { id: 1, community, client, server, proto: 6, vlan: [0; 2] };
    let mut record = ConnectionRecord::new(&flow, 0, NOON);
    for (method, value) in [(Method::Ja4t, JA4T), (Method::Ja4, "t13d")] {
        record.note(FingerprintRecord::example(method, value));
    }
    engine.query_again(&mut record);
    assert_eq!(record.app, None, "no response yet");
    while engine.stats().remote.is_some_and(|stats| stats.hits + stats.misses + stats.failed < 2) {
        engine.tick(NOON, &mut Vec::new());
        thread::yield_now();
    }
    engine.query_again(&mut record);
    assert_eq!(record.app.as_ref().map(|app| &*app.name), Some("Rawtool"));
}
