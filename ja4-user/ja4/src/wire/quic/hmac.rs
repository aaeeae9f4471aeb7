//! HMAC-SHA-256 (RFC 2104) of messages of one block, which derive the keys of Initial packets.
//!
//! The blocks of SHA-256 are most of the cost of a connection's first packet. The processor hashes several at the same
//! time if none waits for another: neither for its state, nor for bytes of its block that were just written one by one.
//! Constant messages are therefore blocks in memory, and digests are words.

use zerocopy::transmute;

use crate::sha256::{BLOCK, Sha256Digest, Sha256State, last_block};

/// A message with its end, as the block after the key's.
pub(super) type MessageBlock = [u8; BLOCK];

/// The block of a message of at most 55 bytes.
pub(super) const fn message_block(message: &[u8]) -> MessageBlock {
    last_block(BLOCK, message)
}

/// The words of a block: a digest, and what follows it.
type Words = [u32; BLOCK / 4];

/// A key, as its inner and outer states.
#[derive(Clone, Copy)]
pub(super) struct HmacKey {
    inner: Sha256State,
    outer: Sha256State,
}

impl HmacKey {
    /// The key with these bytes, at most a block.
    pub(super) fn new(key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        block.iter_mut().zip(key).for_each(|(place, byte)| *place = *byte);
        Self::padded(transmute!(block))
    }

    /// The key that is the code of a message.
    #[inline]
    pub(super) fn of_code(code: Sha256Digest) -> Self {
        Self::padded(followed_by(code, [0; 8]))
    }

    #[inline]
    fn padded(key: Words) -> Self {
        let [inner, outer] = [0x3636_3636, 0x5c5c_5c5c].map(|pad| {
            let block: [u8; BLOCK] = transmute!(key.map(|word| word ^ pad));
            Sha256State::INITIAL.after(&[block])
        });
        Self { inner, outer }
    }

    /// The code of each message.
    #[inline]
    pub(super) fn codes<const N: usize>(&self, messages: [&MessageBlock; N]) -> [Sha256Digest; N] {
        /// What follows the digest of 32 bytes in the last block of the outer hash.
        const END: [u32; 8] = {
            let block: Words = transmute!(last_block(BLOCK, &[0; 32]));
            let [.., a, b, c, d, e, f, g, h] = block;
            [a, b, c, d, e, f, g, h]
        };
        messages.map(|message| self.inner.after(&[*message]).digest()).map(|digest| {
            let block: [u8; BLOCK] = transmute!(followed_by(digest, END));
            self.outer.after(&[block]).digest()
        })
    }
}

#[inline]
const fn followed_by([a, b, c, d, e, f, g, h]: Sha256Digest, [i, j, k, l, m, n, o, p]: [u32; 8]) -> Words {
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sha256::digest_bytes;
    use crate::wire::quic::vectors::hex;

    #[test]
    fn codes_of_rfc_4231() {
        // Cases 1, 2 and 3 of section 4.
        let messages: [(&[u8], &[u8], &str); 3] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        ];
        for (key, message, code) in messages {
            let [found] = HmacKey::new(key).codes([&message_block(message)]);
            assert_eq!(digest_bytes(found).to_vec(), hex(code));
        }
    }

    #[test]
    fn a_code_as_key_is_the_key_of_its_bytes() {
        let code = [0x0102_0304; 8];
        let message = &message_block(b"message");
        assert_eq!(HmacKey::of_code(code).codes([message]), HmacKey::new(&digest_bytes(code)).codes([message]));
    }
}
