//! A bounded map of flows in order of use.

use std::{iter, mem};

use hashbrown::HashTable;
use ja4_common::flow::FlowKey;

/// End of a chain of slots. No slot has this number, see [`MAX_ENTRIES`].
const NIL: u32 = u32::MAX;

/// Largest capacity: slots are numbered in 32 bits, and [`NIL`] is reserved.
const MAX_ENTRIES: usize = NIL as usize;

/// Slots of the first allocation; later ones double it.
const FIRST_SLOTS: usize = 64;

/// A value that contains its key, which does not change while the value is in a table.
pub(crate) trait Keyed {
    /// The key of the flow.
    fn key(&self) -> FlowKey;
}

impl<T> Keyed for (FlowKey, T) {
    fn key(&self) -> FlowKey {
        self.0
    }
}

/// At most `max` flows by key, in order from the least to the most recently used.
///
/// The caller passes the flow's keyed hash ([`FlowKey::hash`]), which it has already computed to find the shard; the key
/// is not hashed again. The hash of a key must be the same in every call.
///
/// The table has three parts: an index from hash to slot number, a slab of entries, and one `Link` per slot. The links
/// are separate from the entries because moving an entry to the front writes to its neighbours' links: packed together,
/// these are 16 bytes each, and no other entry's cache line is loaded. An entry costs its value, at most 24 bytes, and
/// its share of the index.
#[derive(Debug)]
pub(crate) struct FlowTable<V> {
    /// Numbers of the slots in use, by the hash in their link.
    index: HashTable<u32>,
    /// As long as `entries`.
    links: Vec<Link>,
    /// `None`: a slot of the free chain.
    entries: Vec<Option<V>>,
    newest: u32,
    oldest: u32,
    /// Head of the chain of free slots, through [`Link::older`].
    free: u32,
    max: usize,
}

/// The slot of an entry in a [`FlowTable`], for access without another look-up.
///
/// It is valid until that entry is removed, evicted or popped; after that it refers to no entry, or to the next one in
/// the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotId(u32);

/// The result of [`FlowTable::insert`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inserted<V> {
    /// The new entry's slot.
    pub id: SlotId,
    /// The removed entry: the former one of the same key, or in a full table the least recently used.
    pub displaced: Option<V>,
}

/// The hash that the index uses. The upper bits of a flow's hash select the shard, so they are the same in all flows of a
/// table; hashbrown distinguishes entries by the uppermost bits.
fn spread(hash: u64) -> u64 {
    hash.rotate_right(16)
}

/// Hash of a slot's key, and its neighbours in the order of use.
#[derive(Clone, Copy, Debug)]
struct Link {
    hash: u64,
    newer: u32,
    older: u32,
}

impl<V: Keyed> FlowTable<V> {
    /// An empty table of at most `max` entries, at least 1. Memory is allocated as entries are added, doubling up to
    /// `max`, and is not returned.
    pub(crate) fn with_capacity(max: usize) -> Self {
        Self {
            index: HashTable::new(),
            links: Vec::new(),
            entries: Vec::new(),
            newest: NIL,
            oldest: NIL,
            free: NIL,
            max: max.clamp(1, MAX_ENTRIES),
        }
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether the next new key will evict the least recently used entry.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.max
    }

