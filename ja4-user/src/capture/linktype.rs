//! Link types: the start of the network layer in a captured frame.

mod names;
mod payload;
mod wireless;

pub(super) use names::name_of;
pub use payload::{LinkError, LinkPayload, LinkStart};

/// EtherType of IPv4.
const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
const IPV6: u16 = 0x86dd;
/// EtherType of MPLS unicast.
const MPLS: u16 = 0x8847;
/// EtherType of a PPPoE session.
const PPPOE: u16 = 0x8864;
/// EtherType of an Ethernet frame.
const ETHERNET: u16 = 0x6558;

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
    /// PPPoE session without an Ethernet header (51).
    Pppoe,
    /// Cisco's framing of HDLC (104).
    CiscoHdlc,
    /// IEEE 802.11 (105).
    Wireless,
    /// IEEE 802.11 with a Prism header (119).
    WirelessPrism,
    /// IEEE 802.11 with a radiotap header (127).
    WirelessRadiotap,
    /// IEEE 802.11 with a header of AbsoluteValue Systems (163).
    WirelessAvs,
    /// Per-packet information, then a frame of the link type that it names (192).
    Ppi,
    /// Linux netfilter log (239).
    Nflog,
    /// IP over InfiniBand (242).
    Infiniband,
    /// Apple's PKTAP, then a frame of the link type that it names (258).
    Pktap,
    /// Ethernet with the tag of a Marvell switch (284).
    Dsa,
    /// Ethernet with the tag of a Marvell switch after an EtherType (285).
    Edsa,
    /// Any other, by its number.
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
            51 => Self::Pppoe,
            104 => Self::CiscoHdlc,
            105 => Self::Wireless,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            119 => Self::WirelessPrism,
            127 => Self::WirelessRadiotap,
            163 => Self::WirelessAvs,
            192 => Self::Ppi,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            239 => Self::Nflog,
            242 => Self::Infiniband,
            258 => Self::Pktap,
            276 => Self::LinuxSll2,
            284 => Self::Dsa,
            285 => Self::Edsa,
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
            Self::Pppoe => (LinkStart::Network(PPPOE), 0),
            Self::CiscoHdlc => ethertype_at(frame, 2)?,
            Self::Wireless => wireless::data_frame(frame, false)?,
            Self::WirelessPrism => wireless::prism(frame)?,
            Self::WirelessRadiotap => wireless::radiotap(frame)?,
            Self::WirelessAvs => wireless::avs(frame)?,
            Self::Ppi => ppi(frame)?,
            Self::Nflog => nflog(frame)?,
            Self::Infiniband => infiniband(frame)?,
            Self::Pktap => pktap(frame)?,
            Self::Dsa => ethertype_at(frame, 16)?,
            Self::Edsa => ethertype_at(frame, 20)?,
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

/// The header after an EtherType at `at`.
fn ethertype_at(frame: &[u8], at: usize) -> Result<(LinkStart, usize), LinkError> {
    let ethertype = frame.get(at..).and_then(|bytes| bytes.first_chunk()).ok_or(LinkError::Truncated)?;
    Ok((LinkStart::Network(u16::from_be_bytes(*ethertype)), at + 2))
}

/// IP over InfiniBand: a global route header of 40 bytes, an EtherType, two reserved bytes.
fn infiniband(frame: &[u8]) -> Result<(LinkStart, usize), LinkError> {
    const LENGTH: usize = 44;
    let (start, _) = ethertype_at(frame, 40)?;
    if frame.len() < LENGTH { Err(LinkError::Truncated) } else { Ok((start, LENGTH)) }
}

/// Per-packet information: version, flags, length, link type, and further fields.
fn ppi(frame: &[u8]) -> Result<(LinkStart, usize), LinkError> {
    let [_, _, l0, l1, d0, d1, d2, d3] = *frame.first_chunk().ok_or(LinkError::Truncated)?;
    enclosed(frame, u16::from_le_bytes([l0, l1]).into(), u32::from_le_bytes([d0, d1, d2, d3]))
}

/// PKTAP: length, type of the next header (0: none), link type, and further fields.
fn pktap(frame: &[u8]) -> Result<(LinkStart, usize), LinkError> {
    let [l0, l1, l2, l3, n0, n1, n2, n3, d0, d1, d2, d3] = *frame.first_chunk().ok_or(LinkError::Truncated)?;
    if [n0, n1, n2, n3] == [0; 4] {
        return Err(LinkError::NoPacket);
    }
    enclosed(frame, u32::from_le_bytes([l0, l1, l2, l3]) as usize, u32::from_le_bytes([d0, d1, d2, d3]))
}

/// A frame of another link type after a header of this length. No link type encloses itself or another one that encloses.
fn enclosed(frame: &[u8], length: usize, link: u32) -> Result<(LinkStart, usize), LinkError> {
    let number = u16::try_from(link).unwrap_or(u16::MAX);
    let link = LinkType::from_number(number);
    if let LinkType::Ppi | LinkType::Pktap = link {
        return Err(LinkError::Unsupported(number));
    }
    let LinkPayload { start, offset, .. } = link.network(frame.get(length..).ok_or(LinkError::Truncated)?)?;
    let start = match start {
        LinkStart::Ethernet => LinkStart::Network(ETHERNET),
        network => network,
    };
    Ok((start, length + offset))
}

