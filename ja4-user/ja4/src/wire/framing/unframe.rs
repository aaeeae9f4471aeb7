//! Extracts the payload of the frames of one TCP direction.

use super::recognize::StreamFraming;
use super::tds::{self, TdsHeader};
use super::{rfc4571, turn};
use crate::wire::WireError;

/// Bytes of the longest frame header.
const MAX_HEADER: usize = 8;

/// First byte of a TLS handshake record.
const HANDSHAKE: u8 = 22;

/// The payload of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameContent<'a> {
    /// The next bytes of a stream.
    Stream(&'a [u8]),
    /// A complete datagram.
    Datagram(&'a [u8]),
}

/// The kind of the current frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FramePayload {
    /// Its first byte decides.
    Undecided,
    /// Skipped.
    Skipped,
    /// Bytes of a stream.
    Stream,
    /// A datagram.
    Datagram,
}

/// Reads one direction's stream bytes, in order and in slices of any size, and extracts the payload of its frames.
///
/// A datagram inside one slice is borrowed from it; only one that spans slices is copied. No datagram is longer than
/// 65,558 bytes: its length is a field of 16 bits.
#[derive(Debug)]
pub struct Unframe {
    framing: StreamFraming,
    header: [u8; MAX_HEADER],
    /// Bytes of `header` read so far.
    header_len: u8,
    /// Bytes of the current frame's payload that are still missing.
    left: usize,
    payload: FramePayload,
    /// The part of the current datagram that was read.
    datagram: Vec<u8>,
    /// TDS: the current frame is the last of its message.
    ends_message: bool,
    /// TDS: a TLS handshake has begun.
    has_begun: bool,
}

impl Unframe {
    /// Creates a reader of a direction in this framing, from its first byte on.
    #[must_use]
    pub const fn new(framing: StreamFraming) -> Self {
        Self {
            framing,
            header: [0; MAX_HEADER],
            header_len: 0,
            left: 0,
            payload: FramePayload::Undecided,
            datagram: Vec::new(),
            ends_message: true,
            has_begun: false,
        }
    }

    /// Bytes of memory of an incomplete datagram.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.datagram.capacity()
    }

    /// The framing.
    #[must_use]
    pub const fn framing(&self) -> StreamFraming {
        self.framing
    }

    /// Whether the next byte is the first of a frame.
    #[must_use]
    pub const fn is_at_frame(&self) -> bool {
        self.left == 0 && self.header_len == 0
    }

    /// Reads the next bytes of the stream, and calls `receive` for each piece of content in them.
    ///
    /// # Errors
    /// The error in the frame at which the framing, or the handshake in it, ends.
    pub fn push(&mut self, mut bytes: &[u8], mut receive: impl FnMut(FrameContent<'_>)) -> Result<(), WireError> {
        while !bytes.is_empty() {
            if self.left == 0 {
                bytes = self.take_header(bytes)?;
                continue;
            }
            if self.payload == FramePayload::Undecided {
                self.decide(bytes.first().copied().unwrap_or_default())?;
            }
            let (payload, rest) = bytes.split_at(bytes.len().min(self.left));
            self.left -= payload.len(); // at most `left`
            bytes = rest;
            match self.payload {
                FramePayload::Stream => receive(FrameContent::Stream(payload)),
                FramePayload::Datagram => self.take_datagram(payload, &mut receive),
                FramePayload::Skipped | FramePayload::Undecided => {}
            }
        }
        Ok(())
    }

    /// Bytes of this framing's frame headers.
    const fn header_size(&self) -> usize {
        match self.framing {
            StreamFraming::Tds => tds::HEADER_LEN,
            StreamFraming::Turn => turn::CHANNEL_HEADER_LEN,
            StreamFraming::Length | StreamFraming::OpenVpn => rfc4571::HEADER_LEN,
        }
    }

    /// Reads the rest of a frame header, and starts the frame.
    fn take_header<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], WireError> {
        let missing = self.header_size().saturating_sub(usize::from(self.header_len));
        let (taken, rest) = bytes.split_at(bytes.len().min(missing));
        for byte in taken {
            if let Some(place) = self.header.get_mut(usize::from(self.header_len)) {
                *place = *byte;
                self.header_len += 1;
            }
        }
        if taken.len() == missing {
            self.header_len = 0;
            self.open_frame()?;
        }
        Ok(rest)
    }

    fn open_frame(&mut self) -> Result<(), WireError> {
        match self.framing {
            StreamFraming::Tds => {
                let continued = !self.ends_message;
                let TdsHeader { length, ends_message } = TdsHeader::parse(&self.header)?;
                (self.left, self.ends_message) = (length.into(), ends_message);
                if !continued {
                    self.payload = FramePayload::Undecided;
                }
            }
            // The header is part of the message.
            StreamFraming::Turn => {
                let header = self.header.first_chunk().ok_or(WireError::Truncated)?;
                let length = turn::frame_len(header).ok_or(WireError::ContentType)?;
                self.left = length.saturating_sub(header.len());
                self.payload = FramePayload::Datagram;
                self.datagram.extend_from_slice(header);
                if self.left == 0 {
                    self.datagram = Vec::new();
                }
            }
            StreamFraming::Length | StreamFraming::OpenVpn => {
                let [high, low, ..] = self.header;
                self.left = u16::from_be_bytes([high, low]).into();
                self.payload = FramePayload::Datagram;
            }
        }
        Ok(())
    }

    /// Reads bytes of the current frame's datagram.
    fn take_datagram(&mut self, payload: &[u8], receive: &mut impl FnMut(FrameContent<'_>)) {
        if self.datagram.is_empty() && self.left == 0 {
            return receive(FrameContent::Datagram(payload));
        }
        self.datagram.extend_from_slice(payload);
        if self.left == 0 {
            receive(FrameContent::Datagram(&self.datagram));
            self.datagram = Vec::new();
        }
    }

    /// Decides the kind of a TDS message's payload by its first byte.
    fn decide(&mut self, first: u8) -> Result<(), WireError> {
        self.has_begun |= first == HANDSHAKE;
        self.payload = match first {
            _ if self.has_begun => FramePayload::Stream,
            tds::FIRST_OPTION => FramePayload::Skipped,
            _ => return Err(WireError::Value),
        };
        Ok(())
    }
}
