//! The engine's steps over a batch of a replay, shared by several threads.
//!
//! Each thread takes a step for the events of its own lanes, and between two steps all threads meet. What several
//! connections have in common is evaluated part by part, by any thread, and in a part in the order of the packets. So the
//! results depend on the packets alone:
//!
//! 1. Each thread reads the packets of its lanes ([`BatchRounds::run`] gets the observations).
//! 2. The parts look the values up in the first-seen history.
//! 3. Each thread records its events, which gives the evaluations to run.
//! 4. The parts run them.
//! 5. Each thread reports its events: lines, rows and alerts. The last thread merges them and writes the lines, while the
//!    others begin with the next batch.

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use crate::detect::builtin::BuiltinOutcome;
use crate::detect::detectors::{Evaluation, Signal};
use crate::detect::first_seen::{FirstSeenFact, Sighting};
use crate::model::Time;
use crate::runtime::engine::finished::Sighted;
use crate::runtime::engine::observe::ObservationKind;
use crate::runtime::engine::worker::{RecordedEvent, WorkerStats};
use crate::runtime::engine::{Engine, EngineWorker, Finished};
use crate::runtime::lane_lines::{LaneLines, LineKey};

/// Position of an observation among those of all threads.
type EventOrder = (LineKey, u32);

/// A value to look up.
#[derive(Clone, Copy, Debug)]
struct SightSignal {
    order: EventOrder,
    host: Option<IpAddr>,
}

/// An evaluation to run.
#[derive(Clone, Copy, Debug)]
struct EventSignal {
    order: EventOrder,
    /// Its number among those of its event.
    number: u32,
    evaluation: Evaluation,
}

/// What one thread contributes to a batch.
#[derive(Debug, Default)]
struct ThreadBatch {
    lines: LaneLines,
    /// Values to look up, by part.
    sightings: Vec<Vec<SightSignal>>,
    /// Earliest time of a tracked value.
    earliest: Option<Time>,
    /// Recorded events, by observation.
    events: Vec<Option<RecordedEvent>>,
    /// Evaluations to run, by part.
    signals: Vec<Vec<EventSignal>>,
}

/// What the first-seen history knows of a value: observation, whether it is of a host, result.
type SightReply = (u32, bool, Sighting, Option<FirstSeenFact>);

/// The result of an evaluation: observation, number, result.
type OutcomeReply = (u32, u32, BuiltinOutcome);

/// The results of one part, by thread.
#[derive(Debug, Default)]
struct PartReplies {
    sightings: Vec<Vec<SightReply>>,
    outcomes: Vec<Vec<OutcomeReply>>,
}

/// What one thread has finished, and the ends of its runs.
#[derive(Debug, Default)]
struct ThreadOutput {
    finished: Finished,
    /// Ends of lines, rows and alerts.
    runs: Vec<(LineKey, [usize; 3])>,
    stats: WorkerStats,
}

/// The output, used by one thread at a time.
struct RoundOutput<W> {
    out: W,
    error: Option<io::Error>,
    merged: Finished,
}

/// The rounds of a replay. Every thread takes part in every batch.
pub(super) struct BatchRounds<W> {
    engine: Arc<Engine>,
    threads: usize,
    batches: Vec<RwLock<ThreadBatch>>,
    replies: Vec<Mutex<PartReplies>>,
    outputs: Vec<Mutex<ThreadOutput>>,
    /// Parts that are taken in steps 2 and 4.
    taken: [AtomicUsize; 2],
    /// Threads that have reported the current batch.
    reported: AtomicUsize,
    barrier: RoundBarrier,
    output: Mutex<RoundOutput<W>>,
    /// The output is closed and no other output needs the results.
    is_closed: AtomicBool,
    continue_without_output: bool,
}

impl<W: Write> BatchRounds<W> {
    pub(super) fn new(out: W, engine: &Arc<Engine>, threads: usize, continue_without_output: bool) -> Self {
        let parts = engine.detectors().parts();
        let batch = || ThreadBatch {
            sightings: vec![Vec::new(); parts],
            signals: vec![Vec::new(); parts],
            ..ThreadBatch::default()
        };
        let replies = || PartReplies {
            sightings: (0..threads).map(|_| Vec::new()).collect(),
            outcomes: (0..threads).map(|_| Vec::new()).collect(),
        };
        Self {
            engine: Arc::clone(engine),
            threads,
            batches: (0..threads).map(|_| RwLock::new(batch())).collect(),
            replies: (0..parts).map(|_| Mutex::new(replies())).collect(),
            outputs: (0..threads).map(|_| Mutex::default()).collect(),
            taken: Default::default(),
            reported: AtomicUsize::new(0),
            barrier: RoundBarrier::new(threads),
            output: Mutex::new(RoundOutput { out, error: None, merged: Finished::default() }),
            is_closed: AtomicBool::new(false),
            continue_without_output,
        }
    }

