//! JSON lines in the event types and shapes of Suricata's EVE.
//!
//! A connection gives a `flow` event at its end, and before it the events of its protocol: `tls` or `quic` for each TLS
//! handshake, or `ssh`. An `http` or `dhcp` event follows each request or message, as their attributes are those of the
//! latest one. What Suricata has no field for is in the object `ja4plus`, under the names of
//! [`Format::Json`](super::Format::Json): without that object a line validates against Suricata's schema.

mod event;
mod flow;
mod protocol;
mod stats;

use std::num::NonZeroU32;

use self::event::{EventWriter, close, key, plus, value};
use self::protocol::MessageKind;
use super::filter::Filter;
use super::json::{FieldWriter, end, write};
use crate::model::field::{Field, FieldSource as _, FieldValue, Subject};
use crate::model::signature_id::signature_id;
use crate::model::{Alert, ConnectionRecord, EventContext, FingerprintEvent, Method, StatsRecord, Time};

/// Suricata's generator of signatures; `alert.gid` is always this one.
const GENERATOR: u8 = 1;
/// Rules have no revisions; `alert.rev` is always this one.
const REVISION: u8 = 1;

/// Fields of an alert in its `ja4plus`, without the objects that they are in elsewhere.
const ALERT: [Field; 6] = [
    Field::AlertRule,
    Field::AlertSeverityName,
    Field::AlertReason,
    Field::AlertGroup,
    Field::AlertConfidence,
    Field::AlertSuppressed,
];

/// Writes events as EVE; see [`Format::Eve`](super::Format::Eve).
#[derive(Debug)]
pub(super) struct Eve {
    filter: Filter,
    writer: EventWriter,
}

impl Eve {
    pub(super) fn new(filter: Filter, sensor: Option<String>) -> Self {
        Self { filter, writer: EventWriter::new(sensor) }
    }

    /// Writes the event of the message that gave a fingerprint: an HTTP request or a DHCP message.
    pub(super) fn fingerprint(&mut self, event: &FingerprintEvent<'_>, subject: &Subject<'_>, out: &mut Vec<u8>) {
        let kind = match event.method {
            Method::Ja4h => MessageKind::Http,
            Method::Ja4d | Method::Ja4d6 => MessageKind::Dhcp,
            _ => return,
        };
        self.writer.message(kind, event.cause.time, event.cause.packet, subject, out);
        plus(out, |out| {
            FieldWriter::write_list(subject, protocol::OF_MESSAGE, &mut self.writer.clock, out);
            value(event.method, event.value, out);
        });
        end(out);
    }

    /// Writes the events of a connection that has ended.
    pub(super) fn connection(
        &mut self,
        cause: &EventContext,
        subject: &Subject<'_>,
        record: &ConnectionRecord,
        out: &mut Vec<u8>,
    ) {
        self.writer.protocol(self.filter, subject, record, out);
        if self.filter.connection() {
            self.writer.flow(cause, subject, record, out);
        }
    }

    pub(super) fn alert(&mut self, alert: &Alert, subject: &Subject<'_>, out: &mut Vec<u8>) {
        self.writer.open(b"alert", alert.time, alert.packet, subject, out);
        key(b"alert", out);
        out.extend_from_slice(br#"{"action":"allowed","#);
        for (name, value) in [
            (&b"gid"[..], GENERATOR.into()),
            (b"signature_id", alert.sid.map_or_else(|| signature_id(&alert.rule), NonZeroU32::get)),
            (b"rev", u32::from(REVISION)),
        ] {
            self.writer.field(name, FieldValue::number(value), out);
        }
        self.writer.field(b"signature", FieldValue::Text(&alert.description), out);
        self.writer.field(b"category", FieldValue::Text(alert.category.as_deref().unwrap_or_default()), out);
        self.writer.field(b"severity", FieldValue::number(alert.severity.eve()), out);
        close(out);
        plus(out, |out| {
            for field in ALERT {
                if let Some(value) = subject.value(field) {
                    write(field.row().key, value, &mut self.writer.clock, out);
                }
            }
            if let Some((method, text)) = &alert.fingerprint {
                value(*method, text, out);
            }
        });
        end(out);
    }

    pub(super) fn stats(&mut self, at: Time, record: &StatsRecord, out: &mut Vec<u8>) {
        self.writer.open(b"stats", at, None, &Subject::NONE, out);
        stats::write(record, out);
        end(out);
    }
}

#[cfg(test)]
mod tests;
