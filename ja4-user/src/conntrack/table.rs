//! The bounded map of flows, in order of use.

use std::{iter, mem};

use hashbrown::HashTable;
use ja4_common::flow::FlowKey;

/// End of a chain of slots. No slot has this number, see [`MAX_ENTRIES`].
const NIL: u32 = u32::MAX;

/// Most entries a table can hold: slots are numbered in 32 bits, and [`NIL`] is not one of them.
const MAX_ENTRIES: usize = NIL as usize;

/// Slots of the first allocation; from there the slab doubles.
const FIRST_SLOTS: usize = 64;

/// What tells its flow, which stays the same as long as it is in a table: the key is not kept twice.
pub trait Keyed {
    /// The key of the flow.
    fn key(&self) -> FlowKey;
}

impl<T> Keyed for (FlowKey, T) {
    fn key(&self) -> FlowKey {
        self.0
    }
}

/// Flows by key, at most `max` of them, in order from the least to the most recently used.
///
/// The caller brings the flow's keyed hash ([`FlowKey::hash`]), which it has computed already to
/// find the shard; the key is never hashed again. The hash must be the same at every call for a key.
///
/// Three parts: an index from hash to slot number, a slab of entries, and one `Link` per slot. The
/// links lie apart from the entries because moving an entry to the front writes to its neighbours:
/// packed together those are 16 bytes apart from other hot ones, not a cache line in an entry that
/// nobody asked for. An entry costs its value, at most 24 bytes, and its share of the index.
#[derive(Debug)]
pub struct FlowTable<V> {
    /// Numbers of the slots in use, by the hash in their link.
    index: HashTable<u32>,
    /// As long as `entries`.
    links: Vec<Link>,
    /// `None` is a slot of the free chain.
    entries: Vec<Option<V>>,
    newest: u32,
    oldest: u32,
    /// Head of the chain of free slots, through [`Link::older`].
    free: u32,
    max: usize,
}

/// The place of an entry in a [`FlowTable`], to come back to it without another look-up.
///
/// It is good until that entry is removed, evicted or popped; after that it names no entry, or the
/// one that took the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotId(u32);

/// What [`FlowTable::insert`] did.
#[derive(Debug, PartialEq, Eq)]
pub struct Inserted<V> {
    /// The new entry's place.
    pub id: SlotId,
    /// The entry that had to go: the former one of the same key or, in a full table, the least
    /// recently used.
    pub displaced: Option<V>,
}

