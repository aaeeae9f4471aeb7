//! Batches of a capture, read once and seen by every thread of a replay.
//!
//! There is no reader thread: whichever thread first needs a batch that is not there yet reads it,
//! while the others wait for it or still work on earlier ones.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ja4_common::flow::shard_of;
use ja4_common::knobs::Knobs;

use super::lane::{CapturedFrame, destination_of};
use super::unwrap::{Gathered, Whole};
use crate::capture::{Batch, CaptureError, CaptureFile, Progress, Stop};
use crate::packet::defrag::{DefragLimits, DefragStats, Defragmenter};

/// Batches that the fastest thread may be ahead of the slowest.
const AHEAD: usize = 4;

/// A batch whose frames have been dealt to lanes.
pub(super) struct Dealt {
    pub(super) batch: Batch,
    /// Lane of each frame.
    pub(super) lanes: Vec<u8>,
    /// Datagrams put together of fragments, in the order of the frames that made them whole.
    pub(super) whole: Vec<DealtWhole>,
}

/// A datagram put together of fragments.
pub(super) struct DealtWhole {
    /// Place in the batch of the frame that made it whole.
    pub(super) behind: usize,
    /// Its lane.
    pub(super) lane: u8,
    /// The datagram.
    pub(super) whole: Whole,
}

/// What became of the files.
pub(super) struct Read {
    /// What went wrong with them, in their order.
    pub(super) errors: Vec<CaptureError>,
    /// They were not read to their end, as somebody wanted.
    pub(super) stopped: bool,
    /// What became of fragments.
    pub(super) fragments: DefragStats,
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
    stop: Stop,
    stopped: bool,
    /// One for all lanes, since a fragment does not tell its flow.
    defragmenter: Defragmenter,
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
        stop: Stop,
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
            stop,
            stopped: false,
            defragmenter: Defragmenter::new(&DefragLimits::default()),
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

    /// No further batches: nobody is there to be told.
    pub(super) fn stop(&self) {
        self.lock().over = true;
        self.freed.notify_all();
    }

    /// What became of the files, and of fragments.
    pub(super) fn into_read(self) -> Read {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        Read { errors: state.errors, stopped: state.stopped, fragments: state.defragmenter.stats() }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        // A thread that panicked has ended the run anyway; what it left is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the next batch, or finds that there is none.
    fn read(&self, state: &mut State<'_>) {
        let mut dealt = state.spare.pop().unwrap_or_else(Dealt::new);
        loop {
            state.stopped |= !state.files.is_empty() && state.stop.is_set();
            let Some(file) = state.files.front_mut().filter(|_| !state.stopped) else {
                state.over = true;
                return;
            };
            let filled = file.fill(&mut dealt.batch);
            (state.on_progress)(state.current, file.progress());
            match filled {
                Ok(true) => break,
                // A pipe may have given no more for that reason.
                _ if state.stop.is_set() => {
                    state.stopped = true;
                    continue;
                }
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
        self.deal(&mut dealt, &mut state.defragmenter);
        state.waiting.push_back((Arc::new(dealt), 0));
        self.freed.notify_all();
    }

    /// Finds each frame's lane, and puts fragments together on the way.
    fn deal(&self, dealt: &mut Dealt, defragmenter: &mut Defragmenter) {
        let Dealt { batch, lanes, whole } = dealt;
        lanes.clear();
        whole.clear();
        for (place, frame) in batch.frames().iter().enumerate() {
            let Some(frame) = super::replay::captured(batch, frame) else {
                lanes.push(0);
                continue;
            };
            let destination = destination_of(&frame, self.knobs, self.lanes);
            lanes.push(destination.lane as u8);
            let Some(network) = destination.fragment.and_then(|at| frame.slice.bytes.get(at..)) else {
                continue;
            };
            // What is refused is counted there.
            let info = frame.info();
            if let Ok(Some(bytes)) = defragmenter.push(network, info.place(), frame.time) {
                let CapturedFrame { time, interface, number, .. } = frame;
                let bytes = Bytes::copy_from_slice(bytes);
                let mut next = Some(Whole { bytes, time, interface, info, number: Some(number), layers: 0 });
                while let Some(datagram) = next.take() {
                    match datagram.gather(defragmenter) {
                        Gathered::AsItIs(datagram) => {
                            let lane = shard_of(datagram.hash(self.knobs), self.lanes) as u8;
                            whole.push(DealtWhole { behind: place, lane, whole: datagram });
                        }
                        Gathered::Further(datagram) => next = Some(datagram),
                        Gathered::Waits => {}
                    }
                }
            }
        }
    }
}

impl Dealt {
    fn new() -> Self {
        Self { batch: Batch::new(), lanes: Vec::new(), whole: Vec::new() }
    }
}
