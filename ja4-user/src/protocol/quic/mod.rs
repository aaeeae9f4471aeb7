//! QUIC connections as far as their Initial packets show them: keys, CRYPTO streams, handshake messages.
//!
//! ```text
//! datagram ─▶ connection ─▶ packets ─▶ keys of (version, DCID) ─▶ frames ─▶ CRYPTO in order ─▶ handshake messages
//! ```
//! The keys follow from the destination that the client chose for its first Initial, or after a Retry from
//! the one that the Retry gave it; they stay when the client later writes to the ID that the server chose
//! (RFC 9001, section 5.2; RFC 9000, section 7.2). Which packet is which is decided by what opens it: an
//! Initial says with 128 bits that it is one, of this connection and this side.
//!
//! Anybody can send a client's Initial to a destination of their own choice, and a client may have several
//! connections on the same ports: each first Initial begins one, beside those that there are.

mod connection;
mod connections;
mod crypto;
mod datagram;
#[cfg(test)]
mod tests;

use crate::conntrack::Limits;
pub use connection::QuicState;
pub use connections::{Connections, Entry, MAX_CONNECTIONS};
use crypto::Pieces;
pub use datagram::{Datagram, Given, Seen};
use ja4::wire::WireError;
use ja4::wire::quic::{LongPacket, PacketKeys, Plaintext};

/// What the connections of a shard share: buffers. One per thread.
#[derive(Debug, Default)]
pub struct QuicEngine {
    limits: Limits,
    plaintext: Plaintext,
    pieces: Pieces,
}

impl QuicEngine {
    /// An engine whose connections hold as much as `limits` allow, in each direction.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Opens an Initial and reads its frames. The inner error is one of the frames, and says that the
    /// packet was opened all the same.
    fn open(&mut self, keys: &PacketKeys, packet: &LongPacket<'_>) -> Result<Result<(), WireError>, WireError> {
        keys.open(packet, &mut self.plaintext)?;
        let frames = self.pieces.read(&self.plaintext);
        if packet.is_truncated() && frames.is_err() {
            // Not authenticated, and makes no sense.
            return Err(WireError::Unauthenticated);
        }
        Ok(frames)
    }
}
