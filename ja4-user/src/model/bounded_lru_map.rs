//! A hash map of bounded size that evicts its least recently used entry.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;
use hashlink::LinkedHashMap;
use hashlink::linked_hash_map::RawEntryMut;

/// A map of at most `capacity` entries in order of use. Entries evicted for others are counted.
///
/// The hash seed is drawn per process, but the order of use does not depend on it: two runs over the same events evict
/// the same entries.
#[derive(Debug)]
pub(crate) struct BoundedLruMap<K, V> {
    /// The least recently used entry is at the front.
    map: LinkedHashMap<K, V, RandomState>,
    capacity: usize,
    evicted: u64,
}

impl<K: Hash + Eq, V> BoundedLruMap<K, V> {
    /// Returns an empty map of at most `capacity` entries, at least 1. Memory is allocated as entries are inserted.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { map: LinkedHashMap::with_hasher(RandomState::default()), capacity: capacity.max(1), evicted: 0 }
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether a new key evicts the least recently used entry.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    /// The number of entries evicted for others.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Returns the value of a key. Counts as a use.
    pub(crate) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.to_back(key)
    }

    /// Returns the entry that has the hash of `key` and for which `same` is true; `same` must be equality. The lookup
    /// does not need an owned key. Counts as a use.
    #[inline]
    pub(crate) fn find_mut<Q: Hash>(&mut self, key: &Q, mut same: impl FnMut(&K) -> bool) -> Option<(&K, &mut V)> {
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

    /// Returns an entry as [`Self::find_mut`] does. Does not count as a use.
    pub(crate) fn peek<Q: Hash>(&self, key: &Q, mut same: impl FnMut(&K) -> bool) -> Option<(&K, &V)> {
        let hash = self.map.hasher().hash_one(key);
        self.map.raw_entry().from_hash(hash, |held| same(held))
    }

    /// Returns a value mutably as [`Self::find_mut`] does. Does not count as a use.
    pub(crate) fn peek_mut<Q: Hash>(&mut self, key: &Q, mut same: impl FnMut(&K) -> bool) -> Option<&mut V> {
        let hash = self.map.hasher().hash_one(key);
        match self.map.raw_entry_mut().from_hash(hash, |held| same(held)) {
            RawEntryMut::Occupied(entry) => Some(entry.into_mut()),
            RawEntryMut::Vacant(_) => None,
        }
    }

    /// Inserts an entry or replaces the one of the same key, and makes it the most recently used. Returns the entry
    /// that was evicted for it.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        self.map.insert(key, value);
        if self.map.len() <= self.capacity {
            return None;
        }
        self.evict()
    }

    /// Returns the value of a key, inserting `make()` if there is none. Counts as a use.
    pub(crate) fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let hash = self.map.hasher().hash_one(&key);
        if self.is_full() && self.map.raw_entry().from_key_hashed_nocheck(hash, &key).is_none() {
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

    /// Removes an entry.
    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.remove(key)
    }

    /// The least recently used entry.
    pub(crate) fn oldest(&self) -> Option<(&K, &V)> {
        self.map.front()
    }

    /// Removes the least recently used entry without counting it as evicted.
    pub(crate) fn pop(&mut self) -> Option<(K, V)> {
        self.map.pop_front()
    }

    /// Evicts the least recently used entry.
    pub(crate) fn evict(&mut self) -> Option<(K, V)> {
        let evicted = self.map.pop_front();
        self.evicted += u64::from(evicted.is_some());
        evicted
    }

    /// Removes all entries without counting them as evicted. Allocated memory is kept.
    pub(crate) fn clear(&mut self) {
        self.map.clear();
    }

    /// Makes the least recently used entry the most recently used.
    pub(crate) fn oldest_to_back(&mut self) {
        if let Some((key, value)) = self.map.pop_front() {
            self.map.insert(key, value);
        }
    }

    /// All entries, the least recently used first. Does not count as a use.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.map.iter_mut()
    }

    /// All entries, the least recently used first. Does not count as a use.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.map.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entry_is_evicted_and_counted() {
        let mut map = BoundedLruMap::new(2);
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
