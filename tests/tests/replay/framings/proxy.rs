//! The PROXY protocol before TLS, HTTP/1 and HTTP/2.

use tests::framing::{PROXY_1, PROXY_1_LONGEST, PROXY_1_UNKNOWN, proxy_2};

use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: x\r\n\r\n";
/// `H12("Host,User-Agent")`.
const JA4H: &str = "ge11nn020000_818f42cc3fd7_000000000000_000000000000";

fn headers() -> Vec<Vec<u8>> {
    let mut headers: Vec<_> = [PROXY_1, PROXY_1_UNKNOWN, PROXY_1_LONGEST].map(<[u8]>::to_vec).into();
    // Without bytes after the addresses, with one type-length-value, and with more than one segment of them.
    headers.extend([0, 30, 2000].map(proxy_2));
    headers
}

/// Asserts the fingerprints of a connection; the client sends these bytes in segments that end at these offsets.
fn assert_tls(stream: &[u8], ends: &[usize], case: &str) {
    let mut conversation = TcpConversation::new();
    conversation.handshake();
    let mut start = 0;
    for end in ends.iter().copied().chain([stream.len()]) {
        conversation.client(&stream[start..end]);
        start = end;
    }
    conversation.server(&server_flight()).client(&[20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 2, 1, 2]).close();
    assert_values(&conversation, &[("ja4", Shape::PostQuantum.ja4()), ("ja4s", JA4S_13)], case);
}

#[test]
fn a_hello_after_a_header_in_the_same_or_the_next_segment_is_fingerprinted() {
    let hello = client_hello(Shape::PostQuantum);
    for header in headers() {
        let stream = [&header[..], &hello].concat();
        let case = String::from_utf8_lossy(&header[..15]).into_owned();
        assert_tls(&stream, &[], &case);
        assert_tls(&stream, &[header.len()], &case);
        // The hello in two segments, the first of which also contains the header.
        assert_tls(&stream, &[header.len() + 700], &case);
        assert_tls(&stream, &[header.len(), header.len() + 700], &case);
    }
}

#[test]
fn a_header_split_at_any_position_is_recognized() {
    let hello = client_hello(Shape::PostQuantum);
    for header in [PROXY_1.to_vec(), proxy_2(0)] {
        let stream = [&header[..], &hello].concat();
        for end in 1..header.len() + 9 {
            assert_tls(&stream, &[end], &format!("cut at {end}"));
        }
        assert_tls(&stream, &[3, 9, 20], "in four segments");
    }
}

#[test]
fn segments_out_of_order_are_reassembled() {
    let hello = client_hello(Shape::PostQuantum);
    for header in headers() {
        let start = header.len() as u32;
        let mut conversation = TcpConversation::new();
        conversation.handshake().client_at(start, &hello).client_at(0, &header).client_at(start, &hello);
        conversation.server(&server_flight()).close();
        assert_values(&conversation, &[("ja4", Shape::PostQuantum.ja4()), ("ja4s", JA4S_13)], "the hello first");
    }
}

#[test]
fn a_header_over_ipv6_is_recognized() {
    let hello = client_hello(Shape::Curl);
    let mut conversation = TcpConversation::between("[fd00::1]:51234", "[fd00::2]:8443");
    conversation.handshake().client(&[PROXY_1, &hello].concat()).server(&server_flight()).close();
    assert_values(&conversation, &[("ja4", Shape::Curl.ja4()), ("ja4s", JA4S_13)], "IPv6");
}

#[test]
fn requests_after_a_header_are_fingerprinted() {
    for header in headers() {
        for ends in [&[][..], &[header.len()], &[header.len() + 10]] {
            let stream = [&header[..], GET].concat();
            let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
            conversation.handshake();
            let mut start = 0;
            for end in ends.iter().copied().chain([stream.len()]) {
                conversation.client(&stream[start..end]);
                start = end;
            }
            conversation.server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").client(GET).close();
            assert_values(&conversation, &[("ja4h", JA4H), ("ja4h", JA4H)], "HTTP/1");
        }
    }
}

#[test]
fn an_http2_preface_after_a_header_is_recognized() {
    let frames = b"\0\0\0\x04\0\0\0\0\0\0\0\x03\x01\x05\0\0\0\x01\x82\x86\x84";
    for header in headers() {
        let stream = [&header[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frames].concat();
        let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:80");
        conversation.handshake().client(&stream).close();
        let expected = "ge20nn000000_000000000000_000000000000_000000000000";
        assert_values(&conversation, &[("ja4h", expected)], "HTTP/2");
    }
}

/// A dialogue follows the header, and TLS follows the dialogue.
#[test]
fn a_hello_after_a_header_and_starttls_is_fingerprinted() {
    for header in headers() {
        let mut conversation = TcpConversation::between("10.0.0.1:51234", "10.0.0.2:25");
        conversation.handshake().server(b"220 ready\r\n").client(&[&header[..], b"EHLO me\r\n"].concat());
        conversation.server(b"250 STARTTLS\r\n").client(b"STARTTLS\r\n").server(b"220 go on\r\n");
        conversation.client(&client_hello(Shape::Curl)).server(&server_flight()).close();
        assert_values(&conversation, &[("ja4", Shape::Curl.ja4()), ("ja4s", JA4S_13)], "STARTTLS");
    }
}

#[test]
fn data_after_an_invalid_header_is_not_fingerprinted() {
    let hello = client_hello(Shape::Curl);
    let mut version_3 = proxy_2(0);
    version_3[12] = 0x31;
    for header in [&b"PROXY TCP4 without an end "[..], &version_3] {
        let mut conversation = TcpConversation::new();
        conversation.handshake().client(&[header, &hello].concat()).close();
        assert_values(&conversation, &[], "no header");
    }
}
