//! All `unsafe` code: packet memory, values behind map pointers, ring records.
//!
//! The verifier proves each of these accesses when the programs are loaded.

use core::marker::PhantomData;
use core::ptr;

use aya_ebpf::bindings::{__sk_buff, BPF_RB_AVAIL_DATA, xdp_md};
use aya_ebpf::btf_maps::RingBuf;
use aya_ebpf::helpers::generated::{
    bpf_ktime_get_boot_ns, bpf_ringbuf_query, bpf_ringbuf_reserve, bpf_ringbuf_submit, bpf_skb_load_bytes,
    bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
};
use aya_ebpf::programs::{TcContext, XdpContext};
use ja4_common::bytes::{FrameBytes, HeaderWindow, MAX_HEADERS};
use ja4_common::duplicate::{BUCKETS, RecentBucket};
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::{DirectionState, FlowEntry, FlowKey};
use ja4_common::headers::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, ETHERTYPE_QINQ, ETHERTYPE_VLAN, PROTO_TCP};
use ja4_common::limit::RecordLimit;
use ja4_common::parse::{ParseStart, is_outer_ethernet};
use ja4_common::record::{FirstHeader, FrameInfo, HEADER, LinkHeader, RecordHeader};
use ja4_common::segment::SegmentPayload;
use ja4_common::vlan::VLAN_PRESENT;

use crate::maps::{CPU, CpuState, FLOWS, LIMITS, MAX_SHARDS, MEMBERSHIP, RECENT, SHARDS, ShardState};

/// Configuration, which the loader sets and freezes.
#[unsafe(no_mangle)]
static FILTER_CONFIG: FilterConfig = FilterConfig::new([0, 0]);

/// The configuration.
#[inline(always)]
pub(crate) fn config() -> &'static FilterConfig {
    // SAFETY: a static is always readable. The pointer is opaque, because the loader changes the bytes after
    // compilation.
    unsafe { &*(opaque(&raw const FILTER_CONFIG as usize) as *const FilterConfig) }
}

/// Nanoseconds of the boot clock.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper takes no argument.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Limits `wanted` to the numbers from 1 to the constant `most`.
///
/// One register is compared and set. LLVM would compare one register and use another, and the verifier of Linux 6.1
/// does not copy the bound from one to the other.
macro_rules! bounded {
    ($wanted:expr, $most:expr) => {{
        let mut len = u64::from($wanted);
        // SAFETY: every jump stays within the template.
        unsafe {
            core::arch::asm!(
                "if {len} > 0 goto +1",
                "{len} = 1",
                "if {len} < {most} goto +1",
                "{len} = {most}",
                len = inout(reg) len,
                most = const $most,
                options(pure, nomem, nostack),
            );
        }
        len as u32
    }};
}

/// Returns the value. The compiler drops its knowledge of it.
#[inline(always)]
pub(crate) fn opaque(mut value: usize) -> usize {
    // SAFETY: moves a register to itself. An empty template would give two source lines to one instruction, which the
    // kernel rejects.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack)) };
    value
}

/// Returns the reference. The compiler must read the value behind it again.
#[inline(always)]
pub(crate) fn launder<T>(value: &mut T) -> &mut T {
    let mut at = ptr::from_mut(value);
    // SAFETY: moves a register to itself. To the compiler, it may write memory.
    unsafe {
        core::arch::asm!("{0} = {0}", inout(reg) at, options(nostack));
        &mut *at
    }
}

/// Makes the compiler write a value to memory, for a stage that reads it there.
#[inline(always)]
pub(crate) fn flush<T>(value: &T) {
    let mut at = ptr::from_ref(value);
    // SAFETY: moves a register to itself. To the compiler, it may read memory.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) at, options(nostack)) };
    let _ = at;
}

/// Calls a stage that reads and writes a value in memory. The compiler reads the value again afterwards.
#[inline(always)]
pub(crate) fn with_stage<T>(value: &mut T, stage: impl FnOnce() -> u32) -> u32 {
    let value = launder(value);
    let result = stage();
    launder(value);
    result
}

/// Calls a stage on a copy of a direction. Its counters are not copied, because other CPUs write them, too.
#[inline(always)]
pub(crate) fn on_copy(direction: &mut DirectionState, segment: &SegmentPayload, stage: impl FnOnce() -> u32) -> u32 {
    flush(segment);
    let Some(cpu) = cpu() else {
        return 0;
    };
    let copy = cpu.scratch.stage().direction;
    copy_state(direction, copy);
    let result = stage();
    copy_state(copy, direction);
    result
}

