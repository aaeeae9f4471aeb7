//! One direction's byte stream: put in order, then read as what its first bytes say it is.

use ja4_common::signature::{self, StreamStart};

use crate::conntrack::{Budget, Outcome, Reassembly};
use crate::model::Side;
use ja4::wire::framing::proxy::{self, ProxyHeader};
use ja4::wire::framing::{Recognized, StreamFraming, Unframe};
use ja4::wire::http1::Http1Stream;
use ja4::wire::http2::Http2Stream;
use ja4::wire::ssh::SshStream;
use ja4::wire::tls::HandshakeStream;

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
    /// Up to here all that was to be read has been; of what lies between this and `begun` something was never
    /// seen.
    floor: u32,
    /// Whole requests that were read behind one that has come late since: where they begin and end.
    ahead: Option<(u32, u32)>,
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
    /// A PROXY protocol header from a client: the stream begins behind it.
    Proxy(ProxyHeader),
    /// TLS or DTLS in a framing.
    Framed(Box<Framed>),
    /// TLS.
    Tls(HandshakeStream),
    /// HTTP/1, from a client.
    Http1(Http1Stream),
    /// HTTP/2, from a client.
    Http2(Box<Http2Stream>),
    /// SSH.
    Ssh(SshStream),
    /// Nothing that is read; something may begin where a push does.
    Other,
}

/// A stream in a framing, and its content.
#[derive(Debug)]
pub struct Framed {
    /// Removes the framing.
    pub unframe: Unframe,
    /// TLS inside.
    pub tls: HandshakeStream,
    /// Datagrams that the current segment has completed.
    pub datagrams: Vec<Vec<u8>>,
}

impl Framed {
    /// A stream in this framing.
    fn new(framing: StreamFraming) -> Self {
        Self { unframe: Unframe::new(framing), tls: HandshakeStream::new(), datagrams: Vec::new() }
    }
}

/// The first bytes of a stream, until they are enough.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    bytes: [u8; Self::ENOUGH],
    len: u8,
}

impl Start {
    /// Bytes that distinguish every kind of stream.
    const ENOUGH: usize = StreamFraming::ENOUGH;

    /// Bytes that distinguish a header of PROXY protocol 2 from two empty lines before a request.
    const PROXY_2: usize = 5;

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

    /// The kind of stream by its first bytes; `None` while they are too few. `ssh`: text that is not recognized belongs
    /// to SSH.
    pub fn kind(&self, side: Side, ssh: bool) -> Option<Stream> {
        /// Content types of a TLS alert and handshake record.
        const ALERT: u8 = 21;
        const HANDSHAKE: u8 = 22;
        let bytes = self.as_bytes();
        match (bytes, side) {
            // A warning may come before the ServerHello.
            ([HANDSHAKE, ..], _) | ([ALERT, 3, _, _, ..], Side::Server) => Some(Stream::Tls(HandshakeStream::new())),
            ([ALERT] | [ALERT, 3] | [ALERT, 3, _], Side::Server) => None,
            ([b'S', b'S', b'H', b'-', ..], _) => Some(Stream::Ssh(SshStream::new())),
            ([b'P', b'R', b'I', b' ', ..], Side::Client) => Some(Stream::Http2(Box::default())),
            ([b'P', b'R', b'O', b'X', b'Y', ..], Side::Client) => Some(Stream::Proxy(ProxyHeader::new())),
            (b"P" | b"PR" | b"PRO" | b"PROX", Side::Client) => None,
            ([b'\r', ..], Side::Client) if proxy::SIGNATURE.starts_with(bytes) => {
                (bytes.len() >= Self::PROXY_2).then(|| Stream::Proxy(ProxyHeader::new()))
            }
            // Lines before the banner.
            ([_, ..], Side::Client) if ssh => Some(Stream::Ssh(SshStream::new())),
            // An empty line may come before a request.
            ([first, ..], Side::Client) if first.is_ascii_uppercase() || matches!(first, b'\r' | b'\n') => {
                (bytes.len() >= 4).then(|| Stream::Http1(Http1Stream::new()))
            }
            ([b'S', ..], Side::Server) if bytes.len() < 4 => None,
            ([], _) => None,
            // Lines before the banner (RFC 4253, section 4.2).
            (_, Side::Server) if ssh => Some(Stream::Ssh(SshStream::new())),
            _ => match StreamFraming::recognize(bytes) {
                Recognized::StreamFraming(framing) => Some(Stream::Framed(Box::new(Framed::new(framing)))),
                Recognized::TooFew => None,
                Recognized::Nothing => Some(Stream::Other),
            },
        }
    }
}

