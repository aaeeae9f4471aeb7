//! The extension types of a hello without their order.

use crate::wire::tls::is_grease;

/// Types below this are stored as bits: all common registered types except a handful.
const SMALL: u16 = u64::BITS as u16;

/// The extension types of a hello and how often each occurs, independent of their order, at a fraction of the cost of
/// sorting them. GREASE is left out.
#[derive(Default)]
pub(super) struct ExtensionSet {
    /// Bit n for type n.
    small: u64,
    /// All other types and all repetitions of small ones, in ascending order.
    others: Vec<u16>,
    count: usize,
}

impl ExtensionSet {
    /// Replaces the set with the types of another hello.
    #[inline]
    pub(super) fn fill(&mut self, kinds: impl Iterator<Item = u16>) {
        self.small = 0;
        self.others.clear();
        let mut grease = 0;
        self.count = 0;
        kinds.for_each(|kind| {
            let bit = u64::from(kind < SMALL) << (kind % SMALL);
            if bit == 0 || self.small & bit != 0 {
                if is_grease(kind) {
                    grease += 1;
                } else {
                    self.others.push(kind);
                }
            }
            self.small |= bit;
            self.count += 1;
        });
        self.count -= grease;
        self.others.sort_unstable();
    }

    /// The number of types, repetitions included.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Removes all occurrences of a small type.
    pub(super) fn remove(&mut self, kind: u16) {
        self.small &= !(u64::from(kind < SMALL) << (kind % SMALL));
        if self.others.first().is_some_and(|&first| first <= kind) {
            self.others.retain(|&other| other != kind);
        }
    }

    /// Appends the set as a key: two sets have the same key only if they are equal.
    #[inline]
    pub(super) fn append_key(&self, key: &mut Vec<u16>) {
        // The bits in four parts.
        key.extend([0, 16, 32, 48].map(|shift| (self.small >> shift) as u16));
        key.extend_from_slice(&self.others);
    }

    /// Appends the types in ascending order.
    pub(super) fn append_sorted(&self, list: &mut Vec<u16>) {
        let start = list.len();
        let mut small = self.small;
        while small != 0 {
            // Below 64.
            list.push(small.trailing_zeros() as u16);
            small &= small - 1;
        }
        list.extend_from_slice(&self.others);
        if self.others.first().is_some_and(|&first| first < SMALL)
            && let Some(added) = list.get_mut(start..)
        {
            added.sort_unstable();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key_and_list(kinds: &[u16]) -> (Vec<u16>, Vec<u16>) {
        let mut set = ExtensionSet::default();
        set.fill(kinds.iter().copied());
        set.remove(0x0010);
        let (mut key, mut list) = (Vec::new(), Vec::new());
        set.append_key(&mut key);
        set.append_sorted(&mut list);
        (key, list)
    }

    fn kinds() -> impl Strategy<Value = Vec<u16>> {
        prop::collection::vec(prop_oneof![0_u16..70, any::<u16>(), Just(0x0010), Just(0x1a1a)], 0..40)
    }

    proptest! {
        #[test]
        fn types_are_listed_in_ascending_order(kinds in kinds()) {
            let mut set = ExtensionSet::default();
            set.fill(kinds.iter().copied());
            let mut expected = kinds.clone();
            expected.retain(|&kind| !is_grease(kind));
            expected.sort();
            prop_assert_eq!(set.count(), expected.len());
            expected.retain(|&kind| kind != 0x0010);
            prop_assert_eq!(key_and_list(&kinds).1, expected);
        }

        #[test]
        fn keys_are_equal_exactly_when_the_lists_are(
            one in kinds(),
            other in kinds(),
            shuffled in kinds().prop_flat_map(|kinds| (Just(kinds.clone()), Just(kinds).prop_shuffle())),
            repeated in kinds(),
        ) {
            let doubled = [repeated.clone(), repeated.clone()].concat();
            for (one, other) in [(one, other), shuffled, (repeated, doubled)] {
                let ((one_key, one_list), (other_key, other_list)) = (key_and_list(&one), key_and_list(&other));
                prop_assert_eq!(one_key == other_key, one_list == other_list);
            }
        }
    }
}