#[inline(always)]
fn copy_state(from: &DirectionState, to: &mut DirectionState) {
    (to.mark, to.budget, to.isn) = (from.mark, from.budget, from.isn);
    (to.phase, to.seen, to.protocol, to.framing) = (from.phase, from.seen, from.protocol, from.framing);
}

/// `N` bytes of a frame, after a check that the verifier follows.
pub(crate) struct CheckedWindow<'a, const N: usize> {
    at: usize,
    frame: PhantomData<&'a ()>,
}

/// Loads one integer at a constant offset. Packet memory has no alignment, so a read of a byte array would become one
/// instruction for each byte.
macro_rules! load {
    ($from:expr, $size:literal, $offset:expr) => {{
        let value: u64;
        // SAFETY: `CheckedWindow` holds N bytes, and the offset and the width are within N.
        unsafe {
            core::arch::asm!(
                concat!("{value} = *(", $size, " *)({at} + {offset})"),
                value = out(reg) value,
                at = in(reg) $from.at,
                offset = const $offset,
                options(pure, readonly, nostack),
            );
        }
        value
    }};
}

impl<const N: usize> HeaderWindow<N> for CheckedWindow<'_, N> {
    #[inline(always)]
    fn be8<const AT: usize>(&self) -> u8 {
        const { assert!(AT < N) };
        load!(self, "u8", AT) as u8
    }

    #[inline(always)]
    fn be16<const AT: usize>(&self) -> u16 {
        const { assert!(AT + 2 <= N) };
        u16::from_be(load!(self, "u16", AT) as u16)
    }

    #[inline(always)]
    fn be32<const AT: usize>(&self) -> u32 {
        const { assert!(AT + 4 <= N) };
        u32::from_be(load!(self, "u32", AT) as u32)
    }

    #[inline(always)]
    fn be64<const AT: usize>(&self) -> u64 {
        const { assert!(AT + 8 <= N) };
        u64::from_be(load!(self, "u64", AT))
    }
}

/// A window at a small offset into the linear part, which holds the headers of nearly all frames.
#[inline(always)]
fn near<'a, const N: usize>(data: usize, end: usize, offset: usize) -> Option<CheckedWindow<'a, N>> {
    // Opaque: LLVM would compare a copy of 32 bits, from which old verifiers learn nothing about the original.
    let offset = opaque(offset);
    if offset >= MAX_HEADERS {
        return None;
    }
    let at = data + offset;
    // Opaque: LLVM would compare `at` with `end - N`, and the verifier rejects arithmetic on `end`.
    if opaque(at + N) > end {
        return None;
    }
    Some(CheckedWindow { at, frame: PhantomData })
}

/// Copies at most eight bytes from a window of that size.
#[inline(always)]
fn copied<const N: usize>(window: &CheckedWindow<'_, N>) -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: the window holds N bytes.
    unsafe { ptr::copy_nonoverlapping(window.at as *const u8, bytes.as_mut_ptr(), N) };
    bytes
}

#[inline(always)]
fn far<const N: usize, C: Context>(frame: &Frame<C>, offset: usize) -> Option<[u8; N]> {
    let mut out = [0; N];
    // SAFETY: `out` holds N bytes.
    unsafe { C::load(frame.context, offset as u32, out.as_mut_ptr(), N as u32) }.then_some(out)
}

/// Copies `len` bytes from `offset` to the start of `to`. `len` is limited to the numbers from 1 to the size of `to`.
#[inline(always)]
fn copy_words<const N: usize, C: Context>(frame: &Frame<C>, offset: u32, len: u32, to: &mut [u64; N]) -> bool {
    let len = bounded!(len, (N * 8) as u32);
    // SAFETY: `to` holds 8 * N bytes, and `len` is at most that.
    unsafe { C::load(frame.context, offset, to.as_mut_ptr().cast(), len) }
}

/// The context of a program, which the kernel passes.
pub(crate) trait Context {
    /// Start and end of the linear part of the frame.
    fn bounds(context: *mut Self) -> (usize, usize);

    /// Length of the frame on the wire, bytes.
    fn wire_len(context: *mut Self) -> usize;

