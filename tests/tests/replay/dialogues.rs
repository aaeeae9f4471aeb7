//! TLS after a clear-text dialogue, a proxy request or another hello, with segments in any order.

use tests::{certificate, ssh};

use super::*;

/// Asserts that the browser's hello, which takes two segments, and the server's hello are fingerprinted when `tell`
/// sends the client's stream.
fn told(tell: impl Fn(&mut TcpConversation, &[u8])) {
    let hello = client_hello(Shape::PostQuantum);
    let mut talk = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:143");
    tell(talk.handshake(), &hello);
    talk.server(&server_flight()).close();
    let events = replay(&talk);
    assert_eq!(values(&events, "ja4").last(), Some(&Shape::PostQuantum.ja4()));
    assert_eq!(values(&events, "ja4s").last(), Some(&JA4S_13));
}

/// Sends a hello in two segments: reversed, and in order with cuts within its first bytes.
fn in_every_order(before: impl Fn(&mut TcpConversation) -> u32) {
    for at in [1400, 700] {
        told(|talk, hello| {
            let start = before(talk);
            talk.client_at(start + at, &hello[at as usize..]).client_at(start, &hello[..at as usize]);
        });
    }
    for at in [1, 5, 6, 8, 9, 1400] {
        told(|talk, hello| {
            before(talk);
            talk.client(&hello[..at]).client(&hello[at..]);
        });
    }
}

#[test]
fn a_hello_after_starttls() {
    for commands in
        [&["a1 STARTTLS\r\n"][..], &["a1 CAPABILITY\r\n", "a2 STARTTLS\r\n"], &["EHLO me\r\n", "STARTTLS\r\n"]]
    {
        in_every_order(|talk| {
            talk.server(b"* OK ready\r\n");
            for command in commands {
                talk.client(command.as_bytes()).server(b"* OK go on\r\n");
            }
            commands.concat().len() as u32
        });
    }
}

#[test]
fn a_hello_after_connect() {
    let connect = "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n";
    in_every_order(|talk| {
        talk.client(connect.as_bytes()).server(b"HTTP/1.1 200 OK\r\n\r\n");
        connect.len() as u32
    });
}

#[test]
fn a_hello_after_sslrequest_of_postgresql_and_its_answer() {
    let request = [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];
    // In the second case, a first encryption request is refused, as one for GSSAPI.
    for rounds in [&b"S"[..], b"NS"] {
        in_every_order(|talk| {
            for answer in rounds {
                talk.client(&request).server(&[*answer]);
            }
            8 * rounds.len() as u32
        });
    }
}

#[test]
fn a_hello_after_the_greeting_of_mysql() {
    let ask = [&[32, 0, 0, 1, 0x05, 0xae, 0xff, 1, 0, 0, 0, 1, 0xff][..], &[0; 23]].concat();
    in_every_order(|talk| {
        talk.server(b"J\0\0\0\x0a8.0.30\0qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq").client(&ask);
        ask.len() as u32
    });
}

#[test]
fn the_second_hello_behind_a_change_cipher_spec_of_its_own() {
    let first = client_hello(Shape::Curl);
    let change = [20, 3, 3, 0, 1, 1];
    in_every_order(|talk| {
        talk.client(&first).client(&change);
        (first.len() + change.len()) as u32
    });
}

/// The server's flight has 12 segments and includes certificates; the first or the second segment arrives last.
#[test]
fn a_servers_flight_whose_first_segment_comes_last() {
    let chain = [certificate::leaf("www.example.org").build(), certificate::authority().build()];
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).cycle().take(12).collect();
    let body = certificate::message(&chain);
    let message = [&[11][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat();
    let hello = hello::server_hello_12(&mut SplitMix64::new(3));
    let flight = hello::records(&[hello, message, vec![14, 0, 0, 0]].concat(), 16_000);
    let segments: Vec<_> = flight.chunks(flight.len() / 11).enumerate().collect();
    assert!((5_000..15_000).contains(&flight.len()), "an initial window: {}", flight.len());
    // After a greeting, TLS is detected from the first segment of the flight.
    for (greeting, late) in [(&b""[..], 0), (b"", 1), (b"220 ready\r\n", 1)] {
        let mut talk = TcpConversation::new();
        talk.handshake();
        if !greeting.is_empty() {
            talk.server(greeting).client(b"STARTTLS\r\n");
        }
        talk.client(&client_hello(Shape::Browser));
        let size = segments[0].1.len();
        let in_time = segments.iter().filter(|(number, _)| *number != late);
        for (number, segment) in in_time.chain([&segments[late]]) {
            talk.server_at((greeting.len() + number * size) as u32, segment);
        }
        let events = replay(&talk);
        assert_eq!(values(&events, "ja4s"), [JA4S_12], "late {late}");
        assert_eq!(values(&events, "ja4x").len(), chain.len(), "late {late}");
    }
}

/// RFC 4253, section 4.2.
#[test]
fn lines_before_the_banner_of_ssh() {
    let key_exchange = ssh::kex_init(&mut SplitMix64::new(4));
    for (port, lines) in [
        (22, &["NOTICE: authorised use only\r\nSSH-2.0-y\r\n"][..]),
        (22, &["Notice: authorised use only\r\nSSH-2.0-y\r\n"]),
        (22, &["Notice: ", "authorised use only\r\n", "SSH-2.0-y\r\n"]),
        (2222, &["Notice: authorised use only\r\n", "SSH-2.0-y\r\n"]),
        (2222, &["NOTICE: authorised use only\r\n", "SSH-2.0-y\r\n"]),
    ] {
        let mut talk = TcpConversation::between("10.0.0.1:51234", &format!("10.0.0.2:{port}"));
        talk.handshake();
        for line in lines {
            talk.server(line.as_bytes());
        }
        talk.client(b"SSH-2.0-x\r\n").client(&key_exchange).server(&key_exchange);
        for _ in 0..120 {
            talk.client(&[0x80; 36]).server(&[0x81; 52]);
        }
        talk.close();
        let events = replay(&talk);
        let connection = &events::of_type(&events, "connection")[0]["ssh"];
        for side in ["client", "server"] {
            assert!(connection[side]["hassh"]["hash"].is_string(), "{side} of {port}, {lines:?}: {connection}");
        }
        assert!(values(&events, "ja4ssh").len() == 2, "{port}, {lines:?}");
    }
}
