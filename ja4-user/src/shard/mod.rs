//! A shard: everything that happens to a packet after the filter, on one thread.

mod batches;
mod core;
mod engines;
mod handshake;
pub mod lane;
pub mod live;
mod merge;
mod opening;
pub mod replay;
pub mod report;
pub mod stats;

pub use self::core::{Core, FlowBooks, Limits, Now};
pub use self::engines::Engines;
