//! Lists of code points: their text, and its hash answered from memory where possible.

use core::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;
use zerocopy::IntoBytes;

use crate::fingerprint::hash::{H12, hex4};

/// Stands between the extensions and the signature algorithms of a list and prints as `_` in place of
/// `,`. A GREASE value, so no list of a fingerprint can hold it.
pub(super) const SECTION: u16 = 0x0a0a;

/// Longest list that is remembered. Browsers send up to 40 values (extensions and algorithms), OpenSSL
/// up to 80; a longer one is hashed each time.
const MEMO_VALUES: usize = 120;

/// Lists remembered at a time, a power of two. A busy network shows some hundred clients at a time;
/// the table takes 264 KiB.
const MEMO_SLOTS: usize = 1024;

/// Hashes lists. The hash of a list seen before is taken from a table of fixed size, after comparing
/// the whole list: nobody can get another list's hash printed. The table's places depend on a seed
/// drawn per process, and a list that takes another's place costs one hash more, no memory.
pub(super) struct ListHasher {
    memo: Box<[Slot]>,
    seed: RandomState,
    text: Vec<u8>,
}

struct Slot {
    hash: H12,
    /// Values of `list` in use; 0 while the slot is free, as the empty list is never stored.
    len: u16,
    list: [u16; MEMO_VALUES],
}

impl ListHasher {
    pub(super) fn new() -> Self {
        let free = || Slot { hash: H12::ZERO, len: 0, list: [0; MEMO_VALUES] };
        Self {
            memo: core::iter::repeat_with(free).take(MEMO_SLOTS).collect(),
            seed: RandomState::default(),
            text: Vec::new(),
        }
    }

    /// The hash of the list's text.
    #[inline]
    pub(super) fn hash(&mut self, list: &[u16]) -> H12 {
        if list.is_empty() {
            return H12::ZERO;
        }
        let mut hasher = self.seed.build_hasher();
        hasher.write(list.as_bytes());
        // Cutting off high bits is meant: the low ones choose the slot.
        let place = hasher.finish() as usize % MEMO_SLOTS;
        let Some(slot) = self.memo.get_mut(place) else { return H12::of(text(list, &mut self.text)) };
        if slot.list.get(..usize::from(slot.len)) == Some(list) {
            return slot.hash;
        }
        let hash = H12::of(text(list, &mut self.text));
        if let Some(place) = slot.list.get_mut(..list.len()) {
            place.copy_from_slice(list);
            // At most MEMO_VALUES.
            slot.len = list.len() as u16;
            slot.hash = hash;
        }
        hash
    }

    /// The list's text: four digits each, joined with `,`.
    pub(super) fn text(&mut self, list: &[u16]) -> &[u8] {
        text(list, &mut self.text)
    }
}

/// Writes the list's text into `scratch`, which only ever grows: to 5 bytes a value, thus at most to
/// 2.5 times the longest handshake message.
fn text<'s>(list: &[u16], scratch: &'s mut Vec<u8>) -> &'s [u8] {
    let section = list.iter().position(|&value| value == SECTION);
    let (before, after) = list.split_at(section.unwrap_or(list.len()));
    let after = after.get(1..).unwrap_or_default();
    let used = (before.len() + after.len()) * 5;
    if scratch.len() < used {
        scratch.resize(used, 0);
    }
    for (value, place) in before.iter().chain(after).zip(scratch.as_chunks_mut::<5>().0) {
        let [a, b, c, d] = hex4(*value);
        *place = [b',', a, b, c, d];
    }
    if !after.is_empty()
        && let Some(separator) = scratch.get_mut(before.len() * 5)
    {
        *separator = b'_';
    }
    // Every value has its separator in front; the first one's is not part of the text.
    scratch.get(1..used).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::ascii;

    #[test]
    fn lists_print_with_commas_and_one_section() {
        let mut scratch = Vec::new();
        assert_eq!(ascii(text(&[0x0005, 0xff01, SECTION, 0x0403, 0x0804], &mut scratch)), "0005,ff01_0403,0804");
        assert_eq!(ascii(text(&[0xc02b], &mut scratch)), "c02b");
        assert_eq!(ascii(text(&[], &mut scratch)), "");
    }

    #[test]
    fn a_remembered_list_gives_the_hash_of_its_own_text() {
        let mut hasher = ListHasher::new();
        // Four times as many lists as there are slots, so that many share one; then all of them again.
        let count = 4 * MEMO_SLOTS as u16;
        for round in 0..2 {
            for first in (0..count).filter(|&first| first != SECTION) {
                let list = [first, 0x1301, SECTION, 0x0403];
                let fresh = H12::of(format!("{first:04x},1301_0403").as_bytes());
                assert_eq!(hasher.hash(&list), fresh, "round {round}");
                // A list and its beginning are two lists.
                let fresh = H12::of(format!("{first:04x},1301").as_bytes());
                assert_eq!(hasher.hash(&[first, 0x1301]), fresh, "round {round}");
            }
        }
        assert_eq!(hasher.hash(&[]), H12::ZERO);
    }

    #[test]
    fn a_list_too_long_to_remember_is_hashed_whole() {
        let mut hasher = ListHasher::new();
        for length in [MEMO_VALUES, MEMO_VALUES + 1, 5000] {
            let list: Vec<u16> = (0..length as u16).map(|n| n | 0x1000).collect();
            let text = list.iter().map(|value| format!("{value:04x}")).collect::<Vec<_>>().join(",");
            assert_eq!(hasher.hash(&list), H12::of(text.as_bytes()));
            assert_eq!(hasher.hash(&list), H12::of(text.as_bytes()));
        }
    }
}
