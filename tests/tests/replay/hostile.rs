//! Injected and lost packets do not hide a handshake.

use tests::outer_layer::{OuterLayer, TunnelKind};

use super::*;

/// Returns the last stats event of a replay.
fn counters(events: &[Value]) -> &Value {
    events::of_type(events, "stats").pop().expect("a replay ends with its statistics")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n{}\r\n", "X-A: b\r\n".repeat(path.len()))
}

/// Returns the header counts of all JA4H values, which identify the requests.
fn requests(events: &[Value]) -> Vec<&str> {
    values(events, "ja4h").into_iter().map(|value| &value[6..8]).collect()
}

/// Asserts that the browser's hello is fingerprinted after `inject` has sent other packets.
fn survives(inject: impl FnOnce(&mut TcpConversation)) -> Vec<Value> {
    let hello = client_hello(Shape::PostQuantum);
    let mut talk = TcpConversation::new();
    talk.handshake();
    inject(&mut talk);
    talk.client_at(0, &hello[..1400]).client_at(1400, &hello[1400..]);
    talk.server_at(0, &server_flight());
    let events = replay(&talk);
    assert!(values(&events, "ja4").contains(&Shape::PostQuantum.ja4()), "{:?}", values(&events, "ja4"));
    assert_eq!(values(&events, "ja4s"), [JA4S_13]);
    events
}

#[test]
fn a_forged_hello_ahead_of_the_stream() {
    let forged = client_hello(Shape::Device);
    // Within the window, beyond the buffered range, far ahead, and before the start of the stream.
    for offset in [5_000, 100_000, 5_000_000, 0_u32.wrapping_sub(9_000), 0_u32.wrapping_sub(2 << 20)] {
        survives(|talk| {
            talk.client_at(offset, &forged);
        });
    }
}

#[test]
fn a_forged_hello_of_the_server_ahead_of_its_stream() {
    let forged = hello::records(&hello::server_hello_12(&mut SplitMix64::new(3)), usize::MAX);
    let mut talk = TcpConversation::new();
    talk.handshake().client(&client_hello(Shape::Browser)).server_at(30_000, &forged);
    talk.server_at(0, &server_flight());
    assert!(values(&replay(&talk), "ja4s").contains(&JA4S_13));
}

#[test]
fn a_segment_from_nowhere_within_the_hello() {
    let hello = client_hello(Shape::PostQuantum);
    let mut talk = TcpConversation::new();
    talk.handshake().client_at(0, &hello[..1400]).client_at(3_000_000, &[7; 900]);
    talk.client_at(1400, &hello[1400..]).server(&server_flight());
    assert_eq!(values(&replay(&talk), "ja4"), [Shape::PostQuantum.ja4()]);
}

#[test]
fn a_forged_syn_with_another_number() {
    let hello = client_hello(Shape::PostQuantum);
    let mut talk = TcpConversation::new();
    talk.handshake().again(0x6000_0000, 0).syn().again(0x1000_0000, 0x8000_0000);
    talk.client_at(0, &hello[..1400]).client_at(1400, &hello[1400..]).server_at(0, &server_flight());
    assert_eq!(values(&replay(&talk), "ja4"), [Shape::PostQuantum.ja4()]);
}

#[test]
fn a_forged_reset_neither_ends_the_connection_nor_loses_half_a_hello() {
    let hello = client_hello(Shape::PostQuantum);
    let mut talk = TcpConversation::new();
    talk.handshake().client(&hello[..1400]).server_reset().wait(Duration::from_millis(1500));
    talk.client(&hello[1400..]).wait(Duration::from_secs(3)).server(&server_flight()).close();
    let events = replay(&talk);
    assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()]);
    let connections = events::of_type(&events, "connection");
    assert_eq!(connections.len(), 1);
    assert_eq!(connections[0]["connection"]["state"], "fin");
}

#[test]
fn a_true_reset_ends_it_although_the_last_segments_are_still_on_their_way() {
    let mut talk = plain();
    talk.again(0x2000_0000, 0x9000_0000).handshake().client(&client_hello(Shape::Go)).server_reset();
    talk.client(b"late").wait(Duration::from_secs(10)).again(0x3000_0000, 0xa000_0000).handshake();
    let ended: Vec<_> = events::of_type(&replay(&talk), "connection")
        .into_iter()
        .map(|event| event["connection"]["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ended, ["fin", "rst", "open"]);
}

#[test]
fn a_frame_shorter_than_its_ip_header_says_is_malformed_and_moves_nothing() {
    let hello = client_hello(Shape::PostQuantum);
    let mut talk = TcpConversation::new();
    talk.handshake();
    let lie = talk.packets().len();
    talk.client_at(0, &[22; 1400]).client_at(0, &hello[..1400]).client_at(1400, &hello[1400..]);
    let mut packets = talk.packets().to_vec();
    packets[lie].frame.truncate(100);
    let events = replay_packets(&packets, &[]);
    assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()]);
    assert_eq!(events::stats_u64(counters(&events), &["kernel", "unparseable_by", "ip_length"]), 1);
}

#[test]
fn a_warning_before_the_servers_hello() {
    // Alert unrecognized_name (RFC 6066, section 3).
    let warning = [21, 3, 3, 0, 2, 1, 112];
    let flight = server_flight();
    for segments in [vec![[&warning[..], &flight].concat()], vec![warning.to_vec(), flight.clone()]] {
        for syn in [true, false] {
            let mut talk = TcpConversation::new();
            if syn {
                talk.handshake();
            }
            talk.client(&client_hello(Shape::Browser));
            for segment in &segments {
                talk.server(segment);
            }
            assert_eq!(values(&replay(&talk), "ja4s"), [JA4S_13], "{} segments, SYN {syn}", segments.len());
        }
    }
}