    /// A thread that takes part holds this: if it panics, the others end too.
    pub(super) fn guard(&self) -> BarrierGuard<'_> {
        self.barrier.guard()
    }

    /// Takes a thread's observations of batch `number` through all steps, and leaves `lines` empty for the next batch.
    /// `meanwhile` is called while another thread merges. With `now`, the output is flushed. Returns false if the replay
    /// should stop.
    pub(super) fn run(
        &self,
        thread: usize,
        number: u64,
        worker: &mut EngineWorker,
        lines: &mut LaneLines,
        now: bool,
        meanwhile: impl FnOnce(),
    ) -> bool {
        self.collect(thread, lines);
        if !self.barrier.wait() {
            return false;
        }
        let is_open = !self.is_closed.load(Ordering::Relaxed);
        self.taken[1].store(0, Ordering::Relaxed);
        self.look_up();
        if !self.barrier.wait() {
            return false;
        }
        self.taken[0].store(0, Ordering::Relaxed);
        self.record(thread, worker);
        if !self.barrier.wait() {
            return false;
        }
        self.evaluate();
        if !self.barrier.wait() {
            return false;
        }
        self.report(thread, worker, lines);
        if self.reported.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.reported.store(0, Ordering::Relaxed);
            self.merge(number, now);
        } else {
            meanwhile();
        }
        is_open
    }

    /// Step 1: the values to look up.
    fn collect(&self, thread: usize, lines: &mut LaneLines) {
        let Some(batch) = self.batches.get(thread) else { return };
        let batch = &mut *batch.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut batch.lines, lines);
        batch.sightings.iter_mut().for_each(Vec::clear);
        batch.earliest = None;
        let (mut number, detectors) = (0, self.engine.detectors());
        for run in &batch.lines.runs {
            while number < run.observations {
                let Some(observation) = batch.lines.chunk.observations.get(number) else { break };
                if let ObservationKind::Fingerprint(reported) = &observation.what {
                    let value = batch.lines.chunk.words.get(reported.value);
                    for host in self.engine.sightings(observation) {
                        let part = detectors.value_part(reported.method, value, host);
                        let order = (run.key, number as u32);
                        batch.earliest = batch.earliest.into_iter().chain([observation.cause.time]).min();
                        if let Some(signals) = batch.sightings.get_mut(usize::from(part)) {
                            signals.push(SightSignal { order, host });
                        }
                    }
                }
                number += 1;
            }
        }
    }

    /// Step 2: looks values up, part by part.
    fn look_up(&self) {
        let batches = self.read_batches();
        if let Some(earliest) = batches.iter().filter_map(|batch| batch.earliest).min() {
            self.engine.detectors().learning().begin(earliest);
        }
        let mut signals = Vec::new();
        while let Some((part, replies)) = self.take_part(0) {
            signals.clear();
            for (thread, batch) in batches.iter().enumerate() {
                signals.extend(
                    batch.sightings.get(part).into_iter().flatten().map(|signal| (signal.order, thread, signal.host)),
                );
            }
            // Those of a thread are in order already.
            signals.sort();
            let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
            for (order, thread, host) in &signals {
                let chunk = batches.get(*thread).map(|batch| &batch.lines.chunk);
                let Some(chunk) = chunk else { continue };
                let Some(observation) = chunk.observations.get(order.1 as usize) else { continue };
                let ObservationKind::Fingerprint(reported) = &observation.what else { continue };
                let (value, mut sighted) = (chunk.words.get(reported.value), Sighted::default());
                let time = observation.cause.time;
                self.engine.sight_part(part as u8, reported.method, value, *host, time, &mut sighted);
                if let Some(replies) = replies.sightings.get_mut(*thread) {
                    replies.push((order.1, host.is_some(), sighted.sighting, sighted.rows.pop()));
                }
            }
        }
    }

    /// Step 3: records a thread's events.
    fn record(&self, thread: usize, worker: &mut EngineWorker) {
        let Some(batch) = self.batches.get(thread) else { return };
        let batch = &mut *batch.write().unwrap_or_else(PoisonError::into_inner);
        let ThreadBatch { lines, events, signals, .. } = batch;
        signals.iter_mut().for_each(Vec::clear);
        let chunk = &mut lines.chunk;
        let mut sighted: Vec<Sighted> = (0..chunk.observations.len()).map(|_| Sighted::default()).collect();
        for replies in &self.replies {
            let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
            for (number, of_host, sighting, row) in
                replies.sightings.get_mut(thread).into_iter().flat_map(|replies| replies.drain(..))
            {
                if let Some(sighted) = sighted.get_mut(number as usize) {
                    sighted.merge(of_host, sighting, row);
                }
            }
        }
        let active = self.engine.active();
        let mut number = 0;
        events.clear();
        let mut sighted = sighted.into_iter();
        for run in &lines.runs {
            while number < run.observations {
                let Some(observation) = chunk.observations.get_mut(number) else { break };
                let (mut count, order) = (0, (run.key, number as u32));
                let sighted = sighted.next().unwrap_or_default();
                let event =
                    worker.record(&active, observation, &chunk.words, sighted, |Signal { part, evaluation }| {
                        if let Some(signals) = signals.get_mut(usize::from(part)) {
                            signals.push(EventSignal { order, number: count, evaluation });
                        }
                        count += 1;
                    });
                events.push(event);
                number += 1;
            }
        }
    }

    /// Step 4: runs evaluations, part by part.
    fn evaluate(&self) {
        let (batches, active) = (self.read_batches(), self.engine.active());
        let mut signals = Vec::new();
        while let Some((part, replies)) = self.take_part(1) {
            signals.clear();
            for (thread, batch) in batches.iter().enumerate() {
                signals.extend(batch.signals.get(part).into_iter().flatten().map(|signal| (thread, *signal)));
            }
            // Those of a thread are in order already.
            signals.sort_by_key(|(_, signal)| (signal.order, signal.number));
            let mut detector = self.engine.detectors().part(part as u8);
            let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
            for (thread, EventSignal { order, number, evaluation }) in &signals {
                let event = batches.get(*thread).and_then(|batch| batch.events.get(order.1 as usize)?.as_ref());
                let Some(event) = event else { continue };
                let outcome = detector.evaluate(*evaluation, &event.evaluated(), &active.matcher);
                if let (Some(outcome), Some(replies)) = (outcome, replies.outcomes.get_mut(*thread)) {
                    replies.push((order.1, *number, outcome));
                }
            }
        }
    }

    /// Step 5: reports a thread's events.
    fn report(&self, thread: usize, worker: &mut EngineWorker, lines: &mut LaneLines) {
        let (Some(batch), Some(output)) = (self.batches.get(thread), self.outputs.get(thread)) else { return };
        let batch = &mut *batch.write().unwrap_or_else(PoisonError::into_inner);
        let output = &mut *output.lock().unwrap_or_else(PoisonError::into_inner);
        let mut outcomes = Vec::new();
        for replies in &self.replies {
            let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
            outcomes.extend(replies.outcomes.get_mut(thread).into_iter().flat_map(|replies| replies.drain(..)));
        }
        outcomes.sort_unstable_by_key(|(observation, number, _)| (*observation, *number));
        let mut outcomes = outcomes.into_iter().peekable();
        let ThreadBatch { lines: taken, events, .. } = batch;
        let chunk = &taken.chunk;
        let (mut number, mut written, mut events) = (0, 0, events.drain(..));
        output.runs.clear();
        let active = self.engine.active();
        for run in &taken.runs {
            let lane = run.key.lane as usize;
            if let Some(time) = run.tick {
                worker.raise_all_due(lane, time, &mut output.finished);
            }
            while number < run.observations {
                let Some(observation) = chunk.observations.get(number) else { break };
                let of_event = std::iter::from_fn(|| outcomes.next_if(|(of, ..)| *of as usize == number));
                let of_event: Vec<_> = of_event.map(|(.., outcome)| outcome).collect();
                let line = observation.take_line(&chunk.text, &mut written);
                let event = events.next().flatten();
                worker.report(&active, lane, observation, line, event, of_event, &mut output.finished);
                number += 1;
            }
            let Finished { text, rows, alerts } = &output.finished;
            output.runs.push((run.key, [text.len(), rows.len(), alerts.len()]));
        }
        drop(events);
        output.stats = worker.stats().0;
        worker.read_wall();
        taken.clear();
        std::mem::swap(taken, lines);
    }

    /// Merges the results of all threads, writes the lines and delivers the rest. No thread evaluates meanwhile.
    fn merge(&self, number: u64, now: bool) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let RoundOutput { out, error, merged } = &mut *output;
        let mut results: Vec<_> =
            self.outputs.iter().map(|output| output.lock().unwrap_or_else(PoisonError::into_inner)).collect();
        merged.text.clear();
        let mut stats = WorkerStats::default();
        results.iter().for_each(|result| stats.add(&result.stats));
        merge_runs(&mut results, merged);
        if error.is_none() || self.continue_without_output {
            self.engine.end_batch(&stats, number, merged);
        }
        if error.is_none() {
            let written = out.write_all(&merged.text);
            *error = if now { written.and_then(|()| out.flush()) } else { written }.err();
            self.is_closed.store(error.is_some() && !self.continue_without_output, Ordering::Relaxed);
        }
    }

    /// Takes the next part of a step.
    fn take_part(&self, step: usize) -> Option<(usize, &Mutex<PartReplies>)> {
        let part = self.taken.get(step)?.fetch_add(1, Ordering::Relaxed);
        Some((part, self.replies.get(part)?))
    }

    fn read_batches(&self) -> Vec<RwLockReadGuard<'_, ThreadBatch>> {
        self.batches.iter().map(|batch| batch.read().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    /// Returns the output, and its error, if any.
    pub(super) fn into_parts(self) -> (W, Option<io::Error>) {
        let RoundOutput { out, error, .. } = self.output.into_inner().unwrap_or_else(PoisonError::into_inner);
        (out, error)
    }
}

