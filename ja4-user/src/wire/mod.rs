//! Bytes to typed messages.
//!
//! Nothing here knows about flows, clocks or fingerprints. Every byte is an attacker's: all of it is
//! read through [`Cursor`], every length a peer states is checked against its region, and a message
//! that exists is well-formed down to the level its type documents.

mod cursor;
pub mod tls;

pub use cursor::{Cursor, WireError};
