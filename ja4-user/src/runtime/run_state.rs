//! The state that the threads of a live run share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::runtime::engine::stats::EngineStats;
use crate::runtime::message::EngineMessage;
use crate::shard::stats::CoreStats;

/// What all threads of a run share.
#[derive(Debug, Default)]
pub struct RunState {
    /// Nanoseconds between the boot clock and the Unix epoch; kept up to date by the control plane.
    pub clock_offset: AtomicU64,
    /// The run is to end: drain, flush, stop.
    pub stop: AtomicBool,
    /// Lines that found a queue full, the engine's or the writer's.
    pub lines_dropped: AtomicU64,
    /// Observations that found the engine's queue full.
    pub observations_dropped: AtomicU64,
    /// The engine's counters, a second old at most.
    pub engine: ArcSwap<EngineStats>,
    /// When they were told last.
    pub engine_reported: ArcSwapOption<Instant>,
}

impl RunState {
    /// Counts what a queue had no room for.
    pub fn lose(&self, message: &EngineMessage) {
        self.lines_dropped.fetch_add(message.lines(), Ordering::Relaxed);
        if let EngineMessage::Chunk(chunk) = message {
            self.observations_dropped.fetch_add(chunk.observations.len() as u64, Ordering::Relaxed);
        }
    }
}

/// What one shard tells of itself.
#[derive(Debug, Default)]
pub struct ShardStatus {
    /// Its core's counters.
    pub stats: CoreStats,
    /// Records of another layout than this program's.
    pub bad_version: u64,
    /// How old the last record was when it was taken, nanoseconds.
    pub lag: u64,
    /// When all this was told last.
    pub reported: Option<Instant>,
}