#[test]
fn pipelined_requests_that_come_the_wrong_way_round() {
    let (first, second) = (get("/"), get("/ab"));
    let mut talk = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
    talk.handshake().client_at(first.len() as u32, second.as_bytes()).client_at(0, first.as_bytes());
    talk.client(get("/abcd").as_bytes()).close();
    assert_eq!(requests(&replay(&talk)), ["02", "04", "06"]);
}

#[test]
fn a_request_that_is_lost_costs_no_other_one() {
    let mut talk = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
    talk.handshake();
    let mut offset = 0;
    for number in 1..=9 {
        let request = get(&"/".repeat(number));
        if number != 3 {
            talk.client_at(offset, request.as_bytes());
        }
        offset += request.len() as u32;
    }
    assert_eq!(requests(&replay(&talk)), ["02", "03", "05", "06", "07", "08", "09", "10"]);
}

#[test]
fn forged_requests_ahead_hide_no_real_one() {
    let mut talk = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
    talk.handshake().client(get("/").as_bytes());
    let next = get("/").len() as u32;
    for forged in 1..=4_u32 {
        talk.client_at(next + forged * 10_000, get("/forged-one").as_bytes());
    }
    talk.client_at(next, get("/ab").as_bytes());
    let events = replay(&talk);
    assert!(requests(&events).starts_with(&["02"]) && requests(&events).contains(&"04"), "{:?}", requests(&events));
}

#[test]
fn what_is_too_long_for_a_handshake_is_said_to_be() {
    let mut talk = TcpConversation::new();
    talk.handshake().client(&client_hello(Shape::Browser));
    // A handshake message that does not end within the limit.
    for _ in 0..60 {
        talk.server(&[&[22, 3, 3, 5, 0xb3, 2, 0, 0xff, 0xff][..], &[0; 1455]].concat());
    }
    let events = replay(&talk);
    assert_eq!(events::stats_u64(counters(&events), &["kernel", "unselected_by", "over_budget"]), 1);
}

#[test]
fn nothing_else_begins_within_ssh() {
    let (request, hello) = (get("/"), client_hello(Shape::Device));
    let forged: [&[u8]; 3] = [request.as_bytes(), &hello, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"];
    for port in [22, 2222] {
        for offset in [9_000, 10_000, 500 << 20] {
            for forged in forged {
                let mut talk = TcpConversation::between("10.0.0.1:51234", &format!("10.0.0.2:{port}"));
                talk.handshake().server(b"SSH-2.0-one\r\n").client(b"SSH-2.0-two\r\n");
                talk.client(&[0; 9000]).server(&[0; 9000]);
                for packet in 0..150 {
                    if packet == 10 {
                        talk.client_at(offset, forged).server_at(offset, forged);
                    }
                    talk.client_at(9013 + packet * 36, &[0x80; 36]).server_at(9013 + packet * 52, &[0x81; 52]);
                }
                let events = replay(&talk);
                assert!(values(&events, "ja4h").is_empty() && values(&events, "ja4").is_empty());
                let ssh = values(&events, "ja4ssh");
                assert_eq!(ssh.len(), 2, "{port}, {offset}: {ssh:?}");
                assert!(ssh.iter().all(|value| value.starts_with("c36s52_")), "{ssh:?}");
            }
        }
    }
}

#[test]
fn segments_from_nowhere_take_little_of_what_is_read_of_a_handshake() {
    let hello = client_hello(Shape::PostQuantum);
    for place in [50 << 20, 0_u32.wrapping_sub(900 << 20)] {
        let mut talk = TcpConversation::new();
        talk.handshake();
        let forged = |talk: &mut TcpConversation| {
            for number in 0..100 {
                talk.client_at(place.wrapping_add(number * 1460), &[b'z'; 1460]);
            }
        };
        forged(&mut talk);
        talk.client_at(0, &hello[..5]);
        forged(&mut talk);
        talk.client_at(5, &hello[5..]).server(&server_flight());
        assert_eq!(values(&replay(&talk), "ja4"), [Shape::PostQuantum.ja4()]);
    }
}

/// Cloud traffic mirroring can truncate each packet to its first bytes.
#[test]
fn packets_that_a_mirror_has_cut_count_with_their_whole_length() {
    let mut talk = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:22");
    talk.handshake().server(b"SSH-2.0-one\r\n").client(b"SSH-2.0-two\r\n");
    for _ in 0..100 {
        talk.client(&[0x80; 36]).server(&[0x81; 1448]).server(&[0x81; 1448]);
    }
    talk.close();
    let tunnel = OuterLayer::between("192.0.2.1", "192.0.2.2", TunnelKind::Vxlan(1));
    let told = [usize::MAX, 128].map(|most| {
        let packets: Vec<_> = talk
            .packets()
            .iter()
            .map(|TimedFrame { time, frame }| TimedFrame {
                time: *time,
                frame: tunnel.wrap(&frame[..frame.len().min(most)]),
            })
            .collect();
        let events = replay_packets(&packets, &[]);
        assert_eq!(events::stats_u64(counters(&events), &["kernel", "unparseable_by", "ip_length"]), 0);
        values(&events, "ja4ssh").into_iter().map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(told[0], told[1]);
    assert!(told[0][0].starts_with("c36s1448_"), "{told:?}");
}