    /// Copies `len` bytes from `offset`, anywhere in the frame, to `to`. Returns false if the frame is shorter.
    ///
    /// # Safety
    /// `to` is valid for `len` bytes.
    unsafe fn load(context: *mut Self, offset: u32, to: *mut u8, len: u32) -> bool;
}

impl Context for xdp_md {
    #[inline(always)]
    fn bounds(context: *mut Self) -> (usize, usize) {
        // SAFETY: the kernel keeps the context valid while the program runs.
        unsafe { ((*context).data as usize, (*context).data_end as usize) }
    }

    #[inline(always)]
    fn wire_len(context: *mut Self) -> usize {
        // SAFETY: the kernel keeps the context valid while the program runs.
        unsafe { bpf_xdp_get_buff_len(context) as usize }
    }

    #[inline(always)]
    unsafe fn load(context: *mut Self, offset: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: the context is valid, and the caller guarantees that `to` holds `len` bytes.
        unsafe { bpf_xdp_load_bytes(context, offset, to.cast(), len) == 0 }
    }
}

impl Context for __sk_buff {
    #[inline(always)]
    fn bounds(context: *mut Self) -> (usize, usize) {
        // SAFETY: the kernel keeps the context valid while the program runs.
        unsafe { ((*context).data as usize, (*context).data_end as usize) }
    }

    #[inline(always)]
    fn wire_len(context: *mut Self) -> usize {
        // SAFETY: the kernel keeps the context valid while the program runs.
        unsafe { (*context).len as usize }
    }

    #[inline(always)]
    unsafe fn load(context: *mut Self, offset: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: the context is valid, and the caller guarantees that `to` holds `len` bytes.
        unsafe { bpf_skb_load_bytes(context.cast(), offset, to.cast(), len) == 0 }
    }
}

/// A frame, read through a context.
pub(crate) struct Frame<C> {
    pub(crate) context: *mut C,
    data: usize,
    end: usize,
}

impl<C: Context> Frame<C> {
    #[inline(always)]
    pub(crate) fn of(context: *mut C) -> Self {
        let (data, end) = C::bounds(context);
        Self { context, data, end }
    }
}

impl<C: Context> FrameBytes for Frame<C> {
    const MAY_BE_CUT: bool = false;

    type Window<'w, const N: usize>
        = CheckedWindow<'w, N>
    where
        Self: 'w;

    #[inline(always)]
    fn window<const N: usize>(&self, offset: usize) -> Option<CheckedWindow<'_, N>> {
        near(self.data, self.end, offset)
    }

    #[inline(always)]
    fn load_far<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        match near(self.data, self.end, offset) {
            Some(window) => Some(copied(&window)),
            None => far(self, offset),
        }
    }

    #[inline(always)]
    fn copy<const N: usize>(&self, offset: u32, len: u32, to: &mut [u64; N]) -> bool {
        copy_words(self, offset, len, to)
    }

    #[inline(always)]
    fn wire_len(&self) -> usize {
        C::wire_len(self.context)
    }

    #[inline(always)]
    fn reload<'a, T>(&self, value: &'a mut T) -> &'a mut T {
        launder(value)
    }
}

/// Bytes that the linear part of a socket buffer must hold: Ethernet, two VLAN tags, IPv6, the longest TCP header.
const LINEAR: usize = 14 + 8 + 40 + 60;

/// The same with the headers of a tunnel before them.
const TUNNEL_LINEAR: usize = 2 * LINEAR + 64;

impl Frame<__sk_buff> {
    /// The frame of a tc program, with its headers in the linear part.
    #[inline(always)]
    pub(crate) fn pulled(ctx: &TcContext) -> Self {
        let frame = Self::of(ctx.skb.skb);
        let held = frame.end - frame.data;
        if held < TUNNEL_LINEAR && held < ctx.len() as usize {
            // The linear part holds the headers, except with a few drivers, and for packets with a payload that was
            // never copied. Pulling bytes into it does not change the packet. If that fails, the parser reports a truncated
            // header.
            let needed = if frame.is_plain_tcp() { LINEAR } else { TUNNEL_LINEAR };
            if held < needed {
                let _pulled = ctx.pull_data(if ctx.len() < needed as u32 { ctx.len() } else { needed as u32 });
            }
        }
        // Opaque: the limits are read again, so the verifier has one state, not one for each length compared above.
        Self::of(opaque(ctx.skb.skb as usize) as *mut __sk_buff)
    }

