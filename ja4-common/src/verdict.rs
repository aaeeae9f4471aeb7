//! What the filter can say of a frame.

use crate::flow::Books;
use crate::headers::Malformed;

/// Why a frame was selected: the class of its record, and of its counters and governor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// SYN, first or repeated.
    Syn,
    /// SYN-ACK, first or repeated.
    SynAck,
    /// The client's first ACK after the SYN-ACK, or a bare ACK before the flow's protocol is known.
    Ack,
    /// Payload that carries a TLS handshake, or the first bytes of a stream of unknown kind.
    Tls,
    /// The client's first payload after the server's.
    Latency,
    /// FIN or RST of a known flow.
    End,
    /// Payload that carries HTTP requests.
    Http,
    /// A segment of an SSH connection, most of them without payload.
    Ssh,
    /// A QUIC Initial, Handshake or Retry packet.
    Quic,
    /// A DTLS handshake.
    Dtls,
    /// A DHCP message.
    Dhcp,
    /// An IP fragment, to be put together with the others.
    Fragment,
    /// A tunnel inside a tunnel, to be opened by userspace.
    Nested,
}

impl Class {
    /// Number of classes.
    pub const COUNT: usize = 13;
    /// Every class, in the order of its counter.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Syn,
        Self::SynAck,
        Self::Ack,
        Self::Tls,
        Self::Latency,
        Self::End,
        Self::Http,
        Self::Ssh,
        Self::Quic,
        Self::Dtls,
        Self::Dhcp,
        Self::Fragment,
        Self::Nested,
    ];

    /// Name of the counter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::SynAck => "syn_ack",
            Self::Ack => "ack",
            Self::Tls => "tls",
            Self::Latency => "latency",
            Self::End => "end",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Quic => "quic",
            Self::Dtls => "dtls",
            Self::Dhcp => "dhcp",
            Self::Fragment => "fragment",
            Self::Nested => "nested",
        }
    }
}

/// Why a frame was let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Passed {
    /// Not IPv4 or IPv6.
    NotIp,
    /// IP fragment of another protocol than TCP, UDP and tunnels.
    Fragment,
    /// IP, but neither TCP nor UDP.
    OtherProtocol,
    /// UDP of a flow that is not known.
    Udp,
    /// TCP of a flow that is not known.
    Untracked,
    /// Of a known flow, and nothing that is wanted.
    Tracked,
    /// A duplicate: another capture point has seen the packet, see [`crate::duplicate`].
    Duplicate,
    /// The first of a stream that has used up what is selected of one handshake or request.
    Spent,
}

impl Passed {
    /// Number of reasons.
    pub const COUNT: usize = 8;
    /// Every reason, in the order of its counter.
    pub const ALL: [Self; Self::COUNT] = [
        Self::NotIp,
        Self::Fragment,
        Self::OtherProtocol,
        Self::Udp,
        Self::Untracked,
        Self::Tracked,
        Self::Duplicate,
        Self::Spent,
    ];

    /// Name of the counter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not_ip",
            Self::Fragment => "fragment",
            Self::OtherProtocol => "other_protocol",
            Self::Udp => "udp",
            Self::Untracked => "untracked",
            Self::Tracked => "tracked",
            Self::Duplicate => "duplicates",
            Self::Spent => "spent",
        }
    }
}

/// The points in time that JA4L and JA4LS are made of (specification, section 6).
pub mod point {
    /// None of them.
    pub const NONE: u8 = 0;
    /// The client's first ACK after the SYN-ACK.
    pub const C: u8 = 3;
    /// The client's first payload after C.
    pub const D: u8 = 4;
    /// The server's first payload after D.
    pub const E: u8 = 5;
    /// The client's first payload after E.
    pub const F: u8 = 6;
}

/// What became of one frame.
// The tag comes first: BTF cannot describe the enum where rustc hides it in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// It passes, and its record, described by [`crate::select::Work::selection`], goes to the flow's shard.
    Selected,
    /// It passes.
    Unselected(Passed),
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
    pub books: Books,
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
    /// Why: a [`Class`] as its number.
    pub class: u8,
    /// One of [`point`].
    pub point: u8,
}
