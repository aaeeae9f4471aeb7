//! Header fields of one packet, and protocol numbers.

use crate::vlan::VlanTags;

/// Bytes of an Ethernet header.
pub const ETHERNET: usize = 14;

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// EtherType of a customer VLAN tag (802.1Q).
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// EtherType of a service VLAN tag (802.1ad).
pub const ETHERTYPE_QINQ: u16 = 0x88a8;
/// EtherTypes of VLAN tags before the standard of 802.1ad.
const ETHERTYPES_OLD_VLAN: [u16; 3] = [0x9100, 0x9200, 0x9300];
/// EtherType of PPP (RFC 2637, section 4.1).
pub const ETHERTYPE_PPP: u16 = 0x880b;
/// EtherType of MPLS (RFC 3032).
pub const ETHERTYPE_MPLS: u16 = 0x8847;
/// EtherType of MPLS with an upstream-assigned label (RFC 5332).
pub const ETHERTYPE_MPLS_UPSTREAM: u16 = 0x8848;
/// EtherType of an Ethernet frame inside another protocol (RFC 1701, section "Protocol Type").
pub const ETHERTYPE_ETHERNET: u16 = 0x6558;

/// Whether an EtherType is that of a VLAN tag.
#[inline(always)]
pub const fn is_vlan(ethertype: u16) -> bool {
    let [first, second, third] = ETHERTYPES_OLD_VLAN;
    ethertype == ETHERTYPE_VLAN
        || ethertype == ETHERTYPE_QINQ
        || ethertype == first
        || ethertype == second
        || ethertype == third
}

/// IP protocol number of IPv4 in IP (RFC 2003).
pub const PROTO_IPV4: u8 = 4;
/// IP protocol number of TCP.
pub const PROTO_TCP: u8 = 6;
/// IP protocol number of UDP.
pub const PROTO_UDP: u8 = 17;
/// IP protocol number of IPv6 in IP (RFC 4213).
pub const PROTO_IPV6: u8 = 41;
/// IP protocol number of GRE (RFC 2784).
pub const PROTO_GRE: u8 = 47;

/// IP protocol number of the authentication header (RFC 4302).
pub const PROTO_AH: u8 = 51;
/// IP protocol number of EtherIP (RFC 3378).
pub const PROTO_ETHERIP: u8 = 97;
/// IP protocol number of L2TP version 3 (RFC 3931).
pub const PROTO_L2TP: u8 = 115;

/// TCP flag bits (RFC 9293, section 3.1).
pub mod tcp_flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgment field is significant.
    pub const ACK: u8 = 0x10;
}

/// An address as two big-endian halves. IPv4 uses the low 32 bits of the second.
pub type Address = [u64; 2];

/// Headers of one packet: offsets and fields. Source and destination are those of the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PacketHeaders {
    /// Source address.
    pub src: Address,
    /// Destination address.
    pub dst: Address,
    /// Offset of the IP header, bytes.
    pub l3: u32,
    /// Offset of the TCP or UDP header, bytes.
    pub l4: u32,
    /// Offset of the payload, bytes.
    pub payload: u32,
    /// Payload length by the IP and UDP headers, bytes; the frame may be shorter. Before the transport header is
    /// parsed: bytes from `l4` to the end of the datagram.
    pub payload_len: u32,
    /// In a tunnel, the offset at which the tunnel's payload ends; padding follows. Valid only if `inner` is not 0.
    pub tunnel_end: u32,
    /// TCP sequence number; 0 for UDP.
    pub seq: u32,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// IP protocol number.
    pub proto: u8,
    /// IP version, 4 or 6.
    pub version: u8,
    /// TCP flags; 0 for UDP.
    pub flags: u8,
    /// EtherType of the payload of a tunnel, see [`crate::parse::ParseOutcome::Nested`].
    pub inner: u16,
    /// VLAN tags before the outermost IP header.
    pub tags: VlanTags,
}

/// EtherType of an IP header that starts with this byte; 0 for any other byte.
#[inline(always)]
pub(crate) fn ip_version(first: u8) -> u16 {
    match first >> 4 {
        4 => ETHERTYPE_IPV4,
        6 => ETHERTYPE_IPV6,
        _ => 0,
    }
}

/// What follows a header, in one register: its EtherType in bits 0 to 15, its offset above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InnerHeader(u32);

impl InnerHeader {
    /// The value with this number, as a global BPF function returns it.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The number, for a global BPF function.
    #[inline(always)]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Nothing that is parsed.
    pub const NONE: Self = Self(0);
    /// The frame ends within the header.
    pub const TRUNCATED: Self = Self(1);

    /// A payload of this EtherType at this offset.
    #[inline(always)]
    pub const fn at(ethertype: u16, offset: u32) -> Self {
        Self(offset << 16 | ethertype as u32)
    }

    /// The EtherType.
    #[inline(always)]
    pub const fn ethertype(self) -> u16 {
        self.0 as u16
    }

    /// The offset.
    #[inline(always)]
    pub const fn offset(self) -> u32 {
        self.0 >> 16
    }
}
