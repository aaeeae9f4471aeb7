//! The record that carries a selected frame from the filter to its shard.

use crate::flow::FlowCounters;
use crate::headers::{ETHERTYPE_MPLS, ETHERTYPE_QINQ, ETHERTYPE_VLAN};
use crate::verdict::Selection;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Version of the record's layout.
pub const VERSION: u8 = 1;

/// Bits of [`RecordHeader::flags`].
pub mod flag {
    /// The frame leaves the host.
    pub const EGRESS: u16 = 1 << 0;
    /// Sent by the flow's client.
    pub const FROM_CLIENT: u16 = 1 << 1;
    /// Sent by the high endpoint of the flow key.
    pub const FROM_HIGH: u16 = 1 << 2;
    /// A new SYN of a known flow. `counters` are those of the flow that ended.
    pub const RESTARTED: u16 = 1 << 3;
    /// Headers only: the payload was not selected.
    pub const HEADERS_ONLY: u16 = 1 << 4;
    /// The record holds less of the frame than was selected, because it does not fit the largest size class.
    pub const TRUNCATED: u16 = 1 << 5;
    /// The flow is tracked: `counters` are valid.
    pub const TRACKED: u16 = 1 << 6;
    /// A protocol starts in this payload, and the bytes before it were not selected: the stream must resync here.
    pub const RESYNC: u16 = 1 << 7;
    /// Two bits: the header with which the frame starts, see [`super::FirstHeader`].
    pub const FIRST_HEADER: u16 = 3 << FIRST_HEADER_SHIFT;
    pub(super) const FIRST_HEADER_SHIFT: u32 = 8;
}

/// The header with which the bytes of a frame start. Frames without a link header start with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FirstHeader {
    /// Ethernet.
    Ethernet,
    /// IPv4 or IPv6, by the version in the first byte.
    Ip,
    /// A VLAN tag.
    Vlan,
    /// An MPLS label.
    Mpls,
}

impl FirstHeader {
    /// The header with this EtherType.
    #[inline(always)]
    pub const fn of(ethertype: u16) -> Self {
        match ethertype {
            ETHERTYPE_VLAN | ETHERTYPE_QINQ => Self::Vlan,
            ETHERTYPE_MPLS => Self::Mpls,
            _ => Self::Ip,
        }
    }
}

/// Fixed part of a record. The captured bytes follow. Integers are little-endian: BPF programs use the byte order of
/// the host, and only little-endian hosts are supported.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 1 | version |
/// | 1 | 1 | class, see [`crate::reason::RecordClass`] |
/// | 2 | 2 | flags, see [`flag`] |
/// | 4 | 4 | interface index |
/// | 8 | 8 | boot-clock time, ns |
/// | 16 | 8 | flow hash |
/// | 24 | 4 | length on the wire, bytes |
/// | 28 | 4 | captured bytes that follow |
/// | 32 | 2 | offset of the IP header |
/// | 34 | 2 | offset of the TCP or UDP header |
/// | 36 | 2 | offset of the payload |
/// | 38 | 2 | VLAN tag that the NIC removed from the frame, with [`crate::vlan::VLAN_PRESENT`]; 0: none |
/// | 40 | 4 | payload length by the IP and UDP headers, bytes |
/// | 44 | 2 | payload bytes per wire segment of a GSO super-packet, 0: not one |
/// | 46 | 1 | wire segments of a GSO super-packet, at most 255; 0: not one |
/// | 47 | 1 | latency point, see [`crate::verdict::LatencyPoint`] |
/// | 48 | 32 | packets and bytes of the flow so far, this frame included |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RecordHeader {
    /// [`VERSION`].
    pub version: u8,
    /// See [`crate::reason::RecordClass`].
    pub class: u8,
    /// See [`flag`].
    pub flags: u16,
    /// Interface index; in a replay, the number of the interface in its file.
    pub ifindex: u32,
    /// Nanoseconds of the boot clock; in a replay, since the Unix epoch.
    pub time: u64,
    /// Symmetric hash of the flow.
    pub hash: u64,
    /// Length of the frame on the wire, bytes.
    pub wire_len: u32,
    /// Captured bytes.
    pub captured: u32,
    /// Offset of the IP header.
    pub l3: u16,
    /// Offset of the TCP or UDP header.
    pub l4: u16,
    /// Offset of the payload.
    pub payload: u16,
    /// VLAN tag outside the frame, with [`crate::vlan::VLAN_PRESENT`]; 0: none.
    pub vlan: u16,
    /// Payload length by the IP and UDP headers, bytes.
    pub payload_len: u32,
    /// Payload bytes per wire segment of a super-packet, 0: not one.
    pub gso_size: u16,
    /// Wire segments of a super-packet, at most 255; 0: not one.
    pub gso_segs: u8,
    /// See [`crate::verdict::LatencyPoint`].
    pub latency_point: u8,
    /// Packets and bytes of the flow.
    pub counters: FlowCounters,
}

