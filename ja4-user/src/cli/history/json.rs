//! Rows as JSON lines, with the field names of the output.

use serde_json::Value;

use super::Runs;
use crate::encode::clock::Clock;
use crate::encode::escape;
use crate::model::path::Path;
use crate::model::{FlowIdentity, Time};
use crate::output::storage::reader::{App, Bad, StoredAlert, StoredConnection, StoredFingerprint};
use crate::output::storage::{FirstSeenRow, reader::ValueDifference};

/// An object that is being written. What is absent has no field.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    /// Writes a whole object.
    pub(super) fn write(out: &'a mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
        out.push(b'{');
        fill(&mut Object { out, first: true });
        out.push(b'}');
    }

    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        quoted(name, self.out);
        self.out.push(b':');
        self.out
    }

    pub(super) fn text(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            quoted(text, self.name(name));
        }
        self
    }

    pub(super) fn number(&mut self, name: &str, number: Option<impl itoa::Integer>) -> &mut Self {
        if let Some(number) = number {
            let mut buffer = itoa::Buffer::new();
            self.name(name).extend_from_slice(buffer.format(number).as_bytes());
        }
        self
    }

    /// A field that is there only if it holds.
    fn flag(&mut self, name: &str, holds: bool) -> &mut Self {
        if holds {
            self.name(name).extend_from_slice(b"true");
        }
        self
    }

    pub(super) fn time(&mut self, name: &str, time: Time) -> &mut Self {
        let out = self.name(name);
        out.push(b'"');
        Clock::new().timestamp(time, out);
        out.push(b'"');
        self
    }

    pub(super) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        Object::write(self.name(name), fill);
        self
    }

    /// An object that is there only if something is in it.
    fn some(&mut self, holds: bool, name: &str, fill: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        if holds { self.object(name, fill) } else { self }
    }

    fn list<T>(&mut self, name: &str, items: &[T], mut each: impl FnMut(&T, &mut Vec<u8>)) -> &mut Self {
        let out = self.name(name);
        out.push(b'[');
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            each(item, out);
        }
        out.push(b']');
        self
    }

    fn value(&mut self, name: &str, of: &Value) -> &mut Self {
        value(of, self.name(name));
        self
    }

    /// From the flow's number to the protocol.
    fn flow(&mut self, flow: &FlowIdentity, packet: Option<u64>) -> &mut Self {
        self.number("flow_id", Some(flow.id));
        self.text("community_id", std::str::from_utf8(flow.community.as_bytes()).ok());
        self.number("pcap_cnt", packet);
        let tags: Vec<u16> = flow.vlan.into_iter().filter(|tag| *tag != 0).collect();
        if !tags.is_empty() {
            self.list("vlan", &tags, |tag, out| out.extend_from_slice(itoa::Buffer::new().format(*tag).as_bytes()));
        }
        self.text("src_ip", Some(&flow.client.0.to_string())).number("src_port", Some(flow.client.1));
        self.text("dest_ip", Some(&flow.server.0.to_string())).number("dest_port", Some(flow.server.1));
        self.text("proto", Some(&proto(flow.proto)))
    }

    /// Writes a label under a name: `label` of a fingerprint, `app` of a connection.
    fn label(&mut self, field: &str, label: Option<&App>) -> &mut Self {
        let Some(App { name, source, category, confidence }) = label else {
            return self;
        };
        self.object(field, |of| {
            of.text("name", Some(name)).text("source", source.as_deref()).text("category", category.as_deref());
            of.number("confidence", *confidence);
        })
    }

    fn bad(&mut self, bad: Option<&Bad>) -> &mut Self {
        let Some(Bad { pattern, category, confidence, note }) = bad else {
            return self;
        };
        self.object("known_bad", |of| {
            of.text("pattern", Some(pattern)).text("category", category.as_deref()).number("confidence", *confidence);
            of.text("note", note.as_deref().filter(|note| !note.is_empty()));
        })
    }

    /// What is stored of a value.
    fn fingerprint(&mut self, of: &StoredFingerprint) -> &mut Self {
        self.text("type", Some(of.method.name())).text("value", Some(&of.value));
        self.text("side", Some(of.side.name())).number("count", Some(of.count)).text("raw", of.raw.as_deref())
    }
}

