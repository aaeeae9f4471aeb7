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
fn assert_hello_survives(inject: impl FnOnce(&mut TcpConversation)) -> Vec<Value> {
    let hello = client_hello(Shape::PostQuantum);
    let mut conversation = TcpConversation::new();
    conversation.handshake();
    inject(&mut conversation);
    conversation.client_at(0, &hello[..1400]).client_at(1400, &hello[1400..]);
    conversation.server_at(0, &server_flight());
    let events = replay(&conversation);
    assert!(values(&events, "ja4").contains(&Shape::PostQuantum.ja4()), "{:?}", values(&events, "ja4"));
    assert_eq!(values(&events, "ja4s"), [JA4S_13]);
    events
}

#[test]
fn a_forged_hello_ahead_of_the_stream_hides_no_hello() {
    let forged = client_hello(Shape::Device);
    // Within the window, beyond the buffered range, far ahead, and before the start of the stream.
    for offset in [5_000, 100_000, 5_000_000, 0_u32.wrapping_sub(9_000), 0_u32.wrapping_sub(2 << 20)] {
        assert_hello_survives(|conversation| {
            conversation.client_at(offset, &forged);
        });
    }
}

#[test]
fn a_forged_server_hello_ahead_of_the_stream_hides_no_hello() {
    let forged = hello::records(&hello::server_hello_12(&mut SplitMix64::new(3)), usize::MAX);
    let mut conversation = TcpConversation::new();
    conversation.handshake().client(&client_hello(Shape::Browser)).server_at(30_000, &forged);
    conversation.server_at(0, &server_flight());
    assert!(values(&replay(&conversation), "ja4s").contains(&JA4S_13));
}

#[test]
fn a_segment_far_ahead_within_a_hello_is_ignored() {
    let hello = client_hello(Shape::PostQuantum);
    let mut conversation = TcpConversation::new();
    conversation.handshake().client_at(0, &hello[..1400]).client_at(3_000_000, &[7; 900]);
    conversation.client_at(1400, &hello[1400..]).server(&server_flight());
    assert_eq!(values(&replay(&conversation), "ja4"), [Shape::PostQuantum.ja4()]);
}

#[test]
fn a_forged_syn_with_another_sequence_number_is_ignored() {
    let hello = client_hello(Shape::PostQuantum);
    let mut conversation = TcpConversation::new();
    conversation.handshake().again(0x6000_0000, 0).syn().again(0x1000_0000, 0x8000_0000);
    conversation.client_at(0, &hello[..1400]).client_at(1400, &hello[1400..]).server_at(0, &server_flight());
    assert_eq!(values(&replay(&conversation), "ja4"), [Shape::PostQuantum.ja4()]);
}

#[test]
fn a_forged_reset_ends_no_connection_and_loses_no_partial_hello() {
    let hello = client_hello(Shape::PostQuantum);
    let mut conversation = TcpConversation::new();
    conversation.handshake().client(&hello[..1400]).server_reset().wait(Duration::from_millis(1500));
    conversation.client(&hello[1400..]).wait(Duration::from_secs(3)).server(&server_flight()).close();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()]);
    let connections = events::of_type(&events, "connection");
    assert_eq!(connections.len(), 1);
    assert_eq!(connections[0]["connection"]["state"], "fin");
}

#[test]
fn a_genuine_reset_ends_a_connection_with_segments_in_flight() {
    let mut conversation = plain();
    conversation.again(0x2000_0000, 0x9000_0000).handshake().client(&client_hello(Shape::Go)).server_reset();
    conversation.client(b"late").wait(Duration::from_secs(10)).again(0x3000_0000, 0xa000_0000).handshake();
    let ended: Vec<_> = events::of_type(&replay(&conversation), "connection")
        .into_iter()
        .map(|event| event["connection"]["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ended, ["fin", "rst", "open"]);
}

#[test]
fn a_frame_shorter_than_its_ip_length_is_malformed_and_has_no_effect() {
    let hello = client_hello(Shape::PostQuantum);
    let mut conversation = TcpConversation::new();
    conversation.handshake();
    let malformed = conversation.packets().len();
    conversation.client_at(0, &[22; 1400]).client_at(0, &hello[..1400]).client_at(1400, &hello[1400..]);
    let mut packets = conversation.packets().to_vec();
    packets[malformed].frame.truncate(100);
    let events = replay_packets(&packets, &[]);
    assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()]);
    assert_eq!(events::stats_u64(counters(&events), &["kernel", "unparseable_by", "ip_length"]), 1);
}

#[test]
fn a_server_hello_after_a_warning_alert_is_fingerprinted() {
    // Alert unrecognized_name (RFC 6066, section 3).
    let warning = [21, 3, 3, 0, 2, 1, 112];
    let flight = server_flight();
    for segments in [vec![[&warning[..], &flight].concat()], vec![warning.to_vec(), flight.clone()]] {
        for syn in [true, false] {
            let mut conversation = TcpConversation::new();
            if syn {
                conversation.handshake();
            }
            conversation.client(&client_hello(Shape::Browser));
            for segment in &segments {
                conversation.server(segment);
            }
            assert_eq!(values(&replay(&conversation), "ja4s"), [JA4S_13], "{} segments, SYN {syn}", segments.len());
        }
    }
}

