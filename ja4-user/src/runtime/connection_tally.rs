//! Connections summed up by client and by fingerprint, for views.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;
use bytes::Bytes;
use hashbrown::HashMap;
use serde_json::{Value, json};

use crate::encode::clock::Clock;
use crate::model::{ConnectionRecord, FingerprintRecord, HostSort, KnownBad, Label, Method, SortKey, Time, ValueSort};

/// Client software that is named of a host.
const MAX_STACKS: usize = 8;

/// Connections summed up.
#[derive(Debug, Default)]
pub(super) struct ConnectionTally {
    hosts: HashMap<IpAddr, HostTally>,
    values: HashMap<(Method, ArcStr), ValueTally>,
}

/// The connections of a client.
#[derive(Debug, Default)]
struct HostTally {
    connections: u64,
    bytes: u64,
    alerts: u64,
    last: Time,
    os: Option<&'static str>,
    /// Its software: the most specific fingerprints, each with its application.
    stacks: Vec<(Method, ArcStr, Option<Arc<Label>>)>,
}

/// The connections with a fingerprint.
#[derive(Debug)]
struct ValueTally {
    connections: u64,
    hosts: HashSet<IpAddr>,
    first: Time,
    last: Time,
    label: Option<Arc<Label>>,
    known_bad: Option<Arc<KnownBad>>,
}

impl ConnectionTally {
    /// Adds a connection to its client.
    pub(super) fn add_host(&mut self, record: &ConnectionRecord) {
        let host = self.hosts.entry(record.identity.client.0).or_default();
        host.connections += 1;
        host.bytes += record.bytes.client.saturating_add(record.bytes.server);
        host.alerts += record.fired.len() as u64;
        host.last = host.last.max(record.last);
        host.os = record.os().or(host.os);
        if let Some(primary) = record.primary().filter(|primary| primary.method != Method::Ja4t) {
            host.add_stack(primary.method, &primary.value.text, record.app.as_ref());
        }
    }

    /// Adds a connection to each of its fingerprints.
    pub(super) fn add_values(&mut self, record: &ConnectionRecord) {
        for (place, seen) in record.history.iter().enumerate() {
            let is_same =
                |other: &FingerprintRecord| (other.method, &other.value.text) == (seen.method, &seen.value.text);
            let is_repeated = record.history.iter().take(place).any(is_same);
            let time = seen.time(record.start);
            let key = (seen.method, ArcStr::clone(&seen.value.text));
            let value = self.values.entry(key).or_insert_with(|| ValueTally::new(time));
            value.connections += u64::from(!is_repeated);
            value.hosts.insert(record.identity.client.0);
            (value.first, value.last) = (value.first.min(time), value.last.max(time));
            value.label = seen.value.label.clone().or_else(|| value.label.take());
            value.known_bad = seen.value.known_bad.clone().or_else(|| value.known_bad.take());
        }
    }

    /// Adds those of another shard.
    pub(super) fn merge(&mut self, other: Self) {
        for (address, of) in other.hosts {
            let host = self.hosts.entry(address).or_default();
            host.connections += of.connections;
            host.bytes += of.bytes;
            host.alerts += of.alerts;
            host.last = host.last.max(of.last);
            host.os = of.os.or(host.os);
            of.stacks.iter().for_each(|(method, value, app)| host.add_stack(*method, value, app.as_ref()));
        }
        for (key, of) in other.values {
            let value = self.values.entry(key).or_insert_with(|| ValueTally::new(of.first));
            value.connections += of.connections;
            value.hosts.extend(of.hosts);
            (value.first, value.last) = (value.first.min(of.first), value.last.max(of.last));
            value.label = of.label.or_else(|| value.label.take());
            value.known_bad = of.known_bad.or_else(|| value.known_bad.take());
        }
    }

    /// A row for each client.
    pub(super) fn host_rows(&self, sort: HostSort) -> Vec<(SortKey, HostRow<'_>)> {
        let rows = self.hosts.iter().map(|(address, host)| HostRow { address: *address, host });
        rows.map(|row| (row.key(sort), row)).collect()
    }

    /// A row for each fingerprint.
    pub(super) fn value_rows(&self, sort: ValueSort) -> Vec<(SortKey, ValueRow<'_>)> {
        let rows = self.values.iter().map(|((method, text), value)| ValueRow { method: *method, text, value });
        rows.map(|row| (row.key(sort), row)).collect()
    }
}

/// The row of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostRow<'a> {
    address: IpAddr,
    host: &'a HostTally,
}

/// The row of a fingerprint.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueRow<'a> {
    pub(super) method: Method,
    text: &'a ArcStr,
    value: &'a ValueTally,
}

impl HostTally {
    fn add_stack(&mut self, method: Method, value: &ArcStr, app: Option<&Arc<Label>>) {
        let is_known = self.stacks.iter().any(|(of, known, _)| (*of, known) == (method, value));
        if !is_known && self.stacks.len() < MAX_STACKS {
            self.stacks.push((method, ArcStr::clone(value), app.cloned()));
        }
    }
}

