//! Link types: the start of the network layer in a captured frame.

/// EtherType of IPv4.
const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
const IPV6: u16 = 0x86dd;
/// EtherType of MPLS unicast.
const MPLS: u16 = 0x8847;

/// Header of Linux cooked capture, version 1.
const SLL_LEN: usize = 16;
/// Header of Linux cooked capture, version 2.
const SLL2_LEN: usize = 20;
/// The address family before a packet on a BSD loopback.
const FAMILY_LEN: usize = 4;

/// ARPHRD of a netlink socket: the protocol field then holds a netlink family, not an EtherType.
const ARPHRD_NETLINK: u16 = 824;

/// The link layer of a capturing interface, by the registry at <https://www.tcpdump.org/linktypes.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// Ethernet (1).
    Ethernet,
    /// An IPv4 or IPv6 packet, distinguished by its version field (101; platforms also use 12 and 14).
    RawIp,
    /// An IPv4 packet (228).
    Ipv4,
    /// An IPv6 packet (229).
    Ipv6,
    /// Linux cooked capture, version 1 (113): `tcpdump -i any` until libpcap 1.10.
    LinuxSll,
    /// Linux cooked capture, version 2 (276): `tcpdump -i any` since.
    LinuxSll2,
    /// BSD loopback (0): an address family in the capturing host's byte order.
    Null,
    /// OpenBSD loopback (108): an address family in network byte order.
    Loop,
    /// PPP (9), with or without the HDLC address and control bytes.
    Ppp,
    /// PPP in HDLC-like framing (50): PPP, or Cisco's framing of RFC 1547 section 4.3.1.
    PppHdlc,
    /// Any other, by its number.
    Unsupported(u16),
}

/// The first header of a frame that is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStart {
    /// An Ethernet header.
    Ethernet,
    /// The header of this EtherType, which may be a VLAN tag (0x8100).
    Network(u16),
}

/// The position at which parsing of a frame starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkPayload {
    /// The header at this position.
    pub start: LinkStart,
    /// Bytes before the position; never more than the frame has.
    pub offset: usize,
    /// The capture point: interface of the capturing host and direction, as one number. Only a Linux cooked header has it;
    /// else it is 0.
    pub capture_point: u32,
}

/// Why a frame has no network layer that can be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The frame ends within its link-layer header.
    #[error("frame ends within its link-layer header")]
    Truncated,
    /// A raw IP packet of a version other than 4 and 6.
    #[error("raw packet of IP version {0}")]
    Version(u8),
    /// A loopback packet of an address family other than IPv4 and IPv6.
    #[error("loopback packet of address family {0}")]
    Family(u32),
    /// A protocol that carries no network layer: PPP's control protocols, netlink.
    #[error("link-layer protocol {0:#06x} carries no network layer")]
    Protocol(u16),
    /// The link type is not supported.
    #[error("unsupported link type {0}")]
    Unsupported(u16),
}

impl LinkType {
    /// Returns the link type of a number in a pcap header or a pcapng interface description.
    pub(crate) fn from_number(number: u16) -> Self {
        match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            9 => Self::Ppp,
            // DLT_RAW is 12, but 14 on OpenBSD; the registry's number is 101.
            12 | 14 | 101 => Self::RawIp,
            50 => Self::PppHdlc,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            276 => Self::LinuxSll2,
            other => Self::Unsupported(other),
        }
    }

    /// Returns the start of the network layer of `frame`.
    ///
    /// # Errors
    ///
    /// If the frame is truncated, or does not carry a network layer.
    #[inline]
    pub fn network(&self, frame: &[u8]) -> Result<LinkPayload, LinkError> {
        let (start, offset) = match *self {
            Self::Ethernet => (LinkStart::Ethernet, 0),
            Self::RawIp => (LinkStart::Network(version(frame)?), 0),
            Self::Ipv4 => (LinkStart::Network(IPV4), 0),
            Self::Ipv6 => (LinkStart::Network(IPV6), 0),
            Self::LinuxSll => (LinkStart::Network(cooked(frame)?), SLL_LEN),
            Self::LinuxSll2 => (LinkStart::Network(cooked_v2(frame)?), SLL2_LEN),
            Self::Null => (LinkStart::Network(host_family(frame)?), FAMILY_LEN),
            Self::Loop => (LinkStart::Network(network_family(frame)?), FAMILY_LEN),
            Self::Ppp => ppp(frame)?,
            Self::PppHdlc => ppp_hdlc(frame)?,
            Self::Unsupported(number) => return Err(LinkError::Unsupported(number)),
        };
        let capture_point = match *self {
            Self::LinuxSll => cooked_point(frame, 0),
            Self::LinuxSll2 => cooked_point_v2(frame),
            _ => 0,
        };
        Ok(LinkPayload { start, offset, capture_point })
    }
}

