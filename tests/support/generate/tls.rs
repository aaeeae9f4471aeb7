//! TLS connections of the captures with TLS only, built packet by packet.

use std::net::SocketAddr;

use super::{CaptureKind, FULL_PER_ROUND, FULL_SEGMENT, HELLO_SEGMENT, MICRO, NAMES, POOL, ROUND, ends};
use crate::conversation::{LINUX_SYN_ACK_OPTIONS, LINUX_SYN_OPTIONS, TIMESTAMP_OPTIONS};
use crate::hello::{self, Shape};
use crate::packets::{ACK, Envelope, FIN, PSH, SYN, TcpSegment};
use crate::random::SplitMix64;

/// An active TLS flow.
pub(super) struct GeneratedTlsFlow {
    random: SplitMix64,
    shape: Shape,
    client: SocketAddr,
    server: SocketAddr,
    next: NextPacket,
    /// Next sequence number, per side.
    client_seq: u32,
    server_seq: u32,
    client_ttl: u8,
    server_ttl: u8,
    /// Round-trip time between the capture point and the server, nanoseconds.
    round_trip: u64,
    /// Payload of the second segment of a ClientHello in two segments.
    rest: Vec<u8>,
}

/// Next packet of a flow.
#[derive(Clone, Copy)]
enum NextPacket {
    Syn,
    SynAck,
    Ack,
    Hello,
    HelloRest,
    ServerHello,
    /// Data segment with this number.
    Data(u32),
    Fin,
}

impl GeneratedTlsFlow {
    pub(super) fn new(kind: CaptureKind, seed: u64, index: u64) -> Self {
        let mut random = SplitMix64::for_item(seed ^ kind.packets_per_flow().unwrap_or_default(), index);
        let (client, server) = ends(index, &mut random);
        Self {
            shape: kind.shape(&mut random),
            client,
            server,
            next: NextPacket::Syn,
            client_seq: random.next() as u32,
            server_seq: random.next() as u32,
            client_ttl: if random.below(4) == 0 { 128 } else { 64 },
            server_ttl: random.between(45, 60) as u8,
            round_trip: random.between(2_000 * MICRO, 60_000 * MICRO),
            rest: Vec::new(),
            random,
        }
    }

    /// Writes the next packet. Returns the delay until the packet after it, nanoseconds; `None` after the last one.
    pub(super) fn emit(&mut self, kind: CaptureKind, pool: &[u8], frame: &mut Vec<u8>) -> Option<u64> {
        let soon = self.random.between(20 * MICRO, 400 * MICRO);
        let (next, delay) = match self.next {
            NextPacket::Syn => {
                self.client(frame, SYN, 64_240, LINUX_SYN_OPTIONS, &[]);
                (NextPacket::SynAck, self.round_trip)
            }
            NextPacket::SynAck => {
                self.server(frame, SYN | ACK, 65_160, LINUX_SYN_ACK_OPTIONS, &[]);
                (NextPacket::Ack, soon)
            }
            NextPacket::Ack => {
                self.client(frame, ACK, 502, TIMESTAMP_OPTIONS, &[]);
                (NextPacket::Hello, soon)
            }
            NextPacket::Hello => {
                let name = format!("www.site-{:04}.example", self.random.below(NAMES));
                let mut bytes = hello::records(&self.shape.client_hello(&name, &mut self.random), usize::MAX);
                self.rest = bytes.split_off(bytes.len().min(HELLO_SEGMENT));
                let whole = self.rest.is_empty();
                self.client(frame, if whole { PSH | ACK } else { ACK }, 502, TIMESTAMP_OPTIONS, &bytes);
                // The second segment follows 12 µs after the first.
                if whole { (NextPacket::ServerHello, self.round_trip) } else { (NextPacket::HelloRest, 12 * MICRO) }
            }
            NextPacket::HelloRest => {
                let bytes = std::mem::take(&mut self.rest);
                self.client(frame, PSH | ACK, 502, TIMESTAMP_OPTIONS, &bytes);
                (NextPacket::ServerHello, self.round_trip)
            }
            NextPacket::ServerHello => {
                let flight = match self.shape {
                    Shape::Device => hello::records(&hello::server_hello_12(&mut self.random), usize::MAX),
                    _ => hello::server_flight_13(&mut self.random, 64),
                };
                self.server(frame, PSH | ACK, 502, TIMESTAMP_OPTIONS, &flight);
                (if kind.data_segments() > 0 { NextPacket::Data(0) } else { NextPacket::Fin }, soon)
            }
            NextPacket::Data(number) => {
                self.data(number, pool, frame);
                let last = number + 1 == kind.data_segments();
                (if last { NextPacket::Fin } else { NextPacket::Data(number + 1) }, soon)
            }
            NextPacket::Fin => {
                self.client(frame, FIN | ACK, 502, TIMESTAMP_OPTIONS, &[]);
                return None;
            }
        };
        self.next = next;
        Some(delay)
    }

    /// Writes a segment of application data. Only the first segment of a record starts with a record header.
    fn data(&mut self, number: u32, pool: &[u8], frame: &mut Vec<u8>) {
        let within = number % ROUND;
        let full = within < FULL_PER_ROUND;
        let length = if full { FULL_SEGMENT } else { self.random.between(36, 100) as usize };
        let record = if full { FULL_SEGMENT * FULL_PER_ROUND as usize } else { length };
        let cut = self.random.below((POOL - FULL_SEGMENT) as u64) as usize;

        let mut payload = [0; FULL_SEGMENT];
        let payload = &mut payload[..length];
        payload.copy_from_slice(&pool[cut..cut + length]);
        if within == 0 || !full {
            let [high, low] = ((record - 5) as u16).to_be_bytes();
            payload[..5].copy_from_slice(&[23, 3, 3, high, low]);
        }
        if full || within.is_multiple_of(2) {
            self.server(frame, PSH | ACK, 502, TIMESTAMP_OPTIONS, payload);
        } else {
            self.client(frame, PSH | ACK, 502, TIMESTAMP_OPTIONS, payload);
        }
    }

    fn client(&mut self, frame: &mut Vec<u8>, flags: u8, window: u16, options: &[u8], payload: &[u8]) {
        let seq = self.client_seq;
        self.client_seq = seq.wrapping_add(payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0));
        let ack = if flags & ACK != 0 { self.server_seq } else { 0 };
        let (from, to, ttl) = (self.client, self.server, self.client_ttl);
        TcpSegment { from, to, ttl, seq, ack, flags, window, options, payload }.write(&Envelope::default(), frame);
    }

    fn server(&mut self, frame: &mut Vec<u8>, flags: u8, window: u16, options: &[u8], payload: &[u8]) {
        let seq = self.server_seq;
        self.server_seq = seq.wrapping_add(payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0));
        let (from, to, ttl, ack) = (self.server, self.client, self.server_ttl, self.client_seq);
        TcpSegment { from, to, ttl, seq, ack, flags, window, options, payload }.write(&Envelope::default(), frame);
    }
}
