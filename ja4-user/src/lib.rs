//! ja4sensor: the userspace half.
//!
//! A packet moves right only: `capture` (the kernel's rings, or a file) → `packet` → `flow` →
//! `wire` → `fingerprint` → `sink`. [`shard`] is the one place that knows all stages; ARCHITECTURE.md
//! follows one packet through them.
#![forbid(unsafe_code)]

pub mod alert;
pub mod anomaly;
pub mod attach;
pub mod capture;
pub mod cli;
pub mod config;
pub mod document;
pub mod engine;
pub mod event;
pub mod flow;
pub mod http;
pub mod lookup;
pub mod object;
pub mod packet;
pub mod shard;
pub mod sink;
pub mod storage;
pub mod system;
pub mod units;
