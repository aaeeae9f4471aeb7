//! Frames with something odd about them.

use std::net::SocketAddr;

use tests::conversation::{LINUX_SYN_OPTIONS, TcpConversation};
use tests::hello::{self, Shape};
use tests::packets::{ACK, Envelope, Extension, FIN, PSH, RST, SYN, Segment};
use tests::random::SplitMix64;

/// Offset of the IP header.
const L3: usize = 14;

const V4: (&str, &str) = ("10.0.0.1:51234", "10.0.0.2:443");
const V6: (&str, &str) = ("[fd00::1]:51234", "[fd00::2]:443");

/// A series of frames and what it is about.
pub(crate) type Story = (&'static str, Vec<Vec<u8>>);

/// A ClientHello in one record.
pub(crate) fn hello_record(shape: Shape) -> Vec<u8> {
    hello::records(&shape.client_hello("example.org", &mut SplitMix64::new(5)), usize::MAX)
}

/// A client's segment over IPv4.
pub(crate) fn segment(seq: u32, flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    between(V4, &Envelope::default(), seq, flags, options, payload)
}

fn between(
    (from, to): (&str, &str),
    envelope: &Envelope,
    seq: u32,
    flags: u8,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut frame = Vec::new();
    Segment { from, to, ttl: 64, seq, ack: 7, flags, window: 502, options, payload }.write(envelope, &mut frame);
    frame
}

/// A SYN over IPv4.
pub(crate) fn syn() -> Vec<u8> {
    segment(0x1000_0000, SYN, LINUX_SYN_OPTIONS, &[])
}

/// A ClientHello over IPv4, in one segment.
pub(crate) fn client_hello() -> Vec<u8> {
    segment(0x1000_0001, PSH | ACK, &[], &hello_record(Shape::Curl))
}

fn told(conversation: &TcpConversation) -> Vec<Vec<u8>> {
    conversation.packets().iter().map(|packet| packet.frame.clone()).collect()
}

/// A whole connection: handshake, both hellos, application data, FIN.
fn connection(ends: (&str, &str), envelope: Envelope) -> Vec<Vec<u8>> {
    let mut talk = TcpConversation::between(ends.0, ends.1).inside(envelope);
    talk.handshake().client(&hello_record(Shape::Curl)).server_ack();
    talk.server(&hello::server_flight_13(&mut SplitMix64::new(6), 700)).client_ack();
    talk.client(&[&[20, 3, 3, 0, 1, 1][..], &[23, 3, 3, 0, 40], &[9; 40]].concat());
    talk.server(&[23, 3, 3, 0, 4, 1, 2, 3, 4]).client(&[23, 3, 3, 0, 2, 1, 2]).close();
    told(&talk)
}

/// An IPv6 extension header of this kind and these bytes behind its first, put before what follows the IPv6 header.
fn extended(mut frame: Vec<u8>, kind: u8, rest: &[u8]) -> Vec<u8> {
    let next = std::mem::replace(&mut frame[L3 + 6], kind);
    let length = u16::from_be_bytes([frame[L3 + 4], frame[L3 + 5]]) + 1 + rest.len() as u16;
    frame[L3 + 4..L3 + 6].copy_from_slice(&length.to_be_bytes());
    frame.splice(L3 + 40..L3 + 40, [next].into_iter().chain(rest.iter().copied()));
    frame
}

fn ipv6_syn() -> Vec<u8> {
    between(V6, &Envelope::default(), 1, SYN, LINUX_SYN_OPTIONS, &[])
}

/// IPv6 SYNs behind every kind of extension header, whole and broken.
fn extension_headers() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let padding = [0; 400];
    for kind in 0..=255 {
        // Lengths of 0 to 3 units, which authentication counts in fours and fragments do not have at all.
        for units in 0..=3_u8 {
            let length = if kind == 51 { (usize::from(units) + 2) * 4 } else { (usize::from(units) + 1) * 8 };
            let rest = [&[units][..], &padding[..length - 2]].concat();
            frames.push(extended(ipv6_syn(), kind, &rest));
        }
        // A length that lies.
        frames.push(extended(ipv6_syn(), kind, &[255, 0, 0, 0, 0, 0, 0]));
    }
    // Fragments: atomic, first, later, last.
    for bits in [0, 1, 0xb9, 0xb8, 6] {
        frames.push(extended(ipv6_syn(), 44, &[0, 0, bits, 0, 0, 0, 1]));
    }
    // Chains up to the longest followed and beyond, in number and in bytes.
    for depth in 1..=8 {
        let mut frame = ipv6_syn();
        let mut long = ipv6_syn();
        for _ in 0..depth {
            frame = extended(frame, 60, &padding[..7]);
            long = extended(long, 60, &[&[8][..], &padding[..70]].concat());
        }
        frames.extend([frame, long]);
    }
    frames
}

