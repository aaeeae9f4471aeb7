//! QUIC version 1 packets as seen on the wire (RFC 9000, RFC 9001).
//!
//! This module has its own encryption of Initial packets, independent of the sensor's code, so that the two
//! implementations check each other. Other packets have a valid header and random bytes as payload, because an observer
//! on the path cannot decrypt them.

use aes::Aes128Enc;
use aes::cipher::BlockCipherEncrypt;
use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use hkdf::Hkdf;
use sha2::Sha256;

use crate::packets::Sender;
use crate::random::SplitMix64;

const VERSION: [u8; 4] = [0, 0, 0, 1];
/// Initial salt (RFC 9001, section 5.2).
const SALT: &[u8] = b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a";
/// Minimum size of a datagram with a client's Initial packet, bytes (RFC 9000, section 14.1).
const SMALLEST: usize = 1200;
const TAG: usize = 16;
/// Length of every packet number in this module, bytes.
const NUMBER: usize = 2;

/// Initial keys and connection IDs of both endpoints of a connection. The client has a zero-length connection ID.
#[derive(Clone, Debug)]
pub struct QuicEnds {
    keys: [Keys; 2],
    /// Destination connection ID of the client's first packet.
    first: Vec<u8>,
    /// Connection ID of the server.
    server: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Keys {
    key: [u8; 16],
    iv: [u8; 12],
    hp: [u8; 16],
}

impl QuicEnds {
    /// Creates a connection. `first` is the destination connection ID of the client's first packet, `server` is the
    /// server's connection ID. Each has at most 20 bytes.
    pub fn new(first: &[u8], server: &[u8]) -> Self {
        let (_, secret) = Hkdf::<Sha256>::extract(Some(SALT), first);
        let keys = ["client in", "server in"].map(|side| {
            let side = Hkdf::from_prk(&expand::<32>(&secret, side)).expect("as long as a digest");
            Keys { key: expand(&side, "quic key"), iv: expand(&side, "quic iv"), hp: expand(&side, "quic hp") }
        });
        Self { keys, first: first.to_vec(), server: server.to_vec() }
    }

    /// Returns the connection with another connection ID of the server. The keys do not change.
    pub fn moved_to(&self, server: &[u8]) -> Self {
        Self { server: server.to_vec(), ..self.clone() }
    }

    /// Returns an Initial packet with these frames. A client's packet is padded to the minimum datagram size, and its
    /// destination connection ID is the one that the client chose.
    ///
    /// # Panics
    /// If the frames have fewer than two bytes, or do not fit the two-byte length field.
    pub fn initial(&self, from: Sender, number: u16, frames: &[u8]) -> Vec<u8> {
        match from {
            Sender::Client => self.sealed(from, (&self.first, &[]), number, frames),
            Sender::Server => self.sealed(from, (&[], &self.server), number, frames),
        }
    }

    /// Returns a client's Initial packet after the server's reply: its destination connection ID is the server's.
    ///
    /// # Panics
    /// Same as [`initial`](Self::initial).
    pub fn later_initial(&self, number: u16, frames: &[u8]) -> Vec<u8> {
        self.sealed(Sender::Client, (&self.server, &[]), number, frames)
    }

    fn sealed(&self, from: Sender, (to, own): (&[u8], &[u8]), number: u16, frames: &[u8]) -> Vec<u8> {
        let mut frames = frames.to_vec();
        let mut packet = header(0xc0, to, own);
        packet.push(0); // no token
        let sealed = packet.len() + 2 + NUMBER + TAG;
        if from == Sender::Client {
            frames.resize(frames.len().max(SMALLEST - sealed), 0);
        }
        packet.extend(length(NUMBER + frames.len() + TAG));
        self.keys[from as usize].seal(packet, number, &frames)
    }

    /// Returns a Handshake packet with `size` random bytes after the header.
    pub fn handshake(&self, from: Sender, size: usize, random: &mut SplitMix64) -> Vec<u8> {
        let (to, own): (&[u8], &[u8]) = match from {
            Sender::Client => (&self.server, &[]),
            Sender::Server => (&[], &self.server),
        };
        let mut packet = header(0xe0, to, own);
        packet.extend(length(size));
        extend(packet, size, random)
    }

    /// Returns a packet with a short header and `size` random bytes.
    pub fn short(&self, from: Sender, size: usize, random: &mut SplitMix64) -> Vec<u8> {
        let mut packet = vec![0x40 | random.below(0x20) as u8];
        if from == Sender::Client {
            packet.extend_from_slice(&self.server);
        }
        extend(packet, size, random)
    }
}

/// Returns a CRYPTO frame.
pub fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    [&[6][..], &length(offset), &length(data.len()), data].concat()
}

/// Returns an ACK frame for the single packet `number`.
pub fn ack(number: u8) -> Vec<u8> {
    vec![2, number, 0, 0, 0]
}

impl Keys {
    fn seal(&self, mut packet: Vec<u8>, number: u16, frames: &[u8]) -> Vec<u8> {
        packet[0] |= NUMBER as u8 - 1;
        let at = packet.len();
        packet.extend(number.to_be_bytes());
        let mut nonce = self.iv;
        nonce[10] ^= (number >> 8) as u8;
        nonce[11] ^= number as u8;
        let mut sealed = frames.to_vec();
        let tag = Aes128Gcm::new(&self.key.into())
            .encrypt_inout_detached(&nonce.into(), &packet, sealed.as_mut_slice().into())
            .expect("shorter than GCM allows");
        packet.extend_from_slice(&sealed);
        packet.extend_from_slice(&tag);

        let sample: [u8; 16] = packet[at + 4..at + 20].try_into().expect("16 bytes");
        let mut mask = sample.into();
        Aes128Enc::new(&self.hp.into()).encrypt_block(&mut mask);
        packet[0] ^= mask[0] & 0x0f;
        packet[at] ^= mask[1];
        packet[at + 1] ^= mask[2];
        packet
    }
}

/// HKDF-Expand-Label without a context (RFC 8446, section 7.1).
fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &str) -> [u8; N] {
    let mut out = [0; N];
    let info = [&[0, N as u8, 6 + label.len() as u8][..], b"tls13 ", label.as_bytes(), &[0]].concat();
    secret.expand(&info, &mut out).expect("no longer than HKDF gives");
    out
}

fn header(first: u8, to: &[u8], own: &[u8]) -> Vec<u8> {
    [&[first], &VERSION[..], &[to.len() as u8], to, &[own.len() as u8], own].concat()
}

/// Encodes a variable-length integer in two bytes (RFC 9000, section 16).
fn length(value: usize) -> [u8; 2] {
    assert!(value < 0x4000, "{value} takes more than two bytes");
    (0x4000 | value as u16).to_be_bytes()
}

fn extend(mut packet: Vec<u8>, size: usize, random: &mut SplitMix64) -> Vec<u8> {
    let start = packet.len();
    packet.resize(start + size, 0);
    random.fill(&mut packet[start..]);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digit = |digit: u8| (digit as char).to_digit(16).unwrap() as u8;
        text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    #[test]
    fn the_server_s_initial_is_that_of_rfc_9001() {
        // Appendix A.3.
        let frames = hex("02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a\
            045a1200130100002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00\
            020304");
        let packet = hex("cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c697975547\
            80bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022\
            f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee");
        let ends = QuicEnds::new(&hex("8394c8f03e515708"), &hex("f067a5502a4262b5"));
        assert_eq!(ends.initial(Sender::Server, 1, &frames), packet);
        assert_eq!(ends.initial(Sender::Client, 2, &crypto(0, &frames)).len(), SMALLEST);
    }
}
