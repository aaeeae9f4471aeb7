//! The part of the engine that one thread runs: evaluation and output of the events of its connections.
//!
//! An event passes these steps: it is noted in the record of its connection, its value is looked up in the first-seen
//! history, the detectors that it concerns are evaluated, and it is reported together with their outcomes. Where one
//! thread decides alone, [`WorkerEvents`] takes the steps of one event after another. Several threads of a replay take each
//! step for a whole batch, see `runtime/rounds.rs`.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;
use bytes::Bytes;
use hashbrown::HashMap;
use ja4_common::flow::FlowKey;
use thin_vec::ThinVec;

use super::finished::{Finished, Sighted};
use super::inference;
use super::json_lines::JsonLines;
use super::line_formatters::LineFormatters;
use super::shared::Engine;
use super::value_cache::ValueCache;
use crate::detect::builtin::{BuiltinEvent, BuiltinOutcome, PendingAlerts};
use crate::detect::detectors::{ActiveContent, Detectors, Signal};
use crate::detect::first_seen::{FirstSeenFact, Sighting};
use crate::model::field::{EventRef, Subject};
use crate::model::{
    AddCounters, Alert, ConnectionRecord, DisplayFilter, EndReason, EventContext, EventHandler, FingerprintEvent,
    FingerprintRecord, FlowIdentity, Method, Severity, Time, note_fired,
};
use crate::output::alert::AlertLine;
use crate::output::storage::{SeenAt, WriteOp};
use crate::packet::flow_key;
use crate::system::clock::wall_clock;

/// Snapshots of connections in one flush; further ones wait for the next flush.
const MAX_SNAPSHOTS: usize = 4096;

/// Connections that have ended and are kept for views, some 600 bytes each.
const MAX_ENDED: usize = 1024;

/// Counters of a worker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorkerStats {
    pub(crate) observations: u64,
    pub(crate) ended: u64,
    pub(crate) alerts: [u64; Severity::ALL.len()],
    /// Fingerprints, by type.
    pub(crate) fingerprints: [u64; Method::ALL.len()],
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
        self.fingerprints.add(&other.fingerprints);
        self.now = self.now.max(other.now);
        self.past = self.past.max(other.past);
    }
}

/// The evaluation and the output of one thread.
#[derive(Debug)]
pub struct EngineWorker {
    engine: Arc<Engine>,
    values: ValueCache,
    /// The content that `values` was looked up in.
    cached: Arc<ActiveContent>,
    /// New values collected for the alert of their connection, by lane.
    pending: Vec<PendingAlerts>,
    /// Descriptions of the alerts of open connections.
    fired: HashMap<u64, ThinVec<ArcStr>>,
    /// Connections that are open at the end of a replay, with their event contexts.
    open: Vec<(Box<ConnectionRecord>, EventContext)>,
    /// Connections that have not ended.
    connections: u64,
    formatters: LineFormatters,
    /// Lines for attached readers and the API.
    json: JsonLines,
    /// Connections that have changed since their last snapshot.
    changed: HashMap<u64, FlowKey>,
    /// Connections that have ended, the latest last, where views are served.
    ended: VecDeque<ConnectionRecord>,
    /// Outcomes of the current event, in order.
    outcomes: Vec<BuiltinOutcome>,
    /// The wall clock at the last tick.
    wall: Time,
    stats: WorkerStats,
}

/// The content in force, and the lane of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventScope<'a> {
    pub(crate) active: &'a Arc<ActiveContent>,
    pub(crate) lane: usize,
}

/// A fingerprint, the last one in the history of its record, as detectors evaluate it.
pub(crate) fn fingerprint_event(
    record: &ConnectionRecord,
    sighting: Sighting,
    cause: EventContext,
) -> BuiltinEvent<'_> {
    BuiltinEvent { record, seen: record.history.last(), sighting, now: cause.time, packet: cause.packet }
}

