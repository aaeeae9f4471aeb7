//! The engine's steps over a batch of a replay, shared by several threads.
//!
//! Each thread takes a step for the events of its own lanes, and between two steps all threads meet. What several
//! connections have in common is evaluated part by part, by any thread, and in a part in the order of the packets. So the
//! results depend on the packets alone:
//!
//! 1. Each thread reads the packets of its lanes, and notes their events in the records of the connections.
//! 2. The parts look the values up in the first-seen history.
//! 3. Each thread adds the results to its events, which gives the evaluations to run.
//! 4. The parts run them.
//! 5. Each thread reports its events: lines, rows and alerts. The last thread merges them and writes the lines, while the
//!    others begin with the next batch.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use hashbrown::HashMap;

use crate::detect::builtin::BuiltinOutcome;
use crate::detect::detectors::{ActiveContent, Evaluation, Signal};
use crate::detect::first_seen::{FirstSeenFact, Sighting};
use crate::model::{ConnectionRecord, Method, Time};
use crate::output::packet_file::PacketRecorder;
use crate::runtime::batches::Batches;
use crate::runtime::deferred_events::{DeferredEvent, DeferredKind};
use crate::runtime::deferring_events::DeferringEvents;
use crate::runtime::engine::finished::Sighted;
use crate::runtime::engine::worker::{EventScope, WorkerStats, connection_event, fingerprint_event, open_order};
use crate::runtime::engine::{Engine, EngineWorker, Finished};
use crate::runtime::lane_events::{LaneEvents, LineCause, LineKey, SightSignal};
use crate::runtime::lane_output::LaneOutput;
use crate::runtime::round_barrier::{BarrierGuard, RoundBarrier};

/// Connections that one round at the end of the run reports.
const OPEN_BATCH: usize = 4096;

/// An evaluation to run.
#[derive(Clone, Copy, Debug)]
struct EventSignal {
    event: u32,
    /// Its number among those of its event.
    number: u32,
    evaluation: Evaluation,
}

/// What one thread contributes to a batch.
#[derive(Debug, Default)]
struct ThreadBatch {
    lanes: LaneEvents,
    /// Earliest time of a packet.
    earliest: Option<Time>,
    /// What the first-seen history knows, by event.
    sighted: Vec<Sighted>,
    /// Evaluations to run, by part.
    signals: Vec<Vec<EventSignal>>,
}

/// What the first-seen history knows of a value: event, whether it is of a host, result.
type SightReply = (u32, bool, Sighting, Option<FirstSeenFact>);

/// The result of an evaluation: event, number, result.
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
    runs: Vec<RunEnds>,
    /// Ends of the lines of each event file, for one run after the other.
    file_ends: Vec<usize>,
    stats: WorkerStats,
}

/// What one run has added to the output of its thread.
#[derive(Clone, Copy, Debug)]
struct RunEnds {
    key: LineKey,
    /// Its number in the thread.
    number: usize,
    /// Ends of lines, rows and alerts.
    ends: [usize; 3],
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
    /// Connections that are open at the end of the run: collected, and in order.
    open: Mutex<Vec<OpenOrder>>,
    open_sorted: OnceLock<Vec<OpenOrder>>,
    output: Mutex<RoundOutput<W>>,
    /// The output is closed and no other output needs the results.
    is_closed: AtomicBool,
    continue_without_output: bool,
}

impl<W: Write> BatchRounds<W> {
    pub(super) fn new(out: W, engine: &Arc<Engine>, threads: usize, continue_without_output: bool) -> Self {
        let parts = engine.detectors().parts();
        let batch = || ThreadBatch {
            lanes: LaneEvents::new(parts),
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
            open: Mutex::default(),
            open_sorted: OnceLock::new(),
            output: Mutex::new(RoundOutput { out, error: None, merged: Finished::default() }),
            is_closed: AtomicBool::new(false),
            continue_without_output,
        }
    }