/// The name of a transport protocol.
pub(super) fn proto(proto: u8) -> String {
    match proto {
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        other => other.to_string(),
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape::json(text, out);
    out.push(b'"');
}

/// Any JSON, its strings escaped as all others are.
fn value(of: &Value, out: &mut Vec<u8>) {
    match of {
        Value::String(text) => quoted(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                value(item, out);
            }
            out.push(b']');
        }
        Value::Object(fields) => Object::write(out, |of| {
            for (name, field) in fields {
                of.value(name, field);
            }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.extend_from_slice(of.to_string().as_bytes()),
    }
}

/// A connection; with `timeline`, all of its fingerprints.
pub(super) fn connection(
    of: &StoredConnection,
    timeline: Option<&[StoredFingerprint]>,
    runs: &Runs,
    out: &mut Vec<u8>,
) {
    Object::write(out, |line| {
        let (sensor, interface) = runs.names(of.run, of.interface);
        line.time("timestamp", of.last).text("event_type", Some("connection"));
        line.text("sensor", sensor).text("in_iface", interface);
        line.flow(&of.flow, None).text("app_proto", of.protocol.as_deref());
        line.object("connection", |connection| {
            connection.time("start", of.start).time("end", of.last);
            let ([to_server, to_client], [bytes_to_server, bytes_to_client]) = (of.packets, of.bytes);
            connection.number("pkts_toserver", Some(to_server)).number("pkts_toclient", Some(to_client));
            connection.number("bytes_toserver", Some(bytes_to_server)).number("bytes_toclient", Some(bytes_to_client));
            connection.text("state", Some(of.ended.as_deref().unwrap_or("open")));
        });
        let latency = of.latency;
        line.some(latency != crate::model::Latency::default(), "latency", |line| {
            line.number("client_us", latency.client).number("server_us", latency.server);
            line.number("client_application_us", latency.client_application);
            line.number("server_application_us", latency.server_application);
        });
        for (name, attribute) in &of.attributes {
            line.value(name, attribute);
        }
        line.label("app", of.app.as_ref()).bad(of.known_bad.as_ref()).text("os", of.os.as_deref());
        let [client, server] = of.hops;
        line.some(client.or(server).is_some(), "hops", |hops| {
            hops.number("client", client).number("server", server);
        });
        line.number("mss", of.mss);
        if let Some(mss) = of.mss.and_then(|mss| u16::try_from(mss).ok()) {
            let path = Path::of(mss, of.flow.client.0.is_ipv6());
            line.object("path", |of| {
                of.text("name", path.name).number("confidence", path.name.map(|_| path.confidence));
                of.number("mtu", Some(path.mtu));
            });
        }
        if let Some((name, confidence, mtu)) = &of.tunnel {
            line.object("tunnel", |of| {
                of.text("name", Some(name)).number("confidence", *confidence).number("mtu", *mtu);
            });
        }
        line.text("ssh_session", of.ssh_session.as_deref()).flag("is_new", of.is_new);
        if let Some((method, value)) = &of.primary {
            line.object("primary", |of| {
                of.text("type", Some(method.name())).text("value", Some(value));
            });
        }
        if !of.fired.is_empty() {
            line.list("alerts", &of.fired, |fired, out| quoted(fired, out));
        }
        if let Some(timeline) = timeline {
            line.list("timeline", timeline, |seen, out| {
                Object::write(out, |of| {
                    of.time("timestamp", seen.time).number("pcap_cnt", seen.packet).fingerprint(seen);
                    of.label("label", seen.app.as_ref())
                        .flag("first_seen", seen.first_seen)
                        .bad(seen.known_bad.as_ref());
                });
            });
        }
    });
    out.push(b'\n');
}

/// A fingerprint with its connection.
pub(super) fn fingerprint(of: &StoredConnection, seen: &StoredFingerprint, runs: &Runs, out: &mut Vec<u8>) {
    Object::write(out, |line| {
        let (sensor, interface) = runs.names(of.run, of.interface);
        line.time("timestamp", seen.time).text("event_type", Some("fingerprint"));
        line.text("sensor", sensor).text("in_iface", interface);
        line.flow(&of.flow, seen.packet).text("app_proto", of.protocol.as_deref());
        line.object("fingerprint", |of| {
            of.fingerprint(seen);
        });
        for (name, attribute) in &of.attributes {
            line.value(name, attribute);
        }
        line.label("label", seen.app.as_ref()).flag("first_seen", seen.first_seen).bad(seen.known_bad.as_ref());
    });
    out.push(b'\n');
}

/// An alert, as EVE has it.
pub(super) fn alert(row: &StoredAlert, runs: &Runs, out: &mut Vec<u8>) {
    let of = &row.alert;
    Object::write(out, |line| {
        let (sensor, interface) = runs.names(row.run, of.interface.map(u64::from));
        line.time("timestamp", of.time).text("event_type", Some("alert"));
        line.text("sensor", sensor).text("in_iface", interface);
        match &of.flow {
            Some(flow) => line.flow(flow, of.packet),
            None => line.number("flow_id", row.flow_id).number("pcap_cnt", of.packet),
        };
        line.object("alert", |body| {
            body.text("action", Some("allowed")).text("signature", Some(&of.description));
            body.text("category", of.category.as_deref()).number("severity", Some(of.severity.eve()));
            body.object("ja4sensor", |own| {
                own.text("rule", Some(&of.rule)).text("description", Some(&of.description));
                own.text("severity", Some(of.severity.name())).text("reason", Some(&of.reason));
                own.some(!of.group.is_empty(), "group", |group| {
                    for (name, value) in &of.group {
                        group.text(name, Some(value));
                    }
                });
                own.number("confidence", of.confidence).number("suppressed", Some(of.suppressed));
            });
        });
        if let Some((method, value)) = &of.fingerprint {
            line.object("fingerprint", |of| {
                of.text("type", Some(method.name())).text("value", Some(value));
            });
        }
    });
    out.push(b'\n');
}

/// A value that has changed.
pub(super) fn difference(of: &ValueDifference, out: &mut Vec<u8>) {
    let [first, second] = of.counts;
    Object::write(out, |line| {
        line.text("change", Some(of.change.name())).text("type", Some(of.method.name()));
        line.text("value", Some(&of.value)).number("first", Some(first)).number("second", Some(second));
        line.text("label", of.app.as_deref());
    });
    out.push(b'\n');
}

/// When a value was seen first.
pub(super) fn first_seen(of: &FirstSeenRow, out: &mut Vec<u8>) {
    Object::write(out, |line| {
        line.text("type", Some(of.method.name())).text("value", Some(&of.value));
        line.text("host", of.host.map(|host| host.to_string()).as_deref());
        line.time("first", of.first).time("last", of.last).number("count", Some(of.count));
        line.flag("approved", of.approved);
    });
    out.push(b'\n');
}
