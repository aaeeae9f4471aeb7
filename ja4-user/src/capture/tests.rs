//! Tests of the reader: real captures, the seeds of its fuzz corpus, and invariants for any bytes.
use std::path::{Path, PathBuf};

use proptest::{collection::vec, prelude::*};

use super::{
    CaptureFile,
    builder::{CaptureBuilder, gzip, read, read_in_pieces, read_to_end, zstd, zstd_raw},
    order::ByteOrder::{Big, Little},
};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const KUZNETSOV: u32 = 0xa1b2_cd34;

/// Returns the sorted files of a folder; none if it is missing.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

#[test]
fn every_conformance_capture_is_read_to_its_end() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance/pcap");
    let files = files_in(&folder);
    if files.is_empty() {
        eprintln!("SKIPPED: no conformance captures in {}", folder.display());
    }
    for path in files {
        let frames = read_to_end(CaptureFile::open(&path).unwrap()).clean();
        assert!(!frames.is_empty(), "{}", path.display());
        let readable = frames.iter().filter(|(frame, bytes)| frame.link.network(bytes).is_ok()).count();
        assert_eq!(readable, frames.len(), "{}", path.display());
        // All were captured between 1990 and 2040.
        const YEAR: u64 = 31_557_600_000_000_000;
        let (first, last) = (frames[0].0.time, frames[frames.len() - 1].0.time);
        assert!(
            (20 * YEAR..70 * YEAR).contains(&first) && (20 * YEAR..70 * YEAR).contains(&last),
            "{}",
            path.display()
        );
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/capture_reader")
}

/// `cargo test -p ja4-user write_the_seeds -- --ignored` after a change to the samples.
#[test]
#[ignore = "writes the seeds of the fuzz corpus"]
fn write_the_seeds() {
    std::fs::create_dir_all(corpus()).unwrap();
    for (name, bytes) in samples() {
        std::fs::write(corpus().join(name), bytes).unwrap();
    }
}

/// Small files of every supported kind, and some invalid ones.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let tcp = b"\x45\0\0\x28\0\0\0\0\x40\x06\0\0\x7f\0\0\x01\x7f\0\0\x01\x30\x39\x01\xbb";
    let ethernet = [&[2; 12][..], b"\x08\0", tcp].concat();
    let null = [b"\x02\0\0\0", &tcp[..]].concat();
    let ppp = [b"\xff\x03\0\x21", &tcp[..]].concat();
    let sll = [&[0; 14][..], b"\x08\0", tcp].concat();
    let sll2 = [b"\x08\0", &[0; 18][..], tcp].concat();
    let pcap = |order, magic, link, packet: &[u8]| {
        CaptureBuilder::pcap(order, magic, link).record(1, 2, 60, packet).record(3, 4, 60, packet).bytes
    };
    let sections = CaptureBuilder::pcapng(Little)
        .interface(1, 65_535, &[(2, b"eth0"), (9, &[9]), (14, &Little.bytes64(1))])
        .interface(101, 0, &[(9, &[0x94])])
        .enhanced(0, 1 << 40, 60, &ethernet)
        .block(5, &[0; 20])
        .simple(60, &ethernet)
        .section(Big)
        .interface(276, 0, &[(14, &Big.bytes64(-1))])
        .enhanced(0, 9, 60, &sll2)
        .obsolete(0, 9, 60, &sll2);
    let mut wrong_trailer = sections.bytes.clone();
    *wrong_trailer.last_mut().unwrap() ^= 1;
    let small = pcap(Little, MICROSECONDS, 1, &ethernet);
    vec![
        ("pcap_us_le_ethernet", small.clone()),
        ("pcap_us_be_null", pcap(Big, MICROSECONDS, 0, &null)),
        ("pcap_ns_le_sll", pcap(Little, NANOSECONDS, 113, &sll)),
        ("pcap_ns_be_ppp", pcap(Big, NANOSECONDS, 50, &ppp)),
        ("pcap_raw", pcap(Little, MICROSECONDS, 101, tcp)),
        ("pcap_kuznetsov", pcap(Little, KUZNETSOV, 1, &[0; 32])),
        ("pcap_cut", small[..small.len() - 5].to_vec()),
        ("pcapng_sections", sections.bytes.clone()),
        ("pcapng_wrong_trailer", wrong_trailer),
        ("gzip_pcap", gzip(&small)),
        ("gzip_two_members_cut", {
            let two = [gzip(&small[..50]), gzip(&small[50..])].concat();
            two[..two.len() - 9].to_vec()
        }),
        ("zstd_pcapng", zstd(&sections.bytes)),
        (
            "zstd_frames",
            [&b"\x50\x2a\x4d\x18\x01\0\0\0x"[..], &zstd(&small[..40]), &zstd_raw(&[&small[40..]], 0)].concat(),
        ),
    ]
}

