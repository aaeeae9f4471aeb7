//! Where what the engine knows goes beside standard output.
//!
//! Live, none of the ways waits: what a queue has no room for is lost and counted there. In a replay they
//! wait, and nothing is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arcstr::ArcStr;
use bytes::Bytes;
use hashbrown::HashSet;

use super::tracker::Tracker;
use crate::encode::{Additions, Context, Filter, Format, Formatter};
use crate::model::{Alert, ConnectionEvent, ConnectionRecord, EndReason, EventContext, FingerprintRecord};
use crate::output::alert::{AlertLine, AlertSinks};
use crate::output::attach::AttachServer;
use crate::output::storage::{MAX_BATCH, WriteOp, WriterHandle, WriterStatus};

/// How long a replay waits in all for a sink of alerts that delivers none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Alerts that whoever asks is told of.
const MAX_RECENT_ALERTS: usize = 1000;

/// Connections that one flush tells attached readers of; those beyond them wait for the next.
const MAX_SNAPSHOTS: usize = 4096;

/// The ways out.
#[derive(Debug)]
pub struct EngineOutputs {
    alerts: Option<Arc<AlertSinks>>,
    storage: Option<WriterHandle>,
    attach: Option<Arc<AttachServer>>,
    waits: bool,
    storage_waits: bool,
    items: Vec<WriteOp>,
    /// Flows that have changed since readers were told.
    changed: HashSet<u64, foldhash::quality::RandomState>,
    /// Lines of the latest alerts, the newest last.
    recent: VecDeque<Bytes>,
    json: JsonLines,
}

/// JSON lines for readers that attach, whatever the format of the output.
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

/// What caused what a record says last.
fn cause_of(record: &ConnectionRecord) -> EventContext {
    let packet = record.history.last().and_then(FingerprintRecord::packet);
    EventContext { time: record.last, interface: record.interface, hook: None, packet }
}

/// Appends the line of a connection as its record has it, without its end, unless the formatter leaves it out.
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
    /// Nothing but standard output. `waits`: in a replay.
    #[must_use]
    pub fn new(context: &Context, waits: bool) -> Self {
        let context = Context { filter: Filter::default(), ..context.clone() };
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

    /// Alerts go to these sinks too.
    #[must_use]
    pub fn with_alerts(self, alerts: Arc<AlertSinks>) -> Self {
        Self { alerts: Some(alerts), ..self }
    }

    /// History goes to this writer.
    #[must_use]
    pub fn with_storage(self, storage: WriterHandle) -> Self {
        Self { storage: Some(storage), ..self }
    }

    /// Snapshots and alerts go to readers of this socket.
    #[must_use]
    pub fn with_attach(self, attach: Arc<AttachServer>) -> Self {
        Self { attach: Some(attach), ..self }
    }

    /// A fingerprint of a connection.
    pub(super) fn fingerprint(&mut self, record: &ConnectionRecord, seen: &FingerprintRecord) {
        if self.storage.is_some() {
            let (flow, interface) = (record.identity, record.interface);
            self.store(WriteOp::Fingerprint { flow, interface, seen: seen.clone() });
        }
        self.touch(record);
    }

    /// A connection goes on, and something is known of it that was not.
    pub(super) fn touch(&mut self, record: &ConnectionRecord) {
        if self.attach.as_ref().is_some_and(|attach| attach.has_readers()) {
            self.changed.insert(record.identity.id);
        }
    }

    /// A connection has ended, or its record has to go.
    pub(super) fn ended(&mut self, record: ConnectionRecord) {
        self.changed.remove(&record.identity.id);
        if self.attach.as_ref().is_some_and(|attach| attach.has_readers()) {
            self.json.connection(&record);
        }
        if self.storage.is_some() {
            self.store(WriteOp::ConnectionEnd(Box::new(record)));
        }
    }

    /// A rule has fired; `raw` is the raw form of the fingerprint.
    pub(super) fn alert(&mut self, alert: Alert, raw: Option<ArcStr>) {
        let begins = self.json.buffer.len();
        self.json.formatter.alert(&alert, None, &mut self.json.buffer);
        let line = Bytes::copy_from_slice(self.json.buffer.get(begins..).unwrap_or_default());
        if !self.attach.as_ref().is_some_and(|attach| attach.has_readers()) {
            self.json.buffer.truncate(begins);
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
                sinks.send_waiting(&line, PATIENCE);
            } else {
                sinks.send(&line);
            }
        }
    }

    /// Whether there is a history.
    pub(super) const fn stores(&self) -> bool {
        self.storage.is_some()
    }

    /// Whether this is a replay, which waits for the ways out.
    pub(super) const fn waits(&self) -> bool {
        self.waits
    }

    fn storage_status(&self) -> Option<WriterStatus> {
        self.storage.as_ref().map(WriterHandle::status)
    }

    /// Rows of first-seen and profiles that the history has lost.
    pub(super) fn knowledge_lost(&self) -> u64 {
        self.storage_status().map_or(0, |status| status.knowledge_lost)
    }

    /// How often the database file was deleted or replaced.
    pub(super) fn files_replaced(&self) -> u64 {
        self.storage_status().map_or(0, |status| status.file_replaced)
    }

    /// Why the history could not be written, if that is how it stands.
    pub(super) fn storage_failure(&self) -> Option<String> {
        let status = self.storage_status()?;
        status.failing.then(|| status.last_error.unwrap_or_default())
    }

    /// How much of the history was lost and why, if any was, or if it cannot be written.
    pub(super) fn storage_loss(&self) -> Option<String> {
        self.storage_status().filter(|status| status.failing || status.lost() > 0).map(|status| status.loss())
    }

    /// From now on the history loses nothing for want of room in its queue: nobody waits for the engine any more.
    pub(super) fn wait_for_storage(&mut self) {
        self.storage_waits = true;
    }

    /// Waits until the history has all that it was given, or has given it up.
    pub(super) fn settle(&mut self) {
        self.flush_items();
        if let Some(storage) = &self.storage {
            storage.settle();
        }
    }

    /// Something to be stored.
    pub(super) fn store(&mut self, item: WriteOp) {
        self.store_with_next(item);
        if self.items.len() >= MAX_BATCH {
            self.flush_items();
        }
    }

    /// Something to be stored together with what is stored next.
    pub(super) fn store_with_next(&mut self, item: WriteOp) {
        if self.storage.is_some() {
            if self.items.capacity() == 0 {
                self.items.reserve_exact(MAX_BATCH);
            }
            self.items.push(item);
        }
    }

    /// Whether anything waits for a flush.
    pub(super) fn is_idle(&self) -> bool {
        self.items.is_empty() && self.changed.is_empty() && self.json.buffer.is_empty()
    }

    /// Hands on all that has come together: of each connection that has changed, one snapshot.
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

    /// The line of a record, for whoever asks.
    pub(super) fn line(&mut self, record: &ConnectionRecord) -> Bytes {
        let begins = self.json.buffer.len();
        self.json.connection(record);
        let line = Bytes::copy_from_slice(self.json.buffer.get(begins..).unwrap_or_default());
        self.json.buffer.truncate(begins);
        line
    }
}
