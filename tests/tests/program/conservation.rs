//! Conservation laws of the counters when records are lost.

use std::thread;
use std::time::{Duration, Instant};

use aya::maps::{MapData, RingBuf};
use ja4_common::counter::FilterCounters;
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::shard_of;
use ja4_common::limit::{self, RecordLimit, RecordLimits};
use ja4_common::reason::RecordClass;
use ja4_common::record::flag;
use ja4_user::capture::ebpf::{Kernel, KernelSettings, Program};
use ja4_user::runtime::overload;
use tests::conversation::TcpConversation;
use tests::hello::Shape;
use tests::privilege::require_bpf;

use crate::comparison::{PROGRAMS, SEED, record_of};
use crate::frames::{client_hello, hello_record, syn};

/// Ring size that a burst overflows, bytes.
const RING_BYTES: usize = 1 << 16;

/// Frames in a burst.
const BURST: u32 = 2000;

/// Bytes of a SYN record in a ring: the smallest size class and the ring's own header.
const SYN_IN_RING: usize = 192 + 8;

/// Bytes of a ClientHello record in a ring: the second size class and the ring's own header.
const HELLO_IN_RING: usize = 768 + 8;

fn load(filter_config: FilterConfig) -> (Kernel, RingBuf<MapData>) {
    let settings = KernelSettings { filter_config, ring_bytes: RING_BYTES as u32, flows: 1024 };
    let mut kernel = Kernel::load(ja4_user::capture::object::bytes(), &settings).unwrap();
    let ring = kernel.take_ring(0).unwrap();
    (kernel, ring)
}

fn limit_of(class: RecordClass, is_assured: bool) -> usize {
    limit::index(class as u8, is_assured).into()
}

/// Returns the number of records in the ring, by class.
fn drain(ring: &mut RingBuf<MapData>) -> [u64; RecordClass::COUNT] {
    let mut records = [0; RecordClass::COUNT];
    while let Some(record) = ring.next() {
        let (header, _) = record_of(&record);
        records[usize::from(header.class)] += 1;
    }
    records
}

fn counters(kernel: &Kernel, program: Program) -> FilterCounters {
    let [ingress, egress] = kernel.counters().unwrap();
    let (used, unused) = if program == Program::TcEgress { (egress, ingress) } else { (ingress, egress) };
    assert_eq!(unused, FilterCounters::default(), "frames of {} counted at the other hook", program.name());
    assert!(used.balanced(), "{used:?}");
    used
}

#[test]
fn records_lost_to_a_full_ring_are_counted() {
    if !require_bpf() {
        return;
    }
    for program in PROGRAMS {
        let (mut kernel, mut ring) = load(FilterConfig::new(SEED));
        let mut drained = [0; RecordClass::COUNT];
        for round in 1..=2 {
            let bursts = [(RecordClass::Syn, syn()), (RecordClass::Tls, client_hello())];
            for (class, frame) in bursts.map(|(class, frame)| (class as usize, frame)) {
                let before = counters(&kernel, program);
                kernel.test_run(program, &frame, BURST).unwrap();
                let after = counters(&kernel, program);
                for (sum, records) in drained.iter_mut().zip(drain(&mut ring)) {
                    *sum += records;
                }
                assert_eq!(after.seen, before.seen + u64::from(BURST));
                assert_eq!(after.emitted, drained, "{}: the ring has not all emitted records", program.name());
                assert!(after.emitted[class] > before.emitted[class], "a drained ring accepts no records");
                assert!(after.ring_full[class] > before.ring_full[class], "{after:?}");
                assert_eq!(after.rate_limited, [0; RecordClass::COUNT]);
            }
            let syns = (RING_BYTES - 1) / SYN_IN_RING;
            assert_eq!(drained[RecordClass::Syn as usize], syns as u64 * round, "the ring is not completely used");
        }
    }
}

#[test]
fn every_record_is_in_the_ring_of_its_shard() {
    const SHARDS: u32 = 5;
    if !require_bpf() {
        return;
    }
    let filter_config = FilterConfig { shards: SHARDS, ..FilterConfig::new(SEED) };
    let settings = KernelSettings { filter_config, ring_bytes: RING_BYTES as u32, flows: 1024 };
    let mut kernel = Kernel::load(ja4_user::capture::object::bytes(), &settings).unwrap();
    for port in 1..=200_u16 {
        let mut frame = syn();
        frame[34..36].copy_from_slice(&port.to_be_bytes());
        kernel.test_run(Program::Xdp, &frame, 1).unwrap();
    }
    let mut records = 0;
    for shard in 0..SHARDS {
        let mut ring = kernel.take_ring(shard as usize).unwrap();
        let before = records;
        while let Some(record) = ring.next() {
            let (header, _) = record_of(&record);
            assert_eq!(shard_of(header.hash, SHARDS), shard);
            records += 1;
        }
        assert!(records > before, "shard {shard} has no record of 200 flows");
    }
    assert_eq!(records, 200);
}

