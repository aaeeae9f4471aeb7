//! The packets of one datagram (RFC 9000, sections 12.2 and 17.2).

use crate::wire::quic::connection_id::ConnectionId;
use crate::wire::quic::varint::{length, prefixed};
use crate::wire::quic::version::{PacketKind, VersionFamily};
use crate::wire::{Cursor, WireError};

/// Most packets with long headers of a datagram that are read. One flight has an Initial, a 0-RTT and a Handshake
/// packet, rarely two of each.
pub const MAX_PACKETS: u8 = 16;

/// The bit that distinguishes a long header from a short one (RFC 8999, section 5).
const LONG_HEADER: u8 = 0x80;

/// The version number of a Version Negotiation packet (RFC 8999, section 6).
const VERSION_NEGOTIATION: u32 = 0;

/// A packet with a long header, still protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongPacket<'a> {
    /// The packet type.
    pub kind: PacketKind,
    /// Version.
    pub version: u32,
    /// Destination connection ID; at most [`ConnectionId::MAX`] bytes in known versions.
    pub dcid: &'a [u8],
    /// Source connection ID, with the same limit.
    pub scid: &'a [u8],
    /// The captured part of the packet.
    pub bytes: &'a [u8],
    /// Offset of the packet number, `<= bytes.len()`; of packets without a number, offset of the rest.
    pub number_at: usize,
    /// Length on the wire, bytes, `>= bytes.len()`.
    pub wire_len: usize,
}

impl LongPacket<'_> {
    /// Whether its end was not captured.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.bytes.len() < self.wire_len
    }
}

/// The version in the long header at the start of a datagram (RFC 8999, section 5.1), if it is known.
#[must_use]
pub fn long_header_version(datagram: &[u8]) -> Option<u32> {
    let mut cursor = Cursor::new(datagram);
    let first = cursor.u8().ok()?;
    let version = cursor.u32().ok()?;
    (first & LONG_HEADER != 0 && VersionFamily::of(version).is_some()).then_some(version)
}

/// The packets with long headers at the start of a datagram.
///
/// A short header ends the iteration: it has no length field, so that no packet follows it. Zeros, with which some
/// senders pad datagrams, and errors also end it.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
    /// Bytes of the datagram's end that were not captured.
    missing: usize,
    dcid: Option<&'a [u8]>,
    left: u8,
}

impl<'a> Packets<'a> {
    /// The packets of a datagram with a payload of `wire_len` bytes on the wire.
    #[must_use]
    pub const fn new(payload: &'a [u8], wire_len: usize) -> Self {
        let missing = wire_len.saturating_sub(payload.len());
        Self { rest: payload, missing, dcid: None, left: MAX_PACKETS }
    }

    fn read(&mut self) -> Result<LongPacket<'a>, WireError> {
        self.left = self.left.checked_sub(1).ok_or(WireError::TooMany)?;
        let bytes = self.rest;
        // A field that exceeds a truncated datagram is truncated.
        let cut = |error| if self.missing > 0 { WireError::Truncated } else { error };
        let mut cursor = Cursor::new(bytes);
        let first = cursor.u8()?;
        let version = cursor.u32()?;
        let dcid = cursor.region_u8().map_err(cut)?.rest();
        let scid = cursor.region_u8().map_err(cut)?.rest();
        // RFC 9000, section 12.2: packets of different connections do not share a datagram.
        if *self.dcid.get_or_insert(dcid) != dcid {
            return Err(WireError::Value);
        }
        let kind = match VersionFamily::of(version) {
            _ if version == VERSION_NEGOTIATION => PacketKind::VersionNegotiation,
            None => PacketKind::Unknown,
            Some(family) => {
                if dcid.len().max(scid.len()) > ConnectionId::MAX {
                    return Err(WireError::BadLength);
                }
                family.kind(first)
            }
        };
        let body = match kind {
            PacketKind::Initial => {
                prefixed(&mut cursor).map_err(cut)?; // token
                length(&mut cursor)?
            }
            PacketKind::ZeroRtt | PacketKind::Handshake => length(&mut cursor)?,
            _ => cursor.remaining().saturating_add(self.missing),
        };
        if body > cursor.remaining().saturating_add(self.missing) {
            return Err(WireError::BadLength);
        }
        let number_at = bytes.len().saturating_sub(cursor.remaining());
        let wire_len = number_at.saturating_add(body);
        let (bytes, rest) = bytes.split_at(bytes.len().min(wire_len));
        self.missing = self.missing.saturating_sub(wire_len.saturating_sub(bytes.len()));
        self.rest = rest;
        Ok(LongPacket { kind, version, dcid, scid, bytes, number_at, wire_len })
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<LongPacket<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.first()? & LONG_HEADER == 0 {
            self.rest = &[];
            return None;
        }
        let packet = self.read();
        if packet.is_err() {
            self.rest = &[];
        }
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::quic::V1;
    use crate::wire::quic::vectors::{RETRY, SERVER_ID, VERSIONS, hex};

