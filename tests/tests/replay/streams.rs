//! Start of a TCP stream, and start of TLS within it.

use serde_json::json;

use super::*;

#[test]
fn a_new_syn_with_another_number_is_a_new_stream() {
    let mut conversation = TcpConversation::new();
    conversation.handshake().client(&client_hello(Shape::Browser)).server(&server_flight());
    // The ports are reused without a FIN.
    conversation.wait(Duration::from_secs(20)).again(0x7777_0000, 0x1234_0000);
    conversation.handshake().client(&client_hello(Shape::Go)).server(&server_flight()).close();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4"), [Shape::Browser.ja4(), Shape::Go.ja4()]);
    assert_eq!(values(&events, "ja4t"), [JA4T, JA4T]);
    assert_eq!(values(&events, "ja4s"), [JA4S_13, JA4S_13]);
    assert_eq!(events::of_type(&events, "connection").len(), 2);
}

#[test]
fn a_hello_midstream_without_a_syn_is_fingerprinted() {
    let hello = client_hello(Shape::PostQuantum);
    let mut conversation = TcpConversation::new();
    // The server's packet is captured first; the sender of the ClientHello is the client.
    conversation.server_at(70_000, b"+OK begin TLS\r\n").client_at(9_000, &hello[..1400]).client(&hello[1400..]);
    conversation.server(&server_flight()).close();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()]);
    assert_eq!(values(&events, "ja4s"), [JA4S_13]);
    assert!(values(&events, "ja4t").is_empty() && values(&events, "ja4ls").is_empty());
    assert_eq!(only(&events, "ja4")["src_ip"], "10.0.0.1");
    assert_eq!(only(&events, "ja4s")["src_ip"], "10.0.0.1");
}

#[test]
fn tls_after_starttls_is_fingerprinted() {
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:587");
    conversation.handshake().server(b"220 mail.example.org ESMTP\r\n").client(b"EHLO me\r\n");
    conversation.server(b"250-mail.example.org\r\n250-SIZE 10240000\r\n250 STARTTLS\r\n").client(b"STARTTLS\r\n");
    conversation.server(b"220 2.0.0 Ready\r\n");
    let hello = client_hello(Shape::PostQuantum);
    conversation.client(&hello[..1400]).client(&hello[1400..]).server(&server_flight()).close();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()]);
    assert_eq!(values(&events, "ja4s"), [JA4S_13]);
}

/// Each such segment counts as one packet; the traffic around them is still counted.
#[test]
fn segments_far_ahead_do_not_hide_ssh_traffic() {
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:22");
    conversation.handshake().client(b"SSH-2.0-one\r\n").server(b"SSH-2.0-two\r\n");
    for position in 1..=8 {
        conversation.client_at(position << 27, &[0; 1400]).server_at(position << 27, &[0; 1400]);
    }
    for packet in 0..100 {
        let at = 13 + packet * 36;
        // One segment is sent twice.
        conversation.client_at(at, &[0; 36]).server_at(at, &[0; 36]).client_at(at, &[0; 36]);
    }
    let value = values(&run(&conversation, &["--ssh-window", "1000"]).events(), "ja4ssh").concat();
    assert_eq!(value, "c36s36_c109s109_c1s0");
}

/// Specification, section 8: flags are exactly 0x010. The preceding bit is AE, formerly NS (RFC 9768, section 3.1).
#[test]
fn an_acknowledgement_with_another_flag_is_not_bare() {
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:22");
    conversation.handshake().client(b"SSH-2.0-one\r\n").server(b"SSH-2.0-two\r\n").client_ack().client_ack();
    let mut packets = conversation.packets().to_vec();
    // AE is the lowest bit of the byte with the header length.
    let last = packets.last_mut().unwrap();
    last.frame[14 + 20 + 12] |= 1;
    // Counted: the ACK of the handshake and one of the two others.
    assert_eq!(values(&replay_packets(&packets, &[]), "ja4ssh"), ["c13s13_c1s1_c2s0"]);
}

