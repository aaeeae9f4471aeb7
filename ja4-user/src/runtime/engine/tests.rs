//! Saved state survives a failing database; late responses of the remote lookup apply.
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::outputs::EngineOutputs;
use super::*;
use crate::detect::DetectionContent;
use crate::detect::profile::PairKind;
use crate::encode::{EncodeContext, Format};
use crate::enrich::remote;
use crate::enrich::remote::Remote;
use crate::model::{
    Attributes, CommunityId, CowArc, EndReason, FingerprintRecord, FlowIdentity, PerSide, TlsAttributes, VlanTags,
};
use crate::model::{ConnectionRecord, Method, Time};
use crate::output::storage::{SeenAt, SensorRun, WriteOp, Writer, WriterOptions};
use crate::system::clock::wall_clock;

const NOON: Time = Time(1_795_417_200_000_000_000);

fn begin(path: &Path) -> (Arc<Engine>, Writer) {
    let run = SensorRun { started: NOON, sensor: None, interfaces: Arc::default(), files: Vec::new() };
    let options = WriterOptions {
        queue: 1,
        flush_after: Duration::from_millis(1),
        retry_limit: Duration::from_millis(100),
        ..WriterOptions::default()
    };
    let (handle, writer) = Writer::start(path, options, &run).unwrap();
    (engine(EngineOutputs::new(false).with_storage(handle), None), writer)
}

fn engine(outputs: EngineOutputs, remote: Option<Remote>) -> Arc<Engine> {
    let context = Arc::new(EncodeContext::default());
    let settings = EngineSettings { format: Some(Format::Json), ..EngineSettings::default() };
    let content = DetectionContent::default();
    Arc::new(Engine::new(&settings, content, SavedState::default(), remote, &context, outputs))
}

fn workers(engine: &Arc<Engine>) -> [Arc<Mutex<EngineWorker>>; 1] {
    [Arc::new(Mutex::new(engine.worker(1)))]
}

/// Stores what has changed.
fn persist(engine: &Engine) {
    let mut rows = Vec::new();
    engine.persist(&mut rows);
    engine.outputs.send_rows(&mut rows);
    engine.outputs.wait_written();
}

fn count(path: &Path, what: &str) -> i64 {
    let database = Connection::open(path).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

fn see(engine: &Engine, values: Range<u64>) {
    for number in values {
        let value = number.to_string();
        let mut part = engine.detectors.part(engine.detectors.value_part(Method::Ja4, &value, None));
        part.first_seen.check(Method::Ja4, &value, None, NOON);
        drop(part);
        engine.detectors.part(0).profiles.observe(PairKind::HostJa4, "10.0.0.1", &value, NOON, |_| false);
    }
}

#[test]
fn lost_rows_of_saved_state_are_stored_again() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (engine, writer) = begin(&path);
    see(&engine, 0..10);
    persist(&engine);
    assert_eq!((count(&path, "first_seen"), count(&path, "profile")), (10, 10));
    assert_eq!(count(&path, "sensor WHERE learning_since IS NULL"), 0);

    // Another connection locks the database for longer than the writer retries.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("UPDATE sensor SET learning_since = NULL; BEGIN IMMEDIATE").unwrap();
    engine.learning_stored.store(u64::MAX, Ordering::Relaxed);
    see(&engine, 10..20);
    persist(&engine);
    assert_eq!(engine.outputs.saved_state_lost(), 21);
    // While the database cannot be written, no further rows are sent.
    see(&engine, 20..30);
    persist(&engine);
    assert_eq!(engine.outputs.saved_state_lost(), 21);
    other.execute_batch("ROLLBACK").unwrap();

    let mut out = Finished::default();
    engine.finish(&workers(&engine), &mut out);
    assert_eq!((count(&path, "first_seen"), count(&path, "profile")), (30, 30));
    assert_eq!(count(&path, "sensor WHERE learning_since IS NULL"), 0);
    let reported = String::from_utf8(out.text).unwrap();
    assert!(reported.contains("21 rows lost: database is locked"), "{reported}");
    assert_eq!(writer.finish().lost(), 21);
}

