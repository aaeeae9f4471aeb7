//! Large deterministic captures for the benches, identical on every machine.
//!
//! | kind | flows at scale 1 | packets per flow | measured load |
//! |---|---|---|---|
//! | `dense` | 100,000 | SYN, SYN-ACK, ACK, ClientHello, ServerHello, FIN | handshakes only |
//! | `mix` | 20,000 | the same six and 40 of data, 15 of them full-size | mostly packets without fingerprint |
//! | `pq` | 50,000 | as `dense`, with a ClientHello in two segments | reassembly of every ClientHello |
//! | `everything` | 30,000 | see [`everything`] | every protocol and method, also in tunnels |
//!
//! About 1,000 flows are active at any time, so that the packets of different flows are interleaved. One flow in eight
//! is IPv6. A capture is written while it is generated and is never held in memory as a whole.

pub mod everything;
mod tls;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::hello::Shape;
use crate::packets::{ETHERNET, PcapWriter};
use crate::random::SplitMix64;
use everything::PrebuiltFlow;
use tls::GeneratedTlsFlow;

/// Nanoseconds in a microsecond; all times below are in nanoseconds.
const MICRO: u64 = 1_000;
/// 2026-11-23 07:00:00 UTC.
const EPOCH: u64 = 1_795_417_200_000_000_000;
/// Mean interval between flow starts. With a flow duration of about 100 ms, about 1,000 flows overlap.
const GAP: u64 = 100 * MICRO;
/// Payload of the first segment of a post-quantum ClientHello, bytes: a path MTU of 1500 less tunnel overhead.
const HELLO_SEGMENT: usize = 1400;
/// Payload of a full-size segment on Ethernet with the timestamps option, bytes.
const FULL_SEGMENT: usize = 1448;
/// Data rounds of a `mix` flow. A round is one record in three full-size segments, then five small records.
const ROUNDS: u32 = 5;
const FULL_PER_ROUND: u32 = 3;
const ROUND: u32 = 8;
/// Flows per client address; each flow has its own source port.
const FLOWS_PER_CLIENT: u64 = 16;
const SERVERS: u64 = 256;
const NAMES: u64 = 4096;
/// Size of the pool of random bytes, bytes. Encrypted payload is copied from it, which is faster than generating it.
const POOL: usize = 1 << 18;

/// CaptureKind of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureKind {
    /// Handshakes only.
    Dense,
    /// Mostly bulk data.
    Mix,
    /// Every ClientHello in two segments.
    Pq,
    /// Every protocol.
    Everything,
}

impl CaptureKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Dense, Self::Mix, Self::Pq, Self::Everything];
    /// Kinds with TCP flows only, each with one ClientHello and one ServerHello.
    pub const TLS: [Self; 3] = [Self::Dense, Self::Mix, Self::Pq];

    /// Returns the name of the kind, for file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Mix => "mix",
            Self::Pq => "pq",
            Self::Everything => "everything",
        }
    }

    /// Returns the number of flows at this scale, at least one.
    pub fn flows(self, scale: f64) -> u64 {
        let full = match self {
            Self::Dense => 100_000.0,
            Self::Mix => 20_000.0,
            Self::Pq => 50_000.0,
            Self::Everything => 30_000.0,
        };
        (full * scale).round().max(1.0) as u64
    }

    /// Returns the number of packets per flow, if it is the same for all flows.
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

    /// Returns the ClientHello shape of a flow: one segment, except in `pq`.
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

/// Size of a written capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Number of packets.
    pub packets: u64,
    /// File size, bytes.
    pub bytes: u64,
}

/// Writes the capture of this kind and seed as nanosecond pcap. The number of flows is multiplied by `scale`.
///
/// # Errors
/// If `out` returns an error.
pub fn write(kind: CaptureKind, scale: f64, seed: u64, out: &mut impl Write) -> io::Result<Written> {
    let mut pcap = PcapWriter::new(BufWriter::with_capacity(1 << 20, out), ETHERNET)?;
    let mut pool = vec![0; POOL];
    SplitMix64::for_item(seed, u64::MAX).fill(&mut pool);
    let mut frame = Vec::with_capacity(2048);

    let mut starts = SplitMix64::for_item(seed, u64::MAX - 1);
    let (mut indices, mut start) = (0..kind.flows(scale), EPOCH);
    let mut next_flow = indices.next();
    // Active flows are stored in reusable slots; the heap orders them by the time of their next packet.
    let mut slots: Vec<InFlight> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut due: BinaryHeap<Reverse<(u64, u64, usize)>> = BinaryHeap::new();

    loop {
        if let Some(index) = next_flow
            && due.peek().is_none_or(|Reverse((time, ..))| start <= *time)
        {
            let flow = match kind {
                CaptureKind::Everything => InFlight::Prebuilt(PrebuiltFlow::new(seed, index)),
                _ => InFlight::Tls(Box::new(GeneratedTlsFlow::new(kind, seed, index))),
            };
            let slot = free.pop().unwrap_or(slots.len());
            if slot == slots.len() {
                slots.push(flow);
            } else {
                slots[slot] = flow;
            }
            due.push(Reverse((start, index, slot)));
            start += starts.between(GAP / 2, GAP + GAP / 2);
            next_flow = indices.next();
        }
        let Some(Reverse((time, index, slot))) = due.pop() else {
            break;
        };
        frame.clear();
        let next = match &mut slots[slot] {
            InFlight::Tls(flow) => flow.emit(kind, &pool, &mut frame),
            InFlight::Prebuilt(flow) => flow.emit(&mut frame),
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

/// An active flow.
enum InFlight {
    /// Built packet by packet.
    Tls(Box<GeneratedTlsFlow>),
    /// Built completely at the start of the flow.
    Prebuilt(PrebuiltFlow),
}

/// Returns the client and server endpoints of a flow, unique within a capture. The server port is 443.
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
