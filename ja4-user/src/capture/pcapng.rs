//! The pcapng format: sections of blocks (draft-ietf-opsawg-pcapng).

use pcap_parser::{
    InterfaceDescriptionBlock, OptionCode, parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
    parse_sectionheaderblock,
};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::{
    MAX_BLOCK, MAX_INTERFACES, MAX_PACKET, MAX_SKIPPED_BLOCK,
    batch::{Indexing, PacketEntry},
    clock::InterfaceClock,
    error::{Damage, IndexError},
    linktype::LinkType,
    order::ByteOrder,
};

/// Section Header Block; the same in both byte orders, so that it is found before the order is known.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
/// Interface Description Block.
const INTERFACE_DESCRIPTION: u32 = 1;
/// Packet Block: obsolete, found in old files.
const PACKET: u32 = 2;
/// Simple Packet Block.
const SIMPLE_PACKET: u32 = 3;
/// Enhanced Packet Block.
const ENHANCED_PACKET: u32 = 6;

/// The byte-order magic of a section header.
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Bytes of the block length after the body.
const TRAILER_LEN: usize = 4;
/// The smallest block: type, length, length.
const MIN_BLOCK: u32 = 12;

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct BlockHeader {
    kind: [u8; 4],
    length: [u8; 4],
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct EnhancedPacket {
    block: BlockHeader,
    interface: [u8; 4],
    time_high: [u8; 4],
    time_low: [u8; 4],
    captured: [u8; 4],
    wire: [u8; 4],
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ObsoletePacket {
    block: BlockHeader,
    interface: [u8; 2],
    drops: [u8; 2],
    time_high: [u8; 4],
    time_low: [u8; 4],
    captured: [u8; 4],
    wire: [u8; 4],
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct SimplePacket {
    block: BlockHeader,
    wire: [u8; 4],
}

/// An interface description.
#[derive(Clone, Copy, Debug)]
struct DeclaredInterface {
    link: LinkType,
    /// The snapshot length; 0: unlimited.
    snaplen: u32,
    clock: InterfaceClock,
}

/// A block that is being skipped, possibly over several chunks.
#[derive(Clone, Copy, Debug)]
struct SkippedBlock {
    length: u32,
    /// Bytes still to skip until the trailing length.
    left: usize,
}

/// The state of a pcapng file between two blocks, or within one that is skipped.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: ByteOrder,
    /// Interfaces of the current section. Packets never refer to earlier sections.
    interfaces: Vec<DeclaredInterface>,
    /// Interfaces of all earlier sections.
    earlier: u32,
    skip: Option<SkippedBlock>,
    /// The previous packet's time, in nanoseconds: Simple Packet Blocks carry none of their own.
    last_time: u64,
}

/// Whether these are the first bytes of a pcapng file.
pub(super) fn is_pcapng(magic: [u8; 4]) -> bool {
    u32::from_le_bytes(magic) == SECTION_HEADER
}

impl Pcapng {
    /// Creates the state before the first block. The first section header sets the byte order.
    pub(super) fn new() -> Self {
        Self { order: ByteOrder::Little, interfaces: Vec::new(), earlier: 0, skip: None, last_time: 0 }
    }

    /// Whether the bytes indexed so far end within a block.
    pub(super) fn in_block(&self) -> bool {
        self.skip.is_some()
    }

    /// Indexes all complete blocks.
    pub(super) fn index(&mut self, run: &mut Indexing<'_>) -> Result<(), IndexError> {
        loop {
            if !self.skipped(run)? {
                return Ok(());
            }
            let rest = run.rest();
            let Ok((header, _)) = BlockHeader::ref_from_prefix(rest) else {
                return Ok(());
            };
            let kind = self.order.u32(header.kind);
            if kind == SECTION_HEADER {
                let Some(order) = section_order(rest)? else {
                    return Ok(());
                };
                self.order = order;
            }
            let length = self.order.u32(header.length);
            if !is_known(kind) {
                self.skip = Some(start_skipping(length)?);
                run.at += size_of::<BlockHeader>();
                continue;
            }
            let Some(block) = complete_block(rest, length, self.order)? else {
                return Ok(());
            };
            let content = block.get(..block.len().saturating_sub(TRAILER_LEN)).unwrap_or(&[]);
            match kind {
                SECTION_HEADER => self.section(block)?,
                INTERFACE_DESCRIPTION => self.interface(block)?,
                ENHANCED_PACKET => self.enhanced(content, run)?,
                SIMPLE_PACKET => self.simple(content, run)?,
                _ => self.obsolete(content, run)?,
            }
            run.at += block.len();
        }
    }

    /// Continues to skip a block. Returns false while it extends beyond the chunk.
    fn skipped(&mut self, run: &mut Indexing<'_>) -> Result<bool, IndexError> {
        let Some(skip) = &mut self.skip else {
            return Ok(true);
        };
        let step = skip.left.min(run.rest().len());
        run.at += step;
        skip.left -= step;
        if skip.left > 0 {
            return Ok(false);
        }
        let Some(trailer) = run.rest().first_chunk::<TRAILER_LEN>() else {
            return Ok(false);
        };
        check_trailer(skip.length, self.order.u32(*trailer))?;
        run.at += TRAILER_LEN;
        self.skip = None;
        Ok(true)
    }

    /// Starts a section with its own byte order and interfaces. The section length is ignored.
    fn section(&mut self, block: &[u8]) -> Result<(), IndexError> {
        let (_, section) = parse_sectionheaderblock(block).map_err(|_| Damage::BlockContent)?;
        if section.major_version != 1 {
            return Err(Damage::SectionVersion(section.major_version).into());
        }
        self.earlier = self.earlier.saturating_add(self.interfaces.len() as u32);
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, block: &[u8]) -> Result<(), IndexError> {
        let parsed = match self.order {
            ByteOrder::Little => parse_interfacedescriptionblock_le(block),
            ByteOrder::Big => parse_interfacedescriptionblock_be(block),
        };
        let (_, description) = parsed.map_err(|_| Damage::BlockContent)?;
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Damage::TooManyInterfaces.into());
        }
        self.interfaces.push(DeclaredInterface {
            link: LinkType::from_number((description.linktype.0 & 0xffff) as u16),
            snaplen: description.snaplen,
            clock: clock(&description, self.order),
        });
        Ok(())
    }

    fn enhanced(&mut self, content: &[u8], run: &mut Indexing<'_>) -> Result<(), IndexError> {
        let (packet, body) = EnhancedPacket::ref_from_prefix(content).map_err(|_| short(content))?;
        let stamp = (self.order.u32(packet.time_high), self.order.u32(packet.time_low));
        let captured = self.order.u32(packet.captured);
        let wire = self.order.u32(packet.wire);
        let interface = self.order.u32(packet.interface);
        fits(captured, content, body)?;
        self.packet(run, size_of::<EnhancedPacket>(), interface, Some(stamp), captured, wire)
    }

    fn obsolete(&mut self, content: &[u8], run: &mut Indexing<'_>) -> Result<(), IndexError> {
        let (packet, body) = ObsoletePacket::ref_from_prefix(content).map_err(|_| short(content))?;
        let stamp = (self.order.u32(packet.time_high), self.order.u32(packet.time_low));
        let captured = self.order.u32(packet.captured);
        let wire = self.order.u32(packet.wire);
        let interface = u32::from(self.order.u16(packet.interface));
        fits(captured, content, body)?;
        self.packet(run, size_of::<ObsoletePacket>(), interface, Some(stamp), captured, wire)
    }

    /// Indexes a Simple Packet Block. It belongs to the first interface of the section and has only the length on the wire.
    /// The snapshot length of the interface, or else the length of the block, determines the captured length.
    fn simple(&mut self, content: &[u8], run: &mut Indexing<'_>) -> Result<(), IndexError> {
        let (packet, body) = SimplePacket::ref_from_prefix(content).map_err(|_| short(content))?;
        let wire = self.order.u32(packet.wire);
        let limit = match self.interfaces.first() {
            Some(interface) if interface.snaplen > 0 => interface.snaplen,
            _ => u32::MAX,
        };
        let captured = wire.min(limit).min(body.len() as u32);
        fits(captured, content, body)?;
        self.packet(run, size_of::<SimplePacket>(), 0, None, captured, wire)
    }

    #[inline]
    fn packet(
        &mut self,
        run: &mut Indexing<'_>,
        skip: usize,
        interface: u32,
        stamp: Option<(u32, u32)>,
        captured: u32,
        wire: u32,
    ) -> Result<(), IndexError> {
        let declared = self.interfaces.len();
        let Some(of) = self.interfaces.get(interface as usize) else {
            return Err(Damage::UndeclaredInterface { interface, declared }.into());
        };
        if let Some((high, low)) = stamp {
            self.last_time = of.clock.nanoseconds(high, low);
        }
        if let LinkType::Unsupported(link) = of.link {
            run.skip(link);
            return Ok(());
        }
        run.push(
            skip,
            PacketEntry {
                time: self.last_time,
                captured,
                wire,
                link: of.link,
                interface: self.earlier.saturating_add(interface),
            },
        );
        Ok(())
    }
}

