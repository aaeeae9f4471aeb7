//! DTLS in TURN messages and after the length field of RFC 4571.

use tests::certificate;
use tests::conversation::UdpConversation;
use tests::dtls::{datagrams, record};
use tests::framing::{channel_data, counted, indication, padded_channel_data, stun};
use tests::hello_builder::HelloMessageBuilder;

use super::*;

/// Suites `c02b,c02f`; extensions `000a,000d,0017`; algorithms `0403,0804`.
const JA4_DTLS: &str = "dd2i020300_b6f57f3be927_b170b4d4d148";
const JA4S_DTLS: &str = "dd20200_c02b_ec53b3cc8a64"; // `ff01,0017`

/// Types of the handshake messages (RFC 8446, section 4; RFC 6347, section 4.3.2).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;
const CERTIFICATE: u8 = 11;
const SERVER_HELLO_DONE: u8 = 14;

/// Media (RFC 3550) and DTLS application data, which are not part of a handshake.
const MEDIA: [&[u8]; 2] = [&[0x80; 160], &[23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1, 0, 3, 7, 7, 7]];

fn hello(cookie: &[u8]) -> Vec<u8> {
    let hello = HelloMessageBuilder::new(0xfefd, &[0xc02f, 0xc02b]).extension(0x0017, &[]);
    hello.extension(0x000a, &[0, 2, 0, 0x1d]).algorithms(&[0x0403, 0x0804]).dtls_client(cookie)
}

/// Returns the records of a message, in fragments of this size.
fn message(kind: u8, seq: u16, body: &[u8], size: usize) -> Vec<Vec<u8>> {
    datagrams(kind, seq, body, size)
}

fn flight(size: usize) -> Vec<Vec<u8>> {
    let hello =
        HelloMessageBuilder::new(0xfefd, &[0xc02b]).extension(0xff01, &[0]).extension(0x0017, &[]).server_body();
    let chain = certificate::message(&[&certificate::leaf("example.org").build()]);
    let mut all = message(SERVER_HELLO, 1, &hello, size);
    all.extend(message(CERTIFICATE, 2, &chain, size));
    all.extend(message(SERVER_HELLO_DONE, 3, &[], size));
    all
}

/// Returns the datagrams of a complete handshake; `true` marks those of the DTLS client.
fn handshake(size: usize) -> Vec<(bool, Vec<u8>)> {
    let mut all = vec![(true, message(CLIENT_HELLO, 0, &hello(&[]), usize::MAX).remove(0))];
    all.push((false, message(HELLO_VERIFY_REQUEST, 0, b"\xfe\xff\x04cafe", usize::MAX).remove(0)));
    all.extend(message(CLIENT_HELLO, 1, &hello(b"cafe"), size).into_iter().map(|datagram| (true, datagram)));
    all.extend(flight(size).into_iter().map(|datagram| (false, datagram)));
    let finished = [record(20, 0, &[1]), record(22, 1, &[7; 40])].concat();
    all.push((true, finished));
    all.extend(MEDIA.map(|media| (false, media.to_vec())));
    all
}

/// Returns the fingerprints of the DTLS handshake: type, count, value, sender's port, application protocol.
fn dtls_values(events: &[Value]) -> Vec<(String, u64, String, u64, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    fingerprints(events)
        .into_iter()
        .filter(|event| event["tls"].is_object())
        .filter(|event| !event["fingerprint"]["type"].as_str().unwrap().contains("ja4t"))
        .map(|event| {
            let found = &event["fingerprint"];
            let (count, port) = (found["count"].as_u64().unwrap(), event["src_port"].as_u64().unwrap());
            (text(&found["type"]), count, text(&found["value"]), port, text(&event["app_proto"]))
        })
        .collect()
}

/// Asserts both `ClientHello`s, one `ServerHello` and one certificate, with the client at this port.
fn assert_handshake(events: &[Value], port: u64, case: &str) {
    let found = dtls_values(events);
    let short: Vec<_> = found.iter().map(|(kind, count, ..)| (kind.as_str(), *count)).collect();
    assert_eq!(short, [("ja4", 1), ("ja4", 2), ("ja4s", 1), ("ja4x", 1)], "{case}");
    assert_eq!([&found[0].2, &found[1].2, &found[2].2], [JA4_DTLS, JA4_DTLS, JA4S_DTLS], "{case}");
    assert!(found.iter().all(|(.., from, protocol)| (*from, protocol.as_str()) == (port, "dtls")), "{case}: {found:?}");
}

#[test]
fn handshakes_in_channel_data_and_indications_are_fingerprinted() {
    type WrapMessage = fn(bool, &[u8]) -> Vec<u8>;
    let wraps: [(&str, WrapMessage); 4] = [
        ("channel data", |_, data| channel_data(0x4001, data)),
        ("the last channel, padded", |_, data| padded_channel_data(0x4fff, data)),
        ("indications", |to_relay, data| indication(if to_relay { 0x16 } else { 0x17 }, data)),
        ("both", |to_relay, data| if to_relay { channel_data(0x4000, data) } else { indication(0x17, data) }),
    ];
    for (case, wrap) in wraps {
        for size in [usize::MAX, 60] {
            for ends in [("10.0.0.1:51234", "10.0.0.2:3478"), ("[fd00::1]:51234", "[fd00::2]:443")] {
                for client_is_peer in [false, true] {
                    let mut conversation = UdpConversation::between(ends.0, ends.1);
                    conversation.client(&stun(0x0003, b"\0\x19\0\x04\x11\0\0\0")).server(&stun(0x0103, &[]));
                    for (from_client, datagram) in handshake(size) {
                        let to_relay = from_client != client_is_peer;
                        let message = wrap(to_relay, &datagram);
                        if to_relay {
                            conversation.client(&message)
                        } else {
                            conversation.server(&message)
                        };
                    }
                    let events = replay_packets(conversation.packets(), &[]);
                    let port = if client_is_peer { ends.1.rsplit(':').next().unwrap().parse().unwrap() } else { 51234 };
                    assert_handshake(&events, port, &format!("{case}, fragments of {size}, {ends:?}"));
                }
            }
        }
    }
}

