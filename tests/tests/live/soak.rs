//! The sensor under load for minutes.

use std::fs;
use std::time::Instant;

use super::counters::assert_conserved;
use super::*;

/// Number of captures with different addresses and values. After one replay of each, every table has reached its final
/// size.
const CAPTURES: u64 = 4;

/// Allowed memory growth factor between the first half and the second: allocators do not return all freed memory.
const GROWTH: f64 = 1.1;

/// Duration of the test, seconds, unless `JA4_TEST_SOAK` sets another.
const SOAK: u64 = 60;

#[test]
#[ignore = "runs for minutes; cargo xtask ci --long runs it"]
fn memory_is_flat_and_counters_balance_in_a_soak_test() {
    let Some(_exclusive) = exclusive() else { return };
    if !require_tools(&["tcpreplay"]) {
        return;
    }
    let duration = Duration::from_secs(std::env::var("JA4_TEST_SOAK").map_or(SOAK, |seconds| seconds.parse().unwrap()));
    let wire = Wire::new();
    let folder = TempDir::new().unwrap();
    let captures: Vec<_> = (0..CAPTURES).map(|seed| folder.path().join(format!("{seed}.pcap"))).collect();
    let mut packets = 0;
    for (seed, file) in (0..).zip(&captures) {
        packets += generate::write(CaptureKind::Dense, 0.1, seed, &mut File::create(file).unwrap()).unwrap().packets;
    }
    let sensor = RunningSensor::start(wire.server(), &["--types", "stats"]);
    let interface = wire.client().interface();
    let start = Instant::now();
    let (mut rounds, mut first, mut second) = (0, 0, 0);
    while start.elapsed() < duration || rounds < 4 {
        for file in &captures {
            let file = file.to_str().unwrap();
            wire.client().run(&["tcpreplay", "--pps", "50000", "-q", "-i", interface, file]).ok();
        }
        rounds += 1;
        let half = if start.elapsed() < duration / 2 || rounds < 3 { &mut first } else { &mut second };
        *half = resident(sensor.id()).max(*half);
    }
    eprintln!("{rounds} rounds of {packets} packets: {first} KiB in the first half, {second} KiB in the second");
    let events = sensor.stop().ok().events();
    let last = assert_conserved(&events);
    assert!(stats_u64(last, &["kernel", "seen"]) >= packets * rounds, "{last:#}");
    assert!((second as f64) < first as f64 * GROWTH, "{first} KiB in the first half, {second} KiB in the second");
}

/// Returns the resident memory of a process (`VmRSS`), KiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
