//! One direction of an association: datagrams to handshake messages.

use ja4::wire::dtls::{DtlsContentType, DtlsRecord, DtlsRecords, HandshakeFragment};
use ja4::wire::tls::{HandshakeMessage, HandshakeType};

use super::fragments::{BUFFERED_BYTES, BufferedMessages, MessageId, PartialMessage};
use super::outcome::{DtlsMessage, DtlsOutcome, MessageVerdict};
use crate::conntrack::Budget;
use crate::model::Side;

/// Delivered messages that are remembered, so that copies are recognized. A direction has two unencrypted flights, of ten
/// messages together at most, and retransmits only the last one.
const REMEMBERED: usize = 16;

/// One direction of a DTLS association until it is encrypted.
///
/// It begins with the first message that arrives, and delivers messages in the order of their numbers. A hello (ClientHello,
/// ServerHello, HelloVerifyRequest) is delivered as soon as it is complete, and the numbering continues from there; a message
/// that arrives after a later one was delivered is delivered late. Messages after a missing one are delivered when the
/// direction changes its keys, or when a bound is reached.
///
/// The first copy of a buffered byte counts. No message is delivered twice while it is among the last sixteen, unless the
/// receiver found it malformed. No message ends a direction: anyone who knows the ports can send one.
///
/// Buffered bytes are charged to the shard's [`Budget`]: call [`DtlsDirection::clear`] before this is dropped.
#[derive(Debug, Default)]
pub(crate) struct DtlsDirection {
    /// Number of the next message to deliver; `None` before the first.
    pub(super) next: Option<u16>,
    /// The last delivered messages, in a ring.
    delivered: [Option<MessageId>; REMEMBERED],
    /// Index in `delivered` of the next message.
    delivered_next: u8,
    /// `None` while nothing is buffered.
    pub(super) buffer: Option<Box<BufferedMessages>>,
}

