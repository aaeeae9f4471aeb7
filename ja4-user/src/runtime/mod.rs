//! Threads and queues: the drivers of a live run and of a replay.

mod batches;
mod census;
pub mod engine;
pub mod handoff;
pub mod live;
mod merge;
pub mod replay;
