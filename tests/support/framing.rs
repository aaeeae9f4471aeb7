//! Framings: headers between TCP or UDP and the TLS or DTLS records inside.

/// A PROXY protocol 1 line (HAProxy, `proxy-protocol.txt`, section 2.1).
pub const PROXY_1: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";

/// The shortest PROXY protocol 1 line.
pub const PROXY_1_UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";

/// The longest PROXY protocol 1 line: 107 bytes.
pub const PROXY_1_LONGEST: &[u8] = b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
    ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";

/// A PROXY protocol 2 header for TCP over IPv4, with `extra` bytes behind the addresses (section 2.2).
pub fn proxy_2(extra: usize) -> Vec<u8> {
    let addresses = b"\xc0\0\x02\x01\xc0\0\x02\x02\xdc\x04\x01\xbb";
    let mut out = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    out.extend(((addresses.len() + extra) as u16).to_be_bytes());
    out.extend_from_slice(addresses);
    // PP2_TYPE_NOOP, or less than the header of a type-length-value.
    if let Some(length) = extra.checked_sub(3) {
        out.extend([4, (length >> 8) as u8, length as u8]);
        out.resize(out.len() + length, 0);
    } else {
        out.resize(out.len() + extra, 0);
    }
    out
}

/// Packet types of TDS ([MS-TDS], section 2.2.3.1.1).
pub const TDS_RESULT: u8 = 0x04;
/// PRELOGIN, of both sides.
pub const TDS_PRELOGIN: u8 = 0x12;

/// The options of a PRELOGIN message: version and encryption ([MS-TDS], section 2.2.6.5).
pub const TDS_OPTIONS: &[u8] = &[0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 15, 0, 0, 0, 0, 0, 1];

/// A TDS message of this type in packets with at most `size` bytes behind their header.
pub fn tds(kind: u8, message: &[u8], size: usize) -> Vec<u8> {
    let packets = message.len().div_ceil(size);
    let packet = |(number, part): (usize, &[u8])| {
        let status = u8::from(number + 1 == packets);
        let [high, low] = (part.len() as u16 + 8).to_be_bytes();
        [&[kind, status, high, low, 0, 0, number as u8, 0][..], part].concat()
    };
    message.chunks(size).enumerate().flat_map(packet).collect()
}
