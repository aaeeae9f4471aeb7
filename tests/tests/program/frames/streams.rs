//! TLS with every split and order of segments, TCP handshakes and closes, frames longer than a page.

use tests::conversation::{LINUX_SYN_OPTIONS, TcpConversation};
use tests::fragment::Fragments;
use tests::hello::{self, Shape};
use tests::outer_layer::{OuterLayer, TunnelKind};
use tests::packets::{ACK, FIN, PSH, RST, SYN};
use tests::random::SplitMix64;

use super::quic::long;
use super::setting::{ConnectionSeries, Setting};
use super::{frames_of, hello_record, segment};

/// Returns connections with hellos in several segments.
pub(super) fn pieces(setting: &Setting) -> Vec<Vec<u8>> {
    let hello = hello_record(Shape::PostQuantum);
    let retry = [&[20, 3, 3, 0, 1, 1][..], &hello_record(Shape::Curl)].concat();
    let small = hello::records(&Shape::Curl.client_hello("example.org", &mut SplitMix64::new(5)), 40);
    let mut series = ConnectionSeries::new(setting, (51_234, 443));
    // In order and out of order, split in the record header, after it, and in the middle.
    for at in [1, 2, 3, 4, 5, 6, 8, 9, 10, 700, hello.len() - 1] {
        let (first, second) = hello.split_at(at);
        series.add_connection(|conversation| conversation.client(first).client(second).server_ack());
        series
            .add_connection(|conversation| conversation.client_at(at as u32, second).client_at(0, first).server_ack());
        series.add_connection(|conversation| conversation.client(first).client_at(0, &hello).client(second));
    }
    // The second ClientHello after a HelloRetryRequest, after a ChangeCipherSpec, in one segment and in two.
    series.add_connection(|conversation| {
        conversation.client(&hello).server(&hello::server_flight_13(&mut SplitMix64::new(1), 0)).client(&retry)
    });
    series.add_connection(|conversation| conversation.client(&hello).client(&retry[..6]).client(&retry[6..]));
    series.add_connection(|conversation| conversation.client(&[&hello[..], &retry[..]].concat()));
    // Many small records in one segment, and split in the middle of a header.
    series.add_connection(|conversation| conversation.client(&small));
    for at in 41..52 {
        series.add_connection(|conversation| conversation.client(&small[..at]).client(&small[at..]));
    }
    // One byte per segment.
    series.add_connection(|conversation| {
        for byte in &hello[..40] {
            conversation.client(&[*byte]);
        }
        conversation
    });
    // Keep-alive, retransmission, a segment far ahead, a protocol other than TLS.
    series.add_connection(|conversation| conversation.client_at(u32::MAX, &[0]).client(&hello).client_at(0, &hello));
    series.add_connection(|conversation| conversation.client_at(1 << 21, &hello).client_at(0, &hello));
    series.add_connection(|conversation| {
        conversation.client(b"GET / HTTP/1.1\r\n\r\n").server(b"HTTP/1.1 200 OK\r\n\r\n").client(&hello)
    });
    // More than any budget.
    series.add_connection(|conversation| {
        for _ in 0..40 {
            conversation.client(&[22, 3, 1, 0x40, 0]).client(&[0; 1400]);
        }
        conversation
    });
    series.frames
}

/// Returns hellos after other data, in order and out of order, split within their first bytes, with distant segments.
pub(super) fn dialogues(setting: &Setting) -> Vec<Vec<u8>> {
    let hello = hello_record(Shape::PostQuantum);
    let flight = hello::server_flight_13(&mut SplitMix64::new(1), 700);
    let bulk = [b'.'; 1400];
    let mut series = ConnectionSeries::new(setting, (51_250, 143));
    let prefixes: [&[u8]; 8] = [
        b"a1 STARTTLS\r\n",
        b"STARTTLS\r\n",
        b"CONNECT a:443 HTTP/1.1\r\n\r\n",
        &[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f],
        b"\r\n",
        &[20, 3, 3, 0, 1, 1],
        &hello,
        &bulk,
    ];
    for prefix in prefixes {
        for at in [1, 4, 5, 6, 8, 9, 700] {
            let (first, second) = hello.split_at(at);
            let start = prefix.len() as u32;
            let early = start + at as u32;
            series.add_connection(|conversation| {
                conversation.server(b"S").client(prefix).client(first).client(second).server(&flight)
            });
            series.add_connection(|conversation| {
                conversation.client(prefix).client_at(early, second).client_at(start, first).client_at(start, first)
            });
            series.add_connection(|conversation| {
                conversation.client(prefix).client_at(start - 1, &[b"\n", first].concat()).client(second)
            });
        }
        for far in [1 << 21, 1 << 20, (1 << 20) + 40, 0_u32.wrapping_sub(1 << 21)] {
            for forged in [&hello[..], b"GET /a HTTP/1.1\r\n\r\n", b"SSH-2.0-a\r\n", b"zz\r\n\r\n"] {
                series.add_connection(|conversation| {
                    conversation.client(prefix).client_at(far, forged).client_at(prefix.len() as u32, &hello)
                });
                series.add_connection(|conversation| {
                    conversation.client_at(far, forged).client_at(0, prefix).client_at(prefix.len() as u32, &hello)
                });
            }
        }
    }
    // Lines until the dialogue exceeds its limit, consecutive and with a gap.
    for skipped in [0, 1] {
        series.add_connection(|conversation| {
            for line in 0..60_u32 {
                conversation.client_at(100 * line + skipped * line.min(1), &[b'.'; 100]);
            }
            conversation.client(&hello)
        });
    }
    for reply in [&b"S"[..], b"N", b"NS", b"J\0\0\0\x0a8.0.30\0"] {
        series.add_connection(|conversation| conversation.server(reply).server(&flight).client(&hello));
        series.add_connection(|conversation| {
            conversation.server_at(reply.len() as u32, &flight).server_at(0, reply).client(&hello)
        });
    }
    // The first segment of a flight arrives last.
    series.add_connection(|conversation| {
        for piece in 1..10 {
            conversation.server_at(1400 * piece, &bulk);
        }
        conversation.server_at(0, &[&[22, 3, 3, 0x3f, 0, 2, 0, 0, 90][..], &bulk[9..]].concat())
    });
    series.frames
}

