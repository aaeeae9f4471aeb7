//! Threads and queues: the drivers of a live run and of a replay.

mod batches;
pub mod captured_interfaces;
mod connection_limit;
pub mod connection_query;
mod connection_tally;
mod deferred_events;
mod deferring_events;
pub(crate) mod drops;
pub mod engine;
pub mod engine_thread;
pub mod handoff;
mod lane_events;
mod lane_output;
pub mod link_monitor;
pub mod live;
pub(crate) mod memory_plan;
pub mod message;
pub mod overload;
pub mod replay;
mod round_barrier;
mod rounds;
pub mod run_state;
pub mod sensor_stats;
mod serial_output;
mod sync;
