//! The engine: labels, first-seen, connection records and rules.
//!
//! One thread owns the engine. Shards send their observations in chunks; in a replay, chunks arrive in the order of
//! packets. The engine labels values, checks first-seen history, keeps a record of each connection, evaluates rules, and
//! passes lines, alerts and rows to the outputs. It never delays a packet: every queue is bounded, and its losses are
//! counted.
//!
//! The steps of one observation, in [`Engine::take`]: `value_cache` → [`enrich`](crate::enrich) → [`first_seen`] →
//! [`tracker`] → [`detect`](crate::detect) → [`outputs`].

pub mod active_rules;
mod inference;
pub mod observe;
pub mod outputs;
mod persist;
mod restore;
pub mod stats;
pub mod tracker;
mod value_cache;

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use arcstr::ArcStr;
use crossbeam_channel::Receiver;

use self::observe::{Chunk, ConnectionEnd, Observation, ObservationKind, ObservedFingerprint, Words};
use self::outputs::EngineOutputs;
pub use self::restore::SavedState;
use self::stats::{AllowlistStats, EngineStats};
use self::tracker::{TrackedRecord, Tracker};
use self::value_cache::{CachedValue, ValueCache};
use crate::detect::DetectionContent;
use crate::detect::builtin::BuiltinRules;
use crate::detect::cooldown::Cooldowns;
use crate::detect::first_seen::{self, FirstSeen, Sighting};
use crate::detect::local_networks::LocalNetworks;
use crate::detect::profile::Profiles;
use crate::detect::rules::{GroupLimits, RuleEngine};
use crate::encode::{Additions, EncodeContext, Format, Formatter};
use crate::enrich::remote::{Remote, RemoteAnswer};
use crate::model::{
    Alert, ConnectionRecord, EndReason, EngineQuery, EventContext, FingerprintRecord, FlowIdentity, Latency, Method,
    Side, Time,
};
use crate::output::storage::SavedStateLimits;
use crate::system::clock::wall_clock;

/// Batches of a replay after which changed state is persisted.
const PERSIST_INTERVAL: u64 = 256;

/// Bytes of finished lines that the end of a run writes at once.
const FLUSH_BYTES: usize = 1 << 16;

/// Settings of an engine.
#[derive(Clone, Debug, Default)]
pub struct EngineSettings {
    /// Most connections at once.
    pub connections: usize,
    /// Format of the lines.
    pub format: Format,
    /// Local networks.
    pub locals: LocalNetworks,
    /// Settings of first-seen.
    pub first_seen: first_seen::FirstSeenSettings,
    /// Limits of the groups of threshold rules.
    pub rule_groups: GroupLimits,
}

/// The engine. See the [module documentation](self).
#[derive(Debug)]
pub struct Engine {
    values: ValueCache,
    content: DetectionContent,
    remote: Option<Remote>,
    /// Receives the saved state of a database that is opened after the start: it could not be opened before, or its file
    /// was replaced.
    restored: Option<Receiver<SavedState>>,
    firsts: FirstSeen,
    tracker: Tracker,
    builtin: BuiltinRules,
    profiles: Profiles,
    rules: RuleEngine,
    cooldowns: Cooldowns,
    /// Alerts of the current observation.
    fired: Vec<Alert>,
    /// Connections that are open at the end of the run, with their event contexts. Their records stay in the tracker.
    open: Vec<(u64, EventContext)>,
    formatter: Formatter,
    additions: Additions,
    outputs: EngineOutputs,
    stats: EngineStats,
    /// Latest event time.
    now: Time,
    /// Latest event time not ahead of the wall clock; "now" for expiry.
    past: Time,
    /// The wall clock at the last tick.
    wall: Time,
    /// Event time of the last expiry in storage, and the number of entries evicted from memory by then.
    expired_at: (Time, u64),
    /// Limits of the saved state.
    bounds: SavedStateLimits,
    /// Batches of the replay.
    batches: u64,
    /// Start of the learning period, as stored.
    learning_stored: Option<Time>,
    /// The run is a replay, which does not store the start of the learning period.
    is_replay: bool,
    /// Rows of saved state that storage lost, as far as they were sent again.
    saved_state_lost: u64,
    /// How often the database file was replaced: as reported by alerts, and as far as the saved state was stored again.
    files_replaced: u64,
    files_filled: u64,
}

