//! Cost of a packet in the eBPF programs, in addition to that of an empty program.
//!
//! Each round is one repeated `BPF_PROG_TEST_RUN`, measured by the kernel's mean; the figure is the best round. The
//! counters verify that the packets took the code path under measurement.

use std::net::SocketAddr;

use anyhow::{Result, bail, ensure};
use aya::maps::{MapData, RingBuf};
use ja4_common::counter::FilterCounters;
use ja4_common::filter_config::FilterConfig;
use ja4_common::limit::{RecordLimit, RecordLimits};
use ja4_common::reason::{PassReason, RecordClass};
use ja4_user::capture::ebpf::{Kernel, KernelSettings, Program};
use ja4_user::capture::object;
use tests::datagram::Datagram;
use tests::outer_layer::{OuterLayer, TunnelKind};
use tests::packets::Sender;
use tests::quic::{self, QuicEnds};
use tests::random::SplitMix64;
use tests::{dtls, http, ssh};

use crate::Scale;
use crate::figure::{Figure, least};
use crate::frames::{Flow, client_hello};

/// Size of a ring, bytes, as in `ja4sensor run`.
pub(crate) const RING: u32 = 8 << 20;

/// Size of a record in the ring, bytes, with the kernel's header of 8 bytes, for the three smaller size classes.
const SMALL: u32 = 192 + 8;
const MEDIUM: u32 = 768 + 8;
const LARGE: u32 = 2048 + 8;

/// Boot-clock time many epochs after boot, nanoseconds.
const NOW: u64 = 1 << 40;

/// Loads the eBPF programs with the settings that the rows share.
pub(crate) fn load(filter_config: FilterConfig) -> Result<Kernel> {
    if !tests::require_bpf() {
        bail!("needs root and BPF");
    }
    let settings = KernelSettings { filter_config, ring_bytes: RING, flows: 1 << 18 };
    let mut kernel = Kernel::load(object::bytes(), &settings)?;
    kernel.set_clock(NOW)?;
    // Limits that drop nothing: a record costs what it costs in a sensor.
    let limit = RecordLimit { rate: u32::MAX, burst: u32::MAX, mark: u32::MAX, reserved: 0 };
    let mut limits = RecordLimits::NONE;
    let (unassured, assured) = limits.by_index.split_at_mut(RecordClass::COUNT);
    unassured.fill(limit);
    assured.fill(RecordLimit { mark: 0, ..limit });
    kernel.set_limits(&limits)?;
    Ok(kernel)
}

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let mut filter_config = FilterConfig::new([0x1234_5678_90ab_cdef, 0xfedc_ba09_8765_4321]);
    // The same segment is repeated and must be selected each time.
    filter_config.handshake_budget = u32::MAX;
    let mut kernel = load(filter_config)?;
    let mut ring = kernel.take_ring(0).expect("ring 0 is taken once");
    let (bulk, rounds) = (scale.of(2_000_000, 200_000), scale.rounds(5));

    let empty_frame = Flow(0).bulk();
    let empty = best(rounds, || run(&mut kernel, Program::Empty, &empty_frame, bulk))?;
    let mut figures = vec![Figure::new("empty program", empty, "ns")];
    // A flow belongs to the hook that processed its first packet, so each program uses separate flows.
    for (program, hook, first) in [(Program::Xdp, 0, 1000), (Program::TcEgress, 1, 2000)] {
        let mut hook = HookBench { kernel: &mut kernel, ring, program, hook, empty, bulk, rounds, figures };
        hook.tcp(|number| Flow(u32::from(first) + number))?;
        hook.udp(first)?;
        HookBench { ring, figures, .. } = hook;
    }
    Ok(figures)
}

/// One program under measurement.
struct HookBench<'a> {
    kernel: &'a mut Kernel,
    ring: RingBuf<MapData>,
    program: Program,
    /// Index of its counters.
    hook: usize,
    /// Run time of the empty program, nanoseconds.
    empty: f64,
    /// Repetitions of a packet that emits no record.
    bulk: u32,
    rounds: u32,
    figures: Vec<Figure>,
}

