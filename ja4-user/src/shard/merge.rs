//! Lines of several threads, put back in the order of their packets.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use crate::engine::Engine;
use crate::engine::observe::Chunk;

/// Where a line belongs: the number of its packet, then lines of the clock before those of the
/// packet, then the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) packet: u64,
    pub(super) by_packet: bool,
    pub(super) lane: u32,
}

/// What one thread has seen over one batch, in order.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) chunk: Chunk,
    /// Where each run belongs, and where its lines and its observations end in `chunk`.
    pub(super) runs: Vec<(Place, usize, usize)>,
}

impl Lines {
    /// Notes that all that came since the last call belongs to a place.
    pub(super) fn mark(&mut self, place: Place) {
        let (text, observations) = (self.chunk.text.len(), self.chunk.observations.len());
        let (text_before, before) = self.runs.last().map_or((0, 0), |(_, text, observations)| (*text, *observations));
        if text_before < text || before < observations {
            self.runs.push((place, text, observations));
        }
    }

    fn clear(&mut self) {
        self.chunk.clear();
        self.runs.clear();
    }
}

struct State<W> {
    out: W,
    engine: Engine,
    /// Finished lines on their way to `out`.
    finished: Vec<u8>,
    /// Number of the first batch in `batches`.
    first: usize,
    /// Lines that the threads have handed in, batch by batch.
    batches: VecDeque<Vec<Lines>>,
    spare: Vec<Lines>,
    error: Option<io::Error>,
}

/// Has the engine finish lines, and writes them, in order, as soon as every thread has handed in its share of
/// a batch.
pub(super) struct Merge<W> {
    state: Mutex<State<W>>,
    threads: usize,
    /// The engine goes on where the output cannot be written: there are others whom it tells.
    outlives_output: bool,
}

impl<W: Write> Merge<W> {
    pub(super) fn new(out: W, engine: Engine, threads: usize, outlives_output: bool) -> Self {
        let state = State {
            out,
            engine,
            finished: Vec::new(),
            first: 0,
            batches: VecDeque::new(),
            spare: Vec::new(),
            error: None,
        };
        Self { state: Mutex::new(state), threads, outlives_output }
    }

    /// Takes a thread's lines of a batch and gives it room for the next; false once nobody is there to be told.
    pub(super) fn hand_in(&self, batch: usize, lines: &mut Lines) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let mut room = state.spare.pop().unwrap_or_default();
        room.clear();
        let lines = std::mem::replace(lines, room);
        let place = batch - state.first;
        while state.batches.len() <= place {
            state.batches.push_back(Vec::with_capacity(self.threads));
        }
        if let Some(batch) = state.batches.get_mut(place) {
            batch.push(lines);
        }
        while state.batches.front().is_some_and(|batch| batch.len() == self.threads) {
            let mut batch = state.batches.pop_front().unwrap_or_default();
            state.first += 1;
            if state.error.is_none() || self.outlives_output {
                state.finished.clear();
                finish_in_order(&mut batch, &mut state.engine, &mut state.finished);
                state.engine.pass_batch(&mut state.finished);
            }
            if state.error.is_none() {
                state.error = state.out.write_all(&state.finished).err();
            }
            state.spare.extend(batch);
        }
        state.error.is_none() || self.outlives_output
    }

    /// The output, the engine, and why the output cannot be written, if that is so.
    pub(super) fn into_parts(self) -> (W, Engine, Option<io::Error>) {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state.out, state.engine, state.error)
    }
}

/// Merges the runs of several threads by their places.
fn finish_in_order(batch: &mut [Lines], engine: &mut Engine, out: &mut Vec<u8>) {
    if let [only] = batch {
        let (text, observations) = (only.chunk.text.len(), only.chunk.observations.len());
        return engine.take(&mut only.chunk, 0..text, 0..observations, out);
    }
    // The next run of each thread, and where the one before it has ended.
    let mut next = vec![(0, 0, 0); batch.len()];
    loop {
        let heads = batch.iter().zip(&next).enumerate();
        let Some((_, thread)) =
            heads.filter_map(|(thread, (lines, (run, ..)))| Some((lines.runs.get(*run)?.0, thread))).min()
        else {
            return;
        };
        let (Some(lines), Some((run, text, observations))) = (batch.get_mut(thread), next.get_mut(thread)) else {
            return;
        };
        if let Some(&(_, text_end, end)) = lines.runs.get(*run) {
            engine.take(&mut lines.chunk, *text..text_end, *observations..end, out);
            (*run, *text, *observations) = (*run + 1, text_end, end);
        }
    }
}
