//! Successive requests with missing, repeated or body bytes between them.

use super::*;

/// Returns a request with this number of headers, which its JA4H contains.
fn get(number: usize) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X-A: b\r\n".repeat(number - 1))
}

fn post(length: u64) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n")
}

/// Returns the header counts of all JA4H values, in packet order.
fn requests(events: &[Value]) -> Vec<&str> {
    values(events, "ja4h").into_iter().map(|value| &value[6..8]).collect()
}

fn conversation() -> TcpConversation {
    let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
    conversation.handshake();
    conversation
}

fn incomplete(events: &[Value]) -> u64 {
    tests::stats_u64(events.last().unwrap(), &["shards", "incomplete_messages"])
}

#[test]
fn a_later_request_in_segments_out_of_order_is_fingerprinted() {
    let long = get(300);
    let mut conversation = conversation();
    conversation.client(get(1).as_bytes());
    let start = get(1).len() as u32;
    conversation.client_at(start + 1400, &long.as_bytes()[1400..]).client_at(start, &long.as_bytes()[..1400]);
    conversation.client(get(4).as_bytes()).close();
    assert_eq!(requests(&replay(&conversation)), ["01", "99", "04"]);
}

/// The request after the lost one is buffered until the next request arrives; later requests are not delayed.
#[test]
fn a_lost_request_delays_only_the_next_one() {
    let mut conversation = conversation();
    conversation.client(get(1).as_bytes());
    let mut offset = (get(1).len() + get(2).len()) as u32;
    for number in [3, 4, 5] {
        conversation.client_at(offset, get(number).as_bytes());
        offset += get(number).len() as u32;
    }
    conversation.close();
    let events = replay(&conversation);
    let packets: Vec<_> = fingerprints(&events)
        .into_iter()
        .filter(|event| event["fingerprint"]["type"] == "ja4h")
        .map(|event| (event["fingerprint"]["value"].as_str().unwrap()[6..8].to_owned(), event["pcap_cnt"].clone()))
        .collect();
    let expected =
        [("01", 4), ("03", 6), ("04", 6), ("05", 7)].map(|(count, packet)| (count.to_owned(), packet.into()));
    assert_eq!(packets, expected);
    assert_eq!(incomplete(&events), 1);
}

#[test]
fn requests_after_a_lost_one_are_fingerprinted_at_the_end() {
    let ends: [(&str, SendEnd); 4] = [
        ("FIN", |conversation| _ = conversation.close()),
        ("RST", |conversation| _ = conversation.client_reset()),
        ("the capture", |_| ()),
        ("another SYN", |conversation| {
            conversation.wait(Duration::from_secs(20)).again(0x7777_0000, 0x1234_0000).handshake();
        }),
    ];
    for (name, end) in ends {
        let mut conversation = conversation();
        conversation.client(get(1).as_bytes()).client_at((get(1).len() + 100) as u32, get(3).as_bytes());
        end(&mut conversation);
        let events = replay(&conversation);
        assert_eq!((requests(&events), incomplete(&events)), (vec!["01", "03"], 1), "ended by {name}");
    }
}

#[test]
fn a_late_request_is_fingerprinted_and_none_twice() {
    let offset = |number: usize| (1..number).map(|before| get(before).len() as u32).sum::<u32>();
    let mut conversation = conversation();
    // The second request arrives after the fifth; the third is retransmitted.
    for number in [1, 3, 4, 5, 2, 3, 6, 7] {
        conversation.client_at(offset(number), get(number).as_bytes());
    }
    conversation.close();
    assert_eq!(requests(&replay(&conversation)), ["01", "03", "04", "05", "02", "06", "07"]);
}

#[test]
fn unusual_data_between_requests_is_no_lost_request() {
    let methods = ["RPC_IN_DATA", "BREW", "LONGMETHODNAME"];
    for first in [true, false] {
        let mut conversation = conversation();
        if !first {
            conversation.client(get(1).as_bytes());
        }
        for method in methods {
            conversation.client(get(2).replacen("GET", method, 1).as_bytes());
        }
        conversation.client(b"\r\n").client(format!("\r\n{}", get(3)).as_bytes());
        // A zero-window probe carries one byte; a short segment follows.
        conversation.client(b"G").client(&get(4).as_bytes()[1..8]).client(&get(4).as_bytes()[8..]);
        conversation.client(get(5).as_bytes()).close();
        let expected =
            if first { &["02", "02", "02", "03", "04", "05"][..] } else { &["01", "02", "02", "02", "03", "04", "05"] };
        assert_eq!(requests(&replay(&conversation)), expected);
    }
}

