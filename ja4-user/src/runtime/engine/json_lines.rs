//! Lines of connections and alerts in JSON, for attached readers and the API.

use std::sync::Arc;

use bytes::Bytes;

use crate::encode::{EncodeContext, Filter, Format, Formatter};
use crate::model::{Alert, ConnectionRecord, EventContext};

/// Encoder of JSON lines for attached readers and the API, whatever the format of the output.
#[derive(Debug)]
pub(super) struct JsonLines {
    formatter: Formatter,
    /// Lines for attached readers.
    pub(super) buffer: Vec<u8>,
}

impl JsonLines {
    pub(super) fn new(context: &EncodeContext) -> Self {
        let context = EncodeContext { filter: Filter::default(), ..context.clone() };
        Self { formatter: Formatter::new(Format::Json, Arc::new(context)), buffer: Vec::new() }
    }

    /// Adds the line of a record for attached readers.
    pub(super) fn connection(&mut self, record: &ConnectionRecord) {
        // The context of the latest change.
        let cause = EventContext { time: record.last, interface: record.interface, hook: None, packet: None };
        self.formatter.snapshot(&cause, record, &mut self.buffer);
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
