//! Lines of several threads, put back in the order of their packets.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Where a line belongs: the number of its packet, then lines of the clock before those of the
/// packet, then the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) packet: u64,
    pub(super) by_packet: bool,
    pub(super) lane: u32,
}

/// Lines of one thread over one batch, in order.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) text: Vec<u8>,
    /// Where each run of lines belongs, and where it ends in `text`.
    pub(super) runs: Vec<(Place, usize)>,
}

impl Lines {
    /// Notes that all text since the last call belongs to a place.
    pub(super) fn mark(&mut self, place: Place) {
        let end = self.text.len();
        if self.runs.last().map_or(0, |(_, end)| *end) < end {
            self.runs.push((place, end));
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.runs.clear();
    }
}

struct State<W> {
    out: W,
    /// Number of the first batch in `batches`.
    first: usize,
    /// Lines that the threads have handed in, batch by batch.
    batches: VecDeque<Vec<Lines>>,
    spare: Vec<Lines>,
    error: Option<io::Error>,
}

/// Writes lines in order as soon as every thread has handed in its share of a batch.
pub(super) struct Merge<W> {
    state: Mutex<State<W>>,
    threads: usize,
}

impl<W: Write> Merge<W> {
    pub(super) fn new(out: W, threads: usize) -> Self {
        let state = State { out, first: 0, batches: VecDeque::new(), spare: Vec::new(), error: None };
        Self { state: Mutex::new(state), threads }
    }

    /// Takes a thread's lines of a batch and gives it room for the next; false once the output is gone.
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
            let batch = state.batches.pop_front().unwrap_or_default();
            state.first += 1;
            if state.error.is_none()
                && let Err(error) = write_in_order(&mut state.out, &batch)
            {
                state.error = Some(error);
            }
            state.spare.extend(batch);
        }
        state.error.is_none()
    }

    /// The output, or why it is gone.
    pub(super) fn into_output(self) -> io::Result<W> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        match state.error {
            Some(error) => Err(error),
            None => Ok(state.out),
        }
    }
}

/// Merges the runs of several threads by their places.
fn write_in_order(out: &mut impl Write, batch: &[Lines]) -> io::Result<()> {
    if let [only] = batch {
        return out.write_all(&only.text);
    }
    let mut next = vec![(0usize, 0usize); batch.len()];
    loop {
        let heads = batch.iter().zip(&next).enumerate();
        let Some((_, thread)) =
            heads.filter_map(|(thread, (lines, (run, _)))| Some((lines.runs.get(*run)?.0, thread))).min()
        else {
            return Ok(());
        };
        let (Some(lines), Some((run, start))) = (batch.get(thread), next.get_mut(thread)) else {
            return Ok(());
        };
        if let Some((_, end)) = lines.runs.get(*run) {
            out.write_all(lines.text.get(*start..*end).unwrap_or_default())?;
            (*run, *start) = (*run + 1, *end);
        }
    }
}
