//! Decodes a record into a TCP segment or a UDP datagram.
//!
//! The filter has found the offsets of the headers. They are decoded again in full, since a record may have less of the
//! frame than the filter saw.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice, TcpHeaderSlice, UdpHeaderSlice};
use ja4_common::bytes::SliceFrame;
use ja4_common::flow::FlowKey;
use ja4_common::headers::{
    ETHERNET, ETHERTYPE_ETHERNET, InnerHeader, PROTO_TCP, PROTO_UDP, PacketHeaders as Headers, is_vlan, tcp_flag,
};
use ja4_common::link::{self, MAX_LINK_HEADERS};
use ja4_common::parse::ParseStart;
use ja4_common::record::RecordHeader;
use ja4_common::vlan::VLAN_PRESENT;

use super::frame::Packet;
use crate::model::VlanTags;

/// Bytes of a UDP header. Every TCP header is longer, which distinguishes the two.
const UDP: u16 = 8;

/// The flags of a TCP header, in its bytes 12 and 13 (RFC 9293, section 3.1).
const FLAGS: u16 = 0x0fff;

/// Why a record cannot be decoded. The filter has accepted its headers, so in each case the capture is truncated within
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The IP header is truncated or malformed.
    #[error("IP header truncated or malformed")]
    Ip,
    /// The TCP header is truncated or malformed.
    #[error("TCP header truncated or malformed")]
    Tcp,
    /// The UDP header is truncated.
    #[error("UDP header truncated")]
    Udp,
}

impl DecodeError {
    /// Every reason, in the order of its counter.
    pub const ALL: [Self; 3] = [Self::Ip, Self::Tcp, Self::Udp];

    /// Name of the counter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip_header",
            Self::Tcp => "tcp_header",
            Self::Udp => "udp_header",
        }
    }
}

/// A decoded record.
#[derive(Clone, Copy, Debug)]
pub struct Decoded<'a> {
    /// Key of the flow.
    pub key: FlowKey,
    /// Sender.
    pub src: (IpAddr, u16),
    /// Receiver.
    pub dst: (IpAddr, u16),
    /// TTL, or hop limit.
    pub ttl: u8,
    /// VLAN tags outside the outermost IP header.
    pub vlan: VlanTags,
    /// The captured payload.
    pub payload: &'a [u8],
    /// Payload length by the IP and UDP headers, bytes.
    pub payload_len: u32,
    /// The transport header.
    pub transport: TransportHeader<'a>,
}

/// A transport header.
#[derive(Clone, Copy, Debug)]
pub enum TransportHeader<'a> {
    /// TCP.
    Tcp(Segment<'a>),
    /// UDP: its header has only ports, length and checksum.
    Udp,
}

/// A TCP header.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Sequence number.
    pub seq: u32,
    /// The twelve bits after the header's length: the reserved ones, AE (formerly NS), and the flags up to FIN, see
    /// [`ja4_common::headers::tcp_flag`].
    pub flags: u16,
    /// The window field, not scaled.
    pub window: u16,
    /// Option bytes, with padding.
    pub options: &'a [u8],
}

impl Segment<'_> {
    /// SYN is set.
    pub const fn syn(&self) -> bool {
        self.flags & tcp_flag::SYN as u16 != 0
    }

    /// FIN is set.
    pub const fn fin(&self) -> bool {
        self.flags & tcp_flag::FIN as u16 != 0
    }

    /// RST is set.
    pub const fn rst(&self) -> bool {
        self.flags & tcp_flag::RST as u16 != 0
    }
}

/// The key of the flow between two ends, in either order.
pub(crate) fn flow_key(one: (IpAddr, u16), other: (IpAddr, u16), proto: u8) -> FlowKey {
    let version = if one.0.is_ipv4() { 4 } else { 6 };
    let ends = Headers {
        src: halves(one.0),
        src_port: one.1,
        dst: halves(other.0),
        dst_port: other.1,
        proto,
        version,
        ..Headers::default()
    };
    FlowKey::of(&ends).0
}

