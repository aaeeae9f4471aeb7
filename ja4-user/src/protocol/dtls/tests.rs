use ::tests::dtls::{datagrams, fragment, record};
use proptest::prelude::*;

use super::direction::*;
use super::fragments::{BUFFERED_BYTES, BUFFERED_MESSAGES, BUFFERED_RANGES};
use super::*;
use crate::conntrack::Budget;
use crate::model::Side;
use ja4::wire::WireError;

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;
const CERTIFICATE: u8 = 11;
const DONE: u8 = 14;

/// A direction under test, and the types and bodies of the messages that it has delivered.
#[derive(Default)]
struct Direction {
    half: DtlsDirection,
    budget: Budget,
    given: Vec<(u8, Vec<u8>)>,
}

impl Direction {
    fn take(&mut self, datagram: &[u8]) -> DtlsOutcome {
        let held = self.half.buffered_bytes();
        let outcome = self.half.push(datagram, false, &mut self.budget, |given| {
            if let DtlsMessage::Complete(message) = given {
                self.given.push((message.kind.0, message.body.to_vec()));
            }
            MessageVerdict::Parsed
        });
        assert_eq!(self.half.buffered_bytes() + outcome.released + outcome.dropped, held + outcome.buffered);
        assert!(self.half.buffered_bytes() <= BUFFERED_BYTES);
        outcome
    }

    fn take_all(&mut self, datagrams: &[Vec<u8>]) -> &mut Self {
        for datagram in datagrams {
            let _ = self.take(datagram);
        }
        self
    }

    /// The types delivered since the last call.
    fn kinds(&mut self) -> Vec<u8> {
        self.given.drain(..).map(|(kind, _)| kind).collect()
    }
}

/// A datagram with one complete message.
fn whole(kind: u8, seq: u16, body: &[u8]) -> Vec<u8> {
    datagrams(kind, seq, body, usize::MAX).remove(0)
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 7 + place / 256) as u8).collect()
}

#[test]
fn messages_within_one_datagram_are_not_copied() {
    let flight = [whole(SERVER_HELLO, 1, b"hello"), whole(CERTIFICATE, 2, b"chain"), whole(DONE, 3, b"")].concat();
    let mut direction = Direction::default();
    let outcome = direction.take(&flight);
    assert_eq!((outcome.messages, outcome.direct, outcome.buffered, outcome.error), (3, 10, 0, None));
    assert_eq!(direction.given, [(SERVER_HELLO, b"hello".to_vec()), (CERTIFICATE, b"chain".to_vec()), (DONE, vec![])]);
    assert!(direction.half.buffer.is_none() && direction.budget.used() == 0);
}

#[test]
fn fragments_are_reassembled_in_any_order() {
    let mut direction = Direction::default();
    let mut pieces = datagrams(CERTIFICATE, 2, &body(3000), 500);
    pieces.reverse();
    pieces.insert(0, whole(DONE, 3, b""));
    pieces.push(whole(SERVER_HELLO, 1, b"hello"));
    direction.take_all(&pieces[..7]);
    // The first message to arrive was number 3: earlier ones are delivered late.
    assert_eq!(direction.given, [(DONE, vec![]), (CERTIFICATE, body(3000))]);
    direction.kinds();
    direction.take_all(&pieces[7..]);
    assert_eq!(direction.kinds(), [SERVER_HELLO]);
    assert_eq!(direction.budget.used(), 0);
}

#[test]
fn messages_are_delivered_in_order() {
    let mut direction = Direction::default();
    let certificate = datagrams(CERTIFICATE, 1, &body(2000), 1200);
    direction.take_all(&[
        whole(SERVER_HELLO, 0, b"hello"),
        certificate[1].clone(),
        whole(DONE, 3, b""),
        whole(12, 2, b"key"),
    ]);
    assert_eq!(direction.kinds(), [SERVER_HELLO]);
    direction.take_all(&certificate[..1]);
    assert_eq!(direction.kinds(), [CERTIFICATE, 12, DONE]);
    assert_eq!(direction.budget.used(), 0);
}

#[test]
fn a_retransmitted_flight_delivers_nothing() {
    let flight: Vec<_> =
        [whole(SERVER_HELLO, 1, b"hello")].into_iter().chain(datagrams(CERTIFICATE, 2, &body(2000), 700)).collect();
    let mut direction = Direction::default();
    direction.take_all(&flight).take_all(&flight);
    assert_eq!(direction.kinds(), [SERVER_HELLO, CERTIFICATE]);
    // Also with other fragments.
    let again = datagrams(CERTIFICATE, 2, &body(2000), 300);
    let duplicate: usize = again.iter().map(|datagram| direction.take(datagram).duplicate).sum();
    assert_eq!((duplicate, direction.given.len()), (2000, 0));
}

