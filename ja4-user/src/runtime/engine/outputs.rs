//! The outputs of the engine other than standard output: event files, alert sinks, storage, attached readers.
//!
//! A live run never waits for an output: a full queue drops and counts. A replay waits, so nothing is dropped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::finished::Finished;
use super::json_lines::JsonLines;
use crate::encode::Formatter;
use crate::output::alert::AlertSinks;
use crate::output::attach::AttachServer;
use crate::output::files::EventFiles;
use crate::output::storage::{MAX_BATCH, WriteOp, WriterHandle, WriterStatus};
use crate::system::shutdown::ShutdownPhase;

/// Total time that a replay waits for an alert sink that delivers nothing.
const SINK_TIMEOUT: Duration = Duration::from_secs(10);

/// Alerts kept for the API.
const MAX_RECENT_ALERTS: usize = 1000;

/// The outputs of the engine, which all its threads share.
#[derive(Debug)]
pub struct EngineOutputs {
    alerts: Option<Arc<AlertSinks>>,
    storage: Option<WriterHandle>,
    attach: Option<Arc<AttachServer>>,
    files: Arc<EventFiles>,
    waits: bool,
    storage_waits: AtomicBool,
    /// Lines of the latest alerts, the newest last.
    recent: Mutex<VecDeque<Bytes>>,
}

impl EngineOutputs {
    /// Creates an engine without further outputs. `waits` is set in a replay.
    #[must_use]
    pub fn new(waits: bool) -> Self {
        Self {
            alerts: None,
            storage: None,
            attach: None,
            files: Arc::default(),
            waits,
            storage_waits: AtomicBool::new(waits),
            recent: Mutex::default(),
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

    /// Adds event files.
    #[must_use]
    pub(crate) fn with_files(self, files: Arc<EventFiles>) -> Self {
        Self { files, ..self }
    }

    /// Number of event files.
    pub(super) fn event_files(&self) -> usize {
        self.files.len()
    }

    /// Encoders of the event files.
    pub(super) fn file_formatters(&self) -> Vec<Formatter> {
        self.files.formatters()
    }

    /// Sends all lines to the event files that they have room for in time.
    pub(super) fn finish_files(&self, finished: &mut Finished) {
        self.files.send_waiting(ShutdownPhase::Output, &mut finished.files);
    }

    /// Sends finished alerts, rows and lines of event files to their outputs; the lines of standard output stay.
    pub(super) fn deliver(&self, finished: &mut Finished) {
        if self.waits {
            self.finish_files(finished);
        } else {
            self.files.send(&mut finished.files);
        }
        self.send_rows(&mut finished.rows);
        for (alert, line) in finished.alerts.drain(..) {
            self.remember(line);
            if let Some(sinks) = &self.alerts {
                let alert = Arc::new(alert);
                if self.waits {
                    sinks.send_waiting(&alert, SINK_TIMEOUT);
                } else {
                    sinks.send(&alert);
                }
            }
        }
    }

    fn remember(&self, line: Bytes) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= MAX_RECENT_ALERTS {
            recent.pop_front();
        }
        recent.push_back(line);
    }

    /// Sends rows to the database, and leaves room for more.
    pub(super) fn send_rows(&self, rows: &mut Vec<WriteOp>) {
        if rows.is_empty() {
            return;
        }
        // Batches of one size, since memory of one size is reused.
        let rows = std::mem::replace(rows, Vec::with_capacity(MAX_BATCH));
        if let Some(storage) = &self.storage {
            if self.storage_waits.load(Ordering::Relaxed) {
                storage.send(rows);
            } else {
                storage.try_send(rows);
            }
        }
    }

    /// Sends attached readers the lines that were collected for them.
    pub(super) fn broadcast(&self, json: &mut JsonLines) {
        if !json.buffer.is_empty() {
            let lines = std::mem::take(&mut json.buffer).into();
            if let Some(attach) = &self.attach {
                attach.broadcast(&lines);
            }
        }
    }

    /// The attach socket, if there is one.
    pub(super) const fn attach(&self) -> Option<&Arc<AttachServer>> {
        self.attach.as_ref()
    }

    /// Whether a reader gets snapshots.
    pub(super) fn has_readers(&self) -> bool {
        self.attach.as_ref().is_some_and(|attach| attach.has_readers())
    }

    /// Whether attached readers may ask for views.
    pub(super) const fn serves_views(&self) -> bool {
        self.attach.is_some()
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
    pub(super) fn wait_for_storage(&self) {
        self.storage_waits.store(true, Ordering::Relaxed);
    }

    /// Waits until the writer has stored or dropped all queued rows.
    pub(super) fn wait_written(&self) {
        if let Some(storage) = &self.storage {
            storage.wait_written();
        }
    }

    /// Whether the shutdown leaves no more time for rows.
    pub(super) fn storage_is_over(&self) -> bool {
        self.storage.as_ref().is_some_and(WriterHandle::is_over)
    }

    /// Lines of some of the latest alerts, the newest first, and the number of all that are kept.
    pub(super) fn recent(&self, skip: usize, most: usize) -> (Vec<Bytes>, usize) {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        (recent.iter().rev().skip(skip).take(most).cloned().collect(), recent.len())
    }
}