#[test]
fn an_empty_line_before_the_first_request_is_accepted() {
    let mut conversation = conversation();
    conversation.client(format!("\r\n{}", get(2)).as_bytes()).client(get(3).as_bytes()).close();
    assert_eq!(requests(&replay(&conversation)), ["02", "03"]);
}

#[test]
fn a_gap_in_a_body_hides_no_request() {
    let upload = [post(20_000).as_bytes(), &[b'x'; 20_000]].concat();
    for lost in [1, 3, 12] {
        let mut conversation = conversation();
        for (number, piece) in upload.chunks(1460).enumerate() {
            if number != lost {
                conversation.client_at(1460 * number as u32, piece);
            }
        }
        conversation.client_at(upload.len() as u32, get(3).as_bytes()).client(get(4).as_bytes());
        let events = replay(&conversation);
        assert_eq!(requests(&events), ["02", "03", "04"], "segment {lost} is lost");
        // TCP handshake, 13 of 14 segments, then the next request, which is reported immediately.
        let at_once = |event: &&Value| event["fingerprint"]["type"] == "ja4h" && event["pcap_cnt"] == 3 + 13 + 1;
        assert_eq!(events.iter().filter(at_once).count(), 1, "segment {lost} is lost");
    }
}

/// Long uploads wrap the sequence numbers.
#[test]
fn requests_after_uploads_of_any_length_are_fingerprinted() {
    for length in [1_u64 << 30, 3 << 30, 5 << 30, (4 << 30) + 7] {
        let mut conversation = conversation();
        let start = post(length).len() as u32;
        conversation.client(post(length).as_bytes());
        // More than is read of a body.
        for _ in 0..30 {
            conversation.client(&[b'x'; 1400]);
        }
        let end = start.wrapping_add(length as u32);
        conversation.client_at(end.wrapping_sub(1400), &[b'y'; 1400]);
        conversation
            .client_at(end, get(3).as_bytes())
            .client_at(end.wrapping_add(get(3).len() as u32), get(4).as_bytes());
        assert_eq!(requests(&replay(&conversation)), ["02", "03", "04"], "{length} bytes");
    }
}

#[test]
fn a_request_in_one_segment_with_the_end_of_a_body_is_fingerprinted() {
    for length in [50, 5000] {
        let mut conversation = conversation();
        let body = vec![b'x'; length];
        conversation.client(post(length as u64).as_bytes());
        let with_next = [&body[..], get(3).as_bytes()].concat();
        for piece in with_next.chunks(1460) {
            conversation.client(piece);
        }
        conversation.client(get(4).as_bytes()).close();
        assert_eq!(requests(&replay(&conversation)), ["02", "03", "04"], "a body of {length} bytes");
    }
}

#[test]
fn a_line_of_a_chunked_body_is_no_request() {
    let mut conversation = conversation();
    conversation.client(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    conversation.client(&[b"800\r\n", &[b'l'; 1455][..]].concat());
    let mut inner = get(9).into_bytes();
    inner.resize(0x800 - 1455, b'\n');
    conversation.client(&[&inner[..], b"\r\n0\r\n\r\n"].concat()).client(get(3).as_bytes()).close();
    assert_eq!(requests(&replay(&conversation)), ["02", "03"]);
}

#[test]
fn a_forged_end_of_a_header_block_far_behind_is_ignored() {
    let (first, second) = ("GET / HTTP/1.1\r\nHost: h\r\n", "X-A: b\r\n\r\n");
    for forged in [&b"zz\r\n\r\n"[..], &client_hello(Shape::Device)] {
        let mut conversation = conversation();
        conversation.client(first.as_bytes()).client_at(0_u32.wrapping_sub(2 << 20), forged);
        conversation.client_at(first.len() as u32, second.as_bytes());
        conversation.client_at((first.len() + second.len()) as u32, get(3).as_bytes());
        assert_eq!(requests(&replay(&conversation)), ["02", "03"]);
    }
}
