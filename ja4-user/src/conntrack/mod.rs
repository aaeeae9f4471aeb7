//! Connection tracking: the table of connections, and the byte streams of their two directions.
//!
//! Nothing here reads a clock, takes a lock or does I/O. Memory is bounded by the limits and budgets that the caller
//! passes, so that the same packets lead to the same state in every run.

mod app_state;
mod attribute_budget;
mod budget;
mod connection;
mod connection_table;
mod direction_stream;
mod flow_table;
mod half_open;
pub(crate) mod latency;
mod method_counts;
mod reassembly;
mod seen_ranges;
mod session;
mod stream_parser;
mod tcp_handshake;
mod timer_queue;

pub(crate) use app_state::AppState;
pub use budget::Budget;
pub(crate) use connection::Connection;
pub(crate) use connection_table::{ConnectionSummary, ConnectionTable};
pub(crate) use direction_stream::DirectionStream;
pub(crate) use flow_table::{FlowTable, Keyed, SlotId};
pub(crate) use reassembly::RANGE_OVERHEAD;
pub use reassembly::{Reassembly, ReassemblyLimits, RefusedBytes, SegmentOutcome};
pub(crate) use seen_ranges::SeenRanges;
pub use session::Session;
pub(crate) use stream_parser::{StreamParser, classify};
pub(crate) use tcp_handshake::TcpHandshake;
pub(crate) use timer_queue::{FlowTimer, TimerQueue};
