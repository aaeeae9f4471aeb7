//! UDP datagrams.

use std::net::SocketAddr;

use crate::packets::{Envelope, ethernet, ip, length};

const UDP: u8 = 17;
const HEADER: usize = 8;

/// One UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Sender.
    pub from: SocketAddr,
    /// Receiver, of the same address family.
    pub to: SocketAddr,
    /// IPv4 TTL or IPv6 hop limit.
    pub ttl: u8,
    /// Payload.
    pub payload: &'a [u8],
}

impl Datagram<'_> {
    /// Appends the complete Ethernet frame to `out`.
    ///
    /// # Panics
    /// If the address families differ, or the datagram does not fit an IP packet.
    pub fn write(&self, envelope: &Envelope, out: &mut Vec<u8>) {
        self.write_with_surplus(envelope, &[], out);
    }

    /// Appends the complete Ethernet frame with `surplus` bytes after the datagram. They are part of the IP payload,
    /// but are not included in the UDP length.
    ///
    /// # Panics
    /// If the address families differ, or the datagram does not fit an IP packet.
    pub fn write_with_surplus(&self, envelope: &Envelope, surplus: &[u8], out: &mut Vec<u8>) {
        let ends = (self.from.ip(), self.to.ip());
        let udp_length = HEADER + self.payload.len();
        let ip_payload = udp_length + surplus.len();
        ethernet(ends, envelope, out);
        // The IPv4 identification is taken from the UDP length; any value is valid.
        let mut sum = ip(ends, self.ttl, udp_length as u16, UDP, ip_payload, &envelope.extensions, out);

        let start = out.len();
        out.extend_from_slice(&self.from.port().to_be_bytes());
        out.extend_from_slice(&self.to.port().to_be_bytes());
        out.extend_from_slice(&length(udp_length));
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(self.payload);
        sum.add(&[0, UDP]);
        sum.add(&length(udp_length));
        sum.add(&out[start..]);
        // A value of 0 means that there is no checksum (RFC 768).
        let value = if sum.value() == [0; 2] { [0xff; 2] } else { sum.value() };
        out[start + 6..start + 8].copy_from_slice(&value);
        out.extend_from_slice(surplus);
    }

    /// Returns the complete Ethernet frame.
    pub fn frame(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&Envelope::default(), &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_that_of_rfc_768() {
        let frame = Datagram {
            from: "10.0.0.1:68".parse().unwrap(),
            to: "10.0.0.2:67".parse().unwrap(),
            ttl: 64,
            payload: &[1, 2, 3],
        }
        .frame();
        // 0a00 + 0001 + 0a00 + 0002 + 0011 + 000b, 0044 + 0043 + 000b, 0102 + 0300: 18b3.
        assert_eq!(frame[34..], [0, 68, 0, 67, 0, 11, 0xe7, 0x4c, 1, 2, 3]);
        assert_eq!(frame[14 + 2..14 + 4], [0, 31], "total length");
        assert_eq!(frame[14 + 9], UDP);
    }

    #[test]
    fn a_sum_of_zero_is_sent_as_ones() {
        let mut frame = Datagram {
            from: "10.0.0.1:68".parse().unwrap(),
            to: "10.0.0.2:67".parse().unwrap(),
            ttl: 64,
            payload: &[0, 0],
        };
        let sum = frame.frame();
        // With the previous checksum as the payload, the new checksum is 0.
        let payload = [sum[40], sum[41]];
        frame.payload = &payload;
        assert_eq!(frame.frame()[40..42], [0xff, 0xff]);
    }
}
