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
    /// Where the bytes begin that were read without a gap.
    begun: u32,
    /// Up to here all that was to be read has been; what lies between this and `begun` was never seen.
    floor: u32,
}

/// What was read of one direction's stream, once that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    floor: u32,
    begun: u32,
    end: u32,
}

impl Stretch {
    /// Whether a byte at `seq` was read before.
    pub fn contains(&self, seq: u32) -> bool {
        let before = |a: u32, b: u32| a.wrapping_sub(b).cast_signed() < 0;
        before(seq, self.floor) || (!before(seq, self.begun) && before(seq, self.end))
    }

    /// Where the next stream that begins at `seq` has its floor.
    fn floor_for(&self, seq: u32) -> u32 {
        if seq.wrapping_sub(self.end).cast_signed() < 0 { self.floor } else { self.end }
    }
}

/// How far before the beginning of a stream that was met midway something unseen may begin: the furthest
/// a window can reach (RFC 7323, section 2.3).
const UNSEEN: u32 = 1 << 30;

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
        /// Content types of a TLS alert and handshake record.
        const ALERT: u8 = 21;
        const HANDSHAKE: u8 = 22;
        match (self.as_bytes(), side) {
            // A warning may come before the ServerHello.
            ([HANDSHAKE, ..], _) | ([ALERT, 3, _, _], Side::Server) => Some(Stream::Tls(HandshakeStream::new())),
            ([ALERT] | [ALERT, 3] | [ALERT, 3, _], Side::Server) => None,
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
        Self::behind(first_seq, first_seq)
    }

    /// A stream that is met midway, at `seq`: behind the stream's first byte, if it is known.
    pub fn midway(seq: u32, first_seq: Option<u32>) -> Self {
        Self::behind(first_seq.unwrap_or(seq.wrapping_sub(UNSEEN)), seq)
    }

    /// A stream that begins at `seq`, after another has ended.
    pub fn after(stretch: &Stretch, seq: u32) -> Self {
        Self::behind(stretch.floor_for(seq), seq)
    }

    fn behind(floor: u32, begun: u32) -> Self {
        let stream = Stream::Unknown(Start::default());
        Self { reassembly: Reassembly::new(begun), stream, charged: 0, begun, floor }
    }

    /// What was read of it.
    pub fn stretch(&self) -> Stretch {
        Stretch { floor: self.floor, begun: self.begun, end: self.reassembly.next_seq() }
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

    /// Whether a message is under way, or bytes wait for missing ones; those of a body are not missed.
    pub fn is_unfinished(&self) -> bool {
        let (under_way, in_body) = match &self.stream {
            Stream::Http1(stream) => (stream.buffered() > 0, stream.in_body()),
            Stream::Http2(stream) => (stream.is_in_block(), false),
            stream => (stream.buffered() > 0, false),
        };
        under_way || (self.reassembly.held_pieces() > 0 && !in_body)
    }

    /// A segment at `seq` begins something that lies before what was read, behind something that never was;
    /// or it is the stream's first, and what was read began before it. What was read came too early, or was
    /// forged: the stream goes on with the segment.
    pub fn go_back(&mut self, seq: u32, first_seq: Option<u32>, budget: &mut Budget) {
        let before = seq.wrapping_sub(self.begun).cast_signed() < 0;
        if (before || first_seq == Some(seq)) && seq != self.reassembly.next_seq() && !self.stretch().contains(seq) {
            self.clear(budget);
            *self = Self::behind(self.floor, seq);
        }
    }

    /// A segment at `seq` begins something, and the filter has left out what lies before it (STARTTLS, the
    /// ChangeCipherSpec before a second hello, the body of a request): the stream goes on there.
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
            (Stream::Http1(stream), Begin::Http1) if stream.in_body() => {
                stream.skip(ahead.unsigned_abs().into());
                if stream.in_body() {
                    // What was left out is of the body, also if some of it comes late: no way back there.
                    self.reassembly.clear(budget);
                    self.reassembly = Reassembly::new(seq);
                    return;
                }
            }
            (Stream::Http1(_), Begin::Http1) if self.reassembly.held_pieces() < HELD_REQUESTS => return,
            (Stream::Http1(stream), Begin::Http1) => {
                stream.resync();
                self.floor = self.reassembly.next_seq();
                self.reassembly.skip_gap();
                self.begun = self.reassembly.next_seq();
                return;
            }
            (Stream::Tls(_), _) => return,
            (stream, _) => *stream = Stream::Unknown(Start::default()),
        }
        self.reassembly.clear(budget);
        (self.floor, self.begun) = (self.reassembly.next_seq(), seq);
        self.reassembly = Reassembly::new(seq);
    }
}

/// Segments that wait for a late request before it is taken for lost.
const HELD_REQUESTS: usize = 3;
