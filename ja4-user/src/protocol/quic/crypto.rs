//! CRYPTO frames of one direction to whole handshake messages (RFC 9000, section 7.5).

use std::ops::ControlFlow;

use crate::conntrack::{Budget, Limits, Outcome, PIECE_OVERHEAD, Reassembly};
use ja4::wire::WireError;
use ja4::wire::quic::{CryptoFrames, Plaintext};
use ja4::wire::tls::{HandshakeMessage, HandshakeType, MAX_HANDSHAKE_MESSAGE};

/// How far a direction's handshake is followed: one message of the greatest length there may be. All that
/// Initial packets carry is a hello, or two after a HelloRetryRequest.
const MAX_OFFSET: u64 = (HandshakeMessage::HEADER_LEN + MAX_HANDSHAKE_MESSAGE) as u64;

/// The CRYPTO frames of one packet. Meant to be kept and filled again: its buffers are reused.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    list: Vec<Piece>,
    /// Where messages that lie in several pieces are put together.
    message: Vec<u8>,
}

/// A CRYPTO frame; its data by its place in the payload.
#[derive(Clone, Copy, Debug)]
struct Piece {
    offset: u64,
    start: usize,
    len: usize,
}

impl Pieces {
    /// Reads the frames of a packet.
    ///
    /// # Errors
    /// As [`CryptoFrames`]; then there are none.
    pub(super) fn read(&mut self, plaintext: &Plaintext) -> Result<(), WireError> {
        self.list.clear();
        for frame in CryptoFrames::new(plaintext.payload(), plaintext.is_truncated()) {
            match frame {
                Ok(frame) => {
                    self.list.push(Piece { offset: frame.offset, start: frame.start, len: frame.data.len() });
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

    /// Some clients shuffle the pieces of their hello: in order, none of them has to wait. Only where some
    /// overlap, and the first copy wins, they stay as they came.
    fn sort(&mut self) {
        self.list.sort_unstable_by_key(|piece| piece.offset);
        let overlap = |pair: &[Piece]| match pair {
            [first, second] => first.offset.saturating_add(first.len as u64) > second.offset,
            _ => false,
        };
        if self.list.windows(2).any(overlap) {
            self.list.sort_unstable_by_key(|piece| piece.start);
        }
    }
}

/// One direction's handshake.
///
/// What it holds is charged to the shard's [`Budget`]: call [`close`](Self::close) before this is dropped.
#[derive(Debug)]
pub(super) struct CryptoStream {
    order: Reassembly,
    /// The start of the message under way.
    partial: Box<[u8]>,
}

impl Default for CryptoStream {
    fn default() -> Self {
        Self { order: Reassembly::new(0), partial: Box::default() }
    }
}

impl CryptoStream {
    /// Takes the CRYPTO frames of a packet and calls `receive` for each message that they complete, until
    /// it breaks.
    ///
    /// # Errors
    /// [`WireError::TooLong`] when the handshake is longer than is followed. Whoever gets an error or a
    /// break closes the stream.
    pub(super) fn push(
        &mut self,
        pieces: &mut Pieces,
        plaintext: &Plaintext,
        (limits, budget): (&Limits, &mut Budget),
        total: &mut Outcome,
        mut receive: impl FnMut(HandshakeMessage<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, WireError> {
        let Pieces { list, message } = pieces;
        message.clear();
        message.extend_from_slice(&self.partial);
        let before = self.order.next_seq();
        for piece in list {
            let data = plaintext.payload().get(piece.start..).and_then(|rest| rest.get(..piece.len));
            let data = data.unwrap_or_default();
            let end = piece.offset.saturating_add(data.len() as u64);
            if end > MAX_OFFSET {
                return Err(WireError::TooLong);
            }
            let mut step = Ok(ControlFlow::Continue(()));
            let at = piece.offset as u32; // <= MAX_OFFSET
            let outcome = self.order.push(at, data, limits, budget, |bytes| {
                if step == Ok(ControlFlow::Continue(())) {
                    step = take(message, bytes, &mut receive);
                }
            });
            add(total, &outcome);
            if step? == ControlFlow::Break(()) {
                return Ok(ControlFlow::Break(()));
            }
        }
        if self.order.next_seq() == before {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(self.keep(message, budget, total))
    }

    /// Whether a message is under way, or bytes wait for missing ones.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.partial.is_empty() || self.order.held_pieces() > 0
    }

    /// The type of the message under way and its body as far as it has come; `None` before its header is whole.
    pub(super) fn under_way(&self) -> Option<HandshakeMessage<'_>> {
        let (header, body) = self.partial.split_at_checked(HandshakeMessage::HEADER_LEN)?;
        Some(HandshakeMessage { kind: HandshakeType(*header.first()?), body })
    }

    /// Lets go of all that is held, and gives it back to the budget.
    pub(super) fn close(&mut self, budget: &mut Budget) {
        self.order.clear(budget);
        budget.credit(cost(&self.partial));
        self.partial = Box::default();
    }

    /// Holds the start of the message under way until the next packet; without room the stream ends.
    fn keep(&mut self, message: &[u8], budget: &mut Budget, total: &mut Outcome) -> ControlFlow<()> {
        let new = message.len().saturating_sub(self.partial.len());
        budget.credit(cost(&self.partial));
        self.partial = Box::default();
        if !budget.charge(cost(message)) {
            // In order, and yet refused: nobody gets them.
            let refused = new.min(total.delivered.saturating_sub(total.released));
            total.delivered -= refused;
            total.refused.budget += refused;
            return ControlFlow::Break(());
        }
        self.partial = message.into();
        ControlFlow::Continue(())
    }
}

/// What bytes held cost.
fn cost(held: &[u8]) -> usize {
    if held.is_empty() { 0 } else { held.len() + PIECE_OVERHEAD }
}

/// Takes the next bytes in order, behind the start of a message in `partial`.
fn take(
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

/// Gives the whole messages at the start of `bytes`, and returns what is behind them.
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

fn add(total: &mut Outcome, one: &Outcome) {
    total.delivered += one.delivered;
    total.released += one.released;
    total.duplicate += one.duplicate;
    total.conflicting += one.conflicting;
    total.buffered += one.buffered;
    total.refused.window += one.refused.window;
    total.refused.pieces += one.refused.pieces;
    total.refused.bytes += one.refused.bytes;
    total.refused.budget += one.refused.budget;
}
