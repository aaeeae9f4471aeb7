//! Lists of code points: their text, and a memo of their hashes.

use core::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;

use crate::fingerprint::hash::H12;
use crate::fingerprint::text::hex4;

/// Separates the extensions of a list from the signature algorithms, and prints as `_` in place of `,`. It is a GREASE
/// value, so no list of a fingerprint contains it.
pub(super) const SECTION: u16 = 0x0a0a;

/// Longest key that is stored, bytes. Browsers send up to 40 values (extensions and algorithms), OpenSSL up to 80, of
/// two bytes each; a longer list is hashed each time.
const MAX_KEY: usize = 240;

/// Keys stored at a time, a power of two. A busy network has a few hundred clients; the table takes 127 KiB.
const SLOTS: usize = 512;

/// A table of fixed size with the hashes of recent lists.
///
/// The entire key is compared, so that no client can get the hash of another list. A key's slot depends on a random
/// seed; a key that replaces another one costs that one a further computation, and no memory.
pub(super) struct Memo {
    /// [`SLOTS`] of them, or none.
    slots: Box<[Slot]>,
    seed: RandomState,
}

struct Slot {
    hash: H12,
    /// Bytes of `key` in use; 0 while the slot is free, as the empty key is never stored.
    len: u16,
    key: [u8; MAX_KEY],
}

impl Memo {
    pub(super) fn new() -> Self {
        let free = || Slot { hash: H12::ZERO, len: 0, key: [0; MAX_KEY] };
        Self { slots: core::iter::repeat_with(free).take(SLOTS).collect(), seed: RandomState::default() }
    }

    /// A memo that stores nothing.
    pub(super) fn disabled() -> Self {
        Self { slots: Box::default(), seed: RandomState::default() }
    }

    /// The stored hash of `key`, or else the result of `compute`, which must depend on the key alone.
    #[inline]
    pub(super) fn get_or(&mut self, key: &[u8], compute: impl FnOnce() -> H12) -> H12 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(key);
        // The low bits choose the slot; dropping the high ones is intended.
        let index = hasher.finish() as usize % SLOTS;
        let Some(slot) = self.slots.get_mut(index) else {
            return compute();
        };
        if slot.len != 0 && slot.key.get(..usize::from(slot.len)) == Some(key) {
            return slot.hash;
        }
        let hash = compute();
        if let Some(stored) = slot.key.get_mut(..key.len()) {
            stored.copy_from_slice(key);
            // At most MAX_KEY.
            slot.len = key.len() as u16;
            slot.hash = hash;
        }
        hash
    }
}

/// Writes lists as text: four hex digits each, joined with `,`. The buffer never shrinks; it takes 5 bytes a value, so
/// at most 2.5 times the longest handshake message.
#[derive(Default)]
pub(super) struct ListText {
    buffer: Vec<u8>,
}

impl ListText {
    /// The list's text, valid until the next one is written.
    pub(super) fn of(&mut self, list: &[u16]) -> &[u8] {
        let section = list.iter().position(|&value| value == SECTION);
        let (before, after) = list.split_at(section.unwrap_or(list.len()));
        let after = after.get(1..).unwrap_or_default();
        let used = (before.len() + after.len()) * 5;
        if self.buffer.len() < used {
            self.buffer.resize(used, 0);
        }
        for (value, digits) in before.iter().chain(after).zip(self.buffer.as_chunks_mut::<5>().0) {
            let [a, b, c, d] = hex4(*value);
            *digits = [b',', a, b, c, d];
        }
        if !after.is_empty()
            && let Some(separator) = self.buffer.get_mut(before.len() * 5)
        {
            *separator = b'_';
        }
        // Each value follows its separator; the first separator is not part of the text.
        self.buffer.get(1..used).unwrap_or_default()
    }

    /// The hash of the list's text.
    pub(super) fn hash(&mut self, list: &[u16]) -> H12 {
        H12::of(self.of(list))
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;
    use crate::fingerprint::text::ascii;

    #[test]
    fn lists_print_with_commas_and_one_section() {
        let mut text = ListText::default();
        assert_eq!(ascii(text.of(&[0x0005, 0xff01, SECTION, 0x0403, 0x0804])), "0005,ff01_0403,0804");
        assert_eq!(ascii(text.of(&[0xc02b])), "c02b");
        assert_eq!(ascii(text.of(&[])), "");
        assert_eq!(text.hash(&[]), H12::ZERO);
        assert_eq!(text.hash(&[0]).as_str(), "9af15b336e6a");
    }

    #[test]
    fn a_key_never_gets_the_hash_of_another() {
        let mut memo = Memo::new();
        let mut text = ListText::default();
        // Eight times as many keys as slots, so that many share one; then all of them again.
        for _round in 0..2 {
            for first in 0..4 * SLOTS as u16 {
                // A list and its prefix are two keys.
                for key in [&[first, 0x1301, 0x1302][..], &[first, 0x1301]] {
                    let fresh = text.hash(key);
                    assert_eq!(memo.get_or(key.as_bytes(), || fresh), fresh);
                }
            }
        }
    }

    #[test]
    fn a_repeated_key_is_hashed_once_unless_it_is_too_long() {
        let mut memo = Memo::new();
        for (length, stored) in [(1, true), (MAX_KEY, true), (MAX_KEY + 1, false), (5000, false)] {
            let key = vec![0x13; length];
            let hash = H12::of(b"first");
            assert_eq!(memo.get_or(&key, || hash), hash);
            let again = memo.get_or(&key, || H12::of(b"second"));
            assert_eq!(again == hash, stored, "{length}");
            assert_eq!(Memo::disabled().get_or(&key, || hash), hash);
        }
    }
}
