//! Every Ethernet packet of the conformance captures, processed by each program and by user space.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use ja4_user::capture::{Batch, CaptureFile, LinkType};
use tests::privilege::{require_bpf, skipped};

use crate::comparison::{FilterComparison, NOON, PROGRAMS, fits};
use crate::report;

/// Largest lag of the coarse clock, as in the sensor.
const CLOCK_STEP: Duration = Duration::from_millis(100);

/// A captured packet.
struct CapturedPacket {
    file: usize,
    number: u64,
    time: Duration,
    frame: Vec<u8>,
}

/// Returns the folder of the captures: the one in `JA4_CONFORMANCE`, or one beside the workspace.
fn folder() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    env::var_os("JA4_CONFORMANCE").map_or(beside, PathBuf::from).join("pcap")
}

/// Returns the Ethernet packets of all captures in order, and the number of other packets.
fn packets(files: &[PathBuf]) -> (Vec<CapturedPacket>, u64) {
    let mut packets = Vec::new();
    let mut others = 0;
    for (file, path) in files.iter().enumerate() {
        let mut capture = CaptureFile::open(path).unwrap();
        let mut batch = Batch::new();
        loop {
            let more = capture.fill(&mut batch).unwrap_or(false);
            for frame in batch.frames() {
                if frame.link == LinkType::Ethernet {
                    let time = Duration::from_nanos(frame.time);
                    packets.push(CapturedPacket {
                        file,
                        number: frame.number,
                        time,
                        frame: batch.bytes(frame).to_vec(),
                    });
                } else {
                    others += 1;
                }
            }
            if !more {
                break;
            }
        }
    }
    (packets, others)
}

#[test]
fn kernel_and_user_space_agree_on_every_captured_packet() {
    if !require_bpf() {
        return;
    }
    let Ok(listing) = fs::read_dir(folder()) else {
        skipped("the conformance captures, in the folder that JA4_CONFORMANCE names");
        return;
    };
    let mut files: Vec<PathBuf> = listing.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (packets, others) = packets(&files);
    assert!(packets.len() > 1000, "{} Ethernet packets", packets.len());
    for program in PROGRAMS {
        let mut comparison = FilterComparison::with_defaults();
        // Timestamps of files and packets are in any order; the boot clock is monotonic.
        let mut clock = NOON;
        let mut previous: Option<(usize, Duration)> = None;
        let mut omitted: BTreeMap<usize, u64> = BTreeMap::new();
        for packet in &packets {
            if let Some((file, time)) = previous
                && file == packet.file
            {
                clock += packet.time.saturating_sub(time);
            }
            previous = Some((packet.file, packet.time));
            comparison.coarse_clock(clock, CLOCK_STEP);
            if fits(program, &packet.frame) {
                comparison.assert_equal(program, &packet.frame, || {
                    format!("{} packet {}", files[packet.file].display(), packet.number)
                });
            } else {
                *omitted.entry(packet.frame.len()).or_default() += 1;
            }
        }
        let flows = comparison.assert_same_flows();
        assert!(comparison.balanced());
        assert!(comparison.selected > 100 && flows > 100, "{} selected, {flows} flows", comparison.selected);
        report(&format!(
            "{}: {} files, {} frames alike, {} of them selected, {flows} flows; left out {others} that are not \
             Ethernet and, by length, {omitted:?}",
            program.name(),
            files.len(),
            comparison.frames,
            comparison.selected,
        ));
    }
}
