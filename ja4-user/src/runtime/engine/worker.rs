//! The part of the engine that one thread runs: connection records, evaluation and output of its events.
//!
//! An event passes three steps: its value is looked up in the first-seen history, it is recorded, and it is reported
//! together with the outcomes of its evaluations. A live shard takes the steps of one event after another. A replay takes
//! each step for a whole batch.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use arcstr::ArcStr;
use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use thin_vec::ThinVec;

use super::finished::{Finished, Sighted};
use super::inference;
use super::json_lines::{JsonLines, open_connection};
use super::observe::{Chunk, ConnectionEnd, Observation, ObservationKind, ObservedFingerprint, Words};
use super::shared::Engine;
use super::tracker::{TrackedRecord, Tracker};
use super::value_cache::{CachedValue, ValueCache};
use crate::detect::builtin::{BuiltinEvent, BuiltinOutcome, PendingAlerts};
use crate::detect::detectors::{ActiveContent, Signal};
use crate::detect::first_seen::{FirstSeenFact, Sighting};
use crate::encode::{Additions, Formatter};
use crate::model::{
    AddCounters, Alert, ConnectionRecord, EndReason, EventContext, FingerprintRecord, Latency, Method, Severity, Time,
    note_fired,
};
use crate::output::alert::AlertLine;
use crate::output::storage::WriteOp;
use crate::system::clock::wall_clock;

/// Connection snapshots of one flush; further ones wait for the next flush.
const MAX_SNAPSHOTS: usize = 4096;

/// An event that is recorded.
#[derive(Debug)]
pub(crate) struct RecordedEvent {
    /// The connection as of the event; a fingerprint is the last one in its history.
    pub(crate) record: Arc<ConnectionRecord>,
    pub(crate) is_fingerprint: bool,
    pub(crate) sighting: Sighting,
    cause: EventContext,
    rows: Vec<FirstSeenFact>,
}

impl RecordedEvent {
    /// The event as detectors evaluate it.
    pub(crate) fn evaluated(&self) -> BuiltinEvent<'_> {
        let Self { record, cause, sighting, is_fingerprint, .. } = self;
        BuiltinEvent {
            record,
            seen: record.history.last().filter(|_| *is_fingerprint),
            sighting: *sighting,
            now: cause.time,
            packet: cause.packet,
        }
    }
}

/// Counters of a worker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorkerStats {
    pub(crate) observations: u64,
    pub(crate) ended: u64,
    pub(crate) alerts: [u64; Severity::ALL.len()],
    /// Latest event time.
    pub(crate) now: Time,
    /// Latest event time not ahead of the wall clock at the last tick.
    pub(crate) past: Time,
}

impl WorkerStats {
    /// Adds the counters of another worker.
    pub(crate) fn add(&mut self, other: &Self) {
        self.observations += other.observations;
        self.ended += other.ended;
        self.alerts.add(&other.alerts);
        self.now = self.now.max(other.now);
        self.past = self.past.max(other.past);
    }
}

/// The records and the output of one thread.
#[derive(Debug)]
pub struct EngineWorker {
    engine: Arc<Engine>,
    tracker: Tracker,
    values: ValueCache,
    /// The content that `values` was looked up in.
    cached: Arc<ActiveContent>,
    /// New values collected for the alert of their connection, by lane.
    pending: Vec<PendingAlerts>,
    /// Descriptions of the alerts of open connections.
    fired: HashMap<u64, ThinVec<ArcStr>>,
    /// Connections that are open at the end of the run, with their event contexts. Their records stay in the tracker.
    open: Vec<(u64, EventContext)>,
    formatter: Formatter,
    additions: Additions,
    /// Lines for attached readers and the API.
    json: JsonLines,
    /// Flows that have changed since the last snapshot.
    changed: HashSet<u64, foldhash::quality::RandomState>,
    signals: Vec<Signal>,
    /// The wall clock at the last tick.
    wall: Time,
    stats: WorkerStats,
}

impl EngineWorker {
    /// Creates a worker for the events of `lanes` lanes.
    pub(super) fn new(engine: Arc<Engine>, lanes: usize) -> Self {
        let cached = engine.active();
        Self {
            tracker: Tracker::default(),
            values: ValueCache::default(),
            cached,
            pending: (0..lanes).map(|_| PendingAlerts::default()).collect(),
            fired: HashMap::new(),
            open: Vec::new(),
            formatter: Formatter::new(engine.format, Arc::clone(&engine.context)).open(),
            additions: Additions::new(engine.format),
            json: JsonLines::new(&engine.context),
            changed: HashSet::default(),
            signals: Vec::new(),
            wall: wall_clock(),
            stats: WorkerStats::default(),
            engine,
        }
    }

