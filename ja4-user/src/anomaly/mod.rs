//! What breaks this network's habits.
//!
//! The engine's thread owns everything here. Nothing in it reads a clock, does I/O or waits: time comes with
//! the events, what is to be stored is handed out in batches. Every table is bounded and counts what it
//! had to let go of.

mod bounded;
pub mod builtin;
pub mod cooldown;
pub mod first_seen;
pub mod local;
pub mod profile;
pub mod settings;
