//! JA4 and JA4S of synthetic hellos (specification, sections 1, 3 and 4).

use super::*;

use serde_json::json;
use tests::hello_builder::{HelloMessageBuilder, RETRY};

/// First ALPN protocol and its two characters (specification, section 1, table).
const ALPN: [(&[u8], &str); 16] = [
    (b"h2", "h2"),
    (b"http/1.1", "h1"),
    (b"h3-29", "h9"),
    (b"spdy/3.1", "s1"),
    (b"x", "xx"),
    (b"H2", "H2"),
    (&[0x30, 0xab], "3b"),
    (&[0x30, 0x31, 0xab, 0xcd], "3d"),
    (&[0x30, 0xab, 0xcd, 0x31], "01"),
    (&[0xab], "ab"),
    (&[0xab, 0xcd], "ad"),
    (&[0x20], "20"),
    (&[0x20, 0x61], "21"),
    (&[0x61, 0x20], "60"),
    (&[0xba, 0xad], "bd"),
    (&[0x0a, 0x0a], "0a"), // what looks like GREASE in a list of numbers is none in a name
];

/// Sends a TCP handshake and this `ClientHello` in one record.
fn send_client_hello(conversation: &mut TcpConversation, hello: &HelloMessageBuilder) {
    conversation.handshake();
    for segment in hello::records(&hello.client(), usize::MAX).chunks(1400) {
        conversation.client(segment);
    }
}

/// Sends a TCP handshake, a client's hello and this `ServerHello`.
fn send_both_hellos(conversation: &mut TcpConversation, server: &HelloMessageBuilder) {
    conversation.handshake().client(&client_hello(Shape::Device)).server(&hello::records(&server.server(), usize::MAX));
}

#[test]
fn ja4_has_the_characters_of_the_first_alpn_protocol() {
    let events = replay_each(ALPN, |conversation, (name, _)| {
        send_client_hello(conversation, &HelloMessageBuilder::new(0x0303, &[0x002f]).alpn(&[name, b"h2"]));
    });
    // One suite, 002f; the only extension is ALPN, which section c excludes.
    let expected: Vec<_> = ALPN.map(|(_, code)| format!("t12i0101{code}_ba72b8082249_000000000000")).into();
    assert_eq!(values(&events, "ja4"), expected);
}

#[test]
fn ja4s_has_the_characters_of_the_alpn_protocol() {
    let events = replay_each(ALPN, |conversation, (name, _)| {
        send_both_hellos(conversation, &HelloMessageBuilder::new(0x0303, &[0xc02f]).alpn(&[name]));
    });
    let expected: Vec<_> = ALPN.map(|(_, code)| format!("t1201{code}_c02f_0b08e3dcc50f")).into();
    assert_eq!(values(&events, "ja4s"), expected);
}

#[test]
fn alpn_names_over_the_limit_are_dropped() {
    let names = [&[b'a'; 100][..], &[b'b'; 100], &[b'c'; 56], b"d"];
    let events = replay_each([&names[..], &[&[b'a'; 255], b"ab", b"c"], &[&b"h2"[..]; 20]], |conversation, names| {
        send_client_hello(conversation, &HelloMessageBuilder::new(0x0303, &[0x002f]).alpn(names));
    });
    let reported: Vec<_> = fingerprints(&events)
        .iter()
        .filter(|event| event["fingerprint"]["type"] == "ja4")
        .map(|event| event["tls"]["alpn"].clone())
        .collect();
    // Limits: 256 bytes and 16 names.
    let first: Vec<_> = names[..3].iter().map(|name| str::from_utf8(name).unwrap()).collect();
    assert_eq!(reported, [json!(first), json!(["a".repeat(255)]), json!(vec!["h2"; 16])]);
}

/// A second hello follows a `HelloRetryRequest`; further hellos exceed the limit.
#[test]
fn two_hellos_of_a_connection_are_fingerprinted() {
    let mut conversation = TcpConversation::new();
    conversation.handshake();
    for _ in 0..5 {
        conversation.client(&client_hello(Shape::Browser));
    }
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4").len(), 2);
    assert_eq!(tests::stats_u64(events.last().unwrap(), &["shards", "malformed", "tls", "too_many"]), 3);
}

#[test]
fn an_alpn_extension_without_a_first_name_prints_zeros() {
    let hello = || HelloMessageBuilder::new(0x0303, &[0x002f]);
    // An empty list; no list; an empty name before another.
    let cases = [hello().extension(0x0010, &[0, 0]), hello().extension(0x0010, &[]), hello().alpn(&[b"", b"h2"])];
    let events = replay_each(&cases, send_client_hello);
    assert_eq!(values(&events, "ja4"), ["t12i010100_ba72b8082249_000000000000"; 3]);
}

