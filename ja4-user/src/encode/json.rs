//! JSON lines, in the shape of Suricata's EVE.
//!
//! A line is written in one pass and without allocation, field by field in the order of the field table. What is
//! absent has no field, and an object without fields is not written.

use super::address::{address, hex_u16};
use super::clock::{Clock, date_time};
use super::escape;
use super::filter::{ALERT, CONNECTION, FINGERPRINT, STATS};
use super::layout::{Layout, Run, layout};
use super::quic_version::quic_version;
use crate::model::field::{Field, FieldSource, FieldValue, Subject, place};
use crate::model::{ConnectionRecord, CounterGroup, CounterValue, FingerprintRecord, FlowIdentity, StatsRecord, Time};

/// Room reserved for a line before it is written. Most lines fit; a longer one grows the buffer.
const LINE: usize = 1024;

/// Writes events as JSON; see [`Format::Json`](super::Format::Json).
#[derive(Debug)]
pub(super) struct Json {
    clock: Clock,
    sensor: Option<String>,
    /// The flow of `flow_fields`. Events of a flow are bursty, so its fields are written once.
    flow: Option<FlowIdentity>,
    flow_fields: Vec<u8>,
    /// Length of those that precede the number of the packet.
    flow_ids_len: usize,
}

impl Json {
    pub(super) fn new(sensor: Option<String>) -> Self {
        Self { clock: Clock::new(), sensor, flow: None, flow_fields: Vec::new(), flow_ids_len: 0 }
    }

    /// Writes a line of this [`place`] and leaves it open behind the comma of its last field; [`end`] closes it.
    pub(super) fn event(&mut self, event: u8, at: Time, subject: &Subject<'_>, out: &mut Vec<u8>) {
        out.reserve(LINE);
        let Layout { head, flow_ids, flow, body, .. } = layout(event);
        start(&mut self.clock, at, event, out);
        let mut writer = FieldWriter::new(out, &mut self.clock);
        writer.fields(head, subject);
        let of = subject.flow();
        if self.flow.as_ref() != of {
            self.flow = of.copied();
            self.flow_fields.clear();
            FieldWriter::new(&mut self.flow_fields, writer.clock).fields(flow_ids, subject);
            self.flow_ids_len = self.flow_fields.len();
            FieldWriter::new(&mut self.flow_fields, writer.clock).fields(flow, subject);
        }
        let (ids, rest) = self.flow_fields.split_at(self.flow_ids_len);
        writer.out.extend_from_slice(ids);
        writer.fields(&[Field::PcapCnt], subject);
        writer.out.extend_from_slice(rest);
        writer.runs(body, subject);
        writer.finish();
    }

    /// Writes the line of a stored row, and leaves it open.
    pub(super) fn row(&mut self, event: u8, at: Time, row: &impl FieldSource, out: &mut Vec<u8>) {
        let Layout { head, flow_ids, flow, body, engine } = layout(event);
        start(&mut self.clock, at, event, out);
        let mut writer = FieldWriter::new(out, &mut self.clock);
        writer.fields(head, row);
        writer.fields(flow_ids, row);
        writer.fields(&[Field::PcapCnt], row);
        writer.fields(flow, row);
        writer.runs(body, row);
        writer.runs(engine, row);
        writer.finish();
    }

    pub(super) fn stats(&mut self, at: Time, record: &StatsRecord, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"timestamp":""#);
        self.clock.timestamp(at, out);
        out.extend_from_slice(br#"","event_type":""#);
        out.extend_from_slice(STATS.as_bytes());
        out.extend_from_slice(b"\",");
        if let Some(sensor) = &self.sensor {
            out.extend_from_slice(Field::Sensor.row().key.as_bytes());
            quoted(sensor, out);
            out.push(b',');
        }
        out.extend_from_slice(br#""stats":"#);
        group(record, out);
        out.extend_from_slice(b"}\n");
    }
}

/// Appends the fields that the engine adds to a fingerprint.
pub(super) fn add_to_fingerprint(seen: &FingerprintRecord, out: &mut Vec<u8>) {
    engine(place::FINGERPRINT, &Subject { seen: Some(seen), ..Subject::NONE }, out);
}

/// Appends the fields that the engine adds to a connection.
pub(super) fn add_to_connection(record: &ConnectionRecord, out: &mut Vec<u8>) {
    engine(place::CONNECTION, &Subject::of_record(record, None, &[]), out);
}

fn engine(event: u8, subject: &Subject<'_>, out: &mut Vec<u8>) {
    let mut clock = Clock::new();
    let mut writer = FieldWriter::new(out, &mut clock);
    writer.runs(&layout(event).engine, subject);
    writer.finish();
}

/// Appends the list `fingerprints` and a comma, unless it is empty. An entry has the fields of a `fingerprint` event.
pub(super) fn fingerprints<'a, S: FieldSource + 'a>(list: impl IntoIterator<Item = (Time, S)>, out: &mut Vec<u8>) {
    let mut clock = Clock::new();
    let begin = out.len();
    out.extend_from_slice(br#""fingerprints":["#);
    let empty = out.len();
    for (at, source) in list {
        out.extend_from_slice(br#"{"timestamp":""#);
        clock.timestamp(at, out);
        out.extend_from_slice(b"\",");
        let mut writer = FieldWriter::new(out, &mut clock);
        writer.fields(&[Field::PcapCnt], &source);
        for field in FINGERPRINT_FIELDS {
            if let Some(value) = source.value(field) {
                // Without the object `fingerprint` around it.
                writer.write(field.row().key, value);
            }
        }
        writer.runs(&layout(place::FINGERPRINT).engine, &source);
        writer.finish();
        out.pop();
        out.extend_from_slice(b"},");
    }
    if out.len() == empty {
        out.truncate(begin);
    } else {
        out.pop();
        out.extend_from_slice(b"],");
    }
}

/// Fields of a fingerprint that are recorded.
const FINGERPRINT_FIELDS: [Field; 5] = [
    Field::FingerprintType,
    Field::FingerprintValue,
    Field::FingerprintSide,
    Field::FingerprintCount,
    Field::FingerprintRaw,
];

/// Appends what the messages of a connection contained as a JSON object.
pub(crate) fn attributes(record: &ConnectionRecord, out: &mut Vec<u8>) {
    let subject = Subject::of_record(record, None, &[]);
    out.push(b'{');
    let mut clock = Clock::new();
    let mut writer = FieldWriter::new(out, &mut clock);
    for Run { section, fields } in &layout(place::CONNECTION).body {
        if subject.has(*section) {
            for field in fields.iter().filter(|field| field.is_in(place::ATTRIBUTES)) {
                writer.field(*field, &subject);
            }
        }
    }
    writer.finish();
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b'}');
}

/// The start of a line: time and type.
#[inline]
fn start(clock: &mut Clock, at: Time, event: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"timestamp":""#);
    clock.timestamp(at, out);
    out.extend_from_slice(br#"","event_type":""#);
    let name = match event {
        place::FINGERPRINT => FINGERPRINT,
        place::CONNECTION => CONNECTION,
        _ => ALERT,
    };
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",");
}

/// Closes a line, in place of the comma behind its last field.
#[inline]
pub(super) fn end(out: &mut Vec<u8>) {
    out.pop();
    out.extend_from_slice(b"}\n");
}

/// Writes fields with a comma behind each, and opens and closes the objects that contain them.
struct FieldWriter<'o> {
    out: &'o mut Vec<u8>,
    clock: &'o mut Clock,
    /// Names of the objects that are open.
    open: &'static [&'static str],
}

impl<'o> FieldWriter<'o> {
    fn new(out: &'o mut Vec<u8>, clock: &'o mut Clock) -> Self {
        Self { out, clock, open: &[] }
    }

