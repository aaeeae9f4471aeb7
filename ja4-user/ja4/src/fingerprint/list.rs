//! Lists of code points: their text, and the memory that spares hashing a list again.

use core::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;
use zerocopy::IntoBytes;

use crate::fingerprint::hash::{H12, hex4};

/// Stands between the extensions and the signature algorithms of a list and prints as `_` in place of
/// `,`. A GREASE value, so no list of a fingerprint can hold it.
pub(super) const SECTION: u16 = 0x0a0a;

/// Longest key that is remembered. Browsers send up to 40 values (extensions and algorithms), OpenSSL
/// up to 80; a longer list is hashed each time.
const KEY_VALUES: usize = 120;

/// Keys remembered at a time, a power of two. A busy network shows some hundred clients; the table
/// takes 127 KiB.
const SLOTS: usize = 512;

/// Remembers hashes in a table of fixed size.
///
/// The whole key is compared, so nobody can get another list's hash printed. A key's place depends on a
/// seed drawn per process; one that takes another's place costs that one a hash more, and no memory.
pub(super) struct Memo {
    slots: Box<[Slot]>,
    seed: RandomState,
}

struct Slot {
    hash: H12,
    /// Values of `key` in use; 0 while the slot is free, as the empty key is never stored.
    len: u16,
    key: [u16; KEY_VALUES],
}

impl Memo {
    pub(super) fn new() -> Self {
        let free = || Slot { hash: H12::ZERO, len: 0, key: [0; KEY_VALUES] };
        Self { slots: core::iter::repeat_with(free).take(SLOTS).collect(), seed: RandomState::default() }
    }

    /// The hash remembered for `key`, or else the one that `compute` gives; it must depend on the key
    /// alone.
    #[inline]
    pub(super) fn get_or(&mut self, key: &[u16], compute: impl FnOnce() -> H12) -> H12 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(key.as_bytes());
        // Cutting off high bits is meant: the low ones choose the slot.
        let place = hasher.finish() as usize % SLOTS;
        let Some(slot) = self.slots.get_mut(place) else {
            return compute();
        };
        if slot.len != 0 && slot.key.get(..usize::from(slot.len)) == Some(key) {
            return slot.hash;
        }
        let hash = compute();
        if let Some(place) = slot.key.get_mut(..key.len()) {
            place.copy_from_slice(key);
            // At most KEY_VALUES.
            slot.len = key.len() as u16;
            slot.hash = hash;
        }
        hash
    }
}

/// Writes lists as text: four digits each, joined with `,`. The buffer only ever grows, to 5 bytes a
/// value: at most to 2.5 times the longest handshake message.
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
        for (value, place) in before.iter().chain(after).zip(self.buffer.as_chunks_mut::<5>().0) {
            let [a, b, c, d] = hex4(*value);
            *place = [b',', a, b, c, d];
        }
        if !after.is_empty()
            && let Some(separator) = self.buffer.get_mut(before.len() * 5)
        {
            *separator = b'_';
        }
        // Every value has its separator in front; the first one's is not part of the text.
        self.buffer.get(1..used).unwrap_or_default()
    }

    /// The hash of the list's text.
    pub(super) fn hash(&mut self, list: &[u16]) -> H12 {
        H12::of(self.of(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::ascii;

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
        // Eight times as many keys as there are slots, so that many share one; then all of them again.
        for _round in 0..2 {
            for first in 0..4 * SLOTS as u16 {
                // A list and its beginning are two keys.
                for key in [&[first, 0x1301, 0x1302][..], &[first, 0x1301]] {
                    let fresh = text.hash(key);
                    assert_eq!(memo.get_or(key, || fresh), fresh);
                }
            }
        }
    }

    #[test]
    fn a_key_seen_before_is_not_hashed_again_unless_it_is_too_long() {
        let mut memo = Memo::new();
        for (length, remembered) in [(1, true), (KEY_VALUES, true), (KEY_VALUES + 1, false), (5000, false)] {
            let key = vec![0x1301; length];
            let hash = H12::of(b"first");
            assert_eq!(memo.get_or(&key, || hash), hash);
            let again = memo.get_or(&key, || H12::of(b"second"));
            assert_eq!(again == hash, remembered, "{length}");
        }
    }
}
