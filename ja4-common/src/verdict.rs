//! What the filter can say of a frame.

use crate::flow::FlowCounters;
use crate::reason::{Malformed, PassReason};

/// The packets whose times JA4L and JA4LS are computed from (FoxIO, `technical_details/JA4L.md`); SYN and SYN-ACK are
/// points A and B there.
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

/// What became of one frame.
// The tag comes first: BTF cannot describe the enum where rustc hides it in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// It passes, and its record, described by [`crate::select::Work::selection`], goes to the flow's shard.
    Selected,
    /// It passes.
    Unselected(PassReason),
    /// It passes, and is too broken to judge.
    Unparseable(Malformed),
}

/// A selected frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Selection {
    /// Hash of the flow.
    pub hash: u64,
    /// The flow's counts.
    pub counters: FlowCounters,
    /// Bytes of the frame that are wanted, from its start.
    pub capture: u32,
    /// Length of the frame on the wire, bytes.
    pub wire_len: u32,
    /// Payload length that the IP and UDP headers announce, bytes.
    pub payload_len: u32,
    /// Offset of the IP header.
    pub l3: u16,
    /// Offset of the TCP or UDP header.
    pub l4: u16,
    /// Offset of the payload.
    pub payload: u16,
    /// Bits of [`crate::record::flag`].
    pub flags: u16,
    /// Why: a [`crate::reason::RecordClass`] as its number.
    pub class: u8,
    /// A [`LatencyPoint`] as its number.
    pub latency_point: u8,
}