/// The start or the end of a connection as detectors evaluate it.
pub(crate) fn connection_event(record: &ConnectionRecord, now: Time, packet: Option<u64>) -> BuiltinEvent<'_> {
    BuiltinEvent { record, seen: None, sighting: Sighting::default(), now, packet }
}

/// Takes all steps of each event of a lane.
pub struct WorkerEvents<'a> {
    worker: &'a mut EngineWorker,
    scope: EventScope<'a>,
    out: &'a mut Finished,
}

impl WorkerEvents<'_> {
    /// Counts an event, and evaluates the start of its connection.
    fn begin(&mut self, cause: EventContext, record: &mut ConnectionRecord, outcomes: &mut Vec<BuiltinOutcome>) {
        let active = self.scope.active;
        self.worker.begin(active, cause, record, |detectors, signal, record| {
            let event = connection_event(record, cause.time, cause.packet);
            outcomes.extend(detectors.evaluate(signal, &event, &active.matcher));
        });
    }
}

impl EventHandler for WorkerEvents<'_> {
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>, record: &mut ConnectionRecord) {
        let mut outcomes = std::mem::take(&mut self.worker.outcomes);
        self.begin(event.cause, record, &mut outcomes);
        let Self { worker, scope, out } = self;
        worker.note(scope.active, event, record);
        let Sighted { sighting, rows } = worker.engine.sight(record, event.cause.time);
        record.note_sighting(sighting);
        let evaluated = fingerprint_event(record, sighting, event.cause);
        worker.engine.detectors.signals(scope.active, &evaluated, |signal| {
            outcomes.extend(worker.engine.detectors.evaluate(signal, &evaluated, &scope.active.matcher));
        });
        worker.report_fingerprint(*scope, event, record, rows, outcomes.drain(..), out);
        worker.outcomes = outcomes;
    }

    fn progress(&mut self, cause: EventContext, record: &mut ConnectionRecord) {
        let mut outcomes = std::mem::take(&mut self.worker.outcomes);
        self.begin(cause, record, &mut outcomes);
        let Self { worker, scope, out } = self;
        worker.report_progress(*scope, cause, record, outcomes.drain(..), out);
        worker.outcomes = outcomes;
    }

    fn connection(&mut self, cause: EventContext, mut record: ConnectionRecord) {
        let mut outcomes = std::mem::take(&mut self.worker.outcomes);
        self.begin(cause, &mut record, &mut outcomes);
        let Self { worker, scope, out } = self;
        if record.ended == Some(EndReason::Open) {
            worker.report_progress(*scope, cause, &record, outcomes.drain(..), out);
            if worker.engine.outputs.waits() {
                // A replay reports them in the order of their last packets.
                worker.keep_open(record, cause);
            } else {
                worker.end_open(*scope, &mut record, cause, out);
            }
        } else {
            worker.evaluate_end(scope.active, &mut record, cause.time, cause.packet, &mut outcomes);
            worker.report_end(*scope, &mut record, cause, outcomes.drain(..), out);
        }
        worker.outcomes = outcomes;
    }
}

/// Sort key of the connections that are open at the end of a replay.
pub(crate) const fn open_order(record: &ConnectionRecord) -> (Time, u64) {
    (record.last, record.identity.id)
}

impl EngineWorker {
    /// Creates a worker for the events of `lanes` lanes.
    pub(super) fn new(engine: Arc<Engine>, lanes: usize) -> Self {
        let cached = engine.active();
        Self {
            values: ValueCache::default(),
            cached,
            pending: (0..lanes).map(|_| PendingAlerts::default()).collect(),
            fired: HashMap::new(),
            open: Vec::new(),
            connections: 0,
            formatters: engine.formatters(),
            json: JsonLines::new(&engine.context),
            changed: HashMap::new(),
            ended: VecDeque::new(),
            outcomes: Vec::new(),
            wall: wall_clock(),
            stats: WorkerStats::default(),
            engine,
        }
    }

