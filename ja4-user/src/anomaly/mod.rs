//! What breaks a network's habits.
//!
//! [`rules`] holds threshold rules, which a shipped file and users write in one TOML language over the
//! [`field`]s of a connection's record. [`allow`] says what they leave in peace. All of it runs on the
//! engine's one thread: connections of one source come from several shards, so their windows cannot
//! live there. Time comes with the events; nothing here reads a clock.

pub mod allow;
pub mod config;
#[cfg(test)]
mod example;
pub mod field;
pub mod rules;

pub use allow::Allow;
pub use config::{Issue, Report, Warning};
pub use rules::{RuleSet, Rules};
