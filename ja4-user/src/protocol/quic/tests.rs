use std::ops::ControlFlow;

use proptest::prelude::*;

use self::vectors::{DCID, RETRY, SERVER_FRAMES, SERVER_ID, SERVER_INITIAL, VERSIONS, client_initial, hex};
use super::*;
use crate::conntrack::{Budget, SegmentOutcome};
use crate::model::{Side, Time};
use crate::protocol::UdpDatagram;
use ja4::wire::WireError;
use ja4::wire::quic::{InitialHeader, LongPacket, PacketKeys, PacketKind, Packets, V1, V2, seal};
use ja4_common::bytes::SliceFrame;
use ja4_common::datagram::{DatagramKind as Selected, QUIC_FIRST, classify};
use ja4_common::headers::PacketHeaders;

#[path = "../../../ja4/src/wire/quic/vectors.rs"]
#[allow(dead_code, reason = "the crate that owns the vectors uses all of them")]
mod vectors;

/// A flow under test, and the messages of its datagrams.
#[derive(Default)]
struct Tap {
    flow: QuicConnections<u32>,
    engine: QuicBuffers,
    budget: Budget,
    messages: Vec<(Side, u8, Vec<u8>)>,
    /// Whether parsing continues after a message.
    parsing_all: bool,
    /// Messages of connections over the limit.
    over_limit: usize,
    /// The time of the next datagram.
    now: u64,
}

impl Tap {
    fn within(budget: usize) -> Self {
        let mut tap = Self::default();
        tap.budget = Budget::new(budget);
        tap
    }

    fn parsing_all() -> Self {
        let mut tap = Self::default();
        tap.parsing_all = true;
        tap
    }

    fn take(&mut self, from: Side, payload: &[u8]) -> QuicOutcome {
        self.cut(from, payload, payload.len())
    }