    /// A thread that takes part holds this: if it panics, the others end too.
    pub(super) fn guard(&self) -> BarrierGuard<'_> {
        self.barrier.guard()
    }

    /// Step 1 ends: the events of a thread, with the values to look up.
    fn collect(&self, thread: usize, lanes: &mut LaneEvents, earliest: Option<Time>) {
        let Some(batch) = self.batches.get(thread) else { return };
        let batch = &mut *batch.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut batch.lanes, lanes);
        batch.earliest = earliest;
    }

    /// Step 2: looks values up, part by part.
    fn look_up(&self) {
        let batches = self.read_batches();
        if let Some(earliest) = batches.iter().filter_map(|batch| batch.earliest).min() {
            self.engine.detectors().learning().begin(earliest);
        }
        while let Some((part, replies)) = self.take_part(0) {
            let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
            let signals = batches.iter().map(|batch| batch.lanes.sightings.get(part).map_or(&[][..], Vec::as_slice));
            in_order(
                signals.collect(),
                |thread, signal| batches.get(thread)?.lanes.order(signal.event),
                |thread, SightSignal { event: number, host }| {
                    let event = batches.get(thread).and_then(|batch| batch.lanes.events.get(*number as usize));
                    let Some(DeferredEvent { cause, record, .. }) = event else { return };
                    let Some(seen) = record.history.last() else { return };
                    let mut sighted = Sighted::default();
                    self.engine.sight_part(part as u8, seen, *host, cause.time, &mut sighted);
                    if let Some(replies) = replies.sightings.get_mut(thread) {
                        replies.push((*number, host.is_some(), sighted.sighting, sighted.rows.pop()));
                    }
                },
            );
        }
    }

    /// Step 3: completes a thread's events, and collects the evaluations to run.
    fn complete(&self, thread: usize, worker: &EngineWorker, active: &ActiveContent, new: &mut FirstSeenByFlow) {
        let Some(batch) = self.batches.get(thread) else { return };
        let batch = &mut *batch.write().unwrap_or_else(PoisonError::into_inner);
        let ThreadBatch { lanes, sighted, signals, .. } = batch;
        signals.iter_mut().for_each(Vec::clear);
        sighted.clear();
        sighted.resize_with(lanes.events.len(), Sighted::default);
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
        let (mut number, mut events) = (0, lanes.events.iter_mut().zip(sighted));
        for run in &lanes.runs {
            for (event, sighted) in events.by_ref().take(run.end - number as usize) {
                let mut count = 0;
                let mut found = |Signal { part, evaluation }| {
                    if let Some(signals) = signals.get_mut(usize::from(part)) {
                        signals.push(EventSignal { event: number, number: count, evaluation });
                    }
                    count += 1;
                };
                event.start.iter().for_each(|signal| found(*signal));
                let sighting = sighted.sighting;
                new.apply(event, sighting);
                if event.is_end() {
                    let now = event.now();
                    worker.end_signals(active, &mut event.record, now, event.cause.packet, found);
                } else if let DeferredKind::Fingerprint { .. } = event.kind {
                    let event = fingerprint_event(&event.record, sighting, event.cause);
                    self.engine.detectors().signals(active, &event, found);
                }
                number += 1;
            }
        }
    }

    /// Step 4: runs evaluations, part by part.
    fn evaluate(&self, active: &ActiveContent) {
        let batches = self.read_batches();
        while let Some((part, replies)) = self.take_part(1) {
            let mut detector = self.engine.detectors().part(part as u8);
            let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
            let signals = batches.iter().map(|batch| batch.signals.get(part).map_or(&[][..], Vec::as_slice));
            in_order(
                signals.collect(),
                |thread, signal| batches.get(thread)?.lanes.order(signal.event),
                |thread, EventSignal { event: place, number, evaluation }| {
                    let Some(batch) = batches.get(thread) else { return };
                    let of_event = *place;
                    let place = of_event as usize;
                    let (Some(event), Some(sighted)) = (batch.lanes.events.get(place), batch.sighted.get(place)) else {
                        return;
                    };
                    let is_of_fingerprint =
                        matches!(event.kind, DeferredKind::Fingerprint { .. }) && *number as usize >= event.start.len();
                    let event = if is_of_fingerprint {
                        fingerprint_event(&event.record, sighted.sighting, event.cause)
                    } else {
                        connection_event(&event.record, event.now(), event.cause.packet)
                    };
                    let outcome = detector.evaluate(*evaluation, &event, &active.matcher);
                    if let (Some(outcome), Some(replies)) = (outcome, replies.outcomes.get_mut(thread)) {
                        replies.push((of_event, *number, outcome));
                    }
                },
            );
        }
    }

    /// Step 5: reports a thread's events, and leaves `lanes` empty for the next batch.
    fn report(&self, thread: usize, worker: &mut EngineWorker, active: &Arc<ActiveContent>, lanes: &mut LaneEvents) {
        let (Some(batch), Some(output)) = (self.batches.get(thread), self.outputs.get(thread)) else { return };
        let batch = &mut *batch.write().unwrap_or_else(PoisonError::into_inner);
        let output = &mut *output.lock().unwrap_or_else(PoisonError::into_inner);
        let mut outcomes = Vec::new();
        for replies in &self.replies {
            let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
            outcomes.extend(replies.outcomes.get_mut(thread).into_iter().flat_map(|replies| replies.drain(..)));
        }
        outcomes.sort_unstable_by_key(|(event, number, _)| (*event, *number));
        let mut outcomes = outcomes.into_iter().peekable();
        let ThreadBatch { lanes: taken, sighted, .. } = batch;
        let (mut number, mut events) = (0, taken.events.iter_mut().zip(sighted.drain(..)));
        output.runs.clear();
        output.file_ends.clear();
        output.finished.files.resize_with(self.engine.event_files(), Vec::new);
        for run in &taken.runs {
            let scope = EventScope { active, lane: run.key.lane as usize };
            if let Some(time) = run.tick {
                worker.raise_all_due(scope, time, &mut output.finished);
            }
            for (event, Sighted { rows, .. }) in events.by_ref().take(run.end - number as usize) {
                let of_event = std::iter::from_fn(|| outcomes.next_if(|(of, ..)| *of == number));
                let of_event = of_event.map(|(.., outcome)| outcome);
                report_event(worker, scope, event, rows, of_event, &mut output.finished);
                number += 1;
            }
            let Finished { text, files, rows, alerts } = &output.finished;
            let ends = [text.len(), rows.len(), alerts.len()];
            output.file_ends.extend(files.iter().map(Vec::len));
            output.runs.push(RunEnds { key: run.key, number: output.runs.len(), ends });
        }
        drop(events);
        output.stats = worker.stats().0;
        worker.read_wall();
        taken.clear();
        std::mem::swap(taken, lanes);
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

/// Calls `act` with the items of all threads, each with its thread, in their order. Those of a thread are in order already.
fn in_order<T, K: Ord>(mut lists: Vec<&[T]>, key: impl Fn(usize, &T) -> K, mut act: impl FnMut(usize, &T)) {
    let least = |lists: &[&[T]]| {
        let heads = lists.iter().enumerate().filter_map(|(thread, list)| Some((key(thread, list.first()?), thread)));
        heads.min().map(|(_, thread)| thread)
    };
    while let Some(thread) = least(&lists) {
        // The heads of the other lists stay the same while items of this one precede them.
        let others = lists.iter().enumerate().filter(|(other, _)| *other != thread);
        let limit = others.filter_map(|(other, list)| list.first().map(|first| key(other, first))).min();
        let Some(list) = lists.get_mut(thread) else { return };
        while let Some((first, rest)) = list.split_first()
            && limit.as_ref().is_none_or(|limit| key(thread, first) <= *limit)
        {
            act(thread, first);
            *list = rest;
        }
    }
}

fn report_event(
    worker: &mut EngineWorker,
    scope: EventScope<'_>,
    event: &mut DeferredEvent,
    rows: Vec<FirstSeenFact>,
    outcomes: impl Iterator<Item = BuiltinOutcome>,
    out: &mut Finished,
) {
    if let Some(fingerprint) = event.fingerprint() {
        return worker.report_fingerprint(scope, &fingerprint, &event.record, rows, outcomes, out);
    }
    let is_end = event.is_end();
    let DeferredEvent { cause, record, kind, .. } = event;
    match kind {
        DeferredKind::Open => worker.report_open(scope, record, *cause, outcomes, out),
        DeferredKind::End if is_end => worker.report_end(scope, record, *cause, outcomes, out),
        DeferredKind::End => {
            worker.report_progress(scope, *cause, record, outcomes, out);
            worker.keep_open(record.take(), *cause);
        }
        DeferredKind::Fingerprint { .. } | DeferredKind::Progress => {
            worker.report_progress(scope, *cause, record, outcomes, out);
        }
    }
}

/// One thread that takes part in the rounds.
pub(super) struct RoundThread<'a, 'f, W> {
    rounds: &'a BatchRounds<W>,
    batches: &'a Batches<'f>,
    thread: usize,
    worker: EngineWorker,
    active: Arc<ActiveContent>,
    lanes: LaneEvents,
    earliest: Option<Time>,
    new: FirstSeenByFlow,
}

impl<'a, 'f, W: Write> RoundThread<'a, 'f, W> {
    pub(super) fn new(
        rounds: &'a BatchRounds<W>,
        batches: &'a Batches<'f>,
        thread: usize,
        worker: EngineWorker,
    ) -> Self {
        Self {
            rounds,
            batches,
            thread,
            worker,
            active: rounds.engine.active(),
            lanes: LaneEvents::new(rounds.engine.detectors().parts()),
            earliest: None,
            new: FirstSeenByFlow::default(),
        }
    }

    pub(super) fn into_worker(self) -> EngineWorker {
        self.worker
    }
}

impl<W: Write> LaneOutput for RoundThread<'_, '_, W> {
    type Events<'e>
        = DeferringEvents<'e>
    where
        Self: 'e;

    fn begin_batch(&mut self, earliest: Time) {
        self.earliest = Some(earliest);
    }

    fn events(&mut self, lane: usize) -> DeferringEvents<'_> {
        let Self { worker, active, lanes, .. } = self;
        DeferringEvents { worker, scope: EventScope { active, lane }, lanes }
    }

    /// With a packet file, there is one thread.
    fn packets(&mut self) -> Option<&mut PacketRecorder> {
        None
    }

    fn mark(&mut self, key: LineKey) {
        self.lanes.mark(key);
    }

    fn tick(&mut self, key: LineKey, time: Time) {
        self.lanes.tick(key, time);
    }

    /// Takes the thread's events through all steps.
    fn end_batch(&mut self, number: u64, now: bool) -> bool {
        let Self { rounds, batches, thread, worker, active, lanes, earliest, new } = self;
        rounds.collect(*thread, lanes, earliest.take());
        if !rounds.barrier.wait() {
            return false;
        }
        let is_open = !rounds.is_closed.load(Ordering::Relaxed);
        rounds.taken[1].store(0, Ordering::Relaxed);
        rounds.look_up();
        if !rounds.barrier.wait() {
            return false;
        }
        rounds.taken[0].store(0, Ordering::Relaxed);
        rounds.complete(*thread, worker, active, new);
        if !rounds.barrier.wait() {
            return false;
        }
        rounds.evaluate(active);
        if !rounds.barrier.wait() {
            return false;
        }
        rounds.report(*thread, worker, active, lanes);
        if rounds.reported.fetch_add(1, Ordering::AcqRel) + 1 == rounds.threads {
            rounds.reported.store(0, Ordering::Relaxed);
            rounds.merge(number, now);
        } else {
            batches.read_ahead();
        }
        is_open
    }

    fn finish(&mut self, number: u64) {
        let mut open = self.worker.take_open();
        let mut orders = self.rounds.open.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = self.thread;
        orders.extend(open.iter().map(|(record, _)| OpenOrder { order: open_order(record), thread }));
        drop(orders);
        if !self.rounds.barrier.wait() {
            return;
        }
        let order = self.rounds.open_sorted.get_or_init(|| {
            let mut orders = self.rounds.open.lock().unwrap_or_else(PoisonError::into_inner);
            orders.sort_unstable();
            std::mem::take(&mut *orders)
        });
        open.sort_by_cached_key(|(record, _)| open_order(record));
        let mut open = open.into_iter();
        let mut number = number;
        for chunk in order.chunks(OPEN_BATCH) {
            // The places of this thread's connections among all.
            let places = (0..).zip(chunk).filter(|(_, order)| order.thread == thread).map(|(place, _)| place);
            for (packet, (record, cause)) in places.zip(&mut open) {
                let lane = self.worker.pending_lane(&record) as u32;
                let event = DeferredEvent { cause, record: *record, start: Vec::new(), kind: DeferredKind::Open };
                self.lanes.events.push(event);
                self.lanes.mark(LineKey { packet, cause: LineCause::Clock, lane });
            }
            self.end_batch(number, false);
            number += 1;
        }
        self.end_batch(number, true);
    }
}

