//! A hello is reassembled from segments of any size and in any order.

use super::*;

/// Asserts that both hellos are fingerprinted when `tell` sends the client's, which takes two segments.
fn found(tell: impl FnOnce(&mut TcpConversation, &[u8])) -> Vec<Value> {
    let hello = client_hello(Shape::PostQuantum);
    let mut talk = TcpConversation::new();
    tell(talk.handshake(), &hello);
    talk.wait(Duration::from_millis(30)).server(&server_flight()).close();
    let events = replay(&talk);
    assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()]);
    assert_eq!(values(&events, "ja4s"), [JA4S_13]);
    events
}

#[test]
fn in_two_segments() {
    let events = found(|talk, hello| {
        talk.client(&hello[..1400]).client(&hello[1400..]);
    });
    assert_eq!(only(&events, "ja4")["pcap_cnt"], 5, "the packet that completes it");
}

#[test]
fn reversed() {
    found(|talk, hello| {
        talk.client_at(1400, &hello[1400..]).client_at(0, &hello[..1400]);
    });
}

#[test]
fn in_many_segments_from_the_last_to_the_first() {
    found(|talk, hello| {
        for (number, piece) in hello.chunks(200).enumerate().collect::<Vec<_>>().into_iter().rev() {
            talk.client_at(number as u32 * 200, piece);
        }
    });
}

#[test]
fn retransmitted() {
    found(|talk, hello| {
        let (first, second) = hello.split_at(1400);
        talk.client(first).client_at(0, first).client(second).client_at(1400, second).client_at(0, first);
    });
}

#[test]
fn retransmitted_in_other_pieces() {
    found(|talk, hello| {
        talk.client(&hello[..900]).client_at(500, &hello[500..1400]).client_at(0, hello);
    });
}

#[test]
fn of_two_copies_the_first_counts() {
    let noise = [0xa5; 600];
    found(|talk, hello| {
        talk.client(&hello[..1000]);
        talk.client_at(400, &[&noise[..600], &hello[1000..]].concat());
    });
}

#[test]
fn of_two_copies_the_first_counts_also_when_it_is_ahead() {
    let noise = [0xa5; 300];
    found(|talk, hello| {
        talk.client_at(1000, &hello[1000..]);
        talk.client_at(0, &[&hello[..1000], &noise[..]].concat());
    });
}

#[test]
fn the_first_segment_is_a_single_byte() {
    found(|talk, hello| {
        talk.client(&hello[..1]).client(&hello[1..1400]).client(&hello[1400..]);
    });
}

#[test]
fn the_single_byte_comes_last() {
    found(|talk, hello| {
        talk.client_at(1, &hello[1..1400]).client_at(1400, &hello[1400..]).client_at(0, &hello[..1]);
    });
}

#[test]
fn a_byte_at_a_time() {
    found(|talk, hello| {
        for byte in hello {
            talk.client(&[*byte]);
        }
    });
}

#[test]
fn sequence_numbers_wrap_within_the_hello() {
    let hello = client_hello(Shape::PostQuantum);
    let mut talk = TcpConversation::new().numbered(u32::MAX - 700, u32::MAX - 20);
    talk.handshake().client_at(1400, &hello[1400..]).client_at(0, &hello[..1400]).server(&server_flight());
    let events = replay(&talk);
    assert_eq!(values(&events, "ja4"), [Shape::PostQuantum.ja4()]);
    assert_eq!(values(&events, "ja4s"), [JA4S_13]);
}

#[test]
fn over_several_records() {
    let message = Shape::PostQuantum.client_hello("example.org", &mut SplitMix64::new(5));
    for size in [1, 100, 1000] {
        let records = hello::records(&message, size);
        let mut talk = TcpConversation::new();
        talk.handshake();
        // Record boundaries and segment boundaries do not coincide.
        for segment in records.chunks(1300) {
            talk.client(segment);
        }
        assert_eq!(values(&replay(&talk), "ja4"), [Shape::PostQuantum.ja4()], "records of {size}");
    }
}

#[test]
fn several_messages_in_one_record() {
    let mut messages = hello::server_hello_12(&mut SplitMix64::new(1));
    // ServerHelloDone has no body.
    messages.extend_from_slice(&[14, 0, 0, 0]);
    let mut talk = TcpConversation::new();
    talk.handshake().client(&client_hello(Shape::Device)).server(&hello::records(&messages, usize::MAX));
    assert_eq!(values(&replay(&talk), "ja4s"), [JA4S_12]);
}

#[test]
fn the_servers_hello_in_three_segments() {
    let flight = server_flight();
    let mut talk = TcpConversation::new();
    talk.handshake().client(&client_hello(Shape::Go));
    talk.server_at(60, &flight[60..]).server_at(0, &flight[..3]).server_at(3, &flight[3..60]);
    assert_eq!(values(&replay(&talk), "ja4s"), [JA4S_13]);
}

#[test]
fn a_hello_that_never_ends_is_no_hello() {
    let hello = client_hello(Shape::PostQuantum);
    let mut talk = TcpConversation::new();
    talk.handshake().client(&hello[..1400]).close();
    let events = replay(&talk);
    assert_eq!(values(&events, "ja4t"), [JA4T]);
    assert!(values(&events, "ja4").is_empty());
}