impl Engine {
    /// Creates an engine with detection content and saved state.
    #[must_use]
    pub fn new(
        settings: &EngineSettings,
        content: DetectionContent,
        memory: SavedState,
        remote: Option<Remote>,
        context: &Arc<EncodeContext>,
        outputs: EngineOutputs,
    ) -> Self {
        let locals = &settings.locals;
        let is_replay = outputs.waits();
        let learning_since = memory.learning_since.or_else(|| {
            let firsts = memory.first_seen.iter().map(|row| row.first);
            firsts.min().filter(|_| is_replay)
        });
        let mut firsts = FirstSeen::new(&settings.first_seen, locals.clone(), learning_since);
        firsts.load(memory.first_seen);
        let allowlist = Arc::clone(&content.allowlist);
        let mut profiles = Profiles::new(&content.profiles, locals.clone(), memory.own, Arc::clone(&allowlist));
        profiles.load(memory.profiles);
        let mut rules = RuleEngine::new(content.rules.clone(), Arc::clone(&allowlist), settings.rule_groups);
        rules.set_interfaces(context.interfaces.clone());
        Self {
            values: ValueCache::default(),
            builtin: BuiltinRules::new(content.builtin.clone(), allowlist),
            bounds: SavedStateLimits::of(&settings.first_seen, &content.profiles),
            content,
            remote,
            restored: None,
            firsts,
            tracker: Tracker::with_capacity(settings.connections),
            profiles,
            rules,
            cooldowns: Cooldowns::default(),
            fired: Vec::new(),
            open: Vec::new(),
            formatter: Formatter::new(settings.format, Arc::clone(context)).open(),
            additions: Additions::new(settings.format),
            outputs,
            stats: EngineStats::default(),
            now: Time(0),
            past: Time(0),
            wall: wall_clock(),
            expired_at: (Time(0), 0),
            batches: 0,
            learning_stored: memory.learning_since,
            is_replay,
            saved_state_lost: 0,
            files_replaced: 0,
            files_filled: 0,
        }
    }

    /// Adds the receiver of the saved state of databases that are opened later.
    #[must_use]
    pub(crate) fn with_restored(self, restored: Option<Receiver<SavedState>>) -> Self {
        Self { restored, ..self }
    }

    /// Merges the saved state of a database that could not be opened at the start or was replaced, with the
    /// current state. A new file gets the whole current state.
    fn restore(&mut self, memory: SavedState) {
        let SavedState { learning_since, first_seen, profiles, own } = memory;
        self.firsts.restore(learning_since, first_seen);
        self.profiles.restore(own, profiles);
        self.learning_stored = learning_since;
        let replaced = self.outputs.files_replaced();
        if replaced > self.files_filled {
            self.files_filled = replaced;
            self.persist_everything_again();
        }
    }

    /// Replaces rules and label databases. Unchanged rules keep their windows and profiles.
    pub fn reload(&mut self, mut content: DetectionContent) {
        if let Some(allowlist) = Arc::get_mut(&mut content.allowlist) {
            *allowlist = std::mem::take(allowlist).following(&self.content.allowlist);
        }
        let allowlist = &content.allowlist;
        self.rules.reload(content.rules.clone(), Arc::clone(allowlist));
        self.builtin.reload(content.builtin.clone(), Arc::clone(allowlist));
        self.profiles.reload(&content.profiles, Arc::clone(allowlist));
        self.content = content;
        self.values = ValueCache::default();
        self.stats.reloads += 1;
    }

    /// Processes a part of a chunk and appends its finished lines to `out`.
    pub fn take(&mut self, chunk: &mut Chunk, text: Range<usize>, observations: Range<usize>, out: &mut Vec<u8>) {
        let Chunk { text: lines, words, observations: all } = chunk;
        let mut written = text.start;
        for observation in all.get_mut(observations).unwrap_or_default() {
            let line = observation.line.map(|end| {
                let line = lines.get(written..end as usize).unwrap_or_default();
                written = end as usize;
                line
            });
            self.stats.observations += 1;
            self.advance(observation.cause.time);
            self.raise_due(Some(observation.flow.id), observation.cause.time, out);
            if let Some(evicted) = self.tracker.evict_for(observation.flow.id) {
                self.stats.evicted += 1;
                self.release(evicted, out);
            }
            self.observe(observation, words, line, out);
        }
    }