#[test]
fn the_first_copy_of_a_byte_counts() {
    let mut direction = Direction::default();
    let piece = |offset, data: &[u8]| record(22, 0, &fragment(CERTIFICATE, 4, 9, offset, data));
    let _ = direction.take(&piece(2, b"cde"));
    let outcome = direction.take(&piece(0, b"abXdY"));
    assert_eq!((outcome.buffered, outcome.duplicate, outcome.conflicting), (2, 1, 2));
    let outcome = direction.take(&piece(3, b"??fghi"));
    assert_eq!((outcome.buffered, outcome.conflicting), (4, 2));
    assert_eq!(direction.given, [(CERTIFICATE, b"abcdefghi".to_vec())]);
    let other_length = record(22, 0, &fragment(DONE, 6, 9, 0, b"ab"));
    let _ = direction.take(&other_length);
    assert_eq!(direction.take(&record(22, 0, &fragment(DONE, 6, 8, 2, b"cdefgh"))).conflicting, 6);
}

#[test]
fn message_numbers_continue_or_restart_after_a_cookie_exchange() {
    for server_hello in [0, 1, 2] {
        let mut direction = Direction::default();
        let chain = datagrams(CERTIFICATE, server_hello + 1, &body(900), 500);
        direction.take_all(&[whole(HELLO_VERIFY_REQUEST, 0, b"cookie"), whole(SERVER_HELLO, server_hello, b"hello")]);
        direction.take_all(&chain);
        assert_eq!(direction.kinds(), [HELLO_VERIFY_REQUEST, SERVER_HELLO, CERTIFICATE]);
    }
    let mut client = Direction::default();
    client.take_all(&[
        whole(CLIENT_HELLO, 0, b"first"),
        whole(CLIENT_HELLO, 0, b"first"),
        whole(CLIENT_HELLO, 1, b"second"),
    ]);
    assert_eq!(client.given, [(CLIENT_HELLO, b"first".to_vec()), (CLIENT_HELLO, b"second".to_vec())]);
}

#[test]
fn buffered_messages_are_delivered_when_keys_change() {
    for end in [record(20, 0, &[1]), record(22, 1, &[9; 40]), vec![0x2c, 1, 2, 3]] {
        let mut direction = Direction::default();
        // Number 1 is lost.
        direction.take_all(&[
            whole(HELLO_VERIFY_REQUEST, 0, b"cookie"),
            whole(DONE, 3, b""),
            whole(CERTIFICATE, 2, b"chain"),
        ]);
        assert_eq!(direction.kinds(), [HELLO_VERIFY_REQUEST]);
        let _ = direction.take(&end);
        assert_eq!(direction.kinds(), [CERTIFICATE, DONE]);
        let _ = direction.take(&whole(12, 1, b"late"));
        assert_eq!(direction.kinds(), [12]);
    }
}

#[test]
fn the_oldest_incomplete_messages_are_evicted() {
    let mut direction = Direction::default();
    let begin = |seq| record(22, 0, &fragment(DONE, seq, 1000, 0, &[7; 900]));
    direction.take_all(&[whole(SERVER_HELLO, 0, b"hello"), whole(CERTIFICATE, 2, b"chain")]);
    for seq in 0..100 {
        let _ = direction.take(&begin(3 + seq));
        assert!(direction.half.buffer.as_ref().unwrap().messages.len() <= BUFFERED_MESSAGES);
    }
    assert_eq!(direction.kinds(), [SERVER_HELLO, CERTIFICATE]);
    // Messages are evicted for a long chain, too.
    direction.take_all(&datagrams(CERTIFICATE, 200, &body(BUFFERED_BYTES), 1200));
    let _ = direction.take(&record(20, 0, &[1]));
    assert_eq!(direction.given, [(CERTIFICATE, body(BUFFERED_BYTES))]);
}

#[test]
fn the_start_of_a_chain_that_is_too_long_is_buffered() {
    let long = body(BUFFERED_BYTES + 2000);
    let mut direction = Direction::default();
    let refused: usize = datagrams(CERTIFICATE, 0, &long, 1200).iter().map(|piece| direction.take(piece).refused).sum();
    assert_eq!((refused, direction.half.buffered_bytes()), (2000, BUFFERED_BYTES));
    let mut starts = Vec::new();
    direction.half.report_starts(|start| starts.push(start.body.to_vec()));
    assert_eq!(starts, [long[..BUFFERED_BYTES].to_vec()]);
    // The start of any other message is not reported.
    let outcome = direction.take(&record(22, 0, &fragment(DONE, 1, BUFFERED_BYTES + 1, 0, b"x")));
    assert_eq!(outcome.error, Some(WireError::TooLong));
    direction.half.clear(&mut direction.budget);
    assert_eq!(direction.budget.used(), 0);
}

