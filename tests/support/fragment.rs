//! IP packets in fragments: in any order, with any overlap, as a test wants them.

use std::ops::Range;

use crate::carrier::ip_packet;
use crate::packets::{Checksum, ETHERTYPE_IPV4, ETHERTYPE_IPV6, length};

/// Fragments begin at multiples of this many bytes (RFC 791, RFC 8200 section 4.5).
pub const UNIT: usize = 8;

const FRAGMENT: u8 = 44;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const DESTINATION: u8 = 60;

/// The packet of a frame, ready to be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragments {
    /// Link and IP header, with what else each fragment has in IPv6.
    head: Vec<u8>,
    /// Where the IP header starts.
    l3: usize,
    family: Family,
    identification: u32,
    content: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6 {
        /// Where in the head it says what follows the head.
        next_at: usize,
        /// What it says.
        next: u8,
    },
}

impl Fragments {
    /// Of the IP packet in this Ethernet frame. IPv4 keeps its identification, IPv6 gets one that is the same for all.
    ///
    /// # Panics
    /// If there is no IP packet in the frame.
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

    /// With this identification, of which IPv4 takes the lower 16 bits.
    pub fn numbered(mut self, identification: u32) -> Self {
        self.identification = identification;
        self
    }

    /// Bytes that are shared out: the IP packet's content.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// A frame with these bytes of the content. More follow unless they reach its end.
    ///
    /// # Panics
    /// If there are no such bytes or they do not start at a [`UNIT`].
    pub fn piece(&self, bytes: Range<usize>) -> Vec<u8> {
        let more = bytes.end < self.content.len();
        self.forged(bytes.start, &self.content[bytes], more)
    }

    /// A frame with bytes of the test's own at this offset of the content, and a word on whether more follow.
    ///
    /// # Panics
    /// If the offset is no multiple of a [`UNIT`] or above what the field holds.
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

    /// All of the content in this many pieces, in order and as equal as [`UNIT`] allows.
    ///
    /// # Panics
    /// If the content has not so many units.
    pub fn pieces(&self, count: usize) -> Vec<Vec<u8>> {
        let units = self.content.len().div_ceil(UNIT);
        assert!((1..=units).contains(&count), "{units} units in {count} pieces");
        let cut = |piece: usize| (units * piece / count * UNIT).min(self.content.len());
        (0..count).map(|piece| self.piece(cut(piece)..cut(piece + 1))).collect()
    }
}

/// In an IPv6 packet, where the last of the headers that each fragment repeats says what follows it, and where that one
/// ends: hop-by-hop options, and all up to a routing header (RFC 8200, section 4.5).
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
    use crate::packets::{Envelope, Extension};
    use crate::udp::Datagram;

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
        // 53 bytes are 7 units: 2, 2 and 3 of them.
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
        // Hop-by-hop and routing are repeated, the destination's options and UDP are cut: 61 bytes, 8 units.
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
