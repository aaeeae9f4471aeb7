//! HMAC-SHA-256 of short messages (RFC 2104), which derive the keys of Initial packets.
//!
//! Each takes one inner and one outer block of SHA-256, and together they are most of the cost of a connection's first
//! packet. A general implementation spends as much time on buffers and copies of its states.

use sha2::block_api::compress256;

use crate::wire::WireError;

/// Bytes of a digest, and of a key made from one.
pub(super) const DIGEST: usize = 32;

/// Bytes of a block.
const BLOCK: usize = 64;

/// Longest message: with an end mark and a length of eight bytes it fits one block (FIPS 180-4, section 5.1.1).
const MAX_MESSAGE: usize = BLOCK - 1 - 8;

/// FIPS 180-4, section 5.3.3.
#[rustfmt::skip]
const INITIAL: [u32; 8] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
];

/// A key, as its inner and outer states.
#[derive(Clone, Copy)]
pub(super) struct HmacKey {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl HmacKey {
    /// Prepares a key of at most one block.
    pub(super) fn new<const N: usize>(key: &[u8; N]) -> Self {
        const { assert!(N <= BLOCK) };
        let [inner, outer] = [0x36, 0x5c].map(|pad| {
            let mut block = [pad; BLOCK];
            block.iter_mut().zip(key).for_each(|(place, byte)| *place ^= byte);
            let mut state = INITIAL;
            compress256(&mut state, &[block]);
            state
        });
        Self { inner, outer }
    }

    /// The code of the concatenation of two parts.
    ///
    /// # Errors
    /// [`WireError::BadLength`] above [`MAX_MESSAGE`] bytes in total.
    pub(super) fn code(&self, first: &[u8], second: &[u8]) -> Result<[u8; DIGEST], WireError> {
        let inner = last_block(self.inner, first, second)?;
        last_block(self.outer, &inner, &[])
    }
}

/// The digest of one block with this state, followed by these bytes.
#[inline]
fn last_block(mut state: [u32; 8], first: &[u8], second: &[u8]) -> Result<[u8; DIGEST], WireError> {
    let length = first.len() + second.len();
    let mut block = [0; BLOCK];
    let (message, rest) = block.split_at_mut_checked(length).ok_or(WireError::BadLength)?;
    let (message, behind) = message.split_at_mut_checked(first.len()).ok_or(WireError::BadLength)?;
    message.copy_from_slice(first);
    behind.copy_from_slice(second);
    if length > MAX_MESSAGE {
        return Err(WireError::BadLength);
    }
    let bits = ((BLOCK + length) as u64 * 8).to_be_bytes();
    if let Some(mark) = rest.first_mut() {
        *mark = 0x80;
    }
    if let Some(end) = rest.last_chunk_mut() {
        *end = bits;
    }
    compress256(&mut state, &[block]);
    let mut digest = [0; DIGEST];
    digest.as_chunks_mut().0.iter_mut().zip(state).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::quic::vectors::hex;

    #[test]
    fn codes_of_rfc_4231() {
        // Cases 1 and 2 of section 4.
        let code = HmacKey::new(&[0x0b; 20]).code(b"Hi There", b"").unwrap();
        assert_eq!(code.to_vec(), hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
        let code = HmacKey::new(b"Jefe").code(b"what do ya want ", b"for nothing?").unwrap();
        assert_eq!(code.to_vec(), hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    }

    #[test]
    fn a_message_longer_than_a_block_is_rejected() {
        let key = HmacKey::new(&[1; DIGEST]);
        assert!(key.code(&[2; MAX_MESSAGE - 1], &[3]).is_ok());
        for (first, second) in [(MAX_MESSAGE, 1), (MAX_MESSAGE + 1, 0), (BLOCK, 0), (BLOCK, BLOCK), (0, BLOCK + 1)] {
            assert_eq!(key.code(&vec![2; first], &vec![3; second]), Err(WireError::BadLength));
        }
    }
}
