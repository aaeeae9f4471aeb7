//! What goes into a connection, and what comes out.

use crate::event::{Side, Time};
use crate::flow::Outcome;
use crate::wire::WireError;
use crate::wire::tls::HandshakeMessage;

/// The payload of a UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Payload as captured.
    pub payload: &'a [u8],
    /// Bytes that it had on the wire, `>= payload.len()`.
    pub wire_len: usize,
    /// Who sent it, as far as the caller knows: that the sender of a flow's first datagram is the client
    /// will do.
    pub from: Side,
    /// When it was seen.
    pub time: Time,
    /// IPv4 TTL or IPv6 hop limit.
    pub ttl: u8,
}

/// What the Initials of a datagram add up to.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// Another connection has begun in place of one whose server had said hello. Its messages follow.
    Restart,
    /// A whole handshake message, and who sent it.
    Message(Side, HandshakeMessage<'a>),
}

/// What a datagram held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Seen {
    /// Who sent it. Unlike what the caller believed, if an Initial proved otherwise.
    pub from: Side,
    /// An Initial of this connection. Until the sender's hello is known each has been opened; later
    /// ones are believed.
    pub initial: bool,
    /// A Handshake packet, by its header.
    pub handshake: bool,
    /// What became of the bytes in CRYPTO frames.
    pub crypto: Outcome,
    /// What could not be read, by [`WireError::index`].
    pub malformed: [u8; WireError::ALL.len()],
}

impl Seen {
    pub(super) fn by(from: Side) -> Self {
        Self {
            from,
            initial: false,
            handshake: false,
            crypto: Outcome::default(),
            malformed: [0; WireError::ALL.len()],
        }
    }

    /// What could not be read, one for each time.
    pub fn errors(&self) -> impl Iterator<Item = WireError> {
        WireError::ALL
            .into_iter()
            .zip(self.malformed)
            .flat_map(|(error, times)| std::iter::repeat_n(error, usize::from(times)))
    }

    pub(super) fn count(&mut self, error: WireError) {
        if let Some(times) = self.malformed.get_mut(error.index()) {
            *times = times.saturating_add(1);
        }
    }
}
