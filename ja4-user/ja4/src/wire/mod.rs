//! Parsers: from bytes to typed messages.
//!
//! They depend on no flows, clocks or fingerprints. All input is treated as hostile: it is read through [`Cursor`],
//! every length field is checked against its region, and a parsed message is well-formed to the level that its type
//! documents.

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
