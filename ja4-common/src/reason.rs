//! Why the filter selects, passes or rejects a frame. Each reason has a counter; its documentation is the help text.

/// Declares an enum of reasons, each with the name of its counter. Its documentation is one line, and the help text.
macro_rules! reasons {
    (
        $(#[$attribute:meta])*
        pub enum $Reason:ident {
            $(#[doc = $help:literal] $Variant:ident = $name:literal,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $Reason {
            $(#[doc = $help] $Variant,)+
        }

        impl $Reason {
            /// Every variant, in the order of the counters.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$Variant),+];
            /// Number of variants.
            pub const COUNT: usize = Self::NAMES.len();
            /// Names of the counters.
            pub const NAMES: &'static [&'static str] = &[$($name),+];
            /// Help texts of the counters, one line each.
            pub const HELP: &'static [&'static str] = &[$($help.trim_ascii_start()),+];

            /// Name of the counter.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Variant => $name),+
                }
            }
        }
    };
}

reasons! {
    /// Why a frame is selected. The class of a record selects its counter and its rate limit.
    pub enum RecordClass {
        /// SYN, first or retransmitted.
        Syn = "syn",
        /// SYN-ACK, first or retransmitted.
        SynAck = "syn_ack",
        /// The client's first ACK after the SYN-ACK, or an ACK without payload before the flow's protocol is known.
        Ack = "ack",
        /// Payload of a TLS handshake, or the first bytes of a stream of unknown protocol.
        Tls = "tls",
        /// The client's first payload after the server's.
        Latency = "latency",
        /// FIN or RST of a tracked flow.
        End = "end",
        /// Payload of HTTP requests.
        Http = "http",
        /// A segment of an SSH connection.
        Ssh = "ssh",
        /// A QUIC Initial, Handshake or Retry packet.
        Quic = "quic",
        /// A DTLS handshake message.
        Dtls = "dtls",
        /// A DHCP message.
        Dhcp = "dhcp",
        /// An IP fragment, for reassembly in userspace.
        Fragment = "fragment",
        /// A tunnel inside a tunnel, for decapsulation in userspace.
        Nested = "nested",
    }
}

reasons! {
    /// Why a frame is not selected.
    pub enum PassReason {
        /// Neither IPv4 nor IPv6.
        NotIp = "not_ip",
        /// IP fragment of a protocol other than TCP, UDP and tunnels.
        Fragment = "fragment",
        /// IP, but neither TCP nor UDP.
        OtherProtocol = "other_protocol",
        /// UDP of an untracked flow.
        Udp = "udp",
        /// TCP of an untracked flow.
        Untracked = "untracked",
        /// Packet of a tracked flow without anything to select.
        Tracked = "tracked",
        /// Duplicate: another capture point has seen the packet.
        Duplicate = "duplicates",
        /// First segment after the byte budget of a handshake or request is used up.
        OverBudget = "over_budget",
        /// Would start a flow that does not match the capture filter.
        Filtered = "filtered",
    }
}

reasons! {
    /// Why the headers of a frame cannot be parsed.
    pub enum Malformed {
        /// Frame shorter than its link header.
        LinkTruncated = "link_truncated",
        /// Frame shorter than its IPv4 header.
        Ipv4Truncated = "ipv4_truncated",
        /// IPv4 version, header length or total length invalid.
        Ipv4Header = "ipv4_header",
        /// Frame shorter than its IPv6 header or an extension header.
        Ipv6Truncated = "ipv6_truncated",
        /// IPv6 version invalid, or too many extension headers.
        Ipv6Header = "ipv6_header",
        /// Frame shorter than its TCP header.
        TcpTruncated = "tcp_truncated",
        /// TCP data offset below 5 words, or past the end of the datagram.
        TcpHeader = "tcp_header",
        /// Frame shorter than its UDP header.
        UdpTruncated = "udp_truncated",
        /// Frame shorter than the header of a tunnel.
        TunnelTruncated = "tunnel_truncated",
        /// IP length greater than the frame on the wire.
        IpLength = "ip_length",
        /// UDP length below 8, or past the end of the IP payload.
        UdpLength = "udp_length",
        /// More headers before IP than are followed.
        LinkDepth = "link_depth",
    }
}

impl Malformed {
    /// The variant with this number.
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
            10 => Self::UdpLength,
            _ => Self::LinkDepth,
        }
    }
}
