//! The client direction of an HTTP/1 connection.

use core::ops::ControlFlow;

use crate::wire::WireError;
use crate::wire::http::{FieldIndex, HeaderLines, HttpRequest, find_lf};
use crate::wire::http1::block::{self, MAX_BLOCK, Scan, may_begin, unfold};
use crate::wire::http1::body::{BodyFraming, RequestBody};
use crate::wire::http2::PREFACE;

/// First allocation for a block that spans pushes, bytes: most requests fit.
const FIRST_ALLOCATION: usize = 1024;

/// The status of an [`Http1Stream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http1Status<'b> {
    /// It is synchronized, and expects more bytes.
    Open,
    /// It is not synchronized, or not HTTP/1. It resynchronizes at a push that begins with a request.
    Lost,
    /// The client has sent the preface of HTTP/2, at the connection's start or after an upgrade; these are the bytes
    /// after it, for [`Http2Stream::after_preface`](crate::wire::http2::Http2Stream::after_preface).
    Http2(&'b [u8]),
    /// CONNECT or an upgrade is followed by another protocol: the bytes of
    /// [`incomplete_block`](Http1Stream::incomplete_block), and then these bytes.
    Tunnel(&'b [u8]),
    /// The receiver has ended it.
    Ended,
}

/// The element of the next byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Http1State {
    /// A header block, or the start of one. `sought`: it is a guess, at the stream's start, which resembles commands of
    /// other protocols (`EHLO a`), or at a resynchronization. Another protocol is then not an error.
    Block {
        sought: bool,
    },
    /// A body.
    Body(RequestBody),
    Lost,
    Http2,
    Tunnel,
    Ended,
}

/// Parses the client direction of a stream, in order and in slices of any size, and yields each request when its header
/// block is complete.
///
/// A block inside one slice is borrowed from it; a block that spans slices, or has continued lines, is copied, and the
/// copy is freed after delivery. Bodies are not stored.
#[derive(Debug)]
pub struct Http1Stream {
    /// The received part of an incomplete block; unallocated otherwise.
    partial: Vec<u8>,
    scan: Scan,
    state: Http1State,
    /// A request asked for another protocol, which may follow.
    may_leave: bool,
}

impl Default for Http1Stream {
    fn default() -> Self {
        Self::new()
    }
}