/// Where the index looks for a hash. All flows of a table belong to one shard, which the upper bits
/// of the hash have chosen: they are alike in all of them, and hashbrown tells entries apart by its
/// topmost bits.
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
    /// An empty table that will hold at most `max` entries, at least 1. Memory is taken as entries
    /// come, doubling up to `max`, and kept.
    pub fn with_capacity(max: usize) -> Self {
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
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Most entries it will hold.
    pub fn capacity(&self) -> usize {
        self.max
    }

    /// Whether the next new key will evict the least recently used entry.
    pub fn is_full(&self) -> bool {
        self.len() >= self.max
    }

    /// The place of a key's entry. Does not count as use.
    #[inline]
    pub fn find(&self, hash: u64, key: &FlowKey) -> Option<SlotId> {
        let same = |&slot: &u32| self.hash_of(slot) == hash && self.entry(slot).is_some_and(|held| held.key() == *key);
        self.index.find(spread(hash), same).map(|&slot| SlotId(slot))
    }

    /// The value of a key. Does not count as use.
    #[inline]
    pub fn get(&self, hash: u64, key: &FlowKey) -> Option<&V> {
        self.at(self.find(hash, key)?)
    }

    /// The value of a key. Does not count as use.
    #[inline]
    pub fn get_mut(&mut self, hash: u64, key: &FlowKey) -> Option<&mut V> {
        self.at_mut(self.find(hash, key)?)
    }

    /// The value of a key, which becomes the most recently used.
    #[inline]
    pub fn touch(&mut self, hash: u64, key: &FlowKey) -> Option<&mut V> {
        self.touch_at(self.find(hash, key)?)
    }

    /// Slots that have ever held an entry, in use or free.
    pub fn slots(&self) -> usize {
        self.entries.len()
    }

    /// The entry in a slot, in no order that means anything. Does not count as use.
    pub fn slot_mut(&mut self, slot: usize) -> Option<&mut V> {
        self.entries.get_mut(slot)?.as_mut()
    }

    /// The value at a place. Does not count as use.
    #[inline]
    fn at(&self, id: SlotId) -> Option<&V> {
        self.entry(id.0)
    }

    /// The value at a place. Does not count as use.
    #[inline]
    pub fn at_mut(&mut self, id: SlotId) -> Option<&mut V> {
        self.entries.get_mut(id.0 as usize)?.as_mut()
    }

    /// The value at a place, which becomes the most recently used.
    #[inline]
    pub fn touch_at(&mut self, id: SlotId) -> Option<&mut V> {
        let SlotId(slot) = id;
        if self.newest != slot && self.entry(slot).is_some() {
            self.unlink(slot);
            self.link_newest(slot);
        }
        self.at_mut(id)
    }

    /// Adds an entry as the most recently used. The entry that has to go, if any, is taken out first
    /// and handed back.
    pub fn insert(&mut self, hash: u64, value: V) -> Inserted<V> {
        if let Some(id) = self.find(hash, &value.key())
            && let Some(held) = self.touch_at(id)
        {
            let former = mem::replace(held, value);
            return Inserted { id, displaced: Some(former) };
        }
        let displaced = if self.is_full() { self.pop_oldest() } else { None };
        let slot = self.occupy(hash, value);
        Inserted { id: SlotId(slot), displaced }
    }

    /// Takes a key's entry out.
    pub fn remove(&mut self, hash: u64, key: &FlowKey) -> Option<V> {
        let id = self.find(hash, key)?;
        self.remove_at(id)
    }

    /// Takes the entry at a place out.
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
    pub fn oldest(&self) -> Option<&V> {
        self.entry(self.oldest)
    }

    /// All entries, the least recently used first.
    pub fn oldest_first(&self) -> impl Iterator<Item = &V> {
        let mut slot = self.oldest;
        iter::from_fn(move || {
            let entry = self.entry(slot)?;
            slot = self.links.get(slot as usize).map_or(NIL, |link| link.newer);
            Some(entry)
        })
    }

    /// Keeps only the entries for which `keep` returns true, given hash and value.
    pub fn retain(&mut self, mut keep: impl FnMut(u64, &V) -> bool) {
        for slot in 0..self.entries.len() as u32 {
            if self.entry(slot).is_some_and(|value| !keep(self.hash_of(slot), value)) {
                self.remove_at(SlotId(slot));
            }
        }
    }

    /// Takes the least recently used entry out.
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

    /// Puts an entry whose key is not in the table into a free slot, or a new one.
    fn occupy(&mut self, hash: u64, value: V) -> u32 {
        let link = Link { hash, newer: NIL, older: NIL };
        let free = self.free as usize;
        let slot = if let (Some(former), Some(place)) = (self.links.get_mut(free), self.entries.get_mut(free)) {
            let slot = mem::replace(&mut self.free, former.older);
            *former = link;
            *place = Some(value);
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

    /// Makes room for one more slot: twice as many as before, but never more than `max`.
    fn grow(&mut self) {
        let len = self.entries.len();
        if len == self.entries.capacity() {
            let more = len.max(FIRST_SLOTS).min(self.max.saturating_sub(len));
            self.links.reserve_exact(more);
            self.entries.reserve_exact(more);
        }
    }

    /// Takes a slot out of the order of use; its own link is left stale.
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

    /// Puts a slot that is not in the order of use at its recent end.
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
mod tests {
    use std::rc::Rc;

    use proptest::prelude::*;

    use super::*;

    fn key(number: u16) -> FlowKey {
        FlowKey { port: [number, 443], proto: 6, version: 4, ..FlowKey::default() }
    }

    fn hash(number: u16) -> u64 {
        key(number).hash([1, 2])
    }

    fn add<V>(table: &mut FlowTable<(FlowKey, V)>, number: u16, value: V) -> Option<(FlowKey, V)> {
        table.insert(hash(number), (key(number), value)).displaced
    }

    fn order<V>(table: &FlowTable<(FlowKey, V)>) -> Vec<u16> {
        table.oldest_first().map(|(key, _)| key.port[0]).collect()
    }

    #[test]
    fn a_full_table_evicts_the_least_recently_used() {
        let mut table = FlowTable::with_capacity(3);
        for number in [1, 2, 3] {
            assert_eq!(add(&mut table, number, number), None);
        }
        assert!(table.is_full());
        assert_eq!(table.touch(hash(1), &key(1)), Some(&mut (key(1), 1)));
        assert_eq!(table.get_mut(hash(2), &key(2)), Some(&mut (key(2), 2))); // not a use
        assert_eq!(add(&mut table, 4, 4), Some((key(2), 2)));
        assert_eq!(add(&mut table, 5, 5), Some((key(3), 3)));
        assert_eq!(order(&table), [1, 4, 5]);
        assert_eq!(table.get(hash(2), &key(2)), None);
        assert_eq!(table.oldest(), Some(&(key(1), 1)));
    }

    #[test]
    fn the_same_key_again_replaces_its_value_and_evicts_nobody() {
        let mut table = FlowTable::with_capacity(2);
        add(&mut table, 1, 'a');
        add(&mut table, 2, 'b');
        assert_eq!(add(&mut table, 1, 'c'), Some((key(1), 'a')));
        assert_eq!(order(&table), [2, 1]);
        assert_eq!(table.get(hash(1), &key(1)), Some(&(key(1), 'c')));
    }

    #[test]
    fn flows_with_one_hash_stay_apart() {
        let mut table = FlowTable::with_capacity(8);
        for number in 1..=8 {
            table.insert(7, (key(number), number));
        }
        assert_eq!(table.remove(7, &key(3)), Some((key(3), 3)));
        assert_eq!(table.remove(7, &key(3)), None);
        for number in [1, 2, 4, 5, 6, 7, 8] {
            assert_eq!(table.touch(7, &key(number)), Some(&mut (key(number), number)));
        }
    }

    #[test]
    fn removed_entries_free_their_slots_and_the_rest_keep_their_order() {
        let mut table = FlowTable::with_capacity(8);
        for number in 1..=6 {
            add(&mut table, number, number);
        }
        table.retain(|held, (key, number)| held == hash(key.port[0]) && number % 3 != 0);
        assert_eq!(order(&table), [1, 2, 4, 5]);
        assert_eq!((table.get(hash(3), &key(3)), table.len()), (None, 4));
        add(&mut table, 7, 7);
        assert_eq!((order(&table), table.slots()), (vec![1, 2, 4, 5, 7], 6));
    }

    #[test]
    fn slots_are_used_again() {
        let mut table = FlowTable::with_capacity(1000);
        for number in 0..10_000 {
            add(&mut table, number, ());
            if number >= 10 {
                assert!(table.remove(hash(number - 10), &key(number - 10)).is_some());
            }
        }
        assert_eq!(table.len(), 10);
        assert_eq!(table.entries.len(), 11);
    }

    #[test]
    fn memory_grows_with_the_flows_and_stops_at_the_bound() {
        let mut table = FlowTable::with_capacity(1_000);
        assert_eq!((table.entries.capacity(), table.index.capacity()), (0, 0));
        add(&mut table, 0, ());
        assert!(table.entries.capacity() <= FIRST_SLOTS);
        for number in 1..5_000 {
            add(&mut table, number, ());
        }
        assert_eq!((table.len(), table.entries.len()), (1_000, 1_000));
        assert_eq!((table.entries.capacity(), table.links.capacity()), (1_000, 1_000));
        // Twice what 1,000 need: hashbrown may double once for slots that removals left marked.
        assert!(table.index.capacity() <= 4096, "{}", table.index.capacity());
    }

    #[test]
    fn an_entry_costs_at_most_24_bytes_besides_its_value() {
        let cost = size_of::<Link>() + size_of::<Option<[u64; 10]>>();
        assert!(cost <= size_of::<[u64; 10]>() + 24);
    }

    #[test]
    fn a_place_is_good_until_its_entry_goes() {
        let mut table = FlowTable::with_capacity(2);
        let one = table.insert(hash(1), (key(1), 1)).id;
        add(&mut table, 2, 2);
        assert_eq!((table.find(hash(1), &key(1)), table.at(one)), (Some(one), Some(&(key(1), 1))));
        assert_eq!(table.touch_at(one), Some(&mut (key(1), 1)));
        assert_eq!(order(&table), [2, 1]);
        assert_eq!(table.remove_at(one), Some((key(1), 1)));
        assert_eq!(table.at(one), None);
        assert_eq!(table.touch_at(one), None);
        assert_eq!(table.remove_at(one), None);
        assert_eq!(order(&table), [2]);
    }

    #[test]
    fn no_room_at_all_is_room_for_one() {
        let mut table = FlowTable::with_capacity(0);
        assert_eq!((table.capacity(), table.pop_oldest()), (1, None::<(FlowKey, u8)>));
        assert_eq!(add(&mut table, 1, 1), None);
        assert_eq!(add(&mut table, 2, 2), Some((key(1), 1)));
    }

    #[test]
    fn every_value_is_dropped_once() {
        let alive = Rc::new(());
        let mut table = FlowTable::with_capacity(10);
        for number in 0..30 {
            add(&mut table, number, Rc::clone(&alive));
        }
        assert_eq!(Rc::strong_count(&alive), 11);
        add(&mut table, 29, Rc::clone(&alive));
        table.remove(hash(25), &key(25));
        assert_eq!(Rc::strong_count(&alive), 10);
        assert!(table.pop_oldest().is_some());
        assert_eq!((table.len(), Rc::strong_count(&alive)), (8, 9));
        drop(table);
        assert_eq!(Rc::strong_count(&alive), 1);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16, u32),
        Touch(u16),
        Get(u16),
        Remove(u16),
        Pop,
    }

    fn step() -> impl Strategy<Value = Step> {
        let number = 0u16..40;
        prop_oneof![
            6 => (number.clone(), any::<u32>()).prop_map(|(n, v)| Step::Insert(n, v)),
            4 => number.clone().prop_map(Step::Touch),
            2 => number.clone().prop_map(Step::Get),
            3 => number.prop_map(Step::Remove),
            1 => Just(Step::Pop),
        ]
    }

    /// The same map as a list, the least recently used first.
    struct Model {
        list: Vec<(FlowKey, u32)>,
        max: usize,
    }

    impl Model {
        fn take(&mut self, key: &FlowKey) -> Option<(FlowKey, u32)> {
            let at = self.list.iter().position(|(other, _)| other == key)?;
            Some(self.list.remove(at))
        }

        fn pop(&mut self) -> Option<(FlowKey, u32)> {
            (!self.list.is_empty()).then(|| self.list.remove(0))
        }

        fn insert(&mut self, key: FlowKey, value: u32) -> Option<(FlowKey, u32)> {
            let former = self.take(&key);
            let full = self.list.len() == self.max;
            let displaced = former.or_else(|| if full { self.pop() } else { None });
            self.list.push((key, value));
            displaced
        }
    }

    proptest! {
        #[test]
        fn it_does_what_a_list_in_order_of_use_does(
            max in 1usize..24,
            hash_mask in prop_oneof![Just(u64::MAX), Just(3), Just(0)],
            steps in prop::collection::vec(step(), 0..300),
        ) {
            let mut table = FlowTable::with_capacity(max);
            let mut model = Model { list: Vec::new(), max };
            let hash = |number| hash(number) & hash_mask;
            for step in steps {
                match step {
                    Step::Insert(n, value) => {
                        let Inserted { id, displaced } = table.insert(hash(n), (key(n), value));
                        prop_assert_eq!(displaced, model.insert(key(n), value));
                        prop_assert_eq!(table.at(id), Some(&(key(n), value)));
                    }
                    Step::Touch(n) => {
                        let entry = model.take(&key(n));
                        model.list.extend(entry);
                        prop_assert_eq!(table.touch(hash(n), &key(n)).copied(), entry);
                    }
                    Step::Get(n) => {
                        let entry = model.list.iter().find(|(other, _)| *other == key(n));
                        prop_assert_eq!(table.get(hash(n), &key(n)), entry);
                    }
                    Step::Remove(n) => {
                        prop_assert_eq!(table.remove(hash(n), &key(n)), model.take(&key(n)));
                    }
                    Step::Pop => prop_assert_eq!(table.pop_oldest(), model.pop()),
                }
                let listed: Vec<_> = table.oldest_first().copied().collect();
                prop_assert_eq!(&listed, &model.list);
                prop_assert_eq!(table.len(), model.list.len());
                prop_assert_eq!(table.oldest(), model.list.first());
                prop_assert!(table.entries.len() <= max);
            }
        }
    }
}
