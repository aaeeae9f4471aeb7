//! Crafted frames with correct lengths and checksums, and a writer for capture files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// FIN.
pub const FIN: u8 = 0x01;
/// SYN.
pub const SYN: u8 = 0x02;
/// RST.
pub const RST: u8 = 0x04;
/// PSH.
pub const PSH: u8 = 0x08;
/// ACK.
pub const ACK: u8 = 0x10;

/// Link type Ethernet (<https://www.tcpdump.org/linktypes.html>).
pub const ETHERNET: u32 = 1;

pub(crate) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(crate) const ETHERTYPE_IPV6: u16 = 0x86dd;
pub(crate) const ETHERTYPE_VLAN: u16 = 0x8100;
pub(crate) const ETHERTYPE_QINQ: u16 = 0x88a8;
const TCP: u8 = 6;

/// An IPv6 extension header before TCP (RFC 8200, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Hop-by-hop options header with one `PadN` option.
    HopByHop,
    /// Destination options header; length in units of eight bytes.
    Destination(u8),
    /// Routing header of type 0 without segments left.
    Routing,
}

impl Extension {
    const fn number(self) -> u8 {
        match self {
            Self::HopByHop => 0,
            Self::Routing => 43,
            Self::Destination(_) => 60,
        }
    }

    fn write(self, next: u8, out: &mut Vec<u8>) {
        match self {
            Self::HopByHop => out.extend_from_slice(&[next, 0, 1, 4, 0, 0, 0, 0]),
            Self::Routing => out.extend_from_slice(&[next, 0, 0, 0, 0, 0, 0, 0]),
            Self::Destination(units) => {
                let units = units.max(1);
                let pad = units * 8 - 4;
                out.extend_from_slice(&[next, units - 1, 1, pad]);
                out.resize(out.len() + usize::from(pad), 0);
            }
        }
    }
}

/// VLAN tags and IPv6 extension headers of every segment of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// VLAN tags, outermost first.
    pub vlan: Vec<u16>,
    /// IPv6 extension headers, in order. Ignored for IPv4.
    pub extensions: Vec<Extension>,
}

/// One TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct TcpSegment<'a> {
    /// Sender.
    pub from: SocketAddr,
    /// Receiver, of the same address family.
    pub to: SocketAddr,
    /// IPv4 TTL or IPv6 hop limit.
    pub ttl: u8,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Flag bits, low byte of the field.
    pub flags: u8,
    /// Window field of the header, unscaled.
    pub window: u16,
    /// Options, a multiple of four bytes, at most 40.
    pub options: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
}

impl TcpSegment<'_> {
    /// Appends the whole Ethernet frame to `out`.
    ///
    /// # Panics
    /// If the address families differ, or the segment does not fit an IP packet.
    pub fn write(&self, envelope: &Envelope, out: &mut Vec<u8>) {
        let ends = (self.from.ip(), self.to.ip());
        let tcp_length = 20 + self.options.len() + self.payload.len();
        ethernet(ends, envelope, out);
        // The IPv4 identification is taken from the sequence number; any value is valid.
        let sum = ip(ends, self.ttl, self.seq as u16, TCP, tcp_length, &envelope.extensions, out);
        self.write_tcp(sum, out);
    }

    /// Appends the TCP segment. `sum` contains the addresses of the pseudo-header.
    fn write_tcp(&self, mut sum: Checksum, out: &mut Vec<u8>) {
        assert!(
            self.options.len() <= 40 && self.options.len().is_multiple_of(4),
            "options of {} bytes",
            self.options.len()
        );
        let start = out.len();
        out.extend_from_slice(&self.from.port().to_be_bytes());
        out.extend_from_slice(&self.to.port().to_be_bytes());
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.ack.to_be_bytes());
        out.extend_from_slice(&[(5 + self.options.len() as u8 / 4) << 4, self.flags]);
        out.extend_from_slice(&self.window.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(self.options);
        out.extend_from_slice(self.payload);
        sum.add(&[0, TCP]);
        sum.add(&length(out.len() - start));
        sum.add(&out[start..]);
        out[start + 16..start + 18].copy_from_slice(&sum.value());
    }
}

