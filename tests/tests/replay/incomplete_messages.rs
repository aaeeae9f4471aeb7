//! Incomplete messages: each is counted, and its complete parts are reported.

use tests::conversation::UdpConversation;
use tests::packets::Sender;
use tests::{certificate, dtls, quic, ssh, stats_u64};

use super::*;

/// Returns a TLS 1.2 server's hello, the first `length` bytes of its Certificate message, and the record `last_record`.
fn flight(length: usize, last_record: &[u8]) -> Vec<u8> {
    let mut random = SplitMix64::new(9);
    let chain = [certificate::leaf("www.example.org").build(), certificate::authority().build()];
    let body = certificate::message(&[&chain[0], &chain[1]]);
    let header = [&[11][..], &(body.len() as u32).to_be_bytes()[1..]].concat();
    let hello = hello::records(&hello::server_hello_12(&mut random), usize::MAX);
    // The Certificate message has its own records; the last record ends at the truncation.
    let mut certificates = [header, body].concat();
    certificates.truncate(length);
    [hello, hello::records(&certificates, 1000), last_record.to_vec()].concat()
}

/// Returns the events of a connection; the server sends these bytes in segments and `end` sends the rest.
fn replay_server(server: &[u8], end: impl FnOnce(&mut TcpConversation)) -> Vec<Value> {
    let mut conversation = TcpConversation::new();
    conversation.handshake().client(&client_hello(Shape::Browser));
    for segment in server.chunks(700) {
        conversation.server(segment);
    }
    end(&mut conversation);
    replay(&conversation)
}

fn incomplete(events: &[Value]) -> u64 {
    stats_u64(events.last().unwrap(), &["shards", "incomplete_messages"])
}

/// Returns the end offset of the leaf of [`flight`] in the Certificate message.
fn leaf_end() -> usize {
    4 + 3 + 3 + certificate::leaf("www.example.org").build().len()
}

#[test]
fn complete_certificates_of_a_truncated_chain_are_fingerprinted_at_any_end() {
    let whole = replay_server(&flight(usize::MAX, &[]), |conversation| _ = conversation.close());
    let both = values(&whole, "ja4x");
    assert_eq!((both.len(), incomplete(&whole)), (2, 0));
    let ends: [(&str, SendEnd); 4] = [
        ("FIN", |conversation| _ = conversation.close()),
        ("RST", |conversation| _ = conversation.server_reset()),
        ("the capture", |_| ()),
        ("another SYN", |conversation| {
            conversation.wait(Duration::from_secs(20)).again(0x7777_0000, 0x1234_0000).handshake();
        }),
    ];
    for (case, end) in ends {
        let truncated = replay_server(&flight(leaf_end() + 300, &[]), end);
        assert_eq!((values(&truncated, "ja4x"), incomplete(&truncated)), (vec![both[0]], 1), "ended by {case}");
        let connection = events::of_type(&truncated, "connection")[0];
        assert_eq!(connection["tls"]["subject_cn"], "www.example.org", "ended by {case}");
        let truncated = replay_server(&flight(leaf_end() - 1, &[]), end);
        assert_eq!((values(&truncated, "ja4x").len(), incomplete(&truncated)), (0, 1), "ended by {case}");
    }
}

#[test]
fn an_alert_within_a_message_leaves_it_incomplete() {
    let fatal = [21, 3, 3, 0, 2, 2, 40];
    let events = replay_server(&flight(leaf_end() + 300, &fatal), |conversation| _ = conversation.close());
    assert_eq!((values(&events, "ja4x").len(), incomplete(&events)), (1, 1));
}

#[test]
fn a_hello_or_a_header_block_without_its_end_is_counted_once() {
    let hello = client_hello(Shape::PostQuantum);
    let key_exchange = [&b"SSH-2.0-x\r\n"[..], &ssh::kex_init(&mut SplitMix64::new(4))[..100]].concat();
    let frames = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0, 0, 9, 1, 0, 0, 0, 0, 1, 0x82]].concat();
    let starts: [&[u8]; 4] = [&hello[..1400], b"GET / HTTP/1.1\r\nHost: h\r\n", &key_exchange, &frames];
    for start in starts {
        for port in [22, 443] {
            let mut conversation = TcpConversation::between("10.0.0.1:51234", &format!("10.0.0.2:{port}"));
            conversation.handshake().client(start).close();
            assert_eq!(incomplete(&replay(&conversation)), 1, "{:?}", String::from_utf8_lossy(start));
        }
    }
}