#[test]
fn members_and_frames_of_a_compressed_file_are_one_capture() {
    for (name, bytes) in samples() {
        let plain = read(&bytes);
        let (first, second) = bytes.split_at(bytes.len() / 3);
        if name.starts_with("pcap") {
            for packed in [[gzip(first), gzip(second)].concat(), [zstd(first), zstd(second)].concat()] {
                assert_eq!(read(&packed).frames, plain.frames, "{name}");
            }
        }
    }
}

/// Packets of any size and time, as a file of either format.
fn any_capture() -> impl Strategy<Value = Vec<u8>> {
    let packets = vec((any::<u32>(), vec(any::<u8>(), 0..300)), 0..40);
    (any::<bool>(), any::<bool>(), packets).prop_map(|(big, ng, packets)| {
        let order = if big { Big } else { Little };
        if !ng {
            let file = CaptureBuilder::pcap(order, MICROSECONDS, 1);
            return packets.iter().fold(file, |file, (time, bytes)| file.record(*time, 0, 0, bytes)).bytes;
        }
        let file = CaptureBuilder::pcapng(order).interface(1, 0, &[]);
        let add = |file: CaptureBuilder, (time, bytes): &(u32, Vec<u8>)| match time % 4 {
            0 => file.simple(bytes.len() as u32, bytes),
            1 => file.obsolete(0, u64::from(*time), 0, bytes),
            2 => file.block(5, bytes),
            _ => file.enhanced(0, u64::from(*time), 0, bytes),
        };
        packets.iter().fold(file, add).bytes
    })
}

/// Bytes that start like a supported format, so that the reader does not stop at the first four.
fn almost_a_capture() -> impl Strategy<Value = Vec<u8>> {
    (
        prop::sample::select(samples()),
        vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        any::<prop::sample::Index>(),
    )
        .prop_map(|((_, mut bytes), changes, cut)| {
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let cut = cut.index(bytes.len() * 4);
            bytes.truncate(cut);
            bytes
        })
}

proptest! {
    #[test]
    fn how_a_file_is_split_into_reads_does_not_matter(
        bytes in any_capture(),
        cut in any::<prop::sample::Index>(),
        sizes in vec(1usize..200, 1..6),
    ) {
        // A third of the files is truncated.
        let bytes = &bytes[..cut.index(bytes.len() * 3 / 2).min(bytes.len())];
        let (whole, pieces) = (read(bytes), read_in_pieces(bytes, &sizes));
        prop_assert_eq!(whole.frames, pieces.frames);
        prop_assert_eq!(whole.error.map(|e| e.to_string()), pieces.error.map(|e| e.to_string()));
    }

    #[test]
    fn compressed_equals_uncompressed(bytes in any_capture(), sizes in vec(1usize..200, 1..6)) {
        let plain = read(&bytes).clean();
        for packed in [gzip(&bytes), zstd(&bytes)] {
            prop_assert_eq!(&read_in_pieces(&packed, &sizes).clean(), &plain);
        }
    }

    #[test]
    fn reading_any_bytes_ends(bytes in prop_oneof![vec(any::<u8>(), 0..400), almost_a_capture()]) {
        for (frame, bytes) in read_in_pieces(&bytes, &[1, 7, 4096]).frames {
            if let Ok(payload) = frame.link.network(&bytes) {
                prop_assert!(payload.offset <= bytes.len());
            }
        }
    }
}