/// Returns 120 consecutive numbers from `first`.
fn consecutive(first: u16) -> Vec<u16> {
    (first..first + 120).collect()
}

#[test]
fn counts_stop_at_99_and_hashes_cover_all_entries() {
    let suites: Vec<u16> = consecutive(0x4000).into_iter().rev().collect();
    let extended = |hello| {
        consecutive(0x5000).into_iter().fold(hello, |hello: HelloMessageBuilder, kind| hello.extension(kind, &[]))
    };
    let mut conversation = TcpConversation::new();
    send_client_hello(&mut conversation, &extended(HelloMessageBuilder::new(0x0303, &suites)));
    let server = extended(HelloMessageBuilder::new(0x0303, &[0xc030]));
    conversation.server(&hello::records(&server.server(), usize::MAX)).close();

    let events = run(&conversation, &["--raw"]).events();
    // SHA-256 over all 120 numbers, `4000,4001,…,4077` and `5000,…,5077`; in original order the suites are reversed.
    assert_eq!(values(&events, "ja4"), ["t12i999900_ac67520420c7_787dfb78402d"]);
    assert_eq!(values(&events, "ja4s"), ["t129900_c030_787dfb78402d"]);
    let ja4 = &only(&events, "ja4")["fingerprint"];
    assert_eq!(ja4["original"], "t12i999900_709d90c7376d_787dfb78402d");
    // Two lists of 120 comma-separated numbers of four digits.
    assert_eq!(ja4["raw"].as_str().unwrap().len(), "t12i999900".len() + 2 * (1 + 120 * 5 - 1));
}

#[test]
fn hellos_without_an_extension_block_are_fingerprinted() {
    let mut conversation = TcpConversation::new();
    send_client_hello(&mut conversation, &HelloMessageBuilder::new(0x0301, &[0x0004, 0x0005]).without_extensions());
    let server = HelloMessageBuilder::new(0x0300, &[0x0005]).without_extensions();
    conversation.server(&hello::records(&server.server(), usize::MAX)).close();
    let events = run(&conversation, &["--raw"]).events();
    assert_eq!(values(&events, "ja4"), ["t10i020000_6e254592683c_000000000000"]);
    assert_eq!(values(&events, "ja4s"), ["ts30000_0005_000000000000"]);
    assert_eq!(only(&events, "ja4")["fingerprint"]["raw"], "t10i020000_0004,0005_");
    assert_eq!(only(&events, "ja4s")["fingerprint"]["raw"], "ts30000_0005_");
}

#[test]
fn a_hello_retry_request_is_the_first_server_hello_and_yields_no_second_client() {
    // GREASE in suites, versions, groups and algorithms; the second hello contains the cookie.
    let hello = || {
        let hello = HelloMessageBuilder::new(0x0303, &[0x1a1a, 0x1302, 0x1301]).versions(&[0xfafa, 0x0304, 0x0303]);
        hello.extension(0x000a, &[0, 4, 0x3a, 0x3a, 0, 0x1d]).algorithms(&[0x0a0a, 0x0403, 0x0804])
    };
    let first = hello().extension(0x0033, &[0, 0]);
    let second = hello().extension(0x0033, &[0, 5, 0, 0x1d, 0, 1, 9]).extension(0x002c, &[0, 1, 5]);
    let retry = HelloMessageBuilder::new(0x0303, &[0x1302]).random(RETRY).extension(0x002b, &[3, 4]);
    let retry = retry.extension(0x0033, &[0, 0x1d]).extension(0x002c, &[0, 1, 5]);
    const CHANGE_CIPHER_SPEC: [u8; 6] = [20, 3, 3, 0, 1, 1];

    let mut conversation = TcpConversation::new();
    send_client_hello(&mut conversation, &first);
    conversation.server(&[&hello::records(&retry.server(), usize::MAX)[..], &CHANGE_CIPHER_SPEC].concat());
    conversation.client(&[&CHANGE_CIPHER_SPEC[..], &hello::records(&second.client(), usize::MAX)].concat());
    conversation.server(&server_flight()).close();
    let events = replay(&conversation);
    let first = |kind: &str| {
        let all = fingerprints(&events).into_iter().map(|event| &event["fingerprint"]);
        let found: Vec<_> = all.filter(|value| value["type"] == kind && value["count"] == 1).collect();
        assert_eq!(found.len(), 1, "{kind}: {events:#?}");
        found[0]["value"].clone()
    };
    // `1301,1302`; `000a,000d,002b,0033_0403,0804`.
    assert_eq!(first("ja4"), "t13i020400_62ed6f6ca7ad_e12c865f31a5");
    // `002b,0033,002c`, in the order of the HelloRetryRequest.
    assert_eq!(first("ja4s"), "t130300_1302_7d591e36daeb");
}