/// Appends the results of all threads in the order of their runs.
fn merge_runs(results: &mut [MutexGuard<'_, ThreadOutput>], merged: &mut Finished) {
    let mut order: Vec<(LineKey, usize, usize)> = Vec::new();
    for (thread, result) in results.iter().enumerate() {
        order.extend(result.runs.iter().enumerate().map(|(run, (key, _))| (*key, thread, run)));
    }
    // Those of a thread are in order already.
    order.sort();
    let (mut rows, mut alerts): (Vec<_>, Vec<_>) = results
        .iter_mut()
        .map(|result| {
            let Finished { rows, alerts, .. } = &mut result.finished;
            (std::mem::take(rows).into_iter(), std::mem::take(alerts).into_iter())
        })
        .unzip();
    let mut done = vec![[0; 3]; results.len()];
    for (_, thread, run) in order {
        let (Some(result), Some(done)) = (results.get(thread), done.get_mut(thread)) else { continue };
        let Some((_, ends)) = result.runs.get(run) else { continue };
        let [text, rows_before, alerts_before] = *done;
        let [text_end, rows_end, alerts_end] = *ends;
        merged.text.extend_from_slice(result.finished.text.get(text..text_end).unwrap_or_default());
        if let Some(rows) = rows.get_mut(thread) {
            merged.rows.extend(rows.take(rows_end - rows_before));
        }
        if let Some(alerts) = alerts.get_mut(thread) {
            merged.alerts.extend(alerts.take(alerts_end - alerts_before));
        }
        *done = *ends;
    }
    results.iter_mut().for_each(|result| result.finished.text.clear());
}

/// A barrier that lets all threads go on when one of them panics: else the others would wait for ever.
#[derive(Debug)]
struct RoundBarrier {
    threads: usize,
    /// Waiting threads, and the number of times that all threads met.
    state: Mutex<(usize, u64)>,
    changed: Condvar,
    is_broken: AtomicBool,
}

/// Breaks the barrier when it is dropped by a panic.
pub(super) struct BarrierGuard<'a>(&'a RoundBarrier);

