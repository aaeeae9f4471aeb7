//! Buffered fragments of one direction: messages that are incomplete, or not due.

use ja4::wire::dtls::HandshakeFragment;
use ja4::wire::tls::{HandshakeMessage, HandshakeType, MAX_HANDSHAKE_MESSAGE};

use super::outcome::DtlsOutcome;
use crate::conntrack::{Budget, RANGE_OVERHEAD};
use crate::packet::range_buffer::{RangeBuffer, RangePart};

/// Bytes buffered for one direction: the longest message. Of a longer list of certificates, so many bytes are buffered.
pub(super) const BUFFERED_BYTES: usize = MAX_HANDSHAKE_MESSAGE;

/// Ranges buffered for one direction, where a fragment that continues a range extends it: [`BUFFERED_BYTES`] in fragments of
/// 256 bytes, as stacks for small devices send them, in the worst order.
pub(super) const BUFFERED_RANGES: usize = 256;

/// Messages buffered for one direction. An unencrypted flight has eight at most, from SupplementalData to CertificateVerify or
/// ServerHelloDone.
pub(super) const BUFFERED_MESSAGES: usize = 8;

/// Memory of a buffered message besides its ranges, at most: a lone one has a list with capacity for four on the heap.
const MESSAGE_OVERHEAD: usize = 320;

/// A message's type and number. The number alone is not enough, as some stacks restart it after a HelloVerifyRequest.
pub(super) type MessageId = (HandshakeType, u16);

/// Messages that are incomplete, or not due, in the order of their first fragments. At least one.
#[derive(Debug, Default)]
pub(super) struct BufferedMessages {
    pub(super) messages: Vec<PartialMessage>,
    /// Bytes and ranges of all of them.
    pub(super) bytes: usize,
    pub(super) ranges: usize,
}

/// The fragments of a message that have arrived.
#[derive(Debug)]
pub(super) struct PartialMessage {
    pub(super) id: MessageId,
    pub(super) length: usize,
    /// Together at most `length` bytes.
    pub(super) ranges: RangeBuffer<Vec<u8>>,
    pub(super) bytes: usize,
    /// Capacity of all ranges, `>= bytes`.
    capacity: usize,
}

impl BufferedMessages {
    /// Whether the bounds of this direction allow a fragment as if all of it were new; nothing is new in a complete message.
    pub(super) fn has_room(&self, fragment: &HandshakeFragment<'_>, id: MessageId) -> bool {
        let known = self.messages.iter().find(|message| message.id == id);
        if known.is_some_and(PartialMessage::is_complete) {
            return true;
        }
        (known.is_some() || self.messages.len() < BUFFERED_MESSAGES)
            && self.ranges < BUFFERED_RANGES
            && fragment.data.len() <= BUFFERED_BYTES.saturating_sub(self.bytes)
    }

    pub(super) fn insert(
        &mut self,
        fragment: &HandshakeFragment<'_>,
        id: MessageId,
        budget: &mut Budget,
        outcome: &mut DtlsOutcome,
    ) {
        let Self { messages, bytes, ranges } = self;
        let index = match messages.iter().position(|message| message.id == id) {
            Some(index) => index,
            None if budget.charge(MESSAGE_OVERHEAD) => {
                let length = fragment.length;
                messages.push(PartialMessage { id, length, ranges: RangeBuffer::default(), bytes: 0, capacity: 0 });
                messages.len() - 1
            }
            None => {
                outcome.refused += fragment.data.len();
                return;
            }
        };
        let Some(message) = messages.get_mut(index) else { return };
        if message.length != fragment.length {
            outcome.conflicting += fragment.data.len();
            return;
        }
        let before = (message.bytes, message.ranges.len());
        message.insert(fragment, BUFFERED_RANGES.saturating_sub(*ranges), budget, outcome);
        *bytes += message.bytes - before.0;
        *ranges += message.ranges.len() - before.1;
        // A message without buffered bytes is removed again.
        if message.bytes == 0 && message.length > 0 {
            let message = messages.remove(index);
            budget.credit(message.cost());
        }
    }
}

impl PartialMessage {
    pub(super) fn is_complete(&self) -> bool {
        self.bytes == self.length
    }

    /// Memory charged for the message.
    pub(super) fn cost(&self) -> usize {
        MESSAGE_OVERHEAD + self.ranges.len() * RANGE_OVERHEAD + self.capacity
    }

    /// Reports the bytes of a Certificate message up to the first that is missing, which may have complete certificates. A part
    /// of any other message is of no use.
    pub(super) fn report_start(&self, mut report: impl FnMut(HandshakeMessage<'_>)) {
        let (kind, _) = self.id;
        if kind != HandshakeType::CERTIFICATE {
            return;
        }
        let mut body = Vec::new();
        for range in self.ranges.as_slice() {
            if range.offset as usize == body.len() {
                body.extend_from_slice(&range.bytes);
            }
        }
        report(HandshakeMessage { kind, body: &body });
    }

    /// Buffers those bytes of a fragment that no range has, in at most `room` new ranges.
    fn insert(
        &mut self,
        fragment: &HandshakeFragment<'_>,
        room: usize,
        budget: &mut Budget,
        outcome: &mut DtlsOutcome,
    ) {
        let Self { length, ranges, bytes, capacity, .. } = self;
        let max_ranges = ranges.len() + room;
        // Offsets are below 2^24 (RFC 9147, section 5.2).
        ranges.add(fragment.offset as u32, fragment.data, |part| match part {
            RangePart::Known { added, range, from } => {
                let buffered = range.bytes.get(from..).unwrap_or_default();
                let differing = added.iter().zip(buffered).filter(|(new, old)| new != old).count();
                outcome.conflicting += differing;
                outcome.duplicate += added.len() - differing;
                None
            }
            RangePart::Missing { offset, added, ranges, before } => {
                let extended = before.is_some_and(|range| {
                    let max = length.saturating_sub(range.offset as usize).min(BUFFERED_BYTES);
                    range.end() == offset && extend(&mut range.bytes, added, max, capacity, budget)
                });
                let is_new = !extended && ranges < max_ranges && budget.charge(added.len() + RANGE_OVERHEAD);
                if extended || is_new {
                    *bytes += added.len();
                    outcome.buffered += added.len();
                } else {
                    outcome.refused += added.len();
                }
                is_new.then(|| {
                    *capacity += added.len();
                    added.to_vec()
                })
            }
        });
    }
}

/// Appends bytes to a range of at most `max`. Its capacity at least doubles each time, so that small fragments are not copied
/// again and again. Returns false if the budget is used up.
fn extend(range: &mut Vec<u8>, added: &[u8], max: usize, capacity: &mut usize, budget: &mut Budget) -> bool {
    let (len, had) = (range.len(), range.capacity());
    if added.len() > had - len {
        let needed = (2 * had).min(max).max(len + added.len());
        if !budget.charge(needed - had) {
            return false;
        }
        range.reserve_exact(needed - len);
        *capacity += needed - had;
    }
    range.extend_from_slice(added);
    true
}
