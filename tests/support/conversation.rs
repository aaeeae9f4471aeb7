//! A TCP connection built packet by packet, in any segment order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::outer_layer::OuterLayer;
use crate::packets::{self, ACK, Envelope, FIN, PSH, RST, SYN, Sender, TcpSegment, TimedFrame};

/// MSS 1460, SACK permitted, timestamps, NOP, window scale: the options a Linux host sends in a SYN.
pub const LINUX_SYN_OPTIONS: &[u8] = &[2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0x3a, 0x4f, 0x11, 0x02, 0, 0, 0, 0, 1, 3, 3, 7];
/// The options of a Linux server's SYN-ACK: as above, with a larger window scale.
pub const LINUX_SYN_ACK_OPTIONS: &[u8] =
    &[2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0x91, 0x20, 0x7c, 0x33, 0x3a, 0x4f, 0x11, 0x02, 1, 3, 3, 9];
/// Two NOPs and timestamps: the options of every later segment.
pub const TIMESTAMP_OPTIONS: &[u8] = &[1, 1, 8, 10, 0x3a, 0x4f, 0x11, 0x21, 0x91, 0x20, 0x7c, 0x41];

/// JA4T of [`TcpConversation::handshake`] (specification, section 9).
pub const JA4T: &str = "64240_2-4-8-1-3_1460_7";
/// JA4TS of [`TcpConversation::handshake`] (specification, section 9).
pub const JA4TS: &str = "65160_2-4-8-1-3_1460_9";
/// JA4L of [`TcpConversation::handshake`] (specification, section 6): half of 200 µs, and the TTL.
pub const JA4L: &str = "100_64";
/// JA4LS of [`TcpConversation::handshake`] (specification, section 6): half of 30 ms, and the TTL.
pub const JA4LS: &str = "15000_57";

const CLIENT_TTL: u8 = 64;
const SERVER_TTL: u8 = 57;
const SERVER_TAKES: Duration = Duration::from_millis(30);
const CLIENT_TAKES: Duration = Duration::from_micros(200);
/// Clock advance after a segment with payload.
const STEP: Duration = Duration::from_micros(50);
/// 2026-11-23 07:00:00 UTC, the time of the contract's example.
pub(crate) const EPOCH: Duration = Duration::from_secs(1_795_417_200);

/// Builder of the frames of one TCP connection.
#[derive(Clone, Debug)]
pub struct TcpConversation {
    client: SocketAddr,
    server: SocketAddr,
    envelope: Envelope,
    layers: Vec<OuterLayer>,
    client_isn: u32,
    server_isn: u32,
    /// First stream offset not yet sent, per side.
    client_sent: u32,
    server_sent: u32,
    now: Duration,
    packets: Vec<TimedFrame>,
}

impl TcpConversation {
    /// Returns a connection between `10.0.0.1:51234` and `10.0.0.2:443`, as in the contract's example.
    pub fn new() -> Self {
        Self::between("10.0.0.1:51234", "10.0.0.2:443")
    }

    /// Returns a connection between two endpoints, `ip:port` or `[ip]:port`.
    ///
    /// # Panics
    /// If an endpoint cannot be parsed.
    pub fn between(client: &str, server: &str) -> Self {
        Self {
            client: client.parse().expect("an address with a port"),
            server: server.parse().expect("an address with a port"),
            envelope: Envelope::default(),
            layers: Vec::new(),
            client_isn: 0x1000_0000,
            server_isn: 0x8000_0000,
            client_sent: 0,
            server_sent: 0,
            now: EPOCH,
            packets: Vec::new(),
        }
    }

    /// Sets the VLAN tags and IP extension headers of all later segments.
    pub fn inside(mut self, envelope: Envelope) -> Self {
        self.envelope = envelope;
        self
    }

    /// Sets the tunnels of all later segments, outermost first.
    pub fn through(mut self, layers: Vec<OuterLayer>) -> Self {
        self.layers = layers;
        self
    }

    /// Sets the initial sequence numbers of client and server.
    pub fn numbered(mut self, client_isn: u32, server_isn: u32) -> Self {
        (self.client_isn, self.server_isn) = (client_isn, server_isn);
        self
    }