    fn cut(&mut self, from: Side, payload: &[u8], captured: usize) -> QuicOutcome {
        let (time, payload, wire_len) = (Time(self.now), &payload[..captured], payload.len());
        self.now += 1;
        let datagram = UdpDatagram { payload, wire_len, from_high: from == Side::Server, time, ttl: 64 };
        self.flow.push(&mut self.engine, &datagram, &mut self.budget, |data, given| {
            *data += 1;
            let QuicMessage { side, message, over_limit, .. } = given;
            self.over_limit += usize::from(over_limit);
            self.messages.push((side, message.kind.0, message.body.to_vec()));
            if self.parsing_all { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    }

    /// The connections' states.
    fn states(&self) -> Vec<&QuicState> {
        self.flow.iter().map(|entry| &entry.state).collect()
    }

    /// The state of the only connection.
    fn state(&self) -> &QuicState {
        assert_eq!(self.states().len(), 1);
        self.states()[0]
    }

    /// Senders of the messages.
    fn sides(&self) -> Vec<Side> {
        self.messages.iter().map(|(side, ..)| *side).collect()
    }
}

/// Ends a test: all memory is returned to the budget.
impl Drop for Tap {
    fn drop(&mut self) {
        self.flow.close(&mut self.budget);
        assert_eq!(self.budget.used(), 0);
    }
}

fn errors(seen: &QuicOutcome) -> Vec<WireError> {
    seen.errors().collect()
}

/// A message with the header of a ClientHello.
fn hello(len: usize) -> Vec<u8> {
    let body = (0..len).map(|place| (place * 7) as u8);
    [1, 0, (len >> 8) as u8, len as u8].into_iter().chain(body).collect()
}

fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    let offset = 0x8000_0000 | offset as u32;
    let length = 0x4000 | data.len() as u16;
    [&[6][..], &offset.to_be_bytes(), &length.to_be_bytes(), data].concat()
}

/// An Initial; its keys are derived from `keyed`.
fn initial(version: u32, side: Side, keyed: &[u8], dcid: &[u8], scid: &[u8], frames: &[u8]) -> Vec<u8> {
    let keys = match side {
        Side::Client => PacketKeys::client(version, keyed),
        Side::Server => PacketKeys::server(version, keyed),
    };
    let header = InitialHeader { version, dcid, scid, token: &[], number: 0, number_len: 1 };
    let mut datagram = Vec::new();
    let frames = [frames, &[0; 3]].concat();
    seal(&header, &keys.unwrap(), &frames, &mut datagram).unwrap();
    datagram
}

fn from_client(frames: &[u8]) -> Vec<u8> {
    initial(V1, Side::Client, DCID, DCID, &[], frames)
}

#[test]
fn both_hellos_of_the_rfcs() {
    for (version, answer) in VERSIONS.into_iter().zip(SERVER_INITIAL) {
        let mut tap = Tap::default();
        let first = client_initial(version);
        let seen = tap.take(Side::Client, &first);
        assert!(seen.has_initial && errors(&seen).is_empty());
        assert_eq!(seen.crypto.delivered, 241);
        assert_eq!(seen.connection, Some(0));
        let seen = tap.take(Side::Server, &hex(answer));
        assert!(seen.has_initial && errors(&seen).is_empty());
        assert_eq!(tap.sides(), [Side::Client, Side::Server]);
        assert_eq!((tap.messages[0].1, tap.messages[1].1), (1, 2));
        assert_eq!(tap.messages[1].2, hex(SERVER_FRAMES)[13..]);
        assert!(tap.state().is_done());
        assert_eq!(tap.state().version(), version);
        // The same Initial again is recognized, and not decrypted.
        let seen = tap.take(Side::Client, &first);
        assert!(seen.has_initial && seen.crypto == SegmentOutcome::default());
        assert_eq!((tap.messages.len(), tap.states().len()), (2, 1));
    }
}

#[test]
fn frames_shuffled_within_a_packet_are_not_buffered() {
    let hello = hello(700);
    let cuts = [0, 100, 101, 350, 600, hello.len()];
    let mut pieces: Vec<Vec<u8>> = cuts.windows(2).map(|cut| crypto(cut[0], &hello[cut[0]..cut[1]])).collect();
    pieces.reverse();
    pieces.insert(2, vec![1, 0, 0, 0, 1]);
    let mut tap = Tap::within(0);
    let seen = tap.take(Side::Client, &from_client(&pieces.concat()));
    assert_eq!((seen.crypto.delivered, seen.crypto.buffered), (hello.len(), 0));
    assert_eq!(tap.messages, [(Side::Client, 1, hello[4..].to_vec())]);
}

#[test]
fn a_hello_over_several_datagrams_in_any_order() {
    let hello = hello(2000);
    let [first, second, third] =
        [0..900, 900..1500, 1500..2004].map(|part| from_client(&crypto(part.start, &hello[part])));
    for order in [[&first, &second, &third], [&third, &second, &first], [&second, &first, &third]] {
        let mut tap = Tap::default();
        for (number, datagram) in order.into_iter().enumerate() {
            assert!(tap.messages.is_empty());
            assert!(number == 0 || tap.budget.used() > 0);
            let _ = tap.take(Side::Client, datagram);
        }
        assert_eq!(tap.messages, [(Side::Client, 1, hello[4..].to_vec())]);
        assert_eq!(tap.budget.used(), 0);
    }
}

#[test]
fn the_first_copy_in_a_packet_counts() {
    let hello = hello(100);
    let frames = [crypto(50, &[9; 10]), crypto(0, &hello)].concat();
    let mut tap = Tap::default();
    let seen = tap.take(Side::Client, &from_client(&frames));
    let mut expected = hello[4..].to_vec();
    expected[46..56].fill(9);
    assert_eq!(tap.messages, [(Side::Client, 1, expected)]);
    assert_eq!(seen.crypto.conflicting, 10);
}

#[test]
fn a_truncated_datagram_has_a_complete_hello() {
    let hello = hello(300);
    let datagram = from_client(&[&crypto(0, &hello)[..], &[0; 800]].concat());
    let header = datagram.len() - 3 - 800 - 16 - hello.len() - 7;
    for (captured, given) in [(header + 7 + 304, true), (header + 7 + 303, false), (600, true), (60, false)] {
        let mut tap = Tap::default();
        let seen = tap.cut(Side::Client, &datagram, captured);
        assert!(errors(&seen).is_empty() && seen.has_initial, "{captured}: {seen:?}");
        assert_eq!(tap.messages.len(), usize::from(given), "{captured}");
    }
    // The rest is retransmitted in one datagram.
    let mut tap = Tap::default();
    let _ = tap.cut(Side::Client, &datagram, 200);
    let _ = tap.take(Side::Client, &datagram);
    assert_eq!(tap.messages, [(Side::Client, 1, hello[4..].to_vec())]);
    let seen = Tap::default().cut(Side::Client, &datagram, header + 10);
    assert_eq!(errors(&seen), [WireError::Truncated]);
}

#[test]
fn a_truncated_packet_with_malformed_frames_changes_nothing() {
    let mut tap = Tap::default();
    let noise = initial(V1, Side::Client, b"another key", DCID, b"me", &crypto(0, &hello(900)));
    let seen = tap.cut(Side::Client, &noise, 800);
    assert_eq!(errors(&seen), [WireError::Unauthenticated]);
    assert!(!seen.has_initial && tap.states().is_empty() && tap.messages.is_empty());
}

#[test]
fn all_coalesced_packets_are_parsed() {
    let mut datagram = from_client(&crypto(0, &hello(50)));
    let ids = [&[8][..], DCID, &[2], b"me"].concat();
    for (first, number) in [(0xd0, 20), (0xe0, 25)] {
        datagram.extend([&[first, 0, 0, 0, 1][..], &ids, &[number], &vec![0x55; number.into()]].concat());
    }
    datagram.extend([0x40; 30]);
    let seen = Tap::default().take(Side::Client, &datagram);
    assert!(seen.has_initial && seen.has_handshake);
    assert!(errors(&seen).is_empty());
}

#[test]
fn a_retry_changes_the_keys() {
    for (version, retry) in VERSIONS.into_iter().zip(RETRY) {
        let server = |keyed| initial(version, Side::Server, keyed, &[], b"later", &crypto(0, &hello(60)));
        let mut tap = Tap::default();
        let _ = tap.take(Side::Client, &client_initial(version));
        let seen = tap.take(Side::Server, &hex(retry));
        assert!(errors(&seen).is_empty());
        let again = initial(version, Side::Client, SERVER_ID, SERVER_ID, &[], &crypto(0, &hello(90)));
        let seen = tap.take(Side::Client, &again);
        assert!(seen.has_initial && errors(&seen).is_empty());
        assert_eq!(errors(&tap.take(Side::Server, &server(b"neither"))), [WireError::Unauthenticated]);
        assert!(tap.take(Side::Server, &server(SERVER_ID)).has_initial);
        // With the destination of the first Initial, before the Retry.
        assert_eq!(tap.state().first_initial(), (Time(0), 64));
        // The hello was delivered before, and is not delivered again.
        assert_eq!(tap.sides(), [Side::Client, Side::Server]);
    }
}

#[test]
fn a_retry_between_the_parts_of_a_hello() {
    let hello = hello(500);
    let mut tap = Tap::default();
    let _ = tap.take(Side::Client, &from_client(&crypto(0, &hello[..200])));
    let _ = tap.take(Side::Server, &hex(RETRY[0]));
    let retried = |part: std::ops::Range<usize>| {
        initial(V1, Side::Client, SERVER_ID, SERVER_ID, &[], &crypto(part.start, &hello[part]))
    };
    let _ = tap.take(Side::Client, &retried(0..200));
    let _ = tap.take(Side::Client, &retried(200..504));
    assert_eq!(tap.states().len(), 1);
    assert_eq!(tap.messages, [(Side::Client, 1, hello[4..].to_vec())]);
}

#[test]
fn a_forged_retry_changes_nothing() {
    let hello = hello(500);
    let mut tap = Tap::default();
    let _ = tap.take(Side::Client, &from_client(&crypto(0, &hello[..200])));
    let _ = tap.take(Side::Server, &hex(RETRY[0]));
    let _ = tap.take(Side::Client, &from_client(&crypto(200, &hello[200..])));
    let _ = tap.take(Side::Server, &hex(SERVER_INITIAL[0]));
    assert_eq!(tap.sides(), [Side::Client, Side::Server]);
}

#[test]
fn the_client_keeps_its_keys_when_it_writes_to_the_servers_choice() {
    let mut tap = Tap::parsing_all();
    let _ = tap.take(Side::Client, &from_client(&crypto(0, &hello(80))));
    let _ = tap.take(Side::Server, &hex(SERVER_INITIAL[0]));
    let second = initial(V1, Side::Client, DCID, SERVER_ID, b"me", &crypto(84, &hello(40)));
    let seen = tap.take(Side::Client, &second);
    assert!(seen.has_initial && errors(&seen).is_empty());
    assert_eq!(tap.sides(), [Side::Client, Side::Server, Side::Client]);
}

#[test]
fn a_new_connection_on_the_same_ports() {
    let mut tap = Tap::default();
    let _ = tap.take(Side::Client, &client_initial(V1));
    let _ = tap.take(Side::Server, &hex(SERVER_INITIAL[0]));
    let hello = hello(70);
    let seen = tap.take(Side::Client, &initial(V2, Side::Client, b"freshly!", b"freshly!", b"me", &crypto(0, &hello)));
    assert!(seen.has_initial && errors(&seen).is_empty());
    assert_eq!((tap.states().len(), tap.states()[1].first_initial()), (2, (Time(2), 64)));
    assert_eq!(tap.messages.last(), Some(&(Side::Client, 1, hello[4..].to_vec())));
    assert_eq!(tap.states()[1].version(), V2);
}

/// An Initial of another client on the same ports.
fn decoy(id: &[u8], hello: &[u8]) -> Vec<u8> {
    initial(V1, Side::Client, id, id, b"he", &crypto(0, hello))
}

#[test]
fn a_forged_initial_does_not_replace_an_answered_connection() {
    let hello = hello(90);
    let theirs = (Side::Client, 1, hello[4..].to_vec());
    for decoys in [&[&b"decoy 01"[..]][..], &[b"decoy 01", b"decoy 02", b"decoy 03"]] {
        let mut tap = Tap::default();
        let _ = tap.take(Side::Client, &client_initial(V1));
        for id in decoys {
            assert!(tap.take(Side::Client, &decoy(id, &hello)).has_initial);
            assert_eq!(tap.messages.pop().as_ref(), Some(&theirs));
        }
        // The retransmission of the client is a duplicate.
        assert!(tap.take(Side::Client, &client_initial(V1)).has_initial);
        let seen = tap.take(Side::Server, &hex(SERVER_INITIAL[0]));
        assert!(seen.has_initial && errors(&seen).is_empty());
        assert_eq!(tap.sides(), [Side::Client, Side::Server]);
        assert_eq!((seen.connection, tap.states()[0].first_initial()), (Some(0), (Time(0), 64)));
        assert!(tap.states()[0].is_done());
    }
}

#[test]
fn the_server_may_answer_the_later_one_as_well() {
    let mut tap = Tap::default();
    for id in [&b"decoy 01"[..], b"decoy 02"] {
        let _ = tap.take(Side::Client, &decoy(id, &hello(90)));
    }
    let _ = tap.take(Side::Client, &client_initial(V1));
    let seen = tap.take(Side::Server, &hex(SERVER_INITIAL[0]));
    assert!(seen.has_initial);
    assert_eq!((seen.connection, tap.states()[2].first_initial()), (Some(2), (Time(2), 64)));
}

/// Initials of connections of these numbers.
fn decoys(tap: &mut Tap, numbers: std::ops::Range<u8>) {
    for number in numbers {
        assert!(tap.take(Side::Client, &decoy(&[b'd', number, 0, 0, 0, 0, 0, 0], &hello(90))).has_initial);
    }
}

#[test]
fn connections_over_the_limit_replace_the_last_one() {
    let mut tap = Tap::default();
    decoys(&mut tap, 0..30);
    assert_eq!((tap.states().len(), tap.messages.len(), tap.over_limit), (MAX_CONNECTIONS, 30, 30 - MAX_CONNECTIONS));
    let asked: Vec<_> = tap.states().iter().map(|state| state.first_initial().0.0).collect();
    assert_eq!(asked, [0, 1, 2, 3, 4, 5, 6, 29]);
    // A connection that has expired is evicted.
    tap.now = 10_000_000_003;
    decoys(&mut tap, 30..34);
    assert_eq!(
        (tap.over_limit, tap.states()[MAX_CONNECTIONS - 1].first_initial().0.0),
        (30 - MAX_CONNECTIONS, 10_000_000_006)
    );
}

#[test]
fn connections_that_are_done_are_evicted_first() {
    let mut tap = Tap::default();
    decoys(&mut tap, 0..3);
    let _ = tap.take(Side::Client, &client_initial(V1));
    let _ = tap.take(Side::Server, &hex(SERVER_INITIAL[0]));
    decoys(&mut tap, 3..9);
    assert_eq!((tap.states().len(), tap.over_limit), (MAX_CONNECTIONS, 1));
    assert!(tap.states().iter().all(|state| !state.is_done()));
}

#[test]
fn incomplete_messages_of_evicted_connections_are_counted() {
    let mut tap = Tap::default();
    let long = hello(900);
    let half = |number: u8| decoy(&[b'h', number, 0, 0, 0, 0, 0, 0], &long[..500]);
    let gone: u64 = (0..10).map(|number| tap.take(Side::Client, &half(number)).evicted_messages).sum();
    assert_eq!(gone, 10 - MAX_CONNECTIONS as u64);
}

#[test]
fn each_retry_belongs_to_one_client() {
    // The integrity tag of a Retry is not verified.
    let retry = |to: &[u8], id: &[u8]| {
        let ids = [&[to.len() as u8][..], to, &[id.len() as u8], id].concat();
        [&[0xf0, 0, 0, 0, 1][..], &ids, &[0; 32]].concat()
    };
    for clients in [[&b"one"[..], b"two", b"six"], [b"", b"", b""]] {
        let mut tap = Tap::default();
        let ids = [b"original", b"secondly", b"the last"];
        let later = [b"retried1", b"retried2", b"retried3"];
        for (id, client) in ids.iter().zip(clients) {
            let _ = tap.take(Side::Client, &initial(V1, Side::Client, *id, *id, client, &crypto(0, &hello(90))));
        }
        for (id, client) in later.iter().zip(clients) {
            let _ = tap.take(Side::Server, &retry(client, *id));
        }
        for (id, client) in later.iter().zip(clients) {
            let _ = tap.take(Side::Client, &initial(V1, Side::Client, *id, *id, client, &crypto(0, &hello(90))));
        }
        for (place, (id, client)) in later.iter().zip(clients).enumerate() {
            let seen = tap.take(Side::Server, &initial(V1, Side::Server, *id, client, *id, &crypto(0, &hello(60))));
            assert_eq!((seen.connection, seen.has_initial), (Some(place), true));
        }
        assert_eq!((tap.messages.len(), tap.states().len()), (6, 3));
    }
}

#[test]
fn a_forged_initial_between_the_parts_of_a_hello() {
    let hello = hello(900);
    let mut tap = Tap::default();
    let _ = tap.take(Side::Client, &from_client(&crypto(0, &hello[..500])));
    let _ = tap.take(Side::Client, &decoy(b"decoy 01", &self::hello(300)[..200]));
    let _ = tap.take(Side::Client, &from_client(&crypto(500, &hello[500..])));
    assert_eq!(tap.messages, [(Side::Client, 1, hello[4..].to_vec())]);
    assert!(tap.take(Side::Server, &hex(SERVER_INITIAL[0])).has_initial);
}

#[test]
fn a_forged_initial_between_the_parts_of_an_answer() {
    let answer = hello(600);
    let server = |part: std::ops::Range<usize>| {
        initial(V1, Side::Server, DCID, b"me", SERVER_ID, &crypto(part.start, &answer[part]))
    };
    let mut tap = Tap::default();
    let _ = tap.take(Side::Client, &client_initial(V1));
    let _ = tap.take(Side::Server, &server(0..400));
    let _ = tap.take(Side::Client, &decoy(b"decoy 01", &hello(90)));
    let _ = tap.take(Side::Server, &server(400..604));
    assert_eq!(tap.messages.last(), Some(&(Side::Server, 1, answer[4..].to_vec())));
}

#[test]
fn a_forged_initial_after_a_forged_retry() {
    let mut tap = Tap::default();
    let _ = tap.take(Side::Client, &client_initial(V1));
    let _ = tap.take(Side::Server, &hex(RETRY[0]));
    let _ = tap.take(Side::Client, &decoy(SERVER_ID, &hello(90)));
    assert!(tap.take(Side::Server, &hex(SERVER_INITIAL[0])).has_initial);
    assert_eq!(tap.sides(), [Side::Client, Side::Server]);
}

#[test]
fn only_the_client_was_captured() {
    let mut tap = Tap::default();
    let _ = tap.take(Side::Client, &client_initial(V1));
    let second = initial(V1, Side::Client, DCID, SERVER_ID, b"me", &[2, 0, 0, 0, 0]);
    for _ in 0..2 {
        let seen = tap.take(Side::Client, &second);
        assert!(seen.has_initial && errors(&seen).is_empty());
    }
    assert_eq!(tap.states().len(), 1);
}

#[test]
fn the_negotiated_version_has_its_own_keys() {
    // RFC 9369, section 4: the client begins with version 1, the server continues with version 2.
    let mut tap = Tap::parsing_all();
    let _ = tap.take(Side::Client, &client_initial(V1));
    let seen = tap.take(Side::Server, &hex(SERVER_INITIAL[1]));
    assert!(seen.has_initial && errors(&seen).is_empty());
    let third = initial(V2, Side::Client, DCID, SERVER_ID, b"me", &[2, 0, 0, 0, 0]);
    assert!(tap.take(Side::Client, &third).has_initial);
    assert_eq!(tap.state().version(), V2);
}

#[test]
fn the_sender_of_a_client_initial_is_the_client() {
    let mut tap = Tap::default();
    let seen = tap.take(Side::Server, &client_initial(V1));
    assert!(seen.has_initial && seen.from == Some(Side::Client));
    let seen = tap.take(Side::Client, &hex(SERVER_INITIAL[0]));
    assert!(seen.has_initial && seen.from == Some(Side::Server));
    assert_eq!(tap.sides(), [Side::Client, Side::Server]);
}

#[test]
fn a_server_without_a_client_cannot_be_decrypted() {
    let mut tap = Tap::default();
    for from in [Side::Client, Side::Server] {
        let seen = tap.take(from, &hex(SERVER_INITIAL[0]));
        assert_eq!((seen.from, seen.has_initial, errors(&seen)), (None, false, vec![WireError::Unauthenticated]));
    }
    assert!(tap.take(Side::Client, &client_initial(V1)).has_initial);
}

#[test]
fn errors_inside_a_packet_are_counted() {
    let mut tap = Tap::default();
    let seen = tap.take(Side::Client, &from_client(&[&crypto(0, &hello(40))[..], &[8]].concat()));
    assert_eq!((seen.has_initial, errors(&seen)), (true, vec![WireError::Value]));
    assert!(tap.messages.is_empty());
    let far = crypto(MAX_HANDSHAKE_STREAM, b"xxxxx");
    assert_eq!(errors(&tap.take(Side::Client, &from_client(&far))), [WireError::TooLong]);
    let mut unknown = client_initial(V1);
    unknown[1] = 0x3a;
    let seen = Tap::default().take(Side::Client, &unknown);
    assert_eq!(errors(&seen), [WireError::Unsupported]);
    assert!(!seen.has_initial);
}

/// The longest message, without its header.
const MAX_HANDSHAKE_STREAM: usize = ja4::wire::tls::MAX_HANDSHAKE_MESSAGE;

#[test]
fn a_hello_over_the_budget_is_dropped() {
    let hello = hello(1000);
    let mut tap = Tap::within(100);
    let seen = tap.take(Side::Client, &from_client(&crypto(0, &hello[..500])));
    assert_eq!(seen.crypto.refused.budget, 500);
    let _ = tap.take(Side::Client, &from_client(&crypto(500, &hello[500..])));
    assert!(tap.messages.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_a_hello_is_cut_it_is_the_same(
        len in 0usize..3000,
        cuts in prop::collection::vec(0usize..3004, 0..12),
        repeats in prop::collection::vec((0usize..3004, 0usize..200), 0..4),
        order in any::<u64>(),
        per_packet in 1usize..6,
    ) {
        let hello = hello(len);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(hello.len())).chain([0, hello.len()]).collect();
        cuts.sort_unstable();
        let mut parts: Vec<(usize, usize)> = cuts.windows(2).map(|cut| (cut[0], cut[1])).collect();
        parts.extend(repeats.iter().map(|&(at, len)| (at.min(hello.len()), (at + len).min(hello.len()))));
        // Any order that depends on the number only.
        let mut random = order | 1;
        parts.sort_by_cached_key(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random >> 33
        });
        let mut tap = Tap::default();
        for packet in parts.chunks(per_packet) {
            let frames: Vec<u8> = packet.iter().flat_map(|&(from, to)| crypto(from, &hello[from..to])).collect();
            let seen = tap.take(Side::Client, &from_client(&frames));
            prop_assert_eq!(errors(&seen), vec![]);
            prop_assert_eq!((seen.crypto.conflicting, seen.crypto.refused.total()), (0, 0));
        }
        prop_assert_eq!(&tap.messages, &[(Side::Client, 1, hello[4..].to_vec())]);
    }

    #[test]
    fn any_bytes_are_taken(
        datagrams in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..200)), 0..8),
    ) {
        let mut tap = Tap::default();
        for (client, mut bytes) in datagrams {
            bytes.splice(0..bytes.len().min(5), [0xc3, 0, 0, 0, 1]);
            let _ = tap.take(if client { Side::Client } else { Side::Server }, &bytes);
        }
        prop_assert!(tap.messages.is_empty());
    }
}

