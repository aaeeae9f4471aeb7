//! Headers between the start of a frame and its IP header: Ethernet II and IEEE 802.3 with SNAP, VLAN tags, provider
//! backbone bridges, VN-Tag, FabricPath, Cisco MetaData, MPLS, PPPoE, PPP, and the network service header.

use crate::bytes::{FrameBytes, HeaderWindow};
use crate::headers::{
    ETHERNET, ETHERTYPE_ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, ETHERTYPE_MPLS_UPSTREAM,
    ETHERTYPE_PPP, InnerHeader, ip_version, is_vlan,
};

/// Headers followed before one IP header. An Ethernet header, four VLAN tags, PPPoE, PPP and MPLS are eight.
pub const MAX_LINK_HEADERS: usize = 8;

/// MPLS labels followed in one stack. Providers push two to four.
pub const MAX_LABELS: usize = 6;

/// EtherTypes of headers that are skipped here.
mod ethertype {
    /// Network service header (RFC 8300).
    pub(super) const NSH: u16 = 0x894f;
    /// PPPoE session (RFC 2516, section 4).
    pub(super) const PPPOE: u16 = 0x8864;
    /// I-TAG of a provider backbone bridge (IEEE 802.1Q, section 9.7).
    pub(super) const BACKBONE: u16 = 0x88e7;
    /// FabricPath.
    pub(super) const FABRIC_PATH: u16 = 0x8903;
    /// Cisco MetaData.
    pub(super) const METADATA: u16 = 0x8909;
    /// VN-Tag.
    pub(super) const VN_TAG: u16 = 0x8926;
    /// Larger numbers are EtherTypes, others are lengths (IEEE 802.3, section 3.2.6).
    pub(super) const MAX_LENGTH: u16 = 1500;
}

/// Skips the header of an EtherType at `at`. Returns the EtherType and the offset of what follows;
/// [`InnerHeader::NONE`] for an EtherType that is not skipped.
#[inline(always)]
pub fn skip_header<B: FrameBytes>(frame: &B, ethertype: u16, at: u32) -> InnerHeader {
    match ethertype {
        ETHERTYPE_ETHERNET => match frame.window::<ETHERNET>(at as usize) {
            Some(ethernet) => InnerHeader::at(ethernet.be16::<12>(), at + ETHERNET as u32),
            None => InnerHeader::TRUNCATED,
        },
        tag if is_vlan(tag) => match frame.window::<4>(at as usize) {
            Some(tag) => InnerHeader::at(tag.be16::<2>(), at + 4),
            None => InnerHeader::TRUNCATED,
        },
        ETHERTYPE_MPLS | ETHERTYPE_MPLS_UPSTREAM => mpls(frame, at),
        ETHERTYPE_PPP => ppp(frame, at),
        ethertype::BACKBONE => InnerHeader::at(ETHERTYPE_ETHERNET, at + 4),
        ethertype::FABRIC_PATH => InnerHeader::at(ETHERTYPE_ETHERNET, at + 2),
        ethertype::VN_TAG => match frame.window::<6>(at as usize) {
            Some(tag) => InnerHeader::at(tag.be16::<4>(), at + 6),
            None => InnerHeader::TRUNCATED,
        },
        _ => match frame.window::<8>(at as usize) {
            Some(header) => skip_longer(&header, ethertype, at),
            None if is_longer(ethertype) => InnerHeader::TRUNCATED,
            None => InnerHeader::NONE,
        },
    }
}

/// Whether [`skip_longer`] may skip a header.
#[inline(always)]
fn is_longer(ethertype: u16) -> bool {
    ethertype <= ethertype::MAX_LENGTH || matches!(ethertype, ethertype::PPPOE | ethertype::METADATA | ethertype::NSH)
}

