//! Conversations over TCP, in any segment order.

use std::time::Duration;

use super::builder::Conversation;
use crate::packets::{ACK, FIN, PSH, RST, SYN, Sender, TcpSegment};

/// MSS 1460, SACK permitted, timestamps, NOP, window scale: the options a Linux host sends in a SYN.
pub const LINUX_SYN_OPTIONS: &[u8] = &[2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0x3a, 0x4f, 0x11, 0x02, 0, 0, 0, 0, 1, 3, 3, 7];
/// The options of a Linux server's SYN-ACK: as above, with a larger window scale.
pub const LINUX_SYN_ACK_OPTIONS: &[u8] =
    &[2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0x91, 0x20, 0x7c, 0x33, 0x3a, 0x4f, 0x11, 0x02, 1, 3, 3, 9];
/// Two NOPs and timestamps: the options of every later segment.
pub const TIMESTAMP_OPTIONS: &[u8] = &[1, 1, 8, 10, 0x3a, 0x4f, 0x11, 0x21, 0x91, 0x20, 0x7c, 0x41];

/// JA4T of [`TcpConversation::handshake`] (FoxIO JA4+ technical details, JA4T).
pub const JA4T: &str = "64240_2-4-8-1-3_1460_7";
/// JA4TS of [`TcpConversation::handshake`] (FoxIO JA4+ technical details, JA4T).
pub const JA4TS: &str = "65160_2-4-8-1-3_1460_9";
/// JA4L of [`TcpConversation::handshake`] (FoxIO JA4+ technical details, JA4L): half of 200 µs, and the TTL.
pub const JA4L: &str = "100_64";
/// JA4LS of [`TcpConversation::handshake`] (FoxIO JA4+ technical details, JA4L): half of 30 ms, and the TTL.
pub const JA4LS: &str = "15000_57";

const CLIENT_TTL: u8 = 64;
const SERVER_TTL: u8 = 57;
const SERVER_DELAY: Duration = Duration::from_millis(30);
const CLIENT_DELAY: Duration = Duration::from_micros(200);
/// Clock advance after a segment with payload.
const STEP: Duration = Duration::from_micros(50);

/// Builder of the packets of one TCP connection.
pub type TcpConversation = Conversation<TcpState>;

/// Sequence numbers of a TCP connection.
#[derive(Clone, Debug)]
pub struct TcpState {
    client_isn: u32,
    server_isn: u32,
    /// First stream offset not yet sent, per side.
    client_sent: u32,
    server_sent: u32,
}

impl Default for TcpState {
    fn default() -> Self {
        Self { client_isn: 0x1000_0000, server_isn: 0x8000_0000, client_sent: 0, server_sent: 0 }
    }
}

impl TcpConversation {
    /// Returns a connection between `10.0.0.1:51234` and `10.0.0.2:443`.
    pub fn new() -> Self {
        Self::between("10.0.0.1:51234", "10.0.0.2:443")
    }

    /// Sets the initial sequence numbers of client and server.
    pub fn numbered(mut self, client_isn: u32, server_isn: u32) -> Self {
        (self.state.client_isn, self.state.server_isn) = (client_isn, server_isn);
        self
    }

    /// Sends the client's SYN.
    pub fn syn(&mut self) -> &mut Self {
        self.syn_with(64_240, LINUX_SYN_OPTIONS)
    }

    /// Sends a SYN with this window and these options.
    pub fn syn_with(&mut self, window: u16, options: &[u8]) -> &mut Self {
        self.segment(
            Sender::Client,
            SegmentFields { flags: SYN, seq: self.state.client_isn, ack: 0, window, options },
            &[],
        )
    }

    /// Sends the server's SYN-ACK.
    pub fn syn_ack(&mut self) -> &mut Self {
        self.syn_ack_with(65_160, LINUX_SYN_ACK_OPTIONS)
    }

    /// Sends a SYN-ACK with this window and these options.
    pub fn syn_ack_with(&mut self, window: u16, options: &[u8]) -> &mut Self {
        let ack = self.state.client_isn.wrapping_add(1);
        self.segment(
            Sender::Server,
            SegmentFields { flags: SYN | ACK, seq: self.state.server_isn, ack, window, options },
            &[],
        )
    }

    /// Sends the client's SYN with its first bytes as payload (RFC 7413).
    pub fn syn_with_data(&mut self, bytes: &[u8]) -> &mut Self {
        let fields = SegmentFields {
            flags: SYN,
            seq: self.state.client_isn,
            ack: 0,
            window: 64_240,
            options: LINUX_SYN_OPTIONS,
        };
        self.state.client_sent = bytes.len() as u32;
        self.segment(Sender::Client, fields, bytes)
    }

