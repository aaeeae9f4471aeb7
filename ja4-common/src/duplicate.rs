//! Duplicates: packets that another capture point has seen less than a second ago.
//!
//! A capture point is an interface and a hook. A forwarded packet passes two capture points, and a mirrored packet
//! passes one for each copy. The same packet again at the same capture point is a retransmission, not a duplicate.
//!
//! | packet | is a duplicate if these are equal |
//! |---|---|
//! | TCP | sequence number, acknowledgment number, flags, payload length; without payload also the window |
//! | TCP with payload | or: another capture point has seen its whole range of sequence numbers |
//! | UDP | UDP length, first 16 payload bytes, IP identification |
//!
//! TTL, VLAN tags and checksums are not compared, because routers and NICs change them.
//!
//! A packet is compared with two stores. Each TCP direction stores the range of payload that one capture point has
//! seen in order ([`SeenRange`]), because GRO, TSO and routers merge and split segments. All flows share a table of
//! recent packets, indexed by a hash of the compared fields. Only packets that are not duplicates are added, so a
//! retransmission is compared with the first transmission at its own capture point.
//!
//! After [`FIRST_PACKETS`] packets at one capture point, the packets of a direction are no longer compared, because
//! the comparison costs more than the rare case justifies. They are compared again from the first packet at another
//! capture point.

use crate::bytes::{FrameBytes, HeaderWindow, SliceFrame};
use crate::flow::{DirectionState, SeenRange, mix};
use crate::headers::{PROTO_TCP, PacketHeaders, tcp_flag};

/// Number of packets of a direction that are added to the table while only one capture point has seen the direction. A
/// mirror port delivers packets in batches, so another capture point may lag by one receive batch (64 packets in
/// Linux).
pub const FIRST_PACKETS: u64 = 64;

/// Buckets of the table in the kernel: 1 MiB. A packet is overwritten after four others were added to its bucket,
/// which takes about 100,000 packets. A duplicate follows within some hundred packets.
pub const BUCKETS: u32 = 1 << 15;

/// A bucket of the table: packets with the same index, newest first.
pub type RecentBucket = [u64; 4];

/// Log2 of the unit of [`SeenRange::time`] in nanoseconds, and one second in that unit.
const RANGE_TIME: (u32, u32) = (20, 953);

/// The same for times in the table, which have [`TIME_BITS`] bits.
const TABLE_TIME: (u32, u32) = (23, 119);

/// Set in [`SeenRange::capture_point`] once another capture point has seen a packet of the direction.
const SEVERAL_POINTS: u32 = 1 << 31;

/// A packet in the table has 36 bits of its hash, its capture point, and its time. The time wraps around after nine
/// minutes, which is longer than keep-alive intervals.
const POINT_BITS: u32 = 12;
const TIME_BITS: u32 = 16;

/// Greatest distance between the end of a range and a segment in it: 1 GiB, because sequence numbers wrap around.
const LONGEST: u32 = 1 << 30;

/// The table of recent packets of one host.
pub trait RecentTable {
    /// The bucket for a hash; `None` without a table.
    fn bucket(&mut self, hash: u64) -> Option<&mut RecentBucket>;

    /// Time of the current frame, nanoseconds; in the kernel at most a tenth of a second old.
    fn now(&self) -> u64;
}

/// The step of comparison that the kernel programs call as a global function.
pub trait DuplicateStage: FrameBytes + Sized {
    /// Calls [`is_duplicate`].
    #[inline(always)]
    fn is_duplicate<R: RecentTable>(
        &self,
        headers: &PacketHeaders,
        flow: u64,
        capture_point: u32,
        direction: &mut DirectionState,
        recent: &mut R,
    ) -> bool {
        is_duplicate(self, headers, flow, capture_point, direction, recent)
    }
}

impl DuplicateStage for SliceFrame<'_> {}

/// Time in the unit of [`SeenRange::time`]. It wraps around.
#[inline(always)]
const fn range_time(now: u64) -> u32 {
    (now >> RANGE_TIME.0) as u32
}

