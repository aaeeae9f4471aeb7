//! A shard: everything that happens to a packet after the filter, on one thread.
//!
//! ```text
//!                      ┌ TCP ▶ handshake (JA4T, JA4L, JA4LS, JA4TS) → SSH packets (JA4SSH) → stream ┐
//! decode → connection ─┤                                     TLS, HTTP (JA4, JA4S, JA4X, JA4H) ◀────┘ → end
//!                      └ UDP ▶ QUIC, DTLS, OpenVPN (JA4, JA4S, JA4X, JA4L, JA4LS), DHCP (JA4D, JA4D6)
//! ```
//! Nothing here reads a clock, takes a lock, does I/O or logs: time comes with the packet.

mod core;
mod decap;
mod env;
mod expiry;
mod filter_stats;
mod flow_lookup;
pub mod lane;
mod limits;
mod reassembled;
mod records;
mod stats;
mod user_flows;

#[cfg(test)]
mod tests;

pub use self::core::Core;
pub(crate) use self::decap::{DecapTarget, Decapsulator};
pub use self::env::{ShardBuffers, ShardEnv};
pub use self::filter_stats::FilterStats;
pub use self::flow_lookup::FlowLookup;
pub use self::limits::{Now, ShardLimits};
pub use self::reassembled::ReassembledDatagram;
pub(crate) use self::reassembled::{ReassemblyOutcome, start_of};
pub use self::stats::{DecapStats, ShardStats};
pub use self::user_flows::UserFlows;
