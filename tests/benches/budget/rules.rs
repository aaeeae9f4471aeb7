//! Nanoseconds that the built-in rules add per fingerprint and per connection.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use ja4_user::detect::rules::GroupLimits;
use ja4_user::detect::{RuleEngine, RuleSet};
use ja4_user::model::{
    CommunityId, ConnectionRecord, EndReason, FingerprintRecord, FlowIdentity, Method, Side, Time, VlanTags,
};

use crate::Scale;
use crate::figure::{Figure, least};

/// Connections in a round: from 5,000 clients in a /16 to 50 servers.
pub(crate) const CONNECTIONS: u32 = 20_000;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let mut records: Vec<_> = (0..CONNECTIONS).map(record).collect();
    let seen = |method, record: &mut ConnectionRecord| record.history.push(seen(method));
    let start = nanoseconds(&records, scale, |_| None)?;
    records.iter_mut().for_each(|record| seen(Method::Ja4t, record));
    let ja4t = nanoseconds(&records, scale, |record| record.history.last())?;
    records.iter_mut().for_each(|record| seen(Method::Ja4, record));
    let ja4 = nanoseconds(&records, scale, |record| record.history.last())?;
    records.iter_mut().for_each(|record| (record.ended, record.packets) = (Some(EndReason::Fin), [9, 9].into()));
    let end = nanoseconds(&records, scale, |_| None)?;
    Ok(vec![
        Figure::new("built-in threshold rules, a fingerprint that no rule is about", ja4t, "ns").at_most(300.0),
        Figure::new("built-in threshold rules, a JA4 that no rule matches", ja4, "ns").at_most(300.0),
        Figure::new("built-in threshold rules, a new connection (3 windows)", start, "ns"),
        Figure::new("built-in threshold rules, the end of a connection", end, "ns").at_most(300.0),
    ])
}

/// Returns the best round over all records, nanoseconds per record. Each round starts with an empty rule engine.
fn nanoseconds(
    records: &[ConnectionRecord],
    scale: Scale,
    event: impl Fn(&ConnectionRecord) -> Option<&FingerprintRecord>,
) -> Result<f64> {
    let (set, _) = RuleSet::load(true, &[])?;
    let mut alerts = Vec::new();
    let rounds = (0..scale.of(20, 2)).map(|_| {
        let mut rules = RuleEngine::new(&set, Arc::default(), GroupLimits::default());
        let begun = Instant::now();
        for (number, record) in (0..).zip(records) {
            rules.evaluate(black_box(record), event(record), Time(number * 100_000), None, &mut alerts);
        }
        let took = begun.elapsed().as_nanos() as f64 / records.len() as f64;
        alerts.clear();
        took
    });
    Ok(least(rounds.collect::<Vec<_>>()))
}

pub(crate) fn record(number: u32) -> ConnectionRecord {
    let client = (IpAddr::V4(Ipv4Addr::from_bits(0x0a01_0000 | (number % 5_000))), 1024 + (number % 60_000) as u16);
    let server = (IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 | (number % 50))), 443);
    let identity = FlowIdentity {
        id: number.into(),
        community: CommunityId::of(client, server, 6),
        client,
        server,
        proto: 6,
        vlan: VlanTags::NONE,
    };
    ConnectionRecord::new(&identity, 0, Time(0))
}

pub(crate) fn seen(method: Method) -> FingerprintRecord {
    let value = Arc::new("t13d1516h2_8daaf6152771_e5627efa2ab1".into());
    FingerprintRecord::new(method, Side::Client, 1, value, (Time(0), Time(0)))
}
