//! Large captures that are the same on every machine: what the benches replay.
//!
//! | kind | flows at scale 1 | packets of a flow | what it weighs |
//! |---|---|---|---|
//! | `dense` | 100,000 | SYN, SYN-ACK, ACK, ClientHello, ServerHello, FIN | handshakes and nothing else |
//! | `mix` | 20,000 | the same six and 40 of data, 15 of them full-size | mostly packets that yield nothing |
//! | `pq` | 50,000 | as `dense`, with a hello in two segments | reassembly of every hello |
//!
//! About a thousand flows are in flight at any time, so that no flow's packets stand together. One flow in eight is
//! IPv6. A capture is written as it is made; it is never in memory as a whole.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::conversation::{LINUX_SYN_ACK_OPTIONS, LINUX_SYN_OPTIONS, TIMESTAMP_OPTIONS};
use crate::hello::{self, Shape};
use crate::packets::{ACK, ETHERNET, Envelope, FIN, PSH, PcapWriter, SYN, Segment};
use crate::random::SplitMix64;

/// Nanoseconds in a microsecond; all times below are in nanoseconds.
const MICRO: u64 = 1_000;
/// 2026-11-23 07:00:00 UTC.
const EPOCH: u64 = 1_795_417_200_000_000_000;
/// A flow begins this long after the one before, on average. With a life of about 100 ms, a thousand overlap.
const GAP: u64 = 100 * MICRO;
/// The first segment of a post-quantum hello: what is left of a path MTU of 1500 within a tunnel.
const HELLO_SEGMENT: usize = 1400;
/// A full segment on Ethernet beside a timestamp option.
const FULL_SEGMENT: usize = 1448;
/// Data of a `mix` flow comes in this many rounds: one record in three full segments, then five small records.
const ROUNDS: u32 = 5;
const FULL_PER_ROUND: u32 = 3;
const ROUND: u32 = 8;
/// Flows that one client opens, from ports of its own.
const FLOWS_PER_CLIENT: u64 = 16;
const SERVERS: u64 = 256;
const NAMES: u64 = 4096;
/// Encrypted bytes are cut out of a pool of this size: random enough, and as fast as memory.
const POOL: usize = 1 << 18;

