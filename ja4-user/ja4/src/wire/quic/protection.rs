//! Protection of Initial packets: keys and decryption (RFC 9001, section 5).

use aes::Aes128Enc;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

use crate::sha256::{Sha256Digest, digest_bytes};
use crate::wire::quic::connection_id::ConnectionId;
use crate::wire::quic::gcm::{GcmKey, HashBlocks};
use crate::wire::quic::header::LongPacket;
use crate::wire::quic::hmac::{HmacKey, MessageBlock, message_block};
use crate::wire::quic::version::VersionFamily;
use crate::wire::{Cursor, WireError};

/// Bytes of the authentication tag, which follows the payload.
pub(super) const TAG_LEN: usize = 16;

/// Bytes from the start of the packet number to the start of the sample (RFC 9001, section 5.4.2).
const SAMPLE_OFFSET: usize = 4;

/// Bytes of the sample, and of the mask computed from it.
const SAMPLE_LEN: usize = 16;

/// Bits of the first byte that the mask covers; the two lowest are the packet number's length minus 1.
pub(super) const PROTECTED_BITS: u8 = 0x0f;

/// Bits of the first byte that are zero under the mask (RFC 9000, section 17.2).
const RESERVED_BITS: u8 = 0x0c;

/// Keys of one side's Initial packets. An observer of a connection's first packet can derive them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketKeys {
    pub(super) key: [u8; 16],
    pub(super) iv: [u8; 12],
    pub(super) hp: [u8; 16],
}

impl PacketKeys {
    /// The client's keys; `dcid` is the destination connection ID of its first Initial, or of the first one after a
    /// Retry (RFC 9001, section 5.2).
    ///
    /// # Errors
    /// [`WireError::Unsupported`] for a version with an unknown salt, [`WireError::BadLength`] for an ID that is too
    /// long.
    pub fn client(version: u32, dcid: &[u8]) -> Result<Self, WireError> {
        static LABEL: MessageBlock = message_block(b"\x00\x20\x0ftls13 client in\x00\x01");
        Self::derive(version, dcid, &LABEL)
    }

    /// The keys of the server of that client.
    ///
    /// # Errors
    /// As [`client`](Self::client).
    pub fn server(version: u32, dcid: &[u8]) -> Result<Self, WireError> {
        static LABEL: MessageBlock = message_block(b"\x00\x20\x0ftls13 server in\x00\x01");
        Self::derive(version, dcid, &LABEL)
    }

    /// Derives the secret of a side, and from it the keys.
    fn derive(version: u32, dcid: &[u8], label: &MessageBlock) -> Result<Self, WireError> {
        let family = VersionFamily::of(version).ok_or(WireError::Unsupported)?;
        let dcid = ConnectionId::try_from(dcid)?;
        let [initial] = family.salted().codes([&message_block(dcid.as_bytes())]);
        let [secret] = HmacKey::of_code(initial).codes([label]);
        let [key, iv, hp] = HmacKey::of_code(secret).codes(family.labels());
        Ok(Self { key: start(key), iv: start(iv), hp: start(hp) })
    }

    /// Decrypts an Initial packet into `out`.
    ///
    /// A complete packet is authenticated. If the end of the packet was not captured, the start of the payload is
    /// decrypted without authentication: a wrong key is not detected.
    ///
    /// # Errors
    /// [`WireError::Unauthenticated`] if these are not the packet's keys, or the packet is damaged,
    /// [`WireError::Truncated`] if too few bytes were captured, [`WireError::BadLength`] if the packet is too short to
    /// be protected.
    pub fn open(&self, packet: &LongPacket<'_>, out: &mut Plaintext) -> Result<(), WireError> {
        out.clear();
        let short = if packet.is_truncated() { WireError::Truncated } else { WireError::BadLength };
        let mut cursor = Cursor::new(packet.bytes);
        cursor.take(packet.number_at.saturating_add(SAMPLE_OFFSET)).map_err(|_| short)?;
        let mask = self.mask(cursor.array().map_err(|_| short)?);

        let first = packet.bytes.first().ok_or(short)?;
        let [first_mask, number_mask @ ..] = mask;
        let first = first ^ (first_mask & PROTECTED_BITS);
        let number_len = usize::from(first & 0x03) + 1;
        let header_len = packet.number_at.saturating_add(number_len);
        let (header, sealed) = packet.bytes.split_at_checked(header_len).ok_or(short)?;
        // The sender encodes enough bytes for a receiver that has received no packet (RFC 9000, section 17.1), and few
        // Initials follow the first: the encoded bytes are the entire number.
        let number = out.unmask(header, first, packet.number_at, number_mask);

        let payload_len = packet.wire_len.saturating_sub(header_len).saturating_sub(TAG_LEN);
        let (sealed, tag) = sealed.split_at(sealed.len().min(payload_len));
        let tag = if packet.is_truncated() { None } else { Some(<&[u8; TAG_LEN]>::try_from(tag).map_err(|_| short)?) };
        if tag.is_none() && first & RESERVED_BITS != 0 {
            return Err(WireError::Unauthenticated);
        }
        let Plaintext { header, bytes, blocks, .. } = out;
        if bytes.len() < sealed.len() {
            bytes.resize(sealed.len(), 0);
        }
        let payload = bytes.get_mut(..sealed.len()).unwrap_or_default();
        // AEAD_AES_128_GCM protects every Initial (section 5.2).
        let key = GcmKey::new(&self.key);
        key.apply_keystream(&self.nonce(number), header, sealed, payload, blocks);
        match tag {
            Some(tag) if key.tag(blocks) != *tag => return Err(WireError::Unauthenticated),
            Some(_) => {}
            None => out.truncated = sealed.len() < payload_len,
        }
        out.len = sealed.len();
        Ok(())
    }

