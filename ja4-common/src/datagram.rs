//! Classifies UDP datagrams. The filter selects QUIC long headers, unencrypted DTLS handshakes (bare and in TURN
//! messages), the control channel of OpenVPN, and DHCP.

use crate::bytes::FrameBytes;
use crate::framing::{self, openvpn};
use crate::headers::PacketHeaders;

/// Class of a datagram, by its first bytes and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DatagramKind {
    /// Nothing that is selected.
    Other,
    /// A QUIC Initial. It starts a connection; its sender is the client.
    QuicInitial,
    /// A QUIC Initial in a datagram too short for the first one of a client.
    QuicShortInitial,
    /// A QUIC Retry, from a server.
    QuicRetry,
    /// A QUIC Handshake packet. Only its header is selected.
    QuicHandshake,
    /// A QUIC Handshake or 0-RTT packet before an Initial in the same datagram.
    QuicBeforeInitial,
    /// A DTLS handshake that starts with a ClientHello.
    DtlsClient,
    /// A DTLS handshake that starts with a ServerHello or HelloVerifyRequest.
    DtlsServer,
    /// A later part of a DTLS handshake.
    Dtls,
    /// The first packet of an OpenVPN client's TLS handshake.
    OpenVpnClient,
    /// The first packet of an OpenVPN server's TLS handshake.
    OpenVpnServer,
    /// A later packet of the control channel of OpenVPN.
    OpenVpn,
    /// DHCPv4 or DHCPv6 from a client, or from a relay to a server.
    DhcpClient,
    /// DHCPv4 or DHCPv6 from a server, or to a relay.
    DhcpServer,
}

/// Bytes of a QUIC Handshake packet that are selected: its header, with both connection IDs.
pub const QUIC_HEADER: u32 = 64;

/// Least payload of a datagram with the first Initial of a client (RFC 9000, section 14.1).
pub const QUIC_FIRST: u32 = 1200;

/// QUIC version 2 (RFC 9369, section 3.1).
const QUIC_V2: u32 = 0x6b33_43cf;

/// Content types of an alert and of a handshake record; bytes of a record header (RFC 6347, section 4.1).
const DTLS_ALERT: u8 = 21;
const DTLS_HANDSHAKE: u8 = 22;
const DTLS_RECORD: u32 = 13;

/// Bytes of an alert (RFC 5246, section 7.2).
const ALERT: u32 = 2;

/// Shortest payload with a handshake: a DTLS record header and handshake header. A QUIC Initial has 1200 bytes, but
/// the capture may have cut it.
const SHORTEST: u32 = 8;

/// UDP ports of DHCPv4 (RFC 2131, section 4.1), of PXE boot servers, which also use DHCP (PXE 2.1, section 2.2), and
/// of DHCPv6 (RFC 8415, section 7.2).
mod port {
    pub(super) const DHCP4_SERVER: u16 = 67;
    pub(super) const DHCP4_CLIENT: u16 = 68;
    pub(super) const PXE_SERVER: u16 = 4011;
    pub(super) const DHCP6_CLIENT: u16 = 546;
    pub(super) const DHCP6_SERVER: u16 = 547;
}

impl DatagramKind {
    /// Whether it starts a flow.
    #[inline(always)]
    pub const fn starts_flow(self) -> bool {
        !matches!(
            self,
            Self::Other
                | Self::QuicShortInitial
                | Self::QuicRetry
                | Self::QuicHandshake
                | Self::QuicBeforeInitial
                | Self::Dtls
                | Self::OpenVpn
        )
    }

    /// Whether the client is the sender, if it starts a flow.
    #[inline(always)]
    pub const fn from_client(self) -> bool {
        !matches!(self, Self::DtlsServer | Self::OpenVpnServer | Self::DhcpServer | Self::QuicRetry)
    }
}