impl HookBench<'_> {
    fn tcp(&mut self, flow: impl Fn(u32) -> Flow) -> Result<()> {
        let hello = client_hello(&mut SplitMix64::new(1));
        ensure!(hello.len() == 517, "the hello has {} bytes", hello.len());

        self.passes("bulk, untracked", &flow(0).bulk(), PassReason::Untracked, Some(8.0))?;
        // The first payload is a complete HTTP request, so the flow is not TLS. Later segments are selected as a
        // possible next request until the budget is used up; then no further segment is selected.
        let opening = |flow: Flow| [flow.syn(), flow.syn_ack(), flow.ack()];
        self.meet(&opening(flow(1)))?;
        self.meet(&[flow(1).first(b"GET / HTTP/1.0\r\n\r\n")])?;
        self.meet(&vec![flow(1).bulk(); 40])?;
        self.passes("bulk, tracked", &flow(1).bulk(), PassReason::Tracked, Some(60.0))?;

        self.emits("SYN", &flow(2).syn(), RecordClass::Syn, SMALL, Some(120.0))?;
        self.meet(&opening(flow(3)))?;
        self.emits("ClientHello", &flow(3).first(&hello), RecordClass::Tls, MEDIUM, Some(200.0))?;

        self.meet(&opening(flow(4)))?;
        // A browser's request truncated before its cookies, so that it fits the second size class.
        let request = http::browser_request("www.example.org", "/", &mut SplitMix64::new(1));
        let request = [&request[..600 - 4], b"\r\n\r\n"].concat();
        self.emits("HTTP request", &flow(4).first(&request), RecordClass::Http, MEDIUM, None)?;

        self.meet(&opening(flow(5)))?;
        self.meet(&[flow(5).first(ssh::BANNER)])?;
        // Unmeasured segments use up the budget of the SSH identification.
        self.meet(&[flow(5).bulk(), flow(5).bulk(), flow(5).bulk(), flow(5).bulk()])?;
        self.emits("SSH segment, headers only", &flow(5).bulk(), RecordClass::Ssh, SMALL, None)?;

        let tunnel = OuterLayer::between("192.0.2.1", "192.0.2.2", TunnelKind::Vxlan(42));
        self.emits("SYN inside VXLAN", &tunnel.wrap(&flow(6).syn()), RecordClass::Syn, MEDIUM, None)
    }

    fn udp(&mut self, first: u16) -> Result<()> {
        let mut random = SplitMix64::new(first.into());
        let datagram = |port: u16, to: u16, payload: &[u8]| {
            let from = SocketAddr::from(([10, 64, 0, 1], first + port));
            Datagram { from, to: SocketAddr::from(([198, 51, 100, 7], to)), ttl: 64, payload }.frame()
        };
        self.passes("UDP bulk, untracked", &datagram(0, 5004, &[0x80; 1200]), PassReason::Udp, Some(8.0))?;

        let hello = dtls::datagrams(1, 0, &[0; 100], 1200).concat();
        self.meet(&[datagram(1, 4433, &hello)])?;
        let data = dtls::record(23, 1, &[7; 1200 - 13]);
        self.passes("UDP bulk, tracked (DTLS data)", &datagram(1, 4433, &data), PassReason::Tracked, Some(60.0))?;

        let ends = QuicEnds::new(b"8 bytes.", b"8 others");
        let initial = ends.initial(Sender::Client, 0, &quic::crypto(0, &[1; 300]));
        let short = ends.short(Sender::Client, 1200, &mut random);
        self.meet(&[datagram(2, 443, &initial)])?;
        self.passes("QUIC short header, tracked", &datagram(2, 443, &short), PassReason::Tracked, Some(60.0))?;
        self.emits("QUIC Initial", &datagram(3, 443, &initial), RecordClass::Quic, LARGE, None)
    }

    /// Runs each frame once and discards the emitted records.
    fn meet(&mut self, frames: &[Vec<u8>]) -> Result<()> {
        for frame in frames {
            run(self.kernel, self.program, frame, 1)?;
        }
        drain(&mut self.ring);
        Ok(())
    }

    /// Measures a frame that emits no record.
    fn passes(&mut self, what: &str, frame: &[u8], reason: PassReason, limit: Option<f64>) -> Result<()> {
        let Self { program, hook, bulk, rounds, .. } = *self;
        let before = self.kernel.counters()?[hook];
        let time = best(rounds, || run(self.kernel, program, frame, bulk))?;
        let passed = passed(&before, &self.kernel.counters()?[hook], reason);
        self.note(what, time, limit);
        expect(what, passed, u64::from(bulk * rounds))
    }

    /// Measures a frame that emits a record of `size` bytes in the ring.
    fn emits(&mut self, what: &str, frame: &[u8], class: RecordClass, size: u32, limit: Option<f64>) -> Result<()> {
        let Self { program, hook, .. } = *self;
        let (pieces, piece) = (self.rounds * 5, RING / size - 100);
        let before = self.kernel.counters()?[hook];
        let time = best(pieces, || {
            let time = run(self.kernel, program, frame, piece);
            drain(&mut self.ring);
            time
        })?;
        let emitted = emitted(&before, &self.kernel.counters()?[hook], class);
        self.note(what, time, limit);
        // Repetitions of one request use up its budget: then one repetition is not selected, and the next starts over.
        let wanted = u64::from(piece * pieces);
        ensure!(emitted * 20 >= wanted * 19, "{what}: {emitted}, not {wanted}: something else was measured");
        Ok(())
    }

    fn note(&mut self, what: &str, time: f64, limit: Option<f64>) {
        let what = format!("{}, {what}", self.program.name());
        let figure = Figure::new(what, time - self.empty, "ns").note(format!("{time:.0} ns in all"));
        self.figures.push(match limit {
            Some(limit) => figure.at_most(limit),
            None => figure,
        });
    }
}

fn drain(ring: &mut RingBuf<MapData>) {
    while ring.next().is_some() {}
}

/// Returns the kernel's mean over `repeat` runs, nanoseconds.
fn run(kernel: &mut Kernel, program: Program, frame: &[u8], repeat: u32) -> Result<f64> {
    let (_, mean) = kernel.test_run(program, frame, repeat)?;
    Ok(mean.as_nanos() as f64)
}

fn best(rounds: u32, mut measure: impl FnMut() -> Result<f64>) -> Result<f64> {
    let times: Result<Vec<f64>> = (0..rounds).map(|_| measure()).collect();
    Ok(least(times?))
}

fn passed(before: &FilterCounters, after: &FilterCounters, reason: PassReason) -> u64 {
    after.unselected[reason as usize] - before.unselected[reason as usize]
}

fn emitted(before: &FilterCounters, after: &FilterCounters, class: RecordClass) -> u64 {
    after.emitted[class as usize] - before.emitted[class as usize]
}

fn expect(what: &str, counted: u64, wanted: u64) -> Result<()> {
    ensure!(counted == wanted, "{what}: {counted}, not {wanted}: something else was measured");
    Ok(())
}
