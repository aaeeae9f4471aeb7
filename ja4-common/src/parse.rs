//! Link, network and transport headers of one frame, as offsets and a five-tuple.
//!
//! The parser reads the headers of [`crate::link`], IPv4 (RFC 791) with an authentication header (RFC 4302), IPv6 with
//! extension headers (RFC 8200), TCP (RFC 9293), UDP (RFC 768), and one tunnel ([`crate::tunnel`]). The result is the
//! innermost headers. Only addresses are copied.

use crate::bytes::{FrameBytes, HeaderWindow, SliceFrame};
use crate::headers::{
    ETHERTYPE_ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6, InnerHeader, PROTO_AH, PROTO_ETHERIP, PROTO_GRE, PROTO_IPV4,
    PROTO_IPV6, PROTO_L2TP, PROTO_TCP, PROTO_UDP, PacketHeaders, is_vlan,
};
use crate::link::{self, MAX_LINK_HEADERS};
use crate::reason::Malformed;
use crate::tunnel::{self, TunnelPorts};
use crate::vlan::VlanTags;

/// Extension headers followed in one IPv6 packet. Common stacks send one or two.
pub const MAX_EXTENSIONS: usize = 6;

/// Total length of the IPv6 extension headers that are followed, bytes.
pub const MAX_EXTENSION_BYTES: u32 = 384;

/// The header with which a frame starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseStart {
    /// An Ethernet header.
    Ethernet,
    /// A network header, after a link header of another kind.
    Network {
        /// EtherType of the network header.
        ethertype: u16,
        /// Offset of the network header.
        offset: usize,
    },
}

/// Whether a frame of an interface without link headers starts with an Ethernet header, by its first byte, the EtherType
/// at byte 12 and the upper half of byte 14: IP tunnels keep all outer headers of received frames before Linux 5.14. No
/// unicast address starts with 0x45, as nearly every IPv4 header does.
#[inline(always)]
pub const fn is_outer_ethernet(first: u8, ethertype: u16, version: u8) -> bool {
    first != 0x45 && matches!((ethertype, version), (ETHERTYPE_IPV4, 4) | (ETHERTYPE_IPV6, 6))
}

/// Result of parsing the headers of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ParseOutcome {
    /// TCP or UDP over IP, not a fragment.
    Transport,
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// An IP fragment. Addresses, protocol and the offset of the IP header are set; ports are 0.
    Fragment,
    /// A tunnel inside a tunnel. Its payload has the EtherType [`PacketHeaders::inner`] and starts at
    /// [`PacketHeaders::l4`]. Addresses are those of the inner tunnel; ports and protocol are 0.
    Nested,
    /// IP, but neither TCP nor UDP.
    OtherProtocol,
    /// Malformed, with the reason.
    Malformed(Malformed),
}

impl ParseOutcome {
    /// Flag in the number of [`ParseOutcome::Malformed`]; the reason is in the other bits.
    const MALFORMED: u32 = 0x80;

    /// The outcome as a number, for a global BPF function.
    #[inline(always)]
    pub const fn number(self) -> u32 {
        match self {
            Self::Transport => 0,
            Self::NotIp => 1,
            Self::Fragment => 2,
            Self::Nested => 3,
            Self::OtherProtocol => 4,
            Self::Malformed(reason) => Self::MALFORMED | reason as u32,
        }
    }

    /// The outcome with this number.
    #[inline(always)]
    pub fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Transport,
            2 => Self::Fragment,
            3 => Self::Nested,
            4 => Self::OtherProtocol,
            _ if number & Self::MALFORMED == 0 => Self::NotIp,
            _ => Self::Malformed(Malformed::from_number(number & !Self::MALFORMED)),
        }
    }
}