    /// The mask of the header: one byte for its first byte, the others for the packet number (section 5.4.3).
    pub(super) fn mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        let mut block = (*sample).into();
        Aes128Enc::new(&self.hp.into()).encrypt_block(&mut block);
        let [a, b, c, d, e, ..]: [u8; SAMPLE_LEN] = block.into();
        [a, b, c, d, e]
    }

    /// The nonce of a packet number (section 5.3).
    pub(super) fn nonce(&self, number: u32) -> [u8; 12] {
        let mut nonce = self.iv;
        nonce.iter_mut().rev().zip(number.to_le_bytes()).for_each(|(byte, number)| *byte ^= number);
        nonce
    }
}

/// The output of HKDF, which is at most one digest long (RFC 5869, section 2.3).
fn start<const N: usize>(digest: Sha256Digest) -> [u8; N] {
    digest_bytes(digest).first_chunk().copied().unwrap_or([0; N])
}

/// The decrypted payload of an Initial packet. Its buffers can be reused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plaintext {
    /// The packet's unprotected header, which is authenticated too.
    header: Vec<u8>,
    /// The payload, followed by bytes of earlier ones.
    bytes: Vec<u8>,
    len: usize,
    truncated: bool,
    blocks: HashBlocks,
}

impl Plaintext {
    /// The payload: frames.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Whether the payload's end was not captured.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.truncated
    }

    fn clear(&mut self) {
        (self.len, self.truncated) = (0, false);
    }

    /// Stores a header without its mask, and returns the packet number at its end.
    fn unmask(&mut self, header: &[u8], first: u8, number_at: usize, mask: [u8; 4]) -> u32 {
        self.header.clear();
        self.header.extend_from_slice(header);
        if let Some(place) = self.header.first_mut() {
            *place = first;
        }
        let number = self.header.get_mut(number_at..).unwrap_or_default();
        number.iter_mut().zip(mask).fold(0, |number, (byte, mask)| {
            *byte ^= mask;
            number << 8 | u32::from(*byte)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::quic::vectors::{
        DCID, SERVER_FRAMES, SERVER_INITIAL, VERSIONS, client_frames, client_initial, hex, only,
    };
    use crate::wire::quic::{InitialHeader, V1, V2, seal};

    #[test]
    fn the_keys_of_each_salt_are_those_of_the_documents() {
        // Appendix A.1 of RFC 9001, RFC 9369, draft-ietf-quic-tls-29 and -27.
        let table = [
            (V1, "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2"),
            (V2, "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9"),
            (
                0xff00_001d,
                "175257a31eb09dea9366d8bb79ad80ba",
                "6b26114b9cba2b63a9e8dd4f",
                "9ddd12c994c0698b89374a9c077a3077",
            ),
            (
                0xff00_001b,
                "af7fd7efebd21878ff66811248983694",
                "8681359410a70bb9c92f0420",
                "a980b8b4fb7d9fbc13e814c23164253d",
            ),
        ];
        for (version, key, iv, hp) in table {
            let keys = PacketKeys::client(version, DCID).unwrap();
            let [key, iv, hp] = [key, iv, hp].map(hex);
            assert_eq!((&keys.key[..], &keys.iv[..], &keys.hp[..]), (&key[..], &iv[..], &hp[..]), "{version:#x}");
        }
        assert_eq!(PacketKeys::client(0x0a0a_0a0a, DCID), Err(WireError::Unsupported));
    }

    #[test]
    fn the_client_initials_of_the_rfcs_are_decrypted() {
        let ends = [
            ("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11", "e221af44860018ab0856972e194cd934"),
            ("d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485", "a18b2faa745b6fe189cf772a9f84cbfc"),
        ];
        for (version, (start, tag)) in VERSIONS.into_iter().zip(ends) {
            let datagram = client_initial(version);
            assert!(datagram.len() == 1200 && datagram.starts_with(&hex(start)) && datagram.ends_with(&hex(tag)));
            let mut plaintext = Plaintext::default();
            PacketKeys::client(version, DCID).unwrap().open(&only(&datagram), &mut plaintext).unwrap();
            assert_eq!(plaintext.payload(), client_frames());
        }
    }

    #[test]
    fn the_server_initials_of_the_rfcs_are_decrypted() {
        let mut plaintext = Plaintext::default();
        for (version, text) in VERSIONS.into_iter().zip(SERVER_INITIAL) {
            let datagram = hex(text);
            let packet = only(&datagram);
            PacketKeys::server(version, DCID).unwrap().open(&packet, &mut plaintext).unwrap();
            assert_eq!((plaintext.payload(), plaintext.is_truncated()), (&hex(SERVER_FRAMES)[..], false));
            let client = PacketKeys::client(version, DCID).unwrap();
            assert_eq!(client.open(&packet, &mut plaintext), Err(WireError::Unauthenticated));
            assert!(plaintext.payload().is_empty());
        }
    }

    #[test]
    fn damage_of_any_byte_is_detected() {
        let datagram = hex(SERVER_INITIAL[0]);
        let keys = PacketKeys::server(V1, DCID).unwrap();
        let mut plaintext = Plaintext::default();
        for at in [0, 6, 20, 60, datagram.len() - 1] {
            let mut damaged = datagram.clone();
            damaged[at] ^= 0x02;
            let packet = LongPacket { bytes: &damaged, ..only(&datagram) };
            assert_eq!(keys.open(&packet, &mut plaintext), Err(WireError::Unauthenticated), "at {at}");
        }
    }

    #[test]
    fn a_truncated_packet_yields_its_start() {
        let datagram = client_initial(V2);
        let keys = PacketKeys::client(V2, DCID).unwrap();
        let packet = only(&datagram);
        let mut plaintext = Plaintext::default();
        for captured in 1..datagram.len() {
            let packet = LongPacket { bytes: &datagram[..captured], ..packet };
            let opened = keys.open(&packet, &mut plaintext);
            if captured < packet.number_at + 20 {
                assert_eq!(opened, Err(WireError::Truncated));
                continue;
            }
            let payload = captured - packet.number_at - 4;
            assert_eq!(plaintext.payload(), &client_frames()[..payload.min(1162)]);
            assert_eq!(plaintext.is_truncated(), payload < 1162);
        }
    }

    proptest! {
        #[test]
        fn sealed_packets_are_decrypted(
            version in prop::sample::select(vec![V1, V2, 0xff00_001d, 0xff00_0018, 0xface_b002, 0x5430_3531]),
            (dcid, scid) in (prop::collection::vec(any::<u8>(), 0..=20), prop::collection::vec(any::<u8>(), 0..=20)),
            token in prop::collection::vec(any::<u8>(), 0..100),
            frames in prop::collection::vec(any::<u8>(), 3..1500),
            (number, number_len) in (any::<u32>(), 1usize..=4),
        ) {
            let number = number >> (8 * (4 - number_len));
            let header = InitialHeader { version, dcid: &dcid, scid: &scid, token: &token, number, number_len };
            let keys = PacketKeys::client(version, &dcid).unwrap();
            let mut datagram = Vec::new();
            seal(&header, &keys, &frames, &mut datagram).unwrap();
            let packet = only(&datagram);
            prop_assert_eq!((packet.dcid, packet.scid), (&dcid[..], &scid[..]));
            let mut plaintext = Plaintext::default();
            keys.open(&packet, &mut plaintext).unwrap();
            prop_assert_eq!(plaintext.payload(), &frames[..]);
        }
    }
}