/// All packets of a side that sends its banner in two segments are counted, for any length of the first.
#[test]
fn ja4ssh_counts_every_packet_after_a_banner_in_two_segments() {
    for (port, at) in [22, 2222].into_iter().flat_map(|port| (1..=8).map(move |at| (port, at))) {
        let mut conversation = TcpConversation::between("10.0.0.1:51234", &format!("10.0.0.2:{port}"));
        let ((first, second), (third, fourth)) = (b"SSH-2.0-one\r\n".split_at(at), b"SSH-2.0-two\r\n".split_at(at));
        conversation.handshake().server(first).client_ack().server(second).client_ack();
        conversation.client(third).server_ack().client(fourth).server_ack();
        for _ in 0..3 {
            conversation.client(&[1; 36]).server(&[2; 44]);
        }
        conversation.close();
        // Includes the ACKs of the handshake and of the close.
        assert_eq!(
            values(&run(&conversation, &[]).events(), "ja4ssh"),
            ["c36s44_c5s5_c4s2"],
            "port {port}, cut at {at}"
        );
        assert_eq!(
            values(&run(&conversation, &["--ssh-window", "1"]).events(), "ja4ssh").len(),
            10,
            "port {port}, cut at {at}"
        );
    }
}

/// The first segment of a client in other protocols can look like the start of an HTTP request.
#[test]
fn commands_in_capitals_are_not_malformed_http() {
    let dialogues = [
        ["EHLO mail.example.net", "STARTTLS"],
        ["HELP", "STARTTLS"],
        ["AUTH TLS", "PBSZ 0"],
        ["USER me", "STLS"],
        ["A1 CAPABILITY", "A2 STARTTLS"],
    ];
    let events = replay_each(dialogues, |conversation, commands| {
        conversation.handshake().server(b"220 example.org ready\r\n");
        for command in commands {
            conversation.client(format!("{command}\r\n").as_bytes()).server(b"220 go on\r\n");
        }
        conversation.client(&client_hello(Shape::Curl)).server(&server_flight()).close();
    });
    assert_eq!(values(&events, "ja4"), [Shape::Curl.ja4(); 5]);
    assert_eq!(values(&events, "ja4s"), [JA4S_13; 5]);
    assert_eq!(malformed(&events), json!({}));
}

/// After a valid request, other data in the stream is counted as malformed HTTP.
#[test]
fn garbage_after_a_request_is_malformed_http() {
    let mut conversation = TcpConversation::new();
    conversation.handshake().client(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").server(b"HTTP/1.1 204 No Content\r\n\r\n");
    conversation.client(b"GET /and no more\r\n").close();
    assert_eq!(malformed(&replay(&conversation)), json!({"http": {"magic": 1}}));
}

/// Returns the counters of malformed messages of a run, by protocol and reason.
fn malformed(events: &[Value]) -> Value {
    events.last().unwrap()["stats"]["shards"]["malformed"].clone()
}

#[test]
fn tls_after_a_long_cleartext_dialogue_is_fingerprinted() {
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:143");
    conversation.handshake();
    // More than any limit for protocol detection at the start of a stream.
    for _ in 0..40 {
        conversation.server(&[b'.'; 1000]).client(b"NOOP\r\n");
    }
    conversation.client(&client_hello(Shape::Curl)).server(&server_flight()).close();
    let events = replay(&conversation);
    assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![Shape::Curl.ja4()], vec![JA4S_13]));
}

#[test]
fn a_hello_repeated_in_one_stream_is_no_second_client() {
    let mut conversation = TcpConversation::new();
    let hello = client_hello(Shape::Go);
    // Same sequence as after a HelloRetryRequest.
    conversation.handshake().client(&hello).server(&server_flight()).client(&hello).close();
    let events = replay(&conversation);
    let first: Vec<_> = fingerprints(&events)
        .into_iter()
        .filter(|event| event["fingerprint"]["type"] == "ja4" && event["fingerprint"]["count"] == 1)
        .collect();
    assert_eq!(first.len(), 1, "not one first occurrence");
}
