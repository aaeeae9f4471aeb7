//! IEEE 802.11 frames, and the headers that capturing drivers put before them.

use super::payload::{LinkError, LinkStart};

/// An LLC header has no EtherType: the filter reads a length, of which any value will do.
const LLC: LinkStart = LinkStart::Network(0);

/// Bytes of a Prism header.
const PRISM: usize = 144;

/// A radiotap header (<https://www.radiotap.org>): version, padding, length, and words with a bit for each field.
pub(super) fn radiotap(frame: &[u8]) -> Result<(LinkStart, usize), LinkError> {
    /// Fields with these bits come first: a timestamp of 8 bytes, aligned to 8, then flags of one byte.
    const TIMESTAMP: u32 = 1;
    const FLAGS: u32 = 1 << 1;
    /// Another word of bits follows.
    const MORE: u32 = 1 << 31;
    /// The 802.11 header is padded to a multiple of four bytes.
    const PADDED: u8 = 0x20;
    let word = |at: usize| frame.get(at..)?.first_chunk().copied().map(u32::from_le_bytes);
    let length = usize::from(u16::from_le_bytes(*part(frame, 2)?));
    let first = word(4).ok_or(LinkError::Truncated)?;
    let mut at = 8;
    let mut bits = first;
    while bits & MORE != 0 {
        bits = word(at).ok_or(LinkError::Truncated)?;
        at += 4;
    }
    if first & TIMESTAMP != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    let is_padded = first & FLAGS != 0 && frame.get(at).is_some_and(|flags| flags & PADDED != 0);
    after(frame, length, is_padded)
}

/// A Prism header, or that of AbsoluteValue Systems, which some drivers announce as Prism: a magic number and its length.
pub(super) fn prism(frame: &[u8]) -> Result<(LinkStart, usize), LinkError> {
    match u32::from_be_bytes(*part(frame, 0)?) >> 12 {
        AVS_MAGIC => avs(frame),
        _ => after(frame, PRISM, false),
    }
}

/// The upper bits of the first word of a header of AbsoluteValue Systems.
const AVS_MAGIC: u32 = 0x80211;

/// A header of AbsoluteValue Systems: a magic number and its length.
pub(super) fn avs(frame: &[u8]) -> Result<(LinkStart, usize), LinkError> {
    after(frame, u32::from_be_bytes(*part(frame, 4)?) as usize, false)
}

/// A frame after a header of this length.
fn after(frame: &[u8], length: usize, is_padded: bool) -> Result<(LinkStart, usize), LinkError> {
    let (start, offset) = data_frame(frame.get(length..).ok_or(LinkError::Truncated)?, is_padded)?;
    Ok((start, length + offset))
}

/// The LLC header of a data frame (IEEE 802.11, section 9.3.2.1).
pub(super) fn data_frame(frame: &[u8], is_padded: bool) -> Result<(LinkStart, usize), LinkError> {
    const TYPE: u8 = 0x0c;
    const DATA: u8 = 0x08;
    /// Bits of the subtype: without data, and with quality of service.
    const NO_DATA: u8 = 0x40;
    const QOS: u8 = 0x80;
    /// Bits of the second byte.
    const BOTH_SYSTEMS: u8 = 0x03;
    const PROTECTED: u8 = 0x40;
    const ORDER: u8 = 0x80;
    /// The frame has several packets.
    const AGGREGATE: u8 = 0x80;
    let [kind, flags] = *part(frame, 0)?;
    if kind & TYPE != DATA || kind & NO_DATA != 0 {
        return Err(LinkError::NoData);
    }
    if flags & PROTECTED != 0 {
        return Err(LinkError::Encrypted);
    }
    let mut length = if flags & BOTH_SYSTEMS == BOTH_SYSTEMS { 30 } else { 24 };
    if kind & QOS != 0 {
        let [control, _] = *part(frame, length)?;
        if control & AGGREGATE != 0 {
            return Err(LinkError::Aggregate);
        }
        length += if flags & ORDER != 0 { 6 } else { 2 };
    }
    if is_padded {
        length = length.next_multiple_of(4);
    }
    if frame.len() < length {
        return Err(LinkError::Truncated);
    }
    Ok((LLC, length))
}

/// The bytes at an offset.
fn part<const N: usize>(frame: &[u8], at: usize) -> Result<&[u8; N], LinkError> {
    frame.get(at..).and_then(|bytes| bytes.first_chunk()).ok_or(LinkError::Truncated)
}
