//! Persistence of first-seen values and behaviour profiles, and their expiry.
//!
//! Changes of [`FirstSeen`](crate::detect::first_seen::FirstSeen) and [`Profiles`](crate::detect::profile::Profiles) go to
//! [`EngineOutputs`](super::outputs::EngineOutputs) as [`WriteOp`]s: a new value together with its fingerprint, counts
//! periodically. A database that cannot be written raises an alert.

use std::net::IpAddr;
use std::time::Duration;

use super::Engine;
use crate::detect::first_seen::{self, Sighting};
use crate::model::{Alert, Method, STORAGE_FAILURE, Severity, Time};
use crate::output::storage::{self, SavedStateLimits, WriteOp};

/// Rows of first-seen and of profiles that one call sends to storage; further rows wait for the next call.
const MAX_ROWS: usize = 1 << 16;

/// Open connections that one call sends to storage: queued rows are held in memory.
const MAX_OPEN_ROWS: usize = 1 << 14;

/// Event time between two expiries in storage, nanoseconds.
const EXPIRE_INTERVAL: u64 = 3_600_000_000_000;

/// Cooldown of the storage alert.
const STORAGE_COOLDOWN: Duration = Duration::from_secs(600);

impl Engine {
    /// Sends a new first-seen value to storage together with its fingerprint, so that it is not new again after a crash.
    /// [`Self::persist`] updates count and last time.
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

    /// Stores the start of the learning period, unless it is stored.
    fn persist_learning_start(&mut self) {
        if let Some(since) = self.firsts.started().filter(|_| !self.is_replay)
            && self.learning_stored != Some(since)
        {
            self.outputs.store_with_next(WriteOp::LearningSince(since));
            self.learning_stored = Some(since);
        }
    }

    fn first_seen_item(&self, fact: first_seen::FirstSeenFact) -> WriteOp {
        let approved = self.firsts.was_learning(fact.first);
        WriteOp::FirstSeen(storage::FirstSeenRow { fact, approved })
    }

    /// Expires values that were not seen for too long. A packet with a time in the future expires nothing.
    pub(super) fn expire(&mut self) {
        let now = self.past;
        self.firsts.tick(now);
        let SavedStateLimits { values, host_values, profile_keys, .. } = self.bounds;
        let (firsts, profiles) = (self.firsts.stats(self.now), self.profiles.stats());
        let gone = firsts.evicted + profiles.evicted_keys + profiles.evicted_values;
        let (expired_at, gone_then) = self.expired_at;
        // If many entries were evicted from memory, storage is trimmed before the interval is over.
        let is_much = gone - gone_then >= values.saturating_add(host_values).saturating_add(profile_keys).max(1) as u64;
        if is_much || now.0.saturating_sub(expired_at.0) >= EXPIRE_INTERVAL {
            self.expired_at = (now, gone);
            self.outputs.store(WriteOp::ExpireFirstSeen { before: self.firsts.horizon(now) });
            let profile_values = self.profiles.settings().max_values;
            self.outputs.store(WriteOp::TrimSavedState(SavedStateLimits { profile_values, ..self.bounds }));
        }
    }

    pub(super) fn report_storage_failure(&mut self, why: String, out: &mut Vec<u8>) {
        if let Some(suppressed) = self.cooldowns.check(STORAGE_FAILURE, &(), self.now, STORAGE_COOLDOWN) {
            self.fired.push(storage_failure(self.now, why, suppressed));
            self.emit_alerts(None, out);
        }
    }

    /// Sends changed first-seen values and profiles to storage, unless it fails. A live run also stores open connections.
    pub(crate) fn persist(&mut self) {
        if self.outputs.stores() && self.outputs.storage_failure().is_none() {
            self.persist_changed();
            if !self.is_replay {
                self.persist_open();
            }
        }
    }

    /// Stores open connections periodically, so that queries see them and a crash loses little.
    fn persist_open(&mut self) {
        let Self { tracker, outputs, wall, .. } = self;
        let due = tracker.oldest_first_mut().filter_map(|record| record.is_store_due(*wall).then_some(record));
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
            let why = "its file was deleted or replaced; a new file is created if the path permits".to_owned();
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

    /// Sends changed rows to storage. Returns whether more rows are left.
    fn persist_changed(&mut self) -> bool {
        let lost = self.outputs.saved_state_lost();
        if lost > self.saved_state_lost {
            self.saved_state_lost = lost;
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

    /// Sends all changed rows to storage and waits until they are written. Lost rows are sent once more. Reports rows that
    /// are lost in the end.
    pub(super) fn persist_all(&mut self, out: &mut Vec<u8>) {
        for _ in 0..2 {
            while self.persist_changed() {}
            self.outputs.wait_written();
            if self.outputs.saved_state_lost() == self.saved_state_lost {
                break;
            }
        }
        if let Some(why) = self.outputs.storage_loss() {
            self.report_storage_failure(why, out);
        }
    }
}

/// The alert of a database that cannot be written.
fn storage_failure(now: Time, why: String, suppressed: u64) -> Alert {
    Alert {
        time: now,
        packet: None,
        rule: STORAGE_FAILURE.into(),
        description: "the database cannot be written".into(),
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