    /// Processes a part of a chunk: all steps of one event after another.
    pub fn take(
        &mut self,
        chunk: &mut Chunk,
        text: Range<usize>,
        observations: Range<usize>,
        lane: usize,
        out: &mut Finished,
    ) {
        let Chunk { text: lines, words, observations: all } = chunk;
        let engine = Arc::clone(&self.engine);
        // Held until the chunk is processed: a reload replaces rules and state together.
        let active = engine.read_active();
        let mut written = text.start;
        for observation in all.get_mut(observations).unwrap_or_default() {
            let line = observation.take_line(lines, &mut written);
            let sighted = engine.sight(observation, words);
            let mut signals = std::mem::take(&mut self.signals);
            let recorded = self.record(&active, observation, words, sighted, |signal| signals.push(signal));
            let mut outcomes = Vec::new();
            if let Some(recorded) = &recorded {
                let event = recorded.evaluated();
                let evaluate = |signal: &Signal| engine.detectors.evaluate(*signal, &event, &active.matcher);
                outcomes.extend(signals.iter().filter_map(evaluate));
            }
            signals.clear();
            self.signals = signals;
            self.report(&active, lane, observation, line, recorded, outcomes, out);
        }
    }

    /// Records an event in its connection; `signal` receives the evaluations that it asks for. Returns `None` if there is
    /// nothing to report but a change.
    pub(crate) fn record(
        &mut self,
        active: &Arc<ActiveContent>,
        observation: &mut Observation,
        words: &Words,
        sighted: Sighted,
        mut signal: impl FnMut(Signal),
    ) -> Option<RecordedEvent> {
        self.stats.observations += 1;
        let time = observation.cause.time;
        self.stats.now = self.stats.now.max(time);
        if time <= self.wall {
            self.stats.past = self.stats.past.max(time);
        }
        if !Arc::ptr_eq(active, &self.cached) {
            self.cached = Arc::clone(active);
            self.values = ValueCache::default();
        }
        let Observation { cause, flow, attributes, what, .. } = observation;
        let Sighted { sighting, rows } = sighted;
        let seen = match what {
            ObservationKind::Fingerprint(reported) => {
                Some((self.recognize(active, *cause, *reported, words, sighting), reported.ttl))
            }
            _ => None,
        };
        let Self { tracker, engine, open, .. } = self;
        let TrackedRecord { record: shared, is_new } = tracker.enter(flow, cause.interface, cause.time);
        let record = Arc::make_mut(shared);
        record.last = record.last.max(cause.time);
        if record.identity.client != flow.client {
            record.swap_endpoints();
        }
        if let Some(attributes) = attributes.take() {
            record.attributes = attributes;
        }
        let detectors = &engine.detectors;
        if is_new {
            active.matcher.matches(record, None, |found| signal(detectors.rule_signal(found)));
        }
        match what {
            ObservationKind::Fingerprint(_) => {
                let (seen, ttl) = seen?;
                record.apply_fingerprint(&seen, ttl);
                record.raise_known_bad(&seen);
                record.note(seen);
                record.label();
            }
            ObservationKind::Progress(counters) => {
                (record.packets, record.bytes) = (counters.packets, counters.bytes);
                self.touch(flow.id);
                return None;
            }
            ObservationKind::End(end) => {
                let ConnectionEnd { span, counters, ended, latency } = **end;
                (record.start, record.last) = span;
                (record.packets, record.bytes) = (counters.packets, counters.bytes);
                record.ended = Some(ended);
                record.latency = (latency != Latency::default()).then(|| Box::new(latency));
                if ended == EndReason::Open {
                    // `open_connections` returns these.
                    open.push((flow.id, *cause));
                    // A record that was created for its end has been counted as a start.
                    return is_new.then(|| RecordedEvent {
                        record: Arc::clone(shared),
                        is_fingerprint: false,
                        sighting,
                        cause: *cause,
                        rows,
                    });
                }
                let record = tracker.end(flow.id)?;
                return Some(self.ended(active, record, *cause, signal));
            }
        }
        let event = RecordedEvent { record: Arc::clone(shared), is_fingerprint: true, sighting, cause: *cause, rows };
        let evaluated = event.evaluated();
        detectors.signals(active, &evaluated, &mut signal);
        active.matcher.matches(evaluated.record, evaluated.seen, |found| signal(detectors.rule_signal(found)));
        Some(event)
    }

