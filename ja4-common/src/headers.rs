//! Link, network and transport headers of one frame, as offsets and a five-tuple.
//!
//! Ethernet II, up to two VLAN tags (IEEE 802.1Q, 802.1ad), MPLS labels (RFC 3032), IPv4 (RFC 791),
//! IPv6 with extension headers (RFC 8200), TCP (RFC 9293), UDP (RFC 768), and one tunnel, see
//! [`crate::tunnel`]: the innermost headers are the ones that count. Nothing is copied but the
//! addresses.

use crate::tunnel::{self, Opened};
use crate::{Bytes, Window};

/// No header of an accepted frame begins at or after this offset: Ethernet 14 + two VLAN tags 8 +
/// IPv6 40 + [`MAX_EXTENSION_BYTES`], or as much with a tunnel and fewer extensions. It keeps every
/// direct packet access of the kernel half small.
pub const MAX_HEADERS: usize = 512;

/// MPLS labels followed in one stack. Providers push two to four.
pub const MAX_LABELS: usize = 6;

/// Extension headers followed before an IPv6 packet counts as malformed. Real stacks send one or two.
pub const MAX_EXTENSIONS: usize = 6;

/// Bytes of IPv6 extension headers followed, together.
pub const MAX_EXTENSION_BYTES: u32 = 384;

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
/// EtherType of MPLS (RFC 3032).
pub const ETHERTYPE_MPLS: u16 = 0x8847;
/// EtherType of MPLS with an upstream-assigned label (RFC 5332).
pub const ETHERTYPE_MPLS_UPSTREAM: u16 = 0x8848;
/// EtherType of an Ethernet frame inside another protocol (RFC 1701, section "Protocol Type").
pub const ETHERTYPE_ETHERNET: u16 = 0x6558;

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

/// Where parsing of a frame starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At an Ethernet header.
    Ethernet,
    /// After a link header of another kind.
    Network {
        /// EtherType of what follows.
        ethertype: u16,
        /// Offset of what follows.
        offset: usize,
    },
}

/// Why a frame that claims to be IP could not be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Malformed {
    /// Shorter than its link header.
    LinkTruncated,
    /// Shorter than its IPv4 header.
    Ipv4Truncated,
    /// IPv4 version, header length or total length contradict each other.
    Ipv4Header,
    /// Shorter than its IPv6 header or one of its extension headers.
    Ipv6Truncated,
    /// IPv6 version is not 6, or the chain of extension headers is too long.
    Ipv6Header,
    /// Shorter than its TCP header.
    TcpTruncated,
    /// TCP data offset below 5 words, or past the end of the datagram.
    TcpHeader,
    /// Shorter than its UDP header.
    UdpTruncated,
    /// Shorter than the header of a tunnel.
    TunnelTruncated,
    /// The IP header announces more bytes than the frame had on the wire.
    IpLength,
    /// UDP length below 8, or past the end of the IP payload.
    UdpLength,
}

impl Malformed {
    /// Every reason, in the order of its counter.
    pub const ALL: [Self; 11] = [
        Self::LinkTruncated,
        Self::Ipv4Truncated,
        Self::Ipv4Header,
        Self::Ipv6Truncated,
        Self::Ipv6Header,
        Self::TcpTruncated,
        Self::TcpHeader,
        Self::UdpTruncated,
        Self::TunnelTruncated,
        Self::IpLength,
        Self::UdpLength,
    ];

