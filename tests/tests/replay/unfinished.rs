//! Incomplete messages: each is counted, and its complete parts are reported.

use tests::conversation::UdpConversation;
use tests::packets::Sender;
use tests::{certificate, dtls, quic, ssh, stats_u64};

use super::*;

/// Returns a TLS 1.2 server's hello, the first `length` bytes of its Certificate message, and the record `behind`.
fn flight(length: usize, behind: &[u8]) -> Vec<u8> {
    let mut random = SplitMix64::new(9);
    let chain = [certificate::leaf("www.example.org").build(), certificate::authority().build()];
    let body = certificate::message(&[&chain[0], &chain[1]]);
    let header = [&[11][..], &(body.len() as u32).to_be_bytes()[1..]].concat();
    let hello = hello::records(&hello::server_hello_12(&mut random), usize::MAX);
    // The Certificate message has its own records; the last record ends at the truncation.
    let mut certificates = [header, body].concat();
    certificates.truncate(length);
    [hello, hello::records(&certificates, 1000), behind.to_vec()].concat()
}

/// Sends the end of a conversation.
type End = fn(&mut TcpConversation);

/// Returns the events of a connection whose server sends these bytes in segments; `end` sends the rest.
fn after(server: &[u8], end: impl FnOnce(&mut TcpConversation)) -> Vec<Value> {
    let mut talk = TcpConversation::new();
    talk.handshake().client(&client_hello(Shape::Browser));
    for segment in server.chunks(700) {
        talk.server(segment);
    }
    end(&mut talk);
    replay(&talk)
}

fn unfinished(events: &[Value]) -> u64 {
    stats_u64(events.last().unwrap(), &["shards", "incomplete_messages"])
}

/// Returns the end offset of the leaf of [`flight`] in the Certificate message.
fn leaf_end() -> usize {
    4 + 3 + 3 + certificate::leaf("www.example.org").build().len()
}

#[test]
fn of_certificates_cut_short_those_that_are_whole_are_told_however_the_stream_ends() {
    let whole = after(&flight(usize::MAX, &[]), |talk| _ = talk.close());
    let both = values(&whole, "ja4x");
    assert_eq!((both.len(), unfinished(&whole)), (2, 0));
    let ends: [(&str, End); 4] = [
        ("FIN", |talk| _ = talk.close()),
        ("RST", |talk| _ = talk.server_reset()),
        ("the capture", |_| ()),
        ("another SYN", |talk| {
            talk.wait(Duration::from_secs(20)).again(0x7777_0000, 0x1234_0000).handshake();
        }),
    ];
    for (what, end) in ends {
        let cut = after(&flight(leaf_end() + 300, &[]), end);
        assert_eq!((values(&cut, "ja4x"), unfinished(&cut)), (vec![both[0]], 1), "ended by {what}");
        let connection = events::of_type(&cut, "connection")[0];
        assert_eq!(connection["tls"]["subject_cn"], "www.example.org", "ended by {what}");
        let cut = after(&flight(leaf_end() - 1, &[]), end);
        assert_eq!((values(&cut, "ja4x").len(), unfinished(&cut)), (0, 1), "ended by {what}");
    }
}

#[test]
fn an_alert_within_a_message_leaves_it_unfinished() {
    let fatal = [21, 3, 3, 0, 2, 2, 40];
    let events = after(&flight(leaf_end() + 300, &fatal), |talk| _ = talk.close());
    assert_eq!((values(&events, "ja4x").len(), unfinished(&events)), (1, 1));
}

#[test]
fn a_hello_or_a_header_block_without_its_end_is_counted_once() {
    let hello = client_hello(Shape::PostQuantum);
    let key_exchange = [&b"SSH-2.0-x\r\n"[..], &ssh::kex_init(&mut SplitMix64::new(4))[..100]].concat();
    let frames = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0, 0, 9, 1, 0, 0, 0, 0, 1, 0x82]].concat();
    let starts: [&[u8]; 4] = [&hello[..1400], b"GET / HTTP/1.1\r\nHost: h\r\n", &key_exchange, &frames];
    for start in starts {
        for port in [22, 443] {
            let mut talk = TcpConversation::between("10.0.0.1:51234", &format!("10.0.0.2:{port}"));
            talk.handshake().client(start).close();
            assert_eq!(unfinished(&replay(&talk)), 1, "{:?}", String::from_utf8_lossy(start));
        }
    }
}

