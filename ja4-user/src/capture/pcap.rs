//! The pcap format: one header, then packet records (draft-ietf-opsawg-pcap).

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::{
    MAX_PACKET,
    batch::{Indexing, PacketEntry},
    error::{Damage, IndexError},
    linktype::LinkType,
    order::ByteOrder,
};

/// Timestamps in microseconds.
const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
/// Timestamps in nanoseconds.
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Kuznetsov's variant of old Linux distributions: microseconds, and longer records.
const MAGIC_KUZNETSOV: u32 = 0xa1b2_cd34;

/// Additional header fields of Kuznetsov's records: interface index (4), protocol (2), packet type (1), padding (1).
const KUZNETSOV_EXTRA: usize = 8;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MICRO: u64 = 1_000;

/// The file header. Only the magic and the link type are used.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct PcapFileHeader {
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
struct PcapRecordHeader {
    seconds: [u8; 4],
    fraction: [u8; 4],
    captured: [u8; 4],
    wire: [u8; 4],
}

/// Bytes of a [`PcapFileHeader`].
pub(super) const FILE_HEADER_LEN: usize = size_of::<PcapFileHeader>();

/// The parameters of a pcap file, from its header.
///
/// Parsed here instead of by a crate: this loop is most of the work for a bulk packet, and the crates support neither the
/// big-endian Kuznetsov variant nor a bound for the captured length.
#[derive(Debug)]
pub(super) struct Pcap {
    order: ByteOrder,
    nanos_per_unit: u64,
    /// Bytes between a record's header and its packet.
    extra: usize,
    link: LinkType,
}

/// Returns byte order and resolution of a pcap file, from its first bytes.
fn recognise(magic: [u8; 4]) -> Option<(ByteOrder, u32)> {
    [ByteOrder::Little, ByteOrder::Big]
        .map(|order| (order, order.u32(magic)))
        .into_iter()
        .find(|&(_, magic)| matches!(magic, MAGIC_MICROSECONDS | MAGIC_NANOSECONDS | MAGIC_KUZNETSOV))
}

/// Whether these are the first bytes of a pcap file.
pub(super) fn is_pcap(magic: [u8; 4]) -> bool {
    recognise(magic).is_some()
}

impl Pcap {
    /// Parses the file header. Returns `None` until there are [`FILE_HEADER_LEN`] bytes.
    pub(super) fn parse(file: &[u8]) -> Option<Result<Self, IndexError>> {
        let (header, _) = PcapFileHeader::ref_from_prefix(file).ok()?;
        let (order, magic) = recognise(header.magic)?;
        // The upper half of the field has the length of a frame check sequence, which IP lengths exclude anyway.
        let link = LinkType::from_number((order.u32(header.link) & 0xffff) as u16);
        if let LinkType::Unsupported(number) = link {
            return Some(Err(IndexError::LinkType(number)));
        }
        Some(Ok(Self {
            order,
            nanos_per_unit: if magic == MAGIC_NANOSECONDS { 1 } else { NANOS_PER_MICRO },
            extra: if magic == MAGIC_KUZNETSOV { KUZNETSOV_EXTRA } else { 0 },
            link,
        }))
    }

