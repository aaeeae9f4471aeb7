//! The engine's steps over the batches of a replay with one thread, and its output.

use std::io::{self, Write};
use std::sync::Arc;

use crate::runtime::engine::{Engine, EngineWorker, Finished};
use crate::runtime::lane_lines::LaneLines;

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
