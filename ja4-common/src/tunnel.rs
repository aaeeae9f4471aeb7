//! Headers of tunnels: GRE (RFC 2784, RFC 2890) and that of PPTP (RFC 2637), ERSPAN (draft-foschiano-erspan), IP in IP,
//! EtherIP (RFC 3378), L2TP version 2 (RFC 2661) and 3 (RFC 3931), VXLAN (RFC 7348) and VXLAN-GPE, Geneve (RFC 8926),
//! GTP-U (3GPP TS 29.281), Teredo (RFC 4380), TZSP.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::bytes::{FrameBytes, HeaderWindow};
use crate::headers::{
    ETHERTYPE_ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_PPP, InnerHeader, PacketHeaders, ip_version,
};
use crate::link;

/// GTP-U extension headers followed. The user plane of 5G uses one.
pub const MAX_GTP_EXTENSIONS: usize = 4;

/// Fields of a TZSP header followed.
const MAX_TZSP_FIELDS: usize = 16;

/// UDP ports of tunnels: the destination port, and for L2TP and Teredo also the source port, since a client behind a NAT
/// may have another one.
mod port {
    pub(super) const L2TP: u16 = 1701;
    pub(super) const GTP_U: u16 = 2152;
    pub(super) const TEREDO: u16 = 3544;
    pub(super) const VXLAN: u16 = 4789;
    pub(super) const VXLAN_GPE: u16 = 4790;
    pub(super) const GENEVE: u16 = 6081;
    /// VXLAN before its port was assigned; still the default in Linux.
    pub(super) const VXLAN_LINUX: u16 = 8472;
    pub(super) const TZSP: u16 = 37008;
}

/// UDP ports of VXLAN and Geneve in addition to the usual ones.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | two ports of VXLAN, 0: none |
/// | 4 | 4 | two ports of Geneve, 0: none |
/// | 8 | 4 | 1: there are any |
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TunnelPorts {
    vxlan: [u16; Self::MAX],
    geneve: [u16; Self::MAX],
    /// If it is 0, the verifier removes the comparisons.
    is_configured: u32,
}

impl TunnelPorts {
    /// Most ports of each.
    pub const MAX: usize = 2;

    /// None.
    pub const NONE: Self = Self { vxlan: [0; Self::MAX], geneve: [0; Self::MAX], is_configured: 0 };

    /// These ports; 0: none.
    pub const fn new(vxlan: [u16; Self::MAX], geneve: [u16; Self::MAX]) -> Self {
        Self { vxlan, geneve, is_configured: 1 }
    }

    #[inline(always)]
    const fn is_vxlan(&self, dst_port: u16) -> bool {
        matches!(dst_port, port::VXLAN | port::VXLAN_LINUX) || self.is_configured != 0 && is_one(dst_port, &self.vxlan)
    }

    #[inline(always)]
    const fn is_geneve(&self, dst_port: u16) -> bool {
        dst_port == port::GENEVE || self.is_configured != 0 && is_one(dst_port, &self.geneve)
    }

    /// Whether a datagram between these UDP ports may be one of a tunnel.
    #[inline(always)]
    pub const fn may_be_tunnel(&self, src_port: u16, dst_port: u16) -> bool {
        matches!(dst_port, port::GTP_U | port::VXLAN | port::VXLAN_GPE | port::GENEVE | port::VXLAN_LINUX | port::TZSP)
            || src_port == port::L2TP
            || dst_port == port::L2TP
            || src_port == port::TEREDO
            || dst_port == port::TEREDO
            || self.is_configured != 0 && (is_one(dst_port, &self.vxlan) || is_one(dst_port, &self.geneve))
    }
}

/// Whether a port is one of two.
#[inline(always)]
const fn is_one(port: u16, ports: &[u16; TunnelPorts::MAX]) -> bool {
    port != 0 && (port == ports[0] || port == ports[1])
}

