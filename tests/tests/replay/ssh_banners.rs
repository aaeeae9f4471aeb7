//! JA4SSH of packets before the banners: bare ACKs and text lines (specification, section 15, point 10).

use super::*;

use tests::ssh::kex_init;

const CLIENT: &[u8] = b"SSH-2.0-client\r\n"; // 16 bytes
const SERVER: &[u8] = b"SSH-2.0-a-server\r\n"; // 18 bytes

/// Clients and servers, IPv4 and IPv6, on port 22 and on another port.
const ENDS: [(&str, &str); 3] =
    [("10.0.0.1:51234", "10.0.0.2:22"), ("10.0.0.1:51234", "10.0.0.2:2222"), ("[fd00::1]:51234", "[fd00::2]:2222")];

/// Returns the packets from this endpoint.
fn only_from(conversation: &TcpConversation, client: &str) -> Vec<TimedFrame> {
    let port: u16 = client.rsplit(':').next().unwrap().parse().unwrap();
    let l4 = if client.starts_with('[') { 14 + 40 } else { 14 + 20 };
    let from_client = |packet: &&TimedFrame| packet.frame[l4..l4 + 2] == port.to_be_bytes();
    conversation.packets().iter().filter(from_client).cloned().collect()
}

fn ja4ssh(packets: &[TimedFrame]) -> Vec<String> {
    values(&replay_packets(packets, &[]), "ja4ssh").into_iter().map(str::to_owned).collect()
}

#[test]
fn a_bare_ack_before_the_banner_counts() {
    for (client, server) in ENDS {
        let mut conversation = TcpConversation::between(client, server);
        conversation.handshake().client_ack().server_ack().client_ack().server(SERVER).client_ack();
        conversation.client(CLIENT).server_ack().server_ack().server(&[1; 40]).close();
        assert_eq!(ja4ssh(conversation.packets()), ["c16s18_c1s2_c5s3"], "{server}");
        let events = replay_packets(&only_from(&conversation, client), &[]);
        assert_eq!(values(&events, "ja4ssh"), ["c16s0_c1s0_c5s0"], "{server}, the client's packets alone");
        let events = replay_packets(&only_from(&conversation, server), &[]);
        assert_eq!(values(&events, "ja4ssh"), ["c0s18_c0s2_c0s3"], "{server}, the server's packets alone");
    }
}

/// Without its TCP handshake, a connection is identified by port 22.
#[test]
fn a_bare_ack_before_the_banner_counts_if_the_handshake_was_not_captured() {
    for (client, server) in [("10.0.0.1:51234", "10.0.0.2:22"), ("[fd00::1]:51234", "[fd00::2]:22")] {
        for (first, second) in [(SERVER, CLIENT), (&[0x80; 18], &[0x81; 16])] {
            let mut conversation = TcpConversation::between(client, server);
            conversation.client_ack().server_ack().client_ack().server(first).client_ack().client(second).close();
            assert_eq!(ja4ssh(conversation.packets()), ["c16s18_c1s1_c4s1"], "{server}");
            assert_eq!(
                ja4ssh(&only_from(&conversation, client)),
                ["c16s0_c1s0_c4s0"],
                "{server}, the client's packets alone"
            );
            assert_eq!(
                ja4ssh(&only_from(&conversation, server)),
                ["c0s18_c0s1_c0s1"],
                "{server}, the server's packets alone"
            );
        }
        // Bare ACKs alone are not SSH, nor is TLS after them.
        let mut conversation = TcpConversation::between(client, server);
        conversation.client_ack().server_ack();
        assert_eq!(ja4ssh(conversation.packets()).len(), 0);
        conversation.client(&client_hello(Shape::Browser)).server_ack().server(&server_flight()).client_ack();
        let events = replay(&conversation);
        assert_eq!((values(&events, "ja4"), values(&events, "ja4s")), (vec![Shape::Browser.ja4()], vec![JA4S_13]));
        assert_eq!(values(&events, "ja4ssh").len(), 0);
    }
}

fn selected_acks(events: &[Value]) -> u64 {
    events::stats_u64(events::of_type(events, "stats").pop().unwrap(), &["kernel", "selected_by", "ack"])
}

/// Bare ACKs are selected only while the connection may be SSH, and only up to a limit.
#[test]
fn bare_acks_of_other_connections_are_not_selected() {
    let mut tls = TcpConversation::new();
    tls.handshake().client(&client_hello(Shape::Browser)).server_ack().server(&server_flight()).client_ack();
    for _ in 0..10 {
        tls.client(&[23, 3, 3, 0, 1, 7]).server_ack();
    }
    assert_eq!(selected_acks(&replay(&tls)), 1);
    // A greeting, its ACK, a command and bulk data.
    let mut mail = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:25");
    mail.handshake().server(b"220 example.org\r\n").client_ack().client(b"EHLO a\r\n").server_ack();
    for _ in 0..30 {
        mail.server(&[b'2'; 1400]).client_ack();
    }
    assert!(selected_acks(&replay(&mail)) <= 4);
    let mut upload = TcpConversation::new();
    upload.handshake();
    for _ in 0..30 {
        upload.client(&[7; 1400]).server_ack();
    }
    assert_eq!(selected_acks(&replay(&upload)), 1);
    let mut idle = TcpConversation::new();
    idle.handshake();
    for _ in 0..400 {
        idle.client_ack().server_ack();
    }
    idle.server(SERVER);
    let events = replay(&idle);
    // 255 packets per side, including the SYN or SYN-ACK and the client's first ACK.
    assert_eq!(selected_acks(&events), 2 * 254);
    assert_eq!(values(&events, "ja4ssh"), ["c0s18_c0s1_c254s254"]);
}