/// Skips a header of at least eight bytes.
#[inline(always)]
fn skip_longer(header: &impl HeaderWindow<8>, ethertype: u16, at: u32) -> InnerHeader {
    match ethertype {
        // Version 1, type 1, code 0.
        ethertype::PPPOE if header.be16::<0>() == 0x1100 => InnerHeader::at(ETHERTYPE_PPP, at + 6),
        // Version 1, one option: the security group tag.
        ethertype::METADATA if header.be16::<0>() == 0x0101 => InnerHeader::at(header.be16::<6>(), at + 8),
        // Version 0, and the length in words.
        ethertype::NSH if header.be8::<0>() >> 6 == 0 => {
            let past = at + u32::from(header.be16::<0>() & 0x3f) * 4;
            match header.be8::<3>() {
                1 => InnerHeader::at(ETHERTYPE_IPV4, past),
                2 => InnerHeader::at(ETHERTYPE_IPV6, past),
                3 => InnerHeader::at(ETHERTYPE_ETHERNET, past),
                5 => InnerHeader::at(ETHERTYPE_MPLS, past),
                _ => InnerHeader::NONE,
            }
        }
        // LLC with SNAP, and an EtherType in the form of RFC 1042.
        length if length <= ethertype::MAX_LENGTH && header.be32::<0>() == 0xaaaa_0300 && header.be16::<4>() == 0 => {
            InnerHeader::at(header.be16::<6>(), at + 8)
        }
        _ => InnerHeader::NONE,
    }
}

/// Skips a stack of MPLS labels at `at` (RFC 3032).
///
/// The first half-byte after the stack is the version of an IP header, or 0 for the control word of a pseudowire (RFC 4928,
/// section 3). An Ethernet pseudowire has one or none (RFC 4448, section 4.6).
#[cfg_attr(target_arch = "bpf", inline(never))]
fn mpls<B: FrameBytes>(frame: &B, at: u32) -> InnerHeader {
    let mut at = at;
    for _ in 0..MAX_LABELS {
        let Some(label) = frame.window::<5>(at as usize) else {
            return InnerHeader::TRUNCATED;
        };
        at += 4;
        // Bottom of stack (RFC 3032, section 2.1).
        if label.be8::<2>() & 1 == 0 {
            continue;
        }
        let first = label.be8::<4>();
        return match ip_version(first) {
            0 if first >> 4 == 0 && is_ethernet(frame, at + 4) => InnerHeader::at(ETHERTYPE_ETHERNET, at + 4),
            0 if is_ethernet(frame, at) => InnerHeader::at(ETHERTYPE_ETHERNET, at),
            0 => InnerHeader::NONE,
            // No IPv4 header is shorter than five words: the first byte of a hardware address.
            ETHERTYPE_IPV4 if first & 0x0f < 5 && is_ethernet(frame, at) => InnerHeader::at(ETHERTYPE_ETHERNET, at),
            ethertype => InnerHeader::at(ethertype, at),
        };
    }
    InnerHeader::NONE
}

/// Whether an Ethernet header with an EtherType that is parsed may start at `at`.
#[inline(always)]
pub(crate) fn is_ethernet<B: FrameBytes>(frame: &B, at: u32) -> bool {
    match frame.window::<15>(at as usize) {
        Some(ethernet) => match ethernet.be16::<12>() {
            ip @ (ETHERTYPE_IPV4 | ETHERTYPE_IPV6) => ip_version(ethernet.be8::<14>()) == ip,
            ETHERTYPE_MPLS
            | ethertype::PPPOE
            | ethertype::BACKBONE
            | ethertype::FABRIC_PATH
            | ethertype::VN_TAG
            | ethertype::METADATA
            | ethertype::NSH => true,
            other => is_vlan(other),
        },
        None => false,
    }
}

/// Skips a PPP header at `at`: address and control field, which may be absent, and a protocol of one or two bytes (RFC
/// 1661, section 2; RFC 1662, section 3.1).
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(crate) fn ppp<B: FrameBytes>(frame: &B, at: u32) -> InnerHeader {
    let Some(header) = frame.window::<4>(at as usize) else {
        return InnerHeader::TRUNCATED;
    };
    let has_address = header.be16::<0>() == 0xff03;
    let (at, protocol) = if has_address { (at + 2, header.be16::<2>()) } else { (at, header.be16::<0>()) };
    // The last byte of a protocol number is odd, and all others are even.
    let (at, protocol) = if protocol & 0x0100 != 0 { (at + 1, protocol >> 8) } else { (at + 2, protocol) };
    match protocol {
        0x0021 => InnerHeader::at(ETHERTYPE_IPV4, at),
        0x0057 => InnerHeader::at(ETHERTYPE_IPV6, at),
        0x0281 => InnerHeader::at(ETHERTYPE_MPLS, at),
        _ => InnerHeader::NONE,
    }
}