/// Whether blocks of this kind are parsed.
fn is_known(kind: u32) -> bool {
    matches!(kind, SECTION_HEADER | INTERFACE_DESCRIPTION | ENHANCED_PACKET | SIMPLE_PACKET | PACKET)
}

/// Returns the byte order of the section that starts here, once its magic is complete.
fn section_order(block: &[u8]) -> Result<Option<ByteOrder>, Damage> {
    let Some(&[_, _, _, _, _, _, _, _, a, b, c, d]) = block.first_chunk::<12>() else {
        return Ok(None);
    };
    let magic = [a, b, c, d];
    [ByteOrder::Little, ByteOrder::Big]
        .into_iter()
        .find(|order| order.u32(magic) == BYTE_ORDER_MAGIC)
        .map(Some)
        .ok_or(Damage::ByteOrder(u32::from_be_bytes(magic)))
}

fn start_skipping(length: u32) -> Result<SkippedBlock, Damage> {
    check_length(length, MAX_SKIPPED_BLOCK)?;
    let left = (length as usize).saturating_sub(size_of::<BlockHeader>() + TRAILER_LEN);
    Ok(SkippedBlock { length, left })
}

/// Returns the block of `length` bytes at the start of `rest`, with both lengths checked; `None` if it is incomplete.
fn complete_block(rest: &[u8], length: u32, order: ByteOrder) -> Result<Option<&[u8]>, Damage> {
    check_length(length, MAX_BLOCK)?;
    let Some(block) = rest.get(..length as usize) else {
        return Ok(None);
    };
    if let Some(trailer) = block.last_chunk::<TRAILER_LEN>() {
        check_trailer(length, order.u32(*trailer))?;
    }
    Ok(Some(block))
}

