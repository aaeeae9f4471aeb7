//! JSON lines, in the shape of Suricata's EVE.
//!
//! A line is written in one pass and without allocation, field by field in the order of the field table. What is
//! absent has no field, and an object without fields is not written.

use super::address::{address, hex_u16};
use super::clock::{Clock, date_time};
use super::escape;
use super::filter;
use super::quic_version::quic_version;
use crate::model::field::place::{self, ALERT, CONNECTION, FINGERPRINT};
use crate::model::field::{Field, FieldKey, FieldSource, FieldValue, Subject};
use crate::model::{ConnectionRecord, CounterGroup, CounterValue, FlowIdentity, StatsRecord, Time};

// The fields of an event, in the order of the table: a head, fields that are the same in all events of a flow with the number
// of the packet among them, and the body.
const FLOW_ID: u8 = Field::FlowId as u8;
const PCAP_CNT: u8 = Field::PcapCnt as u8;
const BEHIND_PCAP_CNT: u8 = PCAP_CNT + 1;
const BODY: u8 = Field::Proto as u8 + 1;
/// Behind the last field.
const ALL: u8 = u8::MAX;

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

    /// Writes the line of an event of the [place] `PLACE`.
    #[inline(always)]
    pub(super) fn event<const PLACE: u8>(&mut self, at: Time, subject: &Subject<'_>, out: &mut Vec<u8>) {
        self.open_event::<PLACE>(at, subject, out);
        end(out);
    }

    /// Writes the line of a connection with its fingerprints.
    pub(super) fn snapshot(&mut self, at: Time, subject: &Subject<'_>, record: &ConnectionRecord, out: &mut Vec<u8>) {
        self.open_event::<CONNECTION>(at, subject, out);
        let history = record.history.iter();
        fingerprints(history.map(|seen| (seen.time(record.start), Subject { seen: Some(seen), ..Subject::NONE })), out);
        end(out);
    }

    /// Writes a line and leaves it open behind the comma of its last field; [`end`] closes it.
    #[inline(always)]
    fn open_event<const PLACE: u8>(&mut self, at: Time, subject: &Subject<'_>, out: &mut Vec<u8>) {
        out.reserve(LINE);
        let Self { clock, flow, flow_fields, flow_ids_len, .. } = self;
        start(clock, at, PLACE, out);
        FieldWriter::write_all::<PLACE, 0, FLOW_ID>(subject, clock, out);
        let of = subject.flow();
        if flow.as_ref() != of {
            *flow = of.copied();
            flow_fields.clear();
            FieldWriter::write_all::<PLACE, FLOW_ID, PCAP_CNT>(subject, clock, flow_fields);
            *flow_ids_len = flow_fields.len();
            FieldWriter::write_all::<PLACE, BEHIND_PCAP_CNT, BODY>(subject, clock, flow_fields);
        }
        let (ids, rest) = flow_fields.split_at(*flow_ids_len);
        out.extend_from_slice(ids);
        FieldWriter::write_all::<PLACE, PCAP_CNT, BEHIND_PCAP_CNT>(subject, clock, out);
        out.extend_from_slice(rest);
        FieldWriter::write_all::<PLACE, BODY, ALL>(subject, clock, out);
    }

    /// Writes the line of a stored row, and leaves it open.
    pub(super) fn row(&mut self, event: u8, at: Time, row: &impl FieldSource, out: &mut Vec<u8>) {
        start(&mut self.clock, at, event, out);
        match event {
            FINGERPRINT => FieldWriter::write_all::<FINGERPRINT, 0, ALL>(row, &mut self.clock, out),
            CONNECTION => FieldWriter::write_all::<CONNECTION, 0, ALL>(row, &mut self.clock, out),
            _ => FieldWriter::write_all::<ALERT, 0, ALL>(row, &mut self.clock, out),
        }
    }

    pub(super) fn stats(&mut self, at: Time, record: &StatsRecord, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"timestamp":""#);
        self.clock.timestamp(at, out);
        out.extend_from_slice(br#"","event_type":""#);
        out.extend_from_slice(filter::STATS.as_bytes());
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
        for field in FINGERPRINT_FIELDS {
            if let Some(value) = source.value(field) {
                // Without the object `fingerprint` around it.
                write(field.key().key, value, &mut clock, out);
            }
        }
        FieldWriter::write_all::<FINGERPRINT, { Field::LabelName as u8 }, ALL>(&source, &mut clock, out);
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
const FINGERPRINT_FIELDS: [Field; 6] = [
    Field::PcapCnt,
    Field::FingerprintType,
    Field::FingerprintValue,
    Field::FingerprintSide,
    Field::FingerprintCount,
    Field::FingerprintRaw,
];

/// Appends what the messages of a connection contained as a JSON object.
pub(crate) fn attributes(record: &ConnectionRecord, out: &mut Vec<u8>) {
    out.push(b'{');
    FieldWriter::write_all::<{ place::ATTRIBUTES }, 0, ALL>(
        &Subject::of_record(record, None, None),
        &mut Clock::new(),
        out,
    );
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
        FINGERPRINT => filter::FINGERPRINT,
        CONNECTION => filter::CONNECTION,
        _ => filter::ALERT,
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
pub(super) struct FieldWriter<'o> {
    out: &'o mut Vec<u8>,
    clock: &'o mut Clock,
    /// The object that is open, as in [`FieldKey`], and its path.
    object: u8,
    open: &'static [&'static str],
}

impl<'o> FieldWriter<'o> {
    /// Writes the fields of a place in a range, as [`FieldSource::each`].
    #[inline(always)]
    fn write_all<const PLACE: u8, const FIRST: u8, const END: u8>(
        source: &impl FieldSource,
        clock: &'o mut Clock,
        out: &'o mut Vec<u8>,
    ) {
        let mut writer = Self { out, clock, object: 0, open: &[] };
        source.each::<PLACE, FIRST, END>(
            #[inline(always)]
            |key, value| writer.field(key, value),
        );
        if writer.object != 0 {
            writer.enter(0, &[]);
        }
    }

    /// Writes these fields of a source, those of one object next to each other.
    pub(super) fn write_list(
        source: &impl FieldSource,
        fields: impl IntoIterator<Item = Field>,
        clock: &'o mut Clock,
        out: &'o mut Vec<u8>,
    ) {
        let mut writer = Self { out, clock, object: 0, open: &[] };
        for field in fields.into_iter().filter(|field| source.has(field.row().section())) {
            if let Some(value) = source.value(field) {
                writer.field(field.key(), value);
            }
        }
        if writer.object != 0 {
            writer.enter(0, &[]);
        }
    }

    #[inline(always)]
    fn field(&mut self, FieldKey { key, object, parents }: FieldKey, value: FieldValue<'_>) {
        // A flag that does not hold is left out.
        if value != FieldValue::Bool(false) {
            if self.object != object {
                self.enter(object, parents);
            }
            write(key, value, self.clock, self.out);
        }
    }

    /// Opens and closes objects until these are open.
    #[inline(never)]
    fn enter(&mut self, object: u8, parents: &'static [&'static str]) {
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
        (self.object, self.open) = (object, parents);
    }
}

/// Writes a field and a comma.
#[inline(always)]
pub(super) fn write(key: &str, value: FieldValue<'_>, clock: &mut Clock, out: &mut Vec<u8>) {
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
        FieldValue::Tags(tags) => list(tags.iter(), out, number),
        FieldValue::Texts(texts) => list(texts, out, |text, out| quoted(text, out)),
        FieldValue::MethodValues(values) => list(values.iter(), out, quoted),
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

/// A list of at least one item.
pub(super) fn list<T>(items: impl IntoIterator<Item = T>, out: &mut Vec<u8>, mut write: impl FnMut(T, &mut Vec<u8>)) {
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
pub(super) fn text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
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
pub(super) fn number(value: impl itoa::Integer, out: &mut Vec<u8>) {
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