    /// Sends the server's SYN-ACK with its first bytes as payload. It acknowledges the payload of the client's SYN.
    pub fn syn_ack_with_data(&mut self, bytes: &[u8]) -> &mut Self {
        let ack = self.state.client_isn.wrapping_add(1).wrapping_add(self.state.client_sent);
        let fields = SegmentFields {
            flags: SYN | ACK,
            seq: self.state.server_isn,
            ack,
            window: 65_160,
            options: LINUX_SYN_ACK_OPTIONS,
        };
        self.state.server_sent = bytes.len() as u32;
        self.segment(Sender::Server, fields, bytes)
    }

    /// Sends SYN, SYN-ACK and ACK with the latencies of [`JA4L`] and [`JA4LS`].
    pub fn handshake(&mut self) -> &mut Self {
        self.syn().wait(SERVER_DELAY).syn_ack().wait(CLIENT_DELAY).client_ack()
    }

    /// Sends a bare ACK of the client for all bytes that the server has sent.
    pub fn client_ack(&mut self) -> &mut Self {
        self.stream(Sender::Client, ACK, self.state.client_sent, &[])
    }

    /// Sends a bare ACK of the server for all bytes that the client has sent.
    pub fn server_ack(&mut self) -> &mut Self {
        self.stream(Sender::Server, ACK, self.state.server_sent, &[])
    }

    /// Sends the client's next bytes in one segment.
    pub fn client(&mut self, bytes: &[u8]) -> &mut Self {
        self.client_at(self.state.client_sent, bytes)
    }

    /// Sends the server's next bytes in one segment.
    pub fn server(&mut self, bytes: &[u8]) -> &mut Self {
        self.server_at(self.state.server_sent, bytes)
    }

    /// Sends a segment of the client with the bytes at this stream offset, regardless of the bytes sent before.
    pub fn client_at(&mut self, offset: u32, bytes: &[u8]) -> &mut Self {
        self.stream(Sender::Client, PSH | ACK, offset, bytes)
    }

    /// Sends a segment of the server with the bytes at this stream offset, regardless of the bytes sent before.
    pub fn server_at(&mut self, offset: u32, bytes: &[u8]) -> &mut Self {
        self.stream(Sender::Server, PSH | ACK, offset, bytes)
    }

    /// Sends a FIN from both sides, the client first, and the client's last ACK.
    pub fn close(&mut self) -> &mut Self {
        self.stream(Sender::Client, FIN | ACK, self.state.client_sent, &[]);
        self.state.client_sent = self.state.client_sent.wrapping_add(1);
        self.stream(Sender::Server, FIN | ACK, self.state.server_sent, &[]);
        self.state.server_sent = self.state.server_sent.wrapping_add(1);
        self.client_ack()
    }

    /// Sends a RST of the server.
    pub fn server_reset(&mut self) -> &mut Self {
        self.stream(Sender::Server, RST | ACK, self.state.server_sent, &[])
    }

    /// Sends a RST of the client.
    pub fn client_reset(&mut self) -> &mut Self {
        self.stream(Sender::Client, RST | ACK, self.state.client_sent, &[])
    }

    /// Starts a new connection between the same endpoints, with these initial sequence numbers.
    pub fn again(&mut self, client_isn: u32, server_isn: u32) -> &mut Self {
        (self.state.client_isn, self.state.server_isn) = (client_isn, server_isn);
        (self.state.client_sent, self.state.server_sent) = (0, 0);
        self
    }

    fn stream(&mut self, sender: Sender, flags: u8, offset: u32, bytes: &[u8]) -> &mut Self {
        let client = self.state.client_isn.wrapping_add(1);
        let server = self.state.server_isn.wrapping_add(1);
        let end = offset.wrapping_add(bytes.len() as u32);
        let (seq, ack) = match sender {
            Sender::Client => {
                self.state.client_sent = self.state.client_sent.max(end);
                (client.wrapping_add(offset), server.wrapping_add(self.state.server_sent))
            }
            Sender::Server => {
                self.state.server_sent = self.state.server_sent.max(end);
                (server.wrapping_add(offset), client.wrapping_add(self.state.client_sent))
            }
        };
        self.segment(sender, SegmentFields { flags, seq, ack, window: 502, options: TIMESTAMP_OPTIONS }, bytes)
    }

    fn segment(&mut self, sender: Sender, fields: SegmentFields<'_>, payload: &[u8]) -> &mut Self {
        let (from, to) = self.ends(sender);
        let ttl = match sender {
            Sender::Client => CLIENT_TTL,
            Sender::Server => SERVER_TTL,
        };
        let SegmentFields { flags, seq, ack, window, options } = fields;
        let segment = TcpSegment { from, to, ttl, seq, ack, flags, window, options, payload };
        self.push(sender, |_, envelope, frame| segment.write(envelope, frame));
        // Packets without payload do not advance the clock, so that a test sets handshake latencies exactly.
        self.wait(if payload.is_empty() { Duration::ZERO } else { STEP })
    }
}

impl Default for TcpConversation {
    fn default() -> Self {
        Self::new()
    }
}

/// TCP header fields that depend on the kind of segment.
struct SegmentFields<'a> {
    flags: u8,
    seq: u32,
    ack: u32,
    window: u16,
    options: &'a [u8],
}