    /// The header with which an ingress frame starts. It passes through memory, so the verifier has one state.
    #[inline(always)]
    pub(crate) fn start(&self, cpu: &mut CpuState) -> ParseStart {
        cpu.first_header =
            if self.lacks_ethernet() { FirstHeader::of(self.protocol()) } else { FirstHeader::Ethernet } as u64;
        match launder(cpu).first_header {
            0 => ParseStart::Ethernet,
            _ => ParseStart::Network { ethertype: self.protocol(), offset: 0 },
        }
    }

    /// The header with which a frame starts on an interface without link headers. A GRE interface without a remote address
    /// keeps the outer IP header of received frames, so the version decides (Linux 6.18: net/ipv4/ip_gre.c,
    /// `__ipgre_rcv`).
    #[inline(always)]
    pub(crate) fn network_start(&self, cpu: &mut CpuState) -> ParseStart {
        cpu.first_header =
            if self.has_outer_ethernet() { FirstHeader::Ethernet } else { FirstHeader::of(self.protocol()) } as u64;
        if launder(cpu).first_header == 0 {
            return ParseStart::Ethernet;
        }
        let (protocol, version) = (self.protocol(), near::<1>(self.data, self.end, 0).map_or(0, |h| h.be8::<0>() >> 4));
        let ethertype = match version {
            _ if protocol == ETHERTYPE_MPLS => protocol,
            4 => ETHERTYPE_IPV4,
            6 => ETHERTYPE_IPV6,
            _ => protocol,
        };
        ParseStart::Network { ethertype, offset: 0 }
    }

    #[inline(always)]
    fn has_outer_ethernet(&self) -> bool {
        near::<15>(self.data, self.end, 0)
            .is_some_and(|h| is_outer_ethernet(h.be8::<0>(), h.be16::<12>(), h.be8::<14>() >> 4))
    }

    /// EtherType of the frame, as the kernel parsed it.
    #[inline(always)]
    fn protocol(&self) -> u16 {
        // SAFETY: the kernel keeps the context valid while the program runs.
        u16::from_be(unsafe { (*self.context).protocol } as u16)
    }

    /// Whether an ingress frame starts with its network header. Generic XDP copies a frame without headroom, and tc
    /// then receives the copy without its Ethernet header (Linux 6.18: net/core/dev.c, `do_xdp_generic`;
    /// `sch_handle_ingress` subtracts `mac_len`, which the copy lacks). The kernel knows the EtherType in both cases.
    #[inline(always)]
    fn lacks_ethernet(&self) -> bool {
        let ethertype = self.protocol();
        let Some(h) = near::<15>(self.data, self.end, 0) else {
            return false;
        };
        // No unicast address starts with 0x45: the lowest bit of the first byte marks a group address (IEEE 802).
        let is_ipv4 = ethertype == ETHERTYPE_IPV4 && h.be8::<0>() == 0x45;
        if !is_ipv4 && h.be16::<12>() == ethertype {
            return false;
        }
        let version = h.be8::<0>() >> 4;
        match ethertype {
            ETHERTYPE_IPV4 => version == 4,
            ETHERTYPE_IPV6 => version == 6,
            ETHERTYPE_VLAN | ETHERTYPE_QINQ | ETHERTYPE_MPLS => true,
            _ => false,
        }
    }

    /// Whether the first bytes are those of TCP over IP without tags or tunnels.
    #[inline(always)]
    fn is_plain_tcp(&self) -> bool {
        let Some(h) = near::<24>(self.data, self.end, 0) else {
            return false;
        };
        match h.be16::<12>() {
            ETHERTYPE_IPV4 => h.be8::<23>() == PROTO_TCP,
            ETHERTYPE_IPV6 => h.be8::<20>() == PROTO_TCP,
            _ => false,
        }
    }
}

/// Facts about a frame in XDP.
#[inline(always)]
pub(crate) fn xdp_info(ctx: &XdpContext) -> FrameInfo {
    FrameInfo { ifindex: ctx.ingress_ifindex() as u32, ..FrameInfo::default() }
}

