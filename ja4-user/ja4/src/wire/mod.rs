//! Bytes to typed messages.
//!
//! Nothing here knows about flows, clocks or fingerprints. Every byte is an attacker's: all of it is
//! read through [`Cursor`], every length a peer states is checked against its region, and a message
//! that exists is well-formed down to the level its type documents.

mod cursor;
pub mod dhcp4;
pub mod dhcp6;
mod dns_name;
pub mod dtls;
pub mod framing;
pub mod http;
pub mod http1;
pub mod http2;
pub mod quic;
pub mod ssh;
pub mod tcp;
pub mod tls;
pub mod x509;

pub use cursor::{Cursor, WireError};
