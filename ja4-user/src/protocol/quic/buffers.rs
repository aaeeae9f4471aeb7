//! The buffers that all QUIC connections of a thread share.

use ja4::wire::WireError;
use ja4::wire::quic::{LongPacket, PacketKeys, Plaintext};

use super::crypto::CryptoFrameList;
use crate::conntrack::ReassemblyLimits;

/// Buffers for decrypting and parsing one packet, and the limits of each direction.
#[derive(Debug, Default)]
pub struct QuicBuffers {
    pub(super) limits: ReassemblyLimits,
    pub(super) plaintext: Plaintext,
    pub(super) frames: CryptoFrameList,
}

impl QuicBuffers {
    /// Buffers for connections with these limits in each direction.
    #[must_use]
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Decrypts an Initial, and parses its frames. The inner error is in a frame of a packet that was authenticated.
    pub(super) fn open(
        &mut self,
        keys: &PacketKeys,
        packet: &LongPacket<'_>,
    ) -> Result<Result<(), WireError>, WireError> {
        keys.open(packet, &mut self.plaintext)?;
        let frames = self.frames.parse(&self.plaintext);
        if packet.is_truncated() && frames.is_err() {
            // A truncated packet cannot be authenticated: malformed frames show that the keys are not its own.
            return Err(WireError::Unauthenticated);
        }
        Ok(frames)
    }
}