/// Returns SYNs of all kinds: with data, repeated, with a new sequence number; closes and untracked flows.
pub(super) fn syns() -> Vec<Vec<u8>> {
    let hello = hello_record(Shape::Curl);
    let mut frames = vec![segment(1, FIN | ACK, &[], &[]), segment(1, RST, &[], &[]), segment(1, ACK, &[], &[7; 100])];
    // Hellos of an untracked flow that are too short, and one in a trailer after the datagram.
    frames.extend((0..12).map(|length| segment(1, ACK, &[], &hello[..length])));
    frames.push([segment(1, ACK, &[], &[]), hello.clone()].concat());
    frames.push(segment(9, SYN, LINUX_SYN_OPTIONS, &hello));
    frames.push(segment(10, PSH | ACK, &[], &hello));
    for isn in (0..2000_u32).map(|number| number.wrapping_mul(0x9e37_79b9)) {
        frames.push(segment(isn, SYN, LINUX_SYN_OPTIONS, &[]));
        if isn % 7 == 0 {
            frames.push(segment(isn, SYN, LINUX_SYN_OPTIONS, &[]));
            frames.push(segment(isn.wrapping_add(1), ACK, &[], &[]));
        }
    }
    let mut conversation = TcpConversation::between("10.0.0.3:1", "10.0.0.4:443");
    // SYN cookies: a new sequence number in each SYN-ACK; then a restart, a reset, and a server that sends first.
    conversation.syn().syn().syn_ack().again(0x1000_0000, 0x9000_0000).syn_ack().client_ack();
    conversation.again(0x1000_0000, 0xa000_0000).syn_ack().client_ack().client(&hello).server_reset().client(&hello);
    conversation.again(5, 6).syn_ack().syn().syn_ack().client_ack().server(b"220 ready\r\n").client(&hello).close();
    frames.extend(frames_of(&conversation));
    // A server's hello first, in an untracked flow.
    let mut conversation = TcpConversation::between("10.0.0.5:1", "10.0.0.6:443");
    conversation.server(&hello::server_flight_13(&mut SplitMix64::new(2), 90)).client(&hello);
    frames.extend(frames_of(&conversation));
    frames
}

/// Returns super-packets and jumbo frames, also in tunnels.
pub(super) fn long_frames() -> Vec<Vec<u8>> {
    let tunnel = OuterLayer::between("192.0.2.1", "192.0.2.2", TunnelKind::Vxlan(5));
    let mut frames = Vec::new();
    for length in [1500, 3400, 3500, 4000, 4200, 9000, 16_200, 16_300, 16_400, 30_000, 60_000] {
        let mut body = hello_record(Shape::Curl);
        let rest = length - body.len();
        body.extend(hello::records(&[&[11, 0, 0, 0][..], &vec![3; rest]].concat(), 4000));
        // A request that ends on a later page of the frame.
        let mut request = b"POST / HTTP/1.1\r\nCookie: ".to_vec();
        request.resize(length - 4, b'c');
        request.extend_from_slice(b"\r\n\r\n");
        let frames_of_length = [
            segment(0x1000_0000, SYN, &[], &[]),
            segment(0x1000_0001, PSH | ACK, &[], &body),
            segment(0x1000_0001 + body.len() as u32, PSH | ACK, &[], &vec![23; length]),
            segment(0x2000_0000, SYN, &[], &[]),
            segment(0x2000_0001, PSH | ACK, &[], &request),
            segment(0x2000_0001 + length as u32, PSH | ACK, &[], &request),
            Setting::default().datagram((5000, 443), &long(0xc0, 1, length)),
            Setting::default().datagram((5000, 443), &long(0xe0, 1, length)),
            Setting::default().datagram((5000, 443), &vec![0x41; length]),
        ];
        for frame in frames_of_length {
            let wrapped = tunnel.wrap(&frame);
            frames.extend(Fragments::of(&frame).pieces(2));
            frames.extend([OuterLayer::Mpls(vec![16]).wrap(&wrapped), tunnel.wrap(&wrapped), wrapped, frame]);
        }
    }
    frames
}