/// Lines from a client or a load balancer before the client's banner.
const LINES: [&str; 6] = [
    "PROXY TCP4 192.0.2.1 192.0.2.2 56324 22\r\n",
    "hello there\r\n",
    "HELLO there\r\n",
    "\r\n",
    "HELLO\nTHERE\n",
    "PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0001 2001:0db8:0000:0000:0000:0000:0000:0002 56324 22\r\n",
];

/// Asserts that the connection event contains software version and HASSH of a side.
fn assert_software_and_hassh(events: &[Value], side: &str) {
    let connection = &events::of_type(events, "connection")[0]["ssh"][side];
    assert!(connection["software_version"].is_string() && connection["hassh"]["hash"].is_string(), "{connection}");
}

#[test]
fn ssh_is_recognized_with_a_line_before_the_client_banner() {
    let offer = kex_init(&mut SplitMix64::new(4));
    for ((client, server), line) in ENDS.into_iter().flat_map(|ends| LINES.map(|line| (ends, line))) {
        let both = [line.as_bytes(), CLIENT].concat();
        let largest = both.len().min(offer.len());
        let replay_with = |send: &dyn Fn(&mut TcpConversation)| {
            let mut conversation = TcpConversation::between(client, server);
            send(conversation.handshake());
            conversation.client(&offer).server_ack().server(&offer).client_ack().close();
            let events = replay(&conversation);
            assert_software_and_hassh(&events, "client");
            assert_software_and_hassh(&events, "server");
            assert_eq!(values(&events, "ja4h").len(), 0);
            let mut reported = vec![values(&events, "ja4ssh").concat()];
            reported.extend(ja4ssh(&only_from(&conversation, client)));
            reported
        };
        let context = format!("{server}, {line:?}");
        // The line in its own segment, which is not counted, before the server's banner.
        let reported = replay_with(&|conversation| {
            conversation.client(line.as_bytes()).server_ack().server(SERVER).client_ack().client(CLIENT);
        });
        assert_eq!(reported, ["c16s18_c2s2_c4s2", "c16s0_c2s0_c4s0"], "{context}");
        // The line after the server's banner, which identifies SSH.
        let reported = replay_with(&|conversation| {
            conversation.server(SERVER).client_ack().client(line.as_bytes()).server_ack().client(CLIENT);
        });
        let smaller = line.len().min(CLIENT.len());
        assert_eq!(reported, [format!("c{smaller}s18_c3s2_c4s2"), "c16s0_c2s0_c4s0".to_owned()], "{context}");
        // The line in the segment of the client's banner, before and after the server's banner.
        let reported = replay_with(&|conversation| {
            conversation.client(&both).server_ack().server(SERVER).client_ack();
        });
        assert_eq!(reported, [format!("c{largest}s18_c2s2_c4s2"), format!("c{largest}s0_c2s0_c4s0")], "{context}");
        let reported = replay_with(&|conversation| {
            conversation.server(SERVER).client_ack().client(&both).server_ack();
        });
        assert_eq!(reported, [format!("c{largest}s18_c2s2_c4s2"), format!("c{largest}s0_c2s0_c4s0")], "{context}");
    }
}

#[test]
fn ssh_is_recognized_with_lines_in_the_segment_of_the_server_banner() {
    let offer = kex_init(&mut SplitMix64::new(4));
    for (client, server) in ENDS {
        for lines in ["Welcome\r\n", "WELCOME to this host\r\n", "one\ntwo\n", "\r\n"] {
            let mut conversation = TcpConversation::between(client, server);
            conversation.handshake().server(&[lines.as_bytes(), SERVER].concat()).client_ack().client(CLIENT);
            conversation.client(&offer).server(&offer).close();
            let events = replay(&conversation);
            assert_software_and_hassh(&events, "client");
            assert_software_and_hassh(&events, "server");
            let length = lines.len() + SERVER.len();
            assert_eq!(values(&events, "ja4ssh"), [format!("c16s{length}_c2s2_c3s0")], "{server}, {lines:?}");
        }
    }
}

/// Specification, section 15, point 10.
#[test]
fn a_request_to_an_ssh_server_is_not_ssh() {
    for (client, server) in ENDS {
        for request in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "FETCH / HTTP/1.1\r\nHost: h\r\n\r\n"] {
            for before in [true, false] {
                let mut conversation = TcpConversation::between(client, server);
                conversation.handshake();
                if before {
                    conversation.server(SERVER).client_ack();
                }
                conversation.client(request.as_bytes()).server_ack();
                if !before {
                    conversation.server(SERVER).client_ack();
                }
                conversation.server(b"Invalid SSH identification string.\r\n").close();
                let events = replay(&conversation);
                assert_eq!(values(&events, "ja4h").len(), 1, "{server}, {request:?}");
                assert_eq!(values(&events, "ja4ssh").len(), 0, "{server}, {request:?}");
            }
        }
    }
}

/// A request with an unregistered method is identified by its HTTP version, at any segment boundary.
#[test]
fn a_request_split_after_any_line_is_http() {
    let lines = ["FETCH / HTTP/1.1\r\n", "Host: h\r\n", "Accept: */*\r\n", "\r\n"];
    for ((client, server), at) in ENDS.into_iter().flat_map(|ends| (1..lines.len()).map(move |at| (ends, at))) {
        let mut conversation = TcpConversation::between(client, server);
        conversation
            .handshake()
            .client(lines[..at].concat().as_bytes())
            .server_ack()
            .client(lines[at..].concat().as_bytes());
        conversation.close();
        let events = replay(&conversation);
        assert_eq!(values(&events, "ja4h").len(), 1, "{server}, {at} lines first");
        assert_eq!(values(&events, "ja4ssh").len(), 0, "{server}, {at} lines first");
    }
}
