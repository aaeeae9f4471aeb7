//! Injected DTLS datagrams, and successive associations on the same ports.

use super::*;

use tests::certificate;
use tests::conversation::UdpConversation;
use tests::dtls::{datagrams, fragment, record};
use tests::hello_builder::HelloBuilder;

/// Types of the handshake messages (RFC 8446, section 4; RFC 6347, section 4.3.2).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;
const CERTIFICATE: u8 = 11;
const SERVER_HELLO_DONE: u8 = 14;
const CLIENT_KEY_EXCHANGE: u8 = 16;

/// Suites `c02b,c02f`; extensions `000a,000d,0017`; algorithms `0403,0804`.
const JA4: &str = "dd2i020300_b6f57f3be927_b170b4d4d148";
const JA4S: &str = "dd20200_c02b_ec53b3cc8a64"; // `ff01,0017`

fn talk() -> UdpConversation {
    UdpConversation::between("10.0.0.1:51234", "10.0.0.2:4433")
}

fn whole(kind: u8, seq: u16, body: &[u8]) -> Vec<u8> {
    datagrams(kind, seq, body, usize::MAX).remove(0)
}

/// Returns a hello whose random consists of this byte.
fn hello(random: u8) -> HelloBuilder {
    let hello = HelloBuilder::new(0xfefd, &[0xc02f, 0xc02b]).random([random; 32]).extension(0x0017, &[]);
    hello.extension(0x000a, &[0, 2, 0, 0x1d]).algorithms(&[0x0403, 0x0804])
}

fn client_hello(random: u8) -> Vec<u8> {
    whole(CLIENT_HELLO, 0, &hello(random).dtls_client(&[]))
}

/// Returns a `ClientHello` with this SNI.
fn named(random: u8, name: &str) -> Vec<u8> {
    let length = |more: usize| ((name.len() + more) as u16).to_be_bytes();
    let list = [&length(3)[..], &[0], &length(0), name.as_bytes()].concat();
    whole(CLIENT_HELLO, 0, &hello(random).extension(0, &list).dtls_client(&[]))
}

/// Returns `ServerHello`, Certificate and `ServerHelloDone`, numbered from 0.
fn server_flight() -> Vec<u8> {
    let hello = HelloBuilder::new(0xfefd, &[0xc02b]).extension(0xff01, &[0]).extension(0x0017, &[]);
    let chain = certificate::message(&[&certificate::leaf("example.org").build()]);
    let messages = [(SERVER_HELLO, hello.server_body()), (CERTIFICATE, chain), (SERVER_HELLO_DONE, Vec::new())];
    messages.iter().zip(0..).flat_map(|((kind, body), seq)| whole(*kind, seq, body)).collect()
}

fn events(talk: &UdpConversation) -> Vec<Value> {
    replay_packets(talk.packets(), &[])
}

/// Returns the number of malformed DTLS messages with this reason.
fn malformed(events: &[Value], reason: &str) -> u64 {
    let stats = events::of_type(events, "stats").pop().expect("figures at the end");
    stats["stats"]["shards"]["malformed"]["dtls"][reason].as_u64().unwrap_or(0)
}

#[test]
fn a_malformed_hello_is_counted_and_skipped() {
    let body = hello(1).dtls_client(&[]);
    // Suites of an odd length, with the random of the genuine hello and with another.
    let forged = |random: u8| [&[0xfe, 0xfd][..], &[random; 32], &[0, 0, 0, 3, 1, 2, 3]].concat();
    for random in [1, 9] {
        let mut talk = talk();
        talk.client(&whole(CLIENT_HELLO, 0, &forged(random))).client(&whole(CLIENT_HELLO, 0, b"short"));
        talk.client(&whole(CLIENT_HELLO, 0, &body)).server(&whole(SERVER_HELLO, 0, b"forged"));
        talk.server(&server_flight());
        let events = events(&talk);
        assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4], vec![JA4S]), "{random}");
        assert_eq!(values(&events, "ja4x").len(), 1);
        let all: u64 = ["odd_list", "truncated"].iter().map(|reason| malformed(&events, reason)).sum();
        assert_eq!(all, 3, "{:#?}", events.last());
    }
}

/// The alert `unrecognized_name` precedes the `ServerHello` (RFC 6066, section 3).
#[test]
fn a_warning_before_a_hello_hides_nothing() {
    let warning = record(21, 0, &[1, 112]);
    let mut talk = talk();
    talk.client(&[&warning[..], &client_hello(1)].concat()).server(&[warning, server_flight()].concat());
    let events = events(&talk);
    assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4], vec![JA4S]));
    assert_eq!(values(&events, "ja4x").len(), 1);
}

#[test]
fn a_fragment_that_nobody_finishes_does_not_stand_in_the_way() {
    let forged = record(22, 0, &fragment(CLIENT_HELLO, 0, 900, 0, &[9; 50]));
    let mut talk = talk();
    talk.client(&forged).client(&client_hello(1)).server(&server_flight());
    let events = events(&talk);
    assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4], vec![JA4S]));
}