/// Returns the name of a common unsupported link type.
pub(super) fn name_of(number: u16) -> &'static str {
    match number {
        6 => "IEEE 802.5 token ring",
        10 => "FDDI",
        51 => "PPPoE session without Ethernet",
        104 => "Cisco HDLC",
        105 => "IEEE 802.11",
        107 => "Frame Relay",
        117 => "OpenBSD pflog",
        119 => "IEEE 802.11 with Prism header",
        122 => "IP over Fibre Channel",
        127 => "IEEE 802.11 with radiotap header",
        147..=162 => "private use",
        163 => "IEEE 802.11 with AVS header",
        187 | 201 => "Bluetooth HCI",
        189 | 220 => "Linux USB",
        192 => "per-packet information",
        195 | 215 | 230 => "IEEE 802.15.4",
        227 => "CAN bus",
        239 => "Linux netfilter log",
        249 => "USBPcap",
        252 => "Wireshark exported PDUs",
        253 => "Linux netlink",
        271 => "vsock",
        _ => "unknown",
    }
}

/// Returns the EtherType of an IP packet, from its version field.
fn version(packet: &[u8]) -> Result<u16, LinkError> {
    match packet.first().ok_or(LinkError::Truncated)? >> 4 {
        4 => Ok(IPV4),
        6 => Ok(IPV6),
        other => Err(LinkError::Version(other)),
    }
}

/// Linux cooked capture v1: packet type (2), ARPHRD (2), address length (2), address (8), protocol (2).
fn cooked(frame: &[u8]) -> Result<u16, LinkError> {
    let header = frame.first_chunk::<SLL_LEN>().ok_or(LinkError::Truncated)?;
    let [_, _, a0, a1, .., p0, p1] = *header;
    ethertype(u16::from_be_bytes([a0, a1]), u16::from_be_bytes([p0, p1]))
}

/// Linux cooked capture v2: protocol (2), reserved (2), interface (4), ARPHRD (2), packet type (1), address length
/// (1), address (8).
fn cooked_v2(frame: &[u8]) -> Result<u16, LinkError> {
    let header = frame.first_chunk::<SLL2_LEN>().ok_or(LinkError::Truncated)?;
    let [p0, p1, _, _, _, _, _, _, a0, a1, ..] = *header;
    ethertype(u16::from_be_bytes([a0, a1]), u16::from_be_bytes([p0, p1]))
}

/// The capture point of a version 1 header, which has the packet type in its first two bytes but no interface.
fn cooked_point(frame: &[u8], interface: u32) -> u32 {
    /// The packet type of a packet that leaves the host (`PACKET_OUTGOING` in include/uapi/linux/if_packet.h).
    const OUTGOING: u8 = 4;
    interface << 1 | u32::from(frame.get(1) == Some(&OUTGOING))
}

/// The capture point of a version 2 header, which has the interface's index from byte 4 and the packet type in byte 10.
fn cooked_point_v2(frame: &[u8]) -> u32 {
    match *frame {
        [_, _, _, _, i0, i1, i2, i3, _, _, kind, ..] => cooked_point(&[0, kind], u32::from_be_bytes([i0, i1, i2, i3])),
        _ => 0,
    }
}

fn ethertype(hardware: u16, protocol: u16) -> Result<u16, LinkError> {
    match hardware {
        ARPHRD_NETLINK => Err(LinkError::Protocol(protocol)),
        _ => Ok(protocol),
    }
}

/// Returns the EtherType of a BSD loopback packet, from its address family. The byte order of the capturing host is
/// unknown; families are small numbers, so the order with the smaller number is correct.
fn host_family(frame: &[u8]) -> Result<u16, LinkError> {
    let bytes = *frame.first_chunk::<FAMILY_LEN>().ok_or(LinkError::Truncated)?;
    let family = u32::from_le_bytes(bytes);
    family_ethertype(family.min(family.swap_bytes()))
}

fn network_family(frame: &[u8]) -> Result<u16, LinkError> {
    let bytes = *frame.first_chunk::<FAMILY_LEN>().ok_or(LinkError::Truncated)?;
    family_ethertype(u32::from_be_bytes(bytes))
}

/// AF_INET is 2 everywhere; AF_INET6 is 10 on Linux, 23 on Windows, 24 on NetBSD and OpenBSD, 28 on FreeBSD and 30
/// on Darwin.
fn family_ethertype(family: u32) -> Result<u16, LinkError> {
    match family {
        2 => Ok(IPV4),
        10 | 23 | 24 | 28 | 30 => Ok(IPV6),
        other => Err(LinkError::Family(other)),
    }
}

