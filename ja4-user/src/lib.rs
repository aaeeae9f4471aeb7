//! ja4sensor: the userspace half.
//!
//! The modules are layers: a lower one never imports a higher one. See ARCHITECTURE.md.
#![forbid(unsafe_code)]

pub mod api;
pub mod capture;
pub mod cli;
pub mod config;
pub mod conntrack;
pub mod detect;
pub mod document;
pub mod encode;
pub mod enrich;
pub mod model;
pub mod output;
pub mod packet;
pub mod protocol;
pub mod runtime;
pub mod shard;
pub mod system;
#[cfg(feature = "top")]
pub mod top;
pub mod units;
