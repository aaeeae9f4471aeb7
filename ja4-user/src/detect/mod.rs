//! Detection: unusual or known-bad traffic.
//!
//! | module | what it detects |
//! |---|---|
//! | [`first_seen`] | Values that the network, or a local host, shows for the first time |
//! | [`builtin`] | Deviations from the history of a host, server name or value |
//! | [`profile`] | Pairs of values that were never seen together |
//! | [`rules`] | Threshold rules: built-in ones and the user's, in one TOML language |
//! | [`allowlist`] | Suppresses alerts of all of them |
//! | [`cooldown`] | Limits the alerts of one kind |
//!
//! Connections of one source arrive at several shards, so their windows cannot be in a shard: `detectors.rs` has them for
//! all shards. Nothing in it reads a clock, does I/O or waits for another thread longer than an evaluation takes: time
//! comes with the events, and rows to store are returned in batches. Every table is bounded and counts its evictions.

pub mod allowlist;
pub mod builtin;
mod content;
pub mod cooldown;
pub(crate) mod detectors;
pub mod first_seen;
pub mod local_networks;
pub mod profile;
pub mod rules;
pub mod settings;
pub(crate) mod time_ranges;

pub use allowlist::Allowlist;
pub use content::DetectionContent;
pub use rules::{RuleEngine, RuleSet};
