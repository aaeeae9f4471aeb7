//! DTLS, DHCP, and datagrams that are too short or have wrong length fields.

use tests::dtls::{fragment, record};

use super::quic::{initial, long};
use super::setting::Setting;

/// Returns a DTLS record with a complete handshake message of this type.
pub(crate) fn dtls(kind: u8) -> Vec<u8> {
    record(22, 0, &fragment(kind, 0, 60, 0, &[3; 60]))
}

/// Returns DTLS records of all handshake types, content types, versions and epochs, in known and unknown flows.
pub(super) fn dtls_records(setting: &Setting) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut client = 10_000;
    let mut add = |payload: &[u8], frames: &mut Vec<Vec<u8>>| {
        client += 1;
        frames.push(setting.datagram((client, 4433), payload));
        frames.push(setting.datagram((9999, 4433), payload));
        frames.push(setting.reply((9999, 4433), payload));
    };
    add(&dtls(1), &mut frames);
    for kind in 0..=255 {
        add(&dtls(kind), &mut frames);
    }
    for content in (0..=30).chain([62, 63, 64, 254]) {
        add(&record(content, 0, &fragment(1, 0, 60, 0, &[3; 60])), &mut frames);
    }
    for epoch in [1, 2, 0x0100, 0xffff] {
        add(&record(22, epoch, &fragment(1, 0, 60, 0, &[3; 60])), &mut frames);
    }
    for version in [0xfeff, 0xfefd, 0xfefc, 0xfefe, 0x0100, 0x0001, 0x0303, 0x0301, 0_u16] {
        let mut payload = dtls(2);
        payload[1..3].copy_from_slice(&version.to_be_bytes());
        add(&payload, &mut frames);
    }
    for length in 0..30 {
        add(&dtls(1)[..length], &mut frames);
    }
    // A warning alert before a hello, and similar records.
    for (length, level, epoch) in [(2, 1, 0), (2, 2, 0), (3, 1, 0), (0x0102, 1, 0), (2, 1, 1)] {
        let alert = [record(21, epoch, &[level, 112]), dtls(1)].concat();
        for content in [20, 22, 23] {
            let mut alert = alert.clone();
            alert[11..13].copy_from_slice(&u16::to_be_bytes(length));
            alert[15] = content;
            add(&alert, &mut frames);
            add(&alert[..29], &mut frames);
            add(&alert[..28], &mut frames);
        }
    }
    // Several records in one datagram, with the hello first and not first.
    add(&[dtls(2), dtls(11), dtls(14)].concat(), &mut frames);
    add(&[record(20, 0, &[1]), dtls(1)].concat(), &mut frames);
    frames
}

/// Returns DHCP messages of both versions on correct and wrong ports, with every meaningful first byte. The magic
/// cookie of DHCPv4 is present, missing or truncated.
pub(super) fn dhcp(setting: &Setting) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for from in [67, 68, 546, 547, 53, 1000, 4011] {
        for to in [67, 68, 546, 547, 66, 69, 1000, 4011] {
            for first in [0, 1, 2, 3, 7, 10, 11, 12, 13, 14, 22, 0xc0, 255] {
                let fixed = [&[first][..], &[1, 6, 0], &[0x63; 232]].concat();
                frames.push(setting.datagram((from, to), &[&fixed[..], &[0x63; 4]].concat()));
                let message = [&fixed[..], &[0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255]].concat();
                frames.push(setting.datagram((from, to), &message));
                frames.push(setting.datagram((from, to), &message[..239]));
            }
            for length in [0, 1, 4, 7, 8, 9] {
                frames.push(setting.datagram((from, to), &[2; 9][..length]));
            }
        }
    }
    frames
}

/// Returns datagrams of every short length, and with wrong length fields.
pub(super) fn short(setting: &Setting) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut client = 20_000;
    for payload in [initial(), long(0xe0, 1, 70), dtls(1), dtls(2), dtls(11), vec![7; 80]] {
        for length in (0..=40).chain([63, 64, 65]) {
            client += 1;
            let cut = &payload[..length];
            frames.push(setting.datagram((client, 443), cut));
            // An Ethernet trailer after the datagram.
            frames.push([setting.datagram((client, 444), cut), vec![1; 20]].concat());
        }
    }
    // Offsets of the length fields of IPv4, IPv6, and UDP over either.
    let offsets = [16, 18, 38, 58];
    let values = [0, 7, 8, 15, 16, 20, 27, 28, 29, 35, 36, 37, 65_535_u16];
    for (at, value) in offsets.into_iter().flat_map(|at: usize| values.map(|value| (at, value))) {
        for payload in [initial(), dtls(1), vec![7; 80]] {
            client += 1;
            let mut frame = setting.datagram((client, 443), &payload);
            if let Some(field) = frame.get_mut(at..at + 2) {
                field.copy_from_slice(&value.to_be_bytes());
            }
            frames.push(frame);
        }
    }
    frames
}

/// Returns datagrams with a UDP length that differs from the length of the IP payload: handshakes and DHCP messages with
/// trailing bytes, and all kinds of lengths.
pub(super) fn lengths(setting: &Setting) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut client = 30_000;
    for payload in [initial(), dtls(1), dtls(2), vec![1; 240], vec![7; 80], vec![7; 7], Vec::new()] {
        for (from, to) in [(0, 443), (68, 67), (546, 547), (0, 4789), (0, 6081), (0, 2152)] {
            let whole = payload.len() as u16 + 8;
            for length in [0, 1, 7, 8, 9, 15, 16, 17, whole - 1, whole + 1, 0x8000, 0xffff] {
                client += 1;
                let mut frame = setting.datagram((if from == 0 { client } else { from }, to), &payload);
                let at = frame.len() - payload.len() - 8 + 4;
                frame[at..at + 2].copy_from_slice(&length.to_be_bytes());
                frames.push(frame);
            }
        }
    }
    frames
}
