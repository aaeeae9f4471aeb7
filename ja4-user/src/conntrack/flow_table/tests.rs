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
fn a_repeated_key_replaces_its_value_and_evicts_no_other() {
    let mut table = FlowTable::with_capacity(2);
    add(&mut table, 1, 'a');
    add(&mut table, 2, 'b');
    assert_eq!(add(&mut table, 1, 'c'), Some((key(1), 'a')));
    assert_eq!(order(&table), [2, 1]);
    assert_eq!(table.get(hash(1), &key(1)), Some(&(key(1), 'c')));
}

#[test]
fn flows_with_equal_hashes_stay_separate() {
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
    table.retain(|stored, (key, number)| stored == hash(key.port[0]) && number % 3 != 0);
    assert_eq!(order(&table), [1, 2, 4, 5]);
    assert_eq!((table.get(hash(3), &key(3)), table.len()), (None, 4));
    add(&mut table, 7, 7);
    assert_eq!((order(&table), table.slots()), (vec![1, 2, 4, 5, 7], 6));
}

#[test]
fn slots_are_reused() {
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
    // Twice the capacity for 1,000: hashbrown may double once because of tombstones.
    assert!(table.index.capacity() <= 4096, "{}", table.index.capacity());
}

#[test]
fn an_entry_costs_at_most_24_bytes_besides_its_value() {
    let cost = size_of::<Link>() + size_of::<Option<[u64; 10]>>();
    assert!(cost <= size_of::<[u64; 10]>() + 24);
}

#[test]
fn a_slot_id_is_valid_until_its_entry_is_removed() {
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
fn a_capacity_of_0_counts_as_1() {
    let mut table = FlowTable::with_capacity(0);
    assert_eq!((table.max, table.pop_oldest()), (1, None::<(FlowKey, u8)>));
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
enum TableStep {
    Insert(u16, u32),
    Touch(u16),
    Get(u16),
    Remove(u16),
    Pop,
}

fn step() -> impl Strategy<Value = TableStep> {
    let number = 0u16..40;
    prop_oneof![
        6 => (number.clone(), any::<u32>()).prop_map(|(n, v)| TableStep::Insert(n, v)),
        4 => number.clone().prop_map(TableStep::Touch),
        2 => number.clone().prop_map(TableStep::Get),
        3 => number.prop_map(TableStep::Remove),
        1 => Just(TableStep::Pop),
    ]
}

/// The same map as a list, the least recently used first.
struct ListModel {
    list: Vec<(FlowKey, u32)>,
    max: usize,
}

impl ListModel {
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
    fn it_equals_a_list_in_order_of_use(
        max in 1usize..24,
        hash_mask in prop_oneof![Just(u64::MAX), Just(3), Just(0)],
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut table = FlowTable::with_capacity(max);
        let mut model = ListModel { list: Vec::new(), max };
        let hash = |number| hash(number) & hash_mask;
        for step in steps {
            match step {
                TableStep::Insert(n, value) => {
                    let Inserted { id, displaced } = table.insert(hash(n), (key(n), value));
                    prop_assert_eq!(displaced, model.insert(key(n), value));
                    prop_assert_eq!(table.at(id), Some(&(key(n), value)));
                }
                TableStep::Touch(n) => {
                    let entry = model.take(&key(n));
                    model.list.extend(entry);
                    prop_assert_eq!(table.touch(hash(n), &key(n)).copied(), entry);
                }
                TableStep::Get(n) => {
                    let entry = model.list.iter().find(|(other, _)| *other == key(n));
                    prop_assert_eq!(table.get(hash(n), &key(n)), entry);
                }
                TableStep::Remove(n) => {
                    prop_assert_eq!(table.remove(hash(n), &key(n)), model.take(&key(n)));
                }
                TableStep::Pop => prop_assert_eq!(table.pop_oldest(), model.pop()),
            }
            let listed: Vec<_> = table.oldest_first().copied().collect();
            prop_assert_eq!(&listed, &model.list);
            prop_assert_eq!(table.len(), model.list.len());
            prop_assert_eq!(table.oldest(), model.list.first());
            prop_assert!(table.entries.len() <= max);
        }
    }
}
