//! Both sides over the same frames, in the same order.

use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use ja4_common::bytes::SliceFrame;
use ja4_common::counter::FilterCounters;
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::FlowEntry;
use ja4_common::parse::ParseStart;
use ja4_common::record::{FrameInfo, HEADER, RecordHeader};
use ja4_user::capture::ebpf::{Kernel, KernelSettings, Program};
use zerocopy::FromBytes;

use crate::model::{Judgement, Model};

/// Index of the loopback interface, on which `BPF_PROG_TEST_RUN` says that every frame is.
const LOOPBACK: u32 = 1;

/// Room for the largest record many times over: no comparison here is to lose one.
const RING_BYTES: u32 = 1 << 18;

/// More than any test has flows, so that the kernel evicts none.
const FLOWS: u32 = 1 << 15;

/// A seed like any other.
pub(crate) const SEED: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344];

/// A boot clock that is neither 0 nor near an epoch's end.
pub(crate) const NOON: Duration = Duration::from_secs(43_200);

/// Frames of fewer bytes have no Ethernet header, and `BPF_PROG_TEST_RUN` refuses them.
pub(crate) const SHORTEST: usize = 14;

/// Programs that are compared.
pub(crate) const PROGRAMS: [Program; 3] = [Program::Xdp, Program::TcEgress, Program::TcIngress];

/// Whether `BPF_PROG_TEST_RUN` takes a frame. XDP frames may lie on many pages; a socket buffer lies on one together
/// with its headroom and tailroom, carries something behind its Ethernet header, and all of an IP header if that
/// announces one (`bpf_prog_test_run_skb` in net/bpf/test_run.c).
pub(crate) fn fits(program: Program, frame: &[u8]) -> bool {
    /// A page less `NET_SKB_PAD + NET_IP_ALIGN` and `struct skb_shared_info`, on the generous side of both.
    const LONGEST_SKB: usize = 4096 - 128 - 384;
    /// Seventeen pages (`MAX_SKB_FRAGS`) behind a first one that is as full as a socket buffer's.
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

/// The kernel's programs against the [`Model`].
pub(crate) struct Duel {
    kernel: Kernel,
    ring: RingBuf<MapData>,
    model: Model,
    counted: [FilterCounters; 2],
    clock: Duration,
    /// Frames judged so far.
    pub(crate) frames: u64,
    /// Frames chosen so far.
    pub(crate) selected: u64,
}

impl Duel {
    pub(crate) fn new(filter_config: FilterConfig) -> Self {
        Self::uneven(filter_config, filter_config)
    }

    /// Both sides have the defaults.
    pub(crate) fn plain() -> Self {
        Self::new(FilterConfig::new(SEED))
    }

    /// The sides disagree about their configuration.
    pub(crate) fn uneven(kernel: FilterConfig, user: FilterConfig) -> Self {
        let settings = KernelSettings { filter_config: kernel, ring_bytes: RING_BYTES, flows: FLOWS };
        let mut kernel = Kernel::load(ja4_user::capture::object::bytes(), &settings).unwrap();
        let ring = kernel.take_ring(0).unwrap();
        let mut duel = Self {
            kernel,
            ring,
            model: Model::new(user),
            counted: [FilterCounters::default(); 2],
            clock: Duration::ZERO,
            frames: 0,
            selected: 0,
        };
        duel.set_clock(NOON);
        duel
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

    /// Brings the coarse clock up to date where it is behind by `step` or more.
    pub(crate) fn coarse_clock(&mut self, clock: Duration, step: Duration) {
        if clock >= self.clock + step {
            self.set_clock(clock);
        }
    }

    /// Lets time pass on both sides.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.set_clock(self.clock + time);
    }

    /// What both sides make of a frame: the kernel's, the user's.
    pub(crate) fn both(&mut self, program: Program, frame: &[u8]) -> (Judgement, Judgement) {
        let egress = program == Program::TcEgress;
        let info = FrameInfo { ifindex: LOOPBACK, egress, ..FrameInfo::default() };
        let slice = SliceFrame { bytes: frame, wire_len: frame.len() };
        let user = self.model.judge(&slice, ParseStart::Ethernet, info);
        self.kernel
            .test_run(program, frame, 1)
            .unwrap_or_else(|error| panic!("{} over {} bytes: {error}", program.name(), frame.len()));
        let counted = self.kernel.counters().unwrap();
        let mut kernel = Judgement {
            counters: [0, 1].map(|hook: usize| difference(&counted[hook], &self.counted[hook])),
            record: self.ring.next().map(|record| record_of(&record)),
        };
        assert!(self.ring.next().is_none(), "one frame gave two records");
        self.counted = counted;
        self.frames += 1;
        self.selected += u64::from(user.record.is_some());
        // A wake-up is an affair between a ring and its reader.
        for counters in &mut kernel.counters {
            counters.wakeups = 0;
        }
        (kernel, user)
    }

    /// Both sides judge a frame and must agree; what they say.
    pub(crate) fn agree(&mut self, program: Program, frame: &[u8], what: impl Fn() -> String) -> Judgement {
        let (kernel, user) = self.both(program, frame);
        assert!(
            kernel == user,
            "{}, {}: the sides disagree\n kernel: {kernel:?}\n   user: {user:?}\n  frame: {}",
            what(),
            program.name(),
            hex(frame)
        );
        user
    }

    /// Flows that the user's side knows and that are otherwise in the kernel's map: the kernel's, the user's.
    pub(crate) fn different_flows(&self) -> Vec<(Option<FlowEntry>, FlowEntry)> {
        let flows = self.kernel.flows().unwrap();
        let both = self.model.tables.entries().map(|(hash, user)| (flows.entry(*hash, &user.key), *user));
        both.filter(|(kernel, user)| *kernel != Some(*user)).collect()
    }

    /// Every flow that the user's side knows is the same in the kernel's map; how many there are.
    pub(crate) fn same_flows(&self) -> usize {
        assert_eq!(self.different_flows(), [], "kernel's entry, user's entry");
        self.model.tables.entries().count()
    }

    /// Counters of both hooks, with all their laws.
    pub(crate) fn balanced(&self) -> bool {
        self.counted.iter().all(FilterCounters::balanced)
    }
}

/// Header without its time, and captured bytes; the padding of the size class is cut off.
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
    for (place, (after, before)) in difference.iter_mut().zip(after.into_iter().zip(before)) {
        *place = after - before;
    }
    zerocopy::transmute!(difference)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
