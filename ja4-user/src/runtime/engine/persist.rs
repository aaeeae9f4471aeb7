//! Work of each second, and persistence of first-seen values and behaviour profiles.
//!
//! Changes of [`FirstSeen`](crate::detect::first_seen::FirstSeen) and [`Profiles`](crate::detect::profile::Profiles) go to
//! storage as [`WriteOp`]s: a new value together with its fingerprint, counts periodically. A database that cannot be
//! written raises an alert.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::finished::Finished;
use super::restore::SavedState;
use super::shared::{Engine, stored};
use super::state_keeper::StateKeeper;
use super::worker::WorkerStats;
use crate::detect::first_seen;
use crate::model::{Alert, STORAGE_FAILURE, Severity, Time};
use crate::output::storage::{self, SavedStateLimits, WriteOp};

/// Batches of a replay after which changed state is persisted.
const PERSIST_INTERVAL: u64 = 256;

/// Rows of first-seen and of profiles that one call sends to storage; further rows wait for the next call.
const MAX_ROWS: usize = 1 << 16;

/// Event time between two expiries in storage, nanoseconds.
const EXPIRE_INTERVAL: u64 = 3_600_000_000_000;

/// Cooldown of the storage alert.
const STORAGE_COOLDOWN: Duration = Duration::from_secs(600);

impl Engine {
    /// Work after batch `number` of a replay, and delivery of its results but the lines.
    pub(crate) fn end_batch(&self, stats: &WorkerStats, number: u64, out: &mut Finished) {
        self.tick(stats.now, stats.past, out);
        if number.is_multiple_of(PERSIST_INTERVAL) {
            self.persist(&mut out.rows);
        }
        self.deliver(out);
    }

    /// Adds the rows of new first-seen values, so that these are not new again after a crash. [`Self::persist`] updates count
    /// and last time.
    pub(super) fn store_first_seen(&self, new: Vec<first_seen::FirstSeenFact>, rows: &mut Vec<WriteOp>) {
        if self.outputs.stores() {
            self.store_learning_start(rows);
            rows.extend(new.into_iter().map(|fact| self.first_seen_row(fact)));
        }
    }

    /// Adds the start of the learning period, unless it is stored.
    fn store_learning_start(&self, rows: &mut Vec<WriteOp>) {
        if let Some(since) = self.detectors.learning().started().filter(|_| !self.outputs.waits())
            && self.learning_stored.load(Ordering::Relaxed) != since.0
        {
            rows.push(WriteOp::LearningSince(since));
            self.learning_stored.store(since.0, Ordering::Relaxed);
        }
    }

    fn first_seen_row(&self, fact: first_seen::FirstSeenFact) -> WriteOp {
        let approved = self.detectors.learning().contains(fact.first);
        WriteOp::FirstSeen(storage::FirstSeenRow { fact, approved })
    }

    /// Work of each second: expire old entries, receive responses of the remote lookup, and report a failing database
    /// by an alert. `now` is the latest event time, `past` the latest that is not ahead of the
    /// wall clock.
    pub(crate) fn tick(&self, now: Time, past: Time, out: &mut Finished) {
        let mut keeper = self.keeper();
        keeper.now = keeper.now.max(now);
        keeper.past = keeper.past.max(past);
        if let Some(memory) = keeper.restored.as_ref().and_then(|restored| restored.try_recv().ok()) {
            self.restore(&mut keeper, memory);
        }
        self.expire(&mut keeper, &mut out.rows);
        self.drain_remote();
        if !self.report_replaced(&mut keeper, out)
            && let Some(why) = self.outputs.storage_failure()
        {
            self.report_storage_failure(&mut keeper, why, out);
        }
        self.outputs.broadcast(&mut keeper.json);
    }

    /// Merges the saved state of a database that could not be opened at the start or was replaced, with the
    /// current state. A new file gets the whole current state.
    fn restore(&self, keeper: &mut StateKeeper, memory: SavedState) {
        let SavedState { learning_since, first_seen, profiles, own } = memory;
        if let Some(since) = learning_since {
            self.detectors.learning().begin(since);
        }
        self.detectors.restore(&own, first_seen, profiles);
        self.learning_stored.store(stored(learning_since), Ordering::Relaxed);
        let replaced = self.outputs.files_replaced();
        if replaced > keeper.files_filled {
            keeper.files_filled = replaced;
            self.store_again();
            let mut rows = Vec::new();
            self.persist_changed(keeper, &mut rows);
            self.outputs.send_rows(&mut rows);
        }
    }

    /// Marks all saved state as changed, because storage may have lost rows.
    fn store_again(&self) {
        self.detectors.each(|part| {
            part.first_seen.store_again();
            part.profiles.store_again();
        });
    }