/// Which capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Handshakes only.
    Dense,
    /// Mostly bulk.
    Mix,
    /// Hellos in two segments.
    Pq,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Dense, Self::Mix, Self::Pq];

    /// Its name, for a file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Mix => "mix",
            Self::Pq => "pq",
        }
    }

    /// How many flows it has at this scale, at least one. Each has one ClientHello and one ServerHello.
    pub fn flows(self, scale: f64) -> u64 {
        let full = match self {
            Self::Dense => 100_000.0,
            Self::Mix => 20_000.0,
            Self::Pq => 50_000.0,
        };
        (full * scale).round().max(1.0) as u64
    }

    /// How many packets each flow has.
    pub const fn packets_per_flow(self) -> u64 {
        match self {
            Self::Dense => 6,
            Self::Mix => 6 + (ROUNDS * ROUND) as u64,
            Self::Pq => 7,
        }
    }

    const fn data_segments(self) -> u32 {
        match self {
            Self::Mix => ROUNDS * ROUND,
            Self::Dense | Self::Pq => 0,
        }
    }

    /// What says hello in this capture: a hello of one segment, but for `pq`.
    fn shape(self, random: &mut SplitMix64) -> Shape {
        match (self, random.below(10)) {
            (Self::Pq, _) => Shape::PostQuantum,
            (_, 0..5) => Shape::Browser,
            (_, 5..7) => Shape::Curl,
            (_, 7..9) => Shape::Go,
            _ => Shape::Device,
        }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Packets.
    pub packets: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes the capture of this kind and seed, `scale` times as many flows as its full size, as nanosecond pcap.
///
/// # Errors
/// Those of `out`.
pub fn write(kind: Kind, scale: f64, seed: u64, out: &mut impl Write) -> io::Result<Written> {
    let mut pcap = PcapWriter::new(BufWriter::with_capacity(1 << 20, out), ETHERNET)?;
    let mut pool = vec![0; POOL];
    SplitMix64::for_item(seed, u64::MAX).fill(&mut pool);
    let mut frame = Vec::with_capacity(2048);

    let mut starts = SplitMix64::for_item(seed, u64::MAX - 1);
    let (mut unborn, mut birth) = (0..kind.flows(scale), EPOCH);
    let mut next_flow = unborn.next();
    // Flows in flight live in slots that are used again; the heap says whose packet is next.
    let mut slots: Vec<Flow> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut due: BinaryHeap<Reverse<(u64, u64, usize)>> = BinaryHeap::new();

    loop {
        if let Some(index) = next_flow
            && due.peek().is_none_or(|Reverse((time, ..))| birth <= *time)
        {
            let flow = Flow::new(kind, seed, index);
            let slot = free.pop().unwrap_or(slots.len());
            if slot == slots.len() {
                slots.push(flow);
            } else {
                slots[slot] = flow;
            }
            due.push(Reverse((birth, index, slot)));
            birth += starts.between(GAP / 2, GAP + GAP / 2);
            next_flow = unborn.next();
        }
        let Some(Reverse((time, index, slot))) = due.pop() else {
            break;
        };
        frame.clear();
        let next = slots[slot].emit(kind, &pool, &mut frame);
        pcap.packet(time, &frame)?;
        match next {
            Some(delay) => due.push(Reverse((time + delay, index, slot))),
            None => free.push(slot),
        }
    }
    let written = Written { packets: pcap.packets(), bytes: pcap.bytes() };
    pcap.finish()?;
    Ok(written)
}

/// A flow in flight.
struct Flow {
    random: SplitMix64,
    shape: Shape,
    client: SocketAddr,
    server: SocketAddr,
    next: Step,
    /// Next sequence number, per side.
    client_seq: u32,
    server_seq: u32,
    client_ttl: u8,
    server_ttl: u8,
    /// From the observer to the server and back.
    round_trip: u64,
    /// The second segment of a hello in two.
    rest: Vec<u8>,
}

/// The packet that a flow sends next.
#[derive(Clone, Copy)]
enum Step {
    Syn,
    SynAck,
    Ack,
    Hello,
    HelloRest,
    ServerHello,
    /// The number of the data segment.
    Data(u32),
    Fin,
}

impl Flow {
    fn new(kind: Kind, seed: u64, index: u64) -> Self {
        let mut random = SplitMix64::for_item(seed ^ u64::from(kind.packets_per_flow() as u32), index);
        let host = 1 + index / FLOWS_PER_CLIENT;
        let ports = 28_000 / FLOWS_PER_CLIENT;
        let port = 32_768 + (index % FLOWS_PER_CLIENT) * ports + random.below(ports);
        let peer = random.below(SERVERS) as u8;
        let (client, server): (IpAddr, IpAddr) = if host % 8 == 7 {
            let net =
                |subnet, host: u64| Ipv6Addr::new(0x2001, 0xdb8, subnet, 0, 0, 0, (host >> 16) as u16, host as u16);
            (net(0xc, host).into(), net(0x5, u64::from(peer)).into())
        } else {
            let [.., a, b, c] = host.to_be_bytes();
            (Ipv4Addr::new(10, a, b, c).into(), Ipv4Addr::new(198, 51, 100, peer).into())
        };
        Self {
            shape: kind.shape(&mut random),
            client: SocketAddr::new(client, port as u16),
            server: SocketAddr::new(server, 443),
            next: Step::Syn,
            client_seq: random.next() as u32,
            server_seq: random.next() as u32,
            client_ttl: if random.below(4) == 0 { 128 } else { 64 },
            server_ttl: random.between(45, 60) as u8,
            round_trip: random.between(2_000 * MICRO, 60_000 * MICRO),
            rest: Vec::new(),
            random,
        }
    }

    /// Writes the next packet; returns how long after it the one after that comes, if there is one.
    fn emit(&mut self, kind: Kind, pool: &[u8], frame: &mut Vec<u8>) -> Option<u64> {
        let soon = self.random.between(20 * MICRO, 400 * MICRO);
        let (next, delay) = match self.next {
            Step::Syn => {
                self.client(frame, SYN, 64_240, LINUX_SYN_OPTIONS, &[]);
                (Step::SynAck, self.round_trip)
            }
            Step::SynAck => {
                self.server(frame, SYN | ACK, 65_160, LINUX_SYN_ACK_OPTIONS, &[]);
                (Step::Ack, soon)
            }
            Step::Ack => {
                self.client(frame, ACK, 502, TIMESTAMP_OPTIONS, &[]);
                (Step::Hello, soon)
            }
            Step::Hello => {
                let name = format!("www.site-{:04}.example", self.random.below(NAMES));
                let mut bytes = hello::records(&self.shape.client_hello(&name, &mut self.random), usize::MAX);
                self.rest = bytes.split_off(bytes.len().min(HELLO_SEGMENT));
                let whole = self.rest.is_empty();
                self.client(frame, if whole { PSH | ACK } else { ACK }, 502, TIMESTAMP_OPTIONS, &bytes);
                // The second half follows on the first one's heels.
                if whole { (Step::ServerHello, self.round_trip) } else { (Step::HelloRest, 12 * MICRO) }
            }
            Step::HelloRest => {
                let bytes = std::mem::take(&mut self.rest);
                self.client(frame, PSH | ACK, 502, TIMESTAMP_OPTIONS, &bytes);
                (Step::ServerHello, self.round_trip)
            }
            Step::ServerHello => {
                let flight = match self.shape {
                    Shape::Device => hello::records(&hello::server_hello_12(&mut self.random), usize::MAX),
                    _ => hello::server_flight_13(&mut self.random, 64),
                };
                self.server(frame, PSH | ACK, 502, TIMESTAMP_OPTIONS, &flight);
                (if kind.data_segments() > 0 { Step::Data(0) } else { Step::Fin }, soon)
            }
            Step::Data(number) => {
                self.data(number, pool, frame);
                let last = number + 1 == kind.data_segments();
                (if last { Step::Fin } else { Step::Data(number + 1) }, soon)
            }
            Step::Fin => {
                self.client(frame, FIN | ACK, 502, TIMESTAMP_OPTIONS, &[]);
                return None;
            }
        };
        self.next = next;
        Some(delay)
    }

    /// Application data: only the first segment of a record begins with the record's header.
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
        Segment { from, to, ttl, seq, ack, flags, window, options, payload }.write(&Envelope::default(), frame);
    }

    fn server(&mut self, frame: &mut Vec<u8>, flags: u8, window: u16, options: &[u8], payload: &[u8]) {
        let seq = self.server_seq;
        self.server_seq = seq.wrapping_add(payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0));
        let (from, to, ttl, ack) = (self.server, self.client, self.server_ttl, self.client_seq);
        Segment { from, to, ttl, seq, ack, flags, window, options, payload }.write(&Envelope::default(), frame);
    }
}
