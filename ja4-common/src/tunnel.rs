//! Headers of tunnels: GRE (RFC 2784, RFC 2890), ERSPAN (draft-foschiano-erspan), IP in IP, VXLAN (RFC 7348) and
//! VXLAN-GPE, Geneve (RFC 8926), GTP-U (3GPP TS 29.281).

use crate::bytes::{FrameBytes, HeaderWindow};
use crate::headers::{ETHERTYPE_ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, PacketHeaders, ip_version};

/// GTP-U extension headers followed. The user plane of 5G uses one.
pub const MAX_GTP_EXTENSIONS: usize = 4;

/// UDP destination ports of tunnels.
mod port {
    pub(super) const GTP_U: u16 = 2152;
    pub(super) const VXLAN: u16 = 4789;
    pub(super) const VXLAN_GPE: u16 = 4790;
    pub(super) const GENEVE: u16 = 6081;
    /// VXLAN before its port was assigned; still the default in Linux.
    pub(super) const VXLAN_LINUX: u16 = 8472;
}

/// Protocol types of GRE that are not EtherTypes: ERSPAN I and II, ERSPAN III.
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;

/// The payload of a tunnel in one register: its EtherType in bits 0 to 15, its offset above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InnerHeader(u32);

impl InnerHeader {
    /// No tunnel, or a tunnel with a payload that is not parsed.
    pub const NONE: Self = Self(0);
    /// The frame ends within the header of the tunnel.
    pub const TRUNCATED: Self = Self(1);

    /// A payload of this EtherType at this offset.
    #[inline(always)]
    pub(crate) const fn at(ethertype: u16, offset: u32) -> Self {
        Self(offset << 16 | ethertype as u32)
    }

    #[inline(always)]
    pub(crate) const fn ethertype(self) -> u16 {
        self.0 as u16
    }

    #[inline(always)]
    pub(crate) const fn offset(self) -> u32 {
        self.0 >> 16
    }
}

/// Whether this is the UDP port of a tunnel.
#[inline(always)]
pub(crate) const fn is_udp_port(dst_port: u16) -> bool {
    matches!(dst_port, port::GTP_U | port::VXLAN | port::VXLAN_GPE | port::GENEVE | port::VXLAN_LINUX)
}

/// Parses a GRE header at `at`. Version 1 (PPTP) and source routes are not supported.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(crate) fn gre<B: FrameBytes>(frame: &B, at: u32) -> InnerHeader {
    /// Checksum, key and sequence number present, four bytes each.
    const CHECKSUM: u16 = 0x8000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    /// Routing present, and the version.
    const OTHERS: u16 = 0x4007;
    let Some(gre) = frame.window::<4>(at as usize) else {
        return InnerHeader::TRUNCATED;
    };
    let (flags, kind) = (gre.be16::<0>(), gre.be16::<2>());
    if flags & OTHERS != 0 {
        return InnerHeader::NONE;
    }
    let mut past = at + 4;
    if flags & CHECKSUM != 0 {
        past += 4;
    }
    if flags & KEY != 0 {
        past += 4;
    }
    if flags & SEQUENCE != 0 {
        past += 4;
    }
    if kind == ERSPAN_III {
        return erspan_iii(frame, past);
    }
    if kind != ERSPAN {
        return InnerHeader::at(kind, past);
    }
    // Without a sequence number it is ERSPAN I, which has no header.
    if flags & SEQUENCE == 0 {
        return InnerHeader::at(ETHERTYPE_ETHERNET, past);
    }
    match frame.window::<1>(past as usize) {
        Some(erspan) if erspan.be8::<0>() >> 4 == 1 => InnerHeader::at(ETHERTYPE_ETHERNET, past + 8),
        Some(_) => InnerHeader::NONE,
        None => InnerHeader::TRUNCATED,
    }
}

