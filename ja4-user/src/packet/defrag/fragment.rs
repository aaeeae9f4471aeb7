//! The headers and the payload of one fragment.

use ja4_common::parse::{MAX_EXTENSION_BYTES, MAX_EXTENSIONS};

use super::error::DefragError;
use ja4::wire::Cursor;

/// Bytes of an IPv4 header without options.
const IPV4: usize = 20;
/// Bytes of an IPv6 header.
pub(super) const IPV6: usize = 40;
/// Bytes of an IPv6 Fragment header (RFC 8200, section 4.5).
const FRAGMENT: usize = 8;
/// Every fragment begins at a multiple of this, and every fragment except the last ends at one.
const UNIT: usize = 8;
/// Offset of the Next Header field in an IPv6 header.
const NEXT_HEADER: usize = 6;

/// The fields that all fragments of one datagram share (RFC 791, section 3.2; RFC 8200, section 4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct FragmentKey {
    src: u128,
    dst: u128,
    id: u32,
    /// Capture point. A forwarded fragment is seen at two, and a router may have fragmented it again between them.
    point: u32,
    /// 0 for IPv6, as the Next Header fields of its fragments may differ.
    proto: u8,
    version: u8,
}

/// A complete fragment that fits a datagram: `0 < payload.len()` and `start + payload.len() <= 65535`.
#[derive(Clone, Copy, Debug)]
pub(super) struct IpFragment<'a> {
    /// Its datagram.
    pub(super) key: FragmentKey,
    /// Offset of its payload in that of the datagram, bytes; a multiple of 8.
    pub(super) start: usize,
    /// Whether it is not the last one.
    pub(super) more: bool,
    /// Its payload.
    pub(super) payload: &'a [u8],
    /// The headers before it.
    pub(super) headers: FragmentHeaders<'a>,
}

/// The headers before a fragment's payload, without the IPv6 Fragment header.
#[derive(Clone, Copy, Debug)]
pub(super) struct FragmentHeaders<'a> {
    /// IPv4: the header. IPv6: the header and the extension headers that each fragment repeats.
    pub(super) bytes: &'a [u8],
    /// IPv6: the index in `bytes` of the Next Header field that announces the Fragment header, and the value after it.
    pub(super) patch: Option<(usize, u8)>,
}

impl FragmentHeaders<'_> {
    /// Bytes that the length field of the datagram counts besides its payload.
    pub(super) fn counted(&self) -> usize {
        match self.patch {
            Some(_) => self.bytes.len().saturating_sub(IPV6),
            None => self.bytes.len(),
        }
    }
}

impl<'a> IpFragment<'a> {
    /// End of its payload in that of the datagram, bytes.
    pub(super) fn end(&self) -> usize {
        self.start.saturating_add(self.payload.len())
    }

    /// Parses a packet from its IP header on. Bytes after the packet in its frame are ignored.
    pub(super) fn parse(packet: &'a [u8], point: u32) -> Result<Self, DefragError> {
        let mut fragment = match packet.first().map(|first| first >> 4) {
            Some(4) => Self::ipv4(packet),
            Some(6) => Self::ipv6(packet),
            _ => Err(DefragError::Header),
        }?;
        fragment.key.point = point;
        let len = fragment.payload.len();
        if len == 0 {
            Err(DefragError::Empty)
        } else if fragment.more && !len.is_multiple_of(UNIT) {
            Err(DefragError::Unaligned)
        } else if fragment.end().saturating_add(fragment.headers.counted()) > usize::from(u16::MAX) {
            Err(DefragError::TooLong)
        } else {
            Ok(fragment)
        }
    }

    /// RFC 791, section 3.1.
    fn ipv4(packet: &'a [u8]) -> Result<Self, DefragError> {
        let mut ip = Cursor::new(packet);
        let header = 4 * usize::from(ip.u8()? & 0x0f);
        let _type_of_service = ip.u8()?;
        let total = usize::from(ip.u16()?);
        let id = u32::from(ip.u16()?);
        let (more, start) = position(ip.u16()?, 0x2000, 0x1fff, UNIT)?;
        let _ttl = ip.u8()?;
        let proto = ip.u8()?;
        let _checksum = ip.u16()?;
        let (src, dst) = (ip.u32()?, ip.u32()?);
        if header < IPV4 || total < header {
            return Err(DefragError::Header);
        }
        let (bytes, rest) = packet.split_at_checked(header).ok_or(DefragError::Header)?;
        Ok(Self {
            key: FragmentKey { src: src.into(), dst: dst.into(), id, point: 0, proto, version: 4 },
            start,
            more,
            payload: rest.get(..total - header).ok_or(DefragError::Truncated)?,
            headers: FragmentHeaders { bytes, patch: None },
        })
    }

