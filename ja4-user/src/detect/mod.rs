//! What breaks a network's habits.
//!
//! | file | what it does |
//! |---|---|
//! | [`first_seen`] | which values were never seen here |
//! | [`builtin`] | rules that compare a connection with what is known of its host, name and value |
//! | [`profile`] | pairs that belong together, and the first that does not |
//! | [`rules`] | threshold rules, which a shipped file and users write in one TOML language over [`field`]s |
//! | [`allow`] | what all of them leave in peace |
//! | [`cooldown`] | one alert for many of a kind |
//!
//! All of it runs on the engine's one thread: connections of one source come from several shards, so their
//! windows cannot live there. Nothing in it reads a clock, does I/O or waits: time comes with the events, what
//! is to be stored is handed out in batches. Every table is bounded and counts what it had to let go of.

pub mod allow;
mod bounded;
pub mod builtin;
mod content;
pub mod cooldown;
pub mod first_seen;
pub mod local;
pub mod profile;
pub mod rules;

pub use allow::Allow;
pub use content::DetectionContent;
pub use rules::{RuleSet, Rules};

/// By less than this an event may be older than the newest of its kind, as shards are not in step. What is older shows
/// that a clock was set back, or that the newest time was a wrong one. Nanoseconds.
const OUT_OF_STEP: u64 = 60_000_000_000;
