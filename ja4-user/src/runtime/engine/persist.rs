//! What is known goes to storage, and what has grown old goes.
//!
//! First-seen values and profiles come from [`FirstSeen`](crate::detect::first_seen::FirstSeen) and
//! [`Profiles`](crate::detect::profile::Profiles) and go to [`EngineOutputs`](super::outputs::EngineOutputs) as [`WriteOp`]s: a new value
//! with its fingerprint, counts with each save. A history that cannot be written fires a rule of its own.

use std::net::IpAddr;
use std::time::Duration;

use super::Engine;
use crate::detect::first_seen::{self, Sighting};
use crate::model::{Alert, Method, STORAGE_FAILURE, Severity, Time};
use crate::output::storage::{self, SavedStateLimits, WriteOp};

/// Rows of first-seen and profiles that one save hands to storage; the rest comes with the next.
const MAX_ROWS: usize = 1 << 16;

/// Connections that go on of which one save tells: what waits is held in memory.
const MAX_OPEN_ROWS: usize = 1 << 14;

/// Event time between two words to storage of what is too old or too much, nanoseconds.
const EXPIRE_INTERVAL: u64 = 3_600_000_000_000;

/// Between two alerts about it.
const STORAGE_COOLDOWN: Duration = Duration::from_secs(600);

impl Engine {
    /// What has become known of first-seen goes to storage with the fingerprint: after a crash it is not to be new
    /// again, nor learning to begin anew. How often and when last comes with [`Self::save`].
    pub(super) fn persist_first_seen(&mut self, method: Method, value: &str, host: IpAddr, sighting: Sighting) {
        if !self.outputs.stores() {
            return;
        }
        self.persist_learning_start();
        if sighting.entered || sighting.entered_for_host {
            for row in self.firsts.drain_entered(method, value, Some(host), sighting) {
                let item = self.first_seen_item(row);
                self.outputs.store_with_next(item);
            }
        }
    }

    /// Hands over when learning began, unless storage has it.
    fn persist_learning_start(&mut self) {
        if let Some(since) = self.firsts.started().filter(|_| !self.is_replay)
            && self.learning_stored != Some(since)
        {
            self.outputs.store_with_next(WriteOp::LearningSince(since));
            self.learning_stored = Some(since);
        }
    }

    fn first_seen_item(&self, row: first_seen::Row) -> WriteOp {
        let first_seen::Row { method, value, host, first, last, count } = row;
        let approved = self.firsts.was_learning(first);
        WriteOp::FirstSeen(storage::FirstSeenRow { method, value, host, first, last, count, approved })
    }

    /// What was not seen for too long goes. One packet with a time that is still to come makes nothing old.
    pub(super) fn expire(&mut self) {
        let now = self.past;
        self.firsts.tick(now);
        let SavedStateLimits { values, host_values, anchors, .. } = self.bounds;
        let (firsts, profiles) = (self.firsts.stats(), self.profiles.stats());
        let gone = firsts.evicted + profiles.evicted_anchors + profiles.evicted_companions;
        let (expired_at, gone_then) = self.expired_at;
        // Where much has to go from memory, storage is not to grow without end until the time has come.
        let many = gone - gone_then >= values.saturating_add(host_values).saturating_add(anchors).max(1) as u64;
        if many || now.0.saturating_sub(expired_at.0) >= EXPIRE_INTERVAL {
            self.expired_at = (now, gone);
            self.outputs.store(WriteOp::ExpireFirstSeen { before: self.firsts.horizon(now) });
            let companions = self.profiles.settings().max_companions;
            self.outputs.store(WriteOp::TrimSavedState(SavedStateLimits { companions, ..self.bounds }));
        }
    }

    pub(super) fn report_storage_failure(&mut self, why: String, out: &mut Vec<u8>) {
        if let Some(suppressed) = self.cooldowns.check(STORAGE_FAILURE, &(), self.now, STORAGE_COOLDOWN) {
            self.fired.push(storage_failure(self.now, why, suppressed));
            self.emit_alerts(None, out);
        }
    }

    /// Hands what has changed of first-seen and profiles to storage, where it can write; live, what has become known of
    /// connections that go on as well.
    pub fn save(&mut self) {
        if self.outputs.stores() && self.outputs.storage_failure().is_none() {
            self.persist_changed();
            if !self.is_replay {
                self.persist_open();
            }
        }
    }

    /// Who looks for a connection shall not have to wait for its end, which a crash may forestall.
    fn persist_open(&mut self) {
        let Self { tracker, outputs, wall, .. } = self;
        let due = tracker.oldest_first_mut().filter_map(|record| record.falls_due(*wall).then_some(record));
        for record in due.take(MAX_OPEN_ROWS) {
            outputs.store(WriteOp::ConnectionUpdate(Box::new(record.clone())));
        }
    }

    /// Raises an alert for each time that the database file was deleted or replaced. Returns whether it was.
    pub(super) fn report_replaced(&mut self, out: &mut Vec<u8>) -> bool {
        let replaced = self.outputs.files_replaced();
        let is_new = replaced > self.files_replaced;
        if is_new {
            self.files_replaced = replaced;
            let why = "its file was deleted or replaced; a new one is begun where the path allows it".to_owned();
            let description = "the database file was deleted or replaced".into();
            self.fired.push(Alert { description, ..storage_failure(self.now, why, 0) });
            self.emit_alerts(None, out);
        }
        is_new
    }

    /// Sends the whole saved state to storage at once: its file was replaced by one without it.
    pub(super) fn persist_everything_again(&mut self) {
        self.firsts.store_again();
        self.profiles.store_again();
        self.persist_changed();
        self.flush();
    }

    /// Whether there is more.
    fn persist_changed(&mut self) -> bool {
        let lost = self.outputs.knowledge_lost();
        if lost > self.knowledge_lost {
            self.knowledge_lost = lost;
            self.learning_stored = None;
            self.firsts.store_again();
            self.profiles.store_again();
        }
        self.persist_learning_start();
        let firsts = self.firsts.drain_dirty(MAX_ROWS);
        let pairs = self.profiles.drain_dirty(MAX_ROWS);
        let more = firsts.len() >= MAX_ROWS || pairs.len() >= MAX_ROWS;
        for row in firsts {
            let item = self.first_seen_item(row);
            self.outputs.store(item);
        }
        for row in pairs {
            self.outputs.store(WriteOp::Profile(row));
        }
        more
    }

    /// Hands all that has changed to storage and waits for it to be written; what is lost on the way is tried once
    /// more. A history that has lost something is told of.
    pub(super) fn persist_all(&mut self, out: &mut Vec<u8>) {
        for _ in 0..2 {
            while self.persist_changed() {}
            self.outputs.settle();
            if self.outputs.knowledge_lost() == self.knowledge_lost {
                break;
            }
        }
        if let Some(why) = self.outputs.storage_loss() {
            self.report_storage_failure(why, out);
        }
    }
}

/// The history cannot be written.
fn storage_failure(now: Time, why: String, suppressed: u64) -> Alert {
    Alert {
        time: now,
        packet: None,
        rule: STORAGE_FAILURE.into(),
        description: "the history cannot be written".into(),
        severity: Severity::High,
        group: Vec::new(),
        reason: why,
        flow: None,
        interface: None,
        fingerprint: None,
        category: None,
        confidence: None,
        suppressed,
    }
}
