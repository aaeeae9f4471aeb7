//! TLS in TDS packets, as used by clients of Microsoft SQL Server.

use tests::certificate;
use tests::framing::{TDS_OPTIONS, TDS_PRELOGIN, TDS_RESULT, tds};

use super::*;

/// Sends the first packets of both sides.
fn prelogin(conversation: &mut TcpConversation) -> &mut TcpConversation {
    conversation.client(&tds(TDS_PRELOGIN, TDS_OPTIONS, 4088)).server(&tds(TDS_RESULT, TDS_OPTIONS, 4088))
}

/// Returns `ServerHello`, Certificate and `ServerHelloDone` in one record.
fn flight_12() -> Vec<u8> {
    let chain = certificate::message(&[&certificate::leaf("example.org").build()]);
    let certificates = [&[11][..], &(chain.len() as u32).to_be_bytes()[1..], &chain].concat();
    let hello = hello::server_hello_12(&mut SplitMix64::new(3));
    hello::records(&[hello, certificates, vec![14, 0, 0, 0]].concat(), 16_000)
}

fn handshake(port: u16) -> TcpConversation {
    let mut conversation = TcpConversation::between("10.0.0.1:51234", &format!("10.0.0.2:{port}"));
    conversation.handshake();
    conversation
}

#[test]
fn hellos_in_packets_and_segments_of_any_size_are_fingerprinted() {
    let hello = client_hello(Shape::PostQuantum);
    for size in [4088, 1000, 504, 100] {
        for kind in [TDS_PRELOGIN, TDS_RESULT] {
            let (hello_packets, flight_packets) = (tds(TDS_PRELOGIN, &hello, size), tds(kind, &server_flight(), size));
            for segment in [8000, 1448, 600, 333] {
                let mut conversation = handshake(1433);
                prelogin(&mut conversation);
                hello_packets.chunks(segment).for_each(|part| _ = conversation.client(part));
                flight_packets.chunks(segment).for_each(|part| _ = conversation.server(part));
                conversation
                    .client(&tds(TDS_PRELOGIN, &[20, 3, 3, 0, 1, 1], 4088))
                    .client(&[23, 3, 3, 0, 2, 1, 2])
                    .close();
                let case = format!("packets of {size}, type {kind}, segments of {segment}");
                assert_values(&conversation, &[("ja4", Shape::PostQuantum.ja4()), ("ja4s", JA4S_13)], &case);
            }
        }
    }
}

/// Some clients write the packet header and the message separately.
#[test]
fn a_packet_header_in_a_separate_segment_is_recognized() {
    let hello = tds(TDS_PRELOGIN, &client_hello(Shape::PostQuantum), 4088);
    let flight = tds(TDS_PRELOGIN, &server_flight(), 4088);
    let mut conversation = handshake(1433);
    prelogin(&mut conversation)
        .client(&hello[..8])
        .client(&hello[8..])
        .server(&flight[..8])
        .server(&flight[8..])
        .close();
    assert_values(&conversation, &[("ja4", Shape::PostQuantum.ja4()), ("ja4s", JA4S_13)], "header by itself");
}

#[test]
fn certificates_over_ipv6_and_on_another_port_are_fingerprinted() {
    let mut conversation = TcpConversation::between("[fd00::1]:51234", "[fd00::2]:14330");
    conversation.handshake();
    prelogin(&mut conversation).client(&tds(TDS_PRELOGIN, &client_hello(Shape::Device), 4088));
    conversation.server(&tds(TDS_PRELOGIN, &flight_12(), 200)).close();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4"), [Shape::Device.ja4()]);
    assert_eq!(values(&events, "ja4s"), [JA4S_12]);
    assert_eq!(values(&events, "ja4x").len(), 1);
    assert_eq!(only(&events, "ja4")["app_proto"], "tls");
}

#[test]
fn segments_out_of_order_are_reassembled() {
    let hello = tds(TDS_PRELOGIN, &client_hello(Shape::PostQuantum), 504);
    let mut conversation = handshake(1433);
    let start = prelogin(&mut conversation).packets().len() as u32;
    assert_eq!(start, 5);
    let start = TDS_OPTIONS.len() as u32 + 8;
    conversation.client_at(start + 900, &hello[900..]).client_at(start, &hello[..900]).client_at(start, &hello[..900]);
    conversation.server(&tds(TDS_RESULT, &server_flight(), 4088)).close();
    assert_values(&conversation, &[("ja4", Shape::PostQuantum.ja4()), ("ja4s", JA4S_13)], "the second half first");
}

/// A server that has no certificate, or that encrypts no more than the login, answers in the clear.
#[test]
fn unencrypted_packets_are_not_selected() {
    let (batch, rows) = (tds(0x01, &[0x16; 900], 4088), tds(TDS_RESULT, &[0xe3; 60_000], 4088));
    let mut conversation = handshake(1433);
    prelogin(&mut conversation).client(&batch);
    rows.chunks(1448).for_each(|part| _ = conversation.server(part));
    conversation.close();
    let events = replay(&conversation);
    assert_eq!(fingerprints(&events).len(), 4);
    let stats = events::of_type(&events, "stats")[0];
    // The first packet of each side, and at most one more of each until the filter detects that no handshake follows.
    let selected = events::stats_u64(stats, &["kernel", "selected_by", "tls"]);
    assert!((2..=4).contains(&selected), "{selected}");
}

#[test]
fn a_hello_without_a_packet_header_after_prelogin_is_fingerprinted() {
    let mut conversation = handshake(1433);
    prelogin(&mut conversation).client(&client_hello(Shape::Curl)).server(&server_flight()).close();
    assert_values(&conversation, &[("ja4", Shape::Curl.ja4()), ("ja4s", JA4S_13)], "bare");
}
