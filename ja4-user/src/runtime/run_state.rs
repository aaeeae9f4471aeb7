//! The state that the threads of a live run share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::model::counter_set;
use crate::runtime::engine::stats::EngineStats;
use crate::shard::ShardStats;

/// State that all threads of a live run share.
#[derive(Debug, Default)]
pub struct RunState {
    /// Nanoseconds between the boot clock and the Unix epoch; kept up to date by the control plane.
    pub clock_offset: AtomicU64,
    /// Asks the shards to drain, flush and stop.
    pub stop: AtomicBool,
    /// See [`OutputStats::lines_dropped`].
    pub lines_dropped: Arc<AtomicU64>,
    /// Counters of the engine, at most one second old.
    pub engine: ArcSwap<EngineStats>,
    /// When the engine last reported its counters.
    pub engine_reported: ArcSwapOption<Instant>,
}

impl RunState {
    /// Returns the counters of full queues.
    pub(crate) fn output_stats(&self) -> OutputStats {
        OutputStats { lines_dropped: self.lines_dropped.load(Ordering::Relaxed) }
    }
}

counter_set! {
    /// Counters of full queues.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct OutputStats as output {
        /// Lines dropped because the queue of the writer was full.
        counter lines_dropped,
    }
}

counter_set! {
    /// Counters of a ring, or of all rings.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RingStats as shard {
        /// Records with an unknown layout version.
        counter bad_record_version,
        /// Age of the last record when its shard read it; maximum over the shards.
        gauge lag_us,
        /// Bytes in the ring when the last record of a flow that is not assured was selected; maximum over the shards.
        gauge queued_bytes,
    }
}

impl RingStats {
    /// Adds the counters of another ring.
    pub(crate) fn add(&mut self, other: &Self) {
        self.bad_record_version += other.bad_record_version;
        self.lag_us = self.lag_us.max(other.lag_us);
        self.queued_bytes = self.queued_bytes.max(other.queued_bytes);
    }
}

/// Counters that a shard reports to the control plane.
#[derive(Debug, Default)]
pub struct ShardStatus {
    /// Its core's counters.
    pub stats: ShardStats,
    /// Its ring's counters.
    pub ring: RingStats,
    /// When the shard last reported.
    pub reported: Option<Instant>,
}