    fn advance(&mut self, time: Time) {
        self.now = self.now.max(time);
        if time <= self.wall {
            self.past = self.past.max(time);
        }
    }

    fn observe(&mut self, observation: &mut Observation, words: &Words, line: Option<&[u8]>, out: &mut Vec<u8>) {
        let Observation { cause, flow, attributes, what, .. } = observation;
        let reported = match what {
            ObservationKind::Fingerprint(reported) => {
                Some((self.recognize(*cause, flow, *reported, words), reported.ttl))
            }
            _ => None,
        };
        let Self { tracker, outputs, builtin, profiles, rules, cooldowns, fired, .. } = self;
        let TrackedRecord { record, is_new } = tracker.enter(flow, cause.interface, cause.time);
        record.last = record.last.max(cause.time);
        if record.identity.client != flow.client {
            record.swap_endpoints();
        }
        if let Some(attributes) = attributes.take() {
            record.attributes = attributes;
        }
        if is_new {
            rules.evaluate(record, None, cause.time, cause.packet, fired);
        }
        let mut raw = None;
        match what {
            ObservationKind::Fingerprint(_) => {
                let Some(((seen, sighting), ttl)) = reported else {
                    return;
                };
                record.apply_fingerprint(&seen, ttl);
                builtin.fingerprint(record, &seen, sighting, cause.time, cause.packet, cooldowns, fired);
                profiles.fingerprint(record, &seen, cause.time, cooldowns, fired);
                record.raise_known_bad(&seen);
                record.note(seen);
                record.label();
                let Some(seen) = record.history.last() else {
                    return;
                };
                rules.evaluate(record, Some(seen), cause.time, cause.packet, fired);
                if let Some(line) = line {
                    out.extend_from_slice(line);
                    self.additions.fingerprint(seen, out);
                }
                outputs.fingerprint(record, seen);
                raw.clone_from(&seen.raw);
            }
            ObservationKind::Progress(counters) => {
                (record.packets, record.bytes) = (counters.packets, counters.bytes);
                outputs.touch(record);
            }
            ObservationKind::End(end) => {
                let ConnectionEnd { span, counters, ended, latency } = **end;
                (record.start, record.last) = span;
                (record.packets, record.bytes) = (counters.packets, counters.bytes);
                record.ended = Some(ended);
                record.latency = (latency != Latency::default()).then(|| Box::new(latency));
                if ended == EndReason::Open {
                    // `finish` emits these in the order of their last packets.
                    self.open.push((flow.id, *cause));
                } else if let Some(record) = tracker.end(flow.id) {
                    return self.finalize(record, *cause, cause.time, line, out);
                }
            }
        }
        if !self.fired.is_empty() {
            if let Some(record) = self.tracker.get_mut(flow.id) {
                self.fired.iter().for_each(|alert| record.note_fired(&alert.description));
            }
            self.emit_alerts(raw, out);
        }
    }

    /// Raises the `first_seen` alerts that are due at this event time, including that of `flow`.
    pub(crate) fn raise_due(&mut self, flow: Option<u64>, now: Time, out: &mut Vec<u8>) {
        while let Some(due) = self.builtin.first_seen_due(flow, now) {
            let Self { tracker, builtin, fired, .. } = self;
            let Some(record) = tracker.get_mut(due) else {
                builtin.drop_first_seen(due);
                continue;
            };
            let raw = builtin.raise_first_seen(record, now, fired);
            fired.iter().for_each(|alert| record.note_fired(&alert.description));
            self.outputs.touch(record);
            self.emit_alerts(raw, out);
        }
    }

    /// Stores a record without an end event. Its `first_seen` alert is raised first.
    fn release(&mut self, mut record: ConnectionRecord, out: &mut Vec<u8>) {
        let raw = self.builtin.raise_first_seen(&record, record.last, &mut self.fired);
        self.fired.iter().for_each(|alert| record.note_fired(&alert.description));
        self.emit_alerts(raw, out);
        self.outputs.ended(record);
    }

