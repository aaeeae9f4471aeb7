//! The outputs of the engine other than standard output: alert sinks, storage, attached readers.
//!
//! A live run never waits for an output: a full queue drops and counts. A replay waits, so nothing is dropped.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arcstr::ArcStr;
use bytes::Bytes;
use hashbrown::HashSet;

use super::tracker::Tracker;
use crate::encode::{Additions, EncodeContext, Filter, Format, Formatter};
use crate::model::{Alert, ConnectionEvent, ConnectionRecord, EndReason, EventContext, FingerprintRecord};
use crate::output::alert::{AlertLine, AlertSinks};
use crate::output::attach::AttachServer;
use crate::output::storage::{MAX_BATCH, WriteOp, WriterHandle, WriterStatus};

/// Total time that a replay waits for an alert sink that delivers nothing.
const SINK_TIMEOUT: Duration = Duration::from_secs(10);

/// Alerts kept for the API.
const MAX_RECENT_ALERTS: usize = 1000;

/// Connection snapshots of one flush; further ones wait for the next flush.
const MAX_SNAPSHOTS: usize = 4096;

/// The outputs of the engine.
#[derive(Debug)]
pub struct EngineOutputs {
    alerts: Option<Arc<AlertSinks>>,
    storage: Option<WriterHandle>,
    attach: Option<Arc<AttachServer>>,
    waits: bool,
    storage_waits: bool,
    items: Vec<WriteOp>,
    /// Flows that have changed since the last snapshot.
    changed: HashSet<u64, foldhash::quality::RandomState>,
    /// Lines of the latest alerts, the newest last.
    recent: VecDeque<Bytes>,
    json: JsonLines,
}

/// Encoder of JSON lines for attached readers and the API, whatever the format of the output.
#[derive(Debug)]
struct JsonLines {
    formatter: Formatter,
    additions: Additions,
    buffer: Vec<u8>,
}

impl JsonLines {
    fn connection(&mut self, record: &ConnectionRecord) {
        open_connection(&mut self.formatter, record, cause_of(record), &mut self.buffer);
        self.additions.snapshot(record, &mut self.buffer);
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.buffer).into()
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

impl EngineOutputs {
    /// Creates an engine without further outputs. `waits` is set in a replay.
    #[must_use]
    pub fn new(context: &EncodeContext, waits: bool) -> Self {
        let context = EncodeContext { filter: Filter::default(), ..context.clone() };
        let json = JsonLines {
            formatter: Formatter::new(Format::Json, Arc::new(context)).open(),
            additions: Additions::new(Format::Json),
            buffer: Vec::new(),
        };
        Self {
            alerts: None,
            storage: None,
            attach: None,
            waits,
            storage_waits: waits,
            items: Vec::new(),
            changed: HashSet::default(),
            recent: VecDeque::new(),
            json,
        }
    }

    /// Adds alert sinks.
    #[must_use]
    pub(crate) fn with_alerts(self, alerts: Arc<AlertSinks>) -> Self {
        Self { alerts: Some(alerts), ..self }
    }

    /// Adds the writer of the database.
    #[must_use]
    pub(crate) fn with_storage(self, storage: WriterHandle) -> Self {
        Self { storage: Some(storage), ..self }
    }

    /// Adds the attach socket, which receives snapshots and alerts.
    #[must_use]
    pub(crate) fn with_attach(self, attach: Arc<AttachServer>) -> Self {
        Self { attach: Some(attach), ..self }
    }

    /// Outputs a fingerprint of a connection.
    pub(super) fn fingerprint(&mut self, record: &ConnectionRecord, seen: &FingerprintRecord) {
        if self.storage.is_some() {
            let (flow, interface) = (record.identity, record.interface);
            self.store(WriteOp::Fingerprint { flow, interface, seen: seen.clone() });
        }
        self.touch(record);
    }

    /// Marks a connection as changed.
    pub(super) fn touch(&mut self, record: &ConnectionRecord) {
        if self.attach.as_ref().is_some_and(|attach| attach.has_readers()) {
            self.changed.insert(record.identity.id);
        }
    }

    /// Outputs a connection that has ended or was evicted.
    pub(super) fn ended(&mut self, record: ConnectionRecord) {
        self.changed.remove(&record.identity.id);
        if self.attach.as_ref().is_some_and(|attach| attach.has_readers()) {
            self.json.connection(&record);
        }
        if self.storage.is_some() {
            self.store(WriteOp::ConnectionEnd(Box::new(record)));
        }
    }

