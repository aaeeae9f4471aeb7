//! Flow key, symmetric hash, and the entry of a flow.

use crate::headers::{Address, PacketHeaders};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Both endpoints of a flow, the lower one first: both directions have the same key.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 32 | addresses, low endpoint first, two big-endian halves each held as host integers |
/// | 32 | 4 | ports, low endpoint first |
/// | 36 | 1 | IP protocol |
/// | 37 | 1 | 4 or 6 |
/// | 38 | 2 | zero |
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FlowKey {
    /// Addresses, low endpoint first.
    pub addr: [Address; 2],
    /// Ports, low endpoint first.
    pub port: [u16; 2],
    /// IP protocol number.
    pub proto: u8,
    /// IP version, 4 or 6.
    pub version: u8,
    /// Always zero.
    pub reserved: u16,
}

const _: () = assert!(size_of::<FlowKey>() == 40);

impl FlowKey {
    /// The key of a packet's flow, and the endpoint that sent the packet: 0 low, 1 high.
    #[inline(always)]
    pub fn of(packet: &PacketHeaders) -> (Self, u32) {
        let PacketHeaders { src, dst, src_port, dst_port, proto, version, .. } = *packet;
        let from_high = (src, src_port) > (dst, dst_port);
        let (low, high, low_port, high_port) =
            if from_high { (dst, src, dst_port, src_port) } else { (src, dst, src_port, dst_port) };
        let key = Self { addr: [low, high], port: [low_port, high_port], proto, version, reserved: 0 };
        (key, u32::from(from_high))
    }

    /// Whether two keys are equal. In the kernel, `==` would be a call that compares byte by byte.
    #[inline(always)]
    pub fn is(&self, other: &Self) -> bool {
        let ([[a, b], [c, d]], [[e, f], [g, h]]) = (self.addr, other.addr);
        let ([i, j], [k, l]) = (self.port, other.port);
        let addresses = (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h);
        let ports = (i ^ k) | (j ^ l);
        addresses == 0 && ports == 0 && self.proto == other.proto && self.version == other.version
    }

    /// Hash of the flow, equal to [`PacketHeaders::hash`] of its packets.
    #[inline(always)]
    pub fn hash(&self, seed: [u64; 2]) -> u64 {
        let ([low, high], [low_port, high_port]) = (self.addr, self.port);
        if self.version == 4 {
            let ([_, low], [_, high]) = (low, high);
            hash_v4(low as u32, low_port, high as u32, high_port, self.proto, seed)
        } else {
            hash_v6(low, low_port, high, high_port, self.proto, seed)
        }
    }
}

/// Odd multipliers from the fractional parts of the golden ratio, √2 and √3.
const M: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b];

impl PacketHeaders {
    /// Keyed hash of the packet's flow, equal for both directions. Without the seed, a sender cannot choose the shard
    /// or the slot of the membership filter.
    #[inline(always)]
    pub fn hash(&self, seed: [u64; 2]) -> u64 {
        if self.version == 4 {
            let ([_, src], [_, dst]) = (self.src, self.dst);
            hash_v4(src as u32, self.src_port, dst as u32, self.dst_port, self.proto, seed)
        } else {
            hash_v6(self.src, self.src_port, self.dst, self.dst_port, self.proto, seed)
        }
    }
}

impl PacketHeaders {
    /// Keyed hash of the addresses alone, for frames without known ports.
    #[inline(always)]
    pub fn hash_of_addresses(&self, seed: [u64; 2]) -> u64 {
        if self.version == 4 {
            let ([_, src], [_, dst]) = (self.src, self.dst);
            hash_v4(src as u32, 0, dst as u32, 0, 0, seed)
        } else {
            hash_v6(self.src, 0, self.dst, 0, 0, seed)
        }
    }
}

/// [`PacketHeaders::hash`] over IPv4, the endpoints in either order.
#[inline(always)]
pub(crate) fn hash_v4(a: u32, a_port: u16, b: u32, b_port: u16, proto: u8, seed: [u64; 2]) -> u64 {
    let a = u64::from(a) << 16 | u64::from(a_port);
    let b = u64::from(b) << 16 | u64::from(b_port);
    finish(a, b, proto, seed)
}

/// [`PacketHeaders::hash`] over IPv6, the endpoints in either order.
#[inline(always)]
pub(crate) fn hash_v6(a: Address, a_port: u16, b: Address, b_port: u16, proto: u8, seed: [u64; 2]) -> u64 {
    let [a_hi, a_lo] = a;
    let [b_hi, b_lo] = b;
    let a = mix(mix(a_hi ^ seed[1], M[2]) ^ a_lo, M[1]).wrapping_add(u64::from(a_port));
    let b = mix(mix(b_hi ^ seed[1], M[2]) ^ b_lo, M[1]).wrapping_add(u64::from(b_port));
    finish(a, b, proto, seed)
}

/// Adds both endpoints, each mixed with the seed first, so that their order does not matter.
#[inline(always)]
fn finish(a: u64, b: u64, proto: u8, seed: [u64; 2]) -> u64 {
    let sum = mix(a ^ seed[0], M[0]).wrapping_add(mix(b ^ seed[0], M[0]));
    let h = mix(sum ^ seed[1] ^ u64::from(proto), M[1]);
    h ^ h >> 29
}

#[inline(always)]
pub(crate) fn mix(value: u64, multiplier: u64) -> u64 {
    let product = value.wrapping_mul(multiplier);
    product ^ product >> 32
}

