//! The interfaces of a network namespace, from a list and later changes.

use std::collections::{BTreeMap, BTreeSet};

use super::interface::{Interface, InterfaceError};
use super::link_message::ReportedLink;

/// The interfaces that exist, by their index in the kernel.
#[derive(Debug, Default)]
pub struct InterfaceTable {
    interfaces: BTreeMap<u32, Interface>,
    /// While a list is read: those that it has, or that have changed since it began.
    listed: Option<BTreeSet<u32>>,
    /// Those that were removed since [`Self::take_snapshot`]. An index may exist again: an interface that was moved to
    /// another namespace and back may have the same index.
    removed: BTreeSet<u32>,
}

impl InterfaceTable {
    /// Returns the interfaces in the order of the kernel.
    pub fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.values()
    }

    /// Returns the interface of a name.
    ///
    /// # Errors
    /// If there is none; the error names the existing interfaces.
    pub fn named(&self, name: &str) -> Result<&Interface, InterfaceError> {
        self.iter().find(|interface| interface.name == name).ok_or_else(|| InterfaceError::NoSuch {
            name: name.to_owned(),
            existing: self.iter().map(|interface| interface.name.clone()).collect(),
        })
    }

    /// Returns the interface with this index.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&Interface> {
        self.interfaces.get(&index)
    }

    /// Returns the interfaces that were removed since the last snapshot, even if their indices exist again.
    pub fn removed(&self) -> impl Iterator<Item = u32> {
        self.removed.iter().copied()
    }

    /// Returns a copy, with the interfaces that were removed since the last one.
    #[must_use]
    pub fn take_snapshot(&mut self) -> Self {
        Self { interfaces: self.interfaces.clone(), listed: None, removed: std::mem::take(&mut self.removed) }
    }

    /// Adds an interface, or changes it.
    pub(super) fn add(&mut self, link: &ReportedLink<'_>) {
        self.listed.iter_mut().for_each(|listed| _ = listed.insert(link.index));
        let interface = match self.interfaces.get(&link.index) {
            Some(known) => known.changed(link),
            None => Interface::new(link),
        };
        self.interfaces.insert(link.index, interface);
    }

    /// Removes an interface.
    pub(super) fn remove(&mut self, index: u32) {
        self.listed.iter_mut().for_each(|listed| _ = listed.remove(&index));
        if self.interfaces.remove(&index).is_some() {
            self.removed.insert(index);
        }
    }

    /// Begins to read a list.
    pub(super) fn begin_list(&mut self) {
        self.listed = Some(BTreeSet::new());
    }

    /// Removes the interfaces that the list does not have.
    pub(super) fn end_list(&mut self) {
        let listed = self.listed.take().unwrap_or_default();
        let missing: Vec<_> = self.interfaces.keys().filter(|index| !listed.contains(index)).copied().collect();
        for index in missing {
            self.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str) -> ReportedLink<'_> {
        ReportedLink { index, name, link_type: 1, is_up: true, ..ReportedLink::default() }
    }

    fn removed(table: &InterfaceTable) -> Vec<u32> {
        table.removed().collect()
    }

    fn names(table: &InterfaceTable) -> Vec<&str> {
        table.iter().map(|interface| interface.name.as_str()).collect()
    }

    #[test]
    fn changes_are_applied() {
        let mut table = InterfaceTable::default();
        [link(1, "lo"), link(2, "eth0"), link(3, "eth1"), link(2, "wan")].iter().for_each(|link| table.add(link));
        table.remove(3);
        table.remove(4);
        let snapshot = table.take_snapshot();
        assert_eq!((names(&snapshot), removed(&snapshot)), (vec!["lo", "wan"], vec![3]));
        assert_eq!((names(&table), removed(&table)), (vec!["lo", "wan"], vec![]));
    }

    #[test]
    fn an_index_that_exists_again_was_removed() {
        let mut table = InterfaceTable::default();
        table.add(&link(2, "eth0"));
        table.remove(2);
        table.add(&link(2, "eth0"));
        assert_eq!((names(&table), removed(&table)), (vec!["eth0"], vec![2]));
    }

    #[test]
    fn a_list_replaces_lost_changes() {
        let mut table = InterfaceTable::default();
        [link(1, "lo"), link(2, "eth0"), link(3, "eth1")].iter().for_each(|link| table.add(link));
        table.begin_list();
        // eth0 is gone, veth4 is new. While the list is read, veth5 appears and lo vanishes.
        [link(1, "lo"), link(3, "eth1"), link(5, "veth5"), link(4, "veth4")].iter().for_each(|link| table.add(link));
        table.remove(1);
        table.end_list();
        assert_eq!((names(&table), removed(&table)), (vec!["eth1", "veth4", "veth5"], vec![1, 2]));
    }
}
