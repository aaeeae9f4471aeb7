//! Injected DTLS datagrams, and successive associations on the same ports.

use super::*;

use tests::certificate;
use tests::conversation::UdpConversation;
use tests::dtls::{datagrams, fragment, record};
use tests::hello_builder::HelloMessageBuilder;

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

fn conversation() -> UdpConversation {
    UdpConversation::between("10.0.0.1:51234", "10.0.0.2:4433")
}

fn message(kind: u8, seq: u16, body: &[u8]) -> Vec<u8> {
    datagrams(kind, seq, body, usize::MAX).remove(0)
}

/// Returns a hello with 32 times this byte as its random.
fn hello(random: u8) -> HelloMessageBuilder {
    let hello = HelloMessageBuilder::new(0xfefd, &[0xc02f, 0xc02b]).random([random; 32]).extension(0x0017, &[]);
    hello.extension(0x000a, &[0, 2, 0, 0x1d]).algorithms(&[0x0403, 0x0804])
}

fn client_hello(random: u8) -> Vec<u8> {
    message(CLIENT_HELLO, 0, &hello(random).dtls_client(&[]))
}

/// Returns a `ClientHello` with this SNI.
fn named_client_hello(random: u8, name: &str) -> Vec<u8> {
    let length = |more: usize| ((name.len() + more) as u16).to_be_bytes();
    let list = [&length(3)[..], &[0], &length(0), name.as_bytes()].concat();
    message(CLIENT_HELLO, 0, &hello(random).extension(0, &list).dtls_client(&[]))
}

/// Returns `ServerHello`, Certificate and `ServerHelloDone`, numbered from 0.
fn server_flight() -> Vec<u8> {
    let hello = HelloMessageBuilder::new(0xfefd, &[0xc02b]).extension(0xff01, &[0]).extension(0x0017, &[]);
    let chain = certificate::message(&[&certificate::leaf("example.org").build()]);
    let messages = [(SERVER_HELLO, hello.server_body()), (CERTIFICATE, chain), (SERVER_HELLO_DONE, Vec::new())];
    messages.iter().zip(0..).flat_map(|((kind, body), seq)| message(*kind, seq, body)).collect()
}

fn events(conversation: &UdpConversation) -> Vec<Value> {
    replay_packets(conversation.packets(), &[])
}

/// Returns the number of malformed DTLS messages with this reason.
fn malformed(events: &[Value], reason: &str) -> u64 {
    let stats = events::of_type(events, "stats").pop().expect("a stats event");
    stats["stats"]["shards"]["malformed"]["dtls"][reason].as_u64().unwrap_or(0)
}

#[test]
fn a_malformed_hello_is_counted_and_skipped() {
    let body = hello(1).dtls_client(&[]);
    // Suites of an odd length, with the random of the genuine hello and with another.
    let forged = |random: u8| [&[0xfe, 0xfd][..], &[random; 32], &[0, 0, 0, 3, 1, 2, 3]].concat();
    for random in [1, 9] {
        let mut conversation = conversation();
        conversation.client(&message(CLIENT_HELLO, 0, &forged(random))).client(&message(CLIENT_HELLO, 0, b"short"));
        conversation.client(&message(CLIENT_HELLO, 0, &body)).server(&message(SERVER_HELLO, 0, b"forged"));
        conversation.server(&server_flight());
        let events = events(&conversation);
        assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4], vec![JA4S]), "{random}");
        assert_eq!(values(&events, "ja4x").len(), 1);
        let all: u64 = ["odd_list", "truncated"].iter().map(|reason| malformed(&events, reason)).sum();
        assert_eq!(all, 3, "{:#?}", events.last());
    }
}

/// The alert `unrecognized_name` precedes the `ServerHello` (RFC 6066, section 3).
#[test]
fn hellos_after_a_warning_alert_are_fingerprinted() {
    let warning = record(21, 0, &[1, 112]);
    let mut conversation = conversation();
    conversation.client(&[&warning[..], &client_hello(1)].concat()).server(&[warning, server_flight()].concat());
    let events = events(&conversation);
    assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4], vec![JA4S]));
    assert_eq!(values(&events, "ja4x").len(), 1);
}

#[test]
fn an_incomplete_hello_does_not_block_a_later_hello() {
    let forged = record(22, 0, &fragment(CLIENT_HELLO, 0, 900, 0, &[9; 50]));
    let mut conversation = conversation();
    conversation.client(&forged).client(&client_hello(1)).server(&server_flight());
    let events = events(&conversation);
    assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4], vec![JA4S]));
}