#[test]
fn pipelined_requests_out_of_order_are_fingerprinted() {
    let (first, second) = (get("/"), get("/ab"));
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
    conversation.handshake().client_at(first.len() as u32, second.as_bytes()).client_at(0, first.as_bytes());
    conversation.client(get("/abcd").as_bytes()).close();
    assert_eq!(requests(&replay(&conversation)), ["02", "04", "06"]);
}

#[test]
fn a_lost_request_hides_no_other_request() {
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
    conversation.handshake();
    let mut offset = 0;
    for number in 1..=9 {
        let request = get(&"/".repeat(number));
        if number != 3 {
            conversation.client_at(offset, request.as_bytes());
        }
        offset += request.len() as u32;
    }
    assert_eq!(requests(&replay(&conversation)), ["02", "03", "05", "06", "07", "08", "09", "10"]);
}

#[test]
fn forged_requests_ahead_hide_no_genuine_request() {
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
    conversation.handshake().client(get("/").as_bytes());
    let next = get("/").len() as u32;
    for forged in 1..=4_u32 {
        conversation.client_at(next + forged * 10_000, get("/forged-one").as_bytes());
    }
    conversation.client_at(next, get("/ab").as_bytes());
    let events = replay(&conversation);
    assert!(requests(&events).starts_with(&["02"]) && requests(&events).contains(&"04"), "{:?}", requests(&events));
}

#[test]
fn a_handshake_over_the_budget_is_counted() {
    let mut conversation = TcpConversation::new();
    conversation.handshake().client(&client_hello(Shape::Browser));
    // A handshake message that does not end within the limit.
    for _ in 0..60 {
        conversation.server(&[&[22, 3, 3, 5, 0xb3, 2, 0, 0xff, 0xff][..], &[0; 1455]].concat());
    }
    let events = replay(&conversation);
    assert_eq!(events::stats_u64(counters(&events), &["kernel", "unselected_by", "over_budget"]), 1);
}

#[test]
fn other_protocols_within_ssh_are_not_recognized() {
    let (request, hello) = (get("/"), client_hello(Shape::Device));
    let forged: [&[u8]; 3] = [request.as_bytes(), &hello, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"];
    for port in [22, 2222] {
        for offset in [9_000, 10_000, 500 << 20] {
            for forged in forged {
                let mut conversation = TcpConversation::between("10.0.0.1:51234", &format!("10.0.0.2:{port}"));
                conversation.handshake().server(b"SSH-2.0-one\r\n").client(b"SSH-2.0-two\r\n");
                conversation.client(&[0; 9000]).server(&[0; 9000]);
                for packet in 0..150 {
                    if packet == 10 {
                        conversation.client_at(offset, forged).server_at(offset, forged);
                    }
                    conversation.client_at(9013 + packet * 36, &[0x80; 36]).server_at(9013 + packet * 52, &[0x81; 52]);
                }
                let events = replay(&conversation);
                assert!(values(&events, "ja4h").is_empty() && values(&events, "ja4").is_empty());
                let ssh = values(&events, "ja4ssh");
                assert_eq!(ssh.len(), 2, "{port}, {offset}: {ssh:?}");
                assert!(ssh.iter().all(|value| value.starts_with("c36s52_")), "{ssh:?}");
            }
        }
    }
}

#[test]
fn segments_far_ahead_do_not_use_up_the_budget_of_a_handshake() {
    let hello = client_hello(Shape::PostQuantum);
    for offset in [50 << 20, 0_u32.wrapping_sub(900 << 20)] {
        let mut conversation = TcpConversation::new();
        conversation.handshake();
        let forged = |conversation: &mut TcpConversation| {
            for number in 0..100 {
                conversation.client_at(offset.wrapping_add(number * 1460), &[b'z'; 1460]);
            }
        };
        forged(&mut conversation);
        conversation.client_at(0, &hello[..5]);
        forged(&mut conversation);
        conversation.client_at(5, &hello[5..]).server(&server_flight());
        assert_eq!(values(&replay(&conversation), "ja4"), [Shape::PostQuantum.ja4()]);
    }
}

/// Cloud traffic mirroring can truncate each packet to its first bytes.
#[test]
fn truncated_mirrored_packets_count_with_their_full_length() {
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:22");
    conversation.handshake().server(b"SSH-2.0-one\r\n").client(b"SSH-2.0-two\r\n");
    for _ in 0..100 {
        conversation.client(&[0x80; 36]).server(&[0x81; 1448]).server(&[0x81; 1448]);
    }
    conversation.close();
    let tunnel = OuterLayer::between("192.0.2.1", "192.0.2.2", TunnelKind::Vxlan(1));
    let ja4ssh = [usize::MAX, 128].map(|snap_length| {
        let packets: Vec<_> = conversation
            .packets()
            .iter()
            .map(|TimedFrame { time, frame }| TimedFrame {
                time: *time,
                frame: tunnel.wrap(&frame[..frame.len().min(snap_length)]),
            })
            .collect();
        let events = replay_packets(&packets, &[]);
        assert_eq!(events::stats_u64(counters(&events), &["kernel", "unparseable_by", "ip_length"]), 0);
        values(&events, "ja4ssh").into_iter().map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(ja4ssh[0], ja4ssh[1]);
    assert!(ja4ssh[0][0].starts_with("c36s1448_"), "{ja4ssh:?}");
}