    /// Advances the clock.
    pub fn wait(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    /// Sets the clock to this time after `EPOCH`.
    pub fn at(&mut self, time: Duration) -> &mut Self {
        self.now = EPOCH + time;
        self
    }

    /// Sends the client's SYN.
    pub fn syn(&mut self) -> &mut Self {
        self.syn_with(64_240, LINUX_SYN_OPTIONS)
    }

    /// Sends a SYN with this window and these options.
    pub fn syn_with(&mut self, window: u16, options: &[u8]) -> &mut Self {
        self.push(Sender::Client, Bits { flags: SYN, seq: self.client_isn, ack: 0, window, options }, &[])
    }

    /// Sends the server's SYN-ACK.
    pub fn syn_ack(&mut self) -> &mut Self {
        self.syn_ack_with(65_160, LINUX_SYN_ACK_OPTIONS)
    }

    /// Sends a SYN-ACK with this window and these options.
    pub fn syn_ack_with(&mut self, window: u16, options: &[u8]) -> &mut Self {
        let ack = self.client_isn.wrapping_add(1);
        self.push(Sender::Server, Bits { flags: SYN | ACK, seq: self.server_isn, ack, window, options }, &[])
    }

    /// Sends the client's SYN with its first bytes as payload (RFC 7413).
    pub fn syn_with_data(&mut self, bytes: &[u8]) -> &mut Self {
        let bits = Bits { flags: SYN, seq: self.client_isn, ack: 0, window: 64_240, options: LINUX_SYN_OPTIONS };
        self.client_sent = bytes.len() as u32;
        self.push(Sender::Client, bits, bytes)
    }

    /// Sends the server's SYN-ACK with its first bytes as payload. It acknowledges the payload of the client's SYN.
    pub fn syn_ack_with_data(&mut self, bytes: &[u8]) -> &mut Self {
        let ack = self.client_isn.wrapping_add(1).wrapping_add(self.client_sent);
        let bits = Bits { flags: SYN | ACK, seq: self.server_isn, ack, window: 65_160, options: LINUX_SYN_ACK_OPTIONS };
        self.server_sent = bytes.len() as u32;
        self.push(Sender::Server, bits, bytes)
    }

    /// Sends SYN, SYN-ACK and ACK with the latencies of [`JA4L`] and [`JA4LS`].
    pub fn handshake(&mut self) -> &mut Self {
        self.syn().wait(SERVER_TAKES).syn_ack().wait(CLIENT_TAKES).client_ack()
    }

    /// Sends a bare ACK of the client for all bytes that the server has sent.
    pub fn client_ack(&mut self) -> &mut Self {
        self.stream(Sender::Client, ACK, self.client_sent, &[])
    }

    /// Sends a bare ACK of the server for all bytes that the client has sent.
    pub fn server_ack(&mut self) -> &mut Self {
        self.stream(Sender::Server, ACK, self.server_sent, &[])
    }

    /// Sends the client's next bytes in one segment.
    pub fn client(&mut self, bytes: &[u8]) -> &mut Self {
        self.client_at(self.client_sent, bytes)
    }

    /// Sends the server's next bytes in one segment.
    pub fn server(&mut self, bytes: &[u8]) -> &mut Self {
        self.server_at(self.server_sent, bytes)
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
        self.stream(Sender::Client, FIN | ACK, self.client_sent, &[]);
        self.client_sent = self.client_sent.wrapping_add(1);
        self.stream(Sender::Server, FIN | ACK, self.server_sent, &[]);
        self.server_sent = self.server_sent.wrapping_add(1);
        self.client_ack()
    }

    /// Sends a RST of the server.
    pub fn server_reset(&mut self) -> &mut Self {
        self.stream(Sender::Server, RST | ACK, self.server_sent, &[])
    }

    /// Sends a RST of the client.
    pub fn client_reset(&mut self) -> &mut Self {
        self.stream(Sender::Client, RST | ACK, self.client_sent, &[])
    }

    /// Starts a new connection between the same endpoints, with these initial sequence numbers.
    pub fn again(&mut self, client_isn: u32, server_isn: u32) -> &mut Self {
        (self.client_isn, self.server_isn) = (client_isn, server_isn);
        (self.client_sent, self.server_sent) = (0, 0);
        self
    }

    /// Returns the packets sent so far, in order.
    pub fn packets(&self) -> &[TimedFrame] {
        &self.packets
    }

    /// Writes the packets to the capture file `folder/name`.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn save(&self, folder: &Path, name: &str) -> PathBuf {
        packets::capture_file(folder, name, &self.packets)
    }

    fn stream(&mut self, sender: Sender, flags: u8, offset: u32, bytes: &[u8]) -> &mut Self {
        let client = self.client_isn.wrapping_add(1);
        let server = self.server_isn.wrapping_add(1);
        let end = offset.wrapping_add(bytes.len() as u32);
        let (seq, ack) = match sender {
            Sender::Client => {
                self.client_sent = self.client_sent.max(end);
                (client.wrapping_add(offset), server.wrapping_add(self.server_sent))
            }
            Sender::Server => {
                self.server_sent = self.server_sent.max(end);
                (server.wrapping_add(offset), client.wrapping_add(self.client_sent))
            }
        };
        self.push(sender, Bits { flags, seq, ack, window: 502, options: TIMESTAMP_OPTIONS }, bytes)
    }

    fn push(&mut self, sender: Sender, bits: Bits<'_>, payload: &[u8]) -> &mut Self {
        let (from, to, ttl) = match sender {
            Sender::Client => (self.client, self.server, CLIENT_TTL),
            Sender::Server => (self.server, self.client, SERVER_TTL),
        };
        let Bits { flags, seq, ack, window, options } = bits;
        let mut frame = Vec::new();
        TcpSegment { from, to, ttl, seq, ack, flags, window, options, payload }.write(&self.envelope, &mut frame);
        let frame = match sender {
            Sender::Client => OuterLayer::wrap_all(&self.layers, frame),
            Sender::Server => OuterLayer::wrap_all_reversed(&self.layers, frame),
        };
        self.packets.push(TimedFrame { time: self.now, frame });
        // Packets without payload do not advance the clock, so that a test sets handshake latencies exactly.
        if !payload.is_empty() {
            self.now += STEP;
        }
        self
    }
}

impl Default for TcpConversation {
    fn default() -> Self {
        Self::new()
    }
}

/// TCP header fields that depend on the kind of segment.
struct Bits<'a> {
    flags: u8,
    seq: u32,
    ack: u32,
    window: u16,
    options: &'a [u8],
}