/// Whether a datagram with these ports is DHCP with any payload: both ports are DHCP ports, or the destination port is
/// a DHCPv6 port. DHCPv6 clients may send from any port.
#[inline(always)]
const fn is_dhcp(src_port: u16, dst_port: u16) -> bool {
    match dst_port {
        port::DHCP4_SERVER | port::DHCP4_CLIENT => matches!(src_port, port::DHCP4_SERVER | port::DHCP4_CLIENT),
        port::DHCP6_CLIENT | port::DHCP6_SERVER => true,
        _ => false,
    }
}

/// Whether a datagram with these ports may be DHCP: one port is a DHCP port. Relays and some clients send from any
/// port, and the server replies to that port (RFC 8357).
#[inline(always)]
pub(crate) const fn may_be_dhcp(src_port: u16, dst_port: u16) -> bool {
    matches!(
        dst_port,
        port::DHCP4_SERVER | port::DHCP4_CLIENT | port::PXE_SERVER | port::DHCP6_CLIENT | port::DHCP6_SERVER
    ) || matches!(src_port, port::DHCP4_SERVER | port::PXE_SERVER | port::DHCP6_SERVER)
}

/// Whether a DHCP message with these ports is DHCPv6; otherwise it is DHCPv4.
#[inline(always)]
#[must_use]
pub const fn is_dhcp6(src_port: u16, dst_port: u16) -> bool {
    match dst_port {
        port::DHCP6_CLIENT | port::DHCP6_SERVER => true,
        port::DHCP4_SERVER | port::DHCP4_CLIENT | port::PXE_SERVER => false,
        _ => src_port == port::DHCP6_SERVER,
    }
}

/// Whether the first eight bytes of a payload, in network byte order, may start a handshake: a QUIC long header, or an
/// unencrypted DTLS record, bare or in a TURN message. Nearly every datagram fails this test.
#[inline(always)]
pub(crate) const fn may_begin(first: u64) -> bool {
    /// First bytes below 64 of selected payloads, as bits: STUN, DTLS, OpenVPN.
    const BELOW_64: u64 = 1 << 0 | 1 << DTLS_ALERT | 1 << DTLS_HANDSHAKE | openvpn::FIRST_BYTES;
    let byte = (first >> 56) as u8;
    if byte >= QUIC_LONG {
        return true;
    }
    // Nearly every datagram returns here. ChannelData starts with 0x40 to 0x4f.
    if byte >= 0x50 || byte < 64 && BELOW_64 >> byte & 1 == 0 {
        return false;
    }
    matches!(byte, DTLS_ALERT | DTLS_HANDSHAKE) || framing::may_carry_dtls(first) || openvpn::may_begin(byte)
}

/// Whether a payload with these first eight bytes, which starts no flow, may belong to the handshake of a tracked
/// flow.
#[inline(always)]
pub(crate) const fn may_continue(first: u64) -> bool {
    openvpn::is_control((first >> 56) as u8)
}

/// Least first byte of a QUIC long header (RFC 9000, section 17.2).
const QUIC_LONG: u8 = 0xc0;

/// Classifies a datagram.
// A separate function in the kernel: the verifier follows less.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn classify<B: FrameBytes>(frame: &B, headers: &PacketHeaders) -> DatagramKind {
    if may_be_dhcp(headers.src_port, headers.dst_port) {
        let kind = dhcp(frame, headers);
        if kind != DatagramKind::Other {
            return kind;
        }
    }
    if headers.payload_len < SHORTEST {
        return DatagramKind::Other;
    }
    let Some(first) = frame.load_far::<8>(headers.payload as usize) else {
        return DatagramKind::Other;
    };
    let first = u64::from_be_bytes(first);
    // QUIC short headers and other encrypted bulk data.
    if (0x50..QUIC_LONG).contains(&((first >> 56) as u8)) {
        return DatagramKind::Other;
    }
    if openvpn::is_control((first >> 56) as u8) && !framing::may_carry_dtls(first) {
        return control_channel(frame, headers);
    }
    if !may_begin(first) {
        return DatagramKind::Other;
    }
    if first >> 63 == 1 {
        return quic(frame, headers, first);
    }
    let mut at = headers.payload;
    let mut inner = first;
    if framing::may_carry_dtls(first) {
        framing::find_turn_data(frame, first, &mut at);
        match frame.load_far::<8>(at as usize) {
            Some(bytes) if at != 0 => inner = u64::from_be_bytes(bytes),
            _ => return DatagramKind::Other,
        }
    }
    let before = at - headers.payload;
    if before >= headers.payload_len {
        return DatagramKind::Other;
    }
    dtls(frame, at, headers.payload_len - before, inner)
}

