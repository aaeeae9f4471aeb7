//! The extension types of a hello without their order.

use crate::wire::tls::hello::is_grease;

/// Types below this are stored as bits: all common registered types except a handful.
const SMALL: u16 = u64::BITS as u16;

/// Most other types that are stored. Browsers send up to four.
const OTHERS: usize = 8;

/// The extension types of a hello and how often each occurs, independent of their order, and without GREASE.
///
/// It is collected in registers while the extensions are parsed: each extension has to wait for the length of the one
/// before, and the processor does this meanwhile. Nothing here is a branch, as types come in any order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExtensionSet {
    /// Bit n for type n.
    small: u64,
    /// The last [`OTHERS`] of all other types and all repetitions of small ones, 16 bits each; ones where there is none.
    others: u128,
    /// Number of `others`, including those that are not stored.
    others_len: u32,
    count: u32,
}

impl Default for ExtensionSet {
    fn default() -> Self {
        Self { small: 0, others: u128::MAX, others_len: 0, count: 0 }
    }
}

impl ExtensionSet {
    /// Adds a type. Returns whether it is a small one that was not in the set.
    #[inline]
    pub(super) fn insert(&mut self, kind: u16) -> bool {
        let bit = u64::from(kind < SMALL) << (kind % SMALL);
        let is_new = bit & !self.small != 0;
        self.small |= bit;
        let is_counted = !is_grease(kind);
        let is_other = is_counted & !is_new;
        let with = self.others << 16 | u128::from(kind);
        self.others = if is_other { with } else { self.others };
        self.others_len += u32::from(is_other);
        self.count += u32::from(is_counted);
        is_new
    }

    /// The number of types, repetitions included.
    pub(crate) const fn count(&self) -> usize {
        self.count as usize
    }

    /// The small types, bit n for type n.
    pub(crate) const fn small(&self) -> u64 {
        self.small
    }

    /// Replaces `out` with the other types and the repetitions of small ones, in ascending order. `kinds` are the types
    /// from which the set was collected.
    #[inline]
    pub(crate) fn others(&self, kinds: impl Iterator<Item = u16>, out: &mut Vec<u16>) {
        out.clear();
        let [a, b, c, d, rest @ ..]: [u16; OTHERS] = zerocopy::transmute!(self.others.to_le());
        match self.others_len as usize {
            len @ ..=4 => out.extend(sorted([a, b, c, d]).into_iter().take(len)),
            len @ ..=OTHERS => {
                out.extend([a, b, c, d].into_iter().chain(rest).take(len));
                out.sort_unstable();
            }
            _ => {
                let mut set = Self::default();
                out.extend(kinds.filter(|&kind| !set.insert(kind) && !is_grease(kind)));
                out.sort_unstable();
            }
        }
    }
}

/// Four values in ascending order, without a branch.
#[inline]
fn sorted([a, b, c, d]: [u16; 4]) -> [u16; 4] {
    let (a, b) = (a.min(b), a.max(b));
    let (c, d) = (c.min(d), c.max(d));
    let (a, c) = (a.min(c), a.max(c));
    let (b, d) = (b.min(d), b.max(d));
    [a, b.min(c), b.max(c), d]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn collect(kinds: &[u16]) -> (u64, Vec<u16>) {
        let mut set = ExtensionSet::default();
        kinds.iter().for_each(|&kind| {
            set.insert(kind);
        });
        let mut others = Vec::new();
        set.others(kinds.iter().copied(), &mut others);
        assert_eq!(set.count(), kinds.iter().filter(|&&kind| !is_grease(kind)).count());
        (set.small(), others)
    }

    /// The same from a sorted list.
    fn expected(kinds: &[u16]) -> (u64, Vec<u16>) {
        let mut sorted: Vec<u16> = kinds.iter().copied().filter(|&kind| !is_grease(kind)).collect();
        sorted.sort();
        let mut small = 0;
        sorted.retain(|&kind| {
            let is_new = kind < SMALL && small & 1 << kind == 0;
            small |= u64::from(is_new) << (kind % SMALL);
            !is_new
        });
        (small, sorted)
    }

    proptest! {
        #[test]
        fn types_are_split_into_small_ones_and_sorted_others(
            kinds in prop::collection::vec(
                prop_oneof![0_u16..70, any::<u16>(), Just(0x0010), Just(0x1a1a), Just(u16::MAX)],
                0..40,
            ),
        ) {
            for end in 0..=kinds.len() {
                let kinds = kinds.get(..end).unwrap();
                prop_assert_eq!(collect(kinds), expected(kinds));
            }
        }
    }
}
