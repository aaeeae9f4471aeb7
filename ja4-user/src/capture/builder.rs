//! Builders of capture files, and readers that return them in small pieces. For tests only.
use std::io::{self, Read, Write};

use super::{Batch, CaptureError, CaptureFile, FrameRef, order::ByteOrder, order::ByteOrder::Big};

impl ByteOrder {
    pub(super) const BOTH: [Self; 2] = [Self::Little, Self::Big];

    pub(super) fn bytes16(self, value: u16) -> [u8; 2] {
        if self == Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(super) fn bytes32(self, value: u32) -> [u8; 4] {
        if self == Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(super) fn bytes64(self, value: i64) -> [u8; 8] {
        if self == Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

/// A builder of a capture file of either format.
#[derive(Clone)]
pub(super) struct CaptureBuilder {
    pub(super) order: ByteOrder,
    pub(super) bytes: Vec<u8>,
}

impl CaptureBuilder {
    /// A pcap file: its header.
    pub(super) fn pcap(order: ByteOrder, magic: u32, link: u32) -> Self {
        let bytes = Vec::new();
        Self { order, bytes }.u32(magic).u16(2).u16(4).u32(0).u32(0).u32(65_535).u32(link)
    }

    /// A pcap packet record.
    pub(super) fn record(self, seconds: u32, fraction: u32, wire: u32, packet: &[u8]) -> Self {
        self.u32(seconds).u32(fraction).u32(packet.len() as u32).u32(wire).raw(packet)
    }

    /// A pcapng file: its first section header.
    pub(super) fn pcapng(order: ByteOrder) -> Self {
        let bytes = Vec::new();
        Self { order, bytes }.section(order)
    }

    /// A section header block.
    pub(super) fn section(mut self, order: ByteOrder) -> Self {
        self.order = order;
        let mut body = order.bytes32(0x1a2b_3c4d).to_vec();
        body.extend(order.bytes16(1));
        body.extend(order.bytes16(0));
        body.extend(order.bytes64(-1));
        self.block(0x0a0d_0d0a, &body)
    }

    /// An interface description block.
    pub(super) fn interface(self, link: u16, snaplen: u32, options: &[(u16, &[u8])]) -> Self {
        let order = self.order;
        let mut body = order.bytes16(link).to_vec();
        body.extend([0, 0]);
        body.extend(order.bytes32(snaplen));
        for (code, value) in options {
            body.extend(order.bytes16(*code));
            body.extend(order.bytes16(value.len() as u16));
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.block(1, &body)
    }

    /// An enhanced packet block.
    pub(super) fn enhanced(self, interface: u32, units: u64, wire: u32, packet: &[u8]) -> Self {
        let order = self.order;
        let mut body = order.bytes32(interface).to_vec();
        body.extend(order.bytes32((units >> 32) as u32));
        body.extend(order.bytes32(units as u32));
        body.extend(order.bytes32(packet.len() as u32));
        body.extend(order.bytes32(wire));
        body.extend_from_slice(packet);
        self.block(6, &body)
    }

    /// A simple packet block.
    pub(super) fn simple(self, wire: u32, packet: &[u8]) -> Self {
        let mut body = self.order.bytes32(wire).to_vec();
        body.extend_from_slice(packet);
        self.block(3, &body)
    }

    /// An obsolete packet block.
    pub(super) fn obsolete(self, interface: u16, units: u64, wire: u32, packet: &[u8]) -> Self {
        let order = self.order;
        let mut body = order.bytes16(interface).to_vec();
        body.extend(order.bytes16(7));
        body.extend(order.bytes32((units >> 32) as u32));
        body.extend(order.bytes32(units as u32));
        body.extend(order.bytes32(packet.len() as u32));
        body.extend(order.bytes32(wire));
        body.extend_from_slice(packet);
        self.block(2, &body)
    }

    /// Any block, padded, with its length at both ends.
    pub(super) fn block(self, kind: u32, body: &[u8]) -> Self {
        let padding = body.len().next_multiple_of(4) - body.len();
        let length = (body.len() + padding + 12) as u32;
        self.u32(kind).u32(length).raw(body).raw(&[0; 3][..padding]).u32(length)
    }

    pub(super) fn u16(self, value: u16) -> Self {
        let bytes = self.order.bytes16(value);
        self.raw(&bytes)
    }

    pub(super) fn u32(self, value: u32) -> Self {
        let bytes = self.order.bytes32(value);
        self.raw(&bytes)
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(super) fn read(&self) -> ReadOutcome {
        read(&self.bytes)
    }
}

/// The packets of a capture file, and the error at its end.
#[derive(Debug)]
pub(super) struct ReadOutcome {
    /// With the offsets in their batches set to 0, since these depend on how the file was read.
    pub(super) frames: Vec<(FrameRef, Vec<u8>)>,
    pub(super) error: Option<CaptureError>,
    /// Packets of unsupported link types.
    pub(super) skipped: u64,
}

impl ReadOutcome {
    /// Returns the packets; asserts a clean end.
    pub(super) fn clean(self) -> Vec<(FrameRef, Vec<u8>)> {
        assert!(self.error.is_none(), "{}", self.error.unwrap());
        self.frames
    }

    /// Returns the error; asserts the number of packets before it.
    pub(super) fn failed_after(self, packets: usize) -> CaptureError {
        assert_eq!(self.frames.len(), packets, "{:?}", self.error);
        self.error.expect("an error")
    }
}

/// Reads a capture in memory.
pub(super) fn read(bytes: &[u8]) -> ReadOutcome {
    read_to_end(CaptureFile::from_reader("test", Box::new(io::Cursor::new(bytes.to_vec()))))
}

/// Reads a capture in pieces of these sizes, repeatedly.
pub(super) fn read_in_pieces(bytes: &[u8], sizes: &[usize]) -> ReadOutcome {
    let pieces = PieceReader { bytes: bytes.to_vec(), at: 0, sizes: sizes.to_vec(), turn: 0 };
    read_to_end(CaptureFile::from_reader("test", Box::new(pieces)))
}

/// Reads a file and checks invariants that hold for any bytes.
pub(super) fn read_to_end(mut file: CaptureFile) -> ReadOutcome {
    let mut batch = Batch::new();
    let mut frames: Vec<(FrameRef, Vec<u8>)> = Vec::new();
    let error = loop {
        match file.fill(&mut batch) {
            Ok(true) => {
                assert!(!batch.frames().is_empty(), "a batch without a frame");
                for frame in batch.frames() {
                    let bytes = batch.bytes(frame);
                    assert_eq!(bytes.len(), frame.captured as usize, "a frame outside its batch");
                    assert!(frame.wire >= frame.captured);
                    let before = frames.last().map_or(0, |(before, _)| before.number);
                    assert!(frame.number > before, "numbers that do not rise");
                    frames.push((FrameRef { offset: 0, ..*frame }, bytes.to_vec()));
                }
            }
            Ok(false) => break None,
            Err(error) => break Some(error),
        }
    };
    let again = file.fill(&mut batch).map_err(|error| error.to_string());
    let first = error.as_ref().map_or(Ok(false), |error| Err(error.to_string()));
    assert_eq!(again, first, "the end must not change");
    assert_eq!(file.packets(), frames.len() as u64);
    let skipped = file.unsupported();
    assert_eq!(file.next_number(), 1 + file.packets() + skipped, "a number left out");
    ReadOutcome { frames, error, skipped }
}

/// A reader that returns pieces of given sizes.
struct PieceReader {
    bytes: Vec<u8>,
    at: usize,
    sizes: Vec<usize>,
    turn: usize,
}

impl Read for PieceReader {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        if self.turn.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let size = self.sizes[self.turn % self.sizes.len()].max(1);
        let rest = &self.bytes[self.at..];
        let count = size.min(rest.len()).min(target.len());
        target[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A zstd frame of raw blocks with a checksum field, and a window far larger than its content.
pub(super) fn zstd_raw(blocks: &[&[u8]], checksum: u32) -> Vec<u8> {
    // Frame header: content checksum flag; window of 8 MiB.
    let mut frame = b"\x28\xb5\x2f\xfd\x04\x68".to_vec();
    for (number, block) in blocks.iter().enumerate() {
        let last = u32::from(number + 1 == blocks.len());
        let header = (block.len() as u32) << 3 | last;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame.extend(checksum.to_le_bytes());
    frame
}