/// Classifies a packet of the control channel of OpenVPN.
#[inline(always)]
fn control_channel<B: FrameBytes>(frame: &B, headers: &PacketHeaders) -> DatagramKind {
    match openvpn::classify(frame, headers.payload, headers.payload_len) {
        openvpn::CLIENT => DatagramKind::OpenVpnClient,
        openvpn::SERVER => DatagramKind::OpenVpnServer,
        openvpn::CONTROL | openvpn::RESET_REPLY => DatagramKind::OpenVpn,
        _ => DatagramKind::Other,
    }
}

/// Classifies a long header of a version with known keys for Initials (RFC 9000, section 17.2).
#[inline(always)]
fn quic<B: FrameBytes>(frame: &B, headers: &PacketHeaders, first: u64) -> DatagramKind {
    let version = (first >> 24) as u32;
    if !is_quic(version) {
        return DatagramKind::Other;
    }
    match quic_kind((first >> 56) as u8, version) {
        0 if headers.payload_len >= QUIC_FIRST => DatagramKind::QuicInitial,
        0 => DatagramKind::QuicShortInitial,
        3 => DatagramKind::QuicRetry,
        _ if is_initial_next(frame, headers, first) => DatagramKind::QuicBeforeInitial,
        2 => DatagramKind::QuicHandshake,
        _ => DatagramKind::Other,
    }
}

/// Type of a long header: 0 Initial, 1 0-RTT, 2 Handshake, 3 Retry. QUIC version 2 numbers them differently (RFC 9369,
/// section 3.2).
#[inline(always)]
const fn quic_kind(first_byte: u8, version: u32) -> u8 {
    let kind = first_byte >> 4 & 3;
    if version == QUIC_V2 { kind.wrapping_sub(1) & 3 } else { kind }
}

/// Whether an Initial follows the Handshake or 0-RTT packet at the start of the datagram. RFC 9000, section 12.2,
/// recommends the other order, but does not require it. Only the second packet is read.
#[inline(always)]
fn is_initial_next<B: FrameBytes>(frame: &B, headers: &PacketHeaders, first: u64) -> bool {
    /// First byte, version, and the lengths of both connection IDs. A connection ID has at most 20 bytes (RFC 9000,
    /// section 17.2).
    const FIXED: u32 = 7;
    const MAX_ID: u32 = 20;
    let at = headers.payload;
    let dcid = (first >> 16) as u8 as u32;
    if dcid > MAX_ID || headers.payload_len < FIXED + 2 * MAX_ID {
        return false;
    }
    let Some([scid]) = frame.load_far::<1>((at + FIXED - 1 + dcid) as usize) else {
        return false;
    };
    let scid = u32::from(scid);
    if scid > MAX_ID {
        return false;
    }
    // The length is a variable-length integer (RFC 9000, section 16). No datagram needs more than four bytes.
    let length_at = FIXED + dcid + scid;
    let Some(bytes) = frame.load_far::<4>((at + length_at) as usize) else {
        return false;
    };
    let bytes = u32::from_be_bytes(bytes);
    let (size, length) = match bytes >> 30 {
        0 => (1, bytes >> 24),
        1 => (2, bytes >> 16 & 0x3fff),
        2 => (4, bytes & 0x3fff_ffff),
        _ => return false,
    };
    if length > headers.payload_len {
        return false;
    }
    let next = length_at + size + length;
    if next + SHORTEST > headers.payload_len {
        return false;
    }
    let Some(next) = frame.load_far::<8>((at + next) as usize) else {
        return false;
    };
    let next = u64::from_be_bytes(next);
    let (byte, version) = ((next >> 56) as u8, (next >> 24) as u32);
    byte & 0xc0 == 0xc0 && version == (first >> 24) as u32 && quic_kind(byte, version) == 0
}

