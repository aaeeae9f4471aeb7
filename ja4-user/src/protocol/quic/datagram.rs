//! What goes into a connection, and what comes out.

use crate::conntrack::Outcome;
use crate::model::{Side, Time};
use ja4::wire::WireError;
use ja4::wire::tls::HandshakeMessage;

/// The payload of a UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Payload as captured.
    pub payload: &'a [u8],
    /// Bytes that it had on the wire, `>= payload.len()`.
    pub wire_len: usize,
    /// Whether the high end of the flow's key sent it. Who is the client, the Initials say.
    pub from_high: bool,
    /// When it was seen.
    pub time: Time,
    /// IPv4 TTL or IPv6 hop limit.
    pub ttl: u8,
}

impl Datagram<'_> {
    /// Whether its end was not captured.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.payload.len() < self.wire_len
    }
}

/// A whole handshake message.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Who sent it.
    pub side: Side,
    /// The message.
    pub message: HandshakeMessage<'a>,
    /// Version of the packet that ended it.
    pub version: u32,
    /// Whether the client is the high end of the flow's key.
    pub client_is_high: bool,
    /// Its connection is one more than there is room for.
    pub surplus: bool,
}

/// What a datagram held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Seen {
    /// The place of its connection, if it belongs to one: valid until the next datagram.
    pub connection: Option<usize>,
    /// Who sent it, in that connection.
    pub from: Option<Side>,
    /// An Initial of this connection. Until the sender's hello is known each has been opened; later
    /// ones are believed.
    pub initial: bool,
    /// A Handshake packet, by its header.
    pub handshake: bool,
    /// What became of the bytes in CRYPTO frames.
    pub crypto: Outcome,
    /// Messages of connections that have given way which were not whole.
    pub given_up: u64,
    /// What could not be read, by [`WireError::index`].
    pub malformed: [u8; WireError::ALL.len()],
}

impl Seen {
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