    /// The reason with this number, which is its index in [`Malformed::ALL`].
    #[inline(always)]
    const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::LinkTruncated,
            1 => Self::Ipv4Truncated,
            2 => Self::Ipv4Header,
            3 => Self::Ipv6Truncated,
            4 => Self::Ipv6Header,
            5 => Self::TcpTruncated,
            6 => Self::TcpHeader,
            7 => Self::UdpTruncated,
            8 => Self::TunnelTruncated,
            9 => Self::IpLength,
            _ => Self::UdpLength,
        }
    }

    /// Name of the counter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkTruncated => "link_truncated",
            Self::Ipv4Truncated => "ipv4_truncated",
            Self::Ipv4Header => "ipv4_header",
            Self::Ipv6Truncated => "ipv6_truncated",
            Self::Ipv6Header => "ipv6_header",
            Self::TcpTruncated => "tcp_truncated",
            Self::TcpHeader => "tcp_header",
            Self::UdpTruncated => "udp_truncated",
            Self::TunnelTruncated => "tunnel_truncated",
            Self::IpLength => "ip_length",
            Self::UdpLength => "udp_length",
        }
    }
}

/// What the headers of a frame say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Parsed {
    /// TCP or UDP over IP, not a fragment.
    Transport,
    /// Not IPv4 or IPv6.
    NotIp,
    /// A fragment without a transport header, or the first of several. Addresses, protocol and the
    /// IP header's offset are known; ports are 0.
    Fragment,
    /// A tunnel inside a tunnel: what is in it is of type [`Transport::inner`] and begins at
    /// [`Transport::l4`]. Addresses are the inner tunnel's; ports and protocol are 0.
    Nested,
    /// IP, but neither TCP nor UDP.
    OtherProtocol,
    /// Broken, for the reason given.
    Malformed(Malformed),
}

impl Parsed {
    /// Set in the number of [`Parsed::Malformed`], beside its reason.
    const MALFORMED: u32 = 0x80;

    /// The outcome as a number, which a global BPF function can return.
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

/// An address as two big-endian halves; IPv4 fills the low 32 bits of the second.
pub type Address = [u64; 2];

/// A transport header and where it stands in the frame. Addresses and ports are in the direction
/// of the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Transport {
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
    /// Payload length that the IP and UDP headers announce, bytes; the frame may hold less. While the IP
    /// header is all that has been read, bytes from `l4` to the end of the datagram.
    pub payload_len: u32,
    /// In a tunnel, the offset at which the tunnel's own payload ends; bytes behind it are padding. Only
    /// valid where `inner` is not 0.
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
    /// EtherType of what a tunnel carries, see [`Parsed::Nested`].
    pub inner: u16,
}

/// Parses the headers of one frame into `out`, those inside a tunnel if there is one. Where the IP header
/// announces no length (TSO of more than 64 KiB leaves it 0), the payload runs to the frame's end.
#[inline(always)]
pub fn parse<B: Bytes>(frame: &B, start: Start, out: &mut Transport) -> Parsed {
    let (ethertype, offset) = match start {
        Start::Ethernet => (ETHERTYPE_ETHERNET, 0),
        Start::Network { ethertype, offset } => (ethertype, offset as u32),
    };
    out.inner = 0;
    let outer = frame.level(ethertype, offset, out);
    if outer != Parsed::Nested {
        return outer;
    }
    let out = frame.settle(out);
    let inner = frame.level(out.inner, out.l4, out);
    let out = frame.settle(out);
    match inner {
        Parsed::Transport if out.payload > out.tunnel_end => Parsed::Malformed(Malformed::TunnelTruncated),
        other => other,
    }
}

