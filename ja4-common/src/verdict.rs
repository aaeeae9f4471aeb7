//! Result of the filter for one frame.

use crate::flow::FlowCounters;
use crate::reason::{Malformed, PassReason};

/// The packets that give the times of JA4L and JA4LS (FoxIO, `technical_details/JA4L.md`). SYN and SYN-ACK are points A
/// and B there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LatencyPoint {
    /// None of them.
    None = 0,
    /// Point C: the client's first ACK after the SYN-ACK.
    FirstAck = 3,
    /// Point D: the client's first payload after point C.
    ClientData = 4,
    /// Point E: the server's first payload after point D.
    ServerData = 5,
    /// Point F: the client's first payload after point E.
    ClientReply = 6,
}

impl LatencyPoint {
    /// The point with this number; [`LatencyPoint::None`] for any other number.
    pub const fn from_number(number: u8) -> Self {
        match number {
            3 => Self::FirstAck,
            4 => Self::ClientData,
            5 => Self::ServerData,
            6 => Self::ClientReply,
            _ => Self::None,
        }
    }
}

/// Result for one frame. Every frame passes.
// The tag comes first: BTF cannot describe an enum if rustc stores the tag in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// Selected: the record in [`crate::select::Scratch::selection`] goes to the shard of the flow.
    Selected,
    /// Not selected, with the reason.
    Unselected(PassReason),
    /// The headers cannot be parsed, with the reason.
    Unparseable(Malformed),
}

/// A selected frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Selection {
    /// Hash of the flow.
    pub hash: u64,
    /// Packets and bytes of the flow.
    pub counters: FlowCounters,
    /// Number of bytes of the frame that are selected, from its start.
    pub capture: u32,
    /// Length of the frame on the wire, bytes.
    pub wire_len: u32,
    /// Payload length by the IP and UDP headers, bytes.
    pub payload_len: u32,
    /// Offset of the IP header.
    pub l3: u16,
    /// Offset of the TCP or UDP header.
    pub l4: u16,
    /// Offset of the payload.
    pub payload: u16,
    /// Bits of [`crate::record::flag`].
    pub flags: u16,
    /// Number of a [`crate::reason::RecordClass`].
    pub class: u8,
    /// Number of a [`LatencyPoint`].
    pub latency_point: u8,
    /// Index of its limit, see [`crate::limit::index`].
    pub limit: u8,
}
