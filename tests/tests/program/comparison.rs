//! Comparison of kernel and user space over the same frames, in the same order.

use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use ja4_common::bytes::SliceFrame;
use ja4_common::counter::FilterCounters;
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::FlowEntry;
use ja4_common::headers::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS};
use ja4_common::parse::{ParseStart, is_outer_ethernet};
use ja4_common::reason::PassReason;
use ja4_common::record::{FirstHeader, FrameInfo, HEADER, LinkHeader, RecordHeader};
use ja4_user::capture::ebpf::{Kernel, KernelSettings, Program};
use zerocopy::FromBytes;

use crate::model::{FilterResult, Model};

/// Index of the loopback interface, which `BPF_PROG_TEST_RUN` reports for every frame.
const LOOPBACK: u32 = 1;

/// Ring size, bytes: many times the largest record, so that no comparison loses a record.
const RING_BYTES: u32 = 1 << 18;

/// Capacity of the flow map: more than the flows of any test, so that the kernel evicts none.
const FLOWS: u32 = 1 << 15;

/// Arbitrary hash seed.
pub(crate) const SEED: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344];

/// Initial boot clock, neither 0 nor near the end of an epoch.
pub(crate) const NOON: Duration = Duration::from_secs(43_200);

/// Shortest frame, bytes. `BPF_PROG_TEST_RUN` rejects frames without a complete Ethernet header.
pub(crate) const SHORTEST: usize = 14;

/// Programs for Ethernet frames.
pub(crate) const PROGRAMS: [Program; 3] = [Program::Xdp, Program::TcEgress, Program::TcIngress];

/// All programs.
pub(crate) const ALL_PROGRAMS: [Program; 5] =
    [Program::Xdp, Program::TcEgress, Program::TcIngress, Program::TcIpEgress, Program::TcIpIngress];

/// Returns an Ethernet frame as a program receives it: without its Ethernet header, or `None` if its interface has none
/// and the frame no IP header behind it.
pub(crate) fn as_received(program: Program, frame: &[u8]) -> Option<&[u8]> {
    match program {
        Program::TcIpEgress | Program::TcIpIngress => {
            let (ethernet, packet) = frame.split_at_checked(SHORTEST)?;
            (ethernet.ends_with(&[0x08, 0x00]) || ethernet.ends_with(&[0x86, 0xdd])).then_some(packet)
        }
        _ => Some(frame),
    }
}

/// Returns whether `BPF_PROG_TEST_RUN` accepts a frame. XDP frames may span many pages. A socket buffer must fit into
/// one page with its headroom and tailroom. It must have data after its Ethernet header, and a complete IP header if
/// the EtherType announces one (`bpf_prog_test_run_skb` in net/bpf/test_run.c).
pub(crate) fn fits(program: Program, frame: &[u8]) -> bool {
    /// A page less `NET_SKB_PAD + NET_IP_ALIGN` and `struct skb_shared_info`, both rounded up.
    const LONGEST_SKB: usize = 4096 - 128 - 384;
    /// Seventeen pages (`MAX_SKB_FRAGS`) after a first page that is as full as a socket buffer's.
    const LONGEST_XDP: usize = 17 * 4096 + 3072;
    if program == Program::Xdp {
        return (SHORTEST..=LONGEST_XDP).contains(&frame.len());
    }
    let shortest = match frame {
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x08, 0x00, ..] => SHORTEST + 20,
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x86, 0xdd, ..] => SHORTEST + 40,
        _ => SHORTEST + 1,
    };
    (shortest..=LONGEST_SKB).contains(&frame.len())
}

fn has_outer_ethernet(frame: &[u8]) -> bool {
    is_outer_ethernet(frame[0], u16::from_be_bytes([frame[12], frame[13]]), frame.get(14).map_or(0, |byte| byte >> 4))
}

/// Comparison of the kernel programs with the [`Model`].
pub(crate) struct FilterComparison {
    kernel: Kernel,
    ring: RingBuf<MapData>,
    model: Model,
    counters: [FilterCounters; 2],
    clock: Duration,
    /// Frames processed so far.
    pub(crate) frames: u64,
    /// Frames selected so far.
    pub(crate) selected: u64,
}

impl FilterComparison {
    pub(crate) fn new(filter_config: FilterConfig) -> Self {
        Self::with_configs(filter_config, filter_config)
    }

    /// Creates a comparison with the default configuration on both sides.
    pub(crate) fn with_defaults() -> Self {
        Self::new(FilterConfig::new(SEED))
    }

    /// Creates a comparison with separate configurations for the kernel and user space.
    pub(crate) fn with_configs(kernel: FilterConfig, user: FilterConfig) -> Self {
        let settings = KernelSettings { filter_config: kernel, ring_bytes: RING_BYTES, flows: FLOWS };
        let mut kernel = Kernel::load(ja4_user::capture::object::bytes(), &settings).unwrap();
        let ring = kernel.take_ring(0).unwrap();
        let mut comparison = Self {
            kernel,
            ring,
            model: Model::new(user),
            counters: [FilterCounters::default(); 2],
            clock: Duration::ZERO,
            frames: 0,
            selected: 0,
        };
        comparison.set_clock(NOON);
        comparison
    }

    /// Sets the coarse clock of both sides.
    pub(crate) fn set_clock(&mut self, clock: Duration) {
        if clock != self.clock {
            self.clock = clock;
            let nanoseconds = clock.as_nanos() as u64;
            self.kernel.set_clock(nanoseconds).unwrap();
            self.model.set_clock(nanoseconds);
        }
    }