    /// Creates the record of a fingerprint: label, known-bad match and first-seen state.
    fn recognize(
        &mut self,
        cause: EventContext,
        flow: &FlowIdentity,
        reported: ObservedFingerprint,
        words: &Words,
    ) -> (FingerprintRecord, Sighting) {
        let ObservedFingerprint { method, side, count, value, raw, ttl: _ } = reported;
        let Self { values, content, .. } = self;
        let CachedValue { value, label, known_bad } = values.get(method, words.get(value), |value| {
            (content.labels.lookup(method, value), content.known_bad.check(method, value))
        });
        let host = match side {
            Side::Client => flow.client.0,
            Side::Server => flow.server.0,
        };
        let sighting = self.firsts.check(method, &value, Some(host), cause.time);
        self.persist_first_seen(method, &value, host, sighting);
        let seen = FingerprintRecord {
            method,
            side,
            count,
            raw: raw.map(|raw| self.values.share(words.get(raw))),
            time: cause.time,
            packet: cause.packet.and_then(NonZeroU64::new),
            first_seen: sighting.first,
            label: label.or_else(|| self.remote_label(method, &value)),
            known_bad,
            value,
        };
        (seen, sighting)
    }

    /// Returns the label of a value from the local databases, else from the cache of the remote lookup.
    fn label_of(&mut self, method: Method, value: &str) -> Option<Arc<crate::model::Label>> {
        self.content.labels.lookup(method, value).or_else(|| self.remote_label(method, value))
    }

    /// Returns the label of a value from the cache of the remote lookup; enqueues a request if it is unknown.
    fn remote_label(&mut self, method: Method, value: &str) -> Option<Arc<crate::model::Label>> {
        match self.remote.as_mut()?.lookup(method, value) {
            Some(RemoteAnswer::Known(label)) => Some(label),
            _ => None,
        }
    }

    /// Completes a connection: late labels, rules over ended connections, its output line. `now` is the event time for
    /// rules.
    fn finalize(
        &mut self,
        mut record: ConnectionRecord,
        cause: EventContext,
        now: Time,
        line: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) {
        self.query_again(&mut record);
        let Self { builtin, rules, cooldowns, fired, .. } = self;
        let raw = builtin.raise_first_seen(&record, now, fired);
        let first_seen = fired.pop();
        first_seen.iter().for_each(|alert| record.note_fired(&alert.description));
        builtin.connection(&record, now, cause.packet, cooldowns, fired);
        fired.iter().for_each(|alert| record.note_fired(&alert.description));
        rules.evaluate(&record, None, now, cause.packet, fired);
        fired.iter().for_each(|alert| record.note_fired(&alert.description));
        if let Some(line) = line {
            out.extend_from_slice(line);
            self.additions.connection(&record, out);
        }
        if let Some(alert) = first_seen {
            let others = std::mem::replace(&mut self.fired, vec![alert]);
            self.emit_alerts(raw, out);
            self.fired = others;
        }
        self.emit_alerts(None, out);
        self.stats.ended += 1;
        self.outputs.ended(record);
    }

    /// Labels a connection by a response of the remote lookup that arrived after the fingerprint.
    fn query_again(&mut self, record: &mut ConnectionRecord) {
        if self.remote.is_none() || record.app.is_some() {
            return;
        }
        let named = record.of_client().find_map(|FingerprintRecord { method, side, value, .. }| {
            self.label_of(*method, value).filter(|label| inference::names_application(*method, *side, label))
        });
        record.app = named;
    }

    /// Emits the pending alerts. `raw` is the raw form of the fingerprint that triggered them.
    fn emit_alerts(&mut self, raw: Option<ArcStr>, out: &mut Vec<u8>) {
        for alert in self.fired.drain(..) {
            let raw = raw.clone().filter(|_| alert.fingerprint.is_some());
            self.stats.count_alert(alert.severity);
            self.formatter.alert(&alert, raw.as_deref(), out);
            self.outputs.alert(alert, raw);
        }
    }

    /// Flushes buffered results to the outputs.
    pub fn flush(&mut self) {
        self.outputs.flush(&self.tracker);
    }

