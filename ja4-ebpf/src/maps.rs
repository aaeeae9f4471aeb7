//! The maps, one static each. The loader sets larger sizes.

use aya_ebpf::btf_maps::{Array, ArrayOfMaps, LruHashMap, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use ja4_common::counter::FilterCounters;
use ja4_common::duplicate::{self, BUCKETS};
use ja4_common::flow::FlowEntry;
use ja4_common::limit::RecordLimits;
use ja4_common::select::Scratch;

/// Greatest number of shards, and so of rings.
pub(crate) const MAX_SHARDS: usize = 64;

/// Rings, one for each shard. The hash of a flow selects its ring.
#[btf_map]
pub(crate) static RINGS: ArrayOfMaps<RingBuf<[u8; 8], 4096>, MAX_SHARDS> = ArrayOfMaps::new();

/// Tracked flows by their hash. The entry holds the key. Hashing eight bytes costs half of what 40 bytes cost.
#[btf_map]
pub(crate) static FLOWS: LruHashMap<u64, FlowEntry, 1024> = LruHashMap::new();

/// The membership filter: one byte for each slot, eight slots in an element. A slot holds the epoch of the last packet
/// of a flow with that hash, 0 for none. It spares untracked flows the look-up in `FLOWS`. An old epoch counts as
/// none.
#[btf_map]
pub(crate) static MEMBERSHIP: Array<u64, 1024> = Array::new();

/// Recent packets, for comparison with packets at other capture points; see `ja4_common::duplicate`.
#[btf_map]
pub(crate) static RECENT: Array<duplicate::RecentBucket, { BUCKETS as usize }> = Array::new();

/// State of the shards.
#[btf_map]
pub(crate) static SHARDS: Array<ShardState, MAX_SHARDS> = Array::new();

/// Limits of records, which userspace writes.
#[btf_map]
pub(crate) static LIMITS: Array<RecordLimits, 1> = Array::new();

/// State of each CPU.
#[btf_map]
pub(crate) static CPU: PerCpuArray<CpuState, 1> = PerCpuArray::new();

/// State of one CPU, found with one look-up for each frame.
#[repr(C)]
pub(crate) struct CpuState {
    /// The `FirstHeader` of the current frame. If the counters of ingress came first, the verifier of Linux
    /// 6.1 would follow two and a half times as many paths.
    pub(crate) first_header: u64,
    /// Counters of ingress and egress. Userspace reads them.
    pub(crate) counters: [FilterCounters; 2],
    /// Token buckets of the limits, by index. Userspace reads their counters.
    pub(crate) buckets: [TokenBucket; RecordLimits::COUNT],
    /// Scratch memory for the current frame.
    pub(crate) scratch: Scratch,
}

/// Token bucket of one limit on one CPU.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct TokenBucket {
    /// Time of the last refill, boot-clock nanoseconds.
    pub(crate) filled: u64,
    /// Tokens left, in units of 2^-20 records.
    pub(crate) tokens: u64,
    /// Records within the limit.
    pub(crate) admitted: u64,
    /// Records over the limit.
    pub(crate) limited: u64,
}

/// State of one shard. It fills a cache line, so that shards do not slow each other.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct ShardState {
    /// 1: the thread of the shard sleeps, and the next record must wake it.
    pub(crate) asleep: u64,
    /// Bytes in the ring before the last record of a limit with a mark. The shard sets it to 0 when it sleeps.
    pub(crate) queued: u64,
    /// Always zero.
    pub(crate) reserved: [u64; 6],
}
