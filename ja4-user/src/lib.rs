//! ja4sensor: the userspace half.
#![forbid(unsafe_code)]

pub mod capture;
pub mod event;
pub mod fingerprint;
pub mod flow;
pub mod object;
pub mod packet;
pub mod shard;
pub mod wire;
