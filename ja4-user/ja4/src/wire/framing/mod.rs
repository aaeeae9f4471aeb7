//! Framings: headers between TCP or UDP and the TLS or DTLS records inside.
//!
//! | module | framing | carries |
//! |---|---|---|
//! | [`proxy`] | PROXY protocol 1 and 2 | any client stream, behind one header |
//! | [`tds`] | Tabular Data Stream, over TCP | TLS in both directions |
//! | [`turn`] | TURN, over UDP and TCP | DTLS |
//! | [`openvpn`] | OpenVPN's control channel, over UDP and TCP | TLS in both directions |
//! | [`rfc4571`] | a length before each datagram, over TCP | DTLS |
//!
//! [`Unframe`] splits a TCP stream in one of them into frames; [`proxy`] is a single header and has a reader of its
//! own. A datagram in a frame is read like a UDP datagram.

pub mod openvpn;
pub mod proxy;
pub mod rfc4571;
pub mod tds;
pub mod turn;
mod unframe;

pub use unframe::{FrameContent, Unframe};

/// A framing of a whole TCP direction.
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