/// IPv4 headers with options, fragments, lies about their length.
fn ipv4_headers() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for first in 0..=255 {
        let mut frame = syn();
        frame[L3] = first;
        frames.push(frame);
        let mut frame = syn();
        frame[L3 + 9] = first;
        frames.push(frame);
    }
    for fragment in [0x2000_u16, 0x4000, 0x8000, 1, 0x1fff, 0x3fff, 0x6000] {
        let mut frame = syn();
        frame[L3 + 6..L3 + 8].copy_from_slice(&fragment.to_be_bytes());
        frames.push(frame);
    }
    for words in 1..=10 {
        let mut frame = client_hello();
        frame[L3] += words;
        let total = u16::from_be_bytes([frame[L3 + 2], frame[L3 + 3]]) + u16::from(words) * 4;
        frame[L3 + 2..L3 + 4].copy_from_slice(&total.to_be_bytes());
        frame.splice(L3 + 20..L3 + 20, vec![1; usize::from(words) * 4]);
        frames.push(frame);
    }
    for total in [0, 1, 19, 20, 39, 40, 41, 59, 60, 61, 100, 1500, 40_000, 65_535_u16] {
        for mut frame in [syn(), client_hello()] {
            frame[L3 + 2..L3 + 4].copy_from_slice(&total.to_be_bytes());
            frames.push(frame);
        }
    }
    frames
}

/// Every byte of flags and every data offset, with a hello behind them.
fn tcp_headers() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for flags in 0..=255 {
        frames.push(segment(u32::from(flags), flags, &[], &hello_record(Shape::Device)));
        let mut frame = client_hello();
        frame[L3 + 20 + 12] = flags;
        frames.push(frame);
    }
    for options in (0..=40).step_by(4) {
        frames.push(segment(1, SYN, &[1; 40][..options], &[]));
        frames.push(segment(2, ACK, &[1; 40][..options], &hello_record(Shape::Curl)));
    }
    frames
}

/// VLAN tags, one to three, of both kinds and in both orders.
fn tags() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for kinds in
        [&[0x8100][..], &[0x88a8], &[0x88a8, 0x8100], &[0x8100, 0x8100], &[0x8100, 0x88a8], &[0x8100; 3], &[0x9100]]
    {
        for mut frame in [syn(), ipv6_syn(), client_hello()] {
            for kind in kinds {
                let [a, b] = u16::to_be_bytes(*kind);
                frame.splice(12..12, [a, b, 0x20, 7]);
            }
            frames.push(frame);
        }
    }
    frames
}

/// Hellos in pieces.
fn pieces() -> Vec<Vec<u8>> {
    let hello = hello_record(Shape::PostQuantum);
    let retry = [&[20, 3, 3, 0, 1, 1][..], &hello_record(Shape::Curl)].concat();
    let small = hello::records(&Shape::Curl.client_hello("example.org", &mut SplitMix64::new(5)), 40);
    let mut frames = Vec::new();
    let mut isn = 1;
    let mut tell = |talk: &dyn for<'a> Fn(&'a mut TcpConversation) -> &'a mut TcpConversation| {
        let mut conversation = TcpConversation::new().numbered(isn, isn ^ 0x5555_0000);
        isn = isn.wrapping_add(0x0fff_ff00);
        conversation.handshake();
        talk(&mut conversation);
        conversation.client(&[23, 3, 3, 0, 2, 1, 2]).close();
        frames.extend(told(&conversation));
    };
    // In either order, cut in the record header, behind it, and in the middle.
    for at in [1, 2, 3, 4, 5, 6, 8, 9, 10, 700, hello.len() - 1] {
        let (first, second) = hello.split_at(at);
        tell(&|talk| talk.client(first).client(second).server_ack());
        tell(&|talk| talk.client_at(at as u32, second).client_at(0, first).server_ack());
        tell(&|talk| talk.client(first).client_at(0, &hello).client(second));
    }
    // A HelloRetryRequest's second hello behind a ChangeCipherSpec, in one segment and in two.
    tell(&|talk| talk.client(&hello).server(&hello::server_flight_13(&mut SplitMix64::new(1), 0)).client(&retry));
    tell(&|talk| talk.client(&hello).client(&retry[..6]).client(&retry[6..]));
    tell(&|talk| talk.client(&[&hello[..], &retry[..]].concat()));
    // Many small records in one segment, and cut in the middle of a header.
    tell(&|talk| talk.client(&small));
    for at in 41..52 {
        tell(&|talk| talk.client(&small[..at]).client(&small[at..]));
    }
    // A byte at a time.
    tell(&|talk| {
        for byte in &hello[..40] {
            talk.client(&[*byte]);
        }
        talk
    });
    // Keep-alive, retransmission, far ahead, not TLS at all.
    tell(&|talk| talk.client_at(u32::MAX, &[0]).client(&hello).client_at(0, &hello));
    tell(&|talk| talk.client_at(1 << 21, &hello).client_at(0, &hello));
    tell(&|talk| talk.client(b"GET / HTTP/1.1\r\n\r\n").server(b"HTTP/1.1 200 OK\r\n\r\n").client(&hello));
    // More than any budget.
    tell(&|talk| {
        for _ in 0..40 {
            talk.client(&[22, 3, 1, 0x40, 0]).client(&[0; 1400]);
        }
        talk
    });
    frames
}