/// The steps of parsing that the kernel programs call as global functions. The verifier checks a global function once,
/// and any other function again on each path that calls it.
pub trait ParseStages: FrameBytes + Sized {
    /// Calls [`parse_level`].
    #[inline(always)]
    fn parse_level(&self, ethertype: u16, offset: u32, ports: &TunnelPorts, out: &mut PacketHeaders) -> ParseOutcome {
        parse_level(self, ethertype, offset, ports, out)
    }

    /// Calls [`link::skip_header`].
    #[inline(always)]
    fn skip_link_header(&self, ethertype: u16, at: u32) -> InnerHeader {
        link::skip_header(self, ethertype, at)
    }

    /// Calls [`skip_extensions`].
    #[inline(always)]
    fn skip_extensions(&self, at: u32, first: u8) -> u32 {
        skip_extensions(self, at, first)
    }
}

impl ParseStages for SliceFrame<'_> {}

/// Parses the headers of one frame into `out`; in a tunnel, the inner headers. If the IP header has length 0 (TSO of
/// more than 64 KiB), the payload extends to the end of the frame.
#[inline(always)]
pub fn parse<B: ParseStages>(
    frame: &B,
    start: ParseStart,
    ports: &TunnelPorts,
    out: &mut PacketHeaders,
) -> ParseOutcome {
    let (ethertype, offset) = match start {
        ParseStart::Ethernet => (ETHERTYPE_ETHERNET, 0),
        ParseStart::Network { ethertype, offset } => (ethertype, offset as u32),
    };
    (out.inner, out.tags) = (0, VlanTags::NONE);
    let outer = frame.parse_level(ethertype, offset, ports, out);
    if outer != ParseOutcome::Nested {
        return outer;
    }
    let out = frame.reload(out);
    let inner = frame.parse_level(out.inner, out.l4, ports, out);
    let out = frame.reload(out);
    match inner {
        ParseOutcome::Transport if out.payload > out.tunnel_end => ParseOutcome::Malformed(Malformed::TunnelTruncated),
        other => other,
    }
}

/// Parses the headers of one level, up to TCP or UDP. Returns [`ParseOutcome::Nested`] for a tunnel.
#[inline(always)]
pub fn parse_level<B: ParseStages>(
    frame: &B,
    ethertype: u16,
    offset: u32,
    ports: &TunnelPorts,
    out: &mut PacketHeaders,
) -> ParseOutcome {
    let mut header = InnerHeader::at(ethertype, offset);
    for _ in 0..=MAX_LINK_HEADERS {
        let l3 = header.offset() as usize;
        let network = match header.ethertype() {
            ETHERTYPE_IPV4 => ipv4(frame, l3, out),
            ETHERTYPE_IPV6 => ipv6(frame, l3, out),
            ethertype => {
                if out.inner == 0
                    && is_vlan(ethertype)
                    && let Some(tag) = frame.window::<2>(l3)
                {
                    out.tags.push(tag.be16::<0>());
                }
                header = frame.skip_link_header(ethertype, header.offset());
                match header {
                    InnerHeader::NONE => return ParseOutcome::NotIp,
                    InnerHeader::TRUNCATED => return ParseOutcome::Malformed(Malformed::LinkTruncated),
                    _ => continue,
                }
            }
        };
        return network_payload(frame, network, ports, out);
    }
    ParseOutcome::Malformed(Malformed::LinkDepth)
}

/// The outcome for what an IP header contains.
#[inline(always)]
fn network_payload<B: ParseStages>(
    frame: &B,
    network: ParseOutcome,
    ports: &TunnelPorts,
    out: &mut PacketHeaders,
) -> ParseOutcome {
    let out = frame.reload(out);
    match network {
        ParseOutcome::Transport => transport(frame, ports, out),
        ParseOutcome::Fragment => {
            (out.src_port, out.dst_port, out.seq, out.flags) = (0, 0, 0, 0);
            ParseOutcome::Fragment
        }
        other => other,
    }
}

