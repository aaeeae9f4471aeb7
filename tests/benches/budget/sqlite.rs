//! Rows per second written to a database through the writer's queue: fingerprints and their connections.
//!
//! Each connection has seven fingerprints. The values are distributed as on a busy host: few distinct values for most
//! methods, and latencies that are nearly all distinct.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use arcstr::ArcStr;
use ja4_user::model::os::{self, System};
use ja4_user::model::path::Syn;
use ja4_user::model::{
    Attributes, CommunityId, ConnectionRecord, CowArc, EndReason, FingerprintRecord, FingerprintValue, FlowIdentity,
    InterfaceNames, Method, Side, Time, TlsAttributes, VlanTags,
};
use ja4_user::output::storage::{RunEnd, SeenAt, SensorRun, WriteOp, Writer, WriterHandle, WriterOptions};
use tests::random::SplitMix64;

use crate::Scale;
use crate::figure::{Figure, median};

/// 2026-11-23T07:00:00Z
pub(crate) const EPOCH: u64 = 1_795_417_200_000_000_000;

/// Interval between connections, nanoseconds: ten million fingerprints cover one day.
pub(crate) const PACE: u64 = 60_000_000;

/// Write operations in a batch.
const BATCH: usize = 4096;

/// Fingerprints per connection.
pub(crate) const EACH: u64 = 7;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let connections = u64::from(scale.of(150_000, 3_000));
    let mut rates = Vec::new();
    for _ in 0..scale.rounds(3) {
        let folder = tempfile::tempdir()?;
        let mut traffic = Traffic::new();
        let mut batches = Vec::new();
        traffic.batches(0..connections, |batch| batches.push(batch));
        let (handle, writer) = start(&folder.path().join("history.db"))?;
        let begun = Instant::now();
        for batch in batches {
            handle.send(batch);
        }
        let status = writer.finish();
        let time = begun.elapsed();
        ensure!(status.fingerprints == connections * EACH && status.rows_lost == 0, "{status:?}");
        rates.push((status.fingerprints + status.connections) as f64 / time.as_secs_f64() / 1e3);
    }
    let note = format!("{EACH} fingerprints of each connection, and its own row");
    Ok(vec![Figure::new("rows into SQLite", median(rates), "k/s").at_least(300.0).note(note)])
}

/// Starts a writer with the options of a replay.
pub(crate) fn start(path: &Path) -> Result<(WriterHandle, Writer)> {
    let run = SensorRun {
        started: Time(EPOCH),
        sensor: None,
        interfaces: Arc::new(InterfaceNames::from_iter(["eth0"])),
        files: Vec::new(),
    };
    Ok(Writer::start(path, WriterOptions::default().for_replay(), &run)?)
}

/// Generator of connections with their fingerprints.
pub(crate) struct Traffic {
    random: SplitMix64,
    values: Vec<(Method, Side, Vec<ArcStr>)>,
    names: Vec<String>,
    os: Option<System>,
}

impl Traffic {
    pub(crate) fn new() -> Self {
        let mut random = SplitMix64::new(300);
        let mut values = |method, side, many: u64| {
            let value = |number| format!("t13d{number:04}h2_{:012x}_{:012x}", random.next() >> 16, random.next() >> 16);
            (method, side, (0..many).map(value).map(ArcStr::from).collect())
        };
        let values = vec![
            values(Method::Ja4t, Side::Client, 300),
            values(Method::Ja4ts, Side::Server, 300),
            values(Method::Ja4, Side::Client, 2_000),
            values(Method::Ja4s, Side::Server, 500),
            values(Method::Ja4x, Side::Server, 2_000),
        ];
        let names = (0..5_000).map(|number| format!("host{number}.example.org")).collect();
        let os = Syn::parse("64240_2-4-8-1-3_1460_7").and_then(|syn| os::hint(&syn, Some(64)));
        Self { random, values, names, os }
    }

    /// Calls `each` with batches of write operations for the connections `numbers`.
    pub(crate) fn batches(&mut self, numbers: std::ops::Range<u64>, mut each: impl FnMut(Vec<WriteOp>)) {
        let mut batch = Vec::with_capacity(BATCH + 16);
        for number in numbers {
            self.connection(number, &mut batch);
            if batch.len() >= BATCH {
                each(std::mem::replace(&mut batch, Vec::with_capacity(BATCH + 16)));
            }
        }
        let time = Time(EPOCH);
        batch.push(WriteOp::RunEnd(RunEnd { ended: time, counters: "{}".to_owned() }));
        each(batch);
    }

    fn connection(&mut self, number: u64, batch: &mut Vec<WriteOp>) {
        let start = EPOCH + number * PACE;
        let client = ([10, 0, self.random.below(16) as u8, self.random.below(256) as u8].into(), 40_000);
        let server = ([192, 0, 2, self.random.below(256) as u8].into(), 443);
        // Flow ids are as randomly distributed as those of a sensor.
        let id = SplitMix64::for_item(1, number).next() >> 11;
        let flow = FlowIdentity {
            id,
            community: CommunityId::of(client, server, 6),
            client,
            server,
            proto: 6,
            vlan: VlanTags::NONE,
        };
        let mut tell = |method, side, value: ArcStr, after| {
            let value = Arc::new(FingerprintValue { text: value, ..FingerprintValue::default() });
            let time = Time(start + after);
            let seen = FingerprintRecord::new(method, side, 1, value, (Time(start), time));
            batch.push(WriteOp::Fingerprint { flow, interface: 0, seen, at: SeenAt { time, packet: None, count: 1 } });
        };
        for (place, (method, side, values)) in (0..).zip(&self.values) {
            // A skewed distribution: a few values account for most fingerprints.
            let (one, other) = (self.random.below(values.len() as u64), self.random.below(values.len() as u64));
            let at = (one * other / values.len() as u64) as usize;
            tell(*method, *side, ArcStr::clone(&values[at]), place * 1_000_000);
        }
        for (method, side) in [(Method::Ja4l, Side::Client), (Method::Ja4ls, Side::Server)] {
            tell(method, side, format!("{}_64", self.random.below(320) * self.random.below(320)).into(), 6_000_000);
        }
        let sni = self.names[self.random.below(self.names.len() as u64) as usize].clone();
        let tls = TlsAttributes {
            sni: Some(sni.into()),
            version: Some("TLS 1.3"),
            alpn: [arcstr::literal!("h2")].into(),
            ..TlsAttributes::default()
        };
        batch.push(WriteOp::ConnectionEnd(Box::new(ConnectionRecord {
            last: Time(start + self.random.below(90_000_000_000)),
            packets: [12, 20].into(),
            bytes: [1_500, 30_000].into(),
            ended: Some(EndReason::Fin),
            attributes: Attributes { tls: Some(CowArc::new(tls)), ..Attributes::default() }.into(),
            hops: [Some(2), None].into(),
            mss: Some(1460),
            os: self.os,
            ..ConnectionRecord::new(&flow, 0, Time(start))
        })));
    }
}