/// Appends the Ethernet header and VLAN tags of a packet between two hosts, sender first.
pub(crate) fn ethernet((from, to): (IpAddr, IpAddr), envelope: &Envelope, out: &mut Vec<u8>) {
    out.extend_from_slice(&mac(to));
    out.extend_from_slice(&mac(from));
    for (depth, tag) in envelope.vlan.iter().enumerate() {
        let outer_of_two = depth + 1 < envelope.vlan.len();
        let ethertype = if outer_of_two { ETHERTYPE_QINQ } else { ETHERTYPE_VLAN };
        out.extend_from_slice(&ethertype.to_be_bytes());
        out.extend_from_slice(&tag.to_be_bytes());
    }
    let ethertype = if from.is_ipv4() { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
    out.extend_from_slice(&ethertype.to_be_bytes());
}

/// Appends an IP header between two hosts, sender first, for a payload of `content` bytes of `protocol`. Returns the
/// sum of the pseudo-header's addresses. `identification` is used for IPv4 only, `extensions` for IPv6 only.
///
/// # Panics
/// If the address families differ, or the payload does not fit an IP packet.
pub(crate) fn ip(
    ends: (IpAddr, IpAddr),
    ttl: u8,
    identification: u16,
    protocol: u8,
    content: usize,
    extensions: &[Extension],
    out: &mut Vec<u8>,
) -> Checksum {
    let mut sum = Checksum::default();
    match ends {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let (from, to) = (from.octets(), to.octets());
            let start = out.len();
            out.extend_from_slice(&[0x45, 0]);
            out.extend_from_slice(&length(20 + content));
            out.extend_from_slice(&identification.to_be_bytes());
            // Don't fragment.
            out.extend_from_slice(&[0x40, 0, ttl, protocol, 0, 0]);
            out.extend_from_slice(&from);
            out.extend_from_slice(&to);
            let mut header = Checksum::default();
            header.add(&out[start..]);
            out[start + 10..start + 12].copy_from_slice(&header.value());
            sum.add(&from);
            sum.add(&to);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let (from, to) = (from.octets(), to.octets());
            let mut headers = Vec::new();
            let following = extensions.iter().skip(1).map(|extension| extension.number()).chain([protocol]);
            for (extension, next) in extensions.iter().zip(following) {
                extension.write(next, &mut headers);
            }
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            out.extend_from_slice(&length(headers.len() + content));
            out.push(extensions.first().map_or(protocol, |extension| extension.number()));
            out.push(ttl);
            out.extend_from_slice(&from);
            out.extend_from_slice(&to);
            out.extend_from_slice(&headers);
            sum.add(&from);
            sum.add(&to);
        }
        (from, to) => panic!("{from} and {to} are of different families"),
    }
    sum
}

/// Returns a locally administered MAC address derived from the IP address.
fn mac(ip: IpAddr) -> [u8; 6] {
    let [.., a, b, c, d] = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    [0x02, 0, a, b, c, d]
}

pub(crate) fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).expect("fits an IP packet").to_be_bytes()
}

/// The Internet checksum (RFC 1071), eight bytes at a time.
#[derive(Debug, Default)]
pub(crate) struct Checksum(u64);

impl Checksum {
    /// Adds bytes. Every call except the last must add an even number of bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            let (sum, carry) = self.0.overflowing_add(u64::from_be_bytes(*word));
            self.0 = sum + u64::from(carry);
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let (sum, carry) = self.0.overflowing_add(u64::from_be_bytes(last));
        self.0 = sum + u64::from(carry);
    }

    pub(crate) fn value(&self) -> [u8; 2] {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    }
}

/// Sender of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// A frame and its capture time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedFrame {
    /// Capture time since the Unix epoch.
    pub time: Duration,
    /// Frame, from the first byte of the link header.
    pub frame: Vec<u8>,
}

