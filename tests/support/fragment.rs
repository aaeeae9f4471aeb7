//! IP fragmentation in any order and with any overlap.

use std::ops::Range;

use crate::outer_layer::ip_packet;
use crate::packets::{Checksum, ETHERTYPE_IPV4, ETHERTYPE_IPV6, length};

/// Unit of fragment offsets, bytes (RFC 791, RFC 8200 section 4.5).
pub const UNIT: usize = 8;

const FRAGMENT: u8 = 44;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const DESTINATION: u8 = 60;

/// IP packet of a frame, to be fragmented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragments {
    /// Link header and IP header; for IPv6 also the other per-fragment headers.
    head: Vec<u8>,
    /// Offset of the IP header in `head`.
    l3: usize,
    family: Family,
    identification: u32,
    content: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6 {
        /// Offset in `head` of the last Next Header field.
        next_at: usize,
        /// Original value of that field.
        next: u8,
    },
}

impl Fragments {
    /// Reads the IP packet of an Ethernet frame. IPv4 keeps its identification; IPv6 has a fixed one.
    ///
    /// # Panics
    /// If the frame does not contain an IP packet.
    pub fn of(frame: &[u8]) -> Self {
        let (ethertype, packet) = ip_packet(frame);
        let l3 = frame.len() - packet.len();
        if ethertype == ETHERTYPE_IPV4 {
            let (head, content) = frame.split_at(l3 + usize::from(packet[0] & 0xf) * 4);
            let identification = u32::from(u16::from_be_bytes([packet[4], packet[5]]));
            return Self { head: head.to_vec(), l3, family: Family::V4, identification, content: content.to_vec() };
        }
        assert_eq!(ethertype, ETHERTYPE_IPV6, "fragments lie right behind the link header");
        let (next_at, end) = per_fragment_headers(packet);
        let (head, content) = frame.split_at(l3 + end);
        let family = Family::V6 { next_at: l3 + next_at, next: packet[next_at] };
        Self { head: head.to_vec(), l3, family, identification: 0x0102_0304, content: content.to_vec() }
    }

    /// Sets the identification; IPv4 uses its lower 16 bits.
    pub fn numbered(mut self, identification: u32) -> Self {
        self.identification = identification;
        self
    }

    /// Returns the content of the IP packet: the bytes split among the fragments.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Returns a fragment with this range of the content. The more-fragments flag is set unless the range reaches the
    /// end of the content.
    ///
    /// # Panics
    /// If the range is out of bounds or does not start at a multiple of [`UNIT`].
    pub fn piece(&self, bytes: Range<usize>) -> Vec<u8> {
        let more = bytes.end < self.content.len();
        self.forged(bytes.start, &self.content[bytes], more)
    }

    /// Returns a fragment with arbitrary bytes, offset and more-fragments flag.
    ///
    /// # Panics
    /// If the offset is not a multiple of [`UNIT`] or does not fit in 16 bits.
    pub fn forged(&self, offset: usize, bytes: &[u8], more: bool) -> Vec<u8> {
        assert!(offset.is_multiple_of(UNIT), "a fragment at {offset}");
        let offset = u16::try_from(offset).expect("the offset fits its field");
        let mut out = self.head.clone();
        match self.family {
            Family::V4 => {
                let total = length(self.head.len() - self.l3 + bytes.len());
                let header = &mut out[self.l3..];
                header[2..4].copy_from_slice(&total);
                header[4..6].copy_from_slice(&(self.identification as u16).to_be_bytes());
                let flag = if more { 0x2000 } else { 0 };
                header[6..8].copy_from_slice(&((offset / UNIT as u16) | flag).to_be_bytes());
                header[10..12].fill(0);
                let mut sum = Checksum::default();
                sum.add(header);
                header[10..12].copy_from_slice(&sum.value());
            }
            Family::V6 { next_at, next } => {
                out[next_at] = FRAGMENT;
                out.extend_from_slice(&[next, 0]);
                out.extend_from_slice(&(offset | u16::from(more)).to_be_bytes());
                out.extend_from_slice(&self.identification.to_be_bytes());
                let payload = length(out.len() - self.l3 - 40 + bytes.len());
                out[self.l3 + 4..self.l3 + 6].copy_from_slice(&payload);
            }
        }
        out.extend_from_slice(bytes);
        out
    }