    #[inline]
    fn runs(&mut self, runs: &[Run], source: &impl FieldSource) {
        for Run { section, fields } in runs {
            if source.has(*section) {
                self.fields(fields, source);
            }
        }
    }

    #[inline]
    fn fields(&mut self, fields: &[Field], source: &impl FieldSource) {
        for field in fields {
            self.field(*field, source);
        }
    }

    #[inline]
    fn field(&mut self, field: Field, source: &impl FieldSource) {
        // A flag that does not hold is left out.
        if let Some(value) = source.value(field).filter(|value| *value != FieldValue::Bool(false)) {
            let row = field.row();
            let parents = row.parents();
            if self.open.len() != parents.len() || self.open != parents {
                self.enter(parents);
            }
            self.write(row.key, value);
        }
    }

    /// Opens and closes objects until these are open.
    fn enter(&mut self, parents: &'static [&'static str]) {
        let shared = self.open.iter().zip(parents).take_while(|(one, other)| one == other).count();
        for _ in shared..self.open.len() {
            self.out.pop();
            self.out.extend_from_slice(b"},");
        }
        for name in parents.iter().skip(shared) {
            self.out.push(b'"');
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"\":{");
        }
        self.open = parents;
    }

    fn finish(mut self) {
        self.enter(&[]);
    }

    fn write(&mut self, key: &str, value: FieldValue<'_>) {
        let Self { out, clock, .. } = self;
        out.extend_from_slice(key.as_bytes());
        match value {
            FieldValue::Absent => out.extend_from_slice(b"null"),
            FieldValue::Number(value) => number(value, out),
            FieldValue::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
            FieldValue::Text(text) => quoted(text, out),
            FieldValue::Ip(of) => text(out, |out| address(of, out)),
            FieldValue::Hex(value) => text(out, |out| hex_u16(value, out)),
            FieldValue::QuicVersion(version) => text(out, |out| quic_version(version, out)),
            FieldValue::Timestamp(at) => text(out, |out| clock.timestamp(at, out)),
            FieldValue::UtcDate(seconds) => text(out, |out| date_time(seconds, out)),
            FieldValue::Tags(tags) => list(tags.into_iter().filter(|tag| *tag != 0), out, number),
            FieldValue::Texts(texts) => list(texts, out, |text, out| quoted(text, out)),
            FieldValue::Pairs(pairs) => {
                out.push(b'{');
                for (name, value) in pairs {
                    quoted(name, out);
                    out.push(b':');
                    quoted(value, out);
                    out.push(b',');
                }
                out.pop();
                out.push(b'}');
            }
        }
        out.push(b',');
    }
}

/// A list of at least one item.
fn list<T>(items: impl IntoIterator<Item = T>, out: &mut Vec<u8>, mut write: impl FnMut(T, &mut Vec<u8>)) {
    out.push(b'[');
    for item in items {
        write(item, out);
        out.push(b',');
    }
    out.pop();
    out.push(b']');
}

/// A text that needs no escaping.
#[inline]
fn text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// A text of any content.
#[inline]
pub(super) fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape::json(text, out);
    out.push(b'"');
}

#[inline]
fn number(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a tree of counters as a JSON object.
pub(crate) fn group(CounterGroup(entries): &CounterGroup, out: &mut Vec<u8>) {
    out.push(b'{');
    for (place, (name, value)) in entries.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        quoted(name, out);
        out.push(b':');
        match value {
            CounterValue::Count(count) => number(*count, out),
            CounterValue::Text(text) => quoted(text, out),
            CounterValue::Group(inner) => group(inner, out),
        }
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests;