/// Protocol types of GRE that are not EtherTypes: ERSPAN I and II, ERSPAN III.
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;

/// Parses a GRE header at `at`. Source routes are not supported.
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
    /// The flags and the version of PPTP, without sequence and acknowledgment number: a key, which is always there.
    const PPTP: u16 = 0x2001;
    const ACKNOWLEDGMENT: u16 = 0x0080;
    let (flags, kind) = (gre.be16::<0>(), gre.be16::<2>());
    if flags & !(SEQUENCE | ACKNOWLEDGMENT) == PPTP && kind == ETHERTYPE_PPP {
        // Without a sequence number there is no payload (RFC 2637, section 4.1).
        return match (flags & SEQUENCE != 0, flags & ACKNOWLEDGMENT != 0) {
            (false, _) => InnerHeader::NONE,
            (true, false) => InnerHeader::at(ETHERTYPE_PPP, at + 12),
            (true, true) => InnerHeader::at(ETHERTYPE_PPP, at + 16),
        };
    }
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

/// Parses a datagram for which [`TunnelPorts::may_be_tunnel`] holds. One without a valid tunnel header is an ordinary
/// datagram.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(crate) fn over_udp<B: FrameBytes>(frame: &B, ports: &TunnelPorts, udp: &PacketHeaders) -> InnerHeader {
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
        to if ports.is_vxlan(to) && first & 0x48 == 0x08 => InnerHeader::at(ETHERTYPE_ETHERNET, at + 8),
        // The VNI and the next protocol are valid (draft-ietf-nvo3-vxlan-gpe, section 3).
        port::VXLAN_GPE if first & 0x4c == 0x0c => match header.be8::<3>() {
            1 => InnerHeader::at(ETHERTYPE_IPV4, at + 8),
            2 => InnerHeader::at(ETHERTYPE_IPV6, at + 8),
            3 => InnerHeader::at(ETHERTYPE_ETHERNET, at + 8),
            _ => InnerHeader::NONE,
        },
        // Version 0, and the length of the options in words (RFC 8926, section 3.4).
        to if ports.is_geneve(to) && first >> 6 == 0 => {
            InnerHeader::at(header.be16::<2>(), at + 8 + u32::from(first & 0x3f) * 4)
        }
        // Version 1, protocol type GTP, a G-PDU (TS 29.281, section 5.1).
        port::GTP_U if first >> 4 == 3 && header.be8::<1>() == 0xff => gtp(frame, at, first),
        // Version 1, a received or a transmitted packet that is an Ethernet frame.
        port::TZSP if first == 1 && header.be8::<1>() <= 1 && header.be16::<2>() == 1 => tzsp(frame, at + 4),
        _ if udp.src_port == port::L2TP || udp.dst_port == port::L2TP => match header.be16::<0>() & L2TP_VERSION {
            2 => l2tp(frame, header.be16::<0>(), at),
            // The session is not 0 (RFC 3931, section 4.1.2.1).
            3 if header.be32::<4>() != 0 => l2tp_session(frame, at + 8),
            _ => InnerHeader::NONE,
        },
        _ if udp.src_port == port::TEREDO || udp.dst_port == port::TEREDO => teredo(frame, udp),
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

/// Control message, and version of an L2TP header: no version with the first bit set carries data.
const L2TP_VERSION: u16 = 0x800f;

/// Parses the header of an L2TP data message, version 2 (RFC 2661, section 3.1), which carries PPP.
#[inline(always)]
fn l2tp<B: FrameBytes>(frame: &B, flags: u16, at: u32) -> InnerHeader {
    const LENGTH: u16 = 0x4000;
    const SEQUENCE: u16 = 0x0800;
    const OFFSET: u16 = 0x0200;
    let mut past = at + 6;
    if flags & LENGTH != 0 {
        past += 2;
    }
    if flags & SEQUENCE != 0 {
        past += 4;
    }
    if flags & OFFSET != 0 {
        let Some(offset) = frame.window::<2>(past as usize) else {
            return InnerHeader::TRUNCATED;
        };
        past += 2 + u32::from(offset.be16::<0>());
    }
    // The port of a client may be this one: other datagrams than PPP are ordinary.
    link::ppp(frame, past)
}

