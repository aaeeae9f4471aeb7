//! Recognizes the framing of a TCP stream by its first bytes.

use super::{openvpn, rfc4571, tds, turn};

/// A framing of one direction of a TCP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFraming {
    /// TDS packets.
    Tds,
    /// STUN messages and ChannelData.
    Turn,
    /// A length before each datagram (RFC 4571).
    Length,
    /// A length before each packet of OpenVPN.
    OpenVpn,
}

/// The framing of a TCP direction, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognized {
    /// This framing.
    StreamFraming(StreamFraming),
    /// The bytes are too few to decide.
    TooFew,
    /// No framing.
    Nothing,
}

impl StreamFraming {
    /// Bytes that distinguish all framings.
    pub const ENOUGH: usize = 10;

    /// The framing of a TCP direction that begins with these bytes.
    #[must_use]
    pub fn recognize(bytes: &[u8]) -> Recognized {
        if let Some(header) = bytes.first_chunk() {
            if tds::TdsHeader::parse(header).is_ok() {
                return Recognized::StreamFraming(Self::Tds);
            }
            if turn::begins_stun(header) || turn::begins_channel(header) {
                return Recognized::StreamFraming(Self::Turn);
            }
        }
        if let Some(start) = bytes.first_chunk()
            && openvpn::begins(start)
        {
            return Recognized::StreamFraming(Self::OpenVpn);
        }
        match bytes.first_chunk() {
            Some(start) if rfc4571::begins(start) => Recognized::StreamFraming(Self::Length),
            None if tds::may_begin(bytes) || turn::may_begin_stun(bytes) || rfc4571::may_begin(bytes) => {
                Recognized::TooFew
            }
            _ => Recognized::Nothing,
        }
    }
}
