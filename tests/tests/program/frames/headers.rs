//! Link and network headers of every kind, and TCP headers.

use tests::conversation::LINUX_SYN_OPTIONS;
use tests::hello::Shape;
use tests::packets::{ACK, Envelope, SYN};

use super::{L3, V6, between, client_hello, hello_record, segment, syn};

/// Inserts an IPv6 extension header of this kind after the IPv6 header. `rest` is its content after the first byte.
pub(super) fn extended(mut frame: Vec<u8>, kind: u8, rest: &[u8]) -> Vec<u8> {
    let next = std::mem::replace(&mut frame[L3 + 6], kind);
    let length = u16::from_be_bytes([frame[L3 + 4], frame[L3 + 5]]) + 1 + rest.len() as u16;
    frame[L3 + 4..L3 + 6].copy_from_slice(&length.to_be_bytes());
    frame.splice(L3 + 40..L3 + 40, [next].into_iter().chain(rest.iter().copied()));
    frame
}

pub(super) fn ipv6_syn() -> Vec<u8> {
    between(V6, &Envelope::default(), 1, SYN, LINUX_SYN_OPTIONS, &[])
}

/// Returns IPv6 SYNs after every kind of extension header, well-formed and malformed.
pub(super) fn extension_headers() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let padding = [0; 400];
    for kind in 0..=255 {
        // Lengths of 0 to 3 units. The unit of the authentication header is 4 bytes; a fragment header has no length
        // field.
        for units in 0..=3_u8 {
            let length = if kind == 51 { (usize::from(units) + 2) * 4 } else { (usize::from(units) + 1) * 8 };
            let rest = [&[units][..], &padding[..length - 2]].concat();
            frames.push(extended(ipv6_syn(), kind, &rest));
        }
        // A length beyond the frame.
        frames.push(extended(ipv6_syn(), kind, &[255, 0, 0, 0, 0, 0, 0]));
    }
    // Fragments: atomic, first, later and last.
    for bits in [0, 1, 0xb9, 0xb8, 6] {
        frames.push(extended(ipv6_syn(), 44, &[0, 0, bits, 0, 0, 0, 1]));
    }
    // Chains up to and beyond the parser's limits, in number of headers and in bytes.
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

/// Returns IPv4 headers with options, fragments, and wrong length fields.
pub(super) fn ipv4_headers() -> Vec<Vec<u8>> {
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

/// Returns TCP headers with every flags byte and every data offset, followed by a hello.
pub(super) fn tcp_headers() -> Vec<Vec<u8>> {
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

/// Returns frames with one to three VLAN tags, of both kinds and in both orders.
pub(super) fn tags() -> Vec<Vec<u8>> {
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
