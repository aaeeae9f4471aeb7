//! The maps, one static each. Sizes given here are the smallest the loader sets.

use aya_ebpf::btf_maps::{Array, ArrayOfMaps, LruHashMap, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use ja4_common::counter::Counters;
use ja4_common::flow::{FlowEntry, FlowKey};
use ja4_common::select::{Class, Work};

/// Most shards, and so most rings.
pub const MAX_SHARDS: usize = 64;

/// Rings, one a shard; the flow's hash picks one.
#[btf_map]
pub static RINGS: ArrayOfMaps<RingBuf<[u8; 8], 4096>, MAX_SHARDS> = ArrayOfMaps::new();

/// Known flows.
#[btf_map]
pub static FLOWS: LruHashMap<FlowKey, FlowEntry, 1024> = LruHashMap::new();

/// One byte per slot, eight slots an element: the epoch in which a flow of that hash was last
/// touched, 0: never. It spares strangers the look-up in `FLOWS`, and forgets by growing old.
#[btf_map]
pub static SLOTS: Array<u64, 1024> = Array::new();

/// The current epoch, 1 to 255, which userspace moves on.
#[btf_map]
pub static EPOCH: Array<u32, 1> = Array::new();

/// Which shards sleep.
#[btf_map]
pub static ASLEEP: Array<Asleep, MAX_SHARDS> = Array::new();

/// Outcomes: element 0 ingress, 1 egress.
#[btf_map]
pub static COUNTERS: PerCpuArray<Counters, 2> = PerCpuArray::new();

/// The governor's buckets, one a class.
#[btf_map]
pub static BUCKETS: PerCpuArray<Bucket, { Class::COUNT }> = PerCpuArray::new();

/// Room for the judgement over one frame.
#[btf_map]
pub static WORK: PerCpuArray<Work, 1> = PerCpuArray::new();

/// Token bucket of one class on one CPU.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Bucket {
    /// Time up to which tokens have been granted, boot-clock nanoseconds.
    pub filled: u64,
    /// Tokens left, in units of 2^-20 records.
    pub tokens: u64,
}

/// A cache line for each shard, so that none slows another.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Asleep {
    /// 1 while the shard's thread sleeps and wants to be woken by the next record.
    pub flag: u64,
    /// Always zero.
    pub reserved: [u64; 7],
}
