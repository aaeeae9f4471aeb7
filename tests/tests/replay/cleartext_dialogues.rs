//! TLS after a clear-text dialogue, a proxy request or another hello, with segments in any order.

use tests::{certificate, ssh};

use super::*;

/// Asserts that the browser's hello, which takes two segments, and the server's hello are fingerprinted when `send`
/// sends the client's stream.
fn assert_fingerprinted(send: impl Fn(&mut TcpConversation, &[u8])) {
    let hello = client_hello(Shape::PostQuantum);
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:143");
    send(conversation.handshake(), &hello);
    conversation.server(&server_flight()).close();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4").last(), Some(&Shape::PostQuantum.ja4()));
    assert_eq!(values(&events, "ja4s").last(), Some(&JA4S_13));
}

/// Sends a hello in two segments: reversed, and in order with cuts within its first bytes.
fn assert_fingerprinted_in_any_order(send_dialogue: impl Fn(&mut TcpConversation) -> u32) {
    for at in [1400, 700] {
        assert_fingerprinted(|conversation, hello| {
            let start = send_dialogue(conversation);
            conversation.client_at(start + at, &hello[at as usize..]).client_at(start, &hello[..at as usize]);
        });
    }
    for at in [1, 5, 6, 8, 9, 1400] {
        assert_fingerprinted(|conversation, hello| {
            send_dialogue(conversation);
            conversation.client(&hello[..at]).client(&hello[at..]);
        });
    }
}

#[test]
fn a_hello_after_starttls_is_fingerprinted() {
    for commands in
        [&["a1 STARTTLS\r\n"][..], &["a1 CAPABILITY\r\n", "a2 STARTTLS\r\n"], &["EHLO me\r\n", "STARTTLS\r\n"]]
    {
        assert_fingerprinted_in_any_order(|conversation| {
            conversation.server(b"* OK ready\r\n");
            for command in commands {
                conversation.client(command.as_bytes()).server(b"* OK go on\r\n");
            }
            commands.concat().len() as u32
        });
    }
}

#[test]
fn a_hello_after_connect_is_fingerprinted() {
    let connect = "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n";
    assert_fingerprinted_in_any_order(|conversation| {
        conversation.client(connect.as_bytes()).server(b"HTTP/1.1 200 OK\r\n\r\n");
        connect.len() as u32
    });
}

#[test]
fn a_hello_after_a_postgresql_sslrequest_is_fingerprinted() {
    let request = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];
    // In the second case, a first encryption request is refused, as one for GSSAPI.
    for rounds in [&b"S"[..], b"NS"] {
        assert_fingerprinted_in_any_order(|conversation| {
            for response in rounds {
                conversation.client(&request).server(&[*response]);
            }
            8 * rounds.len() as u32
        });
    }
}

#[test]
fn a_hello_after_a_mysql_greeting_is_fingerprinted() {
    let ssl_request = [&[32, 0, 0, 1, 0x05, 0xae, 0xff, 1, 0, 0, 0, 1, 0xff][..], &[0; 23]].concat();
    assert_fingerprinted_in_any_order(|conversation| {
        conversation.server(b"J\0\0\0\x0a8.0.30\0qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq").client(&ssl_request);
        ssl_request.len() as u32
    });
}

#[test]
fn a_second_hello_after_a_change_cipher_spec_is_fingerprinted() {
    let first = client_hello(Shape::Curl);
    let change = [20, 3, 3, 0, 1, 1];
    assert_fingerprinted_in_any_order(|conversation| {
        conversation.client(&first).client(&change);
        (first.len() + change.len()) as u32
    });
}

/// The server's flight has 12 segments and includes certificates; the first or the second segment arrives last.
#[test]
fn a_server_flight_whose_first_segment_arrives_last_is_fingerprinted() {
    let chain = [certificate::leaf("www.example.org").build(), certificate::authority().build()];
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).cycle().take(12).collect();
    let body = certificate::message(&chain);
    let message = [&[11][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat();
    let hello = hello::server_hello_12(&mut SplitMix64::new(3));
    let flight = hello::records(&[hello, message, vec![14, 0, 0, 0]].concat(), 16_000);
    let segments: Vec<_> = flight.chunks(flight.len() / 11).enumerate().collect();
    assert!((5_000..15_000).contains(&flight.len()), "not within an initial window: {}", flight.len());
    // After a greeting, TLS is detected from the first segment of the flight.
    for (greeting, late) in [(&b""[..], 0), (b"", 1), (b"220 ready\r\n", 1)] {
        let mut conversation = TcpConversation::new();
        conversation.handshake();
        if !greeting.is_empty() {
            conversation.server(greeting).client(b"STARTTLS\r\n");
        }
        conversation.client(&client_hello(Shape::Browser));
        let size = segments[0].1.len();
        let in_time = segments.iter().filter(|(number, _)| *number != late);
        for (number, segment) in in_time.chain([&segments[late]]) {
            conversation.server_at((greeting.len() + number * size) as u32, segment);
        }
        let events = replay(&conversation);
        assert_eq!(values(&events, "ja4s"), [JA4S_12], "late {late}");
        assert_eq!(values(&events, "ja4x").len(), chain.len(), "late {late}");
    }
}

/// RFC 4253, section 4.2.
#[test]
fn an_ssh_banner_after_other_lines_is_recognized() {
    let key_exchange = ssh::kex_init(&mut SplitMix64::new(4));
    for (port, lines) in [
        (22, &["NOTICE: authorised use only\r\nSSH-2.0-y\r\n"][..]),
        (22, &["Notice: authorised use only\r\nSSH-2.0-y\r\n"]),
        (22, &["Notice: ", "authorised use only\r\n", "SSH-2.0-y\r\n"]),
        (2222, &["Notice: authorised use only\r\n", "SSH-2.0-y\r\n"]),
        (2222, &["NOTICE: authorised use only\r\n", "SSH-2.0-y\r\n"]),
    ] {
        let mut conversation = TcpConversation::between("10.0.0.1:51234", &format!("10.0.0.2:{port}"));
        conversation.handshake();
        for line in lines {
            conversation.server(line.as_bytes());
        }
        conversation.client(b"SSH-2.0-x\r\n").client(&key_exchange).server(&key_exchange);
        for _ in 0..120 {
            conversation.client(&[0x80; 36]).server(&[0x81; 52]);
        }
        conversation.close();
        let events = replay(&conversation);
        let connection = &events::of_type(&events, "connection")[0]["ssh"];
        for side in ["client", "server"] {
            assert!(connection[side]["hassh"]["hash"].is_string(), "{side} of {port}, {lines:?}: {connection}");
        }
        assert!(values(&events, "ja4ssh").len() == 2, "{port}, {lines:?}");
    }
}