/// Bytes of [`RecordHeader`].
pub const HEADER: usize = size_of::<RecordHeader>();

const _: () = assert!(HEADER == 80);

/// Bytes of an Ethernet header without tags.
const ETHERNET_HEADER: u64 = 14;

/// Whether the bytes that a hook receives start with the link header of the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum LinkHeader {
    /// They do.
    #[default]
    Present,
    /// The kernel has removed an Ethernet header.
    Removed,
    /// Frames of the interface have none: tun, WireGuard, PPP, IP tunnels.
    Absent,
    /// The bytes are those of a packet that userspace took out of a frame.
    OfOuterFrame,
}

/// Facts about a frame that the hook has, besides its bytes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct FrameInfo {
    /// Interface index.
    pub ifindex: u32,
    /// Whether the frame leaves the host.
    pub egress: bool,
    /// Its link header.
    pub link: LinkHeader,
    /// A [`FirstHeader`].
    pub first: u8,
    /// VLAN tag outside the frame, with [`crate::vlan::VLAN_PRESENT`]; 0: none.
    pub vlan: u16,
    /// Payload bytes per wire segment of a super-packet, 0: not one.
    pub gso_size: u16,
    /// Wire segments of a super-packet, 0: not one.
    pub gso_segs: u32,
}

impl FrameInfo {
    /// Capture point: interface and hook as one number of 31 bits.
    #[inline(always)]
    pub const fn capture_point(&self) -> u32 {
        (self.ifindex << 1 | self.egress as u32) & (u32::MAX >> 1)
    }

    /// Number of packets on the wire that this frame represents.
    #[inline(always)]
    pub const fn packets(&self) -> u64 {
        if self.gso_segs > 1 { self.gso_segs as u64 } else { 1 }
    }

    /// Bytes on the wire, with the link header, of a frame of which the hook received `wire_len` bytes.
    #[inline(always)]
    pub const fn bytes(&self, wire_len: u32) -> u64 {
        wire_len as u64 + matches!(self.link, LinkHeader::Removed) as u64 * ETHERNET_HEADER
    }
}

impl RecordHeader {
    /// The header with which its bytes start.
    pub const fn first_header(&self) -> FirstHeader {
        match (self.flags & flag::FIRST_HEADER) >> flag::FIRST_HEADER_SHIFT {
            0 => FirstHeader::Ethernet,
            1 => FirstHeader::Ip,
            2 => FirstHeader::Vlan,
            _ => FirstHeader::Mpls,
        }
    }

    /// Header of the record of a selected frame. `captured` bytes follow.
    #[inline(always)]
    pub fn new(info: &FrameInfo, selection: &Selection, time: u64, captured: u32) -> Self {
        let truncated = if captured < selection.capture { flag::TRUNCATED } else { 0 };
        let egress = if info.egress { flag::EGRESS } else { 0 };
        let first = (info.first as u16) << flag::FIRST_HEADER_SHIFT & flag::FIRST_HEADER;
        Self {
            version: VERSION,
            class: selection.class,
            flags: selection.flags | truncated | egress | first,
            ifindex: info.ifindex,
            time,
            hash: selection.hash,
            wire_len: selection.wire_len,
            captured,
            l3: selection.l3,
            l4: selection.l4,
            payload: selection.payload,
            vlan: info.vlan,
            payload_len: selection.payload_len,
            gso_size: info.gso_size,
            gso_segs: if info.gso_segs > 255 { 255 } else { info.gso_segs as u8 },
            latency_point: selection.latency_point,
            counters: selection.counters,
        }
    }
}

/// Sizes of a record with its header, smallest first. A SYN fits the first, an ordinary ClientHello the second, an
/// Ethernet frame the third, the handshake in a GRO super-packet the last.
pub const SIZE_CLASSES: [usize; 4] = [192, 768, 2048, 16 << 10];

/// Greatest number of bytes of a frame in one record.
pub const MAX_CAPTURE: usize = SIZE_CLASSES[3] - HEADER;
