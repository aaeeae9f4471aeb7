//! The parts of an event, and the fields that all events have.

use crate::encode::clock::Clock;
use crate::encode::json::{list, quoted, text, write};
use crate::model::field::{Field, FieldSource as _, FieldValue, Subject};
use crate::model::{ConnectionRecord, FingerprintRecord, Method, Time};

/// Room reserved for a line before it is written. Most lines fit; a longer one grows the buffer.
const LINE: usize = 1024;

/// Name of the protocol that Suricata does not have.
pub(super) const DTLS: &str = "dtls";

/// Fields that follow `event_type`, in Suricata's order and with its names.
const HEADER: [Field; 6] = [Field::Vlan, Field::SrcIp, Field::SrcPort, Field::DestIp, Field::DestPort, Field::Proto];

/// Writes events.
#[derive(Debug)]
pub(super) struct EventWriter {
    pub(super) clock: Clock,
    sensor: Option<String>,
}

impl EventWriter {
    pub(super) fn new(sensor: Option<String>) -> Self {
        Self { clock: Clock::new(), sensor }
    }

    /// Writes the fields that every event starts with, and leaves the line open behind a comma.
    pub(super) fn open(
        &mut self,
        event_type: &[u8],
        at: Time,
        packet: Option<u64>,
        subject: &Subject<'_>,
        out: &mut Vec<u8>,
    ) {
        out.reserve(LINE);
        out.extend_from_slice(b"{\"timestamp\":");
        text(out, |out| self.clock.offset_timestamp(at, out));
        out.push(b',');
        for field in [Field::FlowId, Field::InIface] {
            self.known(field, subject, out);
        }
        if let Some(packet) = packet {
            self.field(b"pcap_cnt", FieldValue::number(packet), out);
        }
        out.extend_from_slice(b"\"event_type\":\"");
        out.extend_from_slice(event_type);
        out.extend_from_slice(b"\",");
        for field in HEADER {
            self.known(field, subject, out);
        }
        if let Some(flow) = subject.flow() {
            self.field(b"ip_v", FieldValue::Number(if flow.client.0.is_ipv4() { 4 } else { 6 }), out);
        }
        if let Some(protocol) = subject.record.and_then(app_proto) {
            self.field(b"app_proto", FieldValue::Text(protocol), out);
        }
        self.known(Field::CommunityId, subject, out);
        if let Some(sensor) = &self.sensor {
            key(b"host", out);
            quoted(sensor, out);
            out.push(b',');
        }
    }

    /// Writes a field that has its own name in EVE, if its value is known.
    pub(super) fn known(&mut self, field: Field, subject: &Subject<'_>, out: &mut Vec<u8>) {
        if let Some(value) = subject.value(field) {
            write(field.row().key, value, &mut self.clock, out);
        }
    }

    /// Writes a field and a comma.
    pub(super) fn field(&mut self, name: &[u8], value: FieldValue<'_>, out: &mut Vec<u8>) {
        key(name, out);
        write("", value, &mut self.clock, out);
    }

    /// Writes a text and a comma, if it is known.
    pub(super) fn text(&mut self, name: &[u8], text: Option<&str>, out: &mut Vec<u8>) {
        if let Some(text) = text {
            self.field(name, FieldValue::Text(text), out);
        }
    }
}

/// Suricata's name of the application protocol: it has none for DTLS.
pub(super) fn app_proto(record: &ConnectionRecord) -> Option<&'static str> {
    record.protocol().filter(|protocol| *protocol != DTLS)
}

/// Writes the object `ja4plus`, unless `write` writes no field.
pub(super) fn plus(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    object(b"ja4plus", out, write);
}

/// Writes an object and a comma, unless `write` writes no field.
pub(super) fn object(name: &[u8], out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    key(name, out);
    out.push(b'{');
    let empty = out.len();
    write(out);
    if out.len() == empty {
        out.truncate(begin);
    } else {
        close(out);
    }
}

/// Closes an object of at least one field.
pub(super) fn close(out: &mut Vec<u8>) {
    out.pop();
    out.extend_from_slice(b"},");
}

/// Writes the values of fingerprints, by method: `"ja4":{"ja4":["…"]},`.
pub(super) fn values<'a>(fingerprints: impl Iterator<Item = &'a FingerprintRecord> + Clone, out: &mut Vec<u8>) {
    object(b"ja4", out, |out| {
        for method in Method::ALL {
            let mut of_method = fingerprints.clone().filter(|seen| seen.method == method).peekable();
            if of_method.peek().is_some() {
                key(method.name().as_bytes(), out);
                list(of_method.map(|seen| &*seen.value.text), out, quoted);
                out.push(b',');
            }
        }
    });
}

/// Writes the value of one fingerprint, in the form of [`values`].
pub(super) fn value(method: Method, value: &str, out: &mut Vec<u8>) {
    object(b"ja4", out, |out| {
        key(method.name().as_bytes(), out);
        list([value], out, quoted);
        out.push(b',');
    });
}

/// Writes a key with its colon.
pub(super) fn key(name: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(name);
    out.extend_from_slice(b"\":");
}
