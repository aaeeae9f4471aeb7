//! QUIC: long headers of every type and version, short headers, and coalesced packets.

use super::setting::Setting;

/// Versions that can be decrypted, including the first and last supported drafts.
pub(crate) const KNOWN_VERSIONS: [u32; 13] = [
    1,
    0x6b33_43cf,
    0xff00_0017,
    0xff00_001d,
    0xff00_0022,
    0xface_b002,
    0xface_b003,
    0xface_b00e,
    0xface_b010,
    0xface_b011,
    0xface_b013,
    0x5430_3530,
    0x5430_3531,
];

/// Version negotiation, neighbours of known versions, GREASE, and newer and older versions.
pub(crate) const OTHER_VERSIONS: [u32; 15] = [
    0,
    2,
    0x0100_0000,
    0x6b33_43ce,
    0x709a_50c4,
    0xff00_0016,
    0xff00_0023,
    0xface_b001,
    0xface_b012,
    0xface_b00f,
    0x5130_3530,
    0x5130_3436,
    0x5430_3532,
    0x0a0a_0a0a,
    0xffff_ffff,
];

/// Returns a packet with a long header and connection IDs of 8 and 5 bytes, padded to `length`.
pub(crate) fn long(first: u8, version: u32, length: usize) -> Vec<u8> {
    let mut out = vec![first];
    out.extend(version.to_be_bytes());
    out.push(8);
    out.extend([0xd1; 8]);
    out.push(5);
    out.extend([0x5c; 5]);
    // No token; a two-byte Length field.
    out.extend([0, 0x44, 0x9e]);
    out.resize(length, 0x77);
    out
}

/// Returns a version 1 packet of a type other than Initial, `length` bytes in total, with a matching Length field.
pub(crate) fn sized(first: u8, length: usize) -> Vec<u8> {
    const HEADER: usize = 22;
    let mut out = long(first, 1, length);
    let length = (length - HEADER) as u16;
    out[HEADER - 2..HEADER].copy_from_slice(&(length | 0x4000).to_be_bytes());
    out
}

/// Returns a client's first datagram.
pub(crate) fn initial() -> Vec<u8> {
    long(0xc0, 1, 1200)
}

/// Returns packets of every type and version, as the first and as a later datagram of a flow.
pub(super) fn long_headers(setting: &Setting) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut client = 2000;
    for version in KNOWN_VERSIONS.into_iter().chain(OTHER_VERSIONS) {
        for first in [0x80, 0xc0, 0xcf, 0xd0, 0xd3, 0xe0, 0xef, 0xf0, 0xf5, 0x40, 0] {
            client += 1;
            let payload = long(first, version, 1200);
            frames.push(setting.datagram((client, 443), &payload));
            frames.push(setting.reply((client, 443), &payload));
            let known = (3, 443);
            frames.push(setting.datagram(known, &initial()));
            frames.push(setting.datagram(known, &payload));
            frames.push(setting.reply(known, &payload));
        }
    }
    for first in 0..=255 {
        client += 1;
        frames.push(setting.datagram((client, 4433), &long(first, 1, 70)));
        frames.push(setting.datagram((3, 443), &long(first, 1, 70)));
    }
    frames
}

/// Returns complete connections: Retry, version negotiation, handshakes of both versions, coalesced packets, bulk.
pub(super) fn connections(setting: &Setting) -> Vec<Vec<u8>> {
    let short = [&[0x41][..], &[9; 80]].concat();
    let mut frames = Vec::new();
    for (number, version) in [1, 0x6b33_43cf, 0xff00_001d, 0].into_iter().enumerate() {
        // The packet types of QUIC version 2 are rotated by one.
        let kind = |kind: u8| 0xc0 | ((kind + u8::from(version == 0x6b33_43cf)) & 3) << 4;
        let (initial, early, handshake, retry) = (kind(0), kind(1), kind(2), kind(3));
        let coalesced = [long(initial, version, 150), long(handshake, version, 900), short.clone()].concat();
        let (early_sized, handshake_sized) = (sized(early, 400), sized(handshake, 90));
        let packets: [(bool, Vec<u8>); 21] = [
            (true, long(initial, version, 1200)),
            (false, long(0x80, 0, 30)),
            (false, long(retry, version, 60)),
            (true, long(initial, version, 1200)),
            (true, long(initial, version, 1200)),
            (true, long(early, version, 1200)),
            (true, [early_sized.clone(), long(initial, 1, 1200)].concat()),
            (false, [handshake_sized, long(initial, 1, 200)].concat()),
            (true, [early_sized, short.clone()].concat()),
            (false, coalesced.clone()),
            (false, short.clone()),
            (false, long(handshake, version, 1200)),
            (true, long(initial, version, 48)),
            (false, long(handshake, version, 20)),
            (true, long(handshake, version, 70)),
            (true, [long(handshake, version, 65), short.clone()].concat()),
            (true, short.clone()),
            (false, short.clone()),
            (false, long(initial, version, 1200)),
            (false, coalesced),
            (true, short.clone()),
        ];
        let ports = (60_000 + number as u16, 443);
        let datagrams = packets.iter().map(|(client, payload)| match client {
            true => setting.datagram(ports, payload),
            false => setting.reply(ports, payload),
        });
        frames.extend(datagrams);
        // An untracked flow: a short header of the server first, then long headers.
        let ports = (61_000 + number as u16, 443);
        frames.push(setting.reply(ports, &short));
        frames.push(setting.reply(ports, &long(handshake, version, 1200)));
        frames.push(setting.reply(ports, &long(initial, version, 1200)));
        frames.push(setting.datagram(ports, &long(handshake, version, 1200)));
    }
    frames
}