/// Whether Initials of this version can be decrypted: 1, 2, drafts 23 to 34, mvfst, and Google's versions with TLS.
#[inline(always)]
const fn is_quic(version: u32) -> bool {
    matches!(
        version,
        1 | QUIC_V2
            | 0xff00_0017..=0xff00_0022
            | 0xface_b002..=0xface_b003
            | 0xface_b00e
            | 0xface_b010..=0xface_b011
            | 0xface_b013
            | 0x5430_3530
            | 0x5430_3531
    )
}

/// Classifies a record of epoch 0, which is not encrypted. AnyConnect uses the version of a draft, 0x0100. A server
/// sends a warning before its ServerHello if it does not recognize the server name (RFC 6066, section 3); both may be
/// in one datagram.
#[inline(always)]
fn dtls<B: FrameBytes>(frame: &B, payload: u32, len: u32, first: u64) -> DatagramKind {
    let version = (first >> 40) as u16;
    let epoch = (first >> 24) as u16;
    if !matches!(version, 0xfeff | 0xfefd | 0x0100) || epoch != 0 || len <= DTLS_RECORD {
        return DatagramKind::Other;
    }
    let mut at = payload;
    if !matches!((first >> 56) as u8, DTLS_ALERT | DTLS_HANDSHAKE) {
        return DatagramKind::Other;
    }
    if (first >> 56) as u8 == DTLS_ALERT {
        let next = DTLS_RECORD + ALERT;
        // Length of the alert, its level and description, and the next record up to its epoch.
        match frame.load_far::<8>((at + DTLS_RECORD - 1) as usize) {
            Some([2, 1, _, DTLS_HANDSHAKE, _, _, 0, 0]) if len > next + DTLS_RECORD => at += next,
            _ => return DatagramKind::Other,
        }
    }
    match frame.load_far::<1>((at + DTLS_RECORD) as usize) {
        Some([1]) => DatagramKind::DtlsClient,
        Some([2 | 3]) => DatagramKind::DtlsServer,
        Some(_) => DatagramKind::Dtls,
        None => DatagramKind::Other,
    }
}

/// Classifies DHCP by the first byte: `op` of DHCPv4, the message type of DHCPv6. If only one port is a DHCP port, a
/// DHCPv4 message must have the magic cookie, and a DHCPv6 message must have a type that servers send.
#[inline(always)]
fn dhcp<B: FrameBytes>(frame: &B, headers: &PacketHeaders) -> DatagramKind {
    if headers.payload_len == 0 {
        return DatagramKind::Other;
    }
    let Some([first]) = frame.load_far::<1>(headers.payload as usize) else {
        return DatagramKind::Other;
    };
    let six = is_dhcp6(headers.src_port, headers.dst_port);
    if six != (headers.version == 6) {
        return DatagramKind::Other;
    }
    // BOOTREPLY; Advertise, Reply, Reconfigure, Relay-reply.
    let from_server = if six { matches!(first, 2 | 7 | 10 | 13) } else { first == 2 };
    if !is_dhcp(headers.src_port, headers.dst_port) {
        let is_message = if six { from_server } else { (first == 1 || from_server) && has_cookie(frame, headers) };
        if !is_message {
            return DatagramKind::Other;
        }
    }
    if from_server { DatagramKind::DhcpServer } else { DatagramKind::DhcpClient }
}

/// Whether the magic cookie follows the fixed part of a BOOTP message (RFC 2131, section 3).
#[inline(always)]
fn has_cookie<B: FrameBytes>(frame: &B, headers: &PacketHeaders) -> bool {
    /// Bytes before the cookie (RFC 2131, section 2).
    const FIXED: u32 = 236;
    headers.payload_len >= FIXED + 4
        && matches!(frame.load_far::<4>((headers.payload + FIXED) as usize), Some([0x63, 0x82, 0x53, 0x63]))
}