impl DtlsDirection {
    /// Buffered bytes.
    #[must_use]
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.bytes)
    }

    /// Parses the payload of a datagram, without its end if `truncated`, and calls `receive` for the messages that are
    /// now due. A message that is complete in the datagram is not copied.
    pub(crate) fn push(
        &mut self,
        payload: &[u8],
        truncated: bool,
        budget: &mut Budget,
        receive: impl FnMut(DtlsMessage<'_>) -> MessageVerdict,
    ) -> DtlsOutcome {
        let mut delivery = Delivery { outcome: DtlsOutcome::default(), budget, receive };
        self.records(payload, truncated, &mut delivery);
        delivery.outcome
    }

    /// Reports Certificate messages that are incomplete, or not due.
    pub(crate) fn report_starts(&self, mut report: impl FnMut(HandshakeMessage<'_>)) {
        self.buffer.iter().flat_map(|buffer| &buffer.messages).for_each(|message| message.report_start(&mut report));
    }

    /// Drops everything buffered, and returns its memory to the budget.
    pub(crate) fn clear(&mut self, budget: &mut Budget) {
        if let Some(buffer) = self.buffer.take() {
            for message in buffer.messages {
                budget.credit(message.cost());
            }
        }
    }

    /// Makes a message count as not delivered. Returns the number of its buffered bytes, which are dropped.
    pub(super) fn forget(&mut self, id: MessageId, budget: &mut Budget) -> usize {
        self.delivered.iter_mut().filter(|delivered| **delivered == Some(id)).for_each(|delivered| *delivered = None);
        let index = self.buffer.as_ref().and_then(|buffer| buffer.messages.iter().position(|message| message.id == id));
        let Some(message) = index.and_then(|index| self.take(index)) else {
            return 0;
        };
        budget.credit(message.cost());
        message.bytes
    }

    /// Restarts after this message. Returns the number of buffered bytes, which are dropped.
    pub(super) fn restart_after(&mut self, id: MessageId, budget: &mut Budget) -> usize {
        let dropped = self.buffered_bytes();
        self.clear(budget);
        *self = Self { next: Some(id.1.wrapping_add(1)), ..Self::default() };
        self.remember(id);
        dropped
    }

    fn records<R>(&mut self, payload: &[u8], truncated: bool, delivery: &mut Delivery<'_, R>)
    where
        R: FnMut(DtlsMessage<'_>) -> MessageVerdict,
    {
        let mut records = DtlsRecords::new(payload, truncated);
        for record in records.by_ref() {
            match record {
                Ok(record) => self.record(&record, delivery),
                Err(error) => {
                    delivery.outcome.error.get_or_insert(error);
                }
            }
        }
        if records.at_ciphertext() {
            self.release(Due::All, delivery);
        }
    }

    fn record<R>(&mut self, record: &DtlsRecord<'_>, delivery: &mut Delivery<'_, R>)
    where
        R: FnMut(DtlsMessage<'_>) -> MessageVerdict,
    {
        if record.content == DtlsContentType::CHANGE_CIPHER_SPEC || record.epoch != 0 {
            return self.release(Due::All, delivery);
        }
        for fragment in record.fragments() {
            match fragment {
                Ok(fragment) => self.fragment(&fragment, delivery),
                Err(error) => {
                    delivery.outcome.error.get_or_insert(error);
                }
            }
        }
    }

    fn fragment<R>(&mut self, fragment: &HandshakeFragment<'_>, delivery: &mut Delivery<'_, R>)
    where
        R: FnMut(DtlsMessage<'_>) -> MessageVerdict,
    {
        let id = (fragment.kind, fragment.message_seq);
        self.next.get_or_insert(fragment.message_seq);
        if self.delivered.contains(&Some(id)) {
            delivery.outcome.duplicate += fragment.data.len();
            return;
        }
        let is_buffered =
            self.buffer.as_ref().is_some_and(|buffer| buffer.messages.iter().any(|message| message.id == id));
        if !is_buffered && fragment.is_message() && self.is_due(id) {
            delivery.outcome.direct += fragment.data.len();
            self.deliver(id, fragment.data, delivery);
        } else {
            self.buffer(fragment, delivery);
        }
        self.release(Due::InOrder, delivery)
    }

    /// Whether this message may be delivered now, if it is complete.
    fn is_due(&self, (kind, seq): MessageId) -> bool {
        is_hello(kind) || self.next.is_none_or(|next| distance(next, seq) <= 0)
    }

    /// Delivers a message to the receiver, and advances to the next number.
    fn deliver<R>(&mut self, id: MessageId, body: &[u8], delivery: &mut Delivery<'_, R>)
    where
        R: FnMut(DtlsMessage<'_>) -> MessageVerdict,
    {
        let (kind, seq) = id;
        delivery.outcome.messages += 1;
        if (delivery.receive)(DtlsMessage::Complete(HandshakeMessage { kind, body })) != MessageVerdict::Malformed {
            self.remember(id);
        }
        let mut next = self.next.unwrap_or(seq);
        if is_hello(kind) || distance(next, seq) >= 0 {
            next = seq.wrapping_add(1);
        }
        // Skip messages that were delivered early. At most REMEMBERED steps.
        while self.delivered.iter().flatten().any(|&(_, delivered)| delivered == next) {
            next = next.wrapping_add(1);
        }
        self.next = Some(next);
    }

    fn remember(&mut self, id: MessageId) {
        if let Some(oldest) = self.delivered.get_mut(usize::from(self.delivered_next) % REMEMBERED) {
            *oldest = Some(id);
        }
        self.delivered_next = self.delivered_next.wrapping_add(1); // modulo 256, a multiple of REMEMBERED
    }

    /// Delivers complete messages that are due, lowest number first.
    fn release<R>(&mut self, due: Due, delivery: &mut Delivery<'_, R>)
    where
        R: FnMut(DtlsMessage<'_>) -> MessageVerdict,
    {
        while let Some(message) = self.take_complete(due) {
            delivery.budget.credit(message.cost());
            delivery.outcome.released += message.bytes;
            match message.ranges.as_slice() {
                [range] => self.deliver(message.id, &range.bytes, delivery),
                ranges => {
                    let mut body = Vec::with_capacity(message.length);
                    ranges.iter().for_each(|range| body.extend_from_slice(&range.bytes));
                    self.deliver(message.id, &body, delivery);
                }
            }
        }
    }

    /// Removes the complete message with the lowest number.
    fn take_complete(&mut self, due: Due) -> Option<PartialMessage> {
        let buffer = self.buffer.as_ref()?;
        let next = self.next.unwrap_or_default();
        let (index, _) = buffer
            .messages
            .iter()
            .enumerate()
            .filter(|(_, message)| message.is_complete() && (due == Due::All || self.is_due(message.id)))
            .min_by_key(|(_, message)| distance(next, message.id.1))?;
        self.take(index)
    }

    /// Removes the message at this index.
    fn take(&mut self, index: usize) -> Option<PartialMessage> {
        let buffer = self.buffer.as_mut()?;
        if index >= buffer.messages.len() {
            return None;
        }
        let message = buffer.messages.remove(index);
        buffer.bytes = buffer.bytes.saturating_sub(message.bytes);
        buffer.ranges = buffer.ranges.saturating_sub(message.ranges.len());
        if buffer.messages.is_empty() {
            self.buffer = None;
        }
        Some(message)
    }

    /// Buffers those bytes of a fragment that no range has. If they exceed a bound, delivers complete messages, then evicts the
    /// oldest incomplete ones.
    fn buffer<R>(&mut self, fragment: &HandshakeFragment<'_>, delivery: &mut Delivery<'_, R>)
    where
        R: FnMut(DtlsMessage<'_>) -> MessageVerdict,
    {
        // Of a message that exceeds the bound, the start is buffered.
        let within = fragment.data.len().min(BUFFERED_BYTES.saturating_sub(fragment.offset));
        let (data, beyond) = fragment.data.split_at(within);
        delivery.outcome.refused += beyond.len();
        let fragment = &HandshakeFragment { data, ..*fragment };
        if data.is_empty() && !fragment.is_message() {
            return;
        }
        let id = (fragment.kind, fragment.message_seq);
        loop {
            let buffer = self.buffer.get_or_insert_default();
            if buffer.has_room(fragment, id) {
                buffer.insert(fragment, id, delivery.budget, &mut delivery.outcome);
                if buffer.messages.is_empty() {
                    self.buffer = None;
                }
                return;
            }
            self.release(Due::All, delivery);
            if self.buffer.as_ref().is_none_or(|buffer| buffer.has_room(fragment, id)) {
                continue;
            }
            let oldest = self.buffer.iter().flat_map(|buffer| &buffer.messages).position(|message| message.id != id);
            let Some(message) = oldest.and_then(|index| self.take(index)) else {
                delivery.outcome.refused += fragment.data.len();
                return;
            };
            message.report_start(|start| _ = (delivery.receive)(DtlsMessage::Incomplete(start)));
            delivery.budget.credit(message.cost());
            delivery.outcome.dropped += message.bytes;
        }
    }
}

/// The messages that [`DtlsDirection::release`] delivers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Those that are due.
    InOrder,
    /// All that are complete.
    All,
}

/// The receiver of messages, and the outcome.
struct Delivery<'a, R> {
    outcome: DtlsOutcome,
    budget: &'a mut Budget,
    receive: R,
}

/// The sender of a datagram, by the first message in it that only one side sends (RFC 6347, section 4.3.2).
#[must_use]
pub(super) fn sender(payload: &[u8], truncated: bool) -> Option<Side> {
    let records = DtlsRecords::new(payload, truncated).map_while(Result::ok);
    records.flat_map(|record| record.fragments().map_while(Result::ok)).find_map(|fragment| match fragment.kind {
        HandshakeType::CLIENT_HELLO | HandshakeType::CERTIFICATE_VERIFY | HandshakeType::CLIENT_KEY_EXCHANGE => {
            Some(Side::Client)
        }
        HandshakeType::SERVER_HELLO
        | HandshakeType::HELLO_VERIFY_REQUEST
        | HandshakeType::SERVER_KEY_EXCHANGE
        | HandshakeType::CERTIFICATE_REQUEST
        | HandshakeType::SERVER_HELLO_DONE => Some(Side::Server),
        _ => None,
    })
}

fn is_hello(kind: HandshakeType) -> bool {
    let hellos = [HandshakeType::CLIENT_HELLO, HandshakeType::SERVER_HELLO, HandshakeType::HELLO_VERIFY_REQUEST];
    hellos.contains(&kind)
}

/// How far `seq` is ahead of `next`, modulo 2^16.
fn distance(next: u16, seq: u16) -> i16 {
    seq.wrapping_sub(next).cast_signed()
}
