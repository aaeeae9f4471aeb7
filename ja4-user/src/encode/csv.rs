//! Comma-separated values (RFC 4180): a column for every field of the field table that an event contains.

use super::address::{address, hex_u16};
use super::clock::{Clock, date_time};
use super::escape;
use super::filter::{ALERT, CONNECTION, FINGERPRINT};
use super::layout::{COLUMNS, Run};
use super::quic_version::quic_version;
use crate::model::field::{FieldSource, FieldValue, Subject, place};
use crate::model::{ConnectionRecord, FingerprintRecord, Time};

/// Between the items of one field.
const SEPARATOR: &str = ";";

/// Appends the header line.
pub(super) fn header(out: &mut Vec<u8>) {
    out.extend_from_slice(b"timestamp,event_type");
    for field in COLUMNS.all() {
        out.push(b',');
        out.extend_from_slice(field.name().as_bytes());
    }
    out.push(b'\n');
}

/// Writes events as CSV; see [`Format::Csv`](super::Format::Csv).
#[derive(Debug)]
pub(super) struct Csv {
    clock: Clock,
}

impl Csv {
    pub(super) fn new() -> Self {
        Self { clock: Clock::new() }
    }

    /// Writes the columns of the shard, and leaves the line open: those of the engine follow.
    pub(super) fn event(&mut self, event: u8, at: Time, subject: &Subject<'_>, out: &mut Vec<u8>) {
        self.start(event, at, out);
        columns(&COLUMNS.shard, event, subject, &mut self.clock, out);
    }

    /// Writes a whole line.
    pub(super) fn row(&mut self, event: u8, at: Time, row: &impl FieldSource, out: &mut Vec<u8>) {
        self.start(event, at, out);
        for runs in [&COLUMNS.shard, &COLUMNS.engine, &COLUMNS.alert] {
            columns(runs, event, row, &mut self.clock, out);
        }
        end(out);
    }

    fn start(&mut self, event: u8, at: Time, out: &mut Vec<u8>) {
        self.clock.timestamp(at, out);
        out.push(b',');
        let name = match event {
            place::FINGERPRINT => FINGERPRINT,
            place::CONNECTION => CONNECTION,
            _ => ALERT,
        };
        out.extend_from_slice(name.as_bytes());
        out.push(b',');
    }
}

/// The columns of the engine of a fingerprint, to the end of its line.
pub(super) fn add_to_fingerprint(seen: &FingerprintRecord, out: &mut Vec<u8>) {
    add(place::FINGERPRINT, &Subject { seen: Some(seen), ..Subject::NONE }, out);
}

/// The columns of the engine of a connection, to the end of its line.
pub(super) fn add_to_connection(record: &ConnectionRecord, out: &mut Vec<u8>) {
    add(place::CONNECTION, &Subject::of_record(record, None, &[]), out);
}

/// The end of the line of an event of which the engine knows nothing.
pub(super) fn add_nothing(out: &mut Vec<u8>) {
    add(place::FINGERPRINT, &Subject::NONE, out);
}

fn add(event: u8, subject: &Subject<'_>, out: &mut Vec<u8>) {
    let mut clock = Clock::new();
    columns(&COLUMNS.engine, event, subject, &mut clock, out);
    columns(&COLUMNS.alert, event, subject, &mut clock, out);
    end(out);
}

/// The last comma is the line's end.
fn end(out: &mut Vec<u8>) {
    out.pop();
    out.push(b'\n');
}

fn columns(runs: &[Run], event: u8, source: &impl FieldSource, clock: &mut Clock, out: &mut Vec<u8>) {
    for Run { section, fields } in runs {
        if !source.has(*section) {
            out.resize(out.len() + fields.len(), b',');
            continue;
        }
        for field in fields {
            if let Some(value) = source.value(*field).filter(|_| field.is_in(event)) {
                write(value, clock, out);
            }
            out.push(b',');
        }
    }
}

fn write(value: FieldValue<'_>, clock: &mut Clock, out: &mut Vec<u8>) {
    match value {
        FieldValue::Absent | FieldValue::Bool(false) => {}
        FieldValue::Bool(true) => out.extend_from_slice(b"true"),
        FieldValue::Number(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        FieldValue::Text(text) => escape::csv(text, out),
        FieldValue::Ip(of) => address(of, out),
        FieldValue::Hex(number) => hex_u16(number, out),
        FieldValue::QuicVersion(version) => quic_version(version, out),
        FieldValue::Timestamp(at) => clock.timestamp(at, out),
        FieldValue::UtcDate(seconds) => date_time(seconds, out),
        FieldValue::Tags(tags) => {
            let tags = tags.iter().filter(|tag| **tag != 0).map(u16::to_string);
            escape::csv(&tags.collect::<Vec<_>>().join(SEPARATOR), out);
        }
        FieldValue::Texts(texts) => escape::csv(&texts.join(SEPARATOR), out),
        FieldValue::Pairs(pairs) => {
            let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
            escape::csv(&pairs.collect::<Vec<_>>().join(SEPARATOR), out);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