impl RoundBarrier {
    fn new(threads: usize) -> Self {
        Self { threads, state: Mutex::default(), changed: Condvar::new(), is_broken: AtomicBool::new(false) }
    }

    fn guard(&self) -> BarrierGuard<'_> {
        BarrierGuard(self)
    }

    /// Waits for all threads. Returns false if one of them has panicked.
    fn wait(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        if state.0 == self.threads {
            *state = (0, state.1 + 1);
            self.changed.notify_all();
        } else {
            let met = state.1;
            while state.1 == met && !self.is_broken.load(Ordering::Relaxed) {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        !self.is_broken.load(Ordering::Relaxed)
    }
}

impl Drop for BarrierGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.is_broken.store(true, Ordering::Relaxed);
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::thread;

    use super::*;

    #[test]
    fn no_thread_is_ahead_of_another_by_more_than_a_step() {
        const THREADS: usize = 16;
        const ROUNDS: u64 = 500;
        let (barrier, steps) = (RoundBarrier::new(THREADS), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for round in 1..=ROUNDS {
                        steps.fetch_add(1, Ordering::SeqCst);
                        assert!(barrier.wait());
                        // Every thread has taken the step, and none has taken the next one.
                        assert_eq!(steps.load(Ordering::SeqCst), round * THREADS as u64);
                        assert!(barrier.wait());
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_of_one_thread_releases_the_others() {
        let barrier = RoundBarrier::new(3);
        let waits = thread::scope(|scope| {
            let waiting = [0, 1].map(|_| scope.spawn(|| barrier.wait()));
            let panics = scope.spawn(|| {
                let _guard = barrier.guard();
                panic!("a defect");
            });
            assert!(panics.join().is_err());
            waiting.map(|thread| thread.join().unwrap())
        });
        assert_eq!(waits, [false, false]);
        assert!(!barrier.wait(), "the barrier stays broken");
    }
}