    /// Updates the coarse clock if it lags by `step` or more.
    pub(crate) fn coarse_clock(&mut self, clock: Duration, step: Duration) {
        if clock >= self.clock + step {
            self.set_clock(clock);
        }
    }

    /// Advances the clock of both sides.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.set_clock(self.clock + time);
    }

    /// Returns the results of both sides for a frame: the kernel's, user space's.
    pub(crate) fn both(&mut self, program: Program, frame: &[u8]) -> (FilterResult, FilterResult) {
        let egress = matches!(program, Program::TcEgress | Program::TcIpEgress);
        let (link, start) = match (program, frame.first().map(|first| first >> 4)) {
            (Program::TcIpEgress | Program::TcIpIngress, version) if !has_outer_ethernet(frame) => {
                let protocol = u16::from_be_bytes([frame[12], frame[13]]);
                let ethertype = match version {
                    _ if protocol == ETHERTYPE_MPLS => protocol,
                    Some(4) => ETHERTYPE_IPV4,
                    Some(6) => ETHERTYPE_IPV6,
                    // `BPF_PROG_TEST_RUN` takes every frame for an Ethernet frame.
                    _ => protocol,
                };
                (LinkHeader::Absent, ParseStart::Network { ethertype, offset: 0 })
            }
            _ => (LinkHeader::Present, ParseStart::Ethernet),
        };
        let first = match start {
            ParseStart::Ethernet => FirstHeader::Ethernet,
            ParseStart::Network { ethertype, .. } => FirstHeader::of(ethertype),
        };
        let info = FrameInfo { ifindex: LOOPBACK, egress, link, first: first as u8, ..FrameInfo::default() };
        let slice = SliceFrame { bytes: frame, wire_len: frame.len() };
        let user = self.model.filter(&slice, start, info);
        self.kernel
            .test_run(program, frame, 1)
            .unwrap_or_else(|error| panic!("{} over {} bytes: {error}", program.name(), frame.len()));
        let counters = self.kernel.counters().unwrap();
        let mut kernel = FilterResult {
            counters: [0, 1].map(|hook: usize| difference(&counters[hook], &self.counters[hook])),
            record: self.ring.next().map(|record| record_of(&record)),
        };
        assert!(self.ring.next().is_none(), "one frame yields two records");
        self.counters = counters;
        self.frames += 1;
        self.selected += u64::from(user.record.is_some());
        // Wakeups depend on the ring's reader and are not compared.
        for counters in &mut kernel.counters {
            counters.wakeups = 0;
        }
        (kernel, user)
    }

    /// Processes a frame on both sides, asserts equal results and returns the result.
    pub(crate) fn assert_equal(
        &mut self,
        program: Program,
        frame: &[u8],
        description: impl Fn() -> String,
    ) -> FilterResult {
        let (kernel, user) = self.both(program, frame);
        assert!(
            kernel == user,
            "{}, {}: the results differ\n kernel: {kernel:?}\n   user: {user:?}\n  frame: {}",
            description(),
            program.name(),
            hex(frame)
        );
        user
    }

    /// Returns the flows of user space that differ from the kernel's map: the kernel's entry, user space's entry.
    pub(crate) fn different_flows(&self) -> Vec<(Option<FlowEntry>, FlowEntry)> {
        let flows = self.kernel.flows().unwrap();
        let both = self.model.tables.entries().map(|(hash, user)| (flows.entry(*hash, &user.key), *user));
        both.filter(|(kernel, user)| *kernel != Some(*user)).collect()
    }

    /// Asserts that every flow of user space is equal in the kernel's map; returns the number of flows.
    pub(crate) fn assert_same_flows(&self) -> usize {
        assert_eq!(self.different_flows(), [], "kernel's entry, user's entry");
        self.model.tables.entries().count()
    }

    /// Returns the number of frames that the capture filter excluded.
    pub(crate) fn filtered(&self) -> u64 {
        self.counters.iter().map(|counters| counters.unselected[PassReason::Filtered as usize]).sum()
    }

    /// Returns whether the counters of both hooks satisfy all conservation laws.
    pub(crate) fn balanced(&self) -> bool {
        self.counters.iter().all(FilterCounters::balanced)
    }
}

/// Returns the header with its time set to 0, and the captured bytes without the padding of the size class.
pub(crate) fn record_of(bytes: &[u8]) -> (RecordHeader, Vec<u8>) {
    let (mut header, rest) = RecordHeader::read_from_prefix(bytes).unwrap();
    assert!(bytes.len() >= HEADER + header.captured as usize, "{header:?} in {} bytes", bytes.len());
    assert_ne!(header.time, 0, "a record without a time");
    header.time = 0;
    (header, rest[..header.captured as usize].to_vec())
}

fn difference(after: &FilterCounters, before: &FilterCounters) -> FilterCounters {
    let after: [u64; FilterCounters::WORDS] = zerocopy::transmute!(*after);
    let before: [u64; FilterCounters::WORDS] = zerocopy::transmute!(*before);
    let mut difference = [0; FilterCounters::WORDS];
    for (difference_word, (after, before)) in difference.iter_mut().zip(after.into_iter().zip(before)) {
        *difference_word = after - before;
    }
    zerocopy::transmute!(difference)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