#[test]
fn bytes_buffered_for_missing_ones_are_counted() {
    let hello = client_hello(Shape::PostQuantum);
    let mut conversation = TcpConversation::new();
    conversation.handshake().client_at(1400, &hello[1400..]).close();
    assert_eq!(incomplete(&replay(&conversation)), 1);
}

#[test]
fn complete_messages_are_not_counted_as_incomplete() {
    let body = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nthe rest never comes";
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
    conversation.handshake().client(body.as_bytes()).close();
    assert_eq!(incomplete(&replay(&conversation)), 0);
    assert_eq!(incomplete(&replay(&plain())), 0);
}

#[test]
fn hellos_over_udp_without_their_end_are_counted() {
    let message = Shape::PostQuantum.client_hello("example.org", &mut SplitMix64::new(5));
    let keys = quic::QuicEnds::new(b"\x83\x94\xc8\xf0\x3e\x51\x57\x08", b"server");
    let mut frames = quic::crypto(0, &message[..900]);
    frames.resize(1100, 0);
    let mut conversation = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:443");
    conversation.client(&keys.initial(Sender::Client, 0, &frames));
    assert_eq!(incomplete(&replay_packets(conversation.packets(), &[])), 1);

    let mut conversation = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:4433");
    conversation.client(&dtls::datagrams(1, 0, &message[4..], 600)[0]);
    assert_eq!(incomplete(&replay_packets(conversation.packets(), &[])), 1);
}

#[test]
fn complete_certificates_of_a_truncated_dtls_chain_are_fingerprinted() {
    let chain = [certificate::leaf("www.example.org").build(), certificate::authority().build()];
    let body = certificate::message(&[&chain[0], &chain[1]]);
    let hello = |random: u8| {
        let hello = tests::hello_builder::HelloMessageBuilder::new(0xfefd, &[0xc02b]).random([random; 32]);
        dtls::datagrams(1, 0, &hello.dtls_client(&[]), 2000).remove(0)
    };
    let server_hello = tests::hello_builder::HelloMessageBuilder::new(0xfefd, &[0xc02b]).server_body();
    let pieces = dtls::datagrams(11, 1, &body, 100);
    let whole = (3 + 3 + chain[0].len()).div_ceil(100);
    // End of the association: the capture, another association, messages over the limit.
    let ends: [fn(&mut UdpConversation, &[u8]); 3] = [
        |_, _| (),
        |conversation, another| _ = conversation.client(another),
        |conversation, _| {
            for seq in 2..20 {
                conversation.server(&dtls::record(22, 0, &dtls::fragment(11, seq, 9000, 100, &[1; 100])));
            }
        },
    ];
    for (case, end) in ends.iter().enumerate() {
        for (pieces, expected) in [(&pieces[..whole], 1), (&pieces[..whole - 1], 0)] {
            let mut conversation = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:4433");
            conversation.client(&hello(1)).server(&dtls::datagrams(2, 0, &server_hello, 2000)[0]);
            for piece in pieces {
                conversation.server(piece);
            }
            end(&mut conversation, &hello(2));
            let events = replay_packets(conversation.packets(), &[]);
            assert_eq!(values(&events, "ja4x").len(), expected, "{case}");
        }
    }
    // A Certificate message after a lost message is complete.
    let mut conversation = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:4433");
    conversation.client(&hello(1)).server(&dtls::datagrams(2, 0, &server_hello, 2000)[0]);
    conversation.server(&dtls::datagrams(11, 2, &body, 9000)[0]);
    assert_eq!(values(&replay_packets(conversation.packets(), &[]), "ja4x").len(), 2);
}

/// Returns the body of a Certificate message with `count` certificates of slightly more than `size` bytes.
fn chain(count: usize, size: usize) -> Vec<u8> {
    let one = certificate::Certificate::new().extension(&[0x55, 29, 17], false, &vec![0x30; size]).build();
    certificate::message(&vec![&one[..]; count])
}