#[test]
fn any_number_of_fragments_in_order_is_one_range() {
    for size in [1, 90, 256] {
        let mut direction = Direction::default();
        let pieces = datagrams(CERTIFICATE, 0, &body(40_000), size);
        let (last, others) = pieces.split_last().unwrap();
        direction.take_all(others);
        assert_eq!(direction.half.buffer.as_ref().unwrap().ranges, 1);
        assert!(direction.budget.used() <= 2 * 40_000);
        let _ = direction.take(last);
        assert_eq!((direction.given, direction.budget.used()), (vec![(CERTIFICATE, body(40_000))], 0), "{size}");
    }
    // Two ranges, joined by the late fragments between them.
    let mut direction = Direction::default();
    let mut pieces = datagrams(CERTIFICATE, 0, &body(30_000), 100);
    pieces.rotate_left(100);
    direction.take_all(&pieces);
    assert_eq!((direction.given, direction.budget.used()), (vec![(CERTIFICATE, body(30_000))], 0));
}

#[test]
fn tiny_fragments_are_bounded() {
    let mut direction = Direction::default();
    for place in 0..1000 {
        let _ = direction.take(&record(22, 0, &fragment(CERTIFICATE, 0, 3000, 2 * place, b"x")));
    }
    assert_eq!(direction.half.buffer.as_ref().unwrap().ranges, BUFFERED_RANGES);
    direction.half.clear(&mut direction.budget);
    assert_eq!((direction.budget.used(), direction.half.buffered_bytes()), (0, 0));
}

#[test]
fn the_budget_of_the_shard_is_not_exceeded() {
    let mut direction = Direction { budget: Budget::new(1000), ..Direction::default() };
    let outcome = direction.take(&record(22, 0, &fragment(CERTIFICATE, 0, 3000, 0, &[1; 900])));
    assert_eq!((outcome.refused, outcome.buffered, direction.budget.used()), (900, 0, 0));
    assert!(direction.half.buffer.is_none());
    let _ = direction.take(&record(22, 0, &fragment(CERTIFICATE, 0, 3000, 0, &[1; 100])));
    assert!((1..=1000).contains(&direction.budget.used()));
}

#[test]
fn a_copy_of_a_malformed_message_is_delivered() {
    let mut budget = Budget::default();
    let mut half = DtlsDirection::default();
    let mut given = Vec::new();
    for body in [&b"forged"[..], b"genuine", b"again"] {
        let _ = half.push(&whole(CLIENT_HELLO, 0, body), false, &mut budget, |one| {
            let DtlsMessage::Complete(message) = one else { return MessageVerdict::Parsed };
            given.push(message.body.to_vec());
            if message.body == b"forged" { MessageVerdict::Malformed } else { MessageVerdict::Parsed }
        });
    }
    assert_eq!(given, [b"forged".to_vec(), b"genuine".to_vec()]);
}

#[test]
fn messages_before_an_error_are_delivered() {
    let mut direction = Direction::default();
    let outcome = direction.take(&[whole(SERVER_HELLO, 0, b"hello"), b"garbage".to_vec()].concat());
    assert_eq!((outcome.messages, outcome.error), (1, Some(WireError::ContentType)));
    // A truncated datagram: its captured bytes count, and the rest may be retransmitted.
    let long = whole(CERTIFICATE, 1, &body(1000));
    let outcome = direction.half.push(&long[..500], true, &mut direction.budget, |_| MessageVerdict::Parsed);
    assert_eq!((outcome.buffered, outcome.error), (500 - 25, None));
    let _ = direction.take(&long);
    assert_eq!(direction.given, [(SERVER_HELLO, b"hello".to_vec()), (CERTIFICATE, body(1000))]);
}

#[test]
fn numbers_wrap() {
    let mut direction = Direction::default();
    direction.take_all(&[whole(DONE, u16::MAX, b""), whole(DONE, 1, b""), whole(DONE, 0, b"")]);
    assert_eq!(direction.given.len(), 3);
    assert_eq!(direction.half.next, Some(2));
}

