//! What a packet costs in the programs, over a program that does nothing.
//!
//! `BPF_PROG_TEST_RUN` over and over; its own mean, the best of five. That a packet took the way that
//! is meant to be measured is read off the counters.

use anyhow::{Result, bail, ensure};
use ja4_common::counter::Counters;
use ja4_common::knobs::Knobs;
use ja4_common::select::{Class, Passed};
use ja4_user::capture::ebpf::{Kernel, Program, Settings};
use ja4_user::object;
use tests::random::SplitMix64;

use crate::Scale;
use crate::figure::{Figure, least};
use crate::frames::{Flow, client_hello};

/// The size of a ring as `ja4sensor run` makes it.
pub(crate) const RING: u32 = 8 << 20;

/// A record of the smallest size class, and of the next, in the ring: with the kernel's own header.
const SYN_RECORD: u32 = 192 + 8;
const HELLO_RECORD: u32 = 768 + 8;

/// A time of the boot clock that lies many epochs behind its start, nanoseconds.
const NOW: u64 = 1 << 40;

/// The kernel half with one ring, as the rows use it.
pub(crate) fn load(knobs: Knobs) -> Result<Kernel> {
    if !tests::require_bpf() {
        bail!("needs root and BPF");
    }
    let settings = Settings { knobs, ring_bytes: RING, flows: 1 << 18 };
    let mut kernel = Kernel::load(object::bytes(), &settings)?;
    kernel.set_clock(NOW)?;
    Ok(kernel)
}

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let mut knobs = Knobs::new([0x1234_5678_90ab_cdef, 0xfedc_ba09_8765_4321]);
    // One segment again and again is wanted again and again.
    knobs.handshake_budget = u32::MAX;
    let mut kernel = load(knobs)?;
    let mut ring = kernel.take_ring(0).expect("nobody took it yet");
    let mut drain = || while ring.next().is_some() {};

    let bulk = scale.of(2_000_000, 200_000);
    let rounds = scale.rounds(5);
    let hello = client_hello(&mut SplitMix64::new(1));
    ensure!(hello.len() == 517, "the hello has {} bytes", hello.len());

    let empty_frame = Flow(0).bulk();
    let empty = best(rounds, || run(&mut kernel, Program::Empty, &empty_frame, bulk))?;
    let mut figures = vec![Figure::new("empty program", empty, "ns")];
    // A flow belongs to the hook that met it first, so each program has flows of its own.
    for (program, name, hook, first) in [(Program::Xdp, "ja4_xdp", 0, 1000), (Program::TcEgress, "ja4_tc", 1, 2000)] {
        let flow = |number: u32| Flow(first + number);
        let mut figure = |what: &str, time: f64, limit: f64| {
            let note = format!("{time:.0} ns in all");
            figures.push(Figure::new(format!("{name}, {what}"), time - empty, "ns").at_most(limit).note(note));
        };

        let frame = flow(0).bulk();
        let before = kernel.counters()?[hook];
        let time = best(rounds, || run(&mut kernel, program, &frame, bulk))?;
        let passed = passed(&before, &kernel.counters()?[hook], Passed::Untracked);
        expect("untracked bulk passed", passed, u64::from(bulk * rounds))?;
        figure("bulk, untracked", time, 8.0);

        let flow_1 = flow(1);
        // Its first bytes say that it is not TLS; then nobody is hungry.
        for frame in [flow_1.syn(), flow_1.syn_ack(), flow_1.ack(), flow_1.first(b"GET / HTTP/1.0\r\n\r\n")] {
            run(&mut kernel, program, &frame, 1)?;
        }
        drain();
        let frame = flow_1.bulk();
        let before = kernel.counters()?[hook];
        let time = best(rounds, || run(&mut kernel, program, &frame, bulk))?;
        let passed = self::passed(&before, &kernel.counters()?[hook], Passed::Tracked);
        expect("tracked bulk passed", passed, u64::from(bulk * rounds))?;
        figure("bulk, tracked", time, 60.0);

        let pieces = rounds * 5;
        let piece = RING / SYN_RECORD - 100;
        let frame = flow(2).syn();
        let before = kernel.counters()?[hook];
        let time = best(pieces, || {
            let time = run(&mut kernel, program, &frame, piece);
            drain();
            time
        })?;
        let emitted = emitted(&before, &kernel.counters()?[hook], Class::Syn);
        expect("SYNs emitted", emitted, u64::from(piece * pieces))?;
        figure("SYN", time, 120.0);

        let piece = RING / HELLO_RECORD - 100;
        for frame in [flow(3).syn(), flow(3).syn_ack(), flow(3).ack()] {
            run(&mut kernel, program, &frame, 1)?;
        }
        drain();
        let frame = flow(3).first(&hello);
        let before = kernel.counters()?[hook];
        let time = best(pieces, || {
            let time = run(&mut kernel, program, &frame, piece);
            drain();
            time
        })?;
        let emitted = self::emitted(&before, &kernel.counters()?[hook], Class::Tls);
        expect("hellos emitted", emitted, u64::from(piece * pieces))?;
        figure("ClientHello", time, 200.0);
    }
    Ok(figures)
}

/// The kernel's mean of `repeat` runs, nanoseconds.
fn run(kernel: &mut Kernel, program: Program, frame: &[u8], repeat: u32) -> Result<f64> {
    let (_, mean) = kernel.test_run(program, frame, repeat)?;
    Ok(mean.as_nanos() as f64)
}

fn best(rounds: u32, mut measure: impl FnMut() -> Result<f64>) -> Result<f64> {
    let times: Result<Vec<f64>> = (0..rounds).map(|_| measure()).collect();
    Ok(least(times?))
}

fn passed(before: &Counters, after: &Counters, reason: Passed) -> u64 {
    after.unselected[reason as usize] - before.unselected[reason as usize]
}

fn emitted(before: &Counters, after: &Counters, class: Class) -> u64 {
    after.emitted[class as usize] - before.emitted[class as usize]
}

fn expect(what: &str, counted: u64, wanted: u64) -> Result<()> {
    ensure!(counted == wanted, "{what}: {counted}, not {wanted}: something else was measured");
    Ok(())
}