    /// RFC 8200, sections 3 and 4.5.
    fn ipv6(packet: &'a [u8]) -> Result<Self, DefragError> {
        let mut ip = Cursor::new(packet);
        let _version_class_and_label = ip.u32()?;
        let announced = usize::from(ip.u16()?);
        let first = ip.u8()?;
        let _hop_limit = ip.u8()?;
        let (src, dst) = (u128::from_be_bytes(*ip.array()?), u128::from_be_bytes(*ip.array()?));
        let FragmentHeaderOffset { announced_at, at } = fragment_header(ip, first)?;
        let next = ip_at(packet, at)?.u8()?;
        let mut header = ip_at(packet, at + 2)?;
        let (more, start) = position(header.u16()?, 0x0001, 0xfff8, 1)?;
        let id = header.u32()?;
        let payload = header.rest();
        let before = at + FRAGMENT - IPV6;
        let length = announced.checked_sub(before).ok_or(DefragError::Header)?;
        Ok(Self {
            key: FragmentKey { src, dst, id, point: 0, proto: 0, version: 6 },
            start,
            more,
            payload: payload.get(..length).ok_or(DefragError::Truncated)?,
            headers: FragmentHeaders {
                bytes: packet.get(..at).ok_or(DefragError::Header)?,
                patch: Some((announced_at, next)),
            },
        })
    }
}

/// Decodes the field that has both flag and offset: whether more fragments follow, and the offset in bytes.
fn position(field: u16, more: u16, offset: u16, unit: usize) -> Result<(bool, usize), DefragError> {
    if field & (more | offset) == 0 {
        return Err(DefragError::NotFragment);
    }
    Ok((field & more != 0, usize::from(field & offset) * unit))
}

/// Offsets in an IPv6 packet.
struct FragmentHeaderOffset {
    /// The Next Header field that announces the Fragment header.
    announced_at: usize,
    /// The first byte of the Fragment header.
    at: usize,
}

/// Finds the Fragment header after the headers that each fragment repeats, as the filter does.
fn fragment_header(mut rest: Cursor<'_>, first: u8) -> Result<FragmentHeaderOffset, DefragError> {
    let (mut next, mut offset) = (first, FragmentHeaderOffset { announced_at: NEXT_HEADER, at: IPV6 });
    for _ in 0..MAX_EXTENSIONS {
        // Hop-by-hop 0, routing 43, destination 60 count in units of 8 bytes after the first 8
        // (RFC 8200, section 4); authentication 51 in units of 4 after the first 8 (RFC 4302).
        let unit = match next {
            44 => return Ok(offset),
            0 | 43 | 60 => 8,
            51 => 4,
            _ => return Err(DefragError::NotFragment),
        };
        let mut header = rest;
        next = header.u8()?;
        let length = 8 + unit * usize::from(header.u8()?);
        rest.take(length)?;
        offset = FragmentHeaderOffset { announced_at: offset.at, at: offset.at + length };
        if offset.at > IPV6 + MAX_EXTENSION_BYTES as usize {
            break;
        }
    }
    Err(DefragError::Header)
}

