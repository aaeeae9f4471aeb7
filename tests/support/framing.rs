//! Framings: headers between TCP or UDP and the TLS or DTLS records.

/// A PROXY protocol 1 line (HAProxy, `proxy-protocol.txt`, section 2.1).
pub const PROXY_1: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";

/// The shortest PROXY protocol 1 line.
pub const PROXY_1_UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";

/// The longest PROXY protocol 1 line: 107 bytes.
pub const PROXY_1_LONGEST: &[u8] = b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
    ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";

/// Returns a PROXY protocol 2 header for TCP over IPv4, with `extra` bytes after the addresses (section 2.2).
pub fn proxy_2(extra: usize) -> Vec<u8> {
    let addresses = b"\xc0\0\x02\x01\xc0\0\x02\x02\xdc\x04\x01\xbb";
    let mut out = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    out.extend(((addresses.len() + extra) as u16).to_be_bytes());
    out.extend_from_slice(addresses);
    // PP2_TYPE_NOOP, or zero bytes if `extra` is less than a type-length-value header.
    if let Some(length) = extra.checked_sub(3) {
        out.extend([4, (length >> 8) as u8, length as u8]);
        out.resize(out.len() + length, 0);
    } else {
        out.resize(out.len() + extra, 0);
    }
    out
}

/// TDS packet type of a tabular result ([MS-TDS], section 2.2.3.1.1).
pub const TDS_RESULT: u8 = 0x04;
/// TDS packet type of a PRELOGIN message, used by both sides.
pub const TDS_PRELOGIN: u8 = 0x12;

/// Options of a PRELOGIN message: version and encryption ([MS-TDS], section 2.2.6.5).
pub const TDS_OPTIONS: &[u8] = &[0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 15, 0, 0, 0, 0, 0, 1];

/// Splits a TDS message of type `kind` into packets with at most `size` bytes after the packet header.
pub fn tds(kind: u8, message: &[u8], size: usize) -> Vec<u8> {
    let packets = message.len().div_ceil(size);
    let packet = |(number, part): (usize, &[u8])| {
        let status = u8::from(number + 1 == packets);
        let [high, low] = (part.len() as u16 + 8).to_be_bytes();
        [&[kind, status, high, low, 0, 0, number as u8, 0][..], part].concat()
    };
    message.chunks(size).enumerate().flat_map(packet).collect()
}

/// Returns a ChannelData message without padding, as used over UDP (RFC 8656, section 12.4).
pub fn channel_data(channel: u16, data: &[u8]) -> Vec<u8> {
    [&channel.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
}

/// Returns a padded ChannelData message, as used over TCP (RFC 8656, section 12.5).
pub fn padded_channel_data(channel: u16, data: &[u8]) -> Vec<u8> {
    let mut out = channel_data(channel, data);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// Returns a STUN message of type `kind` with an XOR-PEER-ADDRESS and a DATA attribute: 0x0016 is a Send indication,
/// 0x0017 a Data indication (RFC 8656, section 11).
pub fn indication(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut attributes = b"\0\x12\0\x08\0\x01\x21\x12\xc0\0\x02\x01\0\x13".to_vec();
    attributes.extend((data.len() as u16).to_be_bytes());
    attributes.extend_from_slice(data);
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    stun(kind, &attributes)
}

/// Returns a STUN message of type `kind` with these attributes (RFC 8489, section 5).
pub fn stun(kind: u16, attributes: &[u8]) -> Vec<u8> {
    let length = (attributes.len() as u16).to_be_bytes();
    [&kind.to_be_bytes()[..], &length, b"\x21\x12\xa4\x42", &[7; 12], attributes].concat()
}

/// Returns the datagram with a length prefix, as framed in a TCP stream (RFC 4571, section 2).
pub fn counted(datagram: &[u8]) -> Vec<u8> {
    [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat()
}

/// TimedFrame builder of one side of an OpenVPN session.
#[derive(Clone, Copy, Debug)]
pub struct OpenVpn {
    session: [u8; 8],
    peer: [u8; 8],
    reset: u8,
    /// Key ID: number of the TLS handshake in the session.
    key: u8,
}

impl OpenVpn {
    /// Returns the client side.
    pub const fn client() -> Self {
        Self { session: *b"client01", peer: *b"server01", reset: 7, key: 0 }
    }

    /// Returns the server side.
    pub const fn server() -> Self {
        Self { session: *b"server01", peer: *b"client01", reset: 8, key: 0 }
    }

    /// Returns the same side in another session.
    #[must_use]
    pub fn again(mut self) -> Self {
        self.session[7] += 1;
        self.peer[7] += 1;
        self
    }

    /// Returns the same side with another key ID, 0 to 7.
    #[must_use]
    pub const fn with_key(self, key: u8) -> Self {
        Self { key, ..self }
    }

    /// Returns the `P_CONTROL_HARD_RESET` packet of this side.
    pub fn reset(self, acks: &[u32]) -> Vec<u8> {
        self.packet(self.reset, 0, acks, &[])
    }

    /// Returns a `P_CONTROL_SOFT_RESET_V1` packet.
    pub fn soft_reset(self) -> Vec<u8> {
        self.packet(3, 0, &[], &[])
    }

    /// Returns a `P_CONTROL_V1` packet with these bytes of the TLS stream.
    pub fn control(self, id: u32, acks: &[u32], payload: &[u8]) -> Vec<u8> {
        self.packet(4, id, acks, payload)
    }

    /// Splits a TLS stream into `P_CONTROL_V1` packets with at most `size` bytes, numbered from `id`.
    pub fn stream(self, id: u32, bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
        (id..).zip(bytes.chunks(size)).map(|(id, part)| self.control(id, &[], part)).collect()
    }

    /// Returns a `P_ACK_V1` packet.
    pub fn ack(self, acks: &[u32]) -> Vec<u8> {
        let mut packet = self.packet(5, 0, acks, &[]);
        packet.truncate(packet.len() - 4);
        packet
    }

    /// Returns a `P_DATA_V2` packet.
    pub fn data(self) -> Vec<u8> {
        [&[9 << 3 | self.key, 0, 0, 0][..], &[0xd7; 120]].concat()
    }

    fn packet(self, opcode: u8, id: u32, acks: &[u32], payload: &[u8]) -> Vec<u8> {
        let mut out = vec![opcode << 3 | self.key];
        out.extend(self.session);
        out.push(acks.len() as u8);
        acks.iter().for_each(|ack| out.extend(ack.to_be_bytes()));
        if !acks.is_empty() {
            out.extend(self.peer);
        }
        out.extend(id.to_be_bytes());
        out.extend_from_slice(payload);
        out
    }
}

/// Returns the packet with the fields of `tls-auth` after the session ID: a digest of `digest` bytes, a packet ID and
/// a time.
pub fn openvpn_auth(packet: &[u8], digest: usize) -> Vec<u8> {
    let (head, rest) = packet.split_at(9);
    [head, &vec![0xd5; digest], &[0, 0, 0, 1, 0x6b, 0x04, 0x05, 0x06], rest].concat()
}
