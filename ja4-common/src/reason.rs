//! Why a frame was selected, let pass or refused: each reason has a counter.

/// Why a frame was selected: the class of its record, and of its counters and governor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RecordClass {
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

impl RecordClass {
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
pub enum PassReason {
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
    OverBudget,
}

impl PassReason {
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
        Self::OverBudget,
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
            Self::OverBudget => "over_budget",
        }
    }
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
    pub(crate) const fn from_number(number: u32) -> Self {
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