#[test]
fn the_rate_limiter_counts_dropped_records() {
    /// Records per second.
    const RATE: u64 = 10;
    const BUCKET: u64 = 5;
    if !require_bpf() {
        return;
    }
    let mut limits = RecordLimits::NONE;
    limits.by_index[limit_of(RecordClass::Syn, false)] =
        RecordLimit { rate: RATE as u32, burst: BUCKET as u32, ..RecordLimit::default() };
    let hellos = 10;
    for program in PROGRAMS {
        let (mut kernel, mut ring) = load(FilterConfig::new(SEED));
        kernel.set_limits(&limits).unwrap();
        let start = Instant::now();
        kernel.test_run(program, &syn(), BURST).unwrap();
        // Token buckets are per CPU, and the kernel may move a long run to another CPU.
        let cpus = thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
        let granted = cpus * (BUCKET + 1 + start.elapsed().as_millis() as u64 * RATE / 1000);
        kernel.test_run(program, &client_hello(), hellos).unwrap();
        let after = counters(&kernel, program);
        let emitted = after.emitted[RecordClass::Syn as usize];
        assert!((BUCKET..=granted).contains(&emitted), "{}: {emitted} of {granted}", program.name());
        assert_eq!(after.rate_limited[RecordClass::Syn as usize], u64::from(BURST) - emitted);
        assert_eq!(after.rate_limited.iter().sum::<u64>(), u64::from(BURST) - emitted, "another class is rate limited");
        assert_eq!(after.emitted, drain(&mut ring));

        // Elapsed time alone refills the bucket, on whichever CPU the frame is processed.
        thread::sleep(Duration::from_millis(1000 / RATE + 50));
        kernel.test_run(program, &syn(), 1).unwrap();
        let later = counters(&kernel, program);
        assert_eq!(later.emitted[RecordClass::Syn as usize], emitted + 1, "{}", program.name());
        assert_eq!(drain(&mut ring)[RecordClass::Syn as usize], 1);
    }
}

/// Returns the frames of a connection up to its ClientHello.
fn opened_connection(client: &str) -> Vec<Vec<u8>> {
    let mut conversation = TcpConversation::between(client, "10.0.0.2:443");
    conversation.handshake().client(&hello_record(Shape::Curl));
    conversation.packets().iter().map(|packet| packet.frame.clone()).collect()
}

#[test]
fn a_flood_leaves_the_ring_to_more_valuable_classes() {
    if !require_bpf() {
        return;
    }
    let limits = overload::ceilings(Some(0), RING_BYTES as u32);
    for program in PROGRAMS {
        let (mut kernel, mut ring) = load(FilterConfig::new(SEED));
        kernel.set_limits(&limits).unwrap();
        let assured = opened_connection("10.0.0.9:50001");
        for frame in &assured[..3] {
            kernel.test_run(program, frame, 1).unwrap();
        }
        drain(&mut ring);
        let before = counters(&kernel, program);
        let unassured = opened_connection("10.0.0.9:50002");
        // Each flood fills the ring to its mark, and the next one still gets records.
        let floods = [
            (RecordClass::Syn, &syn(), RING_BYTES / 4),
            (RecordClass::Tls, &unassured[3], RING_BYTES / 2),
            (RecordClass::Tls, &assured[3], RING_BYTES),
        ];
        let mut used = 0;
        for (class, frame, mark) in floods {
            let class = class as usize;
            let start = counters(&kernel, program);
            kernel.test_run(program, frame, BURST).unwrap();
            let after = counters(&kernel, program);
            let emitted = after.emitted[class] - start.emitted[class];
            let bytes = if class == RecordClass::Syn as usize { SYN_IN_RING } else { HELLO_IN_RING };
            let room = mark - used;
            let expected = if mark == RING_BYTES { (room - 1) / bytes } else { room.div_ceil(bytes) };
            assert_eq!(emitted, expected as u64, "{}, class {class}, mark {mark}", program.name());
            used += emitted as usize * bytes;
        }
        let after = counters(&kernel, program);
        let limited = |class| after.rate_limited[class as usize] - before.rate_limited[class as usize];
        assert!(limited(RecordClass::Syn) > 0 && limited(RecordClass::Tls) > 0, "{after:?}");
        assert_eq!(after.ring_full[RecordClass::Syn as usize], 0, "{after:?}");
        assert!(after.ring_full[RecordClass::Tls as usize] > 0, "{after:?}");
        drain(&mut ring);
        // A flow is tracked although the record of its SYN was dropped.
        let [.., flow] = &opened_connection("10.0.0.9:50003")[..] else { unreachable!() };
        kernel.test_run(program, &syn(), BURST).unwrap();
        kernel.test_run(program, &opened_connection("10.0.0.9:50003")[0], 1).unwrap();
        drain(&mut ring);
        kernel.test_run(program, flow, 1).unwrap();
        let (header, _) = record_of(&ring.next().unwrap());
        assert_ne!(header.flags & flag::TRACKED, 0);
        assert_eq!(header.counters.packets.iter().sum::<u64>(), 2, "SYN and ClientHello");
    }
}

#[test]
fn only_an_acknowledgment_of_the_syn_ack_makes_a_flow_assured() {
    if !require_bpf() {
        return;
    }
    // Every ClientHello of a flow that is not assured is dropped.
    let mut limits = RecordLimits::NONE;
    limits.by_index[limit_of(RecordClass::Tls, false)] = RecordLimit { rate: 1, ..RecordLimit::default() };
    let connection = opened_connection("10.0.0.1:51234");
    let (handshake, hello) = connection.split_at(3);
    // Its acknowledgment number is that of no SYN-ACK.
    let forged = client_hello();
    for program in PROGRAMS {
        for (frames, emitted) in [(handshake, 1), (&handshake[..2], 0)] {
            let hello = if emitted == 1 { &hello[0] } else { &forged };
            let (mut kernel, _ring) = load(FilterConfig::new(SEED));
            kernel.set_limits(&limits).unwrap();
            for frame in frames.iter().chain([hello]) {
                kernel.test_run(program, frame, 1).unwrap();
            }
            let counters = counters(&kernel, program);
            let class = RecordClass::Tls as usize;
            assert_eq!((counters.emitted[class], counters.rate_limited[class]), (emitted, 1 - emitted), "{counters:?}");
        }
    }
}
