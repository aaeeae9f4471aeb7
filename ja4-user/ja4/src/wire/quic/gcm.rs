//! AES-128-GCM (NIST SP 800-38D), which protects Initial packets, in two steps: decryption, and the tag. A truncated
//! packet has no tag.

use aes::Aes128Enc;
use aes::cipher::consts::U16;
use aes::cipher::typenum::Unsigned;
use aes::cipher::{Block as CipherBlock, BlockCipherEncBackend, BlockCipherEncClosure, BlockSizeUser, ParBlocks};
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use polyval::Polyval;
use polyval::universal_hash::UniversalHash;
use zerocopy::transmute;

/// Bytes of a block, of a key and of a tag.
const BLOCK: usize = 16;

/// Bytes of a nonce.
pub(super) const NONCE: usize = 12;

/// The counter of the block that masks the tag. The keystream begins after it (section 7.1).
const MASK_COUNTER: u32 = 1;

type Block = CipherBlock<Aes128Enc>;

/// A key.
pub(super) struct GcmKey {
    cipher: Aes128Enc,
    hash: Polyval,
}

impl GcmKey {
    pub(super) fn new(key: &[u8; BLOCK]) -> Self {
        let cipher = Aes128Enc::new(&(*key).into());
        let mut hash_key = Block::default();
        cipher.encrypt_block(&mut hash_key);
        // GHASH is POLYVAL of blocks in reverse byte order, with x times the key (RFC 8452, appendix A).
        let h = u128::from_be_bytes(hash_key.0);
        let over = h >> 127;
        let times_x = h << 1 ^ over ^ over << 121 ^ over << 126 ^ over << 127;
        Self { cipher, hash: Polyval::new(&times_x.to_le_bytes().into()) }
    }

    /// Decrypts `input` into `output`, which is as long, or encrypts it. `blocks` is then what the tag of a packet with
    /// this header and the ciphertext `input` depends on.
    pub(super) fn apply_keystream(
        &self,
        nonce: &[u8; NONCE],
        header: &[u8],
        input: &[u8],
        output: &mut [u8],
        blocks: &mut HashBlocks,
    ) {
        let HashBlocks { blocks, used, mask } = blocks;
        let (header_blocks, input_blocks) = (header.len().div_ceil(BLOCK), input.len().div_ceil(BLOCK));
        *used = header_blocks + input_blocks + 1;
        if blocks.len() < *used {
            blocks.resize(*used, Block::default());
        }
        let (first, others) = blocks.split_at_mut(header_blocks);
        let (hashed, last) = others.split_at_mut(input_blocks);
        reverse_blocks(header, first);
        self.cipher.encrypt_with_backend(Keystream { nonce, input, output, hashed, mask });
        let bits = |part: &[u8]| u128::from(part.len() as u64 * 8);
        if let Some(lengths) = last.first_mut() {
            *lengths = (bits(header) << 64 | bits(input)).to_le_bytes().into();
        }
    }

    /// The tag.
    pub(super) fn tag(self, blocks: &HashBlocks) -> [u8; BLOCK] {
        let HashBlocks { blocks, used, mask } = blocks;
        let Self { mut hash, .. } = self;
        hash.update(blocks.get(..*used).unwrap_or_default());
        let hash = reversed(&hash.finalize().0);
        (u128::from_ne_bytes(hash.0) ^ u128::from_ne_bytes(mask.0)).to_ne_bytes()
    }
}

/// The blocks that are hashed, and the mask of the hash. The buffer can be reused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HashBlocks {
    /// The blocks, followed by those of earlier packets.
    blocks: Vec<Block>,
    used: usize,
    mask: Block,
}

/// Counter mode. The cipher calls it with the fastest implementation that the processor has, and this code is compiled
/// for the same instructions.
struct Keystream<'a> {
    nonce: &'a [u8; NONCE],
    input: &'a [u8],
    output: &'a mut [u8],
    /// The blocks of `input` in reverse byte order.
    hashed: &'a mut [Block],
    mask: &'a mut Block,
}

impl BlockSizeUser for Keystream<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Keystream<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Self { nonce, mut input, mut output, mut hashed, mask } = self;
        let [a, b, c]: [u32; 3] = transmute!(*nonce);
        for first in (MASK_COUNTER..).step_by(B::ParBlocksSize::USIZE) {
            let mut keystream = ParBlocks::<B>::default();
            for (block, counter) in keystream.iter_mut().zip(first..) {
                let bytes: [u8; BLOCK] = transmute!([a, b, c, counter.to_be()]);
                *block = bytes.into();
            }
            let is_first = first == MASK_COUNTER;
            match keystream.get_mut(..input.len().div_ceil(BLOCK) + usize::from(is_first)) {
                Some(few) if few.len() < B::ParBlocksSize::USIZE => backend.encrypt_tail_blocks_inplace(few),
                _ => backend.encrypt_par_blocks_inplace(&mut keystream),
            }
            let mut keystream = keystream.as_slice();
            if is_first && let Some((first, rest)) = keystream.split_first() {
                *mask = *first;
                keystream = rest;
            }
            let here = input.len().min(keystream.len() * BLOCK);
            let (from, later) = input.split_at(here);
            let Some((to, behind)) = output.split_at_mut_checked(here) else { return };
            let Some((reverse, hashed_later)) = hashed.split_at_mut_checked(here.div_ceil(BLOCK)) else { return };
            blockwise(from, to, reverse, keystream);
            if later.is_empty() {
                return;
            }
            (input, output, hashed) = (later, behind, hashed_later);
        }
    }
}

/// One loop for each output, since the compiler then uses the widest instructions for each.
#[inline(always)]
fn blockwise(input: &[u8], output: &mut [u8], hashed: &mut [Block], keystream: &[Block]) {
    for ((to, from), key) in output.iter_mut().zip(input).zip(Block::slice_as_flattened(keystream)) {
        *to = from ^ key;
    }
    reverse_blocks(input, hashed);
}

/// Writes blocks in reverse byte order; zeros follow the last bytes.
#[inline(always)]
fn reverse_blocks(bytes: &[u8], out: &mut [Block]) {
    let (whole, rest) = bytes.as_chunks();
    let mut out = out.iter_mut();
    for (from, to) in whole.iter().zip(&mut out) {
        *to = reversed(from);
    }
    if let Some(last) = out.next() {
        let mut block = [0; BLOCK];
        block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        *last = reversed(&block);
    }
}

#[inline(always)]
fn reversed(block: &[u8; BLOCK]) -> Block {
    let mut block = *block;
    block.reverse();
    block.into()
}