    /// Splits the content into `count` fragments, in order and of sizes as equal as [`UNIT`] allows.
    ///
    /// # Panics
    /// If `count` is zero or greater than the number of units.
    pub fn pieces(&self, count: usize) -> Vec<Vec<u8>> {
        let units = self.content.len().div_ceil(UNIT);
        assert!((1..=units).contains(&count), "{units} units in {count} pieces");
        let cut = |piece: usize| (units * piece / count * UNIT).min(self.content.len());
        (0..count).map(|piece| self.piece(cut(piece)..cut(piece + 1))).collect()
    }
}

/// Returns two offsets in an IPv6 packet: the Next Header field of the last per-fragment header, and the end of that
/// header. Per-fragment headers are hop-by-hop options and all headers up to a routing header (RFC 8200, section 4.5).
fn per_fragment_headers(packet: &[u8]) -> (usize, usize) {
    let (mut next_at, mut end) = (6, 40);
    let mut repeated = (next_at, end);
    loop {
        let kind = packet[next_at];
        if !matches!(kind, HOP_BY_HOP | ROUTING | DESTINATION) {
            return repeated;
        }
        next_at = end;
        end += (usize::from(packet[end + 1]) + 1) * 8;
        if kind != DESTINATION {
            repeated = (next_at, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::Datagram;
    use crate::packets::{Envelope, Extension};

    const PAYLOAD: &[u8] = &[7; 45];

    fn datagram(ends: (&str, &str), envelope: &Envelope) -> Vec<u8> {
        let (from, to) = (ends.0.parse().unwrap(), ends.1.parse().unwrap());
        let mut out = Vec::new();
        Datagram { from, to, ttl: 64, payload: PAYLOAD }.write(envelope, &mut out);
        out
    }

    #[test]
    fn ipv4_fragments_add_up() {
        let frame = datagram(("10.0.0.1:1", "10.0.0.2:2"), &Envelope::default());
        let fragments = Fragments::of(&frame).numbered(0x1234);
        let pieces = fragments.pieces(3);
        // 53 bytes are 7 units: fragments of 2, 2 and 3 units.
        for (piece, (offset, flag, bytes)) in pieces.iter().zip([(0, 0x20, 16), (2, 0x20, 16), (4, 0, 21)]) {
            assert_eq!(piece[14 + 2..14 + 4], [0, 20 + bytes]);
            assert_eq!(piece[14 + 4..14 + 8], [0x12, 0x34, flag, offset]);
            let mut sum = Checksum::default();
            sum.add(&piece[14..34]);
            assert_eq!(sum.value(), [0, 0]);
        }
        let content: Vec<u8> = pieces.iter().flat_map(|piece| piece[34..].to_vec()).collect();
        assert_eq!(content, frame[34..]);
        assert_eq!(fragments.content(), &frame[34..]);
    }

    #[test]
    fn ipv6_fragments_repeat_what_routers_read() {
        let extensions = vec![Extension::HopByHop, Extension::Routing, Extension::Destination(1)];
        let envelope = Envelope { vlan: vec![5], extensions };
        let frame = datagram(("[fd00::1]:1", "[fd00::2]:2"), &envelope);
        let fragments = Fragments::of(&frame);
        let pieces = fragments.pieces(2);
        // Hop-by-hop and routing headers are repeated; destination options and UDP are fragmented: 61 bytes, 8 units.
        for (piece, (field, bytes)) in pieces.iter().zip([(1, 32), (32, 29)]) {
            assert_eq!(piece[..18], frame[..18]);
            assert_eq!(piece[18 + 4..18 + 7], [0, 8 + 8 + 8 + bytes, HOP_BY_HOP]);
            assert_eq!((piece[18 + 40], piece[18 + 48]), (ROUTING, FRAGMENT));
            assert_eq!(piece[18 + 56..18 + 64], [DESTINATION, 0, 0, field, 1, 2, 3, 4]);
        }
        let content: Vec<u8> = pieces.iter().flat_map(|piece| piece[18 + 64..].to_vec()).collect();
        assert_eq!(content, frame[18 + 56..]);
    }

    #[test]
    fn pieces_may_overlap_and_lie() {
        let frame = datagram(("10.0.0.1:1", "10.0.0.2:2"), &Envelope::default());
        let fragments = Fragments::of(&frame);
        assert_eq!(fragments.piece(8..53)[34..], frame[42..]);
        assert_eq!(fragments.piece(8..53)[14 + 6..14 + 8], [0, 1]);
        let forged = fragments.forged(65_528, &[1; 7], true);
        assert_eq!(forged[14 + 6..14 + 8], [0x3f, 0xff]);
        assert_eq!(forged[34..], [1; 7]);
    }
}
