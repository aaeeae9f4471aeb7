//! ja4sensor: ja4-user

#![forbid(unsafe_code)]

pub mod object;