/// Decodes a record.
///
/// # Errors
/// If a header is truncated or malformed.
pub fn decode<'a>(packet: &Packet<'a>) -> Result<Decoded<'a>, DecodeError> {
    let RecordHeader { l3, l4, payload, payload_len, .. } = *packet.header;
    let bytes = packet.bytes;
    let network = bytes.get(usize::from(l3)..).ok_or(DecodeError::Ip)?;
    let (src, dst, ttl) = addresses(network).ok_or(DecodeError::Ip)?;
    let header = bytes.get(usize::from(l4)..).unwrap_or_default();
    let udp = payload.wrapping_sub(l4) == UDP;
    let (ports, proto, transport) = if udp { udp_header(header)? } else { tcp_header(header)? };
    let (src, dst) = ((src, ports.0), (dst, ports.1));
    let captured = bytes.get(usize::from(payload)..).unwrap_or_default();
    let available = captured.len().min(payload_len as usize);
    Ok(Decoded {
        key: flow_key(src, dst, proto),
        src,
        dst,
        ttl,
        vlan: packet.outer_vlan.unwrap_or_else(|| vlan_tags(packet)),
        payload: captured.get(..available).unwrap_or_default(),
        payload_len,
        transport,
    })
}

fn tcp_header(header: &[u8]) -> Result<((u16, u16), u8, TransportHeader<'_>), DecodeError> {
    let tcp = TcpHeaderSlice::from_slice(header).map_err(|_| DecodeError::Tcp)?;
    let segment = Segment {
        seq: tcp.sequence_number(),
        flags: tcp
            .slice()
            .get(12..14)
            .and_then(|flags| flags.first_chunk())
            .map_or(0, |flags| FLAGS & u16::from_be_bytes(*flags)),
        window: tcp.window_size(),
        options: header.get(20..tcp.slice().len()).unwrap_or_default(),
    };
    Ok(((tcp.source_port(), tcp.destination_port()), PROTO_TCP, TransportHeader::Tcp(segment)))
}

fn udp_header(header: &[u8]) -> Result<((u16, u16), u8, TransportHeader<'_>), DecodeError> {
    let udp = UdpHeaderSlice::from_slice(header).map_err(|_| DecodeError::Udp)?;
    Ok(((udp.source_port(), udp.destination_port()), PROTO_UDP, TransportHeader::Udp))
}

fn addresses(network: &[u8]) -> Option<(IpAddr, IpAddr, u8)> {
    if network.first()? >> 4 == 4 {
        let ip = Ipv4HeaderSlice::from_slice(network).ok()?;
        Some((ip.source_addr().into(), ip.destination_addr().into(), ip.ttl()))
    } else {
        let ip = Ipv6HeaderSlice::from_slice(network).ok()?;
        Some((ip.source_addr().into(), ip.destination_addr().into(), ip.hop_limit()))
    }
}

fn halves(address: IpAddr) -> [u64; 2] {
    let bits = match address {
        IpAddr::V4(address) => u128::from(Ipv4Addr::to_bits(address)),
        IpAddr::V6(address) => Ipv6Addr::to_bits(address),
    };
    [(bits >> 64) as u64, bits as u64]
}

/// VLAN tags: first the one that the NIC removed, then those in the frame.
pub(crate) fn vlan_tags(packet: &Packet<'_>) -> VlanTags {
    let RecordHeader { l3, vlan, .. } = *packet.header;
    let mut tags = VlanTags::NONE;
    if vlan & VLAN_PRESENT != 0 {
        tags.push(vlan);
    }
    let mut header = match packet.start {
        ParseStart::Ethernet if usize::from(l3) == ETHERNET => return tags,
        ParseStart::Ethernet => InnerHeader::at(ETHERTYPE_ETHERNET, 0),
        ParseStart::Network { ethertype, offset } => InnerHeader::at(ethertype, offset as u32),
    };
    let frame = SliceFrame { bytes: packet.bytes, wire_len: packet.bytes.len() };
    for _ in 0..MAX_LINK_HEADERS {
        let (ethertype, at) = (header.ethertype(), header.offset());
        if is_vlan(ethertype)
            && let Some(tag) = packet.bytes.get(at as usize..).and_then(|bytes| bytes.first_chunk())
        {
            tags.push(u16::from_be_bytes(*tag));
        }
        header = match link::skip_header(&frame, ethertype, at) {
            InnerHeader::NONE | InnerHeader::TRUNCATED => break,
            next => next,
        };
    }
    tags
}