/// Parses the headers of one level: to TCP or UDP, or to what a tunnel carries, which is
/// [`Parsed::Nested`].
#[inline(always)]
pub fn level<B: Bytes>(frame: &B, ethertype: u16, offset: u32, out: &mut Transport) -> Parsed {
    let (mut ethertype, mut l3) = (ethertype, offset as usize);
    if ethertype == ETHERTYPE_ETHERNET {
        match frame.window::<ETHERNET>(l3) {
            Some(ethernet) => (ethertype, l3) = (ethernet.be16::<12>(), l3 + ETHERNET),
            None => return Parsed::Malformed(Malformed::LinkTruncated),
        }
    }
    for _ in 0..2 {
        if ethertype != ETHERTYPE_VLAN && ethertype != ETHERTYPE_QINQ {
            break;
        }
        match frame.window::<4>(l3) {
            Some(tag) => (ethertype, l3) = (tag.be16::<2>(), l3 + 4),
            None => return Parsed::Malformed(Malformed::LinkTruncated),
        }
    }
    if ethertype == ETHERTYPE_MPLS || ethertype == ETHERTYPE_MPLS_UPSTREAM {
        (ethertype, l3) = match labels(frame, l3 as u32) {
            0 => return Parsed::Malformed(Malformed::LinkTruncated),
            past => (past as u16, (past >> 16) as usize),
        };
    }
    let network = match ethertype {
        ETHERTYPE_IPV4 => ipv4(frame, l3, out),
        ETHERTYPE_IPV6 => ipv6(frame, l3, out),
        _ => return Parsed::NotIp,
    };
    let out = frame.settle(out);
    match network {
        Parsed::Transport => transport(frame, out),
        Parsed::Fragment => {
            (out.src_port, out.dst_port, out.seq, out.flags) = (0, 0, 0, 0);
            Parsed::Fragment
        }
        other => other,
    }
}

/// Walks a stack of MPLS labels from `at`. Returns the EtherType of what follows, told by the version
/// of an IP header, in bits 0 to 15 and its offset above; 0 where the frame ends before. Whatever
/// else follows (a pseudowire, or more than [`MAX_LABELS`]) has EtherType 0.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn labels<B: Bytes>(frame: &B, at: u32) -> u32 {
    let mut at = at;
    for _ in 0..MAX_LABELS {
        let Some(label) = frame.window::<5>(at as usize) else {
            return 0;
        };
        at += 4;
        // Bottom of stack (RFC 3032, section 2.1).
        if label.be8::<2>() & 1 != 0 {
            return at << 16 | u32::from(ip_version(label.be8::<4>()));
        }
    }
    at << 16
}

/// EtherType of an IP header that begins with this byte; 0 where none does.
#[inline(always)]
pub(crate) fn ip_version(first: u8) -> u16 {
    match first >> 4 {
        4 => ETHERTYPE_IPV4,
        6 => ETHERTYPE_IPV6,
        _ => 0,
    }
}

#[inline(always)]
fn ipv4<B: Bytes>(frame: &B, l3: usize, out: &mut Transport) -> Parsed {
    let Some(ip) = frame.window::<20>(l3) else {
        return Parsed::Malformed(Malformed::Ipv4Truncated);
    };
    let first = ip.be8::<0>();
    let header = u32::from(first & 0x0f) * 4;
    let announced = u32::from(ip.be16::<2>());
    let total = if announced == 0 { rest_of(frame, l3) } else { announced };
    if first >> 4 != 4 || header < 20 || total < header {
        return Parsed::Malformed(Malformed::Ipv4Header);
    }
    out.src = [0, ip.be32::<12>().into()];
    out.dst = [0, ip.be32::<16>().into()];
    out.version = 4;
    out.proto = ip.be8::<9>();
    out.l3 = l3 as u32;
    out.l4 = l3 as u32 + header;
    out.payload_len = total - header;
    // More-fragments bit and 13 bits of offset (RFC 791, section 3.1).
    if ip.be16::<6>() & 0x3fff != 0 {
        return Parsed::Fragment;
    }
    Parsed::Transport
}