impl Stream {
    /// Bytes of memory that a message under way takes.
    pub fn buffered(&self) -> usize {
        match self {
            Self::Tls(stream) => stream.buffered(),
            Self::Framed(framed) => framed.tls.buffered() + framed.unframe.buffered(),
            Self::Http1(stream) => stream.buffered(),
            Self::Http2(stream) => stream.buffered(),
            Self::Ssh(stream) => stream.buffered(),
            Self::Unknown(_) | Self::Proxy(_) | Self::Other => 0,
        }
    }
}

/// What a segment begins with: the filter's own test.
pub fn begins(payload: &[u8]) -> StreamStart {
    match payload.first_chunk() {
        Some(first) if payload.len() >= signature::SHORTEST as usize => signature::classify(u64::from_be_bytes(*first)),
        _ => StreamStart::None,
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
        Self { reassembly: Reassembly::new(begun), stream, charged: 0, begun, floor, ahead: None }
    }

    /// What was read of it.
    pub fn stretch(&self) -> Stretch {
        Stretch { floor: self.floor, begun: self.begun, end: self.reassembly.next_seq() }
    }

    /// The first bytes of an SSH banner, where they are too few to be told from others: where they begin, and how many they
    /// are.
    pub fn letters(&self) -> Option<(u32, u32)> {
        match &self.stream {
            Stream::Unknown(start) if start.len > 0 && b"SSH-".starts_with(start.as_bytes()) => {
                let len = u32::from(start.len);
                Some((self.reassembly.next_seq().wrapping_sub(len), len))
            }
            _ => None,
        }
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
            Stream::Other => return false,
            stream => (stream.buffered() > 0, false),
        };
        under_way || (self.reassembly.held_pieces() > 0 && !in_body)
    }

    /// A segment at `seq` that begins this, or nothing, is about to be read: decides what becomes of bytes
    /// that are missing before it. `anew`: the filter has left them out. True where they are given up.
    pub fn approach(
        &mut self,
        seq: u32,
        begin: StreamStart,
        anew: bool,
        first_seq: Option<u32>,
        budget: &mut Budget,
    ) -> bool {
        let mut gives_up = false;
        self.pass_read(budget);
        if anew && begin == StreamStart::Http1 && self.ends_body(seq, budget) {
            return gives_up;
        }
        if begin != StreamStart::None {
            self.go_back(seq, first_seq, budget);
        }
        let ahead = seq.wrapping_sub(self.reassembly.next_seq()).cast_signed();
        if ahead > 0 && matches!(self.stream, Stream::Http1(_)) {
            gives_up = self.skip_in_http(seq, ahead.unsigned_abs(), begin, anew, budget);
        }
        if anew {
            self.skip_to(seq, begin, budget);
        }
        if matches!(self.stream, Stream::Other) && self.reassembly.held_pieces() >= HELD_OTHERS {
            self.reassembly.skip_gap();
        }
        gives_up
    }

    /// Passes over requests that were read before the late one that ends where they begin.
    fn pass_read(&mut self, budget: &mut Budget) {
        if let Some((begin, end)) = self.ahead
            && begin == self.reassembly.next_seq()
            && self.is_between_requests()
        {
            self.ahead = None;
            self.reassembly.go_on_at(end, budget);
        }
    }

    /// Whether all that was read are whole requests, with their bodies.
    fn is_between_requests(&self) -> bool {
        matches!(&self.stream, Stream::Http1(stream) if stream.buffered() == 0 && !stream.in_body())
    }

    /// Whether the body under way ends right before `seq`, however often sequence numbers came round in it:
    /// the stream goes on there.
    fn ends_body(&mut self, seq: u32, budget: &mut Budget) -> bool {
        let Stream::Http1(stream) = &mut self.stream else {
            return false;
        };
        let ahead = seq.wrapping_sub(self.reassembly.next_seq());
        match stream.body_left() {
            Some(left) if left as u32 == ahead && stream.skip_body(left) => {
                self.reassembly.clear(budget);
                self.reassembly = Reassembly::new(seq);
                (self.floor, self.begun) = (seq, seq);
                true
            }
            _ => false,
        }
    }

    /// A segment at `seq` begins something that lies before what was read, behind something that never was;
    /// or it is the stream's first, and what was read began before it. What was read came too early, or was
    /// forged: the stream goes on with the segment.
    fn go_back(&mut self, seq: u32, first_seq: Option<u32>, budget: &mut Budget) {
        let before = seq.wrapping_sub(self.begun).cast_signed() < 0;
        if (before || first_seq == Some(seq)) && seq != self.reassembly.next_seq() && !self.stretch().contains(seq) {
            let ahead = self.is_between_requests().then_some((self.begun, self.reassembly.next_seq()));
            self.clear(budget);
            *self = Self { ahead, ..Self::behind(self.floor, seq) };
        }
    }

    /// `ahead` bytes are missing before a segment of HTTP/1: those of a body are not needed, others are waited
    /// for until a further request has come. True where they are given up.
    fn skip_in_http(&mut self, seq: u32, ahead: u32, begin: StreamStart, anew: bool, budget: &mut Budget) -> bool {
        let held = self.reassembly.held_pieces();
        let Stream::Http1(stream) = &mut self.stream else {
            return false;
        };
        if stream.skip_body(ahead.into()) {
            self.reassembly.go_on_at(seq, budget);
            return false;
        }
        let gives_up = begin == StreamStart::Http1 && (held >= HELD_REQUESTS || (anew && stream.in_body()));
        if gives_up {
            stream.resync();
            // Of several gaps the first may still close.
            if self.begun.wrapping_sub(self.floor).wrapping_sub(1) >= LATE {
                self.floor = self.reassembly.next_seq();
            }
            if held > 0 {
                self.reassembly.skip_gap();
            } else {
                self.reassembly.go_on_at(seq, budget);
            }
            self.begun = self.reassembly.next_seq();
        }
        gives_up
    }

    /// A segment at `seq` begins something, and the filter has left out what lies before it (STARTTLS, an
    /// answer to SSLRequest): the stream goes on there.
    fn skip_to(&mut self, seq: u32, begin: StreamStart, budget: &mut Budget) {
        let ahead = seq.wrapping_sub(self.reassembly.next_seq()).cast_signed();
        match (&mut self.stream, begin) {
            (_, StreamStart::None) | (Stream::Http2(_), _) | (Stream::Http1(_), StreamStart::Http1) => return,
            (Stream::Unknown(start), _) if ahead == 0 => *start = Start::default(),
            _ if ahead <= 0 => return,
            (Stream::Tls(stream), StreamStart::ClientHello | StreamStart::ServerHello) if stream.buffered() == 0 => {
                *stream = HandshakeStream::new();
            }
            (Stream::Tls(_), _) => return,
            (stream, _) => *stream = Stream::Unknown(Start::default()),
        }
        (self.floor, self.begun) = (self.reassembly.next_seq(), seq);
        self.reassembly.go_on_at(seq, budget);
    }

    /// Gives up a gap in HTTP/1 that does not close any more, and reads what is held behind it up to the
    /// next; false where nothing is.
    pub fn pass_gap(
        &mut self,
        budget: &mut Budget,
        outcome: &mut Outcome,
        mut read: impl FnMut(&mut Stream, &[u8]),
    ) -> bool {
        let Self { reassembly, stream, .. } = self;
        if let Stream::Http1(http) = stream {
            http.skip(reassembly.gap().into());
        }
        reassembly.pass_gap(budget, outcome, |bytes| read(stream, bytes))
    }
}

/// Segments that wait for a late request before it is taken for lost.
const HELD_REQUESTS: usize = 1;

/// How far behind what is read a late request is still told, bytes: what the filter reads of requests at most
/// lies between them.
const LATE: u32 = 128 << 10;

/// Segments that wait for a late one of a stream that is not read, for that one may begin a hello.
const HELD_OTHERS: usize = 4;