#[test]
fn bytes_that_waited_for_missing_ones_are_counted() {
    let hello = client_hello(Shape::PostQuantum);
    let mut talk = TcpConversation::new();
    talk.handshake().client_at(1400, &hello[1400..]).close();
    assert_eq!(unfinished(&replay(&talk)), 1);
}

#[test]
fn nothing_is_unfinished_where_all_has_come() {
    let body = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nthe rest never comes";
    let mut talk = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
    talk.handshake().client(body.as_bytes()).close();
    assert_eq!(unfinished(&replay(&talk)), 0);
    assert_eq!(unfinished(&replay(&plain())), 0);
}

#[test]
fn hellos_over_udp_without_their_end_are_counted() {
    let message = Shape::PostQuantum.client_hello("example.org", &mut SplitMix64::new(5));
    let keys = quic::QuicEnds::new(b"\x83\x94\xc8\xf0\x3e\x51\x57\x08", b"server");
    let mut frames = quic::crypto(0, &message[..900]);
    frames.resize(1100, 0);
    let mut talk = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:443");
    talk.client(&keys.initial(Sender::Client, 0, &frames));
    assert_eq!(unfinished(&replay_packets(talk.packets(), &[])), 1);

    let mut talk = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:4433");
    talk.client(&dtls::datagrams(1, 0, &message[4..], 600)[0]);
    assert_eq!(unfinished(&replay_packets(talk.packets(), &[])), 1);
}

#[test]
fn of_dtls_certificates_cut_short_those_that_are_whole_are_told() {
    let chain = [certificate::leaf("www.example.org").build(), certificate::authority().build()];
    let body = certificate::message(&[&chain[0], &chain[1]]);
    let hello = |random: u8| {
        let hello = tests::hello_builder::HelloBuilder::new(0xfefd, &[0xc02b]).random([random; 32]);
        dtls::datagrams(1, 0, &hello.dtls_client(&[]), 2000).remove(0)
    };
    let answer = tests::hello_builder::HelloBuilder::new(0xfefd, &[0xc02b]).server_body();
    let pieces = dtls::datagrams(11, 1, &body, 100);
    let whole = (3 + 3 + chain[0].len()).div_ceil(100);
    // End of the association: the capture, another association, messages over the limit.
    let ends: [fn(&mut UdpConversation, &[u8]); 3] = [
        |_, _| (),
        |talk, another| _ = talk.client(another),
        |talk, _| {
            for seq in 2..20 {
                talk.server(&dtls::record(22, 0, &dtls::fragment(11, seq, 9000, 100, &[1; 100])));
            }
        },
    ];
    for (what, end) in ends.iter().enumerate() {
        for (pieces, told) in [(&pieces[..whole], 1), (&pieces[..whole - 1], 0)] {
            let mut talk = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:4433");
            talk.client(&hello(1)).server(&dtls::datagrams(2, 0, &answer, 2000)[0]);
            for piece in pieces {
                talk.server(piece);
            }
            end(&mut talk, &hello(2));
            let events = replay_packets(talk.packets(), &[]);
            assert_eq!(values(&events, "ja4x").len(), told, "{what}");
        }
    }
    // A Certificate message after a lost message is complete.
    let mut talk = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:4433");
    talk.client(&hello(1)).server(&dtls::datagrams(2, 0, &answer, 2000)[0]);
    talk.server(&dtls::datagrams(11, 2, &body, 9000)[0]);
    assert_eq!(values(&replay_packets(talk.packets(), &[]), "ja4x").len(), 2);
}

/// Returns the body of a Certificate message with `count` certificates of slightly more than `size` bytes.
fn chain(count: usize, size: usize) -> Vec<u8> {
    let one = certificate::Certificate::new().extension(&[0x55, 29, 17], false, &vec![0x30; size]).build();
    certificate::message(&vec![&one[..]; count])
}