/// Returns link types of capture files with the header of each before an IPv4 packet of this length.
pub fn link_headers(length: usize) -> Vec<(u16, Vec<u8>)> {
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    let data = |kind: u8, flags: u8, length: usize| {
        let mut header = vec![0; length];
        header[..2].copy_from_slice(&[kind, flags]);
        [&header, &snap[..]].concat()
    };
    let tagged = |tag: &[u8]| [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], tag, &[8, 0]].concat();
    let attribute = ((length + 4) as u16).to_le_bytes();
    let size = ((length + 2) as u16).to_be_bytes();
    vec![
        (51, vec![0x11, 0, 0, 7, size[0], size[1], 0, 0x21]),
        (104, vec![0x0f, 0, 8, 0]),
        (105, data(0x08, 1, 24)),
        (105, data(0x88, 3, 32)),
        (127, [&[0, 0, 9, 0, 2, 0, 0, 0, 0x20][..], &data(0x88, 2, 28)].concat()),
        (163, [&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64][..], &[0; 56], &data(0x08, 2, 24)].concat()),
        (192, [&[0, 0, 8, 0, 105, 0, 0, 0][..], &data(0x08, 1, 24)].concat()),
        (192, [&[0, 0, 8, 0, 1, 0, 0, 0][..], &tagged(&[])].concat()),
        (239, [&[2, 0, 0, 5, 6, 0, 10, 0, b'a', 0, 0, 0], &attribute[..], &[9, 0]].concat()),
        (242, [&[0; 40][..], &[8, 0, 0, 0]].concat()),
        (258, [&[12, 0, 0, 0, 1, 0, 0, 0, 101, 0, 0, 0][..], &[]].concat()),
        (284, tagged(&[0x40, 1, 0, 0])),
        (285, tagged(&[0xda, 0xda, 0, 0, 0x40, 1, 0, 0])),
    ]
}

/// Writer of pcap files with nanosecond timestamps, little-endian.
#[derive(Debug)]
pub struct PcapWriter<W: Write> {
    out: W,
    packets: u64,
    bytes: u64,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the file header and returns the writer.
    ///
    /// # Errors
    /// Returns the I/O errors of `out`.
    pub fn new(mut out: W, link_type: u32) -> io::Result<Self> {
        let mut header = Vec::with_capacity(24);
        header.extend_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
        header.extend_from_slice(&[2, 0, 4, 0]);
        header.extend_from_slice(&[0; 8]);
        header.extend_from_slice(&0x0004_0000_u32.to_le_bytes());
        header.extend_from_slice(&link_type.to_le_bytes());
        out.write_all(&header)?;
        Ok(Self { out, packets: 0, bytes: header.len() as u64 })
    }

    /// Writes one packet with a timestamp of `nanoseconds` since the Unix epoch.
    ///
    /// # Errors
    /// Returns the I/O errors of the output.
    pub fn packet(&mut self, nanoseconds: u64, frame: &[u8]) -> io::Result<()> {
        self.cut(nanoseconds, frame, frame.len())
    }

    /// Writes one truncated packet that had `wire_len` bytes on the wire.
    ///
    /// # Errors
    /// Returns the I/O errors of the output.
    pub fn cut(&mut self, nanoseconds: u64, frame: &[u8], wire_len: usize) -> io::Result<()> {
        const SECOND: u64 = 1_000_000_000;
        let mut header = [0; 16];
        let fields = [nanoseconds / SECOND, nanoseconds % SECOND, frame.len() as u64, wire_len as u64];
        for (place, field) in header.as_chunks_mut::<4>().0.iter_mut().zip(fields) {
            *place = (field as u32).to_le_bytes();
        }
        self.out.write_all(&header)?;
        self.out.write_all(frame)?;
        self.packets += 1;
        self.bytes += (header.len() + frame.len()) as u64;
        Ok(())
    }

    /// Returns the number of packets written.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Returns the number of bytes written, headers included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Flushes the output.
    ///
    /// # Errors
    /// Returns the I/O errors of the output.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes Ethernet packets into the capture file `folder/name`, in the given order, and returns its path.
///
/// # Panics
/// If the file cannot be written.
pub fn capture_file(folder: &Path, name: &str, packets: &[TimedFrame]) -> PathBuf {
    let path = folder.join(name);
    let file = BufWriter::new(File::create(&path).expect("the folder is ours"));
    let mut pcap = PcapWriter::new(file, ETHERNET).expect("the disk has room");
    for packet in packets {
        pcap.packet(packet.time.as_nanos() as u64, &packet.frame).expect("the disk has room");
    }
    pcap.finish().expect("the disk has room");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        let mut sum = Checksum::default();
        sum.add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.value(), (!0xddf2_u16).to_be_bytes());
        sum.add(&[0xff]);
        assert_eq!(sum.value(), (!0xdcf3_u16).to_be_bytes());
    }
}
