//! Flows: the table that holds them, and the byte streams of their two directions.
//!
//! Nothing here reads a clock, takes a lock or does I/O. Room is given as an argument, and all of it
//! is bounded, so that the same packets leave the same state on every run.

mod reassembly;
mod table;

pub use reassembly::{Budget, Limits, Outcome, PIECE_OVERHEAD, Reassembly, Refused};
pub use table::{FlowTable, Inserted, Keyed, SlotId};

pub mod attribute_budget;
pub mod connection;
pub mod latency;
pub mod method_counts;
pub mod sequence;
pub mod stream;
pub mod tcp_handshake;