    /// Expires values that were not seen for too long. A packet with a time in the future expires nothing.
    fn expire(&self, keeper: &mut StateKeeper, rows: &mut Vec<WriteOp>) {
        let now = keeper.past;
        let SavedStateLimits { values, host_values, profile_keys, .. } = keeper.bounds;
        let (mut gone, mut horizon, mut profile_values) = (0, now, 0);
        self.detectors.each(|part| {
            part.first_seen.tick(now);
            let (firsts, profiles) = (part.first_seen.stats(keeper.now), part.profiles.stats());
            gone += firsts.evicted + profiles.evicted_keys + profiles.evicted_values;
            horizon = part.first_seen.horizon(now);
            profile_values = part.profiles.settings().max_values;
        });
        let (expired_at, gone_then) = keeper.expired_at;
        // If many entries were evicted from memory, storage is trimmed before the interval is over.
        let is_much = gone - gone_then >= values.saturating_add(host_values).saturating_add(profile_keys).max(1) as u64;
        if (is_much || now.0.saturating_sub(expired_at.0) >= EXPIRE_INTERVAL) && self.outputs.stores() {
            keeper.expired_at = (now, gone);
            rows.push(WriteOp::ExpireFirstSeen { before: horizon });
            rows.push(WriteOp::TrimSavedState(SavedStateLimits { profile_values, ..keeper.bounds }));
        }
    }

    fn report_storage_failure(&self, keeper: &mut StateKeeper, why: String, out: &mut Finished) {
        if let Some(suppressed) = keeper.cooldowns.check(STORAGE_FAILURE, &(), keeper.now, STORAGE_COOLDOWN) {
            let alert = storage_failure(keeper.now, why, suppressed);
            keeper.emit_alert(alert, self.outputs.has_readers(), out);
        }
    }

    /// Raises an alert for each time that the database file was deleted or replaced. Returns whether it was.
    fn report_replaced(&self, keeper: &mut StateKeeper, out: &mut Finished) -> bool {
        let replaced = self.outputs.files_replaced();
        let is_new = replaced > keeper.files_replaced;
        if is_new {
            keeper.files_replaced = replaced;
            let why = "its file was deleted or replaced; a new file is created if the path permits".to_owned();
            let description = "the database file was deleted or replaced".into();
            let alert = Alert { description, ..storage_failure(keeper.now, why, 0) };
            keeper.emit_alert(alert, self.outputs.has_readers(), out);
        }
        is_new
    }

    /// Adds changed first-seen values and profiles to the rows, unless the database fails.
    pub(crate) fn persist(&self, rows: &mut Vec<WriteOp>) {
        if self.can_store() {
            self.persist_changed(&mut self.keeper(), rows);
        }
    }

    /// Whether there is a database, and its last transaction did not fail.
    pub(crate) fn can_store(&self) -> bool {
        self.outputs.stores() && self.outputs.storage_failure().is_none()
    }

    /// Adds changed rows. Returns whether more rows are left.
    fn persist_changed(&self, keeper: &mut StateKeeper, rows: &mut Vec<WriteOp>) -> bool {
        let lost = self.outputs.saved_state_lost();
        if lost > keeper.saved_state_lost {
            keeper.saved_state_lost = lost;
            self.learning_stored.store(u64::MAX, Ordering::Relaxed);
            self.store_again();
        }
        self.store_learning_start(rows);
        let (mut firsts, mut pairs) = (Vec::new(), Vec::new());
        self.detectors.each(|part| {
            firsts.append(&mut part.first_seen.drain_dirty(MAX_ROWS - firsts.len().min(MAX_ROWS)));
            pairs.append(&mut part.profiles.drain_dirty(MAX_ROWS - pairs.len().min(MAX_ROWS)));
        });
        let more = firsts.len() >= MAX_ROWS || pairs.len() >= MAX_ROWS;
        rows.extend(firsts.into_iter().map(|fact| self.first_seen_row(fact)));
        rows.extend(pairs.into_iter().map(WriteOp::Profile));
        more
    }

    /// Sends all changed rows to storage and waits until they are written. Lost rows are sent once more. Reports rows that
    /// are lost in the end.
    pub(super) fn persist_all(&self, out: &mut Finished) {
        let mut keeper = self.keeper();
        for _ in 0..2 {
            loop {
                let more = self.persist_changed(&mut keeper, &mut out.rows);
                self.outputs.send_rows(&mut out.rows);
                if !more || self.outputs.storage_is_over() {
                    break;
                }
            }
            self.outputs.wait_written();
            if self.outputs.saved_state_lost() == keeper.saved_state_lost || self.outputs.storage_is_over() {
                break;
            }
        }
        if let Some(why) = self.outputs.storage_loss() {
            self.report_storage_failure(&mut keeper, why, out);
        }
    }
}

/// The alert of a database that cannot be written.
fn storage_failure(now: Time, why: String, suppressed: u64) -> Alert {
    Alert {
        time: now,
        packet: None,
        rule: STORAGE_FAILURE.into(),
        sid: None,
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
