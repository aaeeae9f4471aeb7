//! ja4sensor: ja4-common
#![no_std]
#![forbid(unsafe_code)]