    /// The slot of a key's entry. Does not count as use.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &FlowKey) -> Option<SlotId> {
        let same =
            |&slot: &u32| self.hash_of(slot) == hash && self.entry(slot).is_some_and(|stored| stored.key() == *key);
        self.index.find(spread(hash), same).map(|&slot| SlotId(slot))
    }

    /// The value of a key. Does not count as use.
    #[inline]
    pub(crate) fn get(&self, hash: u64, key: &FlowKey) -> Option<&V> {
        self.at(self.find(hash, key)?)
    }

    /// The value of a key. Does not count as use.
    #[inline]
    pub(crate) fn get_mut(&mut self, hash: u64, key: &FlowKey) -> Option<&mut V> {
        self.at_mut(self.find(hash, key)?)
    }

    /// The value of a key, which becomes the most recently used.
    #[inline]
    pub(crate) fn touch(&mut self, hash: u64, key: &FlowKey) -> Option<&mut V> {
        self.touch_at(self.find(hash, key)?)
    }

    /// Slots that have ever held an entry, in use or free.
    pub(crate) fn slots(&self) -> usize {
        self.entries.len()
    }

    /// The entry in a slot; the order of slots has no meaning. Does not count as use.
    pub(crate) fn slot_mut(&mut self, slot: usize) -> Option<&mut V> {
        self.entries.get_mut(slot)?.as_mut()
    }

    /// The value in a slot. Does not count as use.
    #[inline]
    fn at(&self, id: SlotId) -> Option<&V> {
        self.entry(id.0)
    }

    /// The value in a slot. Does not count as use.
    #[inline]
    pub(crate) fn at_mut(&mut self, id: SlotId) -> Option<&mut V> {
        self.entries.get_mut(id.0 as usize)?.as_mut()
    }

    /// The value in a slot, which becomes the most recently used.
    #[inline]
    pub(crate) fn touch_at(&mut self, id: SlotId) -> Option<&mut V> {
        let SlotId(slot) = id;
        if self.newest != slot && self.entry(slot).is_some() {
            self.unlink(slot);
            self.link_newest(slot);
        }
        self.at_mut(id)
    }

    /// Adds an entry as the most recently used. Returns the entry that was removed for it, if any.
    pub(crate) fn insert(&mut self, hash: u64, value: V) -> Inserted<V> {
        if let Some(id) = self.find(hash, &value.key())
            && let Some(stored) = self.touch_at(id)
        {
            let former = mem::replace(stored, value);
            return Inserted { id, displaced: Some(former) };
        }
        let displaced = if self.is_full() { self.pop_oldest() } else { None };
        let slot = self.occupy(hash, value);
        Inserted { id: SlotId(slot), displaced }
    }

    /// Removes a key's entry.
    pub(crate) fn remove(&mut self, hash: u64, key: &FlowKey) -> Option<V> {
        let id = self.find(hash, key)?;
        self.remove_at(id)
    }

    /// Removes the entry in a slot.
    fn remove_at(&mut self, id: SlotId) -> Option<V> {
        let SlotId(slot) = id;
        let value = self.entries.get_mut(slot as usize)?.take()?;
        let hash = self.hash_of(slot);
        if let Ok(indexed) = self.index.find_entry(spread(hash), |&other| other == slot) {
            indexed.remove();
        }
        self.unlink(slot);
        if let Some(link) = self.links.get_mut(slot as usize) {
            link.older = self.free;
            self.free = slot;
        }
        Some(value)
    }

    /// The least recently used entry.
    pub(crate) fn oldest(&self) -> Option<&V> {
        self.entry(self.oldest)
    }

    /// All entries, the least recently used first.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = &V> {
        let mut slot = self.oldest;
        iter::from_fn(move || {
            let entry = self.entry(slot)?;
            slot = self.links.get(slot as usize).map_or(NIL, |link| link.newer);
            Some(entry)
        })
    }

    /// Calls `act` with all entries, the most recently used first, until it returns false. Does not count as use.
    pub(crate) fn each_newest_mut(&mut self, mut act: impl FnMut(&mut V) -> bool) {
        let mut slot = self.newest;
        while self.at_mut(SlotId(slot)).is_some_and(&mut act) {
            slot = self.links.get(slot as usize).map_or(NIL, |link| link.older);
        }
    }

    /// Removes all entries, and frees the memory of the table.
    pub(crate) fn free(&mut self) {
        *self = Self::with_capacity(self.max);
    }

    /// Keeps only the entries for which `keep` returns true, given hash and value.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u64, &V) -> bool) {
        for slot in 0..self.entries.len() as u32 {
            if self.entry(slot).is_some_and(|value| !keep(self.hash_of(slot), value)) {
                self.remove_at(SlotId(slot));
            }
        }
    }

    /// Removes the least recently used entry.
    fn pop_oldest(&mut self) -> Option<V> {
        self.remove_at(SlotId(self.oldest))
    }

    #[inline]
    fn entry(&self, slot: u32) -> Option<&V> {
        self.entries.get(slot as usize)?.as_ref()
    }

    fn hash_of(&self, slot: u32) -> u64 {
        self.links.get(slot as usize).map_or(0, |link| link.hash)
    }

    /// Stores an entry with a new key in a free slot, or a new one.
    fn occupy(&mut self, hash: u64, value: V) -> u32 {
        let link = Link { hash, newer: NIL, older: NIL };
        let free = self.free as usize;
        let slot = if let (Some(former), Some(entry)) = (self.links.get_mut(free), self.entries.get_mut(free)) {
            let slot = mem::replace(&mut self.free, former.older);
            *former = link;
            *entry = Some(value);
            slot
        } else {
            self.grow();
            let slot = self.entries.len() as u32; // below MAX_ENTRIES: the table is not full
            self.links.push(link);
            self.entries.push(Some(value));
            slot
        };
        let links = &self.links;
        let hash_of = |&slot: &u32| links.get(slot as usize).map_or(0, |link| spread(link.hash));
        self.index.insert_unique(spread(hash), slot, hash_of);
        self.link_newest(slot);
        slot
    }

    /// Allocates memory for another slot: doubles the number of slots, up to `max`.
    fn grow(&mut self) {
        let len = self.entries.len();
        if len == self.entries.capacity() {
            let more = len.max(FIRST_SLOTS).min(self.max.saturating_sub(len));
            self.links.reserve_exact(more);
            self.entries.reserve_exact(more);
        }
    }

    /// Removes a slot from the order of use; its own link is left stale.
    #[inline]
    fn unlink(&mut self, slot: u32) {
        let Some(&Link { newer, older, .. }) = self.links.get(slot as usize) else {
            return;
        };
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
        match self.links.get_mut(newer as usize) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
    }

    /// Adds a slot to the order of use as the most recently used.
    #[inline]
    fn link_newest(&mut self, slot: u32) {
        let older = mem::replace(&mut self.newest, slot);
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = slot,
            None => self.oldest = slot,
        }
        if let Some(link) = self.links.get_mut(slot as usize) {
            link.newer = NIL;
            link.older = older;
        }
    }
}

#[cfg(test)]
mod tests;
