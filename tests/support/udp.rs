//! UDP datagrams, and conversations of a client and a server over UDP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::conversation::EPOCH;
use crate::outer_layer::OuterLayer;
use crate::packets::{self, Envelope, TimedFrame, ethernet, ip, length};

const UDP: u8 = 17;
const HEADER: usize = 8;
/// Interval between two datagrams, unless a test waits longer.
const STEP: Duration = Duration::from_micros(50);

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

/// Builder of the packets of a UDP conversation between a client and a server.
#[derive(Clone, Debug)]
pub struct UdpConversation {
    client: SocketAddr,
    server: SocketAddr,
    envelope: Envelope,
    layers: Vec<OuterLayer>,
    surplus: Vec<u8>,
    now: Duration,
    packets: Vec<TimedFrame>,
}

impl UdpConversation {
    /// TTL or hop limit of the client's and the server's packets.
    pub const TTL: [u8; 2] = [64, 57];

    /// Creates a conversation between two addresses of the form `ip:port` or `[ip]:port`.
    ///
    /// # Panics
    /// If an address does not have this form.
    pub fn between(client: &str, server: &str) -> Self {
        Self {
            client: client.parse().expect("an address with a port"),
            server: server.parse().expect("an address with a port"),
            envelope: Envelope::default(),
            layers: Vec::new(),
            surplus: Vec::new(),
            now: EPOCH,
            packets: Vec::new(),
        }
    }

    /// Adds these headers to each following datagram.
    pub fn inside(mut self, envelope: Envelope) -> Self {
        self.envelope = envelope;
        self
    }

    /// Encapsulates each following datagram in these tunnels, outermost first.
    pub fn through(mut self, layers: Vec<OuterLayer>) -> Self {
        self.layers = layers;
        self
    }

    /// Adds these bytes after each following datagram, see [`Datagram::write_with_surplus`].
    pub fn with_surplus(mut self, surplus: &[u8]) -> Self {
        self.surplus = surplus.to_vec();
        self
    }

    /// Advances the clock by `time`.
    pub fn wait(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    /// Sets the clock to `time` after the epoch of the conversation.
    pub fn at(&mut self, time: Duration) -> &mut Self {
        self.now = EPOCH + time;
        self
    }

    /// Adds a datagram from the client.
    pub fn client(&mut self, payload: &[u8]) -> &mut Self {
        let [ttl, _] = Self::TTL;
        self.push(Datagram { from: self.client, to: self.server, ttl, payload }, OuterLayer::wrap_all)
    }

    /// Adds a datagram from the server.
    pub fn server(&mut self, payload: &[u8]) -> &mut Self {
        let [_, ttl] = Self::TTL;
        self.push(Datagram { from: self.server, to: self.client, ttl, payload }, OuterLayer::wrap_all_reversed)
    }

    /// Returns the packets added so far, in order.
    pub fn packets(&self) -> &[TimedFrame] {
        &self.packets
    }

    /// Writes the packets into the capture file `folder/name` and returns its path.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn save(&self, folder: &Path, name: &str) -> PathBuf {
        packets::capture_file(folder, name, &self.packets)
    }

    fn push(&mut self, datagram: Datagram<'_>, wrap: fn(&[OuterLayer], Vec<u8>) -> Vec<u8>) -> &mut Self {
        let mut frame = Vec::new();
        datagram.write_with_surplus(&self.envelope, &self.surplus, &mut frame);
        self.packets.push(TimedFrame { time: self.now, frame: wrap(&self.layers, frame) });
        self.now += STEP;
        self
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