/// Whether two such times are less than a second apart. Packets of several capture points arrive in any order.
#[inline(always)]
const fn is_recent_range(now: u32, then: u32) -> bool {
    now.wrapping_sub(then).wrapping_add(RANGE_TIME.1 - 1) < 2 * RANGE_TIME.1 - 1
}

/// Whether a packet need not be compared: only this capture point has seen its direction, for [`FIRST_PACKETS`]
/// packets or more.
#[inline(always)]
pub(crate) fn is_exempt(direction: &DirectionState, capture_point: u32) -> bool {
    direction.packets >= FIRST_PACKETS && direction.range.capture_point == capture_point
}

/// Whether a packet is a duplicate. A packet that is not is added to the table and to the range of its direction.
/// `flow` is the hash of its flow and direction.
#[inline(always)]
pub fn is_duplicate<B: FrameBytes, R: RecentTable>(
    frame: &B,
    headers: &PacketHeaders,
    flow: u64,
    capture_point: u32,
    direction: &mut DirectionState,
    recent: &mut R,
) -> bool {
    let now = recent.now();
    let PacketHeaders { seq, payload_len, proto, .. } = *headers;
    let has_range = proto == PROTO_TCP && payload_len > 0;
    let range = &mut direction.range;
    if direction.packets == 0 && range.capture_point == 0 {
        // A SYN takes one sequence number. Its payload follows.
        let start = seq.wrapping_add(u32::from(headers.flags & tcp_flag::SYN != 0));
        *range = SeenRange { capture_point, start, end: start, time: range_time(now) };
    }
    if range.capture_point & !SEVERAL_POINTS != capture_point {
        if has_range && range.contains(seq, payload_len) && is_recent_range(range_time(now), range.time) {
            range.capture_point |= SEVERAL_POINTS;
            return true;
        }
        range.capture_point |= SEVERAL_POINTS;
    }
    // A packet that was cut before this capture point is not stored: another capture point may see the whole packet.
    let is_cut = (B::MAY_BE_CUT || headers.inner != 0)
        && payload_len > 0
        && frame.load_far::<1>((headers.payload + payload_len - 1) as usize).is_none();
    let hash = identify(frame, headers, flow);
    if let Some(bucket) = recent.bucket(hash)
        && is_known(bucket, hash, capture_point, now, !is_cut)
    {
        return true;
    }
    if has_range && !is_cut {
        range.extend(capture_point, seq, payload_len, range_time(now));
    }
    false
}

/// Whether a bucket has the same packet, seen at another capture point less than a second ago. Otherwise the packet is
/// added to the bucket if `remember` is set.
#[inline(always)]
pub fn is_known(bucket: &mut RecentBucket, hash: u64, capture_point: u32, now: u64, remember: bool) -> bool {
    const POINT: u64 = (1 << POINT_BITS) - 1;
    const TIME: u64 = (1 << TIME_BITS) - 1;
    const WITHIN: u64 = TABLE_TIME.1 as u64;
    let capture_point =
        u64::from(capture_point ^ capture_point >> POINT_BITS ^ capture_point >> (2 * POINT_BITS)) & POINT;
    let time = now >> TABLE_TIME.0 & TIME;
    let tag = hash >> (POINT_BITS + TIME_BITS);
    let [a, b, c, d] = *bucket;
    // One test after the other: a boolean over several comparisons would be many states for the verifier.
    for entry in [a, b, c, d] {
        if entry >> (POINT_BITS + TIME_BITS) == tag
            && entry >> TIME_BITS & POINT != capture_point
            && entry != 0
            && time.wrapping_sub(entry).wrapping_add(WITHIN - 1) & TIME < 2 * WITHIN - 1
        {
            return true;
        }
    }
    if !remember {
        return false;
    }
    *bucket = [tag << (POINT_BITS + TIME_BITS) | capture_point << TIME_BITS | time, a, b, c];
    false
}

