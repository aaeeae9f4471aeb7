//! What a frame contains after the headers of its link type.

/// The first header of a frame that is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStart {
    /// An Ethernet header.
    Ethernet,
    /// The header of this EtherType, which may be a VLAN tag (0x8100).
    Network(u16),
}

/// The position at which parsing of a frame starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkPayload {
    /// The header at this position.
    pub start: LinkStart,
    /// Bytes before the position; never more than the frame has.
    pub offset: usize,
    /// The capture point: interface of the capturing host and direction, as one number. Only a Linux cooked header has it;
    /// else it is 0.
    pub capture_point: u32,
}

/// Why a frame has no network layer that can be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The frame ends within its link-layer header.
    #[error("frame ends within its link-layer header")]
    Truncated,
    /// A raw IP packet of a version other than 4 and 6.
    #[error("raw packet of IP version {0}")]
    Version(u8),
    /// A loopback packet of an address family other than IPv4 and IPv6.
    #[error("loopback packet of address family {0}")]
    Family(u32),
    /// A protocol that carries no network layer: PPP's control protocols, netlink.
    #[error("link-layer protocol {0:#06x} carries no network layer")]
    Protocol(u16),
    /// An IEEE 802.11 frame without data.
    #[error("IEEE 802.11 frame without data")]
    NoData,
    /// An encrypted IEEE 802.11 frame.
    #[error("encrypted IEEE 802.11 frame")]
    Encrypted,
    /// An IEEE 802.11 frame with several packets.
    #[error("IEEE 802.11 frame with several packets")]
    Aggregate,
    /// A netfilter log without a packet.
    #[error("netfilter log without a packet")]
    NoPacket,
    /// The link type is not supported.
    #[error("unsupported link type {0}")]
    Unsupported(u16),
}
