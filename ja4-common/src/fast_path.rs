//! The fast path, for the headers that nearly every packet has: Ethernet, IPv4 without options or IPv6 without
//! extension headers, TCP or UDP. It has no branches for anything else.
//!
//! Bulk packets of untracked flows return here. Other headers take the slow path, [`crate::parse::parse`], which gives
//! the same headers and the same verdict.

use crate::bytes::HeaderWindow;
use crate::datagram;
use crate::filter_config::FilterConfig;
use crate::flow::{hash_v4, hash_v6};
use crate::flow_table::Flows;
use crate::headers::{ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTO_TCP, PROTO_UDP, PacketHeaders, tcp_flag};
use crate::signature::{self, SSH_PORT, SignatureStage, StreamStart};
use crate::vlan::VlanTags;

/// Bytes of an IPv4 header without options, an IPv6 header, a TCP header without options, and a UDP header.
const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;
const UDP: usize = 8;

/// Flags of TCP packets that are not bulk.
const NOT_BULK: u8 = tcp_flag::SYN | tcp_flag::FIN | tcp_flag::RST;

/// Result of the fast path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FastPath {
    /// A bulk packet of an untracked TCP flow.
    UntrackedTcp,
    /// A bulk packet of an untracked UDP flow.
    UntrackedUdp,
    /// Another TCP or UDP packet. Its headers are written.
    Parsed,
    /// A bulk packet of a UDP flow that may be tracked. Its headers are written.
    BulkUdp,
    /// Other headers: defer to the slow path.
    Defer,
}

/// Classifies a frame by its headers and first payload bytes. Writes `out` and `hash` if it returns
/// [`FastPath::Parsed`] or [`FastPath::BulkUdp`].
#[inline(always)]
pub(crate) fn classify<B: SignatureStage, F: Flows>(
    frame: &B,
    flows: &F,
    config: &FilterConfig,
    out: &mut PacketHeaders,
    hash: &mut u64,
) -> FastPath {
    let seed = config.seed;
    let Some(h) = frame.window::<{ ETHERNET + IPV4 + TCP }>(0) else {
        return FastPath::Defer;
    };
    match h.be16::<12>() {
        ETHERTYPE_IPV4 => {
            // Version 4, a header of five words, neither a fragment offset nor the more-fragments bit.
            if h.be8::<14>() != 0x45 || h.be16::<20>() & 0x3fff != 0 {
                return FastPath::Defer;
            }
            let proto = h.be8::<23>();
            if proto == PROTO_UDP {
                let (src, dst, src_port, dst_port) = (h.be32::<26>(), h.be32::<30>(), h.be16::<34>(), h.be16::<36>());
                let len = u32::from(h.be16::<16>()).wrapping_sub(IPV4 as u32);
                if u32::from(h.be16::<38>()) != len {
                    return FastPath::Defer;
                }
                let flow = hash_v4(src, src_port, dst, dst_port, PROTO_UDP, seed);
                let first = h.be64::<{ ETHERNET + IPV4 + UDP }>();
                let outcome = datagram(flows, config, flow, (src_port, dst_port), len, first);
                if matches!(outcome, FastPath::Parsed | FastPath::BulkUdp) {
                    *hash = flow;
                    (out.src, out.dst, out.version) = ([0, src.into()], [0, dst.into()], 4);
                    headers_of_datagram(out, (ETHERNET + IPV4) as u32, len, src_port, dst_port);
                }
                return outcome;
            }
            if proto != PROTO_TCP {
                return FastPath::Defer;
            }
            let (src, dst, src_port, dst_port) = (h.be32::<26>(), h.be32::<30>(), h.be16::<34>(), h.be16::<36>());
            let len = u32::from(h.be16::<16>()).wrapping_sub(IPV4 as u32);
            let header = u32::from(h.be8::<46>() >> 4) * 4;
            if !lengths_agree(len, header) {
                return FastPath::Defer;
            }
            let flow = hash_v4(src, src_port, dst, dst_port, PROTO_TCP, seed);
            let flags = h.be8::<47>();
            if flags & NOT_BULK == 0
                && !flows.may_contain(flow)
                && matches_nothing(frame, ETHERNET + IPV4, len, header, (src_port, dst_port))
            {
                return FastPath::UntrackedTcp;
            }
            *hash = flow;
            out.src = [0, src.into()];
            out.dst = [0, dst.into()];
            out.l4 = (ETHERNET + IPV4) as u32;
            out.version = 4;
            (out.src_port, out.dst_port, out.flags, out.seq) = (src_port, dst_port, flags, h.be32::<38>());
            (out.payload, out.payload_len) = ((ETHERNET + IPV4) as u32 + header, len - header);
        }
        ETHERTYPE_IPV6 => {
            let Some(h) = frame.window::<{ ETHERNET + IPV6 + TCP }>(0) else {
                return FastPath::Defer;
            };
            if h.be8::<14>() >> 4 != 6 {
                return FastPath::Defer;
            }
            let proto = h.be8::<20>();
            if proto == PROTO_UDP {
                let (src, dst) = ([h.be64::<22>(), h.be64::<30>()], [h.be64::<38>(), h.be64::<46>()]);
                let (src_port, dst_port) = (h.be16::<54>(), h.be16::<56>());
                let len = u32::from(h.be16::<18>());
                if u32::from(h.be16::<58>()) != len {
                    return FastPath::Defer;
                }
                let flow = hash_v6(src, src_port, dst, dst_port, PROTO_UDP, seed);
                let first = h.be64::<{ ETHERNET + IPV6 + UDP }>();
                let outcome = datagram(flows, config, flow, (src_port, dst_port), len, first);
                if matches!(outcome, FastPath::Parsed | FastPath::BulkUdp) {
                    *hash = flow;
                    (out.src, out.dst, out.version) = (src, dst, 6);
                    headers_of_datagram(out, (ETHERNET + IPV6) as u32, len, src_port, dst_port);
                }
                return outcome;
            }
            if proto != PROTO_TCP {
                return FastPath::Defer;
            }
            let src = [h.be64::<22>(), h.be64::<30>()];
            let dst = [h.be64::<38>(), h.be64::<46>()];
            let (src_port, dst_port) = (h.be16::<54>(), h.be16::<56>());
            let len = u32::from(h.be16::<18>());
            let header = u32::from(h.be8::<66>() >> 4) * 4;
            if !lengths_agree(len, header) {
                return FastPath::Defer;
            }
            let flow = hash_v6(src, src_port, dst, dst_port, PROTO_TCP, seed);
            let flags = h.be8::<67>();
            if flags & NOT_BULK == 0
                && !flows.may_contain(flow)
                && matches_nothing(frame, ETHERNET + IPV6, len, header, (src_port, dst_port))
            {
                return FastPath::UntrackedTcp;
            }
            *hash = flow;
            (out.src, out.dst) = (src, dst);
            out.l4 = (ETHERNET + IPV6) as u32;
            out.version = 6;
            (out.src_port, out.dst_port, out.flags, out.seq) = (src_port, dst_port, flags, h.be32::<58>());
            (out.payload, out.payload_len) = ((ETHERNET + IPV6) as u32 + header, len - header);
        }
        _ => return FastPath::Defer,
    }
    out.l3 = ETHERNET as u32;
    (out.proto, out.inner, out.tags) = (PROTO_TCP, 0, VlanTags::NONE);
    FastPath::Parsed
}