#[test]
fn complete_certificates_of_a_chain_over_the_limit_are_fingerprinted() {
    // 65,536 bytes of the message are read: five certificates of 12 KiB, or short ones up to the limit of 101.
    for (count, size, expected) in [(4, 12_288, 4), (6, 12_288, 5), (40, 20, 40), (101, 20, 101), (120, 20, 101)] {
        let body = chain(count, size);
        let message = [&[11][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat();
        let flight = [
            hello::records(&hello::server_hello_12(&mut SplitMix64::new(9)), usize::MAX),
            hello::records(&message, 16_000),
        ];
        let tls = replay_server(&flight.concat(), |conversation| _ = conversation.close());
        assert_eq!(values(&tls, "ja4x").len(), expected, "{count} of {size} over TCP");
        assert_eq!(incomplete(&tls), u64::from(body.len() > 65_536));

        let hello = tests::hello_builder::HelloMessageBuilder::new(0xfefd, &[0xc02b]);
        for piece in [1200, 150] {
            let mut conversation = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:4433");
            conversation.client(&dtls::datagrams(1, 0, &hello.dtls_client(&[]), 2000)[0]);
            conversation.server(&dtls::datagrams(2, 0, &hello.server_body(), 2000)[0]);
            for datagram in dtls::datagrams(11, 1, &body, piece) {
                conversation.server(&datagram);
            }
            conversation.server(&dtls::datagrams(14, 2, &[], 100)[0]);
            let events = replay_packets(conversation.packets(), &[]);
            assert_eq!(values(&events, "ja4x").len(), expected, "{count} of {size} over DTLS");
        }
    }
}

/// Returns the events of these packets, captured with a snapshot length of `snap` bytes.
fn truncated(packets: &[TimedFrame], snap: usize) -> Vec<Value> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("cut.pcap");
    let mut pcap = PcapWriter::new(File::create(&file).unwrap(), 1).unwrap();
    for TimedFrame { time, frame } in packets {
        pcap.cut(time.as_nanos() as u64, &frame[..frame.len().min(snap)], frame.len()).unwrap();
    }
    drop(pcap);
    Sensor::new().replay(&file)
}

#[test]
fn a_truncated_quic_hello_has_no_value_but_its_names_are_reported() {
    // 45 bytes before the extensions, then the extensions; the cut is in the last one.
    let hello =
        tests::hello_builder::HelloMessageBuilder::new(0x0303, &[0x1301]).extension(0, b"\0\x0e\0\0\x0bexample.org");
    let hello = hello.versions(&[0x0304]).alpn(&[b"h3"]).extension(21, &[0; 1500]).client();
    let keys = quic::QuicEnds::new(b"\x83\x94\xc8\xf0\x3e\x51\x57\x08", b"server");
    let server_hello = quic::crypto(0, &hello::server_hello_13(&mut SplitMix64::new(2)));
    let mut conversation = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:443");
    conversation.client(&keys.initial(Sender::Client, 0, &quic::crypto(0, &hello[..1100])));
    conversation.client(&keys.initial(Sender::Client, 1, &quic::crypto(1100, &hello[1100..])));
    conversation.server(&keys.initial(Sender::Server, 0, &server_hello));

    let whole = replay_packets(conversation.packets(), &[]);
    assert_eq!((values(&whole, "ja4").len(), incomplete(&whole)), (1, 0));
    // Second Initial not captured; each Initial cut; cut before the names; cut within the header.
    let first = [&conversation.packets()[..1], &conversation.packets()[2..]].concat();
    let names = serde_json::json!({"version": "TLS 1.3", "sni": "example.org", "alpn": ["h3"]});
    let cases = [
        ("lost", replay_packets(&first, &[]), Some(&names), true),
        ("cut", truncated(conversation.packets(), 800), Some(&names), true),
        ("cut early", truncated(conversation.packets(), 42 + 60), None, true),
        ("cut within the header", truncated(conversation.packets(), 42 + 10), None, false),
    ];
    for (case, events, names, header) in cases {
        assert_eq!(values(&events, "ja4"), [""; 0], "{case}");
        let connection = events::of_type(&events, "connection")[0];
        assert_eq!(connection["quic"]["version"], "1", "{case}: {connection}");
        for field in ["sni", "alpn"] {
            assert_eq!(connection["tls"].get(field), names.map(|names| &names[field]), "{case}: {connection}");
        }
        let malformed = &events::of_type(&events, "stats").pop().unwrap()["stats"]["shards"]["malformed"]["quic"];
        assert!(malformed.get("bad_length").is_none_or(|count| *count == 0), "{case}: {malformed}");
        assert_eq!(malformed["truncated"].as_u64().unwrap_or(0) > 0, !header, "{case}: {malformed}");
    }
    // Later events contain the names.
    let truncated = truncated(conversation.packets(), 800);
    let ja4s = only(&truncated, "ja4s");
    assert_eq!((&ja4s["tls"]["sni"], &ja4s["tls"]["version"]), (&"example.org".into(), &"TLS 1.3".into()));
}