/// Netfilter log: address family, version, resource, and attributes, each with its length and type in the byte order of
/// the capturing host, padded to four bytes.
fn nflog(frame: &[u8]) -> Result<(LinkStart, usize), LinkError> {
    /// `NFULA_PAYLOAD` (include/uapi/linux/netfilter/nfnetlink_log.h).
    const PAYLOAD: u16 = 9;
    let family = *frame.first().ok_or(LinkError::Truncated)?;
    let mut at = 4;
    while let Some(attribute) = frame.get(at..).and_then(|bytes| bytes.first_chunk::<4>()) {
        let [l0, l1, t0, t1] = *attribute;
        // Types are small numbers, so the order with the smaller one is correct.
        let little = [[l0, l1], [t0, t1]].map(u16::from_le_bytes);
        let [length, kind] = if little[1] <= little[1].swap_bytes() { little } else { little.map(u16::swap_bytes) };
        if kind == PAYLOAD {
            return Ok((LinkStart::Network(family_ethertype(family.into())?), at + 4));
        }
        if length < 4 {
            break;
        }
        at += usize::from(length).next_multiple_of(4);
    }
    Err(LinkError::NoPacket)
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
    fn wireless_data_frames_have_llc_headers() {
        const LLC: LinkStart = LinkStart::Network(0);
        let frame = |kind: u8, flags: u8, length: usize| {
            let mut frame = vec![0; length];
            frame[..2].copy_from_slice(&[kind, flags]);
            frame
        };
        assert_eq!(at(105, &frame(0x08, 0x01, 24)), Ok((LLC, 24)));
        assert_eq!(at(105, &frame(0x08, 0x03, 30)), Ok((LLC, 30)));
        assert_eq!(at(105, &frame(0x88, 0x02, 26)), Ok((LLC, 26)));
        assert_eq!(at(105, &frame(0x88, 0x82, 30)), Ok((LLC, 30)));
        assert_eq!(at(105, &frame(0x88, 0x02, 25)), Err(LinkError::Truncated));
        assert_eq!(at(105, &frame(0x08, 0x41, 24)), Err(LinkError::Encrypted));
        for kind in [0x80, 0xd4, 0x48, 0xc8] {
            assert_eq!(at(105, &frame(kind, 0, 40)), Err(LinkError::NoData), "{kind:#x}");
        }
        let mut aggregate = frame(0x88, 0, 40);
        aggregate[24] = 0x80;
        assert_eq!(at(105, &aggregate), Err(LinkError::Aggregate));
    }

    #[test]
    fn headers_before_wireless_frames_are_skipped() {
        const LLC: LinkStart = LinkStart::Network(0);
        let mut data = vec![0; 26];
        data[0] = 0x88;
        let with = |header: &[u8]| [header, &data, &[0; 8]].concat();
        // Version, padding, length; the bits of timestamp and flags, and another word of bits.
        let radiotap = |flags| [&[0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0][..], &[0; 8], &[flags]].concat();
        assert_eq!(at(127, &with(&radiotap(0x10))), Ok((LLC, 25 + 26)));
        assert_eq!(at(127, &with(&radiotap(0x20))), Ok((LLC, 25 + 28)));
        assert_eq!(at(127, &[0, 0, 200, 0, 0, 0, 0, 0, 0]), Err(LinkError::Truncated));
        let avs = [&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64][..], &[0; 56]].concat();
        assert_eq!((at(163, &with(&avs)), at(119, &with(&avs))), (Ok((LLC, 64 + 26)), Ok((LLC, 64 + 26))));
        assert_eq!(at(119, &with(&[0; 144])), Ok((LLC, 144 + 26)));
        assert_eq!(at(192, &with(&[0, 0, 8, 0, 105, 0, 0, 0])), Ok((LLC, 8 + 26)));
        assert_eq!(at(192, &with(&[0, 0, 8, 0, 1, 0, 0, 0])), Ok((LinkStart::Network(0x6558), 8)));
        assert_eq!(at(192, &with(&[0, 0, 8, 0, 192, 0, 0, 0])), Err(LinkError::Unsupported(192)));
    }

    #[test]
    fn switches_modems_and_logs_announce_what_follows() {
        assert_eq!(at(51, &[0x11]), Ok((LinkStart::Network(0x8864), 0)));
        assert_eq!(at(104, &[0x0f, 0, 0x86, 0xdd]), Ok((V6, 4)));
        let tagged = |at: usize| {
            let mut frame = vec![0; at];
            frame.extend([0x08, 0x00]);
            frame
        };
        assert_eq!((at(284, &tagged(16)), at(285, &tagged(20))), (Ok((V4, 18)), Ok((V4, 22))));
        assert_eq!(at(284, &tagged(16)[..17]), Err(LinkError::Truncated));
        assert_eq!(at(242, &[&tagged(40)[..], &[0, 0]].concat()), Ok((V4, 44)));
        let pktap =
            |next: u8, link: u8| [&[16, 0, 0, 0, next, 0, 0, 0, link, 0, 0, 0, 9, 9, 9, 9][..], &[0x45; 20]].concat();
        assert_eq!(at(258, &pktap(1, 101)), Ok((V4, 16)));
        assert_eq!(at(258, &pktap(0, 101)), Err(LinkError::NoPacket));
        // A prefix of three bytes, padded, then the packet; in both byte orders.
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let attribute = |length: u16, kind: u16| [order(length), order(kind)].concat();
            let log = |family: u8| {
                [&[family, 0, 0, 5][..], &attribute(7, 10), &[b'a', b'b', 0, 0], &attribute(24, 9), &[0x45; 20]]
                    .concat()
            };
            assert_eq!((at(239, &log(2)), at(239, &log(10))), (Ok((V4, 16)), Ok((V6, 16))));
            assert_eq!(at(239, &log(7)), Err(LinkError::Family(7)));
            assert_eq!(at(239, &log(2)[..12]), Err(LinkError::NoPacket));
        }
    }

    #[test]
    fn other_link_types_are_rejected() {
        assert_eq!(at(195, &[0; 64]), Err(LinkError::Unsupported(195)));
    }
}
