//! What one direction of a DTLS association holds: messages that are not whole, or not due.

use super::DatagramOutcome;
use crate::conntrack::{Budget, PIECE_OVERHEAD};
use ja4::wire::dtls::HandshakeFragment;
use ja4::wire::tls::{HandshakeMessage, HandshakeType, MAX_HANDSHAKE_MESSAGE};

/// Bytes held for one direction: the longest message there may be. Of a longer list of certificates so many are
/// held.
pub(super) const HELD_BYTES: usize = MAX_HANDSHAKE_MESSAGE;

/// Pieces held for one direction, where a fragment that continues one is of that one: [`HELD_BYTES`] in
/// fragments of 256 bytes, which is what stacks for small devices send, in the worst order.
pub(super) const HELD_PIECES: usize = 256;

/// Messages under way or waiting in one direction. A flight in the clear has eight at most, from
/// SupplementalData to CertificateVerify or ServerHelloDone.
pub(super) const HELD_MESSAGES: usize = 8;

/// What a held message costs besides its pieces, at most: the list that it is alone in has
/// places for four, and stands on the heap.
const MESSAGE_OVERHEAD: usize = 320;

/// A message's name. Only with its type, as some stacks count anew from a HelloVerifyRequest.
pub(super) type Name = (HandshakeType, u16);

/// Messages that are not whole, or not due. Never empty, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) messages: Vec<Partial>,
    /// Bytes and pieces of all of them.
    pub(super) bytes: usize,
    pub(super) pieces: usize,
}

/// A message, as far as it has come.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) name: Name,
    pub(super) length: usize,
    /// In order of offset, disjoint, none empty: together at most `length` bytes.
    pub(super) pieces: Vec<Piece>,
    pub(super) bytes: usize,
    /// Bytes that the pieces have room for, `>= bytes`.
    room: usize,
}

#[derive(Debug)]
pub(super) struct Piece {
    offset: usize,
    pub(super) data: Vec<u8>,
}

impl Held {
    /// Whether the bounds of this direction leave room for a fragment as if all of it were new; nothing is
    /// new in a message that is whole.
    pub(super) fn has_room(&self, fragment: &HandshakeFragment<'_>, name: Name) -> bool {
        let begun = self.messages.iter().find(|message| message.name == name);
        if begun.is_some_and(Partial::is_whole) {
            return true;
        }
        (begun.is_some() || self.messages.len() < HELD_MESSAGES)
            && self.pieces < HELD_PIECES
            && fragment.data.len() <= HELD_BYTES.saturating_sub(self.bytes)
    }

    pub(super) fn insert(
        &mut self,
        fragment: &HandshakeFragment<'_>,
        name: Name,
        budget: &mut Budget,
        outcome: &mut DatagramOutcome,
    ) {
        let Self { messages, bytes, pieces } = self;
        let place = match messages.iter().position(|message| message.name == name) {
            Some(place) => place,
            None if budget.charge(MESSAGE_OVERHEAD) => {
                messages.push(Partial { name, length: fragment.length, pieces: Vec::new(), bytes: 0, room: 0 });
                messages.len() - 1
            }
            None => {
                outcome.refused += fragment.data.len();
                return;
            }
        };
        let Some(message) = messages.get_mut(place) else { return };
        if message.length != fragment.length {
            outcome.conflicting += fragment.data.len();
            return;
        }
        let before = (message.bytes, message.pieces.len());
        message.insert(fragment, HELD_PIECES.saturating_sub(*pieces), budget, outcome);
        *bytes += message.bytes - before.0;
        *pieces += message.pieces.len() - before.1;
        // A message of which nothing could be held is not begun.
        if message.bytes == 0 && message.length > 0 {
            let message = messages.remove(place);
            budget.credit(message.cost());
        }
    }
}

impl Partial {
    pub(super) fn is_whole(&self) -> bool {
        self.bytes == self.length
    }

    /// What the message takes from the budget.
    pub(super) fn cost(&self) -> usize {
        MESSAGE_OVERHEAD + self.pieces.len() * PIECE_OVERHEAD + self.room
    }

    /// Adds bytes to the piece before `place` if it ends where they begin; false if none does, or there is no
    /// room. What a piece has room for at least doubles each time, so that crumbs are not copied again and again.
    fn extend(&mut self, place: usize, at: usize, new: &[u8], budget: &mut Budget) -> bool {
        let Self { length, pieces, room, .. } = self;
        let Some(piece) = place.checked_sub(1).and_then(|before| pieces.get_mut(before)) else {
            return false;
        };
        if piece.end() != at {
            return false;
        }
        let (len, had) = (piece.data.len(), piece.data.capacity());
        if new.len() > had - len {
            let most = length.saturating_sub(piece.offset).min(HELD_BYTES);
            let wanted = (2 * had).min(most).max(len + new.len());
            if !budget.charge(wanted - had) {
                return false;
            }
            piece.data.reserve_exact(wanted - len);
            *room += wanted - had;
        }
        piece.data.extend_from_slice(new);
        true
    }

    /// Gives the bytes of a Certificate message up to the first that is missing: certificates in it may be
    /// whole. Of no other message a part means anything.
    pub(super) fn tell_start(&self, mut tell: impl FnMut(HandshakeMessage<'_>)) {
        let (kind, _) = self.name;
        if kind != HandshakeType::CERTIFICATE {
            return;
        }
        let mut body = Vec::new();
        for piece in self.pieces.iter() {
            if piece.offset == body.len() {
                body.extend_from_slice(&piece.data);
            }
        }
        tell(HandshakeMessage { kind, body: &body });
    }

    /// Takes those bytes of a fragment that no piece has yet, in at most `room` pieces.
    pub(super) fn insert(
        &mut self,
        fragment: &HandshakeFragment<'_>,
        room: usize,
        budget: &mut Budget,
        outcome: &mut DatagramOutcome,
    ) {
        let most = self.pieces.len() + room;
        let (mut at, mut rest) = (fragment.offset, fragment.data);
        let mut place = self.pieces.partition_point(|piece| piece.end() <= at);
        while !rest.is_empty() {
            // What lies before the next piece is new, what lies on it is a repetition.
            let (gap, data) = match self.pieces.get(place) {
                Some(piece) if piece.offset > at => (piece.offset - at, piece.data.as_ref()),
                Some(piece) => (0, piece.data.get(at - piece.offset..).unwrap_or_default()),
                None => (rest.len(), [].as_slice()),
            };
            let (new, others) = rest.split_at(rest.len().min(gap));
            let (repeated, after) = others.split_at(others.len().min(data.len()));
            let differing = repeated.iter().zip(data).filter(|(new, old)| new != old).count();
            outcome.conflicting += differing;
            outcome.duplicate += repeated.len() - differing;
            if !new.is_empty() {
                let extended = self.extend(place, at, new, budget);
                if extended || (self.pieces.len() < most && budget.charge(new.len() + PIECE_OVERHEAD)) {
                    if !extended {
                        self.pieces.insert(place, Piece { offset: at, data: new.to_vec() });
                        self.room += new.len();
                        place += 1;
                    }
                    self.bytes += new.len();
                    outcome.buffered += new.len();
                } else {
                    outcome.refused += new.len();
                }
            }
            place += 1;
            at += new.len() + repeated.len();
            rest = after;
        }
    }
}

impl Piece {
    fn end(&self) -> usize {
        self.offset + self.data.len()
    }
}