/// Whether `len` bytes from the TCP header on, by the IP length, hold a TCP header of `header` bytes.
#[inline(always)]
fn lengths_agree(len: u32, header: u32) -> bool {
    header >= TCP as u32 && header <= len && len <= u32::from(u16::MAX)
}

/// Whether the payload matches no signature.
#[inline(always)]
fn matches_nothing<B: SignatureStage>(frame: &B, l4: usize, len: u32, header: u32, ports: (u16, u16)) -> bool {
    if ports.0 == SSH_PORT || ports.1 == SSH_PORT {
        return false;
    }
    if len - header < signature::SHORTEST {
        return true;
    }
    match frame.window::<8>(l4 + header as usize) {
        Some(first) => match signature::binary(first.be64::<0>()) {
            Some(begin) => begin == StreamStart::None,
            None => B::text(first.be64::<0>()) == StreamStart::None,
        },
        None => false,
    }
}

/// Classifies a datagram of `len` bytes with its header, by ports and first bytes. IP and UDP lengths agree.
#[inline(always)]
fn datagram<F: Flows>(
    flows: &F,
    config: &FilterConfig,
    flow: u64,
    ports: (u16, u16),
    len: u32,
    first: u64,
) -> FastPath {
    let (src_port, dst_port) = ports;
    if len < (UDP + 8) as u32 {
        return FastPath::Defer;
    }
    if config.tunnel_ports.may_be_tunnel(src_port, dst_port) {
        return FastPath::Defer;
    }
    if datagram::may_begin(first) || datagram::may_be_dhcp(src_port, dst_port) {
        return FastPath::Parsed;
    }
    if !flows.may_contain(flow) {
        return FastPath::UntrackedUdp;
    }
    if datagram::may_continue(first) { FastPath::Parsed } else { FastPath::BulkUdp }
}

#[inline(always)]
fn headers_of_datagram(out: &mut PacketHeaders, l4: u32, len: u32, src_port: u16, dst_port: u16) {
    out.l3 = ETHERNET as u32;
    (out.l4, out.payload, out.payload_len) = (l4, l4 + UDP as u32, len - UDP as u32);
    (out.src_port, out.dst_port, out.proto) = (src_port, dst_port, PROTO_UDP);
    (out.seq, out.flags, out.inner, out.tags) = (0, 0, 0, VlanTags::NONE);
}
