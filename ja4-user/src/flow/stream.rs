//! One direction's byte stream: put in order, then read as what its first bytes say it is.

use ja4_common::begin::{self, Begin};

use super::{Budget, Reassembly};
use crate::event::Side;
use crate::wire::http1::Http1Stream;
use crate::wire::http2::Http2Stream;
use crate::wire::ssh::SshStream;
use crate::wire::tls::HandshakeStream;

/// One direction's stream.
#[derive(Debug)]
pub struct Half {
    /// Puts segments in order.
    pub reassembly: Reassembly,
    /// Reads what is in order.
    pub stream: Stream,
    /// Bytes of the shard's budget that `stream` takes.
    charged: usize,
}

/// What a stream is read as.
#[derive(Debug)]
pub enum Stream {
    /// Its first bytes are still too few to tell.
    Unknown(Start),
    /// TLS.
    Tls(HandshakeStream),
    /// HTTP/1, from a client.
    Http1(Http1Stream),
    /// HTTP/2, from a client.
    Http2(Box<Http2Stream>),
    /// SSH.
    Ssh(SshStream),
    /// Nothing that is read.
    Other,
}

/// The first bytes of a stream, until they are enough.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    bytes: [u8; Self::ENOUGH],
    len: u8,
}

impl Start {
    /// Bytes that tell every kind of stream from the others.
    const ENOUGH: usize = 4;

    /// The bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Takes what is missing of `bytes`, and returns the rest of them.
    pub fn take<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let mut rest = bytes;
        while let (Some((byte, after)), Some(place)) = (rest.split_first(), self.bytes.get_mut(usize::from(self.len))) {
            *place = *byte;
            self.len += 1;
            rest = after;
        }
        rest
    }

    /// What the bytes say; `None` while they are too few.
    pub fn kind(&self, side: Side) -> Option<Stream> {
        /// Content type of a TLS handshake record.
        const HANDSHAKE: u8 = 22;
        match (self.as_bytes(), side) {
            ([HANDSHAKE, ..], _) => Some(Stream::Tls(HandshakeStream::new())),
            (b"SSH-", _) => Some(Stream::Ssh(SshStream::new())),
            (b"PRI ", Side::Client) => Some(Stream::Http2(Box::default())),
            ([first, ..], Side::Client) if first.is_ascii_uppercase() => {
                (self.len as usize == Self::ENOUGH).then(|| Stream::Http1(Http1Stream::new()))
            }
            ([b'S', ..], Side::Server) if (self.len as usize) < Self::ENOUGH => None,
            ([], _) => None,
            _ => Some(Stream::Other),
        }
    }
}

impl Stream {
    /// Bytes of memory that a message under way takes.
    pub fn buffered(&self) -> usize {
        match self {
            Self::Tls(stream) => stream.buffered(),
            Self::Http1(stream) => stream.buffered(),
            Self::Http2(stream) => stream.buffered(),
            Self::Ssh(stream) => stream.buffered(),
            Self::Unknown(_) | Self::Other => 0,
        }
    }
}

/// What a segment begins with: the filter's own test.
pub fn begins(payload: &[u8]) -> Begin {
    match payload.first_chunk() {
        Some(first) if payload.len() >= begin::SHORTEST as usize => begin::begin(u64::from_be_bytes(*first)),
        _ => Begin::Nothing,
    }
}

impl Half {
    /// A stream whose first byte has this sequence number.
    pub fn new(first_seq: u32) -> Self {
        Self { reassembly: Reassembly::new(first_seq), stream: Stream::Unknown(Start::default()), charged: 0 }
    }

    /// Gives back what waits for missing segments, and what a message under way takes.
    pub fn clear(&mut self, budget: &mut Budget) {
        self.reassembly.clear(budget);
        budget.credit(std::mem::take(&mut self.charged));
    }

    /// Charges what a message under way takes by now; false where the shard has no more room.
    pub fn charge(&mut self, budget: &mut Budget) -> bool {
        let taken = self.stream.buffered();
        if taken > self.charged && !budget.charge(taken - self.charged) {
            return false;
        }
        budget.credit(self.charged.saturating_sub(taken));
        self.charged = taken;
        true
    }

    /// A segment at `seq` begins something. Where what lies between it and the next expected byte never
    /// comes, since the filter left it out (STARTTLS, the ChangeCipherSpec before a second hello, the body
    /// of a request), the stream goes on there.
    pub fn skip_to(&mut self, seq: u32, begin: Begin, budget: &mut Budget) {
        let ahead = seq.wrapping_sub(self.reassembly.next_seq()).cast_signed();
        if ahead <= 0 {
            return;
        }
        match (&mut self.stream, begin) {
            (_, Begin::Nothing) | (Stream::Http2(_), _) => return,
            (Stream::Tls(stream), Begin::ClientHello | Begin::ServerHello) if stream.buffered() == 0 => {
                *stream = HandshakeStream::new();
            }
            // Between two requests lies a body, or a request that comes late.
            (Stream::Http1(stream), Begin::Http1) if stream.in_body() => stream.skip(ahead.unsigned_abs().into()),
            (Stream::Http1(_), Begin::Http1) if self.reassembly.held_pieces() < HELD_REQUESTS => return,
            (Stream::Http1(stream), Begin::Http1) => stream.resync(),
            (Stream::Tls(_), _) => return,
            (stream, _) => *stream = Stream::Unknown(Start::default()),
        }
        self.reassembly.clear(budget);
        self.reassembly = Reassembly::new(seq);
    }
}

/// Segments that wait for a late request before it is taken for lost.
const HELD_REQUESTS: usize = 3;