/// SYNs of all kinds: with data, repeated, with a new number each time; ends and strangers.
fn openings() -> Vec<Vec<u8>> {
    let hello = hello_record(Shape::Curl);
    let mut frames = vec![segment(1, FIN | ACK, &[], &[]), segment(1, RST, &[], &[]), segment(1, ACK, &[], &[7; 100])];
    // Hellos of a stranger that are too short, and in a trailer behind the datagram.
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
    let mut talk = TcpConversation::between("10.0.0.3:1", "10.0.0.4:443");
    // SYN cookies: another number in each SYN-ACK; then a restart, a reset, and the server's first word.
    talk.syn().syn().syn_ack().again(0x1000_0000, 0x9000_0000).syn_ack().client_ack();
    talk.again(0x1000_0000, 0xa000_0000).syn_ack().client_ack().client(&hello).server_reset().client(&hello);
    talk.again(5, 6).syn_ack().syn().syn_ack().client_ack().server(b"220 ready\r\n").client(&hello).close();
    frames.extend(told(&talk));
    // A server's hello first, of a flow that nobody knows.
    let mut talk = TcpConversation::between("10.0.0.5:1", "10.0.0.6:443");
    talk.server(&hello::server_flight_13(&mut SplitMix64::new(2), 90)).client(&hello);
    frames.extend(told(&talk));
    frames
}

/// Super-packets and jumbo frames.
fn long_frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for length in [1500, 3400, 3500, 4000, 4200, 9000, 16_200, 16_300, 16_400, 30_000, 60_000] {
        let mut body = hello_record(Shape::Curl);
        let rest = length - body.len();
        body.extend(hello::records(&[&[11, 0, 0, 0][..], &vec![3; rest]].concat(), 4000));
        frames.push(segment(0x1000_0000, SYN, &[], &[]));
        frames.push(segment(0x1000_0001, PSH | ACK, &[], &body));
        frames.push(segment(0x1000_0001 + body.len() as u32, PSH | ACK, &[], &vec![23; length]));
    }
    frames
}

/// Frames that are worth cutting at every length.
pub(crate) fn worth_cutting() -> Vec<Vec<u8>> {
    let chain = vec![Extension::HopByHop, Extension::Routing, Extension::Destination(3)];
    let mut frames = connection(V4, Envelope::default());
    frames.extend(connection(V6, Envelope { extensions: chain.clone(), ..Envelope::default() }));
    frames.extend(connection(V6, Envelope { vlan: vec![5, 6], extensions: chain }));
    frames.extend(connection(V4, Envelope { vlan: vec![5], ..Envelope::default() }));
    frames.extend(connection(V6, Envelope::default()));
    frames.push(extended(ipv6_syn(), 51, &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    frames.push(extended(ipv6_syn(), 44, &[0, 0, 0, 0, 0, 0, 1]));
    let mut udp = syn();
    udp[L3 + 9] = 17;
    frames.push(udp);
    frames
}

/// Everything there is.
pub(crate) fn stories() -> Vec<Story> {
    vec![
        ("connections", worth_cutting()),
        ("extension headers", extension_headers()),
        ("IPv4 headers", ipv4_headers()),
        ("TCP headers", tcp_headers()),
        ("VLAN tags", tags()),
        ("hellos in pieces", pieces()),
        ("openings and ends", openings()),
        ("long frames", long_frames()),
    ]
}
