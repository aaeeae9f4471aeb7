//! Behind the shards: fingerprints become knowledge.
//!
//! One thread owns everything here. Shards hand it what they have seen in chunks, in a replay in the
//! order of packets; it labels values, knows what was seen before, keeps a [`record`] of every
//! connection, evaluates rules, and hands on lines, [`alert`]s and what is to be stored. Nothing here
//! makes a packet wait: every way in and out is a bounded queue whose losses are counted.

pub mod alert;
pub mod record;
