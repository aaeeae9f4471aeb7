//! QUIC long headers and Initial packets (RFC 9000, RFC 9001, RFC 9369).
//!
//! [`Packets`] are the packets of one datagram, [`PacketKeys`] decrypt its Initials, and [`CryptoFrames`] are the
//! fragments of the TLS handshake in them. The caller reassembles the fragments of a connection.

mod connection_id;
mod frames;
mod gcm;
mod header;
mod hmac;
mod protection;
mod seal;
mod varint;
mod version;

pub use connection_id::ConnectionId;
pub use frames::{CryptoFrame, CryptoFrames};
pub use header::{LongPacket, MAX_PACKETS, Packets, long_header_version};
pub use protection::{PacketKeys, Plaintext};
pub use seal::{InitialHeader, seal};
pub use version::{PacketKind, V1, V2};

#[cfg(test)]
pub(crate) mod vectors;
