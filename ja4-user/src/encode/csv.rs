//! Comma-separated values (RFC 4180): a column for every field of the field table that an event contains.

use std::sync::LazyLock;

use super::address::{address, hex_u16};
use super::clock::{Clock, date_time};
use super::escape;
use super::filter::{ALERT, CONNECTION, FINGERPRINT};
use super::quic_version::quic_version;
use crate::model::Time;
use crate::model::field::{Field, FieldSource, FieldValue, Section, place};

/// Between the items of one field.
const SEPARATOR: &str = ";";

/// Consecutive columns of one section.
#[derive(Debug)]
struct ColumnRun {
    section: Section,
    fields: Vec<Field>,
}

/// Every field of an event, in the order of the table.
static COLUMNS: LazyLock<Vec<ColumnRun>> = LazyLock::new(|| {
    const LINES: u8 = place::FINGERPRINT | place::CONNECTION | place::ALERT;
    let mut runs: Vec<ColumnRun> = Vec::new();
    for field in Field::ALL.iter().filter(|field| field.is_in(LINES)) {
        let section = field.row().section();
        match runs.last_mut() {
            Some(run) if run.section == section => run.fields.push(*field),
            _ => runs.push(ColumnRun { section, fields: vec![*field] }),
        }
    }
    runs
});

/// Appends the header line.
pub(super) fn header(out: &mut Vec<u8>) {
    out.extend_from_slice(b"timestamp,event_type");
    for field in COLUMNS.iter().flat_map(|run| &run.fields) {
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

    /// Writes a line.
    pub(super) fn row(&mut self, event: u8, at: Time, row: &impl FieldSource, out: &mut Vec<u8>) {
        self.start(event, at, out);
        for ColumnRun { section, fields } in &*COLUMNS {
            if !row.has(*section) {
                out.resize(out.len() + fields.len(), b',');
                continue;
            }
            for field in fields {
                if let Some(value) = row.value(*field).filter(|_| field.is_in(event)) {
                    write(value, &mut self.clock, out);
                }
                out.push(b',');
            }
        }
        // The last comma is the line's end.
        out.pop();
        out.push(b'\n');
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
            let tags = tags.iter().map(|tag| tag.to_string());
            escape::csv(&tags.collect::<Vec<_>>().join(SEPARATOR), out);
        }
        FieldValue::Texts(texts) => escape::csv(&texts.join(SEPARATOR), out),
        FieldValue::MethodValues(values) => escape::csv(&values.iter().collect::<Vec<_>>().join(SEPARATOR), out),
        FieldValue::Pairs(pairs) => {
            let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
            escape::csv(&pairs.collect::<Vec<_>>().join(SEPARATOR), out);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