/// The order of a connection that is open at the end of the run, and its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OpenOrder {
    order: (Time, u64),
    thread: usize,
}

/// Method, number and time of a fingerprint.
type FingerprintKey = (Method, u16, u64);

/// Fingerprints with a first-seen value, by flow: the records of later events were copied before this was known.
#[derive(Debug, Default)]
struct FirstSeenByFlow(HashMap<u64, Vec<FingerprintKey>>);

impl FirstSeenByFlow {
    /// Adds to an event what the first-seen history knows of it and of earlier events.
    fn apply(&mut self, event: &mut DeferredEvent, sighting: Sighting) {
        let Self(flows) = self;
        let record: &mut ConnectionRecord = &mut event.record;
        let id = record.identity.id;
        if let Some(seen) = record.history.last()
            && sighting.first
        {
            flows.entry(id).or_default().push(seen.key());
        }
        if let Some(new) = flows.get(&id) {
            record.is_new = true;
            for seen in &mut record.history {
                seen.set_first_seen(new.contains(&seen.key()));
            }
            if let DeferredKind::End = event.kind {
                flows.remove(&id);
            }
        }
    }
}

/// Appends the results of all threads in the order of their runs.
fn merge_runs(results: &mut [MutexGuard<'_, ThreadOutput>], merged: &mut Finished) {
    let (mut rows, mut alerts): (Vec<_>, Vec<_>) = results
        .iter_mut()
        .map(|result| {
            let Finished { rows, alerts, .. } = &mut result.finished;
            (std::mem::take(rows).into_iter(), std::mem::take(alerts).into_iter())
        })
        .unzip();
    let files = results.iter().map(|result| result.finished.files.len()).max().unwrap_or_default();
    merged.files.resize_with(files, Vec::new);
    let mut done = vec![([0; 3], vec![0; files]); results.len()];
    in_order(
        results.iter().map(|result| &*result.runs).collect(),
        |_, run| run.key,
        |thread, run| {
            let (Some(result), Some((done, files_done))) = (results.get(thread), done.get_mut(thread)) else { return };
            let Finished { text, files: texts, .. } = &result.finished;
            let [text_begin, rows_before, alerts_before] = *done;
            let [text_end, rows_end, alerts_end] = run.ends;
            merged.text.extend_from_slice(text.get(text_begin..text_end).unwrap_or_default());
            let file_ends = result.file_ends.iter().skip(run.number * files);
            for (((text, merged), begin), end) in texts.iter().zip(&mut merged.files).zip(files_done).zip(file_ends) {
                merged.extend_from_slice(text.get(*begin..*end).unwrap_or_default());
                *begin = *end;
            }
            if let Some(rows) = rows.get_mut(thread) {
                merged.rows.extend(rows.take(rows_end - rows_before));
            }
            if let Some(alerts) = alerts.get_mut(thread) {
                merged.alerts.extend(alerts.take(alerts_end - alerts_before));
            }
            *done = run.ends;
        },
    );
    for result in results {
        result.finished.text.clear();
        result.finished.files.iter_mut().for_each(Vec::clear);
    }
}