    /// Indexes all complete records.
    pub(super) fn index(&self, run: &mut Indexing<'_>) -> Result<(), IndexError> {
        while let Ok((record, body)) = PcapRecordHeader::ref_from_prefix(run.rest()) {
            let captured = self.order.u32(record.captured);
            if captured > MAX_PACKET {
                return Err(Damage::PacketLength(captured).into());
            }
            let len = self.extra + captured as usize;
            if body.len() < len {
                break;
            }
            let header = size_of::<PcapRecordHeader>();
            run.push(
                header + self.extra,
                PacketEntry {
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

    /// Converts seconds and fraction to nanoseconds. Two 32-bit fields cannot overflow: 2³² s and 2³² µs are 4.3 · 10¹⁸ ns.
    #[inline]
    fn time(&self, record: &PcapRecordHeader) -> u64 {
        let seconds = u64::from(self.order.u32(record.seconds));
        let fraction = u64::from(self.order.u32(record.fraction));
        seconds * NANOS_PER_SECOND + fraction * self.nanos_per_unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{CaptureError, builder::CaptureBuilder};

    const ETHERNET: u32 = 1;

    #[test]
    fn both_resolutions_in_both_byte_orders() {
        for order in ByteOrder::BOTH {
            for (magic, fraction) in [(MAGIC_MICROSECONDS, 250_000), (MAGIC_NANOSECONDS, 250_000_000)] {
                let file = CaptureBuilder::pcap(order, magic, ETHERNET)
                    .record(1, fraction, 60, b"one")
                    .record(2, 0, 0, b"second")
                    .record(3, 0, 0, b"");
                let frames = file.read().clean();
                let seen: Vec<_> =
                    frames.iter().map(|(f, bytes)| (f.number, f.time, f.wire, bytes.as_slice())).collect();
                assert_eq!(
                    seen,
                    [(1, 1_250_000_000, 60, &b"one"[..]), (2, 2_000_000_000, 6, b"second"), (3, 3_000_000_000, 0, b"")]
                );
                assert!(frames.iter().all(|(f, _)| f.link == LinkType::Ethernet && f.interface == 0));
            }
        }
    }

    #[test]
    fn kuznetsov_records_are_longer() {
        for order in ByteOrder::BOTH {
            let mut file = CaptureBuilder::pcap(order, MAGIC_KUZNETSOV, ETHERNET);
            for packet in [b"one", b"two"] {
                file = file.u32(1).u32(2).u32(3).u32(9).raw(&[0xee; 8]).raw(packet);
            }
            let frames = file.read().clean();
            assert_eq!(frames[0].1, b"one");
            assert_eq!(frames[1].1, b"two");
            assert_eq!((frames[1].0.time, frames[1].0.wire), (1_000_002_000, 9));
        }
    }

    #[test]
    fn the_latest_time_does_not_overflow() {
        let file =
            CaptureBuilder::pcap(ByteOrder::Little, MAGIC_MICROSECONDS, ETHERNET).record(u32::MAX, u32::MAX, 0, b"x");
        assert_eq!(file.read().clean()[0].0.time, 4_294_967_295_000_000_000 + 4_294_967_295_000);
    }

    #[test]
    fn a_check_sequence_length_in_the_link_field_is_no_link_type() {
        let file =
            CaptureBuilder::pcap(ByteOrder::Big, MAGIC_MICROSECONDS, 0x4400_0000 | ETHERNET).record(1, 0, 0, b"x");
        assert_eq!(file.read().clean()[0].0.link, LinkType::Ethernet);
    }

    #[test]
    fn an_excessive_packet_length_ends_the_file_after_earlier_packets() {
        let file = CaptureBuilder::pcap(ByteOrder::Little, MAGIC_MICROSECONDS, ETHERNET);
        let largest = vec![7; MAX_PACKET as usize];
        assert_eq!(file.clone().record(1, 0, 0, &largest).read().clean()[0].1, largest);

        let bad = file.record(1, 0, 0, b"good").u32(2).u32(0).u32(MAX_PACKET + 1).u32(0);
        match bad.raw(&[0; 64]).read().failed_after(1) {
            CaptureError::Damaged { offset, packets, damage, .. } => {
                assert_eq!((offset, packets), (24 + 16 + 4, 1));
                assert_eq!(damage, Damage::PacketLength(MAX_PACKET + 1));
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn an_unsupported_link_type_is_rejected_at_once() {
        let file = CaptureBuilder::pcap(ByteOrder::Little, MAGIC_NANOSECONDS, 195).record(1, 0, 0, b"frame");
        let error = file.read().failed_after(0).to_string();
        assert!(error.contains("link type 195 (IEEE 802.15.4)"), "{error}");
    }
}