    /// Completes the record of a connection that has ended, and evaluates its end.
    fn ended(
        &self,
        active: &ActiveContent,
        mut record: Arc<ConnectionRecord>,
        cause: EventContext,
        mut signal: impl FnMut(Signal),
    ) -> RecordedEvent {
        if self.engine.remote.is_some() && record.app.is_none() {
            self.query_again(active, Arc::make_mut(&mut record));
        }
        let event =
            RecordedEvent { record, is_fingerprint: false, sighting: Sighting::default(), cause, rows: Vec::new() };
        let evaluated = event.evaluated();
        let detectors = &self.engine.detectors;
        detectors.signals(active, &evaluated, &mut signal);
        active.matcher.matches(evaluated.record, None, |found| signal(detectors.rule_signal(found)));
        event
    }

    /// Reports an event: its line, its alerts and its rows. `outcomes` are those of its evaluations, in order.
    #[expect(clippy::too_many_arguments, reason = "the parts of an event")]
    pub(crate) fn report(
        &mut self,
        active: &ActiveContent,
        lane: usize,
        observation: &Observation,
        line: Option<&[u8]>,
        recorded: Option<RecordedEvent>,
        outcomes: Vec<BuiltinOutcome>,
        out: &mut Finished,
    ) {
        let Observation { cause, flow, .. } = observation;
        self.raise_due(active, lane, Some(flow.id), cause.time, out);
        let Some(RecordedEvent { record, is_fingerprint, rows, .. }) = recorded else {
            return;
        };
        if let Some(pending) = self.pending.get_mut(lane) {
            pending.follow(&record);
        }
        let is_ended = record.ended.is_some_and(|ended| ended != EndReason::Open);
        if is_ended && !is_fingerprint {
            return self.report_end(active, lane, record, *cause, cause.time, line, outcomes, out);
        }
        self.engine.store_first_seen(rows, &mut out.rows);
        let mut raw = None;
        if let Some(seen) = record.history.last().filter(|_| is_fingerprint) {
            if let Some(line) = line {
                out.text.extend_from_slice(line);
                self.additions.fingerprint(seen, &mut out.text);
            }
            if self.engine.outputs.stores() {
                let (flow, interface) = (record.identity, record.interface);
                out.rows.push(WriteOp::Fingerprint { flow, interface, seen: seen.clone() });
            }
            raw.clone_from(&seen.raw);
        }
        self.touch(flow.id);
        for outcome in outcomes {
            match outcome {
                BuiltinOutcome::Alert(alert) => {
                    self.note_fired(flow.id, &alert);
                    self.emit_alert(alert, raw.as_ref(), out);
                }
                BuiltinOutcome::NewValue(new, suppressed) => {
                    if let Some(pending) = self.pending.get_mut(lane) {
                        pending.add(&record, (cause.time, cause.packet), new, suppressed, raw.as_ref());
                    }
                }
            }
        }
    }

