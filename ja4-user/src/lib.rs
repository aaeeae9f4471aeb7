//! ja4sensor: the userspace half.
#![forbid(unsafe_code)]

pub mod capture;
pub mod event;
pub mod fingerprint;
pub mod sink;
pub mod wire;
