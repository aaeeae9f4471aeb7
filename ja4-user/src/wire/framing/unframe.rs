//! One direction of a TCP connection in a framing to what its frames carry.

use super::Framing;
use super::tds::{self, PacketHeader};
use crate::wire::WireError;

/// Bytes of the longest frame header.
const MAX_HEADER: usize = 8;

/// First byte of a TLS handshake record.
const HANDSHAKE: u8 = 22;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// The next bytes of a stream.
    Stream(&'a [u8]),
    /// A whole datagram.
    Datagram(&'a [u8]),
}

/// What the payload of the present frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payload {
    /// Its first byte decides.
    Undecided,
    /// Nothing that is read.
    Skipped,
    /// Bytes of a stream.
    Stream,
}

/// Takes one direction's stream bytes, in order and in slices of any size, and gives what its frames carry.
#[derive(Debug)]
pub struct Unframe {
    framing: Framing,
    header: [u8; MAX_HEADER],
    /// Bytes of `header` that have come.
    header_len: u8,
    /// Bytes of the present frame's payload that have not come yet.
    left: u16,
    payload: Payload,
    /// TDS: the present frame is the last of its message.
    ends_message: bool,
    /// TDS: a TLS handshake has begun.
    has_begun: bool,
}

impl Unframe {
    /// A direction in this framing, from its first byte on.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        Self {
            framing,
            header: [0; MAX_HEADER],
            header_len: 0,
            left: 0,
            payload: Payload::Undecided,
            ends_message: true,
            has_begun: false,
        }
    }

    /// Whether the next byte is the first of a frame.
    #[must_use]
    pub const fn is_at_frame(&self) -> bool {
        self.left == 0 && self.header_len == 0
    }

    /// Takes the next bytes of the stream, and calls `receive` for each piece of content in them.
    ///
    /// # Errors
    /// That of the frame with which the framing, or the handshake in it, ends.
    pub fn push(&mut self, mut bytes: &[u8], mut receive: impl FnMut(Content<'_>)) -> Result<(), WireError> {
        while !bytes.is_empty() {
            if self.left == 0 {
                bytes = self.take_header(bytes)?;
                continue;
            }
            if self.payload == Payload::Undecided {
                self.decide(bytes.first().copied().unwrap_or_default())?;
            }
            let (payload, rest) = bytes.split_at(bytes.len().min(usize::from(self.left)));
            self.left -= payload.len() as u16; // at most `left`
            bytes = rest;
            if self.payload == Payload::Stream {
                receive(Content::Stream(payload));
            }
        }
        Ok(())
    }

    /// Takes what is missing of a frame header, and opens the frame.
    fn take_header<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], WireError> {
        let mut rest = bytes;
        let Framing::Tds = self.framing;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if let Some(place) = self.header.get_mut(usize::from(self.header_len)) {
                *place = byte;
                self.header_len += 1;
            }
            if usize::from(self.header_len) == tds::HEADER_LEN {
                self.header_len = 0;
                let continued = !self.ends_message;
                let PacketHeader { length, ends_message } = PacketHeader::parse(&self.header)?;
                (self.left, self.ends_message) = (length, ends_message);
                if !continued {
                    self.payload = Payload::Undecided;
                }
                break;
            }
        }
        Ok(rest)
    }

    /// Decides what the payload of a TDS message is by its first byte.
    fn decide(&mut self, first: u8) -> Result<(), WireError> {
        self.has_begun |= first == HANDSHAKE;
        self.payload = match first {
            _ if self.has_begun => Payload::Stream,
            tds::FIRST_OPTION => Payload::Skipped,
            _ => return Err(WireError::Value),
        };
        Ok(())
    }
}