/// The reason why a push stops before its last byte.
enum Http1Stop<'b> {
    /// Not HTTP/1, from these bytes on.
    Broken(WireError, &'b [u8]),
    Http2(&'b [u8]),
    Ended,
}

impl Http1Stream {
    /// A stream that may begin with a request.
    #[must_use]
    pub const fn new() -> Self {
        Self { partial: Vec::new(), scan: Scan::new(), state: Http1State::Block { sought: true }, may_leave: false }
    }

    /// Bytes of memory of an incomplete block.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.partial.capacity()
    }

    /// The received bytes of an incomplete block; after [`Http1Status::Tunnel`], the bytes that precede those it
    /// returns.
    #[must_use]
    pub fn incomplete_block(&self) -> &[u8] {
        &self.partial
    }

    /// Whether the next bytes belong to a body, so that they need not be passed here.
    #[must_use]
    pub const fn in_body(&self) -> bool {
        matches!(self.state, Http1State::Body(_))
    }

    /// Records that an unknown number of bytes is missing before the next push. The status becomes
    /// [`Http1Status::Lost`].
    pub fn resync(&mut self) {
        if matches!(self.state, Http1State::Block { .. } | Http1State::Body(_)) {
            self.lose();
        }
    }

    /// Records that `count` bytes are missing before the next push. Inside a body the stream stays synchronized;
    /// elsewhere this is [`resync`](Self::resync).
    pub fn skip(&mut self, count: u64) {
        if !self.skip_body(count) && count > 0 {
            self.resync();
        }
    }

    /// Skips `count` bytes of a body that are missing before the next push. Returns false and changes nothing unless
    /// all of them belong to the body.
    pub const fn skip_body(&mut self, count: u64) -> bool {
        match &mut self.state {
            Http1State::Body(body) => body.skip(count),
            _ => false,
        }
    }

    /// The number of remaining bytes of the current body, if known.
    #[must_use]
    pub const fn body_left(&self) -> Option<u64> {
        match self.state {
            Http1State::Body(RequestBody::Length(left)) => Some(left),
            _ => None,
        }
    }

    fn lose(&mut self) {
        self.partial = Vec::new();
        self.scan = Scan::new();
        self.state = Http1State::Lost;
    }

    /// Reads the next bytes of the stream, and calls `receive` for each request that they complete.
    ///
    /// `receive` also gets the errors: [`WireError::Value`] directly after a request with skipped lines, and the error
    /// that ends the synchronization; none for a stream that does not begin with a request line, which is another
    /// protocol. If `receive` breaks, the stream ends.
    pub fn push<'b, F>(&mut self, bytes: &'b [u8], mut receive: F) -> Http1Status<'b>
    where
        F: FnMut(Result<HttpRequest<'_>, WireError>) -> ControlFlow<()>,
    {
        if self.state == Http1State::Lost && may_begin(bytes, true) && !bytes.is_empty() {
            self.state = Http1State::Block { sought: true };
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let step = match &mut self.state {
                Http1State::Block { .. } => self.take_block(rest, &mut receive),
                Http1State::Body(body) => match body.take(rest) {
                    Ok(Some(behind)) => {
                        self.state = Http1State::Block { sought: false };
                        Ok(behind)
                    }
                    Ok(None) => break,
                    Err(error) => Err(Http1Stop::Broken(error, rest)),
                },
                Http1State::Lost | Http1State::Http2 | Http1State::Tunnel | Http1State::Ended => break,
            };
            match step {
                Ok(behind) => rest = behind,
                Err(stop) => {
                    rest = self.stop(stop, &mut receive);
                    break;
                }
            }
        }
        match self.state {
            Http1State::Block { .. } | Http1State::Body(_) => Http1Status::Open,
            Http1State::Lost => Http1Status::Lost,
            Http1State::Http2 => Http1Status::Http2(rest),
            Http1State::Tunnel => Http1Status::Tunnel(rest),
            Http1State::Ended => Http1Status::Ended,
        }
    }

    /// Changes the state according to `stop`; returns the bytes of the next protocol.
    fn stop<'b, F>(&mut self, stop: Http1Stop<'b>, receive: &mut F) -> &'b [u8]
    where
        F: FnMut(Result<HttpRequest<'_>, WireError>) -> ControlFlow<()>,
    {
        let state = self.state;
        match stop {
            Http1Stop::Broken(WireError::Magic, rest) if self.may_leave => {
                self.state = Http1State::Tunnel;
                rest
            }
            Http1Stop::Broken(error, _) => {
                self.lose();
                let guessed = state == Http1State::Block { sought: true } && error == WireError::Magic;
                if !guessed && receive(Err(error)).is_break() {
                    self.state = Http1State::Ended;
                }
                &[]
            }
            Http1Stop::Http2(rest) => {
                self.lose();
                self.state = Http1State::Http2;
                rest
            }
            Http1Stop::Ended => {
                self.lose();
                self.state = Http1State::Ended;
                &[]
            }
        }
    }

    /// Reads bytes of a block, at least one; returns the bytes after it.
    fn take_block<'b, F>(&mut self, bytes: &'b [u8], receive: &mut F) -> Result<&'b [u8], Http1Stop<'b>>
    where
        F: FnMut(Result<HttpRequest<'_>, WireError>) -> ControlFlow<()>,
    {
        if self.partial.is_empty() {
            // Empty lines before a request line are ignored (RFC 9112, section 2.2).
            let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let all = bytes;
            let bytes = bytes.get(blank..).unwrap_or_default();
            if let Some(rest) = bytes.strip_prefix(PREFACE) {
                return Err(Http1Stop::Http2(rest));
            }
            if PREFACE.starts_with(bytes) {
                self.partial.extend_from_slice(bytes);
                return Ok(&[]);
            }
            let mut scan = Scan::new();
            match scan.end(bytes).map_err(|error| Http1Stop::Broken(error, all))? {
                Some(end) => {
                    let (block, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
                    if scan.folded {
                        self.partial.extend_from_slice(block);
                        self.deliver_copy(receive)?;
                    } else {
                        self.deliver(block, receive)?;
                    }
                    return Ok(rest);
                }
                None => {
                    self.partial.reserve(bytes.len().max(FIRST_ALLOCATION));
                    self.partial.extend_from_slice(bytes);
                    self.scan = scan;
                    return Ok(&[]);
                }
            }
        }
        if let Some(left) = PREFACE.strip_prefix(&*self.partial) {
            if let Some(rest) = bytes.strip_prefix(left) {
                return Err(Http1Stop::Http2(rest));
            }
            if left.starts_with(bytes) {
                self.partial.extend_from_slice(bytes);
                return Ok(&[]);
            }
        }
        self.take_line(bytes, receive)
    }

    /// Reads bytes of a block that began in an earlier slice, up to the next line feed.
    fn take_line<'b, F>(&mut self, bytes: &'b [u8], receive: &mut F) -> Result<&'b [u8], Http1Stop<'b>>
    where
        F: FnMut(Result<HttpRequest<'_>, WireError>) -> ControlFlow<()>,
    {
        let room = (MAX_BLOCK + 1).saturating_sub(self.partial.len());
        let line = find_lf(bytes).map_or(bytes.len(), |at| at + 1).min(room);
        let (line, rest) = bytes.split_at_checked(line).unwrap_or((bytes, &[]));
        self.partial.extend_from_slice(line);
        match self.scan.end(&self.partial) {
            Err(error) => Err(Http1Stop::Broken(error, rest)),
            Ok(None) => Ok(rest),
            Ok(Some(_)) => self.deliver_copy(receive).map(|()| rest),
        }
    }

    /// Delivers the block in `partial`, which is complete.
    fn deliver_copy<F>(&mut self, receive: &mut F) -> Result<(), Http1Stop<'static>>
    where
        F: FnMut(Result<HttpRequest<'_>, WireError>) -> ControlFlow<()>,
    {
        let mut block = core::mem::take(&mut self.partial);
        self.scan = Scan::new();
        unfold(&mut block);
        self.deliver(&block, receive)
    }

    /// Delivers the request of a complete block, and determines its body.
    fn deliver<F>(&mut self, block: &[u8], receive: &mut F) -> Result<(), Http1Stop<'static>>
    where
        F: FnMut(Result<HttpRequest<'_>, WireError>) -> ControlFlow<()>,
    {
        let broken = |error| Http1Stop::Broken(error, &[]);
        let ((method, target, version), lines) = block::split(block).map_err(broken)?;
        let index = FieldIndex::new(lines);
        let request = HttpRequest::from_lines(version, method, target, HeaderLines::new(lines, &index));
        self.state = Http1State::Block { sought: false };
        let BodyFraming { body, upgrade, skipped } = BodyFraming::of(&request);
        self.may_leave = upgrade || request.method() == b"CONNECT";
        if receive(Ok(request)).is_break() || (skipped > 0 && receive(Err(WireError::Value)).is_break()) {
            return Err(Http1Stop::Ended);
        }
        match body.map_err(broken)? {
            RequestBody::Length(0) => {}
            body => self.state = Http1State::Body(body),
        }
        Ok(())
    }
}
