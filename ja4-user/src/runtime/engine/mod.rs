//! The engine: labels, first-seen, connection records and rules.
//!
//! Each shard, or thread of a replay, has an [`EngineWorker`]. What several connections have in common is in
//! `detect/detectors.rs`, which all workers share. The engine never delays a packet for an output: every queue is
//! bounded, and its losses are counted.
//!
//! The steps of one event are in [`worker`].

pub mod active_rules;
pub(crate) mod finished;
mod inference;
mod json_lines;
pub(crate) mod line_formatters;
pub mod outputs;
mod persist;
mod restore;
mod shared;
mod state_keeper;
pub mod stats;
mod value_cache;
pub mod worker;
mod workers;

pub use self::finished::Finished;
pub use self::restore::SavedState;
pub use self::shared::{Engine, EngineSettings};
pub use self::worker::EngineWorker;

#[cfg(test)]
mod tests;
