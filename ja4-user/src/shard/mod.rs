//! A shard: everything that happens to a packet after the filter, on one thread.

mod batches;
mod census;
mod core;
mod datagrams;
mod dhcp;
mod engines;
mod flows;
mod http;
#[cfg(feature = "ja4plus")]
mod ja4ssh;
pub mod lane;
pub mod live;
mod merge;
mod opening;
mod openvpn;
pub mod post;
pub mod replay;
pub mod report;
mod ssh;
mod stage;
pub mod stats;
mod stream;
mod tls;
mod unfinished;
mod unwrap;

#[cfg(test)]
mod tests;

pub use self::core::{Core, FlowBooks, Limits, Now};
pub use self::engines::Engines;
pub use self::flows::UserFlows;
pub use self::unwrap::Whole;