impl ValueTally {
    fn new(time: Time) -> Self {
        Self { connections: 0, hosts: HashSet::new(), first: time, last: time, label: None, known_bad: None }
    }
}

impl HostRow<'_> {
    fn key(&self, sort: HostSort) -> SortKey {
        let HostTally { connections, bytes, alerts, last, os, .. } = self.host;
        match sort {
            HostSort::Connections => SortKey::Number(*connections),
            HostSort::Bytes => SortKey::Number(*bytes),
            HostSort::Alerts => SortKey::Number(*alerts),
            HostSort::Last => SortKey::Number(last.0),
            HostSort::Ip => SortKey::Address(self.address, 0),
            HostSort::Os => SortKey::text(*os),
        }
    }

    /// The row as JSON.
    pub(super) fn json(&self) -> Value {
        let HostTally { connections, bytes, alerts, last, os, stacks } = self.host;
        let stack = |(method, value, app): &(Method, ArcStr, Option<Arc<Label>>)| json!({"type": method.name(), "value": &**value, "app": app.as_ref().map(|app| &*app.name)});
        json!({
            "ip": self.address.to_string(), "connections": connections, "bytes": bytes, "alerts": alerts,
            "last": timestamp(*last), "os": os, "stacks": stacks.iter().map(stack).collect::<Vec<_>>(),
        })
    }
}

impl ValueRow<'_> {
    fn key(&self, sort: ValueSort) -> SortKey {
        let ValueTally { connections, hosts, first, last, label, .. } = self.value;
        match sort {
            ValueSort::Connections => SortKey::Number(*connections),
            ValueSort::Hosts => SortKey::Number(hosts.len() as u64),
            ValueSort::FirstSeen => SortKey::Number(first.0),
            ValueSort::Last => SortKey::Number(last.0),
            ValueSort::Type => SortKey::text(Some(self.method.name())),
            ValueSort::Value => SortKey::text(Some(self.text)),
            ValueSort::Label => SortKey::text(label.as_ref().map(|label| &*label.name)),
        }
    }

    /// The row as JSON.
    pub(super) fn json(&self) -> Value {
        let ValueTally { connections, hosts, first, last, label, known_bad } = self.value;
        let known_bad = known_bad.as_ref().map(|known| {
            json!({
                "pattern": &*known.pattern, "category": &*known.category, "confidence": known.confidence,
                "note": &*known.note,
            })
        });
        json!({
            "type": self.method.name(), "value": &**self.text, "label": label.as_ref().map(|label| &*label.name),
            "hosts": hosts.len(), "connections": connections, "first_seen": timestamp(*first),
            "last": timestamp(*last), "known_bad": known_bad,
        })
    }
}

/// A row as the line of an answer.
pub(super) fn line(row: &Value) -> Bytes {
    Bytes::from(row.to_string())
}

fn timestamp(time: Time) -> String {
    let mut text = Vec::new();
    Clock::new().timestamp(time, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;

    fn connection(client: &str, ja4: &str, bytes: u64) -> ConnectionRecord {
        let mut record = example::record(client, "192.0.2.1", 443);
        record.bytes.client = bytes;
        record.note(FingerprintRecord::example(Method::Ja4t, "64240_2-4-8-1-3_1460_7"));
        record.note(FingerprintRecord::example(Method::Ja4, ja4));
        record.note(FingerprintRecord::numbered_example(Method::Ja4, ja4, 2));
        record
    }

    #[test]
    fn shards_together_give_what_one_gives() {
        let records = [connection("10.0.0.1", "a", 5), connection("10.0.0.2", "a", 7), connection("10.0.0.1", "b", 1)];
        let tally = |records: &[ConnectionRecord]| {
            let mut tally = ConnectionTally::default();
            records.iter().for_each(|record| {
                tally.add_host(record);
                tally.add_values(record);
            });
            tally
        };
        let rows = |tally: &ConnectionTally| {
            let mut rows: Vec<String> =
                tally.host_rows(HostSort::Ip).iter().map(|(_, row)| row.json().to_string()).collect();
            rows.extend(tally.value_rows(ValueSort::Value).iter().map(|(_, row)| row.json().to_string()));
            rows.sort();
            rows
        };
        let whole = tally(&records);
        let (first, rest) = records.split_at(1);
        let mut merged = tally(first);
        merged.merge(tally(rest));
        assert_eq!(rows(&merged), rows(&whole));
        let host = whole.host_rows(HostSort::Ip).into_iter().map(|(_, row)| row.json());
        let host = host.min_by_key(|row| row["ip"].to_string()).unwrap();
        assert_eq!(
            (&host["connections"], &host["bytes"], host["stacks"].as_array().unwrap().len()),
            (&json!(2), &json!(6), 2)
        );
        let values = whole.value_rows(ValueSort::Value);
        let a = values.iter().map(|(_, row)| row.json()).find(|row| row["value"] == "a").unwrap();
        assert_eq!((&a["connections"], &a["hosts"]), (&json!(2), &json!(2)));
    }
}
