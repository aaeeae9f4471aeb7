//! Merges the lines of several threads in the order of their packets.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

use crate::model::Time;
use crate::runtime::engine::Engine;
use crate::runtime::engine::observe::Chunk;

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
    /// The key of each run, and the ends of its lines and observations in `chunk`.
    pub(super) runs: Vec<(LineKey, usize, usize)>,
    /// Seconds of packet time that have passed, with the packet that shows it; recorded by one thread for all.
    pub(super) ticks: Vec<(u64, Time)>,
}

impl LaneLines {
    /// Assigns a key to all results since the last call.
    pub(super) fn mark(&mut self, place: LineKey) {
        let (text, observations) = (self.chunk.text.len(), self.chunk.observations.len());
        let (text_before, before) = self.runs.last().map_or((0, 0), |(_, text, observations)| (*text, *observations));
        if text_before < text || before < observations {
            self.runs.push((place, text, observations));
        }
    }

    fn clear(&mut self) {
        self.chunk.clear();
        self.runs.clear();
        self.ticks.clear();
    }
}

/// Waiting batches from which on the last thread to submit its share also runs the engine.
const BACKLOG: usize = 3;

/// Waiting batches from which on every submitting thread waits for the engine: the batches are held in memory.
const MAX_BACKLOG: usize = 8;

/// Submitted results by batch.
#[derive(Default)]
struct MergeQueue {
    /// Number of the first batch in `batches`.
    first: usize,
    batches: VecDeque<Vec<LaneLines>>,
    spare: Vec<LaneLines>,
}

impl MergeQueue {
    /// Complete batches at the front: every thread has submitted its share.
    fn ready(&self, threads: usize) -> usize {
        self.batches.iter().take_while(|batch| batch.len() == threads).count()
    }
}

/// The engine and the output, used by one thread at a time.
struct MergeOutput<W> {
    out: W,
    engine: Engine,
    /// Finished lines for `out`.
    finished: Vec<u8>,
    error: Option<io::Error>,
}

/// Runs the engine over each complete batch and writes the lines in order.
///
/// The engine takes as long as all shards together. While a file is read, no thread waits for the engine unless it is
/// far behind: the thread that is ahead of the others runs it over one batch, and the others catch up meanwhile.
pub(super) struct Merge<W> {
    queue: Mutex<MergeQueue>,
    output: Mutex<MergeOutput<W>>,
    /// The output is closed and no other output needs the results.
    is_closed: AtomicBool,
    threads: usize,
    /// The engine continues after a write error, because other outputs need the results.
    continue_without_output: bool,
}

impl<W: Write> Merge<W> {
    pub(super) fn new(out: W, engine: Engine, threads: usize, continue_without_output: bool) -> Self {
        let output = MergeOutput { out, engine, finished: Vec::new(), error: None };
        Self {
            queue: Mutex::default(),
            output: Mutex::new(output),
            is_closed: AtomicBool::new(false),
            threads,
            continue_without_output,
        }
    }

    /// Takes a thread's results for a batch and gives it an empty buffer for the next. Returns false if the replay should
    /// stop. With `now`, all complete batches are written at once: the next batch may take long, or is the last.
    pub(super) fn submit(&self, batch: usize, lines: &mut LaneLines, now: bool) -> bool {
        let (ready, last) = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let mut room = queue.spare.pop().unwrap_or_default();
            room.clear();
            let lines = std::mem::replace(lines, room);
            let place = batch - queue.first;
            while queue.batches.len() <= place {
                queue.batches.push_back(Vec::with_capacity(self.threads));
            }
            let mut last = false;
            if let Some(batch) = queue.batches.get_mut(place) {
                batch.push(lines);
                last = batch.len() == self.threads;
            }
            (queue.ready(self.threads), last)
        };
        if now || self.threads == 1 {
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            while self.finish_one(&mut output) {}
            if now {
                self.written(&mut output, W::flush);
            }
        } else if ready > MAX_BACKLOG {
            self.finish_one(&mut self.output.lock().unwrap_or_else(PoisonError::into_inner));
        } else if !last || ready > BACKLOG {
            match self.output.try_lock() {
                Ok(mut output) => _ = self.finish_one(&mut output),
                Err(TryLockError::Poisoned(output)) => _ = self.finish_one(&mut output.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        !self.is_closed.load(Ordering::Relaxed)
    }

    /// Runs the engine over the first batch, if it is complete.
    fn finish_one(&self, output: &mut MergeOutput<W>) -> bool {
        let mut batch = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(batch) = queue.batches.pop_front_if(|batch| batch.len() == self.threads) else {
                return false;
            };
            queue.first += 1;
            batch
        };
        if output.error.is_none() || self.continue_without_output {
            output.finished.clear();
            finish_in_order(&mut batch, &mut output.engine, &mut output.finished);
            output.engine.end_batch(&mut output.finished);
        }
        let finished = std::mem::take(&mut output.finished);
        self.written(output, |out| out.write_all(&finished));
        output.finished = finished;
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).spare.extend(batch);
        true
    }

    /// Calls `act` with the output, unless the output has failed before.
    fn written(&self, output: &mut MergeOutput<W>, act: impl FnOnce(&mut W) -> io::Result<()>) {
        if output.error.is_none() {
            output.error = act(&mut output.out).err();
            self.is_closed.store(output.error.is_some() && !self.continue_without_output, Ordering::Relaxed);
        }
    }

    /// Runs the engine over the remaining batches. Returns the output, the engine, and the write error, if any.
    pub(super) fn into_parts(self) -> (W, Engine, Option<io::Error>) {
        while self.finish_one(&mut self.output.lock().unwrap_or_else(PoisonError::into_inner)) {}
        let output = self.output.into_inner().unwrap_or_else(PoisonError::into_inner);
        (output.out, output.engine, output.error)
    }
}

/// Merges the runs of several threads by their keys. A tick precedes the results of its packet.
fn finish_in_order(batch: &mut [LaneLines], engine: &mut Engine, out: &mut Vec<u8>) {
    let ticks: Vec<_> = batch.iter().flat_map(|lines| lines.ticks.iter().copied()).collect();
    let mut ticks = ticks.into_iter().peekable();
    if let [only] = batch
        && ticks.peek().is_none()
    {
        let (text, observations) = (only.chunk.text.len(), only.chunk.observations.len());
        return engine.take(&mut only.chunk, 0..text, 0..observations, out);
    }
    // The next run of each thread, and the end of the previous run.
    let mut next = vec![(0, 0, 0); batch.len()];
    loop {
        let heads = batch.iter().zip(&next).enumerate();
        let Some((place, thread)) =
            heads.filter_map(|(thread, (lines, (run, ..)))| Some((lines.runs.get(*run)?.0, thread))).min()
        else {
            return ticks.for_each(|(_, time)| engine.raise_due(None, time, out));
        };
        while let Some((_, time)) = ticks.next_if(|(packet, _)| *packet <= place.packet) {
            engine.raise_due(None, time, out);
        }
        let (Some(lines), Some((run, text, observations))) = (batch.get_mut(thread), next.get_mut(thread)) else {
            return;
        };
        if let Some(&(_, text_end, end)) = lines.runs.get(*run) {
            engine.take(&mut lines.chunk, *text..text_end, *observations..end, out);
            (*run, *text, *observations) = (*run + 1, text_end, end);
        }
    }
}
