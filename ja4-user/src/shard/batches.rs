//! Batches of a capture, read once and seen by every thread of a replay.
//!
//! There is no reader thread: whichever thread first needs a batch that is not there yet reads it,
//! while the others wait for it or still work on earlier ones.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ja4_common::knobs::Knobs;

use super::lane::lane_of;
use crate::capture::{Batch, CaptureError, CaptureFile, Progress};

/// Batches that the fastest thread may be ahead of the slowest.
const AHEAD: usize = 4;

/// A batch whose frames have been dealt to lanes.
pub(super) struct Dealt {
    pub(super) batch: Batch,
    /// Lane of each frame.
    pub(super) lanes: Vec<u8>,
}

/// Called between batches with the file's name and how far it has been read.
pub(crate) type OnProgress<'a> = Box<dyn FnMut(usize, Progress) + Send + 'a>;

struct State<'a> {
    files: VecDeque<CaptureFile>,
    current: usize,
    next_number: u64,
    /// Batches not yet taken by every thread; the first has the number `first`.
    waiting: VecDeque<(Arc<Dealt>, usize)>,
    first: usize,
    spare: Vec<Dealt>,
    over: bool,
    errors: Vec<CaptureError>,
    on_progress: OnProgress<'a>,
}

/// The batches of all files of a run, one after the other.
pub(super) struct Batches<'a> {
    state: Mutex<State<'a>>,
    freed: Condvar,
    threads: usize,
    lanes: u32,
    knobs: &'a Knobs,
}

impl<'a> Batches<'a> {
    pub(super) fn new(
        files: Vec<CaptureFile>,
        threads: usize,
        lanes: u32,
        knobs: &'a Knobs,
        on_progress: OnProgress<'a>,
    ) -> Self {
        let state = State {
            files: files.into(),
            current: 0,
            next_number: 1,
            waiting: VecDeque::new(),
            first: 0,
            spare: Vec::new(),
            over: false,
            errors: Vec::new(),
            on_progress,
        };
        Self { state: Mutex::new(state), freed: Condvar::new(), threads, lanes, knobs }
    }

    /// The batch of this number; `None` after the last. Each thread asks for each number once.
    pub(super) fn take(&self, number: usize) -> Option<Arc<Dealt>> {
        let mut state = self.lock();
        loop {
            let place = number - state.first;
            if let Some((dealt, takers)) = state.waiting.get_mut(place) {
                *takers += 1;
                let dealt = Arc::clone(dealt);
                while state.waiting.front().is_some_and(|(_, takers)| *takers == self.threads) {
                    state.waiting.pop_front();
                    state.first += 1;
                }
                self.freed.notify_all();
                return Some(dealt);
            }
            if state.over {
                return None;
            }
            if state.waiting.len() >= AHEAD {
                state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            self.read(&mut state);
        }
    }

    /// Gives a batch back to be filled again, if no other thread has it.
    pub(super) fn give_back(&self, dealt: Arc<Dealt>) {
        if let Some(dealt) = Arc::into_inner(dealt) {
            self.lock().spare.push(dealt);
        }
    }

    /// No further batches: the output is gone.
    pub(super) fn stop(&self) {
        self.lock().over = true;
        self.freed.notify_all();
    }

    /// What went wrong with the files, in their order.
    pub(super) fn into_errors(self) -> Vec<CaptureError> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).errors
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        // A thread that panicked has ended the run anyway; what it left is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the next batch, or finds that there is none.
    fn read(&self, state: &mut State<'_>) {
        let mut dealt = state.spare.pop().unwrap_or_else(|| Dealt { batch: Batch::new(), lanes: Vec::new() });
        loop {
            let Some(file) = state.files.front_mut() else {
                state.over = true;
                return;
            };
            let filled = file.fill(&mut dealt.batch);
            (state.on_progress)(state.current, file.progress());
            match filled {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => state.errors.push(error),
            }
            state.next_number = file.next_number();
            state.files.pop_front();
            state.current += 1;
            if let Some(next) = state.files.pop_front() {
                state.files.push_front(next.starting_at(state.next_number));
            }
        }
        dealt.lanes.clear();
        let Dealt { batch, lanes } = &mut dealt;
        for frame in batch.frames() {
            let lane = super::replay::captured(batch, frame).map_or(0, |frame| lane_of(&frame, self.knobs, self.lanes));
            lanes.push(lane as u8);
        }
        state.waiting.push_back((Arc::new(dealt), 0));
        self.freed.notify_all();
    }
}
