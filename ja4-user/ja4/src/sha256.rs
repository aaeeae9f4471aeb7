//! SHA-256 (FIPS 180-4) of short texts.
//!
//! A general implementation copies text into a buffer and its state out of it; for one or two blocks that costs as much
//! as the hashing.

use sha2::block_api::compress256;
use zerocopy::transmute;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 64;

/// Bytes of the end of a message: an end mark and the length in bits (section 5.1.1).
const MESSAGE_END: usize = 1 + 8;

/// Longest part of a message that fits the last two blocks.
const MAX_TAIL: usize = 2 * BLOCK - MESSAGE_END;

/// A digest, as eight words with their bytes in the order of the digest.
///
/// Words and not bytes, because a digest that is hashed again is then moved in registers.
pub(crate) type Sha256Digest = [u32; 8];

/// The bytes of a digest.
pub(crate) const fn digest_bytes(digest: Sha256Digest) -> [u8; 32] {
    transmute!(digest)
}

/// The state after any number of blocks.
#[derive(Clone, Copy)]
pub(crate) struct Sha256State([u32; 8]);

impl Sha256State {
    /// The state before the first block (section 5.3.3).
    #[rustfmt::skip]
    pub(crate) const INITIAL: Self = Self([
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ]);

    /// The state after these blocks.
    #[inline]
    #[must_use]
    pub(crate) fn after(mut self, blocks: &[[u8; BLOCK]]) -> Self {
        compress256(&mut self.0, blocks);
        self
    }

    /// The digest, after the last block of a message.
    #[inline]
    pub(crate) fn digest(self) -> Sha256Digest {
        self.0.map(u32::to_be)
    }
}

/// The last block of a message that ends with `text`, at most 55 bytes, after `before` bytes in earlier blocks.
pub(crate) const fn last_block(before: usize, text: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    end_message(&mut block, before, text);
    block
}

/// Writes the end of a message to its last blocks, which are zeros and have space for the end mark and the length.
const fn end_message(blocks: &mut [u8], before: usize, text: &[u8]) {
    let (place, rest) = blocks.split_at_mut(text.len());
    place.copy_from_slice(text);
    if let Some(mark) = rest.first_mut() {
        *mark = 0x80;
    }
    if let Some(length) = rest.last_chunk_mut() {
        *length = ((before + text.len()) as u64 * 8).to_be_bytes();
    }
}

/// The digest of `text`.
#[inline]
pub(crate) fn sha256(text: &[u8]) -> Sha256Digest {
    let head = text.len().saturating_sub(MAX_TAIL).next_multiple_of(BLOCK);
    let (head, tail) = text.split_at_checked(head).unwrap_or((text, &[]));
    let mut state = Sha256State::INITIAL;
    if !head.is_empty() {
        state = state.after(head.as_chunks().0);
    }
    let mut blocks = [[0; BLOCK]; 2];
    let used = if tail.len() + MESSAGE_END <= BLOCK { 1 } else { 2 };
    let used = blocks.get_mut(..used).unwrap_or_default();
    end_message(used.as_flattened_mut(), head.len(), tail);
    state.after(used).digest()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn digests_of_all_lengths_equal_those_of_a_general_implementation() {
        let text: Vec<u8> = (0..400_u32).map(|place| (place * 7) as u8).collect();
        for length in 0..=text.len() {
            let text = &text[..length];
            assert_eq!(digest_bytes(sha256(text)), <[u8; 32]>::from(Sha256::digest(text)), "{length}");
        }
    }

    #[test]
    fn a_message_can_be_hashed_by_blocks() {
        let text = [7; 2 * BLOCK + 55];
        let (head, tail) = text.split_at(2 * BLOCK);
        let state = Sha256State::INITIAL.after(head.as_chunks().0).after(&[last_block(head.len(), tail)]);
        assert_eq!(state.digest(), sha256(&text));
    }
}