#[cfg_attr(target_arch = "bpf", inline(never))]
fn ipv6<B: Bytes>(frame: &B, l3: usize, out: &mut Transport) -> Parsed {
    let Some(ip) = frame.window::<40>(l3) else {
        return Parsed::Malformed(Malformed::Ipv6Truncated);
    };
    let mut next = ip.be8::<6>();
    if ip.be8::<0>() >> 4 != 6 {
        return Parsed::Malformed(Malformed::Ipv6Header);
    }
    let mut l4 = l3 as u32 + 40;
    out.src = [ip.be64::<8>(), ip.be64::<16>()];
    out.dst = [ip.be64::<24>(), ip.be64::<32>()];
    out.version = 6;
    out.l3 = l3 as u32;
    let announced = u32::from(ip.be16::<4>());
    let mut len = if announced == 0 { rest_of(frame, l3 + 40) } else { announced };
    let mut outcome = Parsed::Transport;
    if next != PROTO_TCP && next != PROTO_UDP {
        let chain = frame.extensions(l4, next);
        let skipped = chain & 0xffff;
        next = (chain >> 16) as u8;
        match (chain >> 24) as u8 {
            chain::WHOLE | chain::FRAGMENT if skipped > len => return Parsed::Malformed(Malformed::Ipv6Header),
            chain::WHOLE => {}
            chain::FRAGMENT => outcome = Parsed::Fragment,
            chain::TRUNCATED => return Parsed::Malformed(Malformed::Ipv6Truncated),
            _ => return Parsed::Malformed(Malformed::Ipv6Header),
        }
        l4 += skipped;
        len -= skipped;
    }
    out.proto = next;
    out.l4 = l4;
    out.payload_len = len;
    outcome
}

/// Bytes from an offset to the end of the frame, for super-packets too long for a length field.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn rest_of<B: Bytes>(frame: &B, offset: usize) -> u32 {
    frame.wire_len().saturating_sub(offset) as u32
}

/// Whether it is the number of an IPv6 extension header that is followed: hop-by-hop 0, routing 43,
/// fragment 44, authentication 51, destination 60.
#[inline(always)]
pub(crate) const fn is_extension(number: u8) -> bool {
    matches!(number, 0 | 43 | 44 | 51 | 60)
}

/// How the walk along extension headers ended: bits 24 to 31 of what [`extensions`] returns.
mod chain {
    pub(super) const WHOLE: u8 = 0;
    pub(super) const FRAGMENT: u8 = 1;
    pub(super) const TRUNCATED: u8 = 2;
    pub(super) const TOO_LONG: u8 = 3;
}

