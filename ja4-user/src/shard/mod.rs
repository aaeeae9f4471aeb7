//! A shard: everything that happens to a packet after the filter, on one thread.

pub(crate) mod core;
mod datagrams;
mod dhcp;
pub(crate) mod engines;
pub(crate) mod flows;
mod http;
mod ja4ssh;
pub mod lane;
mod opening;
mod openvpn;
pub mod report;
mod ssh;
mod stage;
pub mod stats;
mod stream;
mod tls;
mod unfinished;
pub(crate) mod unwrap;

#[cfg(test)]
mod tests;

pub use self::core::{Core, FlowLookup, Limits, Now};
pub use self::engines::Engines;
pub use self::flows::UserFlows;
pub use self::unwrap::Whole;