fn ip_at(packet: &[u8], at: usize) -> Result<Cursor<'_>, DefragError> {
    packet.get(at..).map(Cursor::new).ok_or(DefragError::Header)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Identification 0x1234, offset 185 units of 8, not the last; 192.0.2.1 to 192.0.2.2, UDP, then two bytes of padding.
    const FOUR: [u8; 30] = [
        0x45, 0, 0, 28, 0x12, 0x34, 0x20, 0xb9, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0xee,
        0xee,
    ];

    fn six() -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 27, 60, 64];
        packet.extend([0x20; 16]);
        packet.extend([0x21; 16]);
        packet.extend([44, 0, 1, 4, 0, 0, 0, 0]); // destination options: PadN
        packet.extend([17, 0, 0x05, 0xa8, 0xde, 0xad, 0xbe, 0xef]); // UDP follows; offset 1448; last fragment
        packet.extend(*b"eleven byte");
        packet
    }

    #[test]
    fn an_ipv4_fragment_is_parsed() {
        let fragment = IpFragment::parse(&FOUR, 9).unwrap();
        let key = FragmentKey { src: 0xc000_0201, dst: 0xc000_0202, id: 0x1234, point: 9, proto: 17, version: 4 };
        assert_eq!((fragment.key, fragment.start, fragment.more), (key, 1480, true));
        assert_eq!((fragment.payload, fragment.headers.bytes), (&FOUR[20..28], &FOUR[..20]));
        assert_eq!((fragment.end(), fragment.headers.counted()), (1488, 20));
    }

    #[test]
    fn an_ipv6_fragment_is_parsed() {
        let packet = six();
        let fragment = IpFragment::parse(&packet, 9).unwrap();
        let halves = [u128::from_be_bytes([0x20; 16]), u128::from_be_bytes([0x21; 16])];
        let key = FragmentKey { src: halves[0], dst: halves[1], id: 0xdead_beef, point: 9, proto: 0, version: 6 };
        assert_eq!((fragment.key, fragment.start, fragment.more), (key, 1448, false));
        assert_eq!((fragment.payload, fragment.headers.bytes), (&b"eleven byte"[..], &packet[..48]));
        assert_eq!((fragment.headers.patch, fragment.headers.counted()), (Some((40, 17)), 8));
    }

    #[test]
    fn packets_that_are_no_fragments_are_refused() {
        let four = |change: fn(&mut Vec<u8>)| {
            let mut packet = FOUR.to_vec();
            change(&mut packet);
            IpFragment::parse(&packet, 9).map(|_| ()).unwrap_err()
        };
        assert_eq!(four(|packet| packet.truncate(27)), DefragError::Truncated);
        assert_eq!(four(|packet| packet.truncate(19)), DefragError::Header);
        assert_eq!(four(|packet| packet[0] = 0x44), DefragError::Header);
        assert_eq!(four(|packet| packet[0] = 0x55), DefragError::Header);
        assert_eq!(four(|packet| packet[3] = 19), DefragError::Header);
        assert_eq!(four(|packet| packet[3] = 20), DefragError::Empty);
        assert_eq!(four(|packet| packet[3] = 27), DefragError::Unaligned);
        assert_eq!(four(|packet| packet[6..8].copy_from_slice(&[0x40, 0])), DefragError::NotFragment);
        // 20 bytes of header and 8 at 8189 × 8 are 65540.
        assert_eq!(four(|packet| packet[6..8].copy_from_slice(&[0x3f, 0xfd])), DefragError::TooLong);
        assert_eq!(IpFragment::parse(&[], 9).map(|_| ()), Err(DefragError::Header));
    }

    #[test]
    fn the_longest_datagram_is_65535_bytes_long() {
        let mut packet = FOUR.to_vec();
        // The last fragment, 3 bytes at 65512: with the header, 65535.
        packet[3] = 23;
        packet[6..8].copy_from_slice(&(65_512_u16 / 8).to_be_bytes());
        assert_eq!(IpFragment::parse(&packet, 9).unwrap().end() + 20, 65_535);
        packet[3] = 24;
        assert_eq!(IpFragment::parse(&packet, 9).map(|_| ()), Err(DefragError::TooLong));
    }

    #[test]
    fn extension_headers_are_skipped_as_in_the_filter() {
        let refused = |packet: &[u8]| IpFragment::parse(packet, 9).map(|_| ()).unwrap_err();
        let packet = six();
        for cut in 0..56 {
            assert_eq!(refused(&packet[..cut]), DefragError::Header, "{cut}");
        }
        assert_eq!(refused(&packet[..60]), DefragError::Truncated);
        let mut other = packet.clone();
        other[40] = 17;
        assert_eq!(refused(&other), DefragError::NotFragment);
        let mut atomic = packet.clone();
        atomic[50..52].copy_from_slice(&[0, 0]);
        assert_eq!(refused(&atomic), DefragError::NotFragment);
        let mut short = packet.clone();
        short[5] = 15;
        assert_eq!(refused(&short), DefragError::Header);
        let mut endless = packet[..40].to_vec();
        endless[4..6].copy_from_slice(&[1, 0]);
        endless.extend([60, 0, 1, 4, 0, 0, 0, 0].repeat(8));
        assert_eq!(refused(&endless), DefragError::Header);
    }
}
