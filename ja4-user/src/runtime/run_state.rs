//! The state that the threads of a live run share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::runtime::engine::stats::EngineStats;
use crate::runtime::message::EngineMessage;
use crate::shard::ShardStats;

/// State that all threads of a live run share.
#[derive(Debug, Default)]
pub struct RunState {
    /// Nanoseconds between the boot clock and the Unix epoch; kept up to date by the control plane.
    pub clock_offset: AtomicU64,
    /// Asks the shards to drain, flush and stop.
    pub stop: AtomicBool,
    /// Lines dropped because the queue of the engine or of the writer was full.
    pub lines_dropped: AtomicU64,
    /// Observations dropped because the engine's queue was full.
    pub observations_dropped: AtomicU64,
    /// Counters of the engine, at most one second old.
    pub engine: ArcSwap<EngineStats>,
    /// When the engine last reported its counters.
    pub engine_reported: ArcSwapOption<Instant>,
}

impl RunState {
    /// Counts a message that a full queue rejected.
    pub fn lose(&self, message: &EngineMessage) {
        self.lines_dropped.fetch_add(message.lines(), Ordering::Relaxed);
        if let EngineMessage::Chunk(chunk) = message {
            self.observations_dropped.fetch_add(chunk.observations.len() as u64, Ordering::Relaxed);
        }
    }
}

/// Counters that a shard reports to the control plane.
#[derive(Debug, Default)]
pub struct ShardStatus {
    /// Its core's counters.
    pub stats: ShardStats,
    /// Records of another layout than this program's.
    pub bad_version: u64,
    /// Age of the last record when it was read, nanoseconds.
    pub lag: u64,
    /// When the shard last reported.
    pub reported: Option<Instant>,
}
