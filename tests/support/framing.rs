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

/// ChannelData without padding, as it is over UDP (RFC 8656, section 12.4).
pub fn channel_data(channel: u16, data: &[u8]) -> Vec<u8> {
    [&channel.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
}

/// ChannelData as it is over TCP (RFC 8656, section 12.5).
pub fn padded_channel_data(channel: u16, data: &[u8]) -> Vec<u8> {
    let mut out = channel_data(channel, data);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// A STUN message of this type with an XOR-PEER-ADDRESS and a DATA attribute: 0x0016 is a Send indication, 0x0017 a
/// Data indication (RFC 8656, section 11).
pub fn indication(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut attributes = b"\0\x12\0\x08\0\x01\x21\x12\xc0\0\x02\x01\0\x13".to_vec();
    attributes.extend((data.len() as u16).to_be_bytes());
    attributes.extend_from_slice(data);
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    stun(kind, &attributes)
}

/// A STUN message of this type with these attributes (RFC 8489, section 5).
pub fn stun(kind: u16, attributes: &[u8]) -> Vec<u8> {
    let length = (attributes.len() as u16).to_be_bytes();
    [&kind.to_be_bytes()[..], &length, b"\x21\x12\xa4\x42", &[7; 12], attributes].concat()
}

/// A datagram behind its length, as it is in a TCP stream (RFC 4571, section 2).
pub fn counted(datagram: &[u8]) -> Vec<u8> {
    [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat()
}