/// The shard that owns a flow. `shards` is at least 1.
#[inline(always)]
pub fn shard_of(hash: u64, shards: u32) -> u32 {
    (((hash >> 32) * u64::from(shards)) >> 32) as u32
}

/// The endpoint of the key that is the client.
pub mod client {
    /// The low endpoint.
    pub const LOW: u8 = 0;
    /// The high endpoint.
    pub const HIGH: u8 = 1;
    /// Either one. No entry has it.
    pub const UNKNOWN: u8 = 2;
}

/// Events of one direction, as bits of [`DirectionState::seen`].
pub mod seen {
    /// Its SYN or SYN-ACK was captured, so the initial sequence number is known.
    pub const ISN: u8 = 1 << 0;
    /// The client has acknowledged the SYN-ACK.
    pub const ACKED: u8 = 1 << 1;
    /// It has sent payload after the client's acknowledgment.
    pub const DATA: u8 = 1 << 2;
    /// The client has sent payload after the server's: the last point of JA4L.
    pub const ANSWERED: u8 = 1 << 3;
    /// A TLS handshake was selected.
    pub const TLS: u8 = 1 << 4;
    /// Its source port is the port of SSH.
    pub const SSH_PORT: u8 = 1 << 5;
    /// Its first segment was the letter S: the start of an SSH identification string, or the reply of a PostgreSQL
    /// server to SSLRequest.
    pub const PREFIX_S: u8 = 1 << 6;
    /// The client has acknowledged the SYN-ACK, and no more than the server may have sent before. A forged segment with
    /// a random acknowledgment number does so once in 65,536 times.
    pub const ASSURED: u8 = 1 << 7;
}

/// State of one direction of a flow. Only packets of that direction write it, so the two hooks of an interface never
/// write the same direction.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | packets |
/// | 8 | 8 | bytes on the wire |
/// | 16 | 8 | time of the last packet, ns |
/// | 24 | 4 | mark: a sequence number; the phase defines its meaning |
/// | 28 | 4 | budget: payload bytes that may still be selected |
/// | 32 | 4 | initial sequence number |
/// | 36 | 16 | range of payload seen at one capture point, see [`SeenRange`] |
/// | 52 | 1 | phase, see [`crate::stream_select::phase`] |
/// | 53 | 1 | seen, see [`seen`] |
/// | 54 | 1 | protocol, see [`crate::signature::protocol`] |
/// | 55 | 1 | framing, see [`crate::framing::kind`] |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DirectionState {
    /// Number of packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Time of the last packet, nanoseconds; in the kernel boot-clock time, at most a tenth of a second old.
    pub last_seen: u64,
    /// A sequence number. The phase defines its meaning.
    pub mark: u32,
    /// Payload bytes that may still be selected.
    pub budget: u32,
    /// Initial sequence number, if [`seen::ISN`].
    pub isn: u32,
    /// Payload that one capture point has seen, for comparison with packets at other capture points.
    pub range: SeenRange,
    /// See [`crate::stream_select::phase`].
    pub phase: u8,
    /// See [`seen`].
    pub seen: u8,
    /// See [`crate::signature::protocol`].
    pub protocol: u8,
    /// See [`crate::framing::kind`].
    pub framing: u8,
}

/// Payload of a TCP direction that one capture point has seen in order; see [`crate::duplicate`]. UDP uses only the
/// capture point.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | capture point, see [`crate::record::FrameInfo::capture_point`]; bit 31: others have seen packets, too |
/// | 4 | 4 | sequence number of the first byte |
/// | 8 | 4 | sequence number after the last byte |
/// | 12 | 4 | time of the last segment, in units of 2^20 ns |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SeenRange {
    /// Capture point. Bit 31: other capture points have seen packets, too.
    pub capture_point: u32,
    /// Sequence number of the first byte.
    pub start: u32,
    /// Sequence number after the last byte.
    pub end: u32,
    /// Time of the last segment, in units of 2^20 ns.
    pub time: u32,
}

/// The entry of a flow, in the kernel's map and in the table of a replay.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 56 | direction sent by the low endpoint |
/// | 56 | 56 | direction sent by the high endpoint |
/// | 112 | 40 | key |
/// | 152 | 1 | endpoint of the client, see [`client`] |
/// | 153 | 7 | zero |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FlowEntry {
    /// Direction sent by the low endpoint.
    pub low: DirectionState,
    /// Direction sent by the high endpoint.
    pub high: DirectionState,
    /// Key of the flow. The map in the kernel is keyed by the hash alone.
    pub key: FlowKey,
    /// Endpoint of the client, see [`client`].
    pub client: u8,
    /// Always zero.
    pub reserved: [u8; 7],
}

const _: () = assert!(size_of::<DirectionState>() == 56 && size_of::<FlowEntry>() == 160);

impl FlowEntry {
    /// The direction of a packet, and the opposite one. `from` is the endpoint that [`FlowKey::of`] returns.
    #[inline(always)]
    pub fn split(&mut self, from: u32) -> (&mut DirectionState, &mut DirectionState) {
        if from == 0 { (&mut self.low, &mut self.high) } else { (&mut self.high, &mut self.low) }
    }

    /// Packets and bytes of both directions.
    #[inline(always)]
    pub fn counters(&self) -> FlowCounters {
        FlowCounters { packets: [self.low.packets, self.high.packets], bytes: [self.low.bytes, self.high.bytes] }
    }
}

/// Packets and bytes per direction, the low endpoint's first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FlowCounters {
    /// Packets sent by the low and by the high endpoint.
    pub packets: [u64; 2],
    /// Bytes on the wire sent by the low and by the high endpoint.
    pub bytes: [u64; 2],
}
