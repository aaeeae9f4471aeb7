//! The engine and all its workers: what needs the records of every thread.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::active_rules;
use super::finished::Finished;
use super::shared::Engine;
use super::stats::{AllowlistStats, EngineStats};
use super::worker::{EngineWorker, EventScope, WorkerStats, open_order};
use crate::detect::detectors::DetectorStats;
use crate::model::AddCounters;

/// Bytes of finished lines that the end of a run writes at once.
const FLUSH_BYTES: usize = 1 << 16;

impl Engine {
    /// Creates a worker for the events of `lanes` lanes.
    #[must_use]
    pub fn worker(self: &Arc<Self>, lanes: usize) -> EngineWorker {
        EngineWorker::new(Arc::clone(self), lanes)
    }

    /// Ends the run: reports the connections that are still open, in the order of their last packets, and stores the state.
    /// `write` takes finished lines and empties the buffer. It returns whether lines are still accepted: if not, and there
    /// is no database, the other connections are counted as lost.
    pub fn finish(&self, workers: &[Arc<Mutex<EngineWorker>>], mut write: impl FnMut(&mut Vec<u8>) -> bool) {
        self.outputs.wait_for_storage();
        let mut workers: Vec<_> = workers.iter().map(lock).collect();
        let open = (0..).zip(&mut workers).map(|(number, worker)| (number, worker.take_open()));
        let mut open: Vec<(usize, _)> =
            open.flat_map(|(number, open)| open.into_iter().map(move |open| (number, open))).collect();
        open.sort_by_cached_key(|(_, (record, _))| open_order(record));
        let (mut out, active) = (Finished::default(), self.active());
        let mut open = open.into_iter();
        while let Some((number, (record, cause))) = open.next() {
            if let Some(worker) = workers.get_mut(number) {
                let lane = worker.pending_lane(&record);
                worker.end_open(EventScope { active: &active, lane }, record, cause, &mut out);
            }
            if out.text.len() >= FLUSH_BYTES {
                self.deliver(&mut out);
                if !write(&mut out.text) && !self.outputs.stores() {
                    self.end_lost.fetch_add(open.len() as u64, Ordering::Relaxed);
                    break;
                }
            }
        }
        self.deliver(&mut out);
        workers.iter_mut().for_each(|worker| worker.broadcast());
        if self.outputs.stores() {
            self.persist_all(&mut out);
        }
        self.deliver(&mut out);
        write(&mut out.text);
    }

    /// Returns the latest alerts as JSON objects, one per line, the newest first.
    pub(crate) fn recent_alerts(&self, most: usize) -> Vec<Bytes> {
        self.outputs.recent(most)
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