/// Facts about a frame in tc.
#[inline(always)]
pub(crate) fn skb_info(ctx: &TcContext, egress: bool, (link, first): (LinkHeader, u8)) -> FrameInfo {
    // SAFETY: the kernel keeps the context valid while the program runs.
    let skb = unsafe { &*ctx.skb.skb };
    FrameInfo {
        ifindex: skb.ifindex,
        egress,
        link,
        first,
        // 0 or 1, and a mask: after a branch, the verifier would follow everything behind it twice.
        vlan: (skb.vlan_tci as u16 | VLAN_PRESENT) & (skb.vlan_present as u16).wrapping_neg(),
        gso_size: skb.gso_size as u16,
        gso_segs: skb.gso_segs,
    }
}

/// State of this CPU.
#[inline(always)]
pub(crate) fn cpu() -> Option<&'static mut CpuState> {
    // SAFETY: the element belongs to this CPU. The programs run with bottom halves disabled, so none interrupts
    // another.
    CPU.get_ptr_mut(0).map(|cpu| unsafe { &mut *cpu })
}

/// The first header of the current frame, and its link header: `without` if it has none.
#[inline(always)]
pub(crate) fn first_header(without: LinkHeader) -> (LinkHeader, u8) {
    let first = cpu().map_or(0, |cpu| cpu.first_header as u8);
    (if first != 0 { without } else { LinkHeader::Present }, first)
}

/// An entry of the flow map.
#[derive(Clone, Copy)]
pub(crate) struct FlowPtr(*mut FlowEntry);

impl FlowPtr {
    /// The entry. Another CPU may write the other direction at the same time. Counters are added atomically.
    #[inline(always)]
    pub(crate) fn entry<'a>(self) -> &'a mut FlowEntry {
        // SAFETY: the kernel keeps the element's memory for as long as the program runs.
        unsafe { &mut *self.0 }
    }

    /// Whether this is the entry of a flow, and not of another flow with the same hash.
    #[inline(always)]
    pub(crate) fn is(self, key: &FlowKey) -> bool {
        self.entry().key.is(key)
    }
}

/// The entry for a hash.
#[inline(always)]
pub(crate) fn flow(hash: u64) -> Option<FlowPtr> {
    FLOWS.get_ptr_mut(hash).map(FlowPtr)
}

/// Adds to a counter that CPUs share.
#[inline(always)]
pub(crate) fn add(counter: &mut u64, value: u64) {
    // SAFETY: a `&mut u64` is aligned and valid. The instruction (BPF_ATOMIC | BPF_ADD) changes nothing else.
    // `AtomicU64` has no read-modify-write operation on this target.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({counter} + 0) += {value}",
            counter = in(reg) counter,
            value = in(reg) value,
            options(nostack),
        );
    }
}

/// The slot of the membership filter for a hash.
#[inline(always)]
pub(crate) fn membership_slot(hash: u64, mask: u32) -> Option<&'static mut u8> {
    let index = hash as u32 & mask;
    let bytes = MEMBERSHIP.get_ptr_mut(index >> 3)?;
    // SAFETY: the element holds eight bytes, and the offset is below eight. A byte is written at once, so a race loses
    // at most one refresh.
    Some(unsafe { &mut *bytes.cast::<u8>().add((index & 7) as usize) })
}

/// The bucket of the table of recent packets for a hash.
#[inline(always)]
pub(crate) fn recent(hash: u64) -> Option<&'static mut RecentBucket> {
    // SAFETY: the map keeps the element's memory. If two CPUs add to one bucket at once, one packet may be lost.
    RECENT.get_ptr_mut(hash as u32 & (BUCKETS - 1)).map(|bucket| unsafe { &mut *bucket })
}

/// Boot-clock nanoseconds, which userspace sets ten times a second. To read a clock for every bulk packet would cost
/// more than the rest of the filter.
#[unsafe(no_mangle)]
static mut CLOCK: u64 = 0;

/// Nanoseconds of the boot clock, at most a tenth of a second old.
#[inline(always)]
pub(crate) fn coarse_now() -> u64 {
    // SAFETY: userspace writes it at once. The read is volatile, because the compiler sees no writer.
    unsafe { ptr::read_volatile(&raw const CLOCK) }
}

/// A limit, which userspace may change at any time.
#[derive(Clone, Copy)]
pub(crate) struct LimitPtr(*const RecordLimit);

/// The limit with an index.
#[inline(always)]
pub(crate) fn limit(index: u8) -> Option<LimitPtr> {
    LIMITS.get(0).and_then(|limits| limits.by_index.get(opaque(index.into()))).map(|limit| LimitPtr(limit))
}

