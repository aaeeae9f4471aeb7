//! Lines of several threads, put back in the order of their packets.

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

/// What one thread has seen over one batch, in order.
#[derive(Debug, Default)]
pub(super) struct LaneLines {
    pub(super) chunk: Chunk,
    /// Where each run belongs, and where its lines and its observations end in `chunk`.
    pub(super) runs: Vec<(LineKey, usize, usize)>,
    /// When a second of packet time has passed, and the packet that shows it: noted by one thread for all.
    pub(super) ticks: Vec<(u64, Time)>,
}

impl LaneLines {
    /// Notes that all that came since the last call belongs to a place.
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

/// Batches that wait for the engine until those who hand in the last share of one look after it too.
const BEHIND: usize = 3;

/// Batches that wait for the engine until whoever hands one in waits for it: they are held in memory.
const FAR_BEHIND: usize = 8;

/// What the threads have handed in, batch by batch.
#[derive(Default)]
struct MergeQueue {
    /// Number of the first batch in `batches`.
    first: usize,
    batches: VecDeque<Vec<LaneLines>>,
    spare: Vec<LaneLines>,
}

impl MergeQueue {
    /// Batches at the front of which every thread has handed in its share.
    fn ready(&self, threads: usize) -> usize {
        self.batches.iter().take_while(|batch| batch.len() == threads).count()
    }
}

/// What one thread at a time works with.
struct MergeOutput<W> {
    out: W,
    engine: Engine,
    /// Finished lines on their way to `out`.
    finished: Vec<u8>,
    error: Option<io::Error>,
}

/// Has the engine finish lines, and writes them, in order, once every thread has handed in its share of a batch.
///
/// The engine takes as long as all shards together. So while a file is read nobody waits for it, unless it is far behind:
/// of the threads that hand in, the one that is ahead of the others takes a batch to it, and they catch up meanwhile.
pub(super) struct Merge<W> {
    queue: Mutex<MergeQueue>,
    output: Mutex<MergeOutput<W>>,
    /// Nobody is there to be told.
    over: AtomicBool,
    threads: usize,
    /// The engine goes on where the output cannot be written: there are others whom it tells.
    continue_without_output: bool,
}

impl<W: Write> Merge<W> {
    pub(super) fn new(out: W, engine: Engine, threads: usize, continue_without_output: bool) -> Self {
        let output = MergeOutput { out, engine, finished: Vec::new(), error: None };
        Self {
            queue: Mutex::default(),
            output: Mutex::new(output),
            over: AtomicBool::new(false),
            threads,
            continue_without_output,
        }
    }

    /// Takes a thread's lines of a batch and gives it room for the next; false once nobody is there to be told.
    /// `now`: it is to be told at once, as the next batch may be long in coming, or much else is to come.
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
        } else if ready > FAR_BEHIND {
            self.finish_one(&mut self.output.lock().unwrap_or_else(PoisonError::into_inner));
        } else if !last || ready > BEHIND {
            match self.output.try_lock() {
                Ok(mut output) => _ = self.finish_one(&mut output),
                Err(TryLockError::Poisoned(output)) => _ = self.finish_one(&mut output.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        !self.over.load(Ordering::Relaxed)
    }

    /// Takes the first batch to the engine, if it is whole.
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

    /// Does something with the output, unless it has failed before.
    fn written(&self, output: &mut MergeOutput<W>, act: impl FnOnce(&mut W) -> io::Result<()>) {
        if output.error.is_none() {
            output.error = act(&mut output.out).err();
            self.over.store(output.error.is_some() && !self.continue_without_output, Ordering::Relaxed);
        }
    }

    /// Takes what is left to the engine; the output, the engine, and why the output cannot be written, if that is so.
    pub(super) fn into_parts(self) -> (W, Engine, Option<io::Error>) {
        while self.finish_one(&mut self.output.lock().unwrap_or_else(PoisonError::into_inner)) {}
        let output = self.output.into_inner().unwrap_or_else(PoisonError::into_inner);
        (output.out, output.engine, output.error)
    }
}

/// Merges the runs of several threads by their places. A tick comes before all that its packet causes.
fn finish_in_order(batch: &mut [LaneLines], engine: &mut Engine, out: &mut Vec<u8>) {
    let ticks: Vec<_> = batch.iter().flat_map(|lines| lines.ticks.iter().copied()).collect();
    let mut ticks = ticks.into_iter().peekable();
    if let [only] = batch
        && ticks.peek().is_none()
    {
        let (text, observations) = (only.chunk.text.len(), only.chunk.observations.len());
        return engine.take(&mut only.chunk, 0..text, 0..observations, out);
    }
    // The next run of each thread, and where the one before it has ended.
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