fn check_length(length: u32, most: u32) -> Result<(), Damage> {
    if length < MIN_BLOCK || length > most || !length.is_multiple_of(4) {
        return Err(Damage::BlockLength(length));
    }
    Ok(())
}

fn check_trailer(head: u32, tail: u32) -> Result<(), Damage> {
    if head != tail {
        return Err(Damage::BlockTrailer { head, tail });
    }
    Ok(())
}

/// The error of a block that is too small for the fields of its kind.
fn short(content: &[u8]) -> Damage {
    Damage::BlockLength((content.len() + TRAILER_LEN) as u32)
}

/// Checks that `body`, the end of a block's `content`, contains `captured` bytes.
fn fits(captured: u32, content: &[u8], body: &[u8]) -> Result<(), Damage> {
    if captured > MAX_PACKET {
        return Err(Damage::PacketLength(captured));
    }
    if captured as usize > body.len() {
        let block = (content.len() + TRAILER_LEN) as u32;
        return Err(Damage::PacketBeyondBlock { captured, block });
    }
    Ok(())
}

/// Returns the clock of an interface, from its options. They are parsed here, because the parser crate reads if_tsoffset as
/// little-endian in every section and does not support a binary if_tsresol.
fn clock(description: &InterfaceDescriptionBlock<'_>, order: ByteOrder) -> InterfaceClock {
    let mut clock = InterfaceClock::default();
    for option in &description.options {
        let Ok(value) = option.as_bytes() else {
            continue;
        };
        match (option.code, value) {
            (OptionCode::EndOfOpt, _) => break,
            (OptionCode::IfTsresol, &[resolution]) => clock.set_resolution(resolution),
            (OptionCode::IfTsoffset, value) => {
                if let Ok(seconds) = value.try_into() {
                    clock.set_offset(order.i64(seconds));
                }
            }
            _ => {}
        }
    }
    clock
}

#[cfg(test)]
mod tests {
    use super::{ByteOrder::Little, *};
    use crate::capture::{CaptureError, builder::CaptureBuilder};

    const ETHERNET: u16 = 1;
    const RAW: u16 = 101;
    const IEEE_802_15_4: u16 = 195;

    fn ethernet() -> CaptureBuilder {
        CaptureBuilder::pcapng(Little).interface(ETHERNET, 0, &[])
    }