/// Parses an ERSPAN III header: 12 bytes, and 8 more if the last bit is set.
#[inline(always)]
fn erspan_iii<B: FrameBytes>(frame: &B, at: u32) -> InnerHeader {
    const VERSION: u8 = 2;
    /// Type of the mirrored frame: 0 is Ethernet.
    const FRAME_TYPE: u8 = 0x7c;
    const MORE: u8 = 0x01;
    match frame.window::<12>(at as usize) {
        Some(erspan) if erspan.be8::<0>() >> 4 != VERSION || erspan.be8::<10>() & FRAME_TYPE != 0 => InnerHeader::NONE,
        Some(erspan) if erspan.be8::<11>() & MORE != 0 => InnerHeader::at(ETHERTYPE_ETHERNET, at + 20),
        Some(_) => InnerHeader::at(ETHERTYPE_ETHERNET, at + 12),
        None => InnerHeader::TRUNCATED,
    }
}

/// Parses a datagram to one of the ports of [`is_udp_port`]. A datagram without a valid tunnel header is an ordinary
/// datagram.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(crate) fn over_udp<B: FrameBytes>(frame: &B, udp: &PacketHeaders) -> InnerHeader {
    let at = udp.payload;
    if udp.payload_len < 8 {
        return InnerHeader::NONE;
    }
    let Some(header) = frame.window::<8>(at as usize) else {
        return InnerHeader::TRUNCATED;
    };
    let first = header.be8::<0>();
    match udp.dst_port {
        // The VNI is valid (RFC 7348, section 5). Bit 0x40 is reserved; every QUIC packet sets it, and the ephemeral
        // port of a client may be one of these ports.
        port::VXLAN | port::VXLAN_LINUX if first & 0x48 == 0x08 => InnerHeader::at(ETHERTYPE_ETHERNET, at + 8),
        // The VNI and the next protocol are valid (draft-ietf-nvo3-vxlan-gpe, section 3).
        port::VXLAN_GPE if first & 0x4c == 0x0c => match header.be8::<3>() {
            1 => InnerHeader::at(ETHERTYPE_IPV4, at + 8),
            2 => InnerHeader::at(ETHERTYPE_IPV6, at + 8),
            3 => InnerHeader::at(ETHERTYPE_ETHERNET, at + 8),
            _ => InnerHeader::NONE,
        },
        // Version 0, and the length of the options in words (RFC 8926, section 3.4).
        port::GENEVE if first >> 6 == 0 => InnerHeader::at(header.be16::<2>(), at + 8 + u32::from(first & 0x3f) * 4),
        // Version 1, protocol type GTP, a G-PDU (TS 29.281, section 5.1).
        port::GTP_U if first >> 4 == 3 && header.be8::<1>() == 0xff => gtp(frame, at, first),
        _ => InnerHeader::NONE,
    }
}

#[inline(always)]
fn gtp<B: FrameBytes>(frame: &B, at: u32, first: u8) -> InnerHeader {
    /// Extension headers, sequence number, N-PDU number. If any is present, the header has four more bytes; the last
    /// is the type of the first extension header.
    const OPTIONAL: u8 = 0x07;
    const EXTENSIONS: u8 = 0x04;
    // Offset of the last byte of the header: the type of the next extension header, 0 for none.
    let mut last = if first & OPTIONAL != 0 { at + 11 } else { at + 7 };
    if first & EXTENSIONS != 0 {
        let mut left = MAX_GTP_EXTENSIONS;
        // The second byte is the length of the extension header in words.
        while let Some(next) = frame.window::<2>(last as usize) {
            if next.be8::<0>() == 0 {
                return inside_gtp(frame, last + 1);
            }
            let words = u32::from(next.be8::<1>());
            if words == 0 || left == 0 {
                return InnerHeader::NONE;
            }
            left -= 1;
            last += words * 4;
        }
        return InnerHeader::TRUNCATED;
    }
    inside_gtp(frame, last + 1)
}

/// Detects the payload of a G-PDU by the version of an IP header.
#[inline(always)]
fn inside_gtp<B: FrameBytes>(frame: &B, at: u32) -> InnerHeader {
    match frame.window::<1>(at as usize) {
        Some(ip) => match ip_version(ip.be8::<0>()) {
            0 => InnerHeader::NONE,
            ethertype => InnerHeader::at(ethertype, at),
        },
        None => InnerHeader::TRUNCATED,
    }
}