/// The filter and the parser each have a list of versions and packet types.
#[test]
fn the_filter_selects_the_versions_and_types_that_the_parser_knows() {
    const DRAFT: u32 = 0xff00_0000;
    let headers = PacketHeaders { payload_len: QUIC_FIRST, src_port: 5000, dst_port: 443, ..PacketHeaders::default() };
    let mvfst = [0xface_b003, 0xface_b002, 0xface_b00e, 0xface_b010, 0xface_b011, 0xface_b013];
    let known = [V1, V2, u32::from_be_bytes(*b"T050"), u32::from_be_bytes(*b"T051")].into_iter().chain(mvfst);
    let near = known.clone().flat_map(|version| (0..=0x20).map(move |by| version.wrapping_sub(0x10).wrapping_add(by)));
    let flipped = known.chain([DRAFT + 29]).flat_map(|version| (0..32).map(move |bit| version ^ 1 << bit));
    let drafts = (0..=0xff).map(|draft| DRAFT + draft);
    let others = [0, u32::MAX, 0x0a1a_2a3a, u32::from_be_bytes(*b"Q050"), u32::from_be_bytes(*b"Q046")];
    let mut supported = std::collections::BTreeSet::new();
    for version in near.chain(flipped).chain(drafts).chain(others) {
        for first in [0xc0, 0xd3, 0xe5, 0xff] {
            let [a, b, c, d] = version.to_be_bytes();
            // Connection IDs of 2 and 0 bytes, no token, a length of 1,000 bytes.
            let bytes = [first, a, b, c, d, 2, 1, 2, 0, 0, 0x43, 0xe8];
            let selected = classify(&SliceFrame { bytes: &bytes, wire_len: bytes.len() }, &headers);
            let kind = Packets::new(&bytes, 1200).next().unwrap().unwrap().kind;
            let expected = match kind {
                PacketKind::Initial => Selected::QuicInitial,
                PacketKind::Handshake => Selected::QuicHandshake,
                PacketKind::Retry => Selected::QuicRetry,
                _ => Selected::Other,
            };
            assert_eq!(selected, expected, "{version:#010x}, {first:#04x}");
            supported.extend((kind == PacketKind::Initial).then_some(version));
        }
    }
    assert_eq!(supported.len(), 10 + 12); // drafts 23 to 34
}
