//! Reassembly of the CRYPTO frames of one direction into handshake messages (RFC 9000, section 7.5).

use std::ops::ControlFlow;

use ja4::wire::WireError;
use ja4::wire::quic::{CryptoFrames, Plaintext};
use ja4::wire::tls::{HandshakeMessage, HandshakeType, MAX_HANDSHAKE_MESSAGE};

use crate::conntrack::{Budget, RANGE_OVERHEAD, Reassembly, ReassemblyLimits, SegmentOutcome};

/// Bytes of a direction's handshake that are parsed: one message of the maximum length. Initial packets carry a hello, or two
/// after a HelloRetryRequest.
const MAX_OFFSET: u64 = (HandshakeMessage::HEADER_LEN + MAX_HANDSHAKE_MESSAGE) as u64;

/// The CRYPTO frames of one packet. Its buffers are reused for the next packet.
#[derive(Debug, Default)]
pub(super) struct CryptoFrameList {
    list: Vec<FrameSpan>,
    /// Buffer for messages in several frames.
    message: Vec<u8>,
}

/// A CRYPTO frame: its offset in the stream, and its data by their index in the payload.
#[derive(Clone, Copy, Debug)]
struct FrameSpan {
    offset: u64,
    start: usize,
    len: usize,
}

impl CryptoFrameList {
    /// Parses the frames of a packet.
    ///
    /// # Errors
    /// As [`CryptoFrames`]; then the list is empty.
    pub(super) fn parse(&mut self, plaintext: &Plaintext) -> Result<(), WireError> {
        self.list.clear();
        for frame in CryptoFrames::new(plaintext.payload(), plaintext.is_truncated()) {
            match frame {
                Ok(frame) => {
                    self.list.push(FrameSpan { offset: frame.offset, start: frame.start, len: frame.data.len() });
                }
                Err(error) => {
                    self.list.clear();
                    return Err(error);
                }
            }
        }
        self.sort();
        Ok(())
    }

    /// Sorts the frames by offset, since some clients shuffle the parts of their hello: then none is buffered. If frames overlap,
    /// they keep their order, as the first copy of a byte counts.
    fn sort(&mut self) {
        self.list.sort_unstable_by_key(|frame| frame.offset);
        let overlap = |pair: &[FrameSpan]| match pair {
            [first, second] => first.offset.saturating_add(first.len as u64) > second.offset,
            _ => false,
        };
        if self.list.windows(2).any(overlap) {
            self.list.sort_unstable_by_key(|frame| frame.start);
        }
    }
}

/// One direction's handshake.
///
/// Buffered bytes are charged to the shard's [`Budget`]: call [`close`](Self::close) before this is dropped.
#[derive(Debug)]
pub(super) struct CryptoStream {
    reassembly: Reassembly,
    /// The start of the incomplete message.
    partial: Box<[u8]>,
}

impl Default for CryptoStream {
    fn default() -> Self {
        Self { reassembly: Reassembly::new(0), partial: Box::default() }
    }
}

impl CryptoStream {
    /// Adds the CRYPTO frames of a packet, and calls `receive` for each message that they complete, until it breaks.
    ///
    /// # Errors
    /// [`WireError::TooLong`] if the handshake is too long. The caller closes the stream after an error or a break.
    pub(super) fn push(
        &mut self,
        frames: &mut CryptoFrameList,
        plaintext: &Plaintext,
        (limits, budget): (&ReassemblyLimits, &mut Budget),
        total: &mut SegmentOutcome,
        mut receive: impl FnMut(HandshakeMessage<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, WireError> {
        let CryptoFrameList { list, message } = frames;
        message.clear();
        message.extend_from_slice(&self.partial);
        let before = self.reassembly.next_seq();
        for frame in list {
            let data = plaintext.payload().get(frame.start..).and_then(|rest| rest.get(..frame.len));
            let data = data.unwrap_or_default();
            let end = frame.offset.saturating_add(data.len() as u64);
            if end > MAX_OFFSET {
                return Err(WireError::TooLong);
            }
            let mut step = Ok(ControlFlow::Continue(()));
            let at = frame.offset as u32; // <= MAX_OFFSET
            let outcome = self.reassembly.push(at, data, limits, budget, |bytes| {
                if step == Ok(ControlFlow::Continue(())) {
                    step = parse(message, bytes, &mut receive);
                }
            });
            total.add(&outcome);
            if step? == ControlFlow::Break(()) {
                return Ok(ControlFlow::Break(()));
            }
        }
        if self.reassembly.next_seq() == before {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(self.store(message, budget, total))
    }

    /// Whether a message is incomplete, or bytes are buffered until missing ones arrive.
    pub(super) fn is_incomplete(&self) -> bool {
        !self.partial.is_empty() || self.reassembly.buffered_ranges() > 0
    }

    /// The type of the incomplete message and the start of its body; `None` if its header is incomplete.
    pub(super) fn incomplete_message(&self) -> Option<HandshakeMessage<'_>> {
        let (header, body) = self.partial.split_at_checked(HandshakeMessage::HEADER_LEN)?;
        Some(HandshakeMessage { kind: HandshakeType(*header.first()?), body })
    }

    /// Drops everything buffered, and returns its memory to the budget.
    pub(super) fn close(&mut self, budget: &mut Budget) {
        self.reassembly.clear(budget);
        budget.credit(cost(&self.partial));
        self.partial = Box::default();
    }

    /// Stores the start of the incomplete message until the next packet. Breaks if the budget is used up.
    fn store(&mut self, message: &[u8], budget: &mut Budget, total: &mut SegmentOutcome) -> ControlFlow<()> {
        let new = message.len().saturating_sub(self.partial.len());
        budget.credit(cost(&self.partial));
        self.partial = Box::default();
        if !budget.charge(cost(message)) {
            // These bytes are in order, but no message gets them.
            let refused = new.min(total.delivered.saturating_sub(total.released));
            total.delivered -= refused;
            total.refused.budget += refused;
            return ControlFlow::Break(());
        }
        self.partial = message.into();
        ControlFlow::Continue(())
    }
}

/// Memory of buffered bytes.
fn cost(buffered: &[u8]) -> usize {
    if buffered.is_empty() { 0 } else { buffered.len() + RANGE_OVERHEAD }
}

/// Parses the next bytes in order, after the start of a message in `partial`.
fn parse(
    partial: &mut Vec<u8>,
    bytes: &[u8],
    receive: &mut impl FnMut(HandshakeMessage<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, WireError> {
    if partial.is_empty() {
        let (rest, flow) = split(bytes, receive)?;
        partial.extend_from_slice(rest);
        return Ok(flow);
    }
    partial.extend_from_slice(bytes);
    let (rest, flow) = split(partial, receive)?;
    let used = partial.len().saturating_sub(rest.len());
    partial.drain(..used);
    Ok(flow)
}

/// Delivers the complete messages at the start of `bytes`, and returns the rest.
fn split<'b>(
    mut bytes: &'b [u8],
    receive: &mut impl FnMut(HandshakeMessage<'_>) -> ControlFlow<()>,
) -> Result<(&'b [u8], ControlFlow<()>), WireError> {
    while let Some((message, rest)) = HandshakeMessage::split_first(bytes)? {
        bytes = rest;
        if receive(message).is_break() {
            return Ok((bytes, ControlFlow::Break(())));
        }
    }
    Ok((bytes, ControlFlow::Continue(())))
}
