//! ja4sensor: the userspace half.
#![forbid(unsafe_code)]

pub mod capture;