    /// Reports the end of a connection. `now` is the time of its alerts.
    #[expect(clippy::too_many_arguments, reason = "the parts of an event")]
    fn report_end(
        &mut self,
        active: &ActiveContent,
        lane: usize,
        record: Arc<ConnectionRecord>,
        cause: EventContext,
        now: Time,
        line: Option<&[u8]>,
        outcomes: Vec<BuiltinOutcome>,
        out: &mut Finished,
    ) {
        let mut record = Arc::unwrap_or_clone(record);
        let settings = &active.content.builtin.first_seen;
        let first_seen =
            self.pending.get_mut(lane).and_then(|pending| pending.raise(record.identity.id, now, settings));
        record.fired = self.fired.remove(&record.identity.id).unwrap_or_default();
        let mut alerts: Vec<_> = outcomes
            .into_iter()
            .filter_map(|outcome| match outcome {
                BuiltinOutcome::Alert(alert) => Some(alert),
                BuiltinOutcome::NewValue(..) => None,
            })
            .collect();
        first_seen.iter().for_each(|(alert, _)| record.note_fired(&alert.description));
        alerts.iter().for_each(|alert| record.note_fired(&alert.description));
        if active.matcher.has_alert_rules() {
            let engine = &self.engine;
            let event =
                BuiltinEvent { record: &record, seen: None, sighting: Sighting::default(), now, packet: cause.packet };
            let mut late = Vec::new();
            active.matcher.alert_matches(&record, |found| {
                let signal = engine.detectors.rule_signal(found);
                let outcome = engine.detectors.evaluate(signal, &event, &active.matcher);
                if let Some(BuiltinOutcome::Alert(alert)) = outcome {
                    late.push(alert);
                }
            });
            late.iter().for_each(|alert| record.note_fired(&alert.description));
            alerts.append(&mut late);
        }
        if let Some(line) = line {
            out.text.extend_from_slice(line);
            self.additions.connection(&record, &mut out.text);
        }
        if let Some((alert, raw)) = first_seen {
            self.emit_alert(alert, raw.as_ref(), out);
        }
        for alert in alerts {
            self.emit_alert(alert, None, out);
        }
        self.stats.ended += 1;
        self.changed.remove(&record.identity.id);
        if self.engine.outputs.has_readers() {
            self.json.connection(&record);
        }
        if self.engine.outputs.stores() {
            out.rows.push(WriteOp::ConnectionEnd(Box::new(record)));
        }
    }

    /// Raises the `first_seen` alerts of a lane that are due at this event time, including that of `flow`.
    pub(crate) fn raise_due(
        &mut self,
        active: &ActiveContent,
        lane: usize,
        flow: Option<u64>,
        now: Time,
        out: &mut Finished,
    ) {
        while let Some(pending) = self.pending.get_mut(lane)
            && let Some(due) = pending.due(flow, now)
        {
            let raised = pending.raise(due, now, &active.content.builtin.first_seen);
            self.touch(due);
            if let Some((alert, raw)) = raised {
                self.note_fired(due, &alert);
                self.emit_alert(alert, raw.as_ref(), out);
            }
        }
    }

    /// Returns the connections that are open at the end of the run, with their event contexts.
    pub(crate) fn take_open(&mut self) -> Vec<(Arc<ConnectionRecord>, EventContext)> {
        let open = std::mem::take(&mut self.open);
        open.into_iter().filter_map(|(id, cause)| Some((self.tracker.end(id)?, cause))).collect()
    }

    /// Reports a connection that is open at the end of the run.
    pub(crate) fn report_open(&mut self, record: Arc<ConnectionRecord>, cause: EventContext, out: &mut Finished) {
        let engine = Arc::clone(&self.engine);
        let active = engine.read_active();
        let mut line = Vec::new();
        open_connection(&mut self.formatter, &record, cause, &mut line);
        let now = record.last;
        let mut signals = Vec::new();
        let event = EventContext { time: now, ..cause };
        let recorded = self.ended(&active, record, event, |signal| signals.push(signal));
        let evaluated = recorded.evaluated();
        let evaluate = |signal| engine.detectors.evaluate(signal, &evaluated, &active.matcher);
        let outcomes: Vec<_> = signals.into_iter().filter_map(evaluate).collect();
        let printed = (!line.is_empty()).then_some(&*line);
        let RecordedEvent { record, .. } = recorded;
        let has_pending = |pending: &PendingAlerts| pending.has(record.identity.id);
        let lane = self.pending.iter().position(has_pending).unwrap_or_default();
        self.report_end(&active, lane, record, cause, now, printed, outcomes, out);
    }

    /// Creates the record of a fingerprint: label, known-bad match and first-seen state.
    fn recognize(
        &mut self,
        active: &ActiveContent,
        cause: EventContext,
        reported: ObservedFingerprint,
        words: &Words,
        sighting: Sighting,
    ) -> FingerprintRecord {
        let ObservedFingerprint { method, side, count, value, raw, ttl: _ } = reported;
        let content = &active.content;
        let CachedValue { value, label, known_bad } = self.values.get(method, words.get(value), |value| {
            (content.labels.lookup(method, value), content.known_bad.check(method, value))
        });
        FingerprintRecord {
            method,
            side,
            count,
            raw: raw.map(|raw| self.values.share(words.get(raw))),
            time: cause.time,
            packet: cause.packet.and_then(NonZeroU64::new),
            first_seen: sighting.first,
            label: label.or_else(|| self.engine.remote_label(method, &value)),
            known_bad,
            value,
        }
    }