/// Parses an IP packet of L2TP version 3 at `at`: a session, and its data.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(crate) fn l2tp_over_ip<B: FrameBytes>(frame: &B, at: u32) -> InnerHeader {
    match frame.window::<4>(at as usize) {
        // Session 0 is the control connection (RFC 3931, section 4.1.1.1).
        Some(session) if session.be32::<0>() == 0 => InnerHeader::NONE,
        Some(_) => l2tp_session(frame, at + 4),
        None => InnerHeader::TRUNCATED,
    }
}

/// Finds the Ethernet frame of an L2TP session. The peers have agreed on a cookie of 0, 4 or 8 bytes and on a sublayer of 0
/// or 4 bytes before it (RFC 3931, sections 4.1 and 4.6). No header has their lengths.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn l2tp_session<B: FrameBytes>(frame: &B, at: u32) -> InnerHeader {
    for words in 0..4 {
        if link::is_ethernet(frame, at + words * 4) {
            return InnerHeader::at(ETHERTYPE_ETHERNET, at + words * 4);
        }
    }
    InnerHeader::NONE
}

/// Parses an EtherIP header at `at`: version 3.
#[inline(always)]
pub(crate) fn etherip<B: FrameBytes>(frame: &B, at: u32) -> InnerHeader {
    match frame.window::<2>(at as usize) {
        Some(header) if header.be16::<0>() == 0x3000 => InnerHeader::at(ETHERTYPE_ETHERNET, at + 2),
        Some(_) => InnerHeader::NONE,
        None => InnerHeader::TRUNCATED,
    }
}

/// Skips the fields of a TZSP header at `at`: a type, and a length and data unless it is padding or the end.
#[inline(always)]
fn tzsp<B: FrameBytes>(frame: &B, at: u32) -> InnerHeader {
    const PADDING: u8 = 0;
    const END: u8 = 1;
    let mut at = at;
    for _ in 0..MAX_TZSP_FIELDS {
        let Some(field) = frame.window::<2>(at as usize) else {
            return InnerHeader::TRUNCATED;
        };
        match field.be8::<0>() {
            END => return InnerHeader::at(ETHERTYPE_ETHERNET, at + 1),
            PADDING => at += 1,
            _ => at += 2 + u32::from(field.be8::<1>()),
        }
    }
    InnerHeader::NONE
}

/// Parses a Teredo datagram: an IPv6 packet that fills it, after an authentication and an origin indication (RFC 4380,
/// section 5.1.1).
#[inline(always)]
fn teredo<B: FrameBytes>(frame: &B, udp: &PacketHeaders) -> InnerHeader {
    let mut at = udp.payload;
    let Some(header) = frame.window::<4>(at as usize) else {
        return InnerHeader::TRUNCATED;
    };
    if header.be16::<0>() == 1 {
        // The lengths of a client's identifier and of the authentication value; a nonce and a confirmation byte follow.
        at += 4 + u32::from(header.be8::<2>()) + u32::from(header.be8::<3>()) + 9;
    }
    let Some(header) = frame.window::<8>(at as usize) else {
        return InnerHeader::TRUNCATED;
    };
    if header.be16::<0>() == 0 {
        at += 8;
    }
    let Some(ip) = frame.window::<8>(at as usize) else {
        return InnerHeader::TRUNCATED;
    };
    let end = at + 40 + u32::from(ip.be16::<4>());
    if ip_version(ip.be8::<0>()) == ETHERTYPE_IPV6 && end == udp.payload + udp.payload_len {
        return InnerHeader::at(ETHERTYPE_IPV6, at);
    }
    InnerHeader::NONE
}