#[inline(always)]
fn ipv4<B: FrameBytes>(frame: &B, l3: usize, out: &mut PacketHeaders) -> ParseOutcome {
    let Some(ip) = frame.window::<20>(l3) else {
        return ParseOutcome::Malformed(Malformed::Ipv4Truncated);
    };
    let first = ip.be8::<0>();
    let header = u32::from(first & 0x0f) * 4;
    let announced = u32::from(ip.be16::<2>());
    let total = if announced == 0 { rest_of(frame, l3) } else { announced };
    if first >> 4 != 4 || header < 20 || total < header {
        return ParseOutcome::Malformed(Malformed::Ipv4Header);
    }
    out.src = [0, ip.be32::<12>().into()];
    out.dst = [0, ip.be32::<16>().into()];
    out.version = 4;
    out.proto = ip.be8::<9>();
    out.l3 = l3 as u32;
    out.l4 = l3 as u32 + header;
    out.payload_len = total - header;
    // More-fragments bit, and 13 bits of offset (RFC 791, section 3.1).
    if ip.be16::<6>() & 0x3fff != 0 {
        return ParseOutcome::Fragment;
    }
    if out.proto == PROTO_AH {
        return skip_authentication(frame, out);
    }
    ParseOutcome::Transport
}

/// Skips the authentication header after an IPv4 header: its length is in words, less two (RFC 4302, section 2.2).
#[cfg_attr(target_arch = "bpf", inline(never))]
fn skip_authentication<B: FrameBytes>(frame: &B, out: &mut PacketHeaders) -> ParseOutcome {
    let Some(header) = frame.window::<2>(out.l4 as usize) else {
        return ParseOutcome::Malformed(Malformed::Ipv4Truncated);
    };
    let length = (u32::from(header.be8::<1>()) + 2) * 4;
    if length > out.payload_len {
        return ParseOutcome::Malformed(Malformed::Ipv4Header);
    }
    out.proto = header.be8::<0>();
    out.l4 += length;
    out.payload_len -= length;
    ParseOutcome::Transport
}

#[cfg_attr(target_arch = "bpf", inline(never))]
fn ipv6<B: ParseStages>(frame: &B, l3: usize, out: &mut PacketHeaders) -> ParseOutcome {
    let Some(ip) = frame.window::<40>(l3) else {
        return ParseOutcome::Malformed(Malformed::Ipv6Truncated);
    };
    let mut next = ip.be8::<6>();
    if ip.be8::<0>() >> 4 != 6 {
        return ParseOutcome::Malformed(Malformed::Ipv6Header);
    }
    let mut l4 = l3 as u32 + 40;
    out.src = [ip.be64::<8>(), ip.be64::<16>()];
    out.dst = [ip.be64::<24>(), ip.be64::<32>()];
    out.version = 6;
    out.l3 = l3 as u32;
    let announced = u32::from(ip.be16::<4>());
    let mut len = if announced == 0 { rest_of(frame, l3 + 40) } else { announced };
    let mut outcome = ParseOutcome::Transport;
    if next != PROTO_TCP && next != PROTO_UDP {
        let chain = frame.skip_extensions(l4, next);
        let skipped = chain & 0xffff;
        next = (chain >> 16) as u8;
        match (chain >> 24) as u8 {
            chain::COMPLETE | chain::FRAGMENT if skipped > len => {
                return ParseOutcome::Malformed(Malformed::Ipv6Header);
            }
            chain::COMPLETE => {}
            chain::FRAGMENT => outcome = ParseOutcome::Fragment,
            chain::TRUNCATED => return ParseOutcome::Malformed(Malformed::Ipv6Truncated),
            _ => return ParseOutcome::Malformed(Malformed::Ipv6Header),
        }
        l4 += skipped;
        len -= skipped;
    }
    out.proto = next;
    out.l4 = l4;
    out.payload_len = len;
    outcome
}

/// Bytes from an offset to the end of the frame, for super-packets that are longer than a length field allows.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn rest_of<B: FrameBytes>(frame: &B, offset: usize) -> u32 {
    frame.wire_len().saturating_sub(offset) as u32
}

