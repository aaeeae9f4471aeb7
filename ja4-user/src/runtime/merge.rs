//! The results of a replay's lanes, and the engine's steps over a batch of one thread.

use std::io::{self, Write};
use std::sync::Arc;

use crate::model::Time;
use crate::runtime::engine::observe::Chunk;
use crate::runtime::engine::{Engine, EngineWorker, Finished};

/// Sort key of a line: the number of its packet, then its cause, then the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineKey {
    pub(super) packet: u64,
    pub(super) cause: LineCause,
    pub(super) lane: u32,
}

/// The cause of a line, in the order in which a thread acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LineCause {
    /// The bound on connections.
    Bound,
    /// The clock.
    Clock,
    /// The packet.
    Packet,
}

/// The results of one thread for one batch, in order.
#[derive(Debug, Default)]
pub(super) struct LaneLines {
    pub(super) chunk: Chunk,
    pub(super) runs: Vec<LaneRun>,
}

/// Consecutive results of one lane and cause.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneRun {
    pub(super) key: LineKey,
    /// A second of packet time has passed before these results.
    pub(super) tick: Option<Time>,
    /// Ends of its lines and observations in the chunk.
    pub(super) text: usize,
    pub(super) observations: usize,
}

impl LaneLines {
    /// Assigns a key to all results since the last call.
    pub(super) fn mark(&mut self, place: LineKey) {
        let (text, observations) = (self.chunk.text.len(), self.chunk.observations.len());
        let (text_before, before) = self.ends();
        if text_before < text || before < observations {
            self.runs.push(LaneRun { key: place, tick: None, text, observations });
        }
    }

    /// Records that a second of packet time has passed in a lane. All earlier results are marked.
    pub(super) fn tick(&mut self, place: LineKey, time: Time) {
        let (text, observations) = self.ends();
        self.runs.push(LaneRun { key: place, tick: Some(time), text, observations });
    }

    /// Ends of the lines and observations that are marked.
    fn ends(&self) -> (usize, usize) {
        self.runs.last().map_or((0, 0), |run| (run.text, run.observations))
    }

    pub(super) fn clear(&mut self) {
        self.chunk.clear();
        self.runs.clear();
    }
}

/// Runs the engine over the batches of a replay with one thread, and writes the lines.
///
/// The steps of one event follow each other. The results are those of [`BatchRounds`](super::rounds::BatchRounds).
pub(super) struct SerialOutput<W> {
    out: W,
    engine: Arc<Engine>,
    finished: Finished,
    error: Option<io::Error>,
    /// The engine continues after a write error, because other outputs need the results.
    continue_without_output: bool,
}

impl<W: Write> SerialOutput<W> {
    pub(super) fn new(out: W, engine: &Arc<Engine>, continue_without_output: bool) -> Self {
        Self { out, engine: Arc::clone(engine), finished: Finished::default(), error: None, continue_without_output }
    }

    /// Processes the results of batch `number` and empties them. With `now`, the output is flushed. Returns false if the
    /// replay should stop.
    pub(super) fn run(&mut self, number: u64, worker: &mut EngineWorker, lines: &mut LaneLines, now: bool) -> bool {
        let Self { out, engine, finished, error, continue_without_output } = self;
        finished.text.clear();
        if error.is_none() || *continue_without_output {
            engine.begin_learning(&lines.chunk);
            let (mut text, mut observations) = (0, 0);
            for run in &lines.runs {
                let lane = run.key.lane as usize;
                if let Some(time) = run.tick {
                    worker.raise_all_due(lane, time, finished);
                }
                worker.take(&mut lines.chunk, text..run.text, observations..run.observations, lane, finished);
                (text, observations) = (run.text, run.observations);
            }
            worker.read_wall();
            engine.end_batch(&worker.stats().0, number, finished);
        }
        lines.clear();
        if error.is_none() {
            let written = out.write_all(&finished.text);
            *error = if now { written.and_then(|()| out.flush()) } else { written }.err();
        }
        error.is_none() || *continue_without_output
    }

    /// Returns the output, and its error, if any.
    pub(super) fn into_parts(self) -> (W, Option<io::Error>) {
        (self.out, self.error)
    }
}
