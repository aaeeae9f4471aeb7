//! The output of a replay with one thread.

use std::io::{self, Write};
use std::sync::Arc;

use crate::detect::detectors::ActiveContent;
use crate::model::Time;
use crate::output::packet_file::PacketRecorder;
use crate::runtime::engine::worker::{EventScope, WorkerEvents, open_order};
use crate::runtime::engine::{Engine, EngineWorker, Finished};
use crate::runtime::lane_events::LineKey;
use crate::runtime::lane_output::LaneOutput;

/// Bytes of lines that are written at once.
const CHUNK: usize = 1 << 16;

/// Takes all steps of each event at once, and writes the lines.
///
/// The events come in the order of their keys. The results are those of [`BatchRounds`](super::rounds::BatchRounds).
pub(super) struct SerialOutput<W> {
    out: W,
    engine: Arc<Engine>,
    active: Arc<ActiveContent>,
    worker: EngineWorker,
    finished: Finished,
    packets: Option<PacketRecorder>,
    error: Option<io::Error>,
    /// The engine continues after a write error, because other outputs need the results.
    continue_without_output: bool,
}

impl<W: Write> SerialOutput<W> {
    pub(super) fn new(
        out: W,
        engine: &Arc<Engine>,
        worker: EngineWorker,
        packets: Option<PacketRecorder>,
        continue_without_output: bool,
    ) -> Self {
        Self {
            out,
            engine: Arc::clone(engine),
            active: engine.active(),
            worker,
            finished: Finished::default(),
            packets,
            error: None,
            continue_without_output,
        }
    }

    /// Writes the packets of connections with a new alert.
    fn flush_packets(&mut self) {
        if let Some(packets) = &mut self.packets {
            packets.flush(&self.finished.alerts);
        }
    }

    fn write(&mut self) {
        if self.error.is_none() {
            self.error = self.out.write_all(&self.finished.text).err();
        }
        self.finished.text.clear();
    }

    /// Returns worker, output, and the error of the output, if any.
    pub(super) fn into_parts(self) -> (EngineWorker, W, Option<io::Error>) {
        (self.worker, self.out, self.error)
    }
}

impl<W: Write> LaneOutput for SerialOutput<W> {
    type Events<'a>
        = WorkerEvents<'a>
    where
        W: 'a;

    fn begin_batch(&mut self, earliest: Time) {
        self.engine.detectors().learning().begin(earliest);
    }

    fn events(&mut self, lane: usize) -> WorkerEvents<'_> {
        self.worker.events(&self.active, lane, &mut self.finished)
    }

    fn packets(&mut self) -> Option<&mut PacketRecorder> {
        self.packets.as_mut()
    }

    fn mark(&mut self, _: LineKey) {
        if self.finished.text.len() >= CHUNK {
            self.write();
        }
    }

    fn tick(&mut self, key: LineKey, time: Time) {
        let scope = EventScope { active: &self.active, lane: key.lane as usize };
        self.worker.raise_all_due(scope, time, &mut self.finished);
    }

    fn end_batch(&mut self, number: u64, now: bool) -> bool {
        self.worker.read_wall();
        self.flush_packets();
        self.engine.end_batch(&self.worker.stats().0, number, &mut self.finished);
        self.write();
        if now && self.error.is_none() {
            self.error = self.out.flush().err();
        }
        self.error.is_none() || self.continue_without_output
    }

    fn finish(&mut self, number: u64) {
        let mut open = self.worker.take_open();
        open.sort_by_cached_key(|(record, _)| open_order(record));
        for (mut record, cause) in open {
            let lane = self.worker.pending_lane(&record);
            let scope = EventScope { active: &self.active, lane };
            self.worker.end_open(scope, &mut record, cause, &mut self.finished);
            if self.finished.text.len() >= CHUNK {
                self.flush_packets();
                self.engine.deliver(&mut self.finished);
                self.write();
            }
        }
        self.end_batch(number, true);
    }
}