/// Whether this is the number of an IPv6 extension header that is followed: hop-by-hop 0, routing 43, fragment 44,
/// authentication 51, destination 60.
#[inline(always)]
pub(crate) const fn is_extension(number: u8) -> bool {
    matches!(number, 0 | 43 | 44 | 51 | 60)
}

/// How a chain of extension headers ends: bits 24 to 31 of the result of [`skip_extensions`].
mod chain {
    pub(super) const COMPLETE: u8 = 0;
    pub(super) const FRAGMENT: u8 = 1;
    pub(super) const TRUNCATED: u8 = 2;
    pub(super) const TOO_LONG: u8 = 3;
}

/// Skips IPv6 extension headers at `at`. Returns their length in bits 0 to 15, the next protocol in bits 16 to 23, and
/// a constant of `chain` above.
#[inline(always)]
pub fn skip_extensions<B: FrameBytes>(frame: &B, at: u32, first: u8) -> u32 {
    let mut next = first;
    let mut skipped = 0;
    for _ in 0..MAX_EXTENSIONS {
        // Hop-by-hop, routing and destination headers have a length in units of 8 bytes, without the first 8 (RFC
        // 8200, section 4); authentication headers in units of 4, without the first 8 (RFC 4302).
        if !is_extension(next) {
            return u32::from(next) << 16 | skipped;
        }
        let Some(extension) = frame.window::<4>((at + skipped) as usize) else {
            return u32::from(chain::TRUNCATED) << 24;
        };
        let units = u32::from(extension.be8::<1>());
        if next == 44 && extension.be16::<2>() & 0xfff9 != 0 {
            return u32::from(chain::FRAGMENT) << 24 | u32::from(extension.be8::<0>()) << 16 | skipped;
        }
        // An atomic fragment header (RFC 6946) is 8 bytes.
        skipped += match next {
            44 => 8,
            51 => (units + 2) * 4,
            _ => (units + 1) * 8,
        };
        if skipped > MAX_EXTENSION_BYTES {
            break;
        }
        next = extension.be8::<0>();
    }
    u32::from(chain::TOO_LONG) << 24
}

#[inline(always)]
fn transport<B: FrameBytes>(frame: &B, ports: &TunnelPorts, out: &mut PacketHeaders) -> ParseOutcome {
    match out.proto {
        PROTO_TCP => {
            let Some(tcp) = frame.window::<20>(out.l4 as usize) else {
                return ParseOutcome::Malformed(Malformed::TcpTruncated);
            };
            let header = u32::from(tcp.be8::<12>() >> 4) * 4;
            if header < 20 || header > out.payload_len {
                let short = out.payload_len < 20;
                return ParseOutcome::Malformed(if short { Malformed::TcpTruncated } else { Malformed::TcpHeader });
            }
            out.src_port = tcp.be16::<0>();
            out.dst_port = tcp.be16::<2>();
            out.payload = out.l4 + header;
            out.payload_len -= header;
            out.seq = tcp.be32::<4>();
            out.flags = tcp.be8::<13>();
            ParseOutcome::Transport
        }
        PROTO_UDP => {
            let Some(udp) = frame.window::<8>(out.l4 as usize) else {
                return ParseOutcome::Malformed(Malformed::UdpTruncated);
            };
            if out.payload_len < 8 {
                return ParseOutcome::Malformed(Malformed::UdpTruncated);
            }
            out.src_port = udp.be16::<0>();
            out.dst_port = udp.be16::<2>();
            if u32::from(udp.be16::<4>()) != out.payload_len {
                match udp_length(frame, out, udp.be16::<4>().into()) {
                    UDP_LENGTH_INVALID => return ParseOutcome::Malformed(Malformed::UdpLength),
                    IP_LENGTH_INVALID => return ParseOutcome::Malformed(Malformed::IpLength),
                    length => out.payload_len = length,
                }
            }
            out.payload = out.l4 + 8;
            out.payload_len -= 8;
            out.seq = 0;
            out.flags = 0;
            if ports.may_be_tunnel(out.src_port, out.dst_port) {
                enter_tunnel(tunnel::over_udp(frame, ports, out), out)
            } else {
                ParseOutcome::Transport
            }
        }
        PROTO_IPV4 => enter_tunnel(InnerHeader::at(ETHERTYPE_IPV4, out.l4), out),
        PROTO_IPV6 => enter_tunnel(InnerHeader::at(ETHERTYPE_IPV6, out.l4), out),
        PROTO_GRE => enter_tunnel(tunnel::gre(frame, out.l4), out),
        PROTO_ETHERIP => enter_tunnel(tunnel::etherip(frame, out.l4), out),
        PROTO_L2TP => enter_tunnel(tunnel::l2tp_over_ip(frame, out.l4), out),
        _ => ParseOutcome::OtherProtocol,
    }
}