/// Whether another capture point has seen the whole payload range of a packet less than a second ago.
pub fn is_in_range(direction: &DirectionState, headers: &PacketHeaders, capture_point: u32, now: u64) -> bool {
    let range = &direction.range;
    headers.proto == PROTO_TCP
        && headers.payload_len > 0
        && direction.packets > 0
        && range.capture_point & !SEVERAL_POINTS != capture_point
        && range.contains(headers.seq, headers.payload_len)
        && is_recent_range(range_time(now), range.time)
}

/// Hash of the fields that a packet and its duplicates have in common.
#[inline(always)]
pub fn identify<B: FrameBytes>(frame: &B, headers: &PacketHeaders, flow: u64) -> u64 {
    let PacketHeaders { seq, payload_len, flags, .. } = *headers;
    if headers.proto == PROTO_TCP {
        let (mut ack, mut window) = (0, 0);
        if let Some(tcp) = frame.window::<16>(headers.l4 as usize) {
            ack = tcp.be32::<8>();
            if payload_len == 0 {
                window = tcp.be16::<14>();
            }
        }
        let first = u64::from(seq) << 32 | u64::from(ack);
        let second = u64::from(payload_len) << 32 | u64::from(window) << 8 | u64::from(flags);
        return mix_in(mix_in(flow, first), second);
    }
    let mut id = 0;
    if headers.version == 4
        && let Some(ip) = frame.window::<6>(headers.l3 as usize)
    {
        id = ip.be16::<4>();
    }
    let (first, second) = first_bytes(frame, headers.payload, payload_len);
    mix_in(mix_in(mix_in(flow, first), second), u64::from(payload_len) << 16 | u64::from(id))
}

/// The first 16 bytes of a datagram's payload. Of a shorter payload, all bytes, some of them twice.
#[inline(always)]
fn first_bytes<B: FrameBytes>(frame: &B, at: u32, len: u32) -> (u64, u64) {
    let at = at as usize;
    if len >= 8 {
        let next = if len >= 16 { 8 } else { len as usize - 8 };
        return (eight(frame, at), eight(frame, at + next));
    }
    if len >= 4 {
        return (four(frame, at), four(frame, at + len as usize - 4));
    }
    if len == 0 {
        return (0, 0);
    }
    (one(frame, at) << 8 | one(frame, at + len as usize / 2), one(frame, at + len as usize - 1))
}

#[inline(always)]
fn eight<B: FrameBytes>(frame: &B, at: usize) -> u64 {
    frame.load_far::<8>(at).map_or(0, u64::from_be_bytes)
}

#[inline(always)]
fn four<B: FrameBytes>(frame: &B, at: usize) -> u64 {
    frame.load_far::<4>(at).map_or(0, u32::from_be_bytes).into()
}

#[inline(always)]
fn one<B: FrameBytes>(frame: &B, at: usize) -> u64 {
    frame.load_far::<1>(at).map_or(0, |[byte]| byte).into()
}

#[inline(always)]
fn mix_in(hash: u64, value: u64) -> u64 {
    mix(hash ^ value, 0x9e37_79b9_7f4a_7c15)
}

impl SeenRange {
    /// Whether the whole segment is in the range.
    #[inline(always)]
    fn contains(&self, seq: u32, len: u32) -> bool {
        let before_end = self.end.wrapping_sub(seq);
        before_end >= len && before_end <= self.end.wrapping_sub(self.start) && before_end <= LONGEST
    }

    /// Adds a segment. A segment that does not continue the range starts a new one.
    #[inline(always)]
    fn extend(&mut self, capture_point: u32, seq: u32, len: u32, now: u32) {
        if self.capture_point & !SEVERAL_POINTS != capture_point {
            self.capture_point = capture_point | SEVERAL_POINTS;
            (self.start, self.end) = (seq, seq);
        }
        if seq == self.end {
            self.end = seq.wrapping_add(len);
        } else if !self.contains(seq, len) {
            (self.start, self.end) = (seq, seq.wrapping_add(len));
        }
        self.time = now;
    }
}
