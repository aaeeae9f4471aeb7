//! ja4sensor: ja4-user

#![forbid(unsafe_code)]

pub mod fingerprint;
pub mod wire;
