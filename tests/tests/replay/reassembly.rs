//! A hello is reassembled from segments of any size and in any order.

use super::*;

/// Asserts that both hellos are fingerprinted when `send` sends the client's, which takes two segments.
fn assert_fingerprinted(send: impl FnOnce(&mut TcpConversation, &[u8])) -> Vec<Value> {
    let hello = client_hello(Shape::PostQuantum);
    let mut conversation = TcpConversation::new();
    send(conversation.handshake(), &hello);
    conversation.wait(Duration::from_millis(30)).server(&server_flight()).close();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()]);
    assert_eq!(values(&events, "ja4s"), [JA4S_13]);
    events
}

#[test]
fn a_hello_in_two_segments_is_fingerprinted() {
    let events = assert_fingerprinted(|conversation, hello| {
        conversation.client(&hello[..1400]).client(&hello[1400..]);
    });
    assert_eq!(only(&events, "ja4")["pcap_cnt"], 5, "not the packet that completes the hello");
}

#[test]
fn a_hello_in_reverse_order_is_fingerprinted() {
    assert_fingerprinted(|conversation, hello| {
        conversation.client_at(1400, &hello[1400..]).client_at(0, &hello[..1400]);
    });
}

#[test]
fn a_hello_in_many_segments_in_reverse_order_is_fingerprinted() {
    assert_fingerprinted(|conversation, hello| {
        for (number, piece) in hello.chunks(200).enumerate().collect::<Vec<_>>().into_iter().rev() {
            conversation.client_at(number as u32 * 200, piece);
        }
    });
}

#[test]
fn a_retransmitted_hello_is_fingerprinted() {
    assert_fingerprinted(|conversation, hello| {
        let (first, second) = hello.split_at(1400);
        conversation.client(first).client_at(0, first).client(second).client_at(1400, second).client_at(0, first);
    });
}

#[test]
fn a_hello_retransmitted_in_other_segments_is_fingerprinted() {
    assert_fingerprinted(|conversation, hello| {
        conversation.client(&hello[..900]).client_at(500, &hello[500..1400]).client_at(0, hello);
    });
}

#[test]
fn the_first_of_two_copies_counts() {
    let noise = [0xa5; 600];
    assert_fingerprinted(|conversation, hello| {
        conversation.client(&hello[..1000]);
        conversation.client_at(400, &[&noise[..600], &hello[1000..]].concat());
    });
}

#[test]
fn the_first_of_two_copies_counts_even_if_it_is_ahead() {
    let noise = [0xa5; 300];
    assert_fingerprinted(|conversation, hello| {
        conversation.client_at(1000, &hello[1000..]);
        conversation.client_at(0, &[&hello[..1000], &noise[..]].concat());
    });
}

#[test]
fn a_hello_whose_first_segment_is_a_single_byte_is_fingerprinted() {
    assert_fingerprinted(|conversation, hello| {
        conversation.client(&hello[..1]).client(&hello[1..1400]).client(&hello[1400..]);
    });
}

#[test]
fn a_hello_whose_first_byte_arrives_last_is_fingerprinted() {
    assert_fingerprinted(|conversation, hello| {
        conversation.client_at(1, &hello[1..1400]).client_at(1400, &hello[1400..]).client_at(0, &hello[..1]);
    });
}

#[test]
fn a_hello_of_single_bytes_is_fingerprinted() {
    assert_fingerprinted(|conversation, hello| {
        for byte in hello {
            conversation.client(&[*byte]);
        }
    });
}

#[test]
fn sequence_numbers_may_wrap_within_a_hello() {
    let hello = client_hello(Shape::PostQuantum);
    let mut conversation = TcpConversation::new().numbered(u32::MAX - 700, u32::MAX - 20);
    conversation.handshake().client_at(1400, &hello[1400..]).client_at(0, &hello[..1400]).server(&server_flight());
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()]);
    assert_eq!(values(&events, "ja4s"), [JA4S_13]);
}

#[test]
fn a_hello_in_several_records_is_fingerprinted() {
    let message = Shape::PostQuantum.client_hello("example.org", &mut SplitMix64::new(5));
    for size in [1, 100, 1000] {
        let records = hello::records(&message, size);
        let mut conversation = TcpConversation::new();
        conversation.handshake();
        // Record boundaries and segment boundaries do not coincide.
        for segment in records.chunks(1300) {
            conversation.client(segment);
        }
        assert_eq!(values(&replay(&conversation), "ja4"), [Shape::PostQuantum.ja4()], "records of {size}");
    }
}

#[test]
fn a_hello_before_another_message_in_its_record_is_fingerprinted() {
    let mut messages = hello::server_hello_12(&mut SplitMix64::new(1));
    // ServerHelloDone has no body.
    messages.extend_from_slice(&[14, 0, 0, 0]);
    let mut conversation = TcpConversation::new();
    conversation.handshake().client(&client_hello(Shape::Device)).server(&hello::records(&messages, usize::MAX));
    assert_eq!(values(&replay(&conversation), "ja4s"), [JA4S_12]);
}

#[test]
fn a_server_hello_in_three_segments_is_fingerprinted() {
    let flight = server_flight();
    let mut conversation = TcpConversation::new();
    conversation.handshake().client(&client_hello(Shape::Go));
    conversation.server_at(60, &flight[60..]).server_at(0, &flight[..3]).server_at(3, &flight[3..60]);
    assert_eq!(values(&replay(&conversation), "ja4s"), [JA4S_13]);
}

#[test]
fn an_incomplete_hello_is_not_fingerprinted() {
    let hello = client_hello(Shape::PostQuantum);
    let mut conversation = TcpConversation::new();
    conversation.handshake().client(&hello[..1400]).close();
    let events = replay(&conversation);
    assert_eq!(values(&events, "ja4t"), [JA4T]);
    assert!(values(&events, "ja4").is_empty());
}
