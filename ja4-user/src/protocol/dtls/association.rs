//! Both directions of a DTLS association, and where another begins on the same ports.

use super::held::Name;
use super::{DatagramOutcome, DtlsHalf, Given, Taken};
use crate::conntrack::Budget;
use crate::model::Side;
use ja4::wire::dtls::DtlsRecords;
use ja4::wire::tls::{HandshakeMessage, HandshakeType};

/// Where the random of a ClientHello begins: behind its version (RFC 6347, section 4.2.1).
const RANDOM_AT: usize = 2;

/// The message with which a client begins (RFC 6347, section 4.2.2). The one that answers a
/// HelloVerifyRequest or a HelloRetryRequest has another number.
const BEGINNING: Name = (HandshakeType::CLIENT_HELLO, 0);

type Random = [u8; 32];

/// Both directions of a DTLS association.
///
/// A ClientHello of number 0 with another random than those before it is another one and no retransmission
/// (RFC 6347, section 4.2.4). It is given, and the receiver says whether an association begins with it:
/// then nothing is left of the one before, and it is given once more. Until it says so the hello is a further one, be it that of a
/// client that tries again, or forged. Its first fragment has to hold the random, and to come first.
///
/// What is held is charged to the shard's [`Budget`]: call [`Association::clear`] before this is dropped.
#[derive(Debug, Default)]
pub struct Association {
    client: DtlsHalf,
    server: DtlsHalf,
    /// Random of the hello that came first.
    first: Option<Random>,
    /// Random of the last one that differed.
    other: Option<Random>,
    /// The hello of that random has not been read yet.
    awaited: bool,
}

impl Association {
    /// Bytes held for both directions.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.client.held_bytes() + self.server.held_bytes()
    }

    /// How many sides hold a message that is not whole.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        [&self.client, &self.server].iter().filter(|half| half.held_bytes() > 0).count() as u64
    }

    /// Tells of Certificate messages of which not all has come, and who sent them.
    pub fn tell_starts(&self, mut tell: impl FnMut(Side, HandshakeMessage<'_>)) {
        self.client.tell_starts(|start| tell(Side::Client, start));
        self.server.tell_starts(|start| tell(Side::Server, start));
    }

    /// As [`DtlsHalf::datagram`]. The receiver is also told who sent what it is given.
    pub fn datagram(
        &mut self,
        from: Side,
        payload: &[u8],
        truncated: bool,
        budget: &mut Budget,
        mut receive: impl FnMut(Side, Given<'_>) -> Taken,
    ) -> DatagramOutcome {
        if from == Side::Server {
            return self.server.datagram(payload, truncated, budget, |given| receive(Side::Server, given));
        }
        let mut dropped = self.meet(payload, truncated, budget);
        let mut begun = None;
        let Self { client, server, other, awaited, .. } = self;
        let mut outcome = client.datagram(payload, truncated, budget, |given| {
            let Given::Message(message) = given else {
                return receive(Side::Client, given);
            };
            let hello = message.kind == HandshakeType::CLIENT_HELLO;
            let random = random(message.body).filter(|random| hello && *awaited && Some(*random) == *other);
            if random.is_none() {
                return receive(Side::Client, given);
            }
            let mut taken = receive(Side::Client, Given::Another(message));
            if taken == Taken::Begins {
                server.tell_starts(|start| _ = receive(Side::Server, Given::Start(start)));
                taken = receive(Side::Client, Given::First(message));
                begun = random;
            }
            *awaited = taken == Taken::Malformed;
            taken
        });
        if begun.is_some() {
            dropped += self.client.begin_behind(BEGINNING, budget) + self.server.held_bytes();
            self.server.clear(budget);
            self.server = DtlsHalf::default();
            (self.first, self.other) = (begun, None);
        }
        outcome.dropped += dropped;
        outcome
    }

    /// Lets go of all that is held, and gives it back to the budget.
    pub fn clear(&mut self, budget: &mut Budget) {
        self.client.clear(budget);
        self.server.clear(budget);
    }

    /// Looks for a hello of another random, and makes way for it; bytes that were held in its place.
    fn meet(&mut self, payload: &[u8], truncated: bool, budget: &mut Budget) -> usize {
        let mut dropped = 0;
        let records = DtlsRecords::new(payload, truncated).map_while(Result::ok);
        for fragment in records.flat_map(|record| record.fragments().map_while(Result::ok)) {
            if (fragment.kind, fragment.message_seq) != BEGINNING || fragment.offset > 0 {
                continue;
            }
            let random = random(fragment.data);
            if self.first.is_none() {
                self.first = random;
            } else if random.is_some() && random != self.first && random != self.other {
                (self.other, self.awaited) = (random, true);
                dropped += self.client.forget(BEGINNING, budget);
            }
        }
        dropped
    }
}

/// The random in the body of a ClientHello, or the start of one.
fn random(body: &[u8]) -> Option<Random> {
    body.get(RANDOM_AT..)?.first_chunk().copied()
}
