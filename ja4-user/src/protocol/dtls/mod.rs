//! DTLS datagrams to handshake messages: of one direction here, of both in [`Association`].

mod association;
mod held;

use crate::conntrack::Budget;
use crate::model::Side;
pub use association::Association;
use held::{HELD_BYTES, Held, Name, Partial};
use ja4::wire::WireError;
use ja4::wire::dtls::{DtlsContentType, DtlsRecord, DtlsRecords, HandshakeFragment};
use ja4::wire::tls::{HandshakeMessage, HandshakeType};

/// Messages whose names are kept to know them again. A direction has two flights in the clear, of ten
/// messages together at most, and sends again no more than the last one.
const REMEMBERED: usize = 16;

/// What became of a datagram. No byte of a fragment goes uncounted:
///
/// `fragments = lent + buffered + duplicate + conflicting + refused`
///
/// and what is held changes by `buffered - released - dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct DatagramOutcome {
    /// Messages given to the receiver.
    pub messages: u32,
    /// Bytes of messages that lay in the datagram whole and were given on at once.
    pub lent: usize,
    /// Bytes now held.
    pub buffered: usize,
    /// Bytes given on that had been held.
    pub released: usize,
    /// Bytes that were delivered before, or are held with the same value.
    pub duplicate: usize,
    /// Bytes that are held with another value, which stays; or of a message held with another length.
    pub conflicting: usize,
    /// Bytes not held for lack of room.
    pub refused: usize,
    /// Bytes of incomplete messages that were let go: to make room, or because others take their place.
    pub dropped: usize,
    /// What is wrong with the datagram. What came before that in it has been taken.
    pub error: Option<WireError>,
}

