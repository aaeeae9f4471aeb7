//! A datagram with one or several protocol messages.

use crate::model::{Side, Time};

/// The payload of a UDP datagram, or of a frame of a TCP stream that carries datagrams.
#[derive(Clone, Copy, Debug)]
pub struct UdpDatagram<'a> {
    /// The captured payload.
    pub payload: &'a [u8],
    /// Length of the payload on the wire, `>= payload.len()`.
    pub wire_len: usize,
    /// Whether the high end of the flow's key sent it.
    pub from_high: bool,
    /// Capture time.
    pub time: Time,
    /// IPv4 TTL or IPv6 hop limit.
    pub ttl: u8,
}

impl UdpDatagram<'_> {
    /// Whether its end was not captured.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.payload.len() < self.wire_len
    }

    /// The side that sent it, if the client is the high end of the key or not.
    #[must_use]
    pub fn sender(&self, client_is_high: bool) -> Side {
        if client_is_high == self.from_high { Side::Client } else { Side::Server }
    }
}