    /// Outputs an alert. `raw` is the raw form of its fingerprint.
    pub(super) fn alert(&mut self, alert: Alert, raw: Option<ArcStr>) {
        let start = self.json.buffer.len();
        self.json.formatter.alert(&alert, None, &mut self.json.buffer);
        let line = Bytes::copy_from_slice(self.json.buffer.get(start..).unwrap_or_default());
        if !self.attach.as_ref().is_some_and(|attach| attach.has_readers()) {
            self.json.buffer.truncate(start);
        }
        if self.recent.len() >= MAX_RECENT_ALERTS {
            self.recent.pop_front();
        }
        self.recent.push_back(line);
        if self.storage.is_some() {
            self.store(WriteOp::Alert(Box::new(alert.clone())));
        }
        if let Some(sinks) = &self.alerts {
            let line = Arc::new(AlertLine { alert, raw });
            if self.waits {
                sinks.send_waiting(&line, SINK_TIMEOUT);
            } else {
                sinks.send(&line);
            }
        }
    }

    /// Whether there is a database.
    pub(super) const fn stores(&self) -> bool {
        self.storage.is_some()
    }

    /// Whether this is a replay, which waits for its outputs.
    pub(super) const fn waits(&self) -> bool {
        self.waits
    }

    fn storage_status(&self) -> Option<WriterStatus> {
        self.storage.as_ref().map(WriterHandle::status)
    }

    /// Rows of saved state that the database lost.
    pub(super) fn saved_state_lost(&self) -> u64 {
        self.storage_status().map_or(0, |status| status.saved_state_lost)
    }

    /// How often the database file was deleted or replaced.
    pub(super) fn files_replaced(&self) -> u64 {
        self.storage_status().map_or(0, |status| status.file_replaced)
    }

    /// The latest error of the database, if its last transaction failed.
    pub(super) fn storage_failure(&self) -> Option<String> {
        let status = self.storage_status()?;
        status.failing.then(|| status.last_error.unwrap_or_default())
    }

    /// Describes the rows lost so far, if any were lost or the database fails.
    pub(super) fn storage_loss(&self) -> Option<String> {
        self.storage_status().filter(|status| status.failing || status.lost() > 0).map(|status| status.loss())
    }

    /// Makes further writes to the database wait for room in its queue: the shards have ended.
    pub(super) fn wait_for_storage(&mut self) {
        self.storage_waits = true;
    }

    /// Waits until the writer has stored or dropped all queued rows.
    pub(super) fn wait_written(&mut self) {
        self.flush_items();
        if let Some(storage) = &self.storage {
            storage.wait_written();
        }
    }

    /// Enqueues a row.
    pub(super) fn store(&mut self, item: WriteOp) {
        self.store_with_next(item);
        if self.items.len() >= MAX_BATCH {
            self.flush_items();
        }
    }

    /// Enqueues a row in the same transaction as the next row.
    pub(super) fn store_with_next(&mut self, item: WriteOp) {
        if self.storage.is_some() {
            if self.items.capacity() == 0 {
                self.items.reserve_exact(MAX_BATCH);
            }
            self.items.push(item);
        }
    }

    /// Whether nothing waits for a flush.
    pub(super) fn is_idle(&self) -> bool {
        self.items.is_empty() && self.changed.is_empty() && self.json.buffer.is_empty()
    }

    /// Flushes rows, alerts, and one snapshot of each changed connection.
    pub(super) fn flush(&mut self, tracker: &Tracker) {
        self.flush_items();
        let Self { attach, changed, json, .. } = self;
        let mut left = MAX_SNAPSHOTS;
        changed.retain(|flow| {
            if left == 0 {
                return true;
            }
            left -= 1;
            if let Some(record) = tracker.get(*flow) {
                json.connection(record);
            }
            false
        });
        if !json.buffer.is_empty() {
            let lines = json.take();
            if let Some(attach) = attach {
                attach.broadcast(&lines);
            }
        }
    }

    fn flush_items(&mut self) {
        if self.items.is_empty() {
            return;
        }
        let items = std::mem::take(&mut self.items);
        if let Some(storage) = &self.storage {
            if self.storage_waits {
                storage.send(items);
            } else {
                storage.try_send(items);
            }
        }
    }

    /// Lines of the latest alerts, the newest first.
    pub(super) fn recent(&self) -> impl Iterator<Item = &Bytes> {
        self.recent.iter().rev()
    }

    /// Encodes a record for the API.
    pub(super) fn line(&mut self, record: &ConnectionRecord) -> Bytes {
        let start = self.json.buffer.len();
        self.json.connection(record);
        let line = Bytes::copy_from_slice(self.json.buffer.get(start..).unwrap_or_default());
        self.json.buffer.truncate(start);
        line
    }
}
