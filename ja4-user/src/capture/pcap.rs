//! The pcap format: one header, then packet records (draft-ietf-opsawg-pcap).

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::{
    MAX_PACKET,
    batch::{Found, Indexing},
    error::{Damage, Fault},
    linktype::LinkType,
    order::ByteOrder,
};

/// Timestamps in microseconds.
const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
/// Timestamps in nanoseconds.
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Kuznetsov's variant of old Linux distributions: microseconds, and longer records.
const MAGIC_KUZNETSOV: u32 = 0xa1b2_cd34;

/// What Kuznetsov's records add to the header: interface index (4), protocol (2), packet type (1), padding (1).
const KUZNETSOV_EXTRA: usize = 8;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MICRO: u64 = 1_000;

/// The header of a file; every field but the magic's meaning and the link type is of no use to a reader.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct FileHeader {
    magic: [u8; 4],
    version_major: [u8; 2],
    version_minor: [u8; 2],
    reserved: [u8; 8],
    snaplen: [u8; 4],
    link: [u8; 4],
}

/// The header of a packet record.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RecordHeader {
    seconds: [u8; 4],
    fraction: [u8; 4],
    captured: [u8; 4],
    wire: [u8; 4],
}

/// Bytes of a [`FileHeader`].
pub(super) const FILE_HEADER_LEN: usize = size_of::<FileHeader>();

/// What the header of a pcap file says of its records.
///
/// Own framing rather than a parser crate's: this loop is all the replay does for a bulk packet, and the crates know
/// neither the big-endian Kuznetsov variant nor a bound for the captured length.
#[derive(Debug)]
pub(super) struct Pcap {
    order: ByteOrder,
    nanos_per_unit: u64,
    /// Bytes between a record's header and its packet.
    extra: usize,
    link: LinkType,
}

/// Byte order and resolution of the file that begins with these bytes, if it is a pcap file.
fn recognise(magic: [u8; 4]) -> Option<(ByteOrder, u32)> {
    [ByteOrder::Little, ByteOrder::Big]
        .map(|order| (order, order.u32(magic)))
        .into_iter()
        .find(|&(_, magic)| matches!(magic, MAGIC_MICROSECONDS | MAGIC_NANOSECONDS | MAGIC_KUZNETSOV))
}

/// Whether a file that begins with these bytes is a pcap file.
pub(super) fn is_pcap(magic: [u8; 4]) -> bool {
    recognise(magic).is_some()
}

impl Pcap {
    /// Reads the file's header: `None` until there are [`FILE_HEADER_LEN`] bytes of a file that [`is_pcap`].
    pub(super) fn begin(file: &[u8]) -> Option<Result<Self, Fault>> {
        let (header, _) = FileHeader::ref_from_prefix(file).ok()?;
        let (order, magic) = recognise(header.magic)?;
        // The upper half of the field tells the length of a frame check sequence, which IP lengths cut off anyway.
        let link = LinkType::from_number((order.u32(header.link) & 0xffff) as u16);
        if let LinkType::Unsupported(number) = link {
            return Some(Err(Fault::LinkType(number)));
        }
        Some(Ok(Self {
            order,
            nanos_per_unit: if magic == MAGIC_NANOSECONDS { 1 } else { NANOS_PER_MICRO },
            extra: if magic == MAGIC_KUZNETSOV { KUZNETSOV_EXTRA } else { 0 },
            link,
        }))
    }

    /// Indexes all whole records.
    pub(super) fn index(&self, run: &mut Indexing<'_>) -> Result<(), Fault> {
        while let Ok((record, body)) = RecordHeader::ref_from_prefix(run.rest()) {
            let captured = self.order.u32(record.captured);
            if captured > MAX_PACKET {
                return Err(Damage::PacketLength(captured).into());
            }
            let len = self.extra + captured as usize;
            if body.len() < len {
                break;
            }
            let header = size_of::<RecordHeader>();
            run.push(
                header + self.extra,
                Found {
                    time: self.time(record),
                    captured,
                    wire: self.order.u32(record.wire),
                    link: self.link,
                    interface: 0,
                },
            );
            run.at += header + len;
        }
        Ok(())
    }

    /// Seconds and fraction as nanoseconds. Two 32-bit fields cannot overflow it: 2³² s and 2³² µs are 4.3 · 10¹⁸ ns.
    #[inline]
    fn time(&self, record: &RecordHeader) -> u64 {
        let seconds = u64::from(self.order.u32(record.seconds));
        let fraction = u64::from(self.order.u32(record.fraction));
        seconds * NANOS_PER_SECOND + fraction * self.nanos_per_unit
    }
}
