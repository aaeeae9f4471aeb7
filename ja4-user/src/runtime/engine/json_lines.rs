//! Lines of connections and alerts in JSON, for attached readers and the API.

use std::sync::Arc;

use bytes::Bytes;

use crate::encode::{Additions, EncodeContext, Filter, Format, Formatter};
use crate::model::{Alert, ConnectionEvent, ConnectionRecord, EndReason, EventContext, FingerprintRecord};

/// Encoder of JSON lines for attached readers and the API, whatever the format of the output.
#[derive(Debug)]
pub(super) struct JsonLines {
    formatter: Formatter,
    additions: Additions,
    /// Lines for attached readers.
    pub(super) buffer: Vec<u8>,
}

impl JsonLines {
    pub(super) fn new(context: &EncodeContext) -> Self {
        let context = EncodeContext { filter: Filter::default(), ..context.clone() };
        Self {
            formatter: Formatter::new(Format::Json, Arc::new(context)).open(),
            additions: Additions::new(Format::Json),
            buffer: Vec::new(),
        }
    }

    /// Adds the line of a record for attached readers.
    pub(super) fn connection(&mut self, record: &ConnectionRecord) {
        open_connection(&mut self.formatter, record, cause_of(record), &mut self.buffer);
        self.additions.snapshot(record, &mut self.buffer);
    }

    /// Returns the line of a record.
    pub(super) fn line(&mut self, record: &ConnectionRecord) -> Bytes {
        let start = self.buffer.len();
        self.connection(record);
        self.split_off(start, false)
    }

    /// Returns the line of an alert, and adds it for attached readers.
    pub(super) fn alert(&mut self, alert: &Alert, has_readers: bool) -> Bytes {
        let start = self.buffer.len();
        self.formatter.alert(alert, None, &mut self.buffer);
        self.split_off(start, has_readers)
    }

    fn split_off(&mut self, start: usize, keep: bool) -> Bytes {
        let line = Bytes::copy_from_slice(self.buffer.get(start..).unwrap_or_default());
        if !keep {
            self.buffer.truncate(start);
        }
        line
    }
}

/// The event context of the latest change of a record.
fn cause_of(record: &ConnectionRecord) -> EventContext {
    let packet = record.history.last().and_then(FingerprintRecord::packet);
    EventContext { time: record.last, interface: record.interface, hook: None, packet }
}

/// Appends the open line of a connection from its record, unless the formatter filters it.
pub(super) fn open_connection(
    formatter: &mut Formatter,
    record: &ConnectionRecord,
    cause: EventContext,
    out: &mut Vec<u8>,
) {
    let event = ConnectionEvent {
        cause,
        flow: &record.identity,
        start: record.start,
        end: record.last,
        packets: record.packets,
        bytes: record.bytes,
        ended: record.ended.unwrap_or(EndReason::Open),
        latency: record.latency(),
        attributes: &record.attributes,
    };
    formatter.connection(&event, out);
}