impl LimitPtr {
    /// Records per second; 0: no limit.
    #[inline(always)]
    pub(crate) fn rate(self) -> u64 {
        // SAFETY: the map keeps the memory of the element. Each field is read at once, as in the functions below.
        unsafe { ptr::read_volatile(&raw const (*self.0).rate) }.into()
    }

    /// Records of a burst.
    #[inline(always)]
    pub(crate) fn burst(self) -> u64 {
        // SAFETY: see `rate`.
        unsafe { ptr::read_volatile(&raw const (*self.0).burst) }.into()
    }

    /// Bytes in the ring from which on records are dropped; 0: none.
    #[inline(always)]
    pub(crate) fn mark(self) -> u64 {
        // SAFETY: see `rate`.
        unsafe { ptr::read_volatile(&raw const (*self.0).mark) }.into()
    }
}

/// Bytes in a ring that its shard has not read.
#[inline(always)]
pub(crate) fn queued<T, const BYTES: usize>(ring: &RingBuf<T, BYTES>) -> u64 {
    // SAFETY: the ring is a map.
    unsafe { bpf_ringbuf_query(ptr::from_ref(ring).cast_mut().cast(), BPF_RB_AVAIL_DATA.into()) }
}

/// The state of a shard.
#[derive(Clone, Copy)]
pub(crate) struct ShardStatePtr(*mut ShardState);

/// The state of a shard.
#[inline(always)]
pub(crate) fn shard_state(shard: u32) -> Option<ShardStatePtr> {
    SHARDS.get_ptr_mut(shard).map(ShardStatePtr)
}

impl ShardStatePtr {
    /// Reports the bytes in the ring.
    #[inline(always)]
    pub(crate) fn report_queued(self, queued: u64) {
        // SAFETY: the map keeps the memory of the element. The number is written at once.
        unsafe { ptr::write_volatile(&raw mut (*self.0).queued, queued) };
    }

    /// Clears the sleep flag. Returns true if the thread of the shard slept and must be woken.
    #[inline(always)]
    pub(crate) fn take_wakeup(self) -> bool {
        // SAFETY: the map keeps the memory of the element. The flag is written at once, so a race costs one more wakeup.
        unsafe {
            let flag = &raw mut (*self.0).asleep;
            let sleeps = ptr::read_volatile(flag) != 0;
            if sleeps {
                ptr::write_volatile(flag, 0);
            }
            sleeps
        }
    }
}

/// Greatest number of bytes of a frame in a record of `SIZE` bytes.
const fn room(size: usize) -> u32 {
    (size - HEADER) as u32
}

/// A record of `SIZE` bytes, reserved but not visible to the shard yet.
///
/// It must be submitted: the verifier rejects a program that does not.
pub(crate) struct ReservedRecord<const SIZE: usize>(*mut u8);

impl<const SIZE: usize> ReservedRecord<SIZE> {
    /// Reserves a record. Returns `None` if the ring is full.
    #[inline(always)]
    pub(crate) fn new<T, const BYTES: usize>(ring: &RingBuf<T, BYTES>) -> Option<Self> {
        let ring = ptr::from_ref(ring).cast_mut().cast();
        // SAFETY: the ring is a map, and the size is a constant.
        let at = unsafe { bpf_ringbuf_reserve(ring, SIZE as u64, 0) };
        if at.is_null() { None } else { Some(Self(at.cast())) }
    }

    /// Copies the first `wanted` bytes of the frame, as far as they fit. Returns the number of bytes copied.
    #[inline(always)]
    pub(crate) fn fill<C: Context>(&mut self, frame: &Frame<C>, wanted: u32) -> u32 {
        if wanted == 0 {
            return 0;
        }
        let len = bounded!(wanted, room(SIZE));
        // SAFETY: HEADER + len <= SIZE, the length of the reservation.
        if unsafe { C::load(frame.context, 0, self.0.add(HEADER), len) } { len } else { 0 }
    }

    /// Writes the header and submits the record.
    #[inline(always)]
    pub(crate) fn submit(self, header: RecordHeader, flags: u64) {
        // SAFETY: the reservation begins with room for the header, aligned to 8.
        unsafe {
            ptr::write(self.0.cast(), header);
            bpf_ringbuf_submit(self.0.cast(), flags);
        }
    }
}

const _: () = assert!(MAX_SHARDS.is_power_of_two());