#[test]
fn the_end_of_an_earlier_association_does_not_end_a_new_one() {
    let mut conversation = conversation();
    // The flow is created by a ClientHello or a ServerHello.
    conversation.server(&message(HELLO_VERIFY_REQUEST, 0, &[0xfe, 0xff, 2, 9, 9]));
    // Sequence numbers as at the end of an association that was captured without its start.
    conversation.client(&message(CLIENT_KEY_EXCHANGE, 2, &[7; 33])).server(&message(SERVER_HELLO_DONE, 3, &[]));
    conversation.client(&client_hello(1)).server(&server_flight());
    let events = events(&conversation);
    assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4], vec![JA4S]));
    assert_eq!(values(&events, "ja4x").len(), 1);
}

/// Returns type, count and SNI of each fingerprint.
fn types_counts_and_names(events: &[Value]) -> Vec<(String, u64, Value)> {
    let summary = |event: &Value| {
        let fingerprint = &event["fingerprint"];
        (
            fingerprint["type"].as_str().unwrap().to_owned(),
            fingerprint["count"].as_u64().unwrap(),
            event["tls"]["sni"].clone(),
        )
    };
    fingerprints(events).into_iter().map(summary).collect()
}

#[test]
fn each_of_several_associations_is_fingerprinted_once() {
    let names = ["one.example", "two.example", "three.example", "four.example"];
    let mut conversation = conversation();
    for (random, name) in (1..).zip(names) {
        // Each hello and each flight is sent twice.
        conversation.client(&named_client_hello(random, name)).client(&named_client_hello(random, name));
        conversation.server(&server_flight()).server(&server_flight());
        conversation.client(&message(CLIENT_KEY_EXCHANGE, 1, &[7; 33]));
    }
    let expected: Vec<_> = names
        .iter()
        .flat_map(|name| ["ja4", "ja4s", "ja4x"].map(|kind| (kind.to_owned(), 1, Value::from(*name))))
        .collect();
    assert_eq!(types_counts_and_names(&events(&conversation)), expected);
}

#[test]
fn a_later_association_in_fragments_is_fingerprinted() {
    let mut conversation = conversation();
    conversation.client(&client_hello(1)).server(&server_flight());
    for piece in datagrams(CLIENT_HELLO, 0, &hello(2).dtls_client(&[]), 40) {
        conversation.client(&piece);
    }
    conversation.server(&server_flight());
    let events = events(&conversation);
    assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![JA4; 2], vec![JA4S; 2]));
}

#[test]
fn the_number_of_unanswered_hellos_is_limited() {
    let mut conversation = conversation();
    for random in 0..200 {
        conversation.client(&client_hello(random));
    }
    conversation.server(&server_flight());
    let first = events(&conversation);
    assert_eq!((values(&first, "ja4"), values(&first, "ja4s")), (vec![JA4; 2], vec![JA4S]));
    assert_eq!(malformed(&first, "too_many"), 198);
    // Neither a malformed hello nor a retransmitted one starts an association.
    let body = hello(250).dtls_client(&[]);
    conversation
        .client(&message(CLIENT_HELLO, 0, &body[..body.len() - 1]))
        .client(&client_hello(0))
        .server(&server_flight());
    let second = events(&conversation);
    assert_eq!((values(&second, "ja4").len(), values(&second, "ja4s").len()), (2, 1));
}

#[test]
fn hellos_determine_which_side_is_the_client() {
    // A ClientHello from the server or a ServerHello from the client, before the genuine handshake.
    let wrong: [fn(&mut UdpConversation, &[u8]); 2] = [
        |conversation, _| _ = conversation.server(&client_hello(9)),
        |conversation, hello| _ = conversation.client(hello),
    ];
    for (case, wrong) in wrong.iter().enumerate() {
        let mut conversation = conversation();
        wrong(&mut conversation, &server_flight());
        conversation.client(&client_hello(1)).server(&server_flight());
        let events = events(&conversation);
        let genuine: Vec<_> = fingerprints(&events).into_iter().filter(|event| event["src_port"] == 51234).collect();
        let kinds: Vec<_> = genuine.iter().map(|event| event["fingerprint"]["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["ja4", "ja4s", "ja4x"], "{case}");
        let end = events::of_type(&events, "connection")[0];
        assert_eq!((&end["src_port"], &end["tls"]["cipher"]), (&51234.into(), &"0xc02b".into()), "{case}");
    }
    // A later association swaps the roles.
    let mut conversation = conversation();
    conversation.client(&client_hello(1)).server(&server_flight()).server(&client_hello(2)).client(&server_flight());
    let events = events(&conversation);
    let reported: Vec<_> = fingerprints(&events)
        .into_iter()
        .map(|event| (event["fingerprint"]["type"].as_str().unwrap(), event["src_port"].as_u64().unwrap()))
        .collect();
    let both = [51234, 4433].map(|port| ["ja4", "ja4s", "ja4x"].map(|kind| (kind, port)));
    assert_eq!(reported, both.concat());
}
