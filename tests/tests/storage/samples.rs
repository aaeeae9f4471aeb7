//! Sample write operations in the form in which the engine sends them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ja4_user::model::path::Syn;
use ja4_user::model::{
    Alert, Attributes, CommunityId, ConnectionRecord, CowArc, EndReason, FingerprintRecord, FlowIdentity,
    InterfaceNames, Label, Latency, Method, Severity, Side, Time, TlsAttributes, VlanTags, os,
};
use ja4_user::output::storage::{RunEnd, SeenAt, SensorRun, WriteOp, WriterOptions};

/// 2026-11-23T07:00:00Z
pub(crate) const BASE_TIME: u64 = 1_795_417_200_000_000_000;
/// A second, nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A flow by its number: client 10.0.x.y, server 192.0.2.1:443.
pub(crate) fn flow(number: u64) -> FlowIdentity {
    let [.., a, b, c] = number.to_be_bytes();
    let client = (IpAddr::V4(Ipv4Addr::new(10, a, b, c)), 40_000);
    let server = (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 443);
    FlowIdentity {
        id: number,
        community: CommunityId::of(client, server, 6),
        client,
        server,
        proto: 6,
        vlan: VlanTags::NONE,
    }
}

pub(crate) fn fingerprint_record(method: Method, value: &str, time: u64) -> FingerprintRecord {
    FingerprintRecord::new(method, Side::Client, 1, Arc::new(value.into()), (Time(time), Time(time)))
}

pub(crate) fn fingerprint(number: u64, value: &str, time: u64) -> WriteOp {
    fingerprint_of(number, Method::Ja4, value, time)
}

pub(crate) fn fingerprint_of(number: u64, method: Method, value: &str, time: u64) -> WriteOp {
    let at = SeenAt { time: Time(time), packet: Some(7), count: 1 };
    WriteOp::Fingerprint { flow: flow(number), interface: 0, seen: fingerprint_record(method, value, time), at }
}

pub(crate) fn record(number: u64, start: u64, last: u64) -> ConnectionRecord {
    ConnectionRecord {
        last: Time(last),
        packets: [10, 8].into(),
        bytes: [1000, 9000].into(),
        ended: Some(EndReason::Fin),
        latency: Some(Box::new(Latency { client: Some(120), ..Latency::default() })),
        hops: [Some(3), None].into(),
        mss: Some(1460),
        os: Syn::parse("64240_2-4-8-1-3_1460_7").and_then(|syn| os::hint(&syn, Some(64))),
        ..ConnectionRecord::new(&flow(number), 0, Time(start))
    }
}

pub(crate) fn ended_with_names(record: ConnectionRecord, sni: &str, app: &str) -> WriteOp {
    let tls = TlsAttributes { sni: Some(sni.into()), alpn: ["h2".into()].into(), ..TlsAttributes::default() };
    let app = Label { name: app.into(), source: "builtin".into(), category: None, confidence: Some(80) };
    let attributes = Attributes { tls: Some(CowArc::new(tls)), ..Attributes::default() }.into();
    WriteOp::ConnectionEnd(Box::new(ConnectionRecord { attributes, app: Some(Arc::new(app)), ..record }))
}

pub(crate) fn ended(number: u64, start: u64, last: u64) -> WriteOp {
    WriteOp::ConnectionEnd(Box::new(record(number, start, last)))
}

pub(crate) fn alert(number: u64, severity: Severity, time: u64) -> WriteOp {
    WriteOp::Alert(Box::new(Alert {
        time: Time(time),
        packet: None,
        rule: "known_bad".into(),
        sid: None,
        description: "a fingerprint is known to be bad".into(),
        severity,
        group: vec![("src_ip".into(), flow(number).client.0.to_string().into())],
        reason: "ja4 one is bad".to_owned(),
        flow: Some(flow(number)),
        interface: Some(0),
        fingerprint: Some((Method::Ja4, "one".into())),
        category: Some("c2".into()),
        confidence: Some(90),
        suppressed: 3,
    }))
}

pub(crate) fn run() -> SensorRun {
    SensorRun {
        started: Time(BASE_TIME),
        sensor: Some("web1".to_owned()),
        interfaces: Arc::new(InterfaceNames::from_iter(["eth0"])),
        files: Vec::new(),
    }
}

pub(crate) fn end() -> WriteOp {
    WriteOp::RunEnd(RunEnd { ended: Time(BASE_TIME + SECOND), counters: r#"{"seen":1}"#.to_owned() })
}

/// Writer options that commit after one millisecond.
pub(crate) fn fast_options() -> WriterOptions {
    WriterOptions {
        flush_after: Duration::from_millis(1),
        retry_limit: Duration::from_secs(2),
        ..WriterOptions::default()
    }
}