/// What the receiver is given.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// A whole message.
    Message(HandshakeMessage<'a>),
    /// A whole ClientHello that may begin another association: [`Association`] alone gives it. To be read
    /// like any other, unless the answer is [`Taken::Begins`].
    Another(HandshakeMessage<'a>),
    /// The same once more, as it does.
    First(HandshakeMessage<'a>),
    /// What is known of a Certificate message that is let go of before its turn: the bytes up to the first
    /// that is missing. Nothing hangs on the answer.
    Start(HandshakeMessage<'a>),
}

/// What the receiver has made of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Taken {
    /// It has read it, or does not care for it.
    Read,
    /// It cannot read it. The message counts as not given: another copy may be well-formed.
    Malformed,
    /// Another association begins with it (see [`Association`]), and it is to be given once more when
    /// nothing is left of the one before.
    Begins,
}

/// One direction of a DTLS association until it is encrypted.
///
/// It begins with whatever message comes first, and gives messages in the order of their numbers. A hello
/// (ClientHello, ServerHello, HelloVerifyRequest) is given as soon as it is whole, and the numbering goes on
/// from there; a message that comes when a later one has been given is given late. What waits for one that
/// does not come is given when the direction changes its keys, or when room runs out.
///
/// The first copy of a byte that is held is the one that counts. No message is given twice as long as its
/// name is among the last sixteen, unless the receiver could not read it. Nothing ends a direction: whoever
/// knows the ports can send a message of any kind.
///
/// What is held is charged to the shard's [`Budget`]: call [`DtlsHalf::clear`] before this is dropped.
#[derive(Debug, Default)]
pub struct DtlsHalf {
    /// Number of the next message to give; `None` before the first.
    next: Option<u16>,
    /// Names of messages given, in a ring.
    given: [Option<Name>; REMEMBERED],
    /// Place in `given` of the next name.
    given_next: u8,
    /// Only while there is something to hold.
    held: Option<Box<Held>>,
}

impl DtlsHalf {
    /// Bytes held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes)
    }

    /// Takes the payload of a datagram, of which the capture left out the end if `truncated`, and gives
    /// `receive` the messages that are now due. A message that lies in the datagram whole is lent from it.
    pub fn datagram(
        &mut self,
        payload: &[u8],
        truncated: bool,
        budget: &mut Budget,
        receive: impl FnMut(Given<'_>) -> Taken,
    ) -> DatagramOutcome {
        let mut delivery = Delivery { outcome: DatagramOutcome::default(), budget, receive };
        self.walk(payload, truncated, &mut delivery);
        delivery.outcome
    }

    /// Tells of Certificate messages that are not whole, or wait for one that is missing.
    pub fn tell_starts(&self, mut tell: impl FnMut(HandshakeMessage<'_>)) {
        self.held.iter().flat_map(|held| &held.messages).for_each(|message| message.tell_start(&mut tell));
    }

    /// Lets go of all that is held, and gives it back to the budget.
    pub fn clear(&mut self, budget: &mut Budget) {
        if let Some(held) = self.held.take() {
            for message in held.messages {
                budget.credit(message.cost());
            }
        }
    }

    /// Takes a message for one that has not come yet; bytes of it that were held.
    fn forget(&mut self, name: Name, budget: &mut Budget) -> usize {
        self.given.iter_mut().filter(|given| **given == Some(name)).for_each(|given| *given = None);
        let place = self.held.as_ref().and_then(|held| held.messages.iter().position(|message| message.name == name));
        let Some(message) = place.and_then(|place| self.take(place)) else {
            return 0;
        };
        budget.credit(message.cost());
        message.bytes
    }

    /// Begins anew behind the message of this name; bytes that were held.
    fn begin_behind(&mut self, name: Name, budget: &mut Budget) -> usize {
        let dropped = self.held_bytes();
        self.clear(budget);
        *self = Self { next: Some(name.1.wrapping_add(1)), ..Self::default() };
        self.remember(name);
        dropped
    }

    fn walk<R>(&mut self, payload: &[u8], truncated: bool, delivery: &mut Delivery<'_, R>)
    where
        R: FnMut(Given<'_>) -> Taken,
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
            self.release(Due::Anything, delivery);
        }
    }

    fn record<R>(&mut self, record: &DtlsRecord<'_>, delivery: &mut Delivery<'_, R>)
    where
        R: FnMut(Given<'_>) -> Taken,
    {
        if record.content == DtlsContentType::CHANGE_CIPHER_SPEC || record.epoch != 0 {
            return self.release(Due::Anything, delivery);
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
        R: FnMut(Given<'_>) -> Taken,
    {
        let name = (fragment.kind, fragment.message_seq);
        self.next.get_or_insert(fragment.message_seq);
        if self.given.contains(&Some(name)) {
            delivery.outcome.duplicate += fragment.data.len();
            return;
        }
        let begun = self.held.as_ref().is_some_and(|held| held.messages.iter().any(|message| message.name == name));
        if !begun && fragment.is_message() && self.is_due(name) {
            delivery.outcome.lent += fragment.data.len();
            self.give(name, fragment.data, delivery);
        } else {
            self.hold(fragment, delivery);
        }
        self.release(Due::InOrder, delivery)
    }

    /// Whether a whole message of this name may be given now.
    fn is_due(&self, (kind, seq): Name) -> bool {
        is_hello(kind) || self.next.is_none_or(|next| distance(next, seq) <= 0)
    }

    /// Gives a message to the receiver, and moves on to the next number.
    fn give<R>(&mut self, name: Name, body: &[u8], delivery: &mut Delivery<'_, R>)
    where
        R: FnMut(Given<'_>) -> Taken,
    {
        let (kind, seq) = name;
        delivery.outcome.messages += 1;
        if (delivery.receive)(Given::Message(HandshakeMessage { kind, body })) != Taken::Malformed {
            self.remember(name);
        }
        let mut next = self.next.unwrap_or(seq);
        if is_hello(kind) || distance(next, seq) >= 0 {
            next = seq.wrapping_add(1);
        }
        // What came before its turn is behind us as well. At most REMEMBERED steps.
        while self.given.iter().flatten().any(|&(_, given)| given == next) {
            next = next.wrapping_add(1);
        }
        self.next = Some(next);
    }

    fn remember(&mut self, name: Name) {
        if let Some(place) = self.given.get_mut(usize::from(self.given_next) % REMEMBERED) {
            *place = Some(name);
        }
        self.given_next = self.given_next.wrapping_add(1); // modulo 256, a multiple of REMEMBERED
    }

    /// Gives what is held and whole, lowest number first, as far as it is due.
    fn release<R>(&mut self, due: Due, delivery: &mut Delivery<'_, R>)
    where
        R: FnMut(Given<'_>) -> Taken,
    {
        while let Some(message) = self.take_whole(due) {
            delivery.budget.credit(message.cost());
            delivery.outcome.released += message.bytes;
            match message.pieces.as_slice() {
                [piece] => self.give(message.name, &piece.data, delivery),
                pieces => {
                    let mut body = Vec::with_capacity(message.length);
                    pieces.iter().for_each(|piece| body.extend_from_slice(&piece.data));
                    self.give(message.name, &body, delivery);
                }
            }
        }
    }

    /// Takes the whole message with the lowest number out of what is held.
    fn take_whole(&mut self, due: Due) -> Option<Partial> {
        let held = self.held.as_ref()?;
        let next = self.next.unwrap_or_default();
        let (place, _) = held
            .messages
            .iter()
            .enumerate()
            .filter(|(_, message)| message.is_whole() && (due == Due::Anything || self.is_due(message.name)))
            .min_by_key(|(_, message)| distance(next, message.name.1))?;
        self.take(place)
    }

    /// Takes the message at this place out of what is held.
    fn take(&mut self, place: usize) -> Option<Partial> {
        let held = self.held.as_mut()?;
        if place >= held.messages.len() {
            return None;
        }
        let message = held.messages.remove(place);
        held.bytes = held.bytes.saturating_sub(message.bytes);
        held.pieces = held.pieces.saturating_sub(message.pieces.len());
        if held.messages.is_empty() {
            self.held = None;
        }
        Some(message)
    }

    /// Holds those bytes of a fragment that no piece has yet. Where there is no room, what waits is given,
    /// then those that began first are let go.
    fn hold<R>(&mut self, fragment: &HandshakeFragment<'_>, delivery: &mut Delivery<'_, R>)
    where
        R: FnMut(Given<'_>) -> Taken,
    {
        // Of what is longer than there is room for, a start is held.
        let within = fragment.data.len().min(HELD_BYTES.saturating_sub(fragment.offset));
        let (data, beyond) = fragment.data.split_at(within);
        delivery.outcome.refused += beyond.len();
        let fragment = &HandshakeFragment { data, ..*fragment };
        if data.is_empty() && !fragment.is_message() {
            return;
        }
        let name = (fragment.kind, fragment.message_seq);
        loop {
            let held = self.held.get_or_insert_default();
            if held.has_room(fragment, name) {
                held.insert(fragment, name, delivery.budget, &mut delivery.outcome);
                if held.messages.is_empty() {
                    self.held = None;
                }
                return;
            }
            self.release(Due::Anything, delivery);
            if self.held.as_ref().is_none_or(|held| held.has_room(fragment, name)) {
                continue;
            }
            let oldest = self.held.iter().flat_map(|held| &held.messages).position(|message| message.name != name);
            let Some(message) = oldest.and_then(|place| self.take(place)) else {
                delivery.outcome.refused += fragment.data.len();
                return;
            };
            message.tell_start(|start| _ = (delivery.receive)(Given::Start(start)));
            delivery.budget.credit(message.cost());
            delivery.outcome.dropped += message.bytes;
        }
    }
}

/// Which messages [`DtlsHalf::release`] gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Those whose turn it is.
    InOrder,
    /// Those that wait for others as well.
    Anything,
}

/// Where messages go to, and what is told of it.
struct Delivery<'a, R> {
    outcome: DatagramOutcome,
    budget: &'a mut Budget,
    receive: R,
}

/// Who sends a datagram, by the first message in it that only one side sends (RFC 6347, section 4.3.2).
#[must_use]
pub fn sender(payload: &[u8], truncated: bool) -> Option<Side> {
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

/// How far `seq` lies beyond `next`, modulo 2^16.
fn distance(next: u16, seq: u16) -> i16 {
    seq.wrapping_sub(next).cast_signed()
}

#[cfg(test)]
mod tests;
