//! Messages and counters of one datagram.

use ja4::wire::WireError;
use ja4::wire::tls::HandshakeMessage;

/// The outcome of a datagram. Every byte of a fragment is counted:
///
/// `fragments = direct + buffered + duplicate + conflicting + refused`
///
/// and the number of buffered bytes changes by `buffered - released - dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct DtlsOutcome {
    /// Delivered messages.
    pub messages: u32,
    /// Bytes of messages that were complete in the datagram and were delivered at once.
    pub direct: usize,
    /// Bytes now buffered.
    pub buffered: usize,
    /// Delivered bytes that had been buffered.
    pub released: usize,
    /// Bytes that were delivered before, or are buffered with the same value.
    pub duplicate: usize,
    /// Bytes that are buffered with another value, which is kept, or belong to a message that is buffered with another length.
    pub conflicting: usize,
    /// Bytes not buffered for lack of memory.
    pub refused: usize,
    /// Dropped bytes of incomplete messages: evicted, or replaced by others.
    pub dropped: usize,
    /// The first error in the datagram. Fragments before it have been parsed.
    pub error: Option<WireError>,
}

/// A message, or a part of one, for the receiver.
#[derive(Clone, Copy, Debug)]
pub enum DtlsMessage<'a> {
    /// A complete message.
    Complete(HandshakeMessage<'a>),
    /// A complete ClientHello that may begin another association; only `Association` delivers it. It is
    /// parsed as any other, unless the receiver returns [`MessageVerdict::Begins`].
    Candidate(HandshakeMessage<'a>),
    /// The same ClientHello again, after the receiver has returned that.
    First(HandshakeMessage<'a>),
    /// The start of a Certificate message that is dropped: its bytes up to the first that is missing. The verdict is ignored.
    Incomplete(HandshakeMessage<'a>),
}

/// The receiver's verdict on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum MessageVerdict {
    /// It was parsed, or is of no interest.
    Parsed,
    /// It is malformed, and does not count as delivered: another copy may be well-formed.
    Malformed,
    /// It begins another association: it is delivered again once all state of the last one is dropped.
    Begins,
}
