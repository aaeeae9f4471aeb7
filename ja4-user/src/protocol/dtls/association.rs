//! Both directions of a DTLS association, and the start of another on the same ports.

use ja4::wire::dtls::DtlsRecords;
use ja4::wire::tls::{HandshakeMessage, HandshakeType};

use super::direction::DtlsDirection;
use super::fragments::MessageId;
use super::outcome::{DtlsMessage, DtlsOutcome, MessageVerdict};
use crate::conntrack::Budget;
use crate::model::{PerSide, Side};

/// Offset of the random in a ClientHello, after its version (RFC 6347, section 4.2.1).
const RANDOM_AT: usize = 2;

/// The first message of a client (RFC 6347, section 4.2.2). The answer to a HelloVerifyRequest or a HelloRetryRequest has
/// another number.
const FIRST_HELLO: MessageId = (HandshakeType::CLIENT_HELLO, 0);

type Random = [u8; 32];

/// Both directions of a DTLS association.
///
/// A ClientHello of number 0 with another random than those before it is not a retransmission (RFC 6347, section 4.2.4). It is
/// delivered, and the receiver decides whether it begins another association: then all state of the last one is dropped, and
/// it is delivered again. Otherwise it is a further hello, of a client that tries again, or forged. Its first fragment must
/// have the random, and must arrive first.
///
/// Buffered bytes are charged to the shard's [`Budget`]: call [`Association::clear`] before this is dropped.
#[derive(Debug, Default)]
pub struct Association {
    directions: PerSide<DtlsDirection>,
    /// Random of the first hello.
    first: Option<Random>,
    /// Random of the last one that differed.
    other: Option<Random>,
    /// Whether the hello with that random is still to be parsed.
    is_awaited: bool,
}

impl Association {
    /// Bytes buffered for both directions.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.directions.client.buffered_bytes() + self.directions.server.buffered_bytes()
    }

    /// Number of sides with an incomplete message.
    #[must_use]
    pub fn incomplete(&self) -> u64 {
        self.directions.iter().filter(|(_, direction)| direction.buffered_bytes() > 0).count() as u64
    }

    /// Reports incomplete Certificate messages and their senders.
    pub(crate) fn report_starts(&self, mut report: impl FnMut(Side, HandshakeMessage<'_>)) {
        for (side, direction) in self.directions.iter() {
            direction.report_starts(|start| report(side, start));
        }
    }

    /// Parses the payload of a datagram, without its end if `truncated`, and calls `receive` for the messages that are now due, with
    /// their sender.
    pub fn push(
        &mut self,
        from: Side,
        payload: &[u8],
        truncated: bool,
        budget: &mut Budget,
        mut receive: impl FnMut(Side, DtlsMessage<'_>) -> MessageVerdict,
    ) -> DtlsOutcome {
        if from == Side::Server {
            let server = &mut self.directions.server;
            return server.push(payload, truncated, budget, |message| receive(Side::Server, message));
        }
        let mut dropped = self.detect_restart(payload, truncated, budget);
        let mut begun = None;
        let Self { directions: PerSide { client, server }, other, is_awaited, .. } = self;
        let mut outcome = client.push(payload, truncated, budget, |part| {
            let DtlsMessage::Complete(message) = part else {
                return receive(Side::Client, part);
            };
            let is_hello = message.kind == HandshakeType::CLIENT_HELLO;
            let random = random(message.body).filter(|random| is_hello && *is_awaited && Some(*random) == *other);
            if random.is_none() {
                return receive(Side::Client, part);
            }
            let mut verdict = receive(Side::Client, DtlsMessage::Candidate(message));
            if verdict == MessageVerdict::Begins {
                server.report_starts(|start| _ = receive(Side::Server, DtlsMessage::Incomplete(start)));
                verdict = receive(Side::Client, DtlsMessage::First(message));
                begun = random;
            }
            *is_awaited = verdict == MessageVerdict::Malformed;
            verdict
        });
        if begun.is_some() {
            let PerSide { client, server } = &mut self.directions;
            dropped += client.restart_after(FIRST_HELLO, budget) + server.buffered_bytes();
            server.clear(budget);
            *server = DtlsDirection::default();
            (self.first, self.other) = (begun, None);
        }
        outcome.dropped += dropped;
        outcome
    }

    /// Drops everything buffered, and returns its memory to the budget.
    pub fn clear(&mut self, budget: &mut Budget) {
        self.directions.iter_mut().for_each(|(_, direction)| direction.clear(budget));
    }

    /// Detects a first hello with another random, and makes the last one count as not delivered. Returns the number of its buffered
    /// bytes, which are dropped.
    fn detect_restart(&mut self, payload: &[u8], truncated: bool, budget: &mut Budget) -> usize {
        let mut dropped = 0;
        let records = DtlsRecords::new(payload, truncated).map_while(Result::ok);
        for fragment in records.flat_map(|record| record.fragments().map_while(Result::ok)) {
            if (fragment.kind, fragment.message_seq) != FIRST_HELLO || fragment.offset > 0 {
                continue;
            }
            let random = random(fragment.data);
            if self.first.is_none() {
                self.first = random;
            } else if random.is_some() && random != self.first && random != self.other {
                (self.other, self.is_awaited) = (random, true);
                dropped += self.directions.client.forget(FIRST_HELLO, budget);
            }
        }
        dropped
    }
}

/// The random in the body of a ClientHello, or the start of one.
fn random(body: &[u8]) -> Option<Random> {
    body.get(RANDOM_AT..)?.first_chunk().copied()
}
