//! The interface of a protocol over a byte stream.

use ja4_common::signature::StreamStart;

use super::packet_ctx::PacketCtx;
use crate::conntrack::AppState;
use crate::model::{EventHandler, Side};

/// The result of comparing the first bytes of a direction with a protocol.
#[derive(Debug)]
pub(crate) enum Probe<P> {
    /// The stream is of this protocol.
    Match(P),
    /// The bytes are too few to decide.
    NeedMore,
    /// The stream is not of this protocol.
    NoMatch,
}

/// The result of parsing bytes.
#[derive(Debug)]
pub(crate) enum Parsed<'b> {
    /// The stream continues.
    Open,
    /// No further bytes of this direction are of interest.
    Done,
    /// The bytes are not of this protocol.
    Unrecognized,
    /// Another protocol begins with the buffered bytes, followed by the rest.
    Other {
        /// Bytes buffered by the parser.
        buffered: Vec<u8>,
        /// The bytes after them.
        rest: &'b [u8],
    },
    /// HTTP/2 begins with these bytes, after its preface.
    Http2(&'b [u8]),
}

/// What a parser does where the filter has left out bytes before the start of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SkipOutcome {
    /// It ignores that start: the missing bytes are needed.
    Ignored,
    /// It has restarted, and continues there.
    Restarted,
    /// Any protocol may begin there.
    AnyProtocol,
}

/// The parser of one protocol over a byte stream, for one direction.
///
/// The methods about gaps are those of [`StreamParser`](crate::conntrack::StreamParser).
pub(crate) trait StreamProtocol: Sized {
    /// Number of first bytes after which [`probe`](Self::probe) always decides.
    const PREFIX_LEN: usize;

    /// Compares the first bytes of a direction, at least one, with the protocol. `is_ssh`: text of no other protocol belongs
    /// to SSH.
    fn probe(prefix: &[u8], side: Side, is_ssh: bool) -> Probe<Self>;

    /// Parses the next bytes, at least one.
    fn push<'b, A: AppState, S: EventHandler>(&mut self, bytes: &'b [u8], cx: &mut PacketCtx<'_, A, S>) -> Parsed<'b>;

    /// Memory of the incomplete message, bytes.
    fn buffered(&self) -> usize;

    /// Whether a message is incomplete.
    fn is_incomplete(&self) -> bool {
        self.buffered() > 0
    }

    /// Reports what is known from an incomplete message of this side, as the stream ends.
    fn finish<A: AppState, S: EventHandler>(&self, _side: Side, _cx: &mut PacketCtx<'_, A, S>) {}

    /// The filter has left out the bytes before a segment that begins with `start`.
    fn on_skipped(&mut self, _start: StreamStart) -> SkipOutcome {
        SkipOutcome::AnyProtocol
    }

    /// Whether missing bytes have to arrive before a message can be complete.
    fn needs_missing_bytes(&self) -> bool {
        true
    }

    /// Whether a segment that begins with `start` begins the next message of this stream.
    fn is_next_message(&self, _start: StreamStart) -> bool {
        false
    }

    /// Whether parsing can continue after a gap.
    fn can_resync(&self) -> bool {
        false
    }

    /// Bytes that are left of a body of known length.
    fn body_left(&self) -> Option<u64> {
        None
    }

    /// Skips bytes of a body. Returns false if the body may not be that long.
    fn skip_body(&mut self, _bytes: u64) -> bool {
        false
    }

    /// Accepts a gap of `bytes`.
    fn skip(&mut self, _bytes: u64) {}

    /// Drops the incomplete message, and continues with the next one.
    fn resync(&mut self) {}
}