/// The start of a ClientHello, followed by so many bytes.
fn hello_of(random: u8, rest: usize) -> Vec<u8> {
    [&[0xfe, 0xfd][..], &[random; 32], &body(rest)].concat()
}

#[test]
fn the_receiver_decides_where_an_association_begins() {
    let (mut association, mut budget) = (Association::default(), Budget::default());
    let mut given = Vec::new();
    let mut take = |association: &mut Association, from, datagram: &[u8], begins| {
        let held = association.buffered_bytes();
        let outcome = association.push(from, datagram, false, &mut budget, |side, one| {
            let (what, message) = match one {
                DtlsMessage::Complete(message) => ("message", message),
                DtlsMessage::Candidate(message) => ("another", message),
                DtlsMessage::First(message) => ("first", message),
                DtlsMessage::Incomplete(message) => ("start", message),
            };
            assert!(side == from || what == "start");
            given.push((message.kind.0, what));
            if begins && what == "another" { MessageVerdict::Begins } else { MessageVerdict::Parsed }
        });
        assert_eq!(association.buffered_bytes() + outcome.released + outcome.dropped, held + outcome.buffered);
        (std::mem::take(&mut given), budget.used())
    };
    let (client, server) = (Side::Client, Side::Server);
    let piece = |seq| record(22, 0, &fragment(CERTIFICATE, seq, 900, 0, &[7; 50]));
    let hello = whole(SERVER_HELLO, 0, b"hello");
    let first = whole(CLIENT_HELLO, 0, &hello_of(1, 40));
    assert_eq!(take(&mut association, client, &first, true).0, [(CLIENT_HELLO, "message")]);
    assert_eq!(
        take(&mut association, server, &[hello.clone(), piece(1)].concat(), true).0,
        [(SERVER_HELLO, "message")]
    );
    assert!(take(&mut association, client, &[first, piece(1)].concat(), true).1 > 0);
    // A further hello does not change the rest, and is delivered once.
    let second = whole(CLIENT_HELLO, 0, &hello_of(2, 40));
    assert_eq!(take(&mut association, client, &second, false).0, [(CLIENT_HELLO, "another")]);
    assert_eq!(take(&mut association, client, &second, true).0, []);
    assert_eq!(take(&mut association, server, &hello, true).0, []);
    // In two ranges, after a range of a message that stays incomplete.
    let third = datagrams(CLIENT_HELLO, 0, &hello_of(4, 40), 60);
    let forged = record(22, 0, &fragment(CLIENT_HELLO, 0, 900, 0, &hello_of(3, 10)));
    assert_eq!(take(&mut association, client, &forged, true).0, []);
    assert_eq!(take(&mut association, client, &third[0], true).0, []);
    let delivered = vec![(CLIENT_HELLO, "another"), (CERTIFICATE, "start"), (CLIENT_HELLO, "first")];
    assert_eq!(take(&mut association, client, &third[1], true), (delivered, 0));
    assert_eq!(take(&mut association, client, &third.concat(), true).0, []);
    assert_eq!(take(&mut association, server, &hello, true).0, [(SERVER_HELLO, "message")]);
}

proptest! {
    #[test]
    fn any_order_and_repetition_gives_each_message_once(
        lengths in prop::collection::vec(0_usize..2500, 1..6),
        sizes in prop::collection::vec(300_usize..1500, 6),
        order in any::<prop::sample::Index>(),
        seed in prop::collection::vec(any::<u16>(), 60),
    ) {
        let messages: Vec<(u8, Vec<u8>)> =
            lengths.iter().enumerate().map(|(number, &length)| (if number == 0 { SERVER_HELLO } else { 11 + number as u8 }, body(length))).collect();
        let mut flight: Vec<Vec<u8>> = Vec::new();
        for (number, (kind, body)) in messages.iter().enumerate() {
            flight.extend(datagrams(*kind, number as u16, body, sizes[number]));
            flight.extend(datagrams(*kind, number as u16, body, sizes[5 - number]));
        }
        let mut keyed: Vec<_> = seed.iter().cycle().zip(flight).collect();
        keyed.sort_by_key(|(key, _)| **key);
        let mut flight: Vec<Vec<u8>> = keyed.into_iter().map(|(_, datagram)| datagram).collect();
        let first = order.index(flight.len());
        flight.rotate_left(first);
        let mut direction = Direction::default();
        direction.take_all(&flight);
        let mut given = direction.given.clone();
        let mut expected = messages.clone();
        given.sort();
        expected.sort();
        prop_assert_eq!(given, expected);
        prop_assert_eq!(direction.budget.used(), 0);
    }
}
