//! The differences between versions of QUIC in Initial packets.

use std::sync::LazyLock;

use crate::wire::quic::hmac::{HmacKey, MessageBlock, message_block};

/// QUIC version 1 (RFC 9000).
pub const V1: u32 = 0x0000_0001;

/// QUIC version 2 (RFC 9369).
pub const V2: u32 = 0x6b33_43cf;

/// Draft n of QUIC version 1 is 0xff000000 + n.
const DRAFT: u32 = 0xff00_0000;

/// Facebook's number of version 1 (`QuicVersion` in the code of mvfst).
const MVFST_V1: u32 = 0xface_b003;

/// Google's `T050` and `T051`, which carry TLS like the drafts, with other salts. `Q050` carries no TLS.
const T050: u32 = u32::from_be_bytes(*b"T050");
const T051: u32 = u32::from_be_bytes(*b"T051");

/// The type of a packet with a long header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// Initial.
    Initial,
    /// 0-RTT.
    ZeroRtt,
    /// Handshake.
    Handshake,
    /// Retry.
    Retry,
    /// Version Negotiation.
    VersionNegotiation,
    /// A packet of an unknown version.
    Unknown,
}

/// Versions with the same protection of Initial packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VersionFamily {
    V1,
    V2,
    Draft29,
    Draft23,
    T051,
    T050,
}

impl VersionFamily {
    pub(super) const fn of(version: u32) -> Option<Self> {
        Some(match version {
            V1 | MVFST_V1 => Self::V1,
            V2 => Self::V2,
            T050 => Self::T050,
            T051 => Self::T051,
            // mvfst's numbers of drafts and experiments, all with one salt.
            0xface_b002 | 0xface_b00e | 0xface_b010 | 0xface_b011 | 0xface_b013 => Self::Draft23,
            _ => match version.wrapping_sub(DRAFT) {
                23..=28 => Self::Draft23,
                29..=32 => Self::Draft29,
                33..=34 => Self::V1,
                _ => return None,
            },
        })
    }

    /// The salt as a prepared key, which is the same for every connection.
    pub(super) fn salted(self) -> &'static HmacKey {
        macro_rules! salted {
            ($($family:ident)*) => {
                match self {
                    $(Self::$family => {
                        static SALTED: LazyLock<HmacKey> =
                            LazyLock::new(|| HmacKey::new(VersionFamily::$family.salt()));
                        &SALTED
                    })*
                }
            };
        }
        salted!(V1 V2 Draft29 Draft23 T051 T050)
    }

    /// The salt of the initial secret (RFC 9001, section 5.2; RFC 9369, section 3.3.1; section 5.2 of
    /// draft-ietf-quic-tls-23 and -29; `crypto_utils` in the code of Google's QUICHE).
    const fn salt(self) -> &'static [u8; 20] {
        match self {
            Self::V1 => b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a",
            Self::V2 => b"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9",
            Self::Draft29 => b"\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99",
            Self::Draft23 => b"\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02",
            Self::T051 => b"\x7a\x4e\xde\xf4\xe7\xcc\xee\x5f\xa4\x50\x6c\x19\x12\x4f\xc8\xcc\xda\x6e\x03\x3d",
            Self::T050 => b"\x7f\xf5\x79\xe5\xac\xd0\x72\x91\x55\x80\x30\x4c\x43\xa2\x36\x7c\x60\x48\x83\x10",
        }
    }

    /// The messages from which the packet's key, IV and header protection key are derived: each an HkdfLabel structure
    /// (RFC 8446, section 7.1) of length, label and no context (RFC 9001, section 5.1; RFC 9369, section 3.3.2), and the
    /// number of the output block (RFC 5869, section 2.3).
    pub(super) const fn labels(self) -> [&'static MessageBlock; 3] {
        static LABELS: [MessageBlock; 3] = [
            message_block(b"\x00\x10\x0etls13 quic key\x00\x01"),
            message_block(b"\x00\x0c\x0dtls13 quic iv\x00\x01"),
            message_block(b"\x00\x10\x0dtls13 quic hp\x00\x01"),
        ];
        static LABELS_V2: [MessageBlock; 3] = [
            message_block(b"\x00\x10\x10tls13 quicv2 key\x00\x01"),
            message_block(b"\x00\x0c\x0ftls13 quicv2 iv\x00\x01"),
            message_block(b"\x00\x10\x0ftls13 quicv2 hp\x00\x01"),
        ];
        if matches!(self, Self::V2) { LABELS_V2.each_ref() } else { LABELS.each_ref() }
    }

    /// The packet type of the two type bits of a long header, which version 2 increments by one (RFC 9369, section
    /// 3.2).
    pub(super) const fn kind(self, first_byte: u8) -> PacketKind {
        let shift = matches!(self, Self::V2) as u8;
        match (first_byte >> 4).wrapping_sub(shift) & 0b11 {
            0 => PacketKind::Initial,
            1 => PacketKind::ZeroRtt,
            2 => PacketKind::Handshake,
            _ => PacketKind::Retry,
        }
    }

    /// The type bits of an Initial packet, at their position in the first byte.
    pub(super) const fn initial_bits(self) -> u8 {
        if matches!(self, Self::V2) { 0x10 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_fall_into_three_ranges() {
        let family = |draft| VersionFamily::of(DRAFT + draft);
        assert_eq!([22, 35, 0].map(family), [None; 3]);
        assert!((23..=28).all(|draft| family(draft) == Some(VersionFamily::Draft23)));
        assert!((29..=32).all(|draft| family(draft) == Some(VersionFamily::Draft29)));
        assert!((33..=34).all(|draft| family(draft) == Some(VersionFamily::V1)));
    }

    #[test]
    fn version_2_rotates_the_types() {
        use PacketKind::{Handshake, Initial, Retry, ZeroRtt};
        let kinds = |family: VersionFamily| [0xc0, 0xd0, 0xe0, 0xf0].map(|first| family.kind(first));
        assert_eq!(kinds(VersionFamily::V1), [Initial, ZeroRtt, Handshake, Retry]);
        assert_eq!(kinds(VersionFamily::V2), [Retry, Initial, ZeroRtt, Handshake]);
        assert!(
            [VersionFamily::V1, VersionFamily::V2]
                .into_iter()
                .all(|family| family.kind(family.initial_bits()) == Initial)
        );
    }
}
