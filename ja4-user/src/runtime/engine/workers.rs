//! The engine and all its workers: what needs the records of every thread.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::active_rules;
use super::finished::Finished;
use super::shared::Engine;
use super::stats::{AllowlistStats, EngineStats};
use super::worker::{EngineWorker, WorkerStats};
use crate::detect::detectors::DetectorStats;
use crate::model::AddCounters;

impl Engine {
    /// Creates a worker for the events of `lanes` lanes.
    #[must_use]
    pub fn worker(self: &Arc<Self>, lanes: usize) -> EngineWorker {
        EngineWorker::new(Arc::clone(self), lanes)
    }

    /// Begins the end of a run: further rows wait for room in the queue of the database.
    pub(crate) fn begin_end(&self) {
        self.outputs.wait_for_storage();
    }

    /// Counts connections that the end of the run had no time for.
    pub(crate) fn lose_open(&self, connections: usize) {
        self.end_lost.fetch_add(connections as u64, Ordering::Relaxed);
    }

    /// Ends the run, after all events of the workers: stores the state. Its last lines are in `out`.
    pub fn finish(&self, workers: &[Arc<Mutex<EngineWorker>>], out: &mut Finished) {
        self.begin_end();
        workers.iter().for_each(|worker| lock(worker).broadcast());
        if self.outputs.stores() {
            self.persist_all(out);
        }
        self.deliver(out);
    }

    /// Returns some of the latest alerts as JSON objects, the newest first, and the number of all that are kept.
    pub(crate) fn recent_alerts(&self, skip: usize, most: usize) -> (Vec<Bytes>, usize) {
        self.outputs.recent(skip, most)
    }

    /// Returns the rules with their counters as JSON objects, one per line.
    pub(crate) fn rule_lines(&self) -> Vec<Bytes> {
        let active = self.read_active();
        active_rules::lines(&active, &self.detectors.stats(&active, self.keeper().now()))
    }

    /// The counters, with those of the workers. Each is locked in turn.
    #[must_use]
    pub fn stats(&self, workers: &[Arc<Mutex<EngineWorker>>]) -> EngineStats {
        let (mut sum, mut connections) = (WorkerStats::default(), 0);
        for worker in workers {
            let (stats, open) = lock(worker).stats();
            sum.add(&stats);
            connections += open;
        }
        let active = self.read_active();
        let keeper = self.keeper();
        let DetectorStats { first_seen, builtin, profiles, rules, cooldowns } =
            self.detectors.stats(&active, keeper.now());
        let allowlist = &active.content.allowlist;
        let mut alerts = sum.alerts;
        alerts.add(&keeper.alerts);
        EngineStats {
            observations: sum.observations,
            connections,
            ended: sum.ended,
            end_lost: self.end_lost.load(Ordering::Relaxed),
            reloads: self.reloads.load(Ordering::Relaxed),
            fingerprints: sum.fingerprints,
            alerts,
            allowlisted: allowlist.suppressed(),
            first_seen,
            profiles,
            builtin,
            rules,
            cooldowns,
            allowlist: Some(allowlist.listed_counts()).filter(|entries| !entries.is_empty()).map(AllowlistStats),
            remote: self.remote.as_ref().map(|remote| remote.lock().unwrap_or_else(PoisonError::into_inner).stats()),
        }
    }
}

/// Locks a worker.
fn lock(worker: &Arc<Mutex<EngineWorker>>) -> MutexGuard<'_, EngineWorker> {
    worker.lock().unwrap_or_else(PoisonError::into_inner)
}