#[test]
fn of_a_chain_longer_than_is_read_the_certificates_that_are_whole_are_told() {
    // 65,536 bytes of the message are read: five certificates of 12 KiB, or short ones up to the limit of 101.
    for (count, size, told) in [(4, 12_288, 4), (6, 12_288, 5), (40, 20, 40), (101, 20, 101), (120, 20, 101)] {
        let body = chain(count, size);
        let message = [&[11][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat();
        let flight = [
            hello::records(&hello::server_hello_12(&mut SplitMix64::new(9)), usize::MAX),
            hello::records(&message, 16_000),
        ];
        let tls = after(&flight.concat(), |talk| _ = talk.close());
        assert_eq!(values(&tls, "ja4x").len(), told, "{count} of {size} over TCP");
        assert_eq!(unfinished(&tls), u64::from(body.len() > 65_536));

        let hello = tests::hello_builder::HelloBuilder::new(0xfefd, &[0xc02b]);
        for piece in [1200, 150] {
            let mut talk = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:4433");
            talk.client(&dtls::datagrams(1, 0, &hello.dtls_client(&[]), 2000)[0]);
            talk.server(&dtls::datagrams(2, 0, &hello.server_body(), 2000)[0]);
            for datagram in dtls::datagrams(11, 1, &body, piece) {
                talk.server(&datagram);
            }
            talk.server(&dtls::datagrams(14, 2, &[], 100)[0]);
            let events = replay_packets(talk.packets(), &[]);
            assert_eq!(values(&events, "ja4x").len(), told, "{count} of {size} over DTLS");
        }
    }
}

/// Returns the events of these packets, captured with a snapshot length of `snap` bytes.
fn cut(packets: &[TimedFrame], snap: usize) -> Vec<Value> {
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
fn a_quic_hello_cut_short_has_no_value_but_its_names_are_told() {
    // 45 bytes before the extensions, then the extensions; the cut is in the last one.
    let hello = tests::hello_builder::HelloBuilder::new(0x0303, &[0x1301]).extension(0, b"\0\x0e\0\0\x0bexample.org");
    let hello = hello.versions(&[0x0304]).alpn(&[b"h3"]).extension(21, &[0; 1500]).client();
    let keys = quic::QuicEnds::new(b"\x83\x94\xc8\xf0\x3e\x51\x57\x08", b"server");
    let answer = quic::crypto(0, &hello::server_hello_13(&mut SplitMix64::new(2)));
    let mut talk = UdpConversation::between("10.0.0.1:51234", "10.0.0.2:443");
    talk.client(&keys.initial(Sender::Client, 0, &quic::crypto(0, &hello[..1100])));
    talk.client(&keys.initial(Sender::Client, 1, &quic::crypto(1100, &hello[1100..])));
    talk.server(&keys.initial(Sender::Server, 0, &answer));

    let whole = replay_packets(talk.packets(), &[]);
    assert_eq!((values(&whole, "ja4").len(), unfinished(&whole)), (1, 0));
    // Second Initial not captured; each Initial cut; cut before the names; cut within the header.
    let first = [&talk.packets()[..1], &talk.packets()[2..]].concat();
    let names = serde_json::json!({"version": "TLS 1.3", "sni": "example.org", "alpn": ["h3"]});
    let cases = [
        ("lost", replay_packets(&first, &[]), Some(&names), true),
        ("cut", cut(talk.packets(), 800), Some(&names), true),
        ("cut early", cut(talk.packets(), 42 + 60), None, true),
        ("cut within the header", cut(talk.packets(), 42 + 10), None, false),
    ];
    for (what, events, names, header) in cases {
        assert_eq!(values(&events, "ja4"), [""; 0], "{what}");
        let connection = events::of_type(&events, "connection")[0];
        assert_eq!(connection["quic"]["version"], "1", "{what}: {connection}");
        for field in ["sni", "alpn"] {
            assert_eq!(connection["tls"].get(field), names.map(|names| &names[field]), "{what}: {connection}");
        }
        let malformed = &events::of_type(&events, "stats").pop().unwrap()["stats"]["shards"]["malformed"]["quic"];
        assert!(malformed.get("bad_length").is_none_or(|count| *count == 0), "{what}: {malformed}");
        assert_eq!(malformed["truncated"].as_u64().unwrap_or(0) > 0, !header, "{what}: {malformed}");
    }
    // Later events contain the names.
    let cut = cut(talk.packets(), 800);
    let ja4s = only(&cut, "ja4s");
    assert_eq!((&ja4s["tls"]["sni"], &ja4s["tls"]["version"]), (&"example.org".into(), &"TLS 1.3".into()));
}