    /// A long header with empty connection IDs, followed by `rest`.
    fn long(first: u8, version: u32, rest: &[u8]) -> Vec<u8> {
        [&[first][..], &version.to_be_bytes(), &[0, 0], rest].concat()
    }

    fn kinds(datagram: &[u8]) -> Vec<Result<(PacketKind, usize), WireError>> {
        let packets = Packets::new(datagram, datagram.len());
        packets.map(|packet| packet.map(|packet| (packet.kind, packet.bytes.len()))).collect()
    }

    #[test]
    fn packets_share_a_datagram() {
        let initial = long(0xc0, V1, b"\x03tok\x02ab");
        let early = long(0xd0, V1, b"\x40\x03xyz");
        let handshake = long(0xe0, V1, b"\x01h");
        let together = [&initial[..], &early, &handshake, b"\x40short header"].concat();
        let expected = [Ok((PacketKind::Initial, 14)), Ok((PacketKind::ZeroRtt, 12)), Ok((PacketKind::Handshake, 9))];
        assert_eq!(kinds(&together), expected);
        assert_eq!(kinds(&[&initial[..], &[0; 40]].concat()), expected[..1]);
        let packet = Packets::new(&initial, initial.len()).next().unwrap().unwrap();
        assert_eq!((packet.number_at, packet.wire_len, packet.is_truncated()), (12, 14, false));
    }

    #[test]
    fn packets_without_a_length_extend_to_the_end() {
        assert_eq!(kinds(&long(0x80, 0, b"\0\0\0\x01\x6b\x33\x43\xcf")), [Ok((PacketKind::VersionNegotiation, 15))]);
        assert_eq!(kinds(&long(0xc0, 0x1a2a_3a4a, b"whatever")), [Ok((PacketKind::Unknown, 15))]);
        for (version, text) in VERSIONS.into_iter().zip(RETRY) {
            let datagram = hex(text);
            let packet = Packets::new(&datagram, datagram.len()).next().unwrap().unwrap();
            assert_eq!((packet.kind, packet.version, packet.scid), (PacketKind::Retry, version, SERVER_ID));
        }
    }

    #[test]
    fn a_malformed_packet_ends_the_iteration() {
        let good = long(0xe0, V1, b"\x01h");
        assert_eq!(
            kinds(&[&good[..], b"\xc0\0\0"].concat()),
            [Ok((PacketKind::Handshake, 9)), Err(WireError::Truncated)]
        );
        assert_eq!(kinds(&long(0xe0, V1, b"\x02h")), [Err(WireError::BadLength)]);
        assert_eq!(kinds(&long(0xc0, V1, b"\x09tok")), [Err(WireError::BadLength)]);
        assert_eq!(kinds(&long(0xc0, V1, b"\0\xff\xff\xff\xff\xff\xff\xff\xff")), [Err(WireError::BadLength)]);
        let long_id = |version: u32| [&[0xc0][..], &version.to_be_bytes(), &[21], &[7; 21], b"\0\0\x01a"].concat();
        assert_eq!(kinds(&long_id(V1)), [Err(WireError::BadLength)]);
        assert_eq!(kinds(&long_id(0x1a2a_3a4a)), [Ok((PacketKind::Unknown, 31))]);
        let other = [&[0xe0][..], &V1.to_be_bytes(), b"\x01x\0\x01h"].concat();
        assert_eq!(kinds(&[good.clone(), other].concat()).last(), Some(&Err(WireError::Value)));
        let crowd = kinds(&good.repeat(20));
        assert_eq!((crowd.len(), crowd.last()), (17, Some(&Err(WireError::TooMany))));
    }

    #[test]
    fn a_truncated_datagram_yields_the_captured_part_of_its_last_packet() {
        let first = long(0xe0, V1, b"\x01h");
        let second = long(0xc0, V1, b"\0\x40\x64abc");
        let datagram = [&first[..], &second].concat();
        let wire_len = datagram.len() + 97;
        let packets: Vec<_> = Packets::new(&datagram, wire_len).map(Result::unwrap).collect();
        let seen: Vec<_> = packets.iter().map(|packet| (packet.bytes.len(), packet.wire_len)).collect();
        assert_eq!(seen, [(9, 9), (13, 110)]);
        assert!(packets[1].is_truncated());
        // A datagram that ends within a connection ID or the token is truncated, not malformed.
        let token = [&[0xc0][..], &V1.to_be_bytes(), b"\x04name\0\x04toke"].concat();
        for length in 1..token.len() {
            let cut = Packets::new(&token[..length], 1200).next().unwrap();
            assert_eq!(cut, Err(WireError::Truncated), "{length}");
            assert_eq!(long_header_version(&token[..length]), (length >= 5).then_some(V1));
        }
        assert_eq!((long_header_version(b"\x40\0\0\0\x01"), long_header_version(b"\xc0\0\0\0\x05")), (None, None));
        // One byte less on the wire than the length field states.
        let short = Packets::new(&datagram, wire_len - 1).last();
        assert_eq!(short, Some(Err(WireError::BadLength)));
    }
}