    fn damage(file: CaptureBuilder, packets: usize) -> Damage {
        match file.read().failed_after(packets) {
            CaptureError::Damaged { damage, .. } => damage,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn packets_of_every_block_kind_in_both_byte_orders() {
        for order in ByteOrder::BOTH {
            let file = CaptureBuilder::pcapng(order)
                .interface(ETHERNET, 4, &[])
                .interface(RAW, 0, &[(2, b"eth0"), (9, &[9])])
                .enhanced(0, 1_500_000, 1500, b"enhanced")
                .obsolete(1, 7, 90, b"old")
                .simple(1514, b"simple");
            let frames = file.read().clean();
            let seen: Vec<_> =
                frames.iter().map(|(f, bytes)| (f.interface, f.link, f.time, f.wire, bytes.as_slice())).collect();
            assert_eq!(
                seen,
                [
                    (0, LinkType::Ethernet, 1_500_000_000, 1500, &b"enhanced"[..]),
                    (1, LinkType::RawIp, 7, 90, b"old"),
                    // Truncated to the interface's 4 bytes, with the time of the previous packet.
                    (0, LinkType::Ethernet, 7, 1514, b"simp"),
                ]
            );
        }
    }

    #[test]
    fn a_simple_packet_without_snaplen_loses_its_padding() {
        let frames = ethernet().simple(5, b"12345").simple(99, b"1234").read().clean();
        assert_eq!(frames[0].1, b"12345");
        assert_eq!(frames[1].1, b"1234");
    }

    #[test]
    fn interface_clocks_follow_their_section_s_byte_order() {
        for order in ByteOrder::BOTH {
            let offset = order.bytes64(100);
            let frames = CaptureBuilder::pcapng(order)
                .interface(ETHERNET, 0, &[(9, &[0x80 | 1]), (14, &offset)])
                .enhanced(0, 3, 0, b"x")
                .read()
                .clean();
            assert_eq!(frames[0].0.time, 101_500_000_000);
        }
    }

    #[test]
    fn options_after_the_end_of_options_do_not_count() {
        let file = CaptureBuilder::pcapng(Little).interface(ETHERNET, 0, &[(0, b""), (9, &[9])]);
        assert_eq!(file.enhanced(0, 5, 0, b"x").read().clean()[0].0.time, 5_000);
    }

    #[test]
    fn each_section_has_its_own_byte_order_and_interfaces() {
        let file = ethernet()
            .enhanced(0, 1, 0, b"first")
            .section(ByteOrder::Big)
            .interface(ETHERNET, 0, &[])
            .interface(RAW, 0, &[])
            .enhanced(1, 2, 0, b"second")
            .section(Little)
            .interface(RAW, 0, &[])
            .simple(5, b"third");
        let frames = file.read().clean();
        let seen: Vec<_> = frames.iter().map(|(f, bytes)| (f.interface, f.time, bytes.as_slice())).collect();
        assert_eq!(seen, [(0, 1_000, &b"first"[..]), (2, 2_000, b"second"), (3, 2_000, b"third")]);

        let undeclared = ethernet().section(Little).enhanced(0, 1, 0, b"x");
        assert_eq!(damage(undeclared, 0), Damage::UndeclaredInterface { interface: 0, declared: 0 });
    }

    #[test]
    fn unknown_blocks_of_any_size_are_skipped() {
        let secrets = vec![0x0a; 3 * 1024 * 1024];
        let file = ethernet()
            .block(5, b"statistics")
            .enhanced(0, 1, 0, b"one")
            .block(0x0a, &secrets)
            .block(0x0bad, b"")
            .enhanced(0, 2, 0, b"two");
        assert_eq!(file.read().clean().len(), 2);

        let cut = CaptureBuilder { bytes: file.bytes[..2_000_000].to_vec(), order: Little };
        assert!(matches!(cut.read().failed_after(1), CaptureError::Truncated { packets: 1, .. }));
    }

    #[test]
    fn invalid_block_lengths_end_the_file_after_earlier_packets() {
        let file = ethernet().enhanced(0, 1, 0, b"good");
        for kind in [ENHANCED_PACKET, INTERFACE_DESCRIPTION, 5] {
            for length in [0, 8, 11, 13, 30, 0xffff_fffc] {
                let bad = file.clone().u32(kind).u32(length).raw(&[0; 64]);
                assert_eq!(damage(bad, 1), Damage::BlockLength(length));
            }
        }
        assert_eq!(damage(file.clone().u32(6).u32(MAX_BLOCK + 4), 1), Damage::BlockLength(MAX_BLOCK + 4));
        assert_eq!(damage(file.block(6, &[0; 16]), 1), Damage::BlockLength(28));
    }

    #[test]
    fn a_block_whose_lengths_differ_is_damaged() {
        for kind in [ENHANCED_PACKET, 5] {
            let bad = ethernet().enhanced(0, 1, 0, b"good").u32(kind).u32(40).raw(&[0; 28]).u32(44);
            assert_eq!(damage(bad, 1), Damage::BlockTrailer { head: 40, tail: 44 });
        }
    }

    #[test]
    fn a_packet_longer_than_its_block_is_damaged() {
        let mut file = ethernet().enhanced(0, 1, 0, b"good");
        let captured = file.bytes.len() - 4 - 4 - 8;
        file.bytes[captured] = 5;
        let damage = damage(file, 0);
        assert_eq!(damage, Damage::PacketBeyondBlock { captured: 5, block: 36 });
    }

    #[test]
    fn a_packet_of_an_undeclared_interface_is_damaged() {
        let file = ethernet().enhanced(0, 1, 0, b"good").enhanced(1, 2, 0, b"bad");
        assert_eq!(damage(file, 1), Damage::UndeclaredInterface { interface: 1, declared: 1 });
        let simple = CaptureBuilder::pcapng(Little).simple(3, b"bad");
        assert_eq!(damage(simple, 0), Damage::UndeclaredInterface { interface: 0, declared: 0 });
    }

    #[test]
    fn packets_of_an_unsupported_interface_are_skipped_and_keep_their_numbers() {
        for order in ByteOrder::BOTH {
            let file = CaptureBuilder::pcapng(order)
                .interface(IEEE_802_15_4, 0, &[])
                .interface(ETHERNET, 0, &[])
                .simple(5, b"radio")
                .enhanced(1, 2, 0, b"two")
                .obsolete(0, 3, 0, b"radio")
                .enhanced(0, 4, 0, b"radio")
                .enhanced(1, 5, 0, b"five");
            let outcome = file.read();
            assert_eq!(outcome.skipped, 3);
            let frames = outcome.clean();
            let numbers: Vec<_> = frames.iter().map(|(frame, bytes)| (frame.number, bytes.as_slice())).collect();
            assert_eq!(numbers, [(2, &b"two"[..]), (5, b"five")]);
        }
    }

    #[test]
    fn an_unsupported_interface_without_packets_skips_nothing() {
        let file = ethernet().interface(IEEE_802_15_4, 0, &[]).enhanced(0, 1, 0, b"one");
        let outcome = file.read();
        assert_eq!((outcome.skipped, outcome.clean().len()), (0, 1));
    }

    #[test]
    fn a_file_of_unsupported_packets_alone_is_an_error() {
        let file = CaptureBuilder::pcapng(Little).interface(IEEE_802_15_4, 0, &[]).enhanced(0, 1, 0, b"radio");
        let error = file.read().failed_after(0);
        assert!(matches!(error, CaptureError::UnsupportedLinkType { number: IEEE_802_15_4, .. }));
    }

    #[test]
    fn a_later_section_may_support_what_an_earlier_one_does_not() {
        let file = CaptureBuilder::pcapng(Little)
            .interface(IEEE_802_15_4, 0, &[])
            .enhanced(0, 1, 0, b"radio")
            .section(ByteOrder::Big)
            .interface(ETHERNET, 0, &[])
            .enhanced(0, 2, 0, b"ethernet")
            .section(Little)
            .interface(IEEE_802_15_4, 0, &[])
            .enhanced(0, 3, 0, b"radio");
        let outcome = file.read();
        assert_eq!(outcome.skipped, 2);
        let frames = outcome.clean();
        assert_eq!((frames.len(), frames[0].0.interface, frames[0].0.link), (1, 1, LinkType::Ethernet));
    }

    #[test]
    fn a_section_header_must_have_a_byte_order_and_version() {
        let mut file = CaptureBuilder::pcapng(Little);
        file.bytes[12] = 9;
        assert_eq!(damage(file, 0), Damage::SectionVersion(9));
        let mut file = CaptureBuilder::pcapng(Little);
        file.bytes[8..12].copy_from_slice(&[1, 2, 3, 4]);
        assert_eq!(damage(file, 0), Damage::ByteOrder(0x0102_0304));
    }

    #[test]
    fn too_many_interfaces_are_rejected() {
        let mut file = CaptureBuilder::pcapng(Little);
        let one = CaptureBuilder { bytes: Vec::new(), order: Little }.interface(ETHERNET, 0, &[]);
        for _ in 0..=MAX_INTERFACES {
            file = file.raw(&one.bytes);
        }
        assert_eq!(damage(file, 0), Damage::TooManyInterfaces);
    }
}