#[test]
fn the_end_of_a_flight_ends_nothing_that_has_not_begun() {
    let mut talk = talk();
    // The flow is created by a ClientHello or a ServerHello.
    talk.server(&whole(HELLO_VERIFY_REQUEST, 0, &[0xfe, 0xff, 2, 9, 9]));
    // Sequence numbers as at the end of an association whose start was not captured.
    talk.client(&whole(CLIENT_KEY_EXCHANGE, 2, &[7; 33])).server(&whole(SERVER_HELLO_DONE, 3, &[]));
    talk.client(&client_hello(1)).server(&server_flight());
    let events = events(&talk);
    assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4], vec![JA4S]));
    assert_eq!(values(&events, "ja4x").len(), 1);
}

/// Returns type, count and SNI of each fingerprint.
fn told(events: &[Value]) -> Vec<(String, u64, Value)> {
    let tell = |event: &Value| {
        let told = &event["fingerprint"];
        (told["type"].as_str().unwrap().to_owned(), told["count"].as_u64().unwrap(), event["tls"]["sni"].clone())
    };
    fingerprints(events).into_iter().map(tell).collect()
}

#[test]
fn associations_one_after_the_other_are_told_alike() {
    let names = ["one.example", "two.example", "three.example", "four.example"];
    let mut talk = talk();
    for (random, name) in (1..).zip(names) {
        // Each hello and each flight is sent twice.
        talk.client(&named(random, name)).client(&named(random, name));
        talk.server(&server_flight()).server(&server_flight());
        talk.client(&whole(CLIENT_KEY_EXCHANGE, 1, &[7; 33]));
    }
    let wanted: Vec<_> = names
        .iter()
        .flat_map(|name| ["ja4", "ja4s", "ja4x"].map(|kind| (kind.to_owned(), 1, Value::from(*name))))
        .collect();
    assert_eq!(told(&events(&talk)), wanted);
}

#[test]
fn a_later_association_in_fragments() {
    let mut talk = talk();
    talk.client(&client_hello(1)).server(&server_flight());
    for piece in datagrams(CLIENT_HELLO, 0, &hello(2).dtls_client(&[]), 40) {
        talk.client(&piece);
    }
    talk.server(&server_flight());
    let events = events(&talk);
    assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4; 2], vec![JA4S; 2]));
}

#[test]
fn hellos_that_nobody_answers_are_few() {
    let mut talk = talk();
    for random in 0..200 {
        talk.client(&client_hello(random));
    }
    talk.server(&server_flight());
    let first = events(&talk);
    assert_eq!((values(&first, "ja4"), values(&first, "ja4s")), (vec![JA4; 2], vec![JA4S]));
    assert_eq!(malformed(&first, "too_many"), 198);
    // Neither a malformed hello nor a retransmitted one starts an association.
    let body = hello(250).dtls_client(&[]);
    talk.client(&whole(CLIENT_HELLO, 0, &body[..body.len() - 1])).client(&client_hello(0)).server(&server_flight());
    let then = events(&talk);
    assert_eq!((values(&then, "ja4").len(), values(&then, "ja4s").len()), (2, 1));
}

#[test]
fn hellos_say_who_is_the_client() {
    // A ClientHello from the server or a ServerHello from the client, before the genuine handshake.
    let wrong: [fn(&mut UdpConversation, &[u8]); 2] =
        [|talk, _| _ = talk.server(&client_hello(9)), |talk, hello| _ = talk.client(hello)];
    for (what, wrong) in wrong.iter().enumerate() {
        let mut talk = talk();
        wrong(&mut talk, &server_flight());
        talk.client(&client_hello(1)).server(&server_flight());
        let events = events(&talk);
        let genuine: Vec<_> = fingerprints(&events).into_iter().filter(|event| event["src_port"] == 51234).collect();
        let kinds: Vec<_> = genuine.iter().map(|event| event["fingerprint"]["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["ja4", "ja4s", "ja4x"], "{what}");
        let end = events::of_type(&events, "connection")[0];
        assert_eq!((&end["src_port"], &end["tls"]["cipher"]), (&51234.into(), &"0xc02b".into()), "{what}");
    }
    // A later association swaps the roles.
    let mut talk = talk();
    talk.client(&client_hello(1)).server(&server_flight()).server(&client_hello(2)).client(&server_flight());
    let events = events(&talk);
    let told: Vec<_> = fingerprints(&events)
        .into_iter()
        .map(|event| (event["fingerprint"]["type"].as_str().unwrap(), event["src_port"].as_u64().unwrap()))
        .collect();
    let both = [51234, 4433].map(|port| ["ja4", "ja4s", "ja4x"].map(|kind| (kind, port)));
    assert_eq!(told, both.concat());
}
