//! Messages and counters of one datagram.

use ja4::wire::WireError;
use ja4::wire::tls::HandshakeMessage;

use crate::conntrack::SegmentOutcome;
use crate::model::Side;

/// A complete handshake message.
#[derive(Clone, Copy, Debug)]
pub struct QuicMessage<'a> {
    /// Sender.
    pub side: Side,
    /// The message.
    pub message: HandshakeMessage<'a>,
    /// Version of the packet with its last byte.
    pub version: u32,
    /// Whether the client is the high end of the flow's key.
    pub client_is_high: bool,
    /// Whether its connection is over the limit of connections per flow.
    pub over_limit: bool,
}

/// The outcome of a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct QuicOutcome {
    /// Index of its connection, if it belongs to one: valid until the next datagram.
    pub connection: Option<usize>,
    /// Its sender in that connection.
    pub from: Option<Side>,
    /// Whether it has an Initial of this connection. Initials are authenticated until the sender's hello is complete.
    pub has_initial: bool,
    /// Whether it has a Handshake packet, by its header.
    pub has_handshake: bool,
    /// The bytes in CRYPTO frames.
    pub crypto: SegmentOutcome,
    /// Incomplete messages of evicted connections.
    pub evicted_messages: u64,
    /// Malformed packets and frames, by [`WireError::index`].
    pub malformed: [u8; WireError::ALL.len()],
}

impl QuicOutcome {
    /// Every error, as often as it occurred.
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
