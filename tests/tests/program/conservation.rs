//! Conservation laws of the counters when records are lost.

use std::thread;
use std::time::{Duration, Instant};

use aya::maps::{MapData, RingBuf};
use ja4_common::counter::FilterCounters;
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::shard_of;
use ja4_common::reason::RecordClass;
use ja4_user::capture::ebpf::{Kernel, KernelSettings, Program};
use tests::privilege::require_bpf;

use crate::comparison::{PROGRAMS, SEED, record_of};
use crate::frames::{client_hello, syn};

/// Ring size that a burst overflows, bytes.
const RING_BYTES: usize = 1 << 16;

/// Frames in a burst.
const BURST: u32 = 2000;

/// Bytes of a SYN record in a ring: the smallest size class and the ring's own header.
const SYN_IN_RING: usize = 192 + 8;

fn load(filter_config: FilterConfig) -> (Kernel, RingBuf<MapData>) {
    let settings = KernelSettings { filter_config, ring_bytes: RING_BYTES as u32, flows: 1024 };
    let mut kernel = Kernel::load(ja4_user::capture::object::bytes(), &settings).unwrap();
    let ring = kernel.take_ring(0).unwrap();
    (kernel, ring)
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
    let mut filter_config = FilterConfig::new(SEED);
    filter_config.rate_limit = 1;
    filter_config.rate[RecordClass::Syn as usize] = RATE;
    filter_config.burst[RecordClass::Syn as usize] = BUCKET;
    let hellos = 10;
    for program in PROGRAMS {
        let (mut kernel, mut ring) = load(filter_config);
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
