//! A map of bounded size that lets go of what was used longest ago.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;
use hashlink::LinkedHashMap;
use hashlink::linked_hash_map::RawEntryMut;

/// At most `max` entries, in order of use. What has to go for a new entry is counted.
///
/// Places depend on a seed drawn per process, the order of use does not: two runs over the same events
/// let go of the same entries.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    /// The front was used longest ago.
    map: LinkedHashMap<K, V, RandomState>,
    max: usize,
    evicted: u64,
}

impl<K: Hash + Eq, V> Bounded<K, V> {
    /// An empty map for at most `max` entries, at least 1. Memory is taken as entries come.
    pub(super) fn new(max: usize) -> Self {
        Self { map: LinkedHashMap::with_hasher(RandomState::default()), max: max.max(1), evicted: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Entries that had to go for others.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The value of a key. Counts as use.
    pub(super) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.to_back(key)
    }

    /// The key and the value that `same` finds among the keys that hash as `key` does, which must be all that are
    /// equal to it. Counts as use.
    #[inline]
    pub(super) fn find_mut<Q: Hash>(&mut self, key: &Q, mut same: impl FnMut(&K) -> bool) -> Option<(&K, &mut V)> {
        let hash = self.map.hasher().hash_one(key);
        match self.map.raw_entry_mut().from_hash(hash, |held| same(held)) {
            RawEntryMut::Occupied(mut entry) => {
                entry.to_back();
                let (key, value) = entry.into_key_value();
                Some((&*key, value))
            }
            RawEntryMut::Vacant(_) => None,
        }
    }

    /// The key and the value that `same` finds, as in [`Self::find_mut`]. Does not count as use.
    pub(super) fn peek<Q: Hash>(&self, key: &Q, mut same: impl FnMut(&K) -> bool) -> Option<(&K, &V)> {
        let hash = self.map.hasher().hash_one(key);
        self.map.raw_entry().from_hash(hash, |held| same(held))
    }

    /// The same, to be changed. Does not count as use.
    pub(super) fn peek_mut<Q: Hash>(&mut self, key: &Q, mut same: impl FnMut(&K) -> bool) -> Option<&mut V> {
        let hash = self.map.hasher().hash_one(key);
        match self.map.raw_entry_mut().from_hash(hash, |held| same(held)) {
            RawEntryMut::Occupied(entry) => Some(entry.into_mut()),
            RawEntryMut::Vacant(_) => None,
        }
    }

    /// Adds an entry, or replaces the one of the same key; it becomes the one used last. Gives what had to
    /// go for it.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        self.map.insert(key, value);
        if self.map.len() <= self.max {
            return None;
        }
        self.evict()
    }

    /// The value of a key, made where there is none. Counts as use.
    pub(super) fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let hash = self.map.hasher().hash_one(&key);
        let known = self.map.raw_entry().from_key_hashed_nocheck(hash, &key).is_some();
        if !known && self.map.len() >= self.max {
            self.evict();
        }
        match self.map.raw_entry_mut().from_key_hashed_nocheck(hash, &key) {
            RawEntryMut::Occupied(mut entry) => {
                entry.to_back();
                entry.into_mut()
            }
            RawEntryMut::Vacant(entry) => entry.insert_hashed_nocheck(hash, key, make()).1,
        }
    }

    pub(super) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.remove(key)
    }

    /// The entry used longest ago.
    pub(super) fn oldest(&self) -> Option<(&K, &V)> {
        self.map.front()
    }

    /// Takes the entry used longest ago out, without counting it.
    pub(super) fn pop(&mut self) -> Option<(K, V)> {
        self.map.pop_front()
    }

    /// Takes the entry used longest ago out for another's sake.
    pub(super) fn evict(&mut self) -> Option<(K, V)> {
        self.evicted += 1;
        self.map.pop_front()
    }

    /// The entry used longest ago becomes the one used last.
    pub(super) fn oldest_to_back(&mut self) {
        if let Some((key, value)) = self.map.pop_front() {
            self.map.insert(key, value);
        }
    }

    /// All entries in the same order, to be changed. Does not count as use.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.map.iter_mut()
    }

    /// All entries, the one used longest ago first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.map.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_and_is_counted() {
        let mut map = Bounded::new(2);
        assert_eq!(map.insert("a", 1), None);
        *map.entry("b", || 2) += 10;
        assert_eq!(map.get_mut("a"), Some(&mut 1));
        assert_eq!(map.insert("c", 3), Some(("b", 12)));
        assert_eq!(map.find_mut(&"a", |key| *key == "a"), Some((&"a", &mut 1)));
        assert_eq!(*map.entry("d", || 4), 4);
        assert_eq!(map.iter().map(|(key, _)| *key).collect::<Vec<_>>(), ["a", "d"]);
        assert_eq!((map.evicted(), map.len()), (2, 2));
        assert_eq!(map.insert("a", 9), None);
        assert_eq!(map.oldest(), Some((&"d", &4)));
    }
}