    /// Whether no results are buffered.
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        self.outputs.is_idle()
    }

    /// Work of each second: expire old entries, receive responses of the remote lookup, and report a failing database
    /// by an alert; its line is appended to `out`.
    pub fn tick(&mut self, now: Time, out: &mut Vec<u8>) {
        self.wall = wall_clock();
        self.advance(now);
        if let Some(memory) = self.restored.as_ref().and_then(|restored| restored.try_recv().ok()) {
            self.restore(memory);
        }
        self.expire();
        if let Some(remote) = &mut self.remote {
            // Responses are in the cache from now on.
            while remote.drain().is_some() {}
        }
        if !self.report_replaced(out)
            && let Some(why) = self.outputs.storage_failure()
        {
            self.report_storage_failure(why, out);
        }
    }

    /// Work after each batch of a replay.
    pub(crate) fn end_batch(&mut self, out: &mut Vec<u8>) {
        self.tick(self.now, out);
        self.flush();
        self.batches += 1;
        if self.batches.is_multiple_of(PERSIST_INTERVAL) {
            self.persist();
        }
    }

    /// Ends the run: emits the connections that are still open, in the order of their last packets, and flushes. `write`
    /// takes finished lines and empties the buffer. It returns whether lines are still accepted: if not, and there is no
    /// database, the other connections are counted as lost.
    pub fn finish(&mut self, mut write: impl FnMut(&mut Vec<u8>) -> bool) {
        self.outputs.wait_for_storage();
        let mut open = std::mem::take(&mut self.open);
        let tracker = &self.tracker;
        open.sort_by_cached_key(|(id, _)| (tracker.get(*id).map(|record| record.last), *id));
        let (mut line, mut out) = (Vec::new(), Vec::new());
        for (id, cause) in open {
            let Some(record) = self.tracker.end(id) else {
                continue;
            };
            line.clear();
            outputs::open_connection(&mut self.formatter, &record, cause, &mut line);
            let now = record.last;
            let printed = (!line.is_empty()).then_some(&*line);
            self.finalize(record, cause, now, printed, &mut out);
            if out.len() >= FLUSH_BYTES && !write(&mut out) && !self.outputs.stores() {
                self.stats.end_lost += self.tracker.clear();
            }
        }
        // Connections without an end event: it was dropped with a full queue.
        while let Some(record) = self.tracker.pop() {
            self.stats.end_lost += 1;
            self.release(record, &mut out);
            if out.len() >= FLUSH_BYTES && !write(&mut out) && !self.outputs.stores() {
                self.stats.end_lost += self.tracker.clear();
            }
        }
        if self.outputs.stores() {
            self.persist_all(&mut out);
        }
        self.flush();
        write(&mut out);
    }

    /// Answers a query of the API with JSON objects, one per line.
    pub fn query(&mut self, query: &EngineQuery) -> Vec<bytes::Bytes> {
        match *query {
            EngineQuery::Alerts { most } => self.outputs.recent().take(most).cloned().collect(),
            EngineQuery::Connections { most, host } => {
                let of = |record: &&ConnectionRecord| {
                    let (client, server) = (record.identity.client.0, record.identity.server.0);
                    host.is_none_or(|host| host == client || host == server)
                };
                let Self { tracker, outputs, .. } = self;
                tracker.newest_first().filter(of).take(most).map(|record| outputs.line(record)).collect()
            }
            EngineQuery::Rules => active_rules::lines(&self.builtin, &self.profiles, &self.rules),
        }
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        EngineStats {
            connections: self.tracker.len() as u64,
            first_seen: self.firsts.stats(self.now),
            profiles: self.profiles.stats(),
            builtin: self.builtin.stats(),
            rules: self.rules.stats(),
            cooldowns: self.cooldowns.stats(),
            remote: self.remote.as_ref().map(Remote::stats),
            allowlisted: self.content.allowlist.suppressed(),
            allowlist: Some(self.content.allowlist.listed_counts())
                .filter(|entries| !entries.is_empty())
                .map(AllowlistStats),
            ..self.stats.clone()
        }
    }
}

#[cfg(test)]
mod tests;