/// Walks IPv6 extension headers from `at`. Returns their length in bits 0 to 15, the protocol that
/// follows in bits 16 to 23 and the end, see `chain`, above.
#[inline(always)]
pub fn extensions<B: Bytes>(frame: &B, at: u32, first: u8) -> u32 {
    let mut next = first;
    let mut skipped = 0;
    for _ in 0..MAX_EXTENSIONS {
        // Hop-by-hop, routing, destination count in units of 8 bytes after the first 8 (RFC 8200,
        // section 4); authentication in units of 4 after the first 8 (RFC 4302).
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
fn transport<B: Bytes>(frame: &B, out: &mut Transport) -> Parsed {
    match out.proto {
        PROTO_TCP => {
            let Some(tcp) = frame.window::<20>(out.l4 as usize) else {
                return Parsed::Malformed(Malformed::TcpTruncated);
            };
            let header = u32::from(tcp.be8::<12>() >> 4) * 4;
            if header < 20 || header > out.payload_len {
                let short = out.payload_len < 20;
                return Parsed::Malformed(if short { Malformed::TcpTruncated } else { Malformed::TcpHeader });
            }
            out.src_port = tcp.be16::<0>();
            out.dst_port = tcp.be16::<2>();
            out.payload = out.l4 + header;
            out.payload_len -= header;
            out.seq = tcp.be32::<4>();
            out.flags = tcp.be8::<13>();
            Parsed::Transport
        }
        PROTO_UDP => {
            let Some(udp) = frame.window::<8>(out.l4 as usize) else {
                return Parsed::Malformed(Malformed::UdpTruncated);
            };
            if out.payload_len < 8 {
                return Parsed::Malformed(Malformed::UdpTruncated);
            }
            out.src_port = udp.be16::<0>();
            out.dst_port = udp.be16::<2>();
            if u32::from(udp.be16::<4>()) != out.payload_len {
                match udp_length(frame, out, udp.be16::<4>().into()) {
                    UDP_LENGTH_INVALID => return Parsed::Malformed(Malformed::UdpLength),
                    IP_LENGTH_INVALID => return Parsed::Malformed(Malformed::IpLength),
                    length => out.payload_len = length,
                }
            }
            out.payload = out.l4 + 8;
            out.payload_len -= 8;
            out.seq = 0;
            out.flags = 0;
            if tunnel::is_udp_port(out.dst_port) {
                within(tunnel::over_udp(frame, out), out)
            } else {
                Parsed::Transport
            }
        }
        PROTO_IPV4 => within(Opened::at(ETHERTYPE_IPV4, out.l4), out),
        PROTO_IPV6 => within(Opened::at(ETHERTYPE_IPV6, out.l4), out),
        PROTO_GRE => within(tunnel::gre(frame, out.l4), out),
        _ => Parsed::OtherProtocol,
    }
}

/// Results of [`udp_length`] that are no length: every length is at least 8.
const UDP_LENGTH_INVALID: u32 = 0;
const IP_LENGTH_INVALID: u32 = 1;

/// Length of a UDP datagram, header included, where its UDP length differs from the length of the IP payload;
/// [`UDP_LENGTH_INVALID`] or [`IP_LENGTH_INVALID`] where a host drops it.
///
/// Data ends where the UDP length says (RFC 768). An IPv6 datagram with UDP length 0 is as long as its IP payload
/// (RFC 2675, section 4; Linux accepts it without a jumbo payload option, too). So is a super-packet of more than
/// 65,535 bytes: no 16-bit field holds its length.
// In the kernel a separate function: it is seldom called.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn udp_length<B: Bytes>(frame: &B, out: &Transport, announced: u32) -> u32 {
    let available = out.payload_len;
    if available > u32::from(u16::MAX) || (announced == 0 && out.version == 6) {
        return available;
    }
    if announced < 8 || announced > available {
        return UDP_LENGTH_INVALID;
    }
    // The UDP length would hide that the IP header announces more bytes than the frame has. Inside a tunnel, a mirror
    // may have cut them.
    if out.inner == 0 && (out.l4 + available) as usize > frame.wire_len() {
        return IP_LENGTH_INVALID;
    }
    announced
}

/// The outcome of looking into a tunnel. At this point `out` describes the tunnel's own datagram: for IP in IP and
/// GRE, from `l4` to its end; for UDP, its payload.
#[inline(always)]
fn within(opened: Opened, out: &mut Transport) -> Parsed {
    match opened {
        Opened::NONE if out.proto == PROTO_UDP => Parsed::Transport,
        Opened::NONE => Parsed::OtherProtocol,
        Opened::TRUNCATED => Parsed::Malformed(Malformed::TunnelTruncated),
        opened => {
            let start = if out.proto == PROTO_UDP { out.payload } else { out.l4 };
            let end = start + out.payload_len;
            // A tunnel inside a tunnel ends with the outer one at the latest.
            if out.inner == 0 || end < out.tunnel_end {
                out.tunnel_end = end;
            }
            (out.inner, out.l4) = (opened.ethertype(), opened.offset());
            (out.src_port, out.dst_port, out.proto, out.seq, out.flags) = (0, 0, 0, 0, 0);
            Parsed::Nested
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_of_parsing_has_a_number_of_its_own() {
        use Parsed::{Fragment, Nested, NotIp, OtherProtocol, Transport};
        let malformed = Malformed::ALL.map(Parsed::Malformed);
        for parsed in [Transport, NotIp, Fragment, Nested, OtherProtocol].into_iter().chain(malformed) {
            assert_eq!(Parsed::from_number(parsed.number()), parsed);
        }
    }
}