/// Results of [`udp_length`] that are not lengths: every length is at least 8.
const UDP_LENGTH_INVALID: u32 = 0;
const IP_LENGTH_INVALID: u32 = 1;

/// Length of a UDP datagram with its header, if the UDP length differs from the length of the IP payload. Returns
/// [`UDP_LENGTH_INVALID`] or [`IP_LENGTH_INVALID`] if a host drops the datagram.
///
/// The UDP length limits the data (RFC 768). An IPv6 datagram with UDP length 0 fills its IP payload (RFC 2675,
/// section 4; Linux accepts it also without the jumbo payload option). So does a super-packet of more than 65,535
/// bytes, because no 16-bit field holds its length.
// A separate function in the kernel: it is rarely called.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn udp_length<B: FrameBytes>(frame: &B, out: &PacketHeaders, announced: u32) -> u32 {
    let available = out.payload_len;
    if available > u32::from(u16::MAX) || (announced == 0 && out.version == 6) {
        return available;
    }
    if announced < 8 || announced > available {
        return UDP_LENGTH_INVALID;
    }
    // The UDP length would hide an IP length greater than the frame. Inside a tunnel, a mirror port may have cut the
    // frame.
    if out.inner == 0 && (out.l4 + available) as usize > frame.wire_len() {
        return IP_LENGTH_INVALID;
    }
    announced
}

/// Result for the payload of a tunnel. `out` describes the datagram of the tunnel itself: for IP in IP and GRE, from
/// `l4` to its end; for UDP, its payload.
#[inline(always)]
fn enter_tunnel(opened: InnerHeader, out: &mut PacketHeaders) -> ParseOutcome {
    match opened {
        InnerHeader::NONE if out.proto == PROTO_UDP => ParseOutcome::Transport,
        InnerHeader::NONE => ParseOutcome::OtherProtocol,
        InnerHeader::TRUNCATED => ParseOutcome::Malformed(Malformed::TunnelTruncated),
        opened => {
            let start = if out.proto == PROTO_UDP { out.payload } else { out.l4 };
            let end = start + out.payload_len;
            // An inner tunnel ends no later than the outer one.
            if out.inner == 0 || end < out.tunnel_end {
                out.tunnel_end = end;
            }
            (out.inner, out.l4) = (opened.ethertype(), opened.offset());
            (out.src_port, out.dst_port, out.proto, out.seq, out.flags) = (0, 0, 0, 0, 0);
            ParseOutcome::Nested
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_of_parsing_has_a_number_of_its_own() {
        use ParseOutcome::{Fragment, Nested, NotIp, OtherProtocol, Transport};
        let malformed = Malformed::ALL.map(ParseOutcome::Malformed);
        for parsed in [Transport, NotIp, Fragment, Nested, OtherProtocol].into_iter().chain(malformed) {
            assert_eq!(ParseOutcome::from_number(parsed.number()), parsed);
        }
    }
}