    /// Returns what takes the events of a lane.
    pub fn events<'a>(
        &'a mut self,
        active: &'a Arc<ActiveContent>,
        lane: usize,
        out: &'a mut Finished,
    ) -> WorkerEvents<'a> {
        WorkerEvents { worker: self, scope: EventScope { active, lane }, out }
    }

    /// Counts an event. If it is the first one of its connection, `start` gets the evaluations that the start asks for.
    pub(crate) fn begin(
        &mut self,
        active: &ActiveContent,
        cause: EventContext,
        record: &mut ConnectionRecord,
        mut start: impl FnMut(&Detectors, Signal, &ConnectionRecord),
    ) {
        let stats = &mut self.stats;
        stats.observations += 1;
        stats.now = stats.now.max(cause.time);
        if cause.time <= self.wall {
            stats.past = stats.past.max(cause.time);
        }
        if !std::mem::replace(&mut record.is_known, true) {
            self.connections += 1;
            let detectors = &self.engine.detectors;
            active.matcher.start_matches(record, |found| start(detectors, detectors.rule_signal(found), record));
        }
    }

    /// Notes a fingerprint in the record of its connection: with its label and its known-bad match, as not seen first.
    pub(crate) fn note(
        &mut self,
        active: &Arc<ActiveContent>,
        event: &FingerprintEvent<'_>,
        record: &mut ConnectionRecord,
    ) {
        if !Arc::ptr_eq(active, &self.cached) {
            self.cached = Arc::clone(active);
            self.values = ValueCache::default();
        }
        let content = &active.content;
        let FingerprintEvent { cause, method, side, count, value, raw, ttl, .. } = *event;
        if let Some(number) = self.stats.fingerprints.get_mut(method as usize) {
            *number += 1;
        }
        let mut value = self.values.get(method, value, raw, |value| {
            (content.labels.lookup(method, value), content.known_bad.check(method, value))
        });
        if value.label.is_none()
            && let Some(label) = self.engine.remote_label(method, &value.text)
        {
            Arc::make_mut(&mut value).label = Some(label);
        }
        let seen = FingerprintRecord::new(method, side, count, value, (record.start, cause.time));
        record.apply_fingerprint(&seen, ttl);
        record.raise_known_bad(&seen);
        record.note(seen);
        record.label();
    }

    /// Calls `found` with the part and the host of each tracked sighting of a fingerprint, the last one in the history of its
    /// record.
    pub(crate) fn sightings(&self, record: &ConnectionRecord, mut found: impl FnMut(u8, Option<IpAddr>)) {
        if let Some(seen) = record.history.last() {
            for host in self.engine.sightings(record, seen) {
                found(self.engine.detectors.value_part(seen.method, &seen.value.text, host), host);
            }
        }
    }

    /// Calls `found` with the evaluations that the end of a connection asks for, and completes its record before.
    pub(crate) fn end_signals(
        &self,
        active: &ActiveContent,
        record: &mut ConnectionRecord,
        now: Time,
        packet: Option<u64>,
        found: impl FnMut(Signal),
    ) {
        if self.engine.remote.is_some() && record.app.is_none() {
            self.query_again(active, record);
        }
        self.engine.detectors.signals(active, &connection_event(record, now, packet), found);
    }

    /// Evaluates the end of a connection.
    fn evaluate_end(
        &self,
        active: &ActiveContent,
        record: &mut ConnectionRecord,
        now: Time,
        packet: Option<u64>,
        outcomes: &mut Vec<BuiltinOutcome>,
    ) {
        let mut signals = Vec::new();
        self.end_signals(active, record, now, packet, |signal| signals.push(signal));
        let event = connection_event(record, now, packet);
        let evaluate = |signal| self.engine.detectors.evaluate(signal, &event, &active.matcher);
        outcomes.extend(signals.into_iter().filter_map(evaluate));
    }

    /// Reports a fingerprint, the last one in the history of its record: its line, its alerts and its rows.
    pub(crate) fn report_fingerprint(
        &mut self,
        scope: EventScope<'_>,
        event: &FingerprintEvent<'_>,
        record: &ConnectionRecord,
        rows: Vec<FirstSeenFact>,
        outcomes: impl Iterator<Item = BuiltinOutcome>,
        out: &mut Finished,
    ) {
        self.raise_due(scope, Some(record.identity.id), event.cause.time, out);
        self.engine.store_first_seen(rows, &mut out.rows);
        let (seen, names) = (record.history.last(), self.engine.interfaces());
        let is_selected = |filter: &DisplayFilter| filter.matches(&Subject::of_record(record, None, Some(names)));
        self.formatters.each(out, is_selected, |formatter, text| formatter.fingerprint(event, record, seen, text));
        if let Some(seen) = seen.filter(|_| self.engine.outputs.stores()) {
            let (flow, interface) = (record.identity, record.interface);
            let at = SeenAt { time: event.cause.time, packet: event.cause.packet, count: event.count };
            out.rows.push(WriteOp::Fingerprint { flow, interface, seen: seen.clone(), at });
        }
        self.report_outcomes(scope, event.cause, record, outcomes, out);
    }

    /// Reports a change of a connection.
    pub(crate) fn report_progress(
        &mut self,
        scope: EventScope<'_>,
        cause: EventContext,
        record: &ConnectionRecord,
        outcomes: impl Iterator<Item = BuiltinOutcome>,
        out: &mut Finished,
    ) {
        self.raise_due(scope, Some(record.identity.id), cause.time, out);
        self.report_outcomes(scope, cause, record, outcomes, out);
    }

    fn report_outcomes(
        &mut self,
        scope: EventScope<'_>,
        cause: EventContext,
        record: &ConnectionRecord,
        outcomes: impl Iterator<Item = BuiltinOutcome>,
        out: &mut Finished,
    ) {
        self.touch(record);
        if let Some(pending) = self.pending.get_mut(scope.lane) {
            pending.follow(record);
        }
        let raw = || record.history.last().and_then(|seen| seen.value.raw.as_ref());
        for outcome in outcomes {
            match outcome {
                BuiltinOutcome::Alert(alert) => {
                    self.note_fired(record.identity.id, &alert);
                    self.emit_alert(alert, raw(), out);
                }
                BuiltinOutcome::NewValue(new, suppressed) => {
                    if let Some(pending) = self.pending.get_mut(scope.lane) {
                        pending.add(record, (cause.time, cause.packet), new, suppressed, raw());
                    }
                }
            }
        }
    }

    /// Reports the end of a connection.
    pub(crate) fn report_end(
        &mut self,
        scope: EventScope<'_>,
        record: &mut ConnectionRecord,
        cause: EventContext,
        outcomes: impl Iterator<Item = BuiltinOutcome>,
        out: &mut Finished,
    ) {
        self.raise_due(scope, Some(record.identity.id), cause.time, out);
        if let Some(pending) = self.pending.get_mut(scope.lane) {
            pending.follow(record);
        }
        self.close(scope, record, cause, cause.time, outcomes, out);
    }

    /// Writes the line, the alerts and the row of a connection's end. `now` is the time of the alerts.
    fn close(
        &mut self,
        EventScope { active, lane }: EventScope<'_>,
        record: &mut ConnectionRecord,
        cause: EventContext,
        now: Time,
        outcomes: impl Iterator<Item = BuiltinOutcome>,
        out: &mut Finished,
    ) {
        let id = record.identity.id;
        let settings = &active.content.builtin.first_seen;
        let first_seen = self.pending.get_mut(lane).and_then(|pending| pending.raise(id, now, settings));
        record.fired = self.fired.remove(&id).unwrap_or_default();
        let mut alerts: Vec<_> = outcomes
            .filter_map(|outcome| match outcome {
                BuiltinOutcome::Alert(alert) => Some(alert),
                BuiltinOutcome::NewValue(..) => None,
            })
            .collect();
        first_seen.iter().for_each(|(alert, _)| record.note_fired(&alert.description));
        alerts.iter().for_each(|alert| record.note_fired(&alert.description));
        if active.matcher.has_alert_rules() {
            let engine = &self.engine;
            let event = connection_event(record, now, cause.packet);
            let mut late = Vec::new();
            active.matcher.alert_matches(record, |found| {
                let signal = engine.detectors.rule_signal(found);
                let outcome = engine.detectors.evaluate(signal, &event, &active.matcher);
                if let Some(BuiltinOutcome::Alert(alert)) = outcome {
                    late.push(alert);
                }
            });
            late.iter().for_each(|alert| record.note_fired(&alert.description));
            alerts.append(&mut late);
        }
        let names = self.engine.interfaces();
        let is_selected = |filter: &DisplayFilter| filter.matches(&Subject::of_record(record, None, Some(names)));
        self.formatters.each(out, is_selected, |formatter, text| formatter.connection(&cause, record, text));
        if let Some((alert, raw)) = first_seen {
            self.emit_alert(alert, raw.as_ref(), out);
        }
        for alert in alerts {
            self.emit_alert(alert, None, out);
        }
        self.stats.ended += 1;
        self.connections -= 1;
        self.changed.remove(&id);
        if self.engine.outputs.has_readers() {
            self.json.connection(record);
        }
        let (stores, serves_views) = (self.engine.outputs.stores(), self.engine.outputs.serves_views());
        if serves_views {
            if self.ended.len() == MAX_ENDED {
                self.ended.pop_front();
            }
            self.ended.push_back(if stores { record.clone() } else { record.take() });
        }
        if stores {
            out.rows.push(WriteOp::ConnectionEnd(Box::new(record.take())));
        }
    }

    /// Raises the `first_seen` alerts of a lane that are due at this event time, including that of `flow`.
    fn raise_due(&mut self, scope: EventScope<'_>, flow: Option<u64>, now: Time, out: &mut Finished) {
        while let Some(pending) = self.pending.get_mut(scope.lane)
            && let Some(due) = pending.due(flow, now)
        {
            if let Some((alert, raw)) = pending.raise(due, now, &scope.active.content.builtin.first_seen) {
                if let Some(flow) = &alert.flow {
                    self.touch_flow(flow);
                }
                self.note_fired(due, &alert);
                self.emit_alert(alert, raw.as_ref(), out);
            }
        }
    }

    /// Keeps a connection that is open at the end of a replay until all of them are known.
    pub(crate) fn keep_open(&mut self, record: ConnectionRecord, cause: EventContext) {
        self.open.push((Box::new(record), cause));
    }

    /// Returns the connections that are open at the end of a replay, with their event contexts.
    pub(crate) fn take_open(&mut self) -> Vec<(Box<ConnectionRecord>, EventContext)> {
        std::mem::take(&mut self.open)
    }

    /// The lane that collects new values of a connection that is open at the end of the run.
    pub(crate) fn pending_lane(&self, record: &ConnectionRecord) -> usize {
        self.pending.iter().position(|pending| pending.has(record.identity.id)).unwrap_or_default()
    }

    /// Evaluates and reports a connection that is open at the end of the run.
    pub(crate) fn end_open(
        &mut self,
        scope: EventScope<'_>,
        record: &mut ConnectionRecord,
        cause: EventContext,
        out: &mut Finished,
    ) {
        let mut outcomes = std::mem::take(&mut self.outcomes);
        let now = record.last;
        self.evaluate_end(scope.active, record, now, cause.packet, &mut outcomes);
        self.report_open(scope, record, cause, outcomes.drain(..), out);
        self.outcomes = outcomes;
    }

    /// Reports a connection that is open at the end of the run.
    pub(crate) fn report_open(
        &mut self,
        scope: EventScope<'_>,
        record: &mut ConnectionRecord,
        cause: EventContext,
        outcomes: impl Iterator<Item = BuiltinOutcome>,
        out: &mut Finished,
    ) {
        let now = record.last;
        self.close(scope, record, cause, now, outcomes, out);
    }

    /// Labels a connection by a response of the remote lookup that arrived after the fingerprint.
    pub(super) fn query_again(&self, active: &ActiveContent, record: &mut ConnectionRecord) {
        let label_of = |method: Method, value: &str| {
            active.content.labels.lookup(method, value).or_else(|| self.engine.remote_label(method, value))
        };
        let named = record.of_client().find_map(|seen| {
            let label = label_of(seen.method, &seen.value.text);
            label.filter(|label| inference::names_application(seen.method, seen.side(), label))
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
        let raw_form = raw.as_deref();
        let subject = Subject { event: EventRef::Alert(&alert, None), ..Subject::NONE };
        let is_selected = |filter: &DisplayFilter| filter.matches(&subject);
        self.formatters.each(out, is_selected, |formatter, text| formatter.alert(&alert, raw_form, text));
        let line = self.json.alert(&alert, self.engine.outputs.has_readers());
        out.alerts.push((AlertLine { alert, raw }, line));
    }

    /// Marks a connection as changed.
    fn touch(&mut self, record: &ConnectionRecord) {
        self.touch_flow(&record.identity);
    }

    fn touch_flow(&mut self, FlowIdentity { id, client, server, proto, .. }: &FlowIdentity) {
        if self.engine.outputs.has_readers() {
            self.changed.entry(*id).or_insert_with(|| flow_key(*client, *server, *proto));
        }
    }

    /// Returns some connections that have changed since their last [snapshot](Self::snapshot).
    pub(crate) fn take_changed(&mut self) -> Vec<FlowKey> {
        self.changed.extract_if(|_, _| true).take(MAX_SNAPSHOTS).map(|(_, key)| key).collect()
    }

    /// Adds the snapshot of a connection for attached readers.
    pub(crate) fn snapshot(&mut self, record: &ConnectionRecord) {
        self.json.connection(&with_fired(record, &self.fired));
    }

    /// Sends attached readers the alerts and snapshots.
    pub(crate) fn broadcast(&mut self) {
        self.engine.outputs.broadcast(&mut self.json);
        self.formatters.send_to_readers();
    }

    /// Connections that have ended, the latest first.
    pub(crate) fn recent(&self) -> impl Iterator<Item = &ConnectionRecord> {
        self.ended.iter().rev()
    }

    /// Returns the JSON line of an open connection.
    pub(crate) fn line(&mut self, record: &ConnectionRecord) -> Bytes {
        self.json.line(&with_fired(record, &self.fired))
    }

    /// Returns the row of an open connection if it is due, so that queries see it and a crash loses little.
    pub(crate) fn due_row(&self, record: &mut ConnectionRecord, wall: Time) -> Option<WriteOp> {
        let is_due = record.is_known && record.is_store_due(wall);
        is_due.then(|| WriteOp::ConnectionUpdate(Box::new(with_fired(record, &self.fired).into_owned())))
    }

    /// Work of each second in a live run: raises the alerts that are due.
    pub(crate) fn tick(&mut self, active: &Arc<ActiveContent>, now: Time, out: &mut Finished) {
        self.wall = wall_clock();
        self.raise_all_due(EventScope { active, lane: 0 }, now, out);
    }

    /// Raises all `first_seen` alerts of a lane that are due at this event time.
    pub(crate) fn raise_all_due(&mut self, scope: EventScope<'_>, now: Time, out: &mut Finished) {
        self.raise_due(scope, None, now, out);
    }

    /// Reads the wall clock, which event times must not exceed.
    pub(crate) fn read_wall(&mut self) {
        self.wall = wall_clock();
    }

    /// The counters, and the number of open connections.
    pub(crate) const fn stats(&self) -> (WorkerStats, u64) {
        (self.stats, self.connections)
    }
}

/// A record with the descriptions of its alerts.
fn with_fired<'a>(record: &'a ConnectionRecord, fired: &HashMap<u64, ThinVec<ArcStr>>) -> Cow<'a, ConnectionRecord> {
    match fired.get(&record.identity.id) {
        Some(fired) => Cow::Owned(ConnectionRecord { fired: fired.clone(), ..record.clone() }),
        None => Cow::Borrowed(record),
    }
}
