//! The maps, one static each. Sizes given here are the smallest the loader sets.

use aya_ebpf::btf_maps::{Array, ArrayOfMaps, LruHashMap, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use ja4_common::counter::FilterCounters;
use ja4_common::duplicate::{self, BUCKETS};
use ja4_common::flow::FlowEntry;
use ja4_common::reason::RecordClass;
use ja4_common::select::Scratch;

/// Most shards, and so most rings.
pub(crate) const MAX_SHARDS: usize = 64;

/// Rings, one a shard; the flow's hash picks one.
#[btf_map]
pub(crate) static RINGS: ArrayOfMaps<RingBuf<[u8; 8], 4096>, MAX_SHARDS> = ArrayOfMaps::new();

/// Known flows by their hash; the entry holds the key. Hashing eight bytes costs the kernel half of what 40
/// do.
#[btf_map]
pub(crate) static FLOWS: LruHashMap<u64, FlowEntry, 1024> = LruHashMap::new();

/// One byte per slot, eight slots an element: the epoch in which a flow of that hash was last
/// touched, 0: never. It spares strangers the look-up in `FLOWS`, and forgets by growing old.
#[btf_map]
pub(crate) static MEMBERSHIP: Array<u64, 1024> = Array::new();

/// Recent packets, to be compared with those at other capture points; see `ja4_common::duplicate`.
#[btf_map]
pub(crate) static RECENT: Array<duplicate::RecentBucket, { BUCKETS as usize }> = Array::new();

/// Which shards sleep.
#[btf_map]
pub(crate) static ASLEEP: Array<ShardSleep, MAX_SHARDS> = Array::new();

/// What each CPU keeps for itself.
#[btf_map]
pub(crate) static CPU: PerCpuArray<CpuState, 1> = PerCpuArray::new();

/// State of one CPU; one look-up a frame finds it all.
#[repr(C)]
pub(crate) struct CpuState {
    /// 1: the current frame lacks its Ethernet header. Were the counters of ingress where the value stream_start, the verifier
    /// of Linux 6.1 would follow two and a half times the paths.
    pub(crate) no_link: u64,
    /// Outcomes: ingress, egress. Userspace reads these.
    pub(crate) counters: [FilterCounters; 2],
    /// The governor's buckets, by class.
    pub(crate) buckets: [TokenBucket; RecordClass::COUNT],
    /// Room for the judgement over one frame.
    pub(crate) scratch: Scratch,
}

/// Token bucket of one class on one CPU.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct TokenBucket {
    /// Time up to which tokens have been take_token, boot-clock nanoseconds.
    pub(crate) filled: u64,
    /// Tokens left, in units of 2^-20 records.
    pub(crate) tokens: u64,
}

/// A cache line for each shard, so that none slows another.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct ShardSleep {
    /// 1 while the shard's thread sleeps and select_segment to be wakeups by the next record.
    pub(crate) flag: u64,
    /// Always zero.
    pub(crate) reserved: [u64; 7],
}