#[test]
fn the_end_of_a_run_waits_for_room_in_the_queue() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (engine, writer) = begin(&path);
    see(&engine, 0..150_000);
    let mut out = Finished::default();
    engine.finish(&workers(&engine), &mut out);
    assert_eq!(count(&path, "first_seen"), 150_000);
    assert_eq!(writer.finish().lost(), 0);
    assert_eq!(String::from_utf8(out.text).unwrap(), "");
}

#[test]
fn an_open_connection_is_found_by_its_attributes() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    let (engine, writer) = begin(&path);
    let workers = workers(&engine);
    let (client, server) = (([10, 0, 0, 1].into(), 50_000), ([10, 0, 0, 2].into(), 443));
    let community = CommunityId::of(client, server, 6);
    let mut rows = Vec::new();
    let flow = |id| FlowIdentity { id, community, client, server, proto: 6, vlan: VlanTags::NONE };
    let fingerprint = |id, method, value| {
        let seen = FingerprintRecord::example(method, value);
        let at = SeenAt { time: Time(0), packet: None, count: 1 };
        WriteOp::Fingerprint { flow: flow(id), interface: 0, seen, at }
    };
    let mut records = [(1, 31), (2, 29)].map(|(id, age)| {
        let start = Time(wall_clock().0 - age * 1_000_000_000);
        let tls = TlsAttributes { sni: Some("example.org".into()), ..TlsAttributes::default() };
        rows.push(fingerprint(id, Method::Ja4, "t13d"));
        ConnectionRecord {
            attributes: Attributes { tls: Some(CowArc::new(tls)), ..Attributes::default() }.into(),
            packets: PerSide { client: 5, server: 6 },
            is_known: true,
            ..ConnectionRecord::new(&flow(id), 0, start)
        }
    });
    engine.outputs.send_rows(&mut rows);
    engine.outputs.wait_written();
    rows.extend(records.iter_mut().filter_map(|record| workers[0].lock().unwrap().due_row(record, wall_clock())));
    engine.outputs.send_rows(&mut rows);
    persist(&engine);
    let reported = "connection WHERE flow_id = 1 AND tls_sni = 'example.org' AND state IS NULL AND pkts_toclient = 6";
    assert_eq!((count(&path, reported), count(&path, "connection"), count(&path, "fingerprint")), (1, 2, 2));

    // Later fingerprints belong to the same row, and the end of the connection replaces the row.
    rows.push(fingerprint(1, Method::Ja4h, "ge11"));
    for (record, reason) in records.into_iter().zip([EndReason::Fin, EndReason::Open]) {
        rows.push(WriteOp::ConnectionEnd(Box::new(ConnectionRecord { ended: Some(reason), ..record })));
    }
    engine.outputs.send_rows(&mut rows);
    engine.finish(&workers, &mut Finished::default());
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
    let engine = engine(EngineOutputs::new(false), Some(Remote::start(settings).unwrap()));
    let worker = engine.worker(1);
    let active = engine.active();
    let (client, server) = (([10, 0, 0, 1].into(), 50_000), ([10, 0, 0, 2].into(), 443));
    let community = CommunityId::of(client, server, 6);
    let flow = FlowIdentity { id: 1, community, client, server, proto: 6, vlan: VlanTags::NONE };
    let mut record = ConnectionRecord::new(&flow, 0, NOON);
    for (method, value) in [(Method::Ja4t, JA4T), (Method::Ja4, "t13d")] {
        record.note(FingerprintRecord::example(method, value));
    }
    worker.query_again(&active, &mut record);
    assert_eq!(record.app, None, "no response yet");
    while engine.stats(&[]).remote.is_some_and(|stats| stats.hits + stats.misses + stats.failed < 2) {
        engine.tick(NOON, NOON, &mut Finished::default());
        thread::yield_now();
    }
    worker.query_again(&active, &mut record);
    assert_eq!(record.app.as_ref().map(|app| &*app.name), Some("Rawtool"));
}
