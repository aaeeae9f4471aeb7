//! The interfaces of records: from the kernel's index to the name in events.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;
use arcstr::ArcStr;

use crate::model::{InterfaceNames, NO_INTERFACE};

/// Removed interfaces that are remembered: records of them may still be in the rings.
const MAX_REMOVED: usize = 256;

/// The captured interfaces of a run. The control plane publishes them; the shards read them without a lock.
#[derive(Debug)]
pub struct CapturedInterfaces {
    names: Arc<InterfaceNames>,
    current: Arc<ArcSwap<Vec<CapturedInterface>>>,
    /// Indices of removed interfaces, the earliest first.
    removed: Vec<u32>,
}

/// A captured interface.
#[derive(Clone, Debug)]
struct CapturedInterface {
    /// Its index in the kernel.
    index: u32,
    name: Arc<CapturedName>,
}

/// A name. It is added to the names of the run when the first record needs it: a host may start and stop any number of
/// containers, and most of their interfaces never see a handshake first.
#[derive(Debug)]
struct CapturedName {
    text: ArcStr,
    index: OnceLock<u32>,
}

/// Looks up the interfaces of records; each shard has its own.
#[derive(Debug)]
pub struct InterfaceLookup {
    names: Arc<InterfaceNames>,
    current: Cache<Arc<ArcSwap<Vec<CapturedInterface>>>, Arc<Vec<CapturedInterface>>>,
}

impl CapturedInterfaces {
    /// Returns no interfaces.
    #[must_use]
    pub fn new(names: Arc<InterfaceNames>) -> Self {
        Self { names, current: Arc::default(), removed: Vec::new() }
    }

    /// Publishes the interfaces, by index and name. Called before programs are attached to them, so that each record has
    /// a name. An interface that is removed is remembered for a while.
    pub fn publish<'a>(&mut self, interfaces: impl IntoIterator<Item = (u32, &'a str)>) {
        let before = self.current.load_full();
        let mut next: BTreeMap<u32, Arc<CapturedName>> = BTreeMap::new();
        for (index, name) in interfaces {
            let at = before.binary_search_by_key(&index, |interface| interface.index);
            let known = at.ok().and_then(|at| before.get(at)).filter(|interface| interface.name.text == name);
            let new = || Arc::new(CapturedName { text: ArcStr::from(name), index: OnceLock::new() });
            next.insert(index, known.map_or_else(new, |known| Arc::clone(&known.name)));
        }
        self.removed.retain(|index| !next.contains_key(index));
        let gone = before.iter().map(|interface| interface.index);
        let gone: Vec<_> = gone.filter(|index| !next.contains_key(index) && !self.removed.contains(index)).collect();
        self.removed.extend(gone);
        self.removed.drain(..self.removed.len().saturating_sub(MAX_REMOVED));
        for interface in before.iter().filter(|interface| self.removed.contains(&interface.index)) {
            next.insert(interface.index, Arc::clone(&interface.name));
        }
        let next: Vec<_> = next.into_iter().map(|(index, name)| CapturedInterface { index, name }).collect();
        let is_same =
            |(a, b): (&CapturedInterface, &CapturedInterface)| a.index == b.index && Arc::ptr_eq(&a.name, &b.name);
        if next.len() != before.len() || !next.iter().zip(before.iter()).all(is_same) {
            self.current.store(Arc::new(next));
        }
    }

    /// Returns a lookup for a shard.
    #[must_use]
    pub fn lookup(&self) -> InterfaceLookup {
        InterfaceLookup { names: Arc::clone(&self.names), current: Cache::new(Arc::clone(&self.current)) }
    }

    /// The names of the run.
    #[must_use]
    pub fn names(&self) -> &InterfaceNames {
        &self.names
    }
}

impl InterfaceLookup {
    /// Returns the index of the name of an interface, by the kernel's index.
    #[inline]
    pub fn name_index(&mut self, index: u32) -> u32 {
        let current = self.current.load();
        let found = current.binary_search_by_key(&index, |interface| interface.index);
        found.ok().and_then(|at| current.get(at)).map_or(NO_INTERFACE, |interface| {
            let name = &interface.name;
            *name.index.get_or_init(|| self.names.index_of(&name.text))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured() -> (Arc<InterfaceNames>, CapturedInterfaces) {
        let names = Arc::new(InterfaceNames::default());
        (Arc::clone(&names), CapturedInterfaces::new(names))
    }

    #[test]
    fn a_record_has_the_current_name_of_its_interface() {
        let (names, mut captured) = captured();
        let mut lookup = captured.lookup();
        assert_eq!(lookup.name_index(2), NO_INTERFACE);
        captured.publish([(3, "veth1"), (2, "eth0")]);
        assert_eq!((lookup.name_index(2), lookup.name_index(3), lookup.name_index(2)), (0, 1, 0));
        captured.publish([(3, "wan"), (2, "eth0")]);
        assert_eq!([2, 3].map(|index| names.get(lookup.name_index(index))), [Some("eth0"), Some("wan")]);
    }

    #[test]
    fn records_of_a_removed_interface_have_its_name_for_a_while() {
        let (names, mut captured) = captured();
        let mut lookup = captured.lookup();
        captured.publish([(2, "eth0")]);
        captured.publish([]);
        assert_eq!(names.get(lookup.name_index(2)), Some("eth0"));
        // Created again.
        captured.publish([(7, "eth0")]);
        assert_eq!((lookup.name_index(2), lookup.name_index(7)), (0, 0));
    }

    #[test]
    fn removed_interfaces_without_records_leave_nothing_behind() {
        let (names, mut captured) = captured();
        for index in 0..10_000 {
            captured.publish([(index, format!("veth{index}").as_str()), (u32::MAX, "eth0")]);
        }
        assert_eq!((captured.current.load().len(), captured.removed.len()), (MAX_REMOVED + 2, MAX_REMOVED));
        assert_eq!((captured.lookup().name_index(u32::MAX), names.len()), (0, 1));
    }
}