    /// Labels a connection by a response of the remote lookup that arrived after the fingerprint.
    pub(super) fn query_again(&self, active: &ActiveContent, record: &mut ConnectionRecord) {
        let label_of = |method: Method, value: &str| {
            active.content.labels.lookup(method, value).or_else(|| self.engine.remote_label(method, value))
        };
        let named = record.of_client().find_map(|FingerprintRecord { method, side, value, .. }| {
            label_of(*method, value).filter(|label| inference::names_application(*method, *side, label))
        });
        record.app = named;
    }

    fn note_fired(&mut self, flow: u64, alert: &Alert) {
        note_fired(self.fired.entry(flow).or_default(), &alert.description);
    }

    /// Emits an alert. `raw` is the raw form of the fingerprint that triggered it.
    fn emit_alert(&mut self, alert: Alert, raw: Option<&ArcStr>, out: &mut Finished) {
        let raw = raw.filter(|_| alert.fingerprint.is_some()).cloned();
        if let Some(count) = self.stats.alerts.get_mut(alert.severity as usize) {
            *count += 1;
        }
        self.formatter.alert(&alert, raw.as_deref(), &mut out.text);
        let line = self.json.alert(&alert, self.engine.outputs.has_readers());
        out.alerts.push((AlertLine { alert, raw }, line));
    }

    /// Marks a connection as changed.
    fn touch(&mut self, flow: u64) {
        if self.engine.outputs.has_readers() {
            self.changed.insert(flow);
        }
    }

    /// Sends attached readers the alerts, and one snapshot of each changed connection.
    pub fn flush(&mut self) {
        let Self { engine, changed, json, tracker, fired, .. } = self;
        let mut left = MAX_SNAPSHOTS;
        changed.retain(|flow| {
            if left == 0 {
                return true;
            }
            left -= 1;
            if let Some(record) = tracker.get(*flow) {
                json.connection(&with_fired(record, fired));
            }
            false
        });
        engine.outputs.broadcast(json);
    }

    /// Returns the newest records of open connections that `of` is true for, as JSON, with the times of their last packets.
    pub(crate) fn newest(&mut self, most: usize, of: impl Fn(&ConnectionRecord) -> bool) -> Vec<(Time, Bytes)> {
        let Self { tracker, json, fired, .. } = self;
        let records = tracker.newest_first().filter(|record| of(record)).take(most);
        records.map(|record| (record.last, json.line(&with_fired(record, fired)))).collect()
    }

    /// Appends rows of open connections that are due, so that queries see them and a crash loses little.
    pub(crate) fn store_open(&mut self, wall: Time, most: usize, rows: &mut Vec<WriteOp>) {
        let Self { tracker, fired, .. } = self;
        let due =
            tracker.oldest_first_mut().filter_map(|record| Arc::make_mut(record).is_store_due(wall).then_some(record));
        rows.extend(due.take(most).map(|record| WriteOp::ConnectionUpdate(Box::new(with_fired(record, fired)))));
    }

    /// Work of each second in a live run: raises the alerts that are due.
    pub(crate) fn tick(&mut self, now: Time, out: &mut Finished) {
        self.wall = wall_clock();
        self.raise_all_due(0, now, out);
    }

    /// Raises all `first_seen` alerts of a lane that are due at this event time.
    pub(crate) fn raise_all_due(&mut self, lane: usize, now: Time, out: &mut Finished) {
        let engine = Arc::clone(&self.engine);
        let active = engine.read_active();
        self.raise_due(&active, lane, None, now, out);
    }

    /// Reads the wall clock, which event times must not exceed.
    pub(crate) fn read_wall(&mut self) {
        self.wall = wall_clock();
    }

    /// The counters, and the number of open connections.
    pub(crate) fn stats(&self) -> (WorkerStats, u64) {
        (self.stats, self.tracker.len() as u64)
    }

    #[cfg(test)]
    pub(super) fn tracker(&mut self) -> &mut Tracker {
        &mut self.tracker
    }
}

/// A copy of a record with the descriptions of its alerts.
fn with_fired(record: &ConnectionRecord, fired: &HashMap<u64, ThinVec<ArcStr>>) -> ConnectionRecord {
    let fired = fired.get(&record.identity.id).cloned().unwrap_or_default();
    ConnectionRecord { fired, ..record.clone() }
}