#[test]
fn media_is_not_selected() {
    let mut conversation = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:3478");
    for (from_client, datagram) in handshake(usize::MAX) {
        let message = channel_data(0x4001, &datagram);
        if from_client {
            conversation.client(&message)
        } else {
            conversation.server(&message)
        };
    }
    for _ in 0..100 {
        MEDIA
            .iter()
            .for_each(|media| _ = conversation.client(&channel_data(0x4001, media)).server(&indication(0x17, media)));
    }
    let events = replay_packets(conversation.packets(), &[]);
    let stats = events::of_type(&events, "stats")[0];
    // Two ClientHellos, HelloVerifyRequest, three server messages, and at most one ChangeCipherSpec.
    let selected = events::stats_u64(stats, &["kernel", "selected_by", "dtls"]);
    assert!((6..=7).contains(&selected), "{selected}");
}

/// Returns the events of the conversation in a TCP stream, in segments of this size.
fn in_stream(frame: fn(bool, &[u8]) -> Vec<u8>, before: &[u8], client_is_server: bool, segment: usize) -> Vec<Value> {
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:5000");
    conversation.handshake();
    conversation.client(before).server(before);
    for (from_client, datagram) in handshake(60) {
        let by_client = from_client != client_is_server;
        for part in frame(by_client, &datagram).chunks(segment) {
            if by_client {
                conversation.client(part)
            } else {
                conversation.server(part)
            };
        }
    }
    conversation.close();
    replay(&conversation)
}

#[test]
fn handshakes_in_tcp_streams_are_fingerprinted() {
    let check = stun(0x0001, b"\0\x06\0\x04user");
    let allocate = stun(0x0003, b"\0\x19\0\x04\x11\0\0\0");
    type FrameMessage = fn(bool, &[u8]) -> Vec<u8>;
    let framings: [(&str, FrameMessage, Vec<u8>); 3] = [
        ("RFC 4571", |_, data| counted(data), counted(&check)),
        ("channel data", |_, data| padded_channel_data(0x4001, data), allocate.clone()),
        ("indications", |to_relay, data| indication(if to_relay { 0x16 } else { 0x17 }, data), allocate),
    ];
    for (case, frame, before) in framings {
        for client_is_server in [false, true] {
            for segment in [1448, 50, 7] {
                let events = in_stream(frame, &before, client_is_server, segment);
                let case = format!("{case}, segments of {segment}, DTLS client at the server: {client_is_server}");
                assert_handshake(&events, if client_is_server { 5000 } else { 51234 }, &case);
                for (kind, value) in [("ja4t", JA4T), ("ja4ts", JA4TS), ("ja4l", JA4L), ("ja4ls", JA4LS)] {
                    assert_eq!(values(&events, kind), [value], "{case}");
                }
                let end = events::of_type(&events, "connection")[0];
                assert_eq!((&end["src_port"], &end["app_proto"]), (&51234.into(), &"dtls".into()), "{case}");
                let latency = &end["latency"];
                assert_eq!((&latency["client_us"], &latency["server_us"]), (&100.into(), &15_000.into()), "{case}");
            }
        }
    }
}

/// No STUN message precedes the hello.
#[test]
fn a_stream_that_begins_with_a_hello_is_fingerprinted() {
    for (frame, case) in
        [(counted as fn(&[u8]) -> Vec<u8>, "RFC 4571"), (|data| padded_channel_data(0x4001, data), "TURN")]
    {
        let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:5000");
        conversation.handshake();
        for (from_client, datagram) in handshake(usize::MAX) {
            if from_client {
                conversation.client(&frame(&datagram))
            } else {
                conversation.server(&frame(&datagram))
            };
        }
        assert_handshake(&replay(conversation.close()), 51234, case);
    }
}

/// For every wrong length, the rest of the capture is still parsed.
#[test]
fn a_message_after_a_malformed_one_is_fingerprinted() {
    let hello = message(CLIENT_HELLO, 0, &hello(&[]), usize::MAX).remove(0);
    let mut longer = channel_data(0x4001, &hello);
    longer[2] = 0xff;
    let mut attribute = indication(0x16, &hello);
    attribute[23] = 0xff;
    let mut many = indication(0x16, &[]);
    many.truncate(20);
    many.extend([0x80, 0x22, 0, 0].repeat(20));
    for broken in [&longer[..], &attribute, &many, &channel_data(0x4001, &[]), &channel_data(0x5001, &hello)] {
        let mut conversation = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:3478");
        conversation.client(broken);
        assert!(fingerprints(&replay_packets(conversation.packets(), &[])).is_empty());
        conversation.client(&channel_data(0x4001, &hello));
        assert_eq!(values(&replay_packets(conversation.packets(), &[]), "ja4"), [JA4_DTLS]);
    }
}