/// PPP (RFC 1661 section 2), with the address and control bytes 0xff 0x03 of RFC 1662 or without. An odd first byte
/// of the protocol field is the whole field, compressed (RFC 1661 section 6.5).
fn ppp(frame: &[u8]) -> Result<(LinkStart, usize), LinkError> {
    let (mut offset, rest) = match frame {
        [0xff, 0x03, rest @ ..] => (2, rest),
        rest => (0, rest),
    };
    let protocol = match *rest {
        [low, ..] if low & 1 == 1 => {
            offset += 1;
            u16::from(low)
        }
        [high, low, ..] => {
            offset += 2;
            u16::from_be_bytes([high, low])
        }
        _ => return Err(LinkError::Truncated),
    };
    match protocol {
        0x0021 => Ok((LinkStart::Network(IPV4), offset)),
        0x0057 => Ok((LinkStart::Network(IPV6), offset)),
        0x0281 => Ok((LinkStart::Network(MPLS), offset)),
        other => Err(LinkError::Protocol(other)),
    }
}

/// Cisco's framing: address 0x0f (unicast) or 0x8f (broadcast), control, EtherType; else PPP.
fn ppp_hdlc(frame: &[u8]) -> Result<(LinkStart, usize), LinkError> {
    match *frame {
        [0x0f | 0x8f, _, e0, e1, ..] => Ok((LinkStart::Network(u16::from_be_bytes([e0, e1])), 4)),
        [0x0f | 0x8f, ..] => Err(LinkError::Truncated),
        _ => ppp(frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u16, frame: &[u8]) -> Result<(LinkStart, usize), LinkError> {
        let payload = LinkType::from_number(number).network(frame)?;
        assert!(payload.offset <= frame.len());
        Ok((payload.start, payload.offset))
    }

    const V4: LinkStart = LinkStart::Network(0x0800);
    const V6: LinkStart = LinkStart::Network(0x86dd);

    #[test]
    fn ethernet_starts_at_its_header() {
        assert_eq!(at(1, b"any"), Ok((LinkStart::Ethernet, 0)));
    }

    #[test]
    fn raw_packets_are_distinguished_by_version() {
        for number in [12, 14, 101] {
            assert_eq!(at(number, &[0x45]), Ok((V4, 0)));
            assert_eq!(at(number, &[0x60]), Ok((V6, 0)));
            assert_eq!(at(number, &[0x00]), Err(LinkError::Version(0)));
            assert_eq!(at(number, &[]), Err(LinkError::Truncated));
        }
        assert_eq!(at(228, &[0x45]), Ok((V4, 0)));
        assert_eq!(at(229, &[0x60]), Ok((V6, 0)));
    }

    #[test]
    fn loopback_families_of_every_platform_and_byte_order() {
        for (family, start) in [(2u32, V4), (10, V6), (24, V6), (28, V6), (30, V6)] {
            assert_eq!(at(0, &family.to_le_bytes()), Ok((start, 4)));
            assert_eq!(at(0, &family.to_be_bytes()), Ok((start, 4)));
            assert_eq!(at(108, &family.to_be_bytes()), Ok((start, 4)));
        }
        assert_eq!(at(0, &7u32.to_be_bytes()), Err(LinkError::Family(7)));
        assert_eq!(at(0, &[2, 0, 0]), Err(LinkError::Truncated));
    }

    #[test]
    fn cooked_headers_announce_an_ethertype() {
        let mut v1 = [0u8; 16];
        v1[14..].copy_from_slice(&[0x81, 0x00]);
        assert_eq!(at(113, &v1), Ok((LinkStart::Network(0x8100), 16)));
        assert_eq!(at(113, &v1[..15]), Err(LinkError::Truncated));
        v1[2..4].copy_from_slice(&824u16.to_be_bytes());
        assert_eq!(at(113, &v1), Err(LinkError::Protocol(0x8100)));

        let mut v2 = [0u8; 20];
        v2[..2].copy_from_slice(&[0x86, 0xdd]);
        assert_eq!(at(276, &v2), Ok((V6, 20)));
        assert_eq!(at(276, &v2[..19]), Err(LinkError::Truncated));
    }

    #[test]
    fn ppp_with_and_without_address_and_compression() {
        for number in [9, 50] {
            assert_eq!(at(number, &[0xff, 0x03, 0x00, 0x21]), Ok((V4, 4)));
            assert_eq!(at(number, &[0xff, 0x03, 0x57]), Ok((V6, 3)));
            assert_eq!(at(number, &[0x00, 0x57]), Ok((V6, 2)));
            assert_eq!(at(number, &[0x21, 0x45]), Ok((V4, 1)));
            assert_eq!(at(number, &[0xff, 0x03, 0xc0, 0x21]), Err(LinkError::Protocol(0xc021)));
            assert_eq!(at(number, &[0xff, 0x03, 0x00]), Err(LinkError::Truncated));
        }
        assert_eq!(at(50, &[0x0f, 0x00, 0x86, 0xdd]), Ok((V6, 4)));
        assert_eq!(at(50, &[0x8f, 0x00, 0x08]), Err(LinkError::Truncated));
    }

    #[test]
    fn other_link_types_are_rejected() {
        assert_eq!(at(51, &[0; 64]), Err(LinkError::Unsupported(51)));
        assert_eq!(at(127, &[0; 64]), Err(LinkError::Unsupported(127)));
    }
}
