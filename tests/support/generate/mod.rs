//! Large captures that are the same on every machine: what the benches replay.
//!
//! | kind | flows at scale 1 | packets of a flow | what it weighs |
//! |---|---|---|---|
//! | `dense` | 100,000 | SYN, SYN-ACK, ACK, ClientHello, ServerHello, FIN | handshakes and nothing else |
//! | `mix` | 20,000 | the same six and 40 of data, 15 of them full-size | mostly packets that yield nothing |
//! | `pq` | 50,000 | as `dense`, with a hello in two segments | reassembly of every hello |
//! | `everything` | 30,000 | see [`everything`] | every protocol and method, in tunnels too |
//!
//! About a thousand flows are in flight at any time, so that no flow's packets stand together. One flow in eight is
//! IPv6. A capture is written as it is made; it is never in memory as a whole.

pub mod everything;
mod tls;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::hello::Shape;
use crate::packets::{ETHERNET, PcapWriter};
use crate::random::SplitMix64;
use everything::Told;

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
    /// Every protocol.
    Everything,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Dense, Self::Mix, Self::Pq, Self::Everything];
    /// Those of which each flow is TCP, and has one ClientHello and one ServerHello.
    pub const TLS: [Self; 3] = [Self::Dense, Self::Mix, Self::Pq];

    /// Its name, for a file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Mix => "mix",
            Self::Pq => "pq",
            Self::Everything => "everything",
        }
    }

    /// How many flows it has at this scale, at least one.
    pub fn flows(self, scale: f64) -> u64 {
        let full = match self {
            Self::Dense => 100_000.0,
            Self::Mix => 20_000.0,
            Self::Pq => 50_000.0,
            Self::Everything => 30_000.0,
        };
        (full * scale).round().max(1.0) as u64
    }

    /// How many packets each flow has, where all have as many.
    pub const fn packets_per_flow(self) -> Option<u64> {
        match self {
            Self::Dense => Some(6),
            Self::Mix => Some(6 + (ROUNDS * ROUND) as u64),
            Self::Pq => Some(7),
            Self::Everything => None,
        }
    }

    const fn data_segments(self) -> u32 {
        match self {
            Self::Mix => ROUNDS * ROUND,
            _ => 0,
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
    let mut slots: Vec<InFlight> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut due: BinaryHeap<Reverse<(u64, u64, usize)>> = BinaryHeap::new();

    loop {
        if let Some(index) = next_flow
            && due.peek().is_none_or(|Reverse((time, ..))| birth <= *time)
        {
            let flow = match kind {
                Kind::Everything => InFlight::Told(Told::new(seed, index)),
                _ => InFlight::Tls(Box::new(tls::Flow::new(kind, seed, index))),
            };
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
        let next = match &mut slots[slot] {
            InFlight::Tls(flow) => flow.emit(kind, &pool, &mut frame),
            InFlight::Told(flow) => flow.emit(&mut frame),
        };
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
enum InFlight {
    /// Made packet by packet.
    Tls(Box<tls::Flow>),
    /// Made when it begins.
    Told(Told),
}

/// The ends of a flow; no two flows of a capture have the same. The server is at port 443.
fn ends(index: u64, random: &mut SplitMix64) -> (SocketAddr, SocketAddr) {
    let host = 1 + index / FLOWS_PER_CLIENT;
    let ports = 28_000 / FLOWS_PER_CLIENT;
    let port = 32_768 + (index % FLOWS_PER_CLIENT) * ports + random.below(ports);
    let peer = random.below(SERVERS) as u8;
    let (client, server): (IpAddr, IpAddr) = if host % 8 == 7 {
        let net = |subnet, host: u64| Ipv6Addr::new(0x2001, 0xdb8, subnet, 0, 0, 0, (host >> 16) as u16, host as u16);
        (net(0xc, host).into(), net(0x5, u64::from(peer)).into())
    } else {
        let [.., a, b, c] = host.to_be_bytes();
        (Ipv4Addr::new(10, a, b, c).into(), Ipv4Addr::new(198, 51, 100, peer).into())
    };
    (SocketAddr::new(client, port as u16), SocketAddr::new(server, 443))
}
